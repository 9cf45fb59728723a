// Recurrent layers: SimpleRNN, LSTM and GRU over `[time, features]`, whole sequences in one kernel.
import { type ActivationLike, activationName, getActivation } from '../activations.ts';
import { describe, NablaError } from '../errors.ts';
import { getInitializer, type InitializerLike } from '../initializers/initializers.ts';
import { mul } from '../ops/arithmetic.ts';
import { cast } from '../ops/compare.ts';
import { fill, ones } from '../ops/creation.ts';
import { matMul } from '../ops/linalg.ts';
import { dropout } from '../ops/nn.ts';
import { type RnnKind, rnn, rnnGates } from '../ops/rnn.ts';
import { concat, flip } from '../ops/shape.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { type CallContext, Layer, type LayerOptions } from './layer.ts';
import { type CellSteps, runSteps } from './recurrent-steps.ts';

/** Options of {@link simpleRNN}, and of all recurrent layers. */
export interface SimpleRNNOptions extends LayerOptions {
  /** Numbers in the state. */
  units: number;
  /** Default `'tanh'`. Others than the defaults are computed step by step, which is slower. SimpleRNN is as fast with `'relu'`. */
  activation?: ActivationLike;
  /** Default true. */
  useBias?: boolean;
  /** Of the weights of the inputs. Default `'glorotUniform'`. */
  kernelInitializer?: InitializerLike;
  /** Of the weights of the state. Default `'orthogonal'`. */
  recurrentInitializer?: InitializerLike;
  /** Default `'zeros'`. */
  biasInitializer?: InitializerLike;
  /** Whether the state after every step is given, `[time, units]`, or after the last one only, `[units]`. Default false. */
  returnSequences?: boolean;
  /** From the last step to the first; sequences are then given in that order. Default false. */
  goBackwards?: boolean;
  /** With goBackwards: sequences are given in the order of the input all the same. Default false. */
  keepOrder?: boolean;
  /** Share of the inputs that is dropped while fitting, the same at every step of a sample. Default 0. */
  dropout?: number;
  /** Share of the state that is dropped while fitting, the same at every step; computed step by step, which is slower. Default 0. */
  recurrentDropout?: number;
}

/** Options of {@link lstm}. */
export interface LSTMOptions extends SimpleRNNOptions {
  /** Of the gates. Default `'sigmoid'`. */
  recurrentActivation?: ActivationLike;
  /** Whether the forget gate's bias begins at 1 (Jozefowicz et al. 2015). Default true. */
  unitForgetBias?: boolean;
}

/** Options of {@link gru}. */
export interface GRUOptions extends SimpleRNNOptions {
  /** Of the gates. Default `'sigmoid'`. */
  recurrentActivation?: ActivationLike;
  /** Whether the reset gate acts after the product with the recurrent matrix. Default true; false is computed step by step, which is slower. */
  resetAfter?: boolean;
}

/** What the recurrent layers share. */
export abstract class Recurrent<O extends SimpleRNNOptions = SimpleRNNOptions> extends Layer {
  readonly options: Readonly<O>;
  protected kernel!: Variable<'float32'>;
  protected recurrent!: Variable<'float32'>;
  protected bias: Variable<'float32'> | undefined;

  constructor(options: O) {
    super(options);
    this.options = options;
    const { units } = options;
    if (!Number.isInteger(units) || units < 1) {
      throw new NablaError(this.name, `bad units, got ${describe(units)}, expected an integer >= 1`);
    }
    for (const name of ['dropout', 'recurrentDropout'] as const) {
      const rate = options[name] ?? 0;
      if (!(rate >= 0 && rate < 1)) {
        throw new NablaError(this.name, `bad ${name}, got ${describe(rate)}, expected a number in [0, 1)`);
      }
    }
    getActivation(this.name, options.activation ?? 'tanh');
  }

  /** A layer of the same kind and options, but for those given; with weights of its own. */
  abstract variant(options: Partial<SimpleRNNOptions>): Recurrent;

  /** Sums that each unit takes in at a step. */
  protected abstract readonly gates: number;

  /** The kernel's kind, where it computes what this layer's options ask for. */
  protected abstract fusedKind(): RnnKind | undefined;

  /** The same, step by step. */
  protected abstract steps(): CellSteps;

  protected biasShape(): Shape {
    return [this.gates * this.options.units];
  }

  protected biasInitializer(): InitializerLike {
    return this.options.biasInitializer ?? 'zeros';
  }

  protected override build(inputShape: Shape): void {
    const {
      units,
      useBias = true,
      kernelInitializer = 'glorotUniform',
      recurrentInitializer = 'orthogonal',
    } = this.options;
    const sums = this.gates * units;
    this.kernel = this.addWeight({
      name: 'kernel',
      shape: [inputShape[1]!, sums],
      initializer: kernelInitializer,
    });
    this.recurrent = this.addWeight({
      name: 'recurrentKernel',
      shape: [units, sums],
      initializer: recurrentInitializer,
    });
    if (useBias) {
      this.bias = this.addWeight({
        name: 'bias',
        shape: this.biasShape(),
        initializer: this.biasInitializer(),
      });
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const { units, returnSequences = false } = this.options;
    const features = this.builtShape?.[1];
    if (inputShape.length !== 2 || (features !== undefined && inputShape[1] !== features)) {
      throw new NablaError(
        this.name,
        `expected sequences [time, ${features ?? 'features'}], got samples of shape ${showShape(inputShape)}; ` +
          'reshape() them, or set returnSequences on the recurrent layer before this one',
      );
    }
    return returnSequences ? [inputShape[0]!, units] : [units];
  }

  protected override call(x: Tensor, { training }: CallContext): Tensor {
    const { returnSequences = false, goBackwards = false, keepOrder = false } = this.options;
    const recurrentRate = training ? (this.options.recurrentDropout ?? 0) : 0;
    let input = cast(x, 'float32') as Tensor;
    const rate = this.options.dropout ?? 0;
    if (training && rate > 0) {
      const [batch, , features] = input.shape as [number, number, number];
      input = mul(input, dropout(ones([batch, 1, features]), rate));
    }
    const sums = matMul(input, this.kernel);
    const kind = recurrentRate > 0 ? undefined : this.fusedKind();
    const { recurrent, bias } = this;
    const { y, h } =
      kind === undefined
        ? runSteps(sums, recurrent, bias, this.steps(), goBackwards, recurrentRate)
        : rnn(sums, recurrent, { kind, bias, backwards: goBackwards, sequences: returnSequences });
    if (!returnSequences) return h;
    return goBackwards && !keepOrder ? flip(y!, 1) : y!;
  }
}

const isNamed = (like: ActivationLike | undefined, name: string) =>
  like === undefined || activationName(like).toLowerCase() === name;

/** The next state is an activation of inputs and state (Elman 1990). */
export class SimpleRNN extends Recurrent {
  readonly kind = 'simpleRNN';
  protected readonly gates = rnnGates.simpleTanh;

  override variant(options: Partial<SimpleRNNOptions>): SimpleRNN {
    return new SimpleRNN({ ...this.options, ...options });
  }

  protected override fusedKind(): RnnKind | undefined {
    const { activation } = this.options;
    if (isNamed(activation, 'tanh')) return 'simpleTanh';
    return isNamed(activation, 'relu') ? 'simpleRelu' : undefined;
  }

  protected override steps(): CellSteps {
    return { kind: 'simple', activation: getActivation(this.name, this.options.activation ?? 'tanh') };
  }
}

/** Long short-term memory (Hochreiter and Schmidhuber 1997). */
export class LSTM extends Recurrent<LSTMOptions> {
  readonly kind = 'lstm';
  protected readonly gates = rnnGates.lstm;

  constructor(options: LSTMOptions) {
    super(options);
    getActivation(this.name, options.recurrentActivation ?? 'sigmoid');
  }

  override variant(options: Partial<LSTMOptions>): LSTM {
    return new LSTM({ ...this.options, ...options });
  }

  protected override biasInitializer(): InitializerLike {
    const others = getInitializer(this.name, super.biasInitializer());
    if (this.options.unitForgetBias === false) return others;
    const { units } = this.options;
    return () => concat([others([units]), fill([units], 1), others([2 * units])]) as Tensor<'float32'>;
  }

  protected override fusedKind(): RnnKind | undefined {
    const { activation, recurrentActivation } = this.options;
    return isNamed(activation, 'tanh') && isNamed(recurrentActivation, 'sigmoid') ? 'lstm' : undefined;
  }

  protected override steps(): CellSteps {
    const { activation = 'tanh', recurrentActivation = 'sigmoid' } = this.options;
    return {
      kind: 'lstm',
      activation: getActivation(this.name, activation),
      gate: getActivation(this.name, recurrentActivation),
    };
  }
}

/** Gated recurrent units (Cho et al. 2014). */
export class GRU extends Recurrent<GRUOptions> {
  readonly kind = 'gru';
  protected readonly gates = rnnGates.gru;

  constructor(options: GRUOptions) {
    super(options);
    getActivation(this.name, options.recurrentActivation ?? 'sigmoid');
  }

  override variant(options: Partial<GRUOptions>): GRU {
    return new GRU({ ...this.options, ...options });
  }

  protected override biasShape(): Shape {
    const sums = 3 * this.options.units;
    return this.options.resetAfter === false ? [sums] : [2, sums];
  }

  protected override fusedKind(): RnnKind | undefined {
    const { activation, recurrentActivation, resetAfter = true } = this.options;
    const plain = isNamed(activation, 'tanh') && isNamed(recurrentActivation, 'sigmoid');
    return plain && resetAfter ? 'gru' : undefined;
  }

  protected override steps(): CellSteps {
    const { activation = 'tanh', recurrentActivation = 'sigmoid', resetAfter = true } = this.options;
    return {
      kind: resetAfter ? 'gru' : 'gruResetBefore',
      activation: getActivation(this.name, activation),
      gate: getActivation(this.name, recurrentActivation),
    };
  }
}

/**
 * A simple recurrent layer: `[time, features]` gives the state after the last step, or after all of them.
 *
 * @example layers.simpleRNN({ units: 32, inputShape: [10, 8] })
 */
export function simpleRNN(options: SimpleRNNOptions): SimpleRNN {
  return new SimpleRNN(options);
}

/**
 * An LSTM layer: `[time, features]` gives the state after the last step, or after all of them.
 *
 * @example layers.lstm({ units: 128, returnSequences: true, inputShape: [100, 64] })
 */
export function lstm(options: LSTMOptions): LSTM {
  return new LSTM(options);
}

/**
 * A GRU layer: `[time, features]` gives the state after the last step, or after all of them.
 *
 * @example layers.gru({ units: 64, inputShape: [24, 1] })
 */
export function gru(options: GRUOptions): GRU {
  return new GRU(options);
}
