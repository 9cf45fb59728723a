// Bidirectional: two recurrent layers over one sequence, from either end.
import { describe, NablaError } from '../errors.ts';
import type { Nested } from '../nested.ts';
import { add, mul } from '../ops/arithmetic.ts';
import { where } from '../ops/compare.ts';
import { concat, expandDims, flip } from '../ops/shape.ts';
import { type Shape, sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type CallContext, Layer, type LayerOptions } from './layer.ts';
import { type InitialState, Recurrent, type SequenceOptions, withStates } from './recurrent-base.ts';
import type { SymbolicOf, SymbolicTensor } from './symbolic.ts';

const merges = {
  concat: (a: Tensor, b: Tensor) => concat([a, b], -1),
  sum: (a: Tensor, b: Tensor) => add(a, b),
  mul: (a: Tensor, b: Tensor) => mul(a, b),
  ave: (a: Tensor, b: Tensor) => mul(add(a, b), 0.5),
};

/** A recurrent layer of any kind. */
export type AnyRecurrent = Recurrent<SequenceOptions, Nested<Tensor>>;

/** Options of {@link bidirectional}. */
export interface BidirectionalOptions extends LayerOptions {
  /** A recurrent layer that goes forwards. */
  layer: AnyRecurrent;
  /** The one that goes backwards, with `goBackwards: true`. Default: one like `layer`, with weights of its own. */
  backwardLayer?: AnyRecurrent;
  /** How the outputs of both are joined; null gives both, an array. Default `'concat'`, along the last dimension. */
  mergeMode?: keyof typeof merges | null;
}

/**
 * Two recurrent layers over one sequence, from either end (Schuster and Paliwal 1997). Sequences are given in the order of the input. With `returnState` on the layer it
 * gives an array, `[output, ...forward states, ...backward states]`; masked steps of a sequence give 0, as in Keras.
 */
export class Bidirectional<R extends Nested<Tensor> = Tensor> extends Layer<R> {
  readonly kind = 'bidirectional';
  override readonly supportsMasking = true;
  private readonly forward: AnyRecurrent;
  private readonly backward: AnyRecurrent;
  private readonly merge: keyof typeof merges | null;

  constructor(options: BidirectionalOptions) {
    super(options);
    const { layer, backwardLayer, mergeMode = 'concat' } = options;
    const where = options.name ?? 'bidirectional';
    for (const given of backwardLayer === undefined ? [layer] : [layer, backwardLayer]) {
      if (given instanceof Recurrent) continue;
      throw new NablaError(where, `expected a recurrent layer, got ${describe(given)}; use layers.lstm()`);
    }
    if (mergeMode !== null && !Object.hasOwn(merges, mergeMode)) {
      throw new NablaError(
        where,
        `bad mergeMode, got ${describe(mergeMode)}, expected one of ${Object.keys(merges).join(', ')}, or null`,
      );
    }
    this.forward = layer;
    this.merge = mergeMode;
    const goBackwards = !(layer.options.goBackwards ?? false);
    this.backward =
      backwardLayer ??
      layer.variant({ name: undefined, inputShape: undefined, goBackwards, keepOrder: false });
    this.checkPair(where);
  }

  private checkPair(where: string): void {
    const [a, b] = [this.forward.options, this.backward.options];
    if ((a.goBackwards ?? false) === (b.goBackwards ?? false)) {
      throw new NablaError(
        where,
        `both layers go the same way, got goBackwards ${a.goBackwards ?? false} twice, expected one of each`,
      );
    }
    for (const name of ['returnSequences', 'returnState', 'stateful'] as const) {
      if ((a[name] ?? false) === (b[name] ?? false)) continue;
      throw new NablaError(
        where,
        `the layers differ in ${name}, got ${a[name] ?? false} and ${b[name] ?? false}, expected the same`,
      );
    }
  }

  /** The layer that goes forwards, and the one that goes backwards. */
  get pair(): readonly [AnyRecurrent, AnyRecurrent] {
    return [this.forward, this.backward];
  }

  protected override build(inputShape: Shape): void {
    this.addPart('forward', this.forward).ensureBuilt(inputShape);
    this.addPart('backward', this.backward).ensureBuilt(inputShape);
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const shape = this.forward.computeOutputShape(inputShape);
    const other = this.backward.computeOutputShape(inputShape);
    if (this.merge === 'concat') return [...shape.slice(0, -1), shape.at(-1)! + other.at(-1)!];
    if (this.merge === null || sameShape(shape, other)) return shape;
    throw new NablaError(
      this.name,
      `the outputs do not fit, got ${showShape(shape)} and ${showShape(other)}; use mergeMode 'concat'`,
    );
  }

  protected override shapeOf(inputShapes: readonly Shape[]): Nested<Shape> {
    const [x, ...given] = inputShapes;
    if (x === undefined) throw new NablaError(this.name, 'expected a sequence, got none');
    const output = this.computeOutputShape(x);
    const states = this.pair.flatMap((layer) => layer.stateShapes(x));
    const fit = given.length === states.length && given.every((shape, i) => sameShape(shape, states[i]!));
    if (given.length > 0 && !fit) {
      throw new NablaError(
        this.name,
        `the initial states do not fit, got samples of ${given.map(showShape).join(' and ')}, ` +
          `expected ${states.map(showShape).join(' and ')}, those of the forward layer first`,
      );
    }
    const outputs = this.merge === null ? [output, this.backward.computeOutputShape(x)] : [output];
    if (this.forward.options.returnState) return [...outputs, ...states];
    return this.merge === null ? outputs : output;
  }

  /** As a recurrent layer's, with the initial states of the forward layer before those of the backward layer. */
  override apply(x: Nested<Tensor>, context?: Partial<CallContext> & InitialState<Tensor>): R;
  override apply(x: Nested<SymbolicTensor>, context?: InitialState<SymbolicTensor>): SymbolicOf<R>;
  override apply(
    x: Nested<Tensor> | Nested<SymbolicTensor>,
    context: Partial<CallContext> & InitialState<Tensor | SymbolicTensor> = {},
  ): R | SymbolicOf<R> {
    const { initialState, ...rest } = context;
    return super.apply(withStates(x, initialState) as Nested<Tensor>, rest);
  }

  protected override computeMask([x]: readonly Tensor[]): Tensor | undefined | (Tensor | undefined)[] {
    if (x?.mask === undefined || !this.forward.options.returnSequences) return undefined;
    const mask = this.maskInOrder(x.mask);
    return this.merge === null ? [mask, mask] : mask;
  }

  /** The mask in the order of the output: that of the forward layer. */
  private maskInOrder(mask: Tensor): Tensor {
    const { goBackwards, keepOrder } = this.forward.options;
    return goBackwards && !keepOrder ? flip(mask, 1) : mask;
  }

  protected override call(x: Tensor, context: CallContext): R {
    return this.callAll([x], context);
  }

  protected override callAll(xs: readonly Tensor[], context: CallContext): R {
    const [x, ...states] = xs as [Tensor, ...Tensor[]];
    const ofForward = this.forward.stateShapes(x.shape.slice(1)).length;
    const [a, ...forwardStates] = outputsOf(this.forward, x, states.slice(0, ofForward), context);
    const [b, ...backwardStates] = outputsOf(this.backward, x, states.slice(ofForward), context);
    const { returnSequences, returnState } = this.forward.options;
    // Each gives its sequence in the order of its steps, one of them the other way round.
    const aligned = returnSequences && !this.backward.options.keepOrder ? flip(b!, 1) : b!;
    const joined = this.merge === null ? [a!, aligned] : [merges[this.merge](a!, aligned)];
    const outputs = joined.map((output) => {
      if (!returnSequences || x.mask === undefined) return output;
      let counts = this.maskInOrder(x.mask);
      while (counts.rank < output.rank) counts = expandDims(counts, -1);
      return where(counts, output, 0);
    });
    if (returnState) return [...outputs, ...forwardStates, ...backwardStates] as Nested<Tensor> as R;
    return (this.merge === null ? outputs : outputs[0]!) as R;
  }

  /** Has stateful layers begin their next batch with states of 0. */
  resetStates(): void {
    for (const layer of this.pair) layer.resetStates();
  }
}

/** What a layer gives, one or several, as an array. */
function outputsOf(
  layer: AnyRecurrent,
  x: Tensor,
  initialState: readonly Tensor[],
  context: CallContext,
): Tensor[] {
  return [layer.apply([x, ...initialState], context)].flat() as Tensor[];
}

/**
 * Runs a recurrent layer and one like it from the other end, and joins what they give.
 *
 * @example
 * layers.bidirectional({ layer: layers.lstm({ units: 32 }) });
 * layers.bidirectional({ layer: layers.gru({ units: 32, returnSequences: true }), mergeMode: 'sum' });
 */
export function bidirectional(
  options: BidirectionalOptions & ({ mergeMode: null } | { layer: Recurrent<SequenceOptions, Tensor[]> }),
): Bidirectional<Tensor[]>;
export function bidirectional(options: BidirectionalOptions): Bidirectional;
export function bidirectional(options: BidirectionalOptions): Bidirectional<Nested<Tensor>> {
  return new Bidirectional(options);
}
