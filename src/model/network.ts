// Networks: what every model is before it is compiled: layers in its fields, inputs and outputs by place and name, shapes and weights.
import type { DTypePolicy } from '../dtype-policies.ts';
import { describe, NablaError } from '../errors.ts';
import { type CallContext, Layer } from '../layers/layer.ts';
import type { SymbolicTensor } from '../layers/symbolic.ts';
import { traceOutputs } from '../layers/trace-outputs.ts';
import { isRecord, type Nested, nest, partsOf, structureOf } from '../nested.ts';
import type { SeedGenerator } from '../ops/seed-generator.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { named } from '../trace.ts';
import type { Variable } from '../variable.ts';
import { distinctNames, inOrder, type Slots } from './slots.ts';
import { checkTracked, layersIn, nameLayers, variablesIn } from './tracking.ts';

/** Options of models. */
export interface ModelOptions {
  /** Default: the kind of model. */
  name?: string;
  /** Whether optimizers change the weights. Default true. */
  trainable?: boolean;
}

const isTensor = (value: unknown) => value instanceof Tensor;
const isShape = (value: unknown) => Array.isArray(value) && !Array.isArray(value[0]);

/** A layer that is made of layers, found in its fields. `O` is what it gives: a tensor, or several as an array or by name. */
export abstract class Network<O extends Nested<Tensor> = Tensor> extends Layer<O> {
  // Hidden from the search for layers among the fields.
  #inputs: Slots | undefined;
  #outputs: Slots | undefined;
  #inputShapes: readonly Shape[] | undefined;
  #shapes = new Map<string, Nested<Shape>>();
  #building = false;

  constructor(options: ModelOptions = {}) {
    super(options);
  }

  get kind(): string {
    const { name } = this.constructor;
    return name === '' ? 'model' : name.charAt(0).toLowerCase() + name.slice(1);
  }

  protected override get converts(): boolean {
    return false;
  }

  /** What the model computes of a batch: of one input, or of several as an array or by name. */
  abstract override call(x: Nested<Tensor>, context: CallContext): O;

  /** The layers: those in fields, in the order of the fields. */
  get layers(): readonly Layer[] {
    return layersIn(this);
  }

  /** @internal Was it described with its inputs, so that all data are to fit them? */
  get knowsInputs(): boolean {
    return false;
  }

  /** @internal Its inputs by place and name; undefined until they are known. */
  get inputSlots(): Slots | undefined {
    return this.#inputs;
  }

  /** @internal Its outputs by place and name; undefined until they are known. */
  get outputSlots(): Slots | undefined {
    return this.#outputs;
  }

  /** @internal Learns its inputs from the first data, where it does not know them. */
  protected learnInputs(slots: Slots): void {
    this.#inputs ??= slots;
  }

  /** Shapes of one sample of each input; undefined until they are known. */
  get inputShapes(): readonly Shape[] | undefined {
    return this.#inputShapes;
  }

  /** Shape of one input sample, of the first input; undefined until it is known. */
  override get inputShape(): Shape | undefined {
    return this.inputShapes?.[0];
  }

  /** All weights: the model's own and variables in its fields, then layer by layer. */
  override get weights(): readonly Variable<'float32'>[] {
    const inLayers = this.layers.flatMap(({ weights }) => weights);
    return [...new Set([...super.weights, ...variablesIn(this), ...inLayers])];
  }

  override computesIn(dtype: DTypePolicy['computeDtype']): boolean {
    return super.computesIn(dtype) || this.layers.some((layer) => layer.computesIn(dtype));
  }

  override get trainableWeights(): readonly Variable<'float32'>[] {
    if (!this.trainable) return [];
    const inLayers = this.layers.flatMap(({ trainableWeights }) => trainableWeights);
    const own = variablesIn(this).filter((variable) => variable.trainable);
    return [...new Set([...super.trainableWeights, ...own, ...inLayers])];
  }

  /** @internal */
  override get seedGenerators(): readonly SeedGenerator[] {
    const inLayers = this.layers.flatMap(({ seedGenerators }) => seedGenerators);
    return [...new Set([...super.seedGenerators, ...inLayers])];
  }

  /** Whether optimizers change the weights. Setting it sets it for all layers. */
  override get trainable(): boolean {
    return super.trainable;
  }

  override set trainable(value: boolean) {
    super.trainable = value;
    for (const layer of this.layers) layer.trainable = value;
  }

  /** Makes the weights for samples of this shape (of these shapes, where there are several inputs). One's own model may make some here. */
  override build(inputShape: Nested<Shape>): void {
    if (this.#building) return;
    this.#inputs ??= this.slotsLike(structureOf(inputShape, isShape), inputShape);
    this.ensureBuilt(...inOrder<Shape>(this.name, 'build', inputShape, this.#inputs.names));
  }

  override ensureBuilt(...inputShapes: readonly Shape[]): void {
    super.ensureBuilt(...inputShapes);
    this.#inputShapes ??= inputShapes;
  }

  protected override buildAll(_inputShapes: readonly Shape[]): void {
    // Layers make their weights where the model's outputs are found, by a first call.
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const shape = this.shapeOf([inputShape]);
    if (isShape(shape)) return shape as number[];
    throw new NablaError(this.name, 'the model has several outputs, expected one to go on with here');
  }

  protected override shapeOf(inputShapes: readonly Shape[]): Nested<Shape> {
    const key = JSON.stringify(inputShapes);
    let shapes = this.#shapes.get(key);
    if (shapes === undefined) {
      if (this.#inputs === undefined || this.#inputs.names.length !== inputShapes.length)
        this.#inputs = this.slotsLike(inputShapes.length === 1 ? 'one' : 'array', inputShapes);
      if (typeof this.call !== 'function')
        throw new NablaError(
          this.name,
          'the model has no call(), expected what it computes of a batch; give it',
        );
      nameLayers(this.name, this.layers);
      if (this.#shapes.size === 0) {
        this.#building = true;
        try {
          this.build(nest(this.#inputs.structure, inputShapes));
        } finally {
          this.#building = false;
        }
      }
      const outputs = checkTracked(this, () =>
        traceOutputs(inputShapes, (xs) => this.callAll(xs, { training: false })),
      );
      this.checkOutputs(outputs);
      const structure = structureOf(outputs, isTensor);
      const parts = partsOf<Tensor>(outputs, isTensor);
      const names = Array.isArray(structure) ? structure : parts.map((_, i) => `output_${i + 1}`);
      this.#outputs = { structure, names };
      shapes = nest(
        structure,
        parts.map(({ shape }) => shape.slice(1)),
      );
      this.#shapes.set(key, shapes);
    }
    return shapes;
  }

  private slotsLike(structure: Slots['structure'], parts: object): Slots {
    if (typeof structure !== 'string') return { structure, names: structure };
    const count = structure === 'one' ? 1 : Object.keys(parts).length;
    return { structure, names: distinctNames(Array.from({ length: count }, () => 'input')) };
  }

  private checkOutputs(outputs: unknown): void {
    const parts = isTensor(outputs) || !(Array.isArray(outputs) || isRecord(outputs)) ? [outputs] : outputs;
    const values: unknown[] = Object.values(parts as object);
    const at = values.findIndex((part) => !(part instanceof Tensor) || part.rank === 0);
    if (at < 0) return;
    const got = values[at] instanceof Tensor ? String(values[at]) : describe(values[at]);
    throw new NablaError(
      this.name,
      `call() gave no batch, got ${got}, expected a tensor with a batch dimension, or an array or record of them`,
    );
  }

  protected override inputsIn<T extends Tensor | SymbolicTensor>(x: Nested<T>): readonly T[] {
    const isOne = (value: unknown) => !Array.isArray(value) && !isRecord(value);
    const structure = structureOf(x, isOne);
    this.#inputs ??= this.inputSlots ?? this.slotsLike(structure, x);
    if (structure === 'array' && this.#inputs.names.length === 1) return x as readonly T[];
    return inOrder<T>(this.name, 'inputs', x, this.#inputs.names);
  }

  protected override callAll(xs: readonly Tensor[], context: CallContext): O {
    return this.call(nest(this.inputSlots?.structure ?? 'one', xs), context);
  }

  /** @internal What the model computes of batches of its inputs, one tensor an output. */
  outputsOf(inputs: readonly Tensor[], training: boolean): Tensor[] {
    return named(this.name, () => {
      const outputs = this.callAll(inputs, { training });
      this.checkOutputs(outputs);
      const { structure, names } = this.outputSlots!;
      if (structure === 'one') return [outputs as Tensor];
      return inOrder<Tensor>(this.name, 'outputs', outputs, names);
    });
  }

  /** The layers with the shapes of their output samples, for the summary; shapes are missing while the input's is not known. */
  shapes(): [Layer, Shape | undefined][] {
    return this.layers.map((layer) => [layer, layer.outputSeen]);
  }
}
