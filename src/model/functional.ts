// Functional models: a graph of layers from inputs to outputs, with branches, joins and shared layers.
import { describe, NablaError } from '../errors.ts';
import type { CallContext, Layer } from '../layers/layer.ts';
import { type LayerCall, SymbolicTensor } from '../layers/symbolic.ts';
import { isRecord, type Nested, nest, partsOf, type Structure, structureOf } from '../nested.ts';
import { checkOptions } from '../options.ts';
import type { ConfigWriter, Json } from '../saving/config.ts';
import { type Shape, showShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { Model } from './model.ts';
import { distinctNames, inOrder, type Slots } from './slots.ts';
import { nameLayers } from './tracking.ts';

/** What input takes. */
export interface InputOptions {
  /** Shape of one sample, without the batch. */
  shape: Shape;
  /** Under which data for it may be given. Default `'input'`, `'input_1'` and so on. */
  name?: string;
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
export function input(options: InputOptions): SymbolicTensor {
  checkOptions('functions', 'input', options);
  const { shape, name } = options;
  if (!Array.isArray(shape) || !shape.every((dim) => Number.isInteger(dim) && dim >= 1)) {
    throw new NablaError(
      'input',
      `bad shape, got ${describe(shape)}, expected the dimensions of one sample, integers >= 1, without the batch`,
    );
  }
  return new SymbolicTensor(shape, undefined, name);
}

/** What model takes. */
export interface FunctionalOptions<S extends Nested<SymbolicTensor> = Nested<SymbolicTensor>> {
  /** Where samples enter: one input, an array of them, or a record of them by name. */
  inputs: Nested<SymbolicTensor>;
  /** What the model predicts: one output, an array of them, or a record of them by name. */
  outputs: S;
  /** Default `'functional'`. */
  name?: string;
  /** Whether optimizers change the weights. Default true. */
  trainable?: boolean;
}

/** Tensors in the place of symbolic tensors. */
export type TensorsOf<S> = S extends SymbolicTensor ? Tensor : { [K in keyof S]: Tensor };

const isSymbolic = (value: unknown) => value instanceof SymbolicTensor;

/** A model whose layers form a graph. */
export class Functional<O extends Nested<Tensor> = Tensor> extends Model<O> {
  private readonly entries: readonly SymbolicTensor[];
  private readonly exits: readonly SymbolicTensor[];
  private readonly slots: { readonly inputs: Slots; readonly outputs: Slots };
  // Calls of layers, each after those that it takes something from.
  private readonly order: readonly LayerCall[];
  private readonly distinct: readonly Layer[];

  constructor(options: FunctionalOptions) {
    super(options);
    checkOptions('functions', 'model', options);
    const { inputs, outputs } = options;
    const [entries, exits] = Object.entries({ inputs, outputs }).map(([name, value]) => {
      const listed = isSymbolic(value) || Array.isArray(value) || isRecord(value);
      const parts = listed ? partsOf<SymbolicTensor>(value, isSymbolic) : [];
      if (parts.length > 0 && parts.every(isSymbolic)) return parts;
      throw new NablaError(
        this.name,
        `bad ${name}, got ${describe(value)}, expected what input() or a layer gives, or an array or record of them`,
      );
    }) as [SymbolicTensor[], SymbolicTensor[]];
    const inner = entries.find(({ origin }) => origin !== undefined);
    if (inner !== undefined || new Set(entries).size < entries.length) {
      const got = inner === undefined ? 'one of them twice' : `what ${inner.layer!.name} gives`;
      throw new NablaError(this.name, `bad inputs, got ${got}, expected what input() gives, each once`);
    }
    this.entries = entries;
    this.exits = exits;
    this.order = this.sorted();
    this.distinct = [...new Set(this.order.map(({ layer }) => layer))];
    nameLayers(this.name, this.distinct);
    const slotsOf = (structure: Structure, names: readonly string[]): Slots => ({
      structure,
      names: typeof structure === 'string' ? distinctNames(names) : structure,
    });
    const given = entries.map(({ name }) => name ?? 'input');
    const made = exits.map((exit) => exit.layer?.name ?? exit.name ?? 'input');
    this.slots = {
      inputs: slotsOf(structureOf(inputs, isSymbolic), given),
      outputs: slotsOf(structureOf(outputs, isSymbolic), made),
    };
  }

  override get kind(): string {
    return 'functional';
  }

  private sorted(): LayerCall[] {
    const order: LayerCall[] = [];
    const seen = new Set<SymbolicTensor | LayerCall>(this.entries);
    for (const exit of this.exits) {
      // A loop with its own stack: models may be thousands of layers deep.
      const stack: { node: SymbolicTensor; next: number }[] = [{ node: exit, next: 0 }];
      while (stack.length > 0) {
        const top = stack.at(-1)!;
        const { node } = top;
        const call = node.origin;
        if (seen.has(node) || (call !== undefined && seen.has(call))) {
          stack.pop();
        } else if (call === undefined) {
          throw new NablaError(
            this.name,
            `the output depends on another input, got ${node}, expected only those given as inputs`,
          );
        } else if (top.next < call.inputs.length) {
          stack.push({ node: call.inputs[top.next++]!, next: 0 });
        } else {
          seen.add(call);
          order.push(call);
          stack.pop();
        }
      }
    }
    if (order.length === 0)
      throw new NablaError(this.name, 'the model has no layers, the output is the input');
    return order;
  }

  /** @internal The architecture, for saving. */
  override toConfig(writer: ConfigWriter): Json {
    const values = [...this.entries, ...this.order.flatMap(({ outputs }) => outputs)];
    const place = new Map(values.map((value, i) => [value, i]));
    const { inputs, outputs } = this.slots;
    return {
      className: 'Functional',
      name: this.name,
      trainable: this.trainable,
      layers: this.distinct.map((layer) => writer.layer(layer)),
      inputs: this.entries.map(({ shape, name }) => ({ shape, name: name ?? null })),
      inputStructure: inputs.structure,
      nodes: this.order.map((call) => ({
        layer: this.distinct.indexOf(call.layer),
        inputs: call.inputs.map((source) => place.get(source)!),
      })),
      outputs: this.exits.map((exit) => place.get(exit)!),
      outputStructure: outputs.structure,
    };
  }

  override get layers(): readonly Layer[] {
    return this.distinct;
  }

  override get knowsInputs(): boolean {
    return true;
  }

  override get inputSlots(): Slots {
    return this.slots.inputs;
  }

  override get outputSlots(): Slots {
    return this.slots.outputs;
  }

  override get inputShapes(): readonly Shape[] {
    return this.entries.map(({ shape }) => shape);
  }

  override build(): void {
    this.ensureBuilt(...this.inputShapes);
  }

  protected override buildAll(): void {
    for (const { layer, inputs } of this.order) layer.ensureBuilt(...inputs.map(({ shape }) => shape));
  }

  protected override shapeOf(inputShapes: readonly Shape[]): Nested<Shape> {
    const fits = (shape: Shape, i: number) => shape.join() === inputShapes[i]?.join();
    if (inputShapes.length !== this.entries.length || !this.inputShapes.every(fits)) {
      const show = (shapes: readonly Shape[]) => shapes.map(showShape).join(' and ');
      throw new NablaError(
        this.name,
        `inputs do not fit, got samples ${show(inputShapes)}, expected ${show(this.inputShapes)}`,
      );
    }
    return nest(
      this.slots.outputs.structure,
      this.exits.map(({ shape }) => shape),
    );
  }

  override shapes(): [Layer, Shape][] {
    return this.distinct.map((layer) => [
      layer,
      this.order.find((call) => call.layer === layer)!.outputs[0]!.shape,
    ]);
  }

  override call(x: Nested<Tensor>, context: CallContext): O {
    const xs = inOrder<Tensor>(this.name, 'inputs', x, this.slots.inputs.names);
    const values = new Map<SymbolicTensor, Tensor>(this.entries.map((entry, i) => [entry, xs[i]!]));
    for (const { layer, inputs, outputs } of this.order) {
      const given = inputs.map((source) => values.get(source)!);
      const made = partsOf<Tensor>(layer.apply(given, context), (value) => value instanceof Tensor);
      outputs.forEach((output, i) => {
        values.set(output, made[i]!);
      });
    }
    return nest(
      this.slots.outputs.structure,
      this.exits.map((exit) => values.get(exit)!),
    ) as O;
  }

  override toString(): string {
    const show = (symbols: readonly SymbolicTensor[]) =>
      symbols.map(({ shape }) => showShape(shape)).join(', ');
    return `${this.name}(${show(this.entries)} -> ${show(this.exits)})`;
  }
}

/**
 * A model from its inputs to its outputs, as layers were applied to one another.
 *
 * @example
 * const [a, b] = [input({ shape: [8], name: 'a' }), input({ shape: [4], name: 'b' })];
 * const both = layers.concatenate().apply([a, b]);
 * const price = layers.dense({ units: 1, name: 'price' }).apply(both);
 * const kind = layers.dense({ units: 3, activation: 'softmax', name: 'kind' }).apply(both);
 * const network = model({ inputs: [a, b], outputs: [price, kind] });
 * network.compile({ loss: { price: 'mse', kind: 'sparseCategoricalCrossentropy' } });
 */
export function model<const S extends Nested<SymbolicTensor>>(
  options: FunctionalOptions<S>,
): Functional<TensorsOf<S>> {
  return new Functional<TensorsOf<S>>(options);
}
