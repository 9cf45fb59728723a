// Functional models: a graph of layers from an input to an output, with branches, joins and shared layers.
import { describe, NablaError } from '../errors.ts';
import type { Layer } from '../layers/layer.ts';
import { SymbolicTensor } from '../layers/symbolic.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { Model } from './model.ts';

/** What input takes. */
export interface InputOptions {
  /** Shape of one sample, without the batch. */
  shape: Shape;
}

/**
 * An input of a model that is described as a graph of layers.
 *
 * @example
 * const x = input({ shape: [28, 28] });
 * const h = layers.dense({ units: 64, activation: 'relu' }).apply(layers.flatten().apply(x));
 * const y = layers.dense({ units: 10, activation: 'softmax' }).apply(h);
 * const network = model({ inputs: x, outputs: y });
 */
export function input({ shape }: InputOptions): SymbolicTensor {
  if (!Array.isArray(shape) || !shape.every((dim) => Number.isInteger(dim) && dim >= 1)) {
    throw new NablaError(
      'input',
      `bad shape, got ${describe(shape)}, expected the dimensions of one sample, integers >= 1, without the batch`,
    );
  }
  return new SymbolicTensor(shape);
}

/** What model takes. */
export interface FunctionalOptions {
  /** Where samples enter. */
  inputs: SymbolicTensor;
  /** What the model predicts. */
  outputs: SymbolicTensor;
  /** Default `'functional'`. */
  name?: string;
}

/** A model whose layers form a graph. */
export class Functional extends Model {
  private readonly entry: SymbolicTensor;
  private readonly exit: SymbolicTensor;
  // Outputs of layers, each after what it is made of.
  private readonly order: readonly SymbolicTensor[];
  private readonly distinct: readonly Layer[];

  constructor(options: FunctionalOptions) {
    super(options.name ?? 'functional');
    const { inputs, outputs } = options;
    for (const [name, value] of Object.entries({ inputs, outputs })) {
      if (value instanceof SymbolicTensor) continue;
      throw new NablaError(
        this.name,
        `bad ${name}, got ${describe(value)}, expected what input() or a layer gives`,
      );
    }
    this.entry = inputs;
    this.exit = outputs;
    this.order = this.sorted();
    this.distinct = [...new Set(this.order.map(({ layer }) => layer!))];
    this.nameLayers();
  }

  private sorted(): SymbolicTensor[] {
    const order: SymbolicTensor[] = [];
    const seen = new Set<SymbolicTensor>([this.entry]);
    // A loop with its own stack: models may be thousands of layers deep.
    const stack: { node: SymbolicTensor; next: number }[] = [{ node: this.exit, next: 0 }];
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      const { node } = top;
      if (top.next === 0 && seen.has(node)) {
        stack.pop();
      } else if (node.layer === undefined) {
        throw new NablaError(
          this.name,
          `the output depends on another input, got ${node}, expected only the one given as inputs`,
        );
      } else if (top.next < node.inputs.length) {
        stack.push({ node: node.inputs[top.next++]!, next: 0 });
      } else {
        seen.add(node);
        order.push(node);
        stack.pop();
      }
    }
    if (order.length === 0)
      throw new NablaError(this.name, 'the model has no layers, the output is the input');
    return order;
  }

  private nameLayers(): void {
    const counts = new Map<string, number>();
    const names = new Set<string>();
    for (const layer of this.distinct) {
      const same = counts.get(layer.kind) ?? 0;
      counts.set(layer.kind, same + 1);
      layer.nameIfUnnamed(same === 0 ? layer.kind : `${layer.kind}_${same}`);
      if (names.has(layer.name)) {
        throw new NablaError(
          this.name,
          `two layers have one name, got '${layer.name}' twice, expected names to differ`,
        );
      }
      names.add(layer.name);
    }
  }

  override get layers(): readonly Layer[] {
    return this.distinct;
  }

  override get inputShape(): Shape {
    return this.entry.shape;
  }

  override build(): void {
    for (const { layer, inputs } of this.order) layer!.ensureBuilt(...inputs.map(({ shape }) => shape));
  }

  override shapes(): [Layer, Shape][] {
    return this.distinct.map((layer) => [layer, this.order.find((node) => node.layer === layer)!.shape]);
  }

  override call(x: Tensor, training: boolean): Tensor {
    const values = new Map<SymbolicTensor, Tensor>([[this.entry, x]]);
    for (const node of this.order) {
      // One call of a layer gives all of its outputs.
      if (values.has(node)) continue;
      const inputs = node.inputs.map((source) => values.get(source)!);
      const outputs = [node.layer!.apply(inputs, { training })].flat() as Tensor[];
      node.origin!.outputs.forEach((sibling, i) => {
        values.set(sibling, outputs[i]!);
      });
    }
    return values.get(this.exit)!;
  }

  override toString(): string {
    return `${this.name}(${showShape(this.entry.shape)} -> ${showShape(this.exit.shape)})`;
  }
}

/** A model from its input to its output, as layers were applied to one another. */
export function model(options: FunctionalOptions): Functional {
  return new Functional(options);
}
