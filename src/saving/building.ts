// While a saved model is being made: its layers take their weights from the file, not from initializers.
import { NablaError } from '../errors.ts';
import { type Shape, sameShape, showShape } from '../shape.ts';

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

/** A name for each weight that no other has: where two have one name, the second is `name (2)`. */
export function distinctNames(weights: readonly { readonly name: string }[]): string[] {
  const counts = new Map<string, number>();
  return weights.map(({ name }) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return count === 1 ? name : `${name} (${count})`;
  });
}

/** What a file has of a weight. */
export interface SavedWeight {
  readonly shape: Shape;
  values(): Float32Array<ArrayBuffer>;
}

/** A source that refuses weights that the file does not have in their shape, before memory is taken for them. */
export function sourceOf(where: string, saved: ReadonlyMap<string, SavedWeight>): WeightSource {
  return (name, shape) => {
    const first = saved.get(name);
    if (first === undefined) {
      throw new NablaError(
        where,
        `weight '${name}' is missing, expected it with shape ${showShape(shape)}; the file is altered`,
      );
    }
    for (let i = 2, weight: SavedWeight | undefined = first; weight !== undefined; i++) {
      if (sameShape(weight.shape, shape)) return weight.values();
      weight = saved.get(`${name} (${i})`);
    }
    throw new NablaError(
      where,
      `weight '${name}' does not fit its layer, got shape ${showShape(first.shape)}, expected ${showShape(shape)}; the file is altered`,
    );
  };
}
