// Recurrent layers: SimpleRNN, LSTM and GRU over `[time, features]`, whole sequences in one kernel.
import { NablaError } from '../errors.ts';
import type { Nested } from '../nested.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { Recurrent, type SequenceOptions } from './recurrent-base.ts';
import { runUnits, type SequenceResult, type SequenceRun } from './recurrent-steps.ts';
import {
  checkUnits,
  type GateWeights,
  type GruUnitOptions,
  gateWeights,
  gruUnit,
  type LstmUnitOptions,
  lstmUnit,
  simpleUnit,
  type Unit,
  type UnitOptions,
} from './recurrent-units.ts';

/** Options of {@link simpleRNN}. */
export interface SimpleRNNOptions extends UnitOptions, SequenceOptions {}
/** Options of {@link lstm}. */
export interface LSTMOptions extends LstmUnitOptions, SequenceOptions {}
/** Options of {@link gru}. */
export interface GRUOptions extends GruUnitOptions, SequenceOptions {}

/** What the layers of the kernel's units share. */
abstract class OfUnits<O extends SimpleRNNOptions, R extends Nested<Tensor>> extends Recurrent<O, R> {
  private readonly unit: Unit;
  private gates!: GateWeights;

  constructor(kind: string, options: O, unitOf: (where: string, options: O) => Unit) {
    super(kind, options);
    checkUnits(this.name, options);
    this.unit = unitOf(this.name, options);
  }

  override stateShapes(): readonly Shape[] {
    return Array.from({ length: this.unit.states }, () => [this.options.units]);
  }

  protected override stepShape(inputShape: Shape): number[] {
    const features = this.builtShape?.[1];
    if (inputShape.length !== 2 || (features !== undefined && inputShape[1] !== features)) {
      throw new NablaError(
        this.name,
        `expected sequences [time, ${features ?? 'features'}], got samples of shape ${showShape(inputShape)}; ` +
          'reshape() them, or set returnSequences on the recurrent layer before this one',
      );
    }
    return [this.options.units];
  }

  protected override build(inputShape: Shape): void {
    this.gates = gateWeights((spec) => this.addWeight(spec), this.unit, this.options, inputShape[1]!);
  }

  protected override run(run: SequenceRun): SequenceResult {
    return runUnits(run, this.unit, this.gates, this.options);
  }
}

/** The next state is an activation of inputs and state (Elman 1990). */
export class SimpleRNN<R extends Nested<Tensor> = Tensor> extends OfUnits<SimpleRNNOptions, R> {
  constructor(options: SimpleRNNOptions) {
    super('simpleRNN', options, simpleUnit);
  }

  override variant(options: SequenceOptions): SimpleRNN<Nested<Tensor>> {
    return new SimpleRNN({ ...this.options, ...options });
  }
}

/** Long short-term memory (Hochreiter and Schmidhuber 1997). */
export class LSTM<R extends Nested<Tensor> = Tensor> extends OfUnits<LSTMOptions, R> {
  constructor(options: LSTMOptions) {
    super('lstm', options, lstmUnit);
  }

  override variant(options: SequenceOptions): LSTM<Nested<Tensor>> {
    return new LSTM({ ...this.options, ...options });
  }
}

/** Gated recurrent units (Cho et al. 2014). */
export class GRU<R extends Nested<Tensor> = Tensor> extends OfUnits<GRUOptions, R> {
  constructor(options: GRUOptions) {
    super('gru', options, gruUnit);
  }

  override variant(options: SequenceOptions): GRU<Nested<Tensor>> {
    return new GRU({ ...this.options, ...options });
  }
}

/** What a recurrent layer gives: `R`, its output and its states, where it is told to by a literal `returnState: true`, else its output. */
export type SequenceOutput<S extends boolean, R extends Nested<Tensor> = Tensor[]> = [S] extends [true]
  ? R
  : Tensor;

/**
 * A simple recurrent layer: `[time, features]` gives the state after the last step, or after all of them. With `returnState` it gives
 * `[output, h]`. Weights: kernel `[features, units]`, recurrentKernel `[units, units]`, bias `[units]`.
 *
 * @example layers.simpleRNN({ units: 32, inputShape: [10, 8] })
 */
export function simpleRNN<S extends boolean = false>(
  options: SimpleRNNOptions & { returnState?: S },
): SimpleRNN<SequenceOutput<S, [output: Tensor, h: Tensor]>> {
  return new SimpleRNN(options);
}

/**
 * An LSTM layer: `[time, features]` gives the state after the last step, or after all of them. With `returnState` it gives `[output, h, c]`. Weights: kernel
 * `[features, 4 * units]`, recurrentKernel `[units, 4 * units]`, bias `[4 * units]`, for the gates input, forget, cell and output.
 *
 * @example
 * layers.lstm({ units: 128, returnSequences: true, inputShape: [100, 64] });
 * const [, h, c] = layers.lstm({ units: 128, returnState: true }).apply(question);
 * layers.lstm({ units: 128, returnSequences: true }).apply(answer, { initialState: [h, c] });
 */
export function lstm<S extends boolean = false>(
  options: LSTMOptions & { returnState?: S },
): LSTM<SequenceOutput<S, [output: Tensor, h: Tensor, c: Tensor]>> {
  return new LSTM(options);
}

/**
 * A GRU layer: `[time, features]` gives the state after the last step, or after all of them. With `returnState` it gives `[output, h]`. Weights: kernel
 * `[features, 3 * units]`, recurrentKernel `[units, 3 * units]`, bias `[2, 3 * units]`, for the gates update, reset and candidate.
 *
 * @example layers.gru({ units: 64, inputShape: [24, 1] })
 */
export function gru<S extends boolean = false>(
  options: GRUOptions & { returnState?: S },
): GRU<SequenceOutput<S, [output: Tensor, h: Tensor]>> {
  return new GRU(options);
}
