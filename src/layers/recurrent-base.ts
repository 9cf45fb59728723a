// The base of layers over sequences that carry a state from step to step: what is returned, initial states, stateful batches, masks.
import { describe, NablaError } from '../errors.ts';
import { isRecord, type Nested } from '../nested.ts';
import { where } from '../ops/compare.ts';
import { zeros } from '../ops/creation.ts';
import { flip, reshape } from '../ops/shape.ts';
import { type Shape, sameShape, showShape } from '../shape.ts';
import { scope, type Tensor } from '../tensor.ts';
import { untraced } from '../trace.ts';
import { Variable } from '../variable.ts';
import { type CallContext, Layer, type LayerOptions } from './layer.ts';
import { atTime, type SequenceResult, type SequenceRun } from './recurrent-steps.ts';
import type { SymbolicOf, SymbolicTensor } from './symbolic.ts';

/** Options of all layers that carry a state over a sequence. */
export interface SequenceOptions extends LayerOptions {
  /** Whether the output of every step is given, `[time, ...]`, or that of the last one only. Default false. */
  returnSequences?: boolean;
  /** Whether the states after the last step are given besides: `[output, h]`, of an LSTM `[output, h, c]`. Default false. */
  returnState?: boolean;
  /** From the last step to the first; sequences are then given in that order. Default false. */
  goBackwards?: boolean;
  /** With goBackwards: sequences are given in the order of the input all the same. Default false. */
  keepOrder?: boolean;
  /**
   * Whether sample i of a batch begins with the states that sample i of the batch before ended with, until `resetStates()`. Batches of each size have states of their
   * own. Default false.
   */
  stateful?: boolean;
  /** Whether the output of a masked step is 0, rather than that of the step before. Default false. */
  zeroOutputForMask?: boolean;
}

/** States to begin with, in the order in which `returnState` gives them. */
export interface InitialState<T> {
  /** `[batch, ...]` each. Default 0, or of a stateful layer those of the batch before. */
  readonly initialState?: T | readonly T[];
}

/** A layer that carries a state over a sequence. */
export abstract class Recurrent<
  O extends SequenceOptions = SequenceOptions,
  R extends Nested<Tensor> = Tensor,
> extends Layer<R> {
  readonly kind: string;
  override readonly supportsMasking = true;
  /** What it was made from. */
  readonly options: Readonly<O>;
  // States of a stateful layer, by the size of the batch. They stay the same variables: programs are traced over them.
  private readonly carried = new Map<number, readonly Variable<'float32'>[]>();

  constructor(kind: string, options: O) {
    super(options);
    this.kind = kind;
    this.options = options;
    for (const name of ['returnSequences', 'returnState', 'goBackwards', 'stateful'] as const) {
      const value = options[name];
      if (value === undefined || typeof value === 'boolean') continue;
      throw new NablaError(
        options.name ?? kind,
        `bad ${name}, got ${describe(value)}, expected true or false`,
      );
    }
  }

  /** A layer of the same kind and options, but for those given; with weights of its own. */
  abstract variant(options: SequenceOptions): Recurrent<SequenceOptions, Nested<Tensor>>;

  /** The shapes of one sample's states, for samples `[time, ...]`. */
  abstract stateShapes(inputShape: Shape): readonly Shape[];

  /** The shape of one sample's output at one step; throws where the input does not fit. */
  protected abstract stepShape(inputShape: Shape): number[];

  /** @internal Computes a batch of sequences. `run.states` is empty where they are 0. */
  protected abstract run(run: SequenceRun): SequenceResult;

  /**
   * Calls the layer. Initial states are given as `initialState`, or behind the sequences in an array: `apply([x, h, c])`.
   *
   * @example
   * const [, h, c] = layers.lstm({ units: 64, returnState: true }).apply(question);
   * const answer = layers.lstm({ units: 64, returnSequences: true }).apply(start, { initialState: [h, c] });
   */
  override apply(x: Nested<Tensor>, context?: Partial<CallContext> & InitialState<Tensor>): R;
  override apply(x: Nested<SymbolicTensor>, context?: InitialState<SymbolicTensor>): SymbolicOf<R>;
  override apply(
    x: Nested<Tensor> | Nested<SymbolicTensor>,
    context: Partial<CallContext> & InitialState<Tensor | SymbolicTensor> = {},
  ): R | SymbolicOf<R> {
    const { initialState, ...rest } = context;
    return super.apply(withStates(x, initialState) as Nested<Tensor>, rest);
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const step = this.stepShape(inputShape);
    return this.options.returnSequences ? [inputShape[0]!, ...step] : step;
  }

  protected override shapeOf(inputShapes: readonly Shape[]): Nested<Shape> {
    const [x, ...given] = inputShapes;
    if (x === undefined) throw new NablaError(this.name, 'expected a sequence, got none');
    const output = this.computeOutputShape(x);
    const states = this.stateShapes(x);
    const fit = given.length === states.length && given.every((shape, i) => sameShape(shape, states[i]!));
    if (given.length > 0 && !fit) {
      throw new NablaError(
        this.name,
        `the initial states do not fit, got samples of ${given.map(showShape).join(' and ')}, ` +
          `expected ${states.map(showShape).join(' and ')}`,
      );
    }
    return this.options.returnState ? [output, ...states] : output;
  }

  protected override computeMask([x]: readonly Tensor[]): Tensor | undefined {
    const { returnSequences, goBackwards, keepOrder } = this.options;
    if (x?.mask === undefined || !returnSequences) return undefined;
    return goBackwards && !keepOrder ? flip(x.mask, 1) : x.mask;
  }

  protected override call(x: Tensor, context: CallContext): R {
    return this.callAll([x], context);
  }

  protected override callAll(xs: readonly Tensor[], { training }: CallContext): R {
    const {
      returnSequences = false,
      returnState = false,
      goBackwards = false,
      keepOrder = false,
    } = this.options;
    const [x, ...given] = xs as [Tensor, ...Tensor[]];
    const mask = this.checkMask(x);
    const carried = this.options.stateful ? this.carriedStates(x) : [];
    const states = given.length > 0 ? given : carried;
    const made = this.run({ x, states, mask, backwards: goBackwards, sequences: returnSequences, training });
    carried.forEach((variable, i) => {
      variable.assign(made.states[i]!);
    });
    const { y, last } = this.withoutMasked(made, x, mask);
    const ordered = returnSequences && goBackwards && !keepOrder ? flip(y!, 1) : y;
    const output = returnSequences ? ordered! : last;
    return (returnState ? [output, ...made.states] : output) as R;
  }

  /** The mask, which must hold a number a step. */
  private checkMask(x: Tensor): Tensor | undefined {
    const { mask } = x;
    if (mask === undefined || sameShape(mask.shape, x.shape.slice(0, 2))) return mask;
    throw new NablaError(
      this.name,
      `the mask does not fit, got ${mask} for ${x}, expected bool ${showShape(x.shape.slice(0, 2))}`,
    );
  }

  /** Sets the outputs of masked steps to 0, where that is asked for. */
  private withoutMasked(made: SequenceResult, x: Tensor, mask: Tensor | undefined): SequenceResult {
    if (mask === undefined || !this.options.zeroOutputForMask) return made;
    const rank = made.last.rank;
    const widen = (m: Tensor, steps: readonly number[]) =>
      reshape(m, [m.shape[0]!, ...steps, ...new Array<number>(rank - 1).fill(1)]);
    const time = x.shape[1]!;
    const final = atTime(mask, this.options.goBackwards ? 0 : time - 1);
    return {
      ...made,
      y: made.y && where(widen(mask, [time]), made.y, 0),
      last: where(widen(final, []), made.last, 0),
    };
  }

  /** The states that a stateful layer begins a batch of this size with. */
  private carriedStates(x: Tensor): readonly Variable<'float32'>[] {
    const batch = x.shape[0]!;
    let states = this.carried.get(batch);
    if (states === undefined) {
      // They outlive the trace or the scope in which the layer happens to be called first.
      states = this.stateShapes(x.shape.slice(1)).map((shape, i) =>
        untraced(() =>
          scope(() => new Variable(zeros([batch, ...shape]), `${this.name}/state_${i}`, false)).keep(),
        ),
      );
      this.carried.set(batch, states);
    }
    return states;
  }

  /** Has a stateful layer begin its next batch with states of 0. */
  resetStates(): void {
    for (const states of this.carried.values()) {
      for (const state of states) {
        scope(() => {
          state.assign(zeros(state.shape));
        });
      }
    }
  }
}

/** What a layer is applied to, with the initial states behind it. */
export function withStates<T extends Tensor | SymbolicTensor>(
  x: Nested<T>,
  initialState: T | readonly T[] | undefined,
): Nested<T> {
  if (initialState === undefined || isRecord(x)) return x;
  return [x, initialState].flat() as readonly T[];
}
