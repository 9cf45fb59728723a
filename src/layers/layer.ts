// The base of all layers: weights, shapes, names and the checks around a call.
import { stopRecording } from '../autodiff.ts';
import { collectLoss, collectMetric } from '../collect.ts';
import { isHalf } from '../dtype.ts';
import { type DTypePolicy, resolvePolicy } from '../dtype-policies.ts';
import { describe, NablaError } from '../errors.ts';
import { isRecord, type Nested, nest, partsOf, structureOf } from '../nested.ts';
import { drawSeeded } from '../ops/random.ts';
import { SeedGenerator } from '../ops/seed-generator.ts';
import { addPenalty, getRegularizer, type Regularizer } from '../regularizers.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { computeIn, named } from '../trace.ts';
import type { Variable } from '../variable.ts';
import { checkFlags } from './flags.ts';
import { inDType, withMask } from './inputs.ts';
import { makeWeight } from './make-weight.ts';
import type { CallContext, LayerOptions, RandomOptions, WeightSpec } from './options.ts';
import { type SymbolicOf, SymbolicTensor } from './symbolic.ts';
import { shapeOfCall } from './trace-outputs.ts';

export type { CallContext, LayerOptions, RandomOptions, WeightSpec } from './options.ts';

/** `LSTMCell` as `lstmCell`, `Dense` as `dense`. */
const camelCase = (name: string) =>
  name.replace(/^(?:[A-Z]+(?=[A-Z][a-z]|$)|[A-Z])/, (capitals) => capitals.toLowerCase());
const isTensor = (value: unknown) => value instanceof Tensor;
const isShape = (value: unknown) => Array.isArray(value) && !Array.isArray(value[0]);

// What looks at the outputs of layers as they are called.
const observers: ((layer: Layer, output: Tensor) => void)[] = [];

/** @internal Runs `body` and shows `observer` the output of every layer that is called meanwhile. */
export function observeOutputs<T>(observer: (layer: Layer, output: Tensor) => void, body: () => T): T {
  observers.push(observer);
  try {
    return body();
  } finally {
    observers.pop();
  }
}

/**
 * A layer: a function of tensors with weights. Subclasses give `kind`, `call`, `build` where they have weights, and `computeOutputShape` where what they
 * take is to be checked early.
 * Shapes are those of one sample, without the batch dimension. `O` is what it gives: a tensor, or several as an array or by name.
 */
export abstract class Layer<O extends Nested<Tensor> = Tensor> {
  /** The kind of layer in camelCase, `dense`. */
  abstract readonly kind: string;
  private readonly givenShape: Shape | undefined;
  private isTrainable: boolean;
  /** Whether the output has the mask of the (first) input. Others drop it, or override {@link Layer.computeMask}. */
  readonly supportsMasking: boolean = false;
  private calledShape: Shape | undefined;
  private readonly activityRegularizer: Regularizer | undefined;
  // Hidden from the search for layers among the fields of models.
  readonly #madeFrom: LayerOptions;
  // Shapes of outputs by those of inputs, where the class does not say them.
  readonly #learnt = new Map<string, number[]>();
  #policy: DTypePolicy;
  readonly #seeded: SeedGenerator | undefined;
  private givenName: string | undefined;
  private namedByModel = false;
  private readonly ownWeights: Variable<'float32'>[] = [];
  private readonly parts: Layer[] = [];
  private builtFor: Shape | undefined;

  constructor(options: LayerOptions = {}) {
    const { inputShape } = options;
    // Classes that extend this one have their kind only after it; one in JavaScript that has none goes by its name.
    const kind = camelCase(new.target.name);
    if (!('kind' in this)) (this as { kind: string }).kind = kind;
    const { name: where = kind } = options;
    if (typeof where !== 'string' || where === '')
      throw new NablaError(kind, `bad name, got ${describe(where)}, expected a text that is not empty`);
    const good = Array.isArray(inputShape) && inputShape.every((dim) => Number.isInteger(dim) && dim >= 1);
    if (inputShape !== undefined && !good) {
      throw new NablaError(
        where,
        `bad inputShape, got ${describe(inputShape)}, expected the dimensions of one sample, integers >= 1, without the batch`,
      );
    }
    checkFlags(where, options);
    this.#madeFrom = options;
    this.#policy = resolvePolicy(where, options.dtype);
    const { seed }: RandomOptions = options;
    if (seed !== undefined) this.#seeded = new SeedGenerator(where, seed);
    this.givenName = options.name;
    this.givenShape = inputShape;
    this.isTrainable = options.trainable ?? true;
    const { activityRegularizer } = options;
    if (activityRegularizer !== undefined)
      this.activityRegularizer = getRegularizer(where, activityRegularizer);
  }

  /** The layer's name: given, or by its kind and its place in the model. */
  get name(): string {
    return this.givenName ?? this.kind;
  }

  /** What the weights are held in and what is computed in. */
  get dtypePolicy(): DTypePolicy {
    return this.#policy;
  }

  /** The dtype that the layer computes in: floating-point inputs are converted to it, and it gives it. */
  get computeDtype(): DTypePolicy['computeDtype'] {
    return this.#policy.computeDtype;
  }

  /** The dtype of the weights. */
  get variableDtype(): DTypePolicy['variableDtype'] {
    return this.#policy.variableDtype;
  }

  /** @internal Whether inputs and outputs are converted to {@link Layer.computeDtype}: models leave that to their layers. */
  protected get converts(): boolean {
    return true;
  }

  /** @internal Does it, or a layer that it is made of, compute in this dtype? */
  computesIn(dtype: DTypePolicy['computeDtype']): boolean {
    return this.computeDtype === dtype || this.parts.some((part) => part.computesIn(dtype));
  }

  /** Computes as the layer that this one is a part of, unless it was told otherwise. */
  private takePolicy(policy: DTypePolicy): void {
    if (this.#madeFrom.dtype !== undefined) return;
    this.#policy = policy;
    for (const part of this.parts) part.takePolicy(policy);
  }

  /** Shape of one input sample, where it was given. */
  get inputShape(): Shape | undefined {
    return this.givenShape;
  }

  /** Whether optimizers change the weights. Setting it sets it for the layers that this one is made of, too. */
  get trainable(): boolean {
    return this.isTrainable;
  }

  /** Sets it for the layers that this one is made of, too. */
  set trainable(value: boolean) {
    this.isTrainable = value;
    for (const part of this.parts) part.trainable = value;
  }

  /** @internal Called by the model that takes the layer in. Weights that are there already go by the new name too. */
  nameIfUnnamed(name: string): void {
    if (this.givenName === undefined) this.takeName(name);
  }

  private takeName(name: string): void {
    const former = `${this.name}/`;
    this.givenName = name;
    const inside = (text: string) => `${name}/${text.slice(former.length)}`;
    for (const weight of this.ownWeights)
      if (weight.name.startsWith(former)) weight.name = inside(weight.name);
    for (const part of this.parts) if (part.name.startsWith(former)) part.takeName(inside(part.name));
  }

  /**
   * The options that make a layer like this one, for saving: those that the constructor was given, with the layer's name and whether it is
   * trained. Override it in a class whose constructor keeps options from `super`.
   */
  getConfig(): Record<string, unknown> {
    const { name: dtype } = this.#policy;
    const said = dtype !== 'float32' || this.#madeFrom.dtype !== undefined;
    return {
      ...this.#madeFrom,
      name: this.givenName,
      trainable: this.trainable,
      ...(said ? { dtype } : {}),
    };
  }

  /** @internal Was it named by its user, and not by a model? */
  get isNamed(): boolean {
    return this.givenName !== undefined && !this.namedByModel;
  }

  /** @internal Gives a layer that its user did not name a name that is free in the model. */
  rename(name: string): void {
    this.takeName(name);
    this.namedByModel = true;
  }

  /** All weights: the layer's own in the order they were made, then those of the layers it is made of. */
  get weights(): readonly Variable<'float32'>[] {
    return [...this.ownWeights, ...this.parts.flatMap((part) => part.weights)];
  }

  /** The weights that optimizers change: none where the layer, or the part that they belong to, is frozen. */
  get trainableWeights(): readonly Variable<'float32'>[] {
    if (!this.trainable) return [];
    const own = this.ownWeights.filter((weight) => weight.trainable);
    return [...own, ...this.parts.flatMap((part) => part.trainableWeights)];
  }

  /** The shape of one sample that the layer was built for. */
  get builtShape(): Shape | undefined {
    return this.builtFor;
  }

  /** Makes the weights for samples of this shape (of the first input's, where there are several), once. */
  ensureBuilt(...inputShapes: readonly Shape[]): void {
    if (this.builtFor !== undefined) return;
    this.shapeOf(inputShapes);
    // A layer that has just learnt its shape has its weights.
    if (this.builtFor !== undefined) return;
    try {
      this.buildAll(inputShapes);
    } catch (error) {
      // What was made before the failure would be made twice by the next attempt.
      for (const weight of this.ownWeights.splice(0)) weight.dispose();
      throw error;
    }
    this.builtFor = inputShapes[0]!;
  }

  /** Makes the weights for samples of these shapes; layers of several inputs override it. */
  protected buildAll(inputShapes: readonly Shape[]): void {
    this.build(inputShapes[0]!);
  }

  /** Makes the weights. Layers without weights need none. */
  protected build(_inputShape: Shape): void {}

  /**
   * The shape of one output sample; throws where the input does not fit. Default: that of what `call` gives, learnt by a trace of it, for which the
   * weights are made.
   */
  computeOutputShape(inputShape: Shape): number[] {
    const key = inputShape.join();
    let shape = this.#learnt.get(key);
    if (shape === undefined) {
      // Making the weights asks for the shape, too, and goes on whatever it is.
      this.#learnt.set(key, [...inputShape]);
      try {
        this.ensureBuilt(inputShape);
        shape = shapeOfCall(this.name, inputShape, (xs) => this.callAll(xs, { training: false }));
      } catch (error) {
        this.#learnt.delete(key);
        throw error;
      }
      this.#learnt.set(key, shape);
    }
    return [...shape];
  }

  /** What the layer computes of a batch. */
  protected abstract call(x: Tensor, context: CallContext): O;

  /**
   * Calls the layer. On a batch it computes, building the weights first where needed, as in prediction unless the context says
   * otherwise; on a symbolic tensor it becomes a part of the model that is being described.
   */
  apply(x: Nested<Tensor>, context?: Partial<CallContext>): O;
  apply(x: Nested<SymbolicTensor>): SymbolicOf<O>;
  apply(x: Nested<Tensor | SymbolicTensor>, context: Partial<CallContext> = {}): O | SymbolicOf<O> {
    const inputs = this.inputsIn(x);
    if (inputs.length > 0 && inputs.every((input) => input instanceof SymbolicTensor)) {
      return this.describe(inputs);
    }
    const wrong = inputs.find((input) => !(input instanceof Tensor) || input.rank === 0);
    if (wrong !== undefined || inputs.length === 0) {
      throw new NablaError(
        this.name,
        `expected a tensor with a batch dimension, got ${inputs.length === 0 ? 'none' : String(wrong)}`,
      );
    }
    const tensors = inputs as readonly Tensor[];
    const shapes = tensors.map(({ shape }) => shape.slice(1));
    this.ensureBuilt(...shapes);
    this.shapeOf(shapes);
    return named(this.name, () =>
      withMask(tensors[0]!, context.mask, () => this.callMasked(tensors, context)),
    );
  }

  /** Calls the layer and hands masks on to what it gives. */
  private callMasked(given: readonly Tensor[], { training = false }: Partial<CallContext>): O {
    const inputs = this.converts ? given.map((x) => inDType(x, this.computeDtype)) : given;
    const compute = this.converts && isHalf(this.computeDtype) ? this.computeDtype : undefined;
    const made = this.withSeed(() => computeIn(compute, () => this.callAll(inputs, { training })));
    const output = compute === undefined ? made : this.converted(made);
    const outputs = partsOf<Tensor>(output, isTensor);
    // No gradient passes through a mask.
    const masks = stopRecording(() => this.computeMask(inputs));
    [masks].flat().forEach((mask, i) => {
      if (mask !== undefined && outputs[i] !== undefined) outputs[i].mask ??= mask;
    });
    this.calledShape ??= outputs[0]?.shape.slice(1);
    if (this.activityRegularizer !== undefined)
      for (const each of outputs) addPenalty(this.name, this.activityRegularizer, each);
    for (const each of outputs) observers.at(-1)?.(this as unknown as Layer, each);
    return output;
  }

  /** @internal Runs `body`; what it draws follows from the layer's seed, where it has one. */
  withSeed<T>(body: () => T): T {
    return this.#seeded === undefined ? body() : drawSeeded(this.#seeded, body);
  }

  /** @internal The generators of the layer and its parts that have seeds of their own. */
  get seedGenerators(): readonly SeedGenerator[] {
    const parts = this.parts.flatMap((part) => part.seedGenerators);
    return this.#seeded === undefined ? parts : [this.#seeded, ...parts];
  }

  /** What was made in float32 on the way, in the dtype that the layer gives. */
  private converted(made: O): O {
    const parts = partsOf<Tensor>(made, isTensor).map((x) => inDType(x, this.computeDtype));
    return nest(structureOf(made, isTensor), parts) as O;
  }

  /** The mask of the output, or of each where there are several. Masks of inputs are their `mask`. */
  protected computeMask(inputs: readonly Tensor[]): Tensor | undefined | readonly (Tensor | undefined)[] {
    return this.supportsMasking ? inputs[0]!.mask : undefined;
  }

  /** Becomes a part of a model that is being described. */
  private describe(inputs: readonly SymbolicTensor[]): SymbolicOf<O> {
    const shapes = this.shapeOf(inputs.map(({ shape }) => shape));
    const outputs: SymbolicTensor[] = [];
    // Who asks a model for its layers gets them as layers of one output, which nearly all are.
    const call = { layer: this as unknown as Layer, inputs, outputs };
    for (const shape of partsOf<Shape>(shapes, isShape)) outputs.push(new SymbolicTensor(shape, call));
    return nest(structureOf(shapes, isShape), outputs) as SymbolicOf<O>;
  }

  /** What it is applied to, in the order of its inputs; layers that know their inputs by name override it. */
  protected inputsIn<T extends Tensor | SymbolicTensor>(x: Nested<T>): readonly T[] {
    if (!isRecord(x)) return Array.isArray(x) ? x : [x as T];
    throw new NablaError(
      this.name,
      `expected a tensor or an array of them, got them by name: ${Object.keys(x).join(', ')}`,
    );
  }

  /** @internal The shape of one output sample, of the first time that it was called. */
  get outputSeen(): Shape | undefined {
    return this.calledShape;
  }

  /** The shape of one output sample for samples of these shapes; layers of several inputs or outputs override it. */
  protected shapeOf(inputShapes: readonly Shape[]): Nested<Shape> {
    const [only, ...more] = inputShapes;
    if (only === undefined || more.length > 0) {
      throw new NablaError(
        this.name,
        `expected one input, got ${inputShapes.length}; join them with layers.concatenate()`,
      );
    }
    return this.computeOutputShape(only);
  }

  /** What the layer computes of a batch of each input; layers of several inputs override it. */
  protected callAll(xs: readonly Tensor[], context: CallContext): O {
    return this.call(xs[0]!, context);
  }

  /** Takes in a layer that this one is made of, under `name`; its weights count as this one's. */
  protected addPart<L extends Layer<Nested<Tensor>>>(name: string, part: L): L {
    part.nameIfUnnamed(`${this.name}/${name}`);
    // What is asked of parts is the same for layers of one output and of several.
    this.parts.push(part as unknown as Layer);
    (part as unknown as Layer).takePolicy(this.#policy);
    return part;
  }

  /** A weight with its first values. */
  protected addWeight(spec: WeightSpec): Variable<'float32'> {
    const variable = makeWeight(this.name, spec);
    this.ownWeights.push(variable);
    return variable;
  }

  /**
   * Adds a float32 scalar to the loss, from within `call`: while training and evaluating it is a term of the sum that is minimised and reported
   * as the loss, in prediction it is nothing.
   *
   * @example this.addLoss(mean(square(x)).mul(0.1))
   */
  addLoss(loss: Tensor): void {
    collectLoss(this.name, loss);
  }

  /**
   * Reports a number under `name` beside the loss, from within `call`: a float32 scalar, or one number a sample, `[batch]`. Logs hold the mean
   * over the samples of an epoch.
   *
   * @example this.addMetric(mean(abs(x)), 'activity')
   */
  addMetric(value: Tensor, name: string): void {
    collectMetric(this.name, value, name);
  }

  /** Number of weights' elements. */
  countParams(): number {
    return this.weights.reduce((total, weight) => total + weight.size, 0);
  }
}
