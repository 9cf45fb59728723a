// What the units of recurrent layers and cells are: their options, their weights, and what they compute, as a kernel and step by step.
import { type ActivationLike, activationName, getActivation } from '../activations.ts';
import type { ConstraintLike } from '../constraints.ts';
import { describe, NablaError } from '../errors.ts';
import { getInitializer, type InitializerLike } from '../initializers/initializers.ts';
import { fill } from '../ops/creation.ts';
import { type RnnKind, rnnGates } from '../ops/rnn.ts';
import { concat } from '../ops/shape.ts';
import type { RegularizerLike } from '../regularizers.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import type { RandomOptions, WeightSpec } from './layer.ts';
import type { StepMath } from './recurrent-steps.ts';

/** Options of simple recurrent units, and of all others. */
export interface UnitOptions extends RandomOptions {
  /** Numbers in the state. */
  units: number;
  /** Default `'tanh'`. Others than the defaults are computed step by step, which is slower. Simple units are as fast with `'relu'`. */
  activation?: ActivationLike;
  /** Default true. */
  useBias?: boolean;
  /** Of the weights of the inputs. Default `'glorotUniform'`. */
  kernelInitializer?: InitializerLike;
  /** Of the weights of the state. Default `'orthogonal'`. */
  recurrentInitializer?: InitializerLike;
  /** Default `'zeros'`. */
  biasInitializer?: InitializerLike;
  /** What the weights of the inputs add to the loss. Default: nothing. */
  kernelRegularizer?: RegularizerLike;
  /** What the weights of the state add to the loss. Default: nothing. */
  recurrentRegularizer?: RegularizerLike;
  /** What the bias adds to the loss. Default: nothing. */
  biasRegularizer?: RegularizerLike;
  /** What the weights of the inputs are brought back to after each step. Default: they are free. */
  kernelConstraint?: ConstraintLike;
  /** The same of the weights of the state. */
  recurrentConstraint?: ConstraintLike;
  /** The same of the bias. */
  biasConstraint?: ConstraintLike;
  /** Share of the inputs that is dropped while fitting, the same at every step of a sample. Default 0. */
  dropout?: number;
  /** Share of the state that is dropped while fitting, the same at every step; computed step by step, which is slower. Default 0. */
  recurrentDropout?: number;
}

/** Options of LSTM units. */
export interface LstmUnitOptions extends UnitOptions {
  /** Of the gates. Default `'sigmoid'`. */
  recurrentActivation?: ActivationLike;
  /** Whether the forget gate's bias begins at 1 (Jozefowicz et al. 2015). Default true. */
  unitForgetBias?: boolean;
}

/** Options of GRU units. */
export interface GruUnitOptions extends UnitOptions {
  /** Of the gates. Default `'sigmoid'`. */
  recurrentActivation?: ActivationLike;
  /** Whether the reset gate acts after the product with the recurrent matrix. Default true; false is computed step by step, which is slower. */
  resetAfter?: boolean;
}

/** A kind of unit with its options. */
export interface Unit {
  /** Sums that each unit takes in at a step. */
  readonly gates: number;
  /** Tensors that make up the state: 2 for an LSTM, whose second one is the cells. */
  readonly states: 1 | 2;
  readonly biasShape: Shape;
  readonly biasInitializer: InitializerLike;
  /** The kernel's kind, where it computes what the options ask for. */
  readonly fused: RnnKind | undefined;
  /** The same, step by step. */
  readonly math: StepMath;
}

/** Weights of recurrent units. */
export interface GateWeights {
  /** `[features, gates * units]`. */
  readonly kernel: Variable<'float32'>;
  /** `[units, gates * units]`. */
  readonly recurrent: Variable<'float32'>;
  readonly bias: Variable<'float32'> | undefined;
}

const isNamed = (like: ActivationLike | undefined, name: string) =>
  like === undefined || String(activationName(like)).toLowerCase() === name;

/** Throws where options that all units have are wrong. */
export function checkUnits(where: string, options: UnitOptions): void {
  const { units, activation = 'tanh' } = options;
  if (!Number.isInteger(units) || units < 1) {
    throw new NablaError(where, `bad units, got ${describe(units)}, expected an integer >= 1`);
  }
  checkRates(where, options);
  getActivation(where, activation);
}

/** Throws unless both rates of dropout are shares below 1. */
export function checkRates(where: string, options: { dropout?: number; recurrentDropout?: number }): void {
  for (const name of ['dropout', 'recurrentDropout'] as const) {
    const rate = options[name] ?? 0;
    if (typeof rate === 'number' && rate >= 0 && rate < 1) continue;
    throw new NablaError(where, `bad ${name}, got ${describe(rate)}, expected a number in [0, 1)`);
  }
}

/** The next state is an activation of inputs and state (Elman 1990). */
export function simpleUnit(where: string, options: UnitOptions): Unit {
  const { units, activation = 'tanh', biasInitializer = 'zeros' } = options;
  const relu = isNamed(activation, 'relu') ? 'simpleRelu' : undefined;
  return {
    gates: rnnGates.simpleTanh,
    states: 1,
    biasShape: [units],
    biasInitializer,
    fused: isNamed(activation, 'tanh') ? 'simpleTanh' : relu,
    math: { kind: 'simple', activation: getActivation(where, activation) },
  };
}

/** Long short-term memory (Hochreiter and Schmidhuber 1997). */
export function lstmUnit(where: string, options: LstmUnitOptions): Unit {
  const { units, activation = 'tanh', recurrentActivation = 'sigmoid', unitForgetBias = true } = options;
  const { biasInitializer = 'zeros' } = options;
  const others = getInitializer(where, biasInitializer);
  const forgetful = () =>
    concat([others([units]), fill([units], 1), others([2 * units])]) as Tensor<'float32'>;
  const plain = isNamed(activation, 'tanh') && isNamed(recurrentActivation, 'sigmoid');
  return {
    gates: rnnGates.lstm,
    states: 2,
    biasShape: [rnnGates.lstm * units],
    biasInitializer: unitForgetBias ? forgetful : biasInitializer,
    fused: plain ? 'lstm' : undefined,
    math: {
      kind: 'lstm',
      activation: getActivation(where, activation),
      gate: getActivation(where, recurrentActivation),
    },
  };
}

/** Gated recurrent units (Cho et al. 2014). */
export function gruUnit(where: string, options: GruUnitOptions): Unit {
  const { units, activation = 'tanh', recurrentActivation = 'sigmoid', resetAfter = true } = options;
  const { biasInitializer = 'zeros' } = options;
  const sums = rnnGates.gru * units;
  const plain = isNamed(activation, 'tanh') && isNamed(recurrentActivation, 'sigmoid');
  return {
    gates: rnnGates.gru,
    states: 1,
    biasShape: resetAfter ? [2, sums] : [sums],
    biasInitializer,
    fused: plain && resetAfter ? 'gru' : undefined,
    math: {
      kind: resetAfter ? 'gru' : 'gruResetBefore',
      activation: getActivation(where, activation),
      gate: getActivation(where, recurrentActivation),
    },
  };
}

/** Makes the weights of units that take in `features` numbers a step. */
export function gateWeights(
  addWeight: (spec: WeightSpec) => Variable<'float32'>,
  unit: Unit,
  options: UnitOptions,
  features: number,
): GateWeights {
  const { units, useBias = true } = options;
  const { kernelInitializer = 'glorotUniform', recurrentInitializer = 'orthogonal' } = options;
  const sums = unit.gates * units;
  const kernel = addWeight({
    name: 'kernel',
    shape: [features, sums],
    initializer: kernelInitializer,
    regularizer: options.kernelRegularizer,
    constraint: options.kernelConstraint,
  });
  const recurrent = addWeight({
    name: 'recurrentKernel',
    shape: [units, sums],
    initializer: recurrentInitializer,
    regularizer: options.recurrentRegularizer,
    constraint: options.recurrentConstraint,
  });
  if (!useBias) return { kernel, recurrent, bias: undefined };
  const bias = addWeight({
    name: 'bias',
    shape: unit.biasShape,
    initializer: unit.biasInitializer,
    regularizer: options.biasRegularizer,
    constraint: options.biasConstraint,
  });
  return { kernel, recurrent, bias };
}
