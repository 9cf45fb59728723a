// While a saved model is being made: its layers take their weights from the file, not from initializers.
import { NablaError } from '../errors.ts';
import { type Shape, sameShape, showShape } from '../shape.ts';
import type { Variable } from '../variable.ts';

/** The numbers of a weight of this name and shape. */
export type WeightSource = (name: string, shape: Shape) => Float32Array<ArrayBuffer>;

let source: WeightSource | undefined;

/** Runs `body`; weights that layers make meanwhile come from `weights`. */
export function buildFrom<T>(weights: WeightSource, body: () => T): T {
  const former = source;
  source = weights;
  try {
    return body();
  } finally {
    source = former;
  }
}

/** The numbers of a weight that a layer is about to make; undefined outside of {@link buildFrom}. */
export function givenWeight(name: string, shape: Shape): Float32Array<ArrayBuffer> | undefined {
  return source?.(name, shape);
}

/** What has weights of its own and those of layers: a model, seen from here. */
interface Owner {
  readonly name: string;
  readonly layers: readonly Part[];
  readonly weights: readonly Variable<'float32'>[];
}

type Part = { readonly name: string; readonly weights: readonly Variable<'float32'>[] } & Partial<
  Pick<Owner, 'layers'>
>;

/**
 * A name for each weight of a model that no other has: layer and weight, after the names of the models that the layer is in within this one. Where
 * two would have one name, the second is `name (2)`.
 */
export function weightNames(model: Owner): ReadonlyMap<Variable<'float32'>, string> {
  const wanted = new Map<Variable<'float32'>, string>();
  const visit = (part: Part, prefix: string, inside: string): void => {
    for (const layer of part.layers ?? [])
      visit(layer, inside, layer.layers ? `${inside}${layer.name}/` : inside);
    for (const weight of part.weights) if (!wanted.has(weight)) wanted.set(weight, prefix + weight.name);
  };
  visit(model, '', '');
  const counts = new Map<string, number>();
  const names = model.weights.map((weight) => {
    const name = wanted.get(weight)!;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return [weight, count === 1 ? name : `${name} (${count})`] as const;
  });
  return new Map(names);
}

// Layers are parts of layers a few times over; a name of more parts is one that means harm.
const maxParts = 32;

/** What a file has of a weight. */
export interface SavedWeight {
  readonly shape: Shape;
  values(): Float32Array<ArrayBuffer>;
}

/**
 * A source that refuses weights that the file does not have in their shape, before memory is taken for them. A layer does not know which model it
 * is in: of several weights of its name it gives any of the shape; the right ones are put in place when all are there.
 */
export function sourceOf(where: string, saved: ReadonlyMap<string, SavedWeight>): WeightSource {
  const bySuffix = new Map<string, SavedWeight[]>();
  for (const [name, weight] of saved) {
    const parts = name.replace(/ \(\d+\)$/, '').split('/');
    for (let i = Math.max(0, parts.length - maxParts); i < parts.length; i++) {
      const suffix = parts.slice(i).join('/');
      const known = bySuffix.get(suffix);
      if (known === undefined) bySuffix.set(suffix, [weight]);
      else known.push(weight);
    }
  }
  return (name, shape) => {
    const candidates = bySuffix.get(name);
    if (candidates === undefined) {
      throw new NablaError(
        where,
        `weight '${name}' is missing, expected it with shape ${showShape(shape)}; the file is altered`,
      );
    }
    const found = candidates.find((weight) => sameShape(weight.shape, shape));
    if (found !== undefined) return found.values();
    throw new NablaError(
      where,
      `weight '${name}' does not fit its layer, got shape ${showShape(candidates[0]!.shape)}, expected ${showShape(shape)}; the file is altered`,
    );
  };
}
