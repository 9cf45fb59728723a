// ConvLSTM: an LSTM whose products are convolutions, over sequences of signals, images or volumes.
import { type ActivationLike, getActivation } from '../activations.ts';
import type { ConstraintLike } from '../constraints.ts';
import { NablaError } from '../errors.ts';
import { getInitializer, type InitializerLike } from '../initializers/initializers.ts';
import type { Nested } from '../nested.ts';
import { add, mul } from '../ops/arithmetic.ts';
import { toFloats } from '../ops/compare.ts';
import { conv1d, conv2d, conv3d } from '../ops/conv.ts';
import { fill, ones, zeros } from '../ops/creation.ts';
import { dropout as dropoutOp } from '../ops/nn.ts';
import { concat, reshape, split } from '../ops/shape.ts';
import { checkPadding, type Padding, type PerDimension, perDimension, windowsOver } from '../ops/window.ts';
import type { RegularizerLike } from '../regularizers.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { checkCount, checkSample } from './conv.ts';
import type { RandomOptions } from './layer.ts';
import type { SequenceOutput } from './recurrent.ts';
import { Recurrent, type SequenceOptions } from './recurrent-base.ts';
import { runSteps, type SequenceResult, type SequenceRun, type StepResult } from './recurrent-steps.ts';
import { checkRates } from './recurrent-units.ts';

/** Options of {@link convLSTM2d} and its like. */
export interface ConvLSTMOptions extends SequenceOptions, RandomOptions {
  /** Channels of output and states. */
  filters: number;
  /** Size of the window, one number or one for each dimension. */
  kernelSize: PerDimension;
  /** Distance of neighbouring windows over the input; those over the state have 1. Default 1. */
  strides?: PerDimension;
  /** Of the convolution of the input; that of the state is `'same'`. Default `'valid'`. */
  padding?: Exclude<Padding, 'causal'>;
  /** Distance of the elements of a window over the input. Default 1. */
  dilationRate?: PerDimension;
  /** Default `'tanh'`. */
  activation?: ActivationLike;
  /** Of the gates. Default `'sigmoid'`. */
  recurrentActivation?: ActivationLike;
  /** Default true. */
  useBias?: boolean;
  /** Of the filters of the input. Default `'glorotUniform'`. */
  kernelInitializer?: InitializerLike;
  /** Of the filters of the state. Default `'orthogonal'`. */
  recurrentInitializer?: InitializerLike;
  /** Default `'zeros'`. */
  biasInitializer?: InitializerLike;
  /** Whether the forget gate's bias begins at 1. Default true. */
  unitForgetBias?: boolean;
  /** What the filters of the input add to the loss. Default: nothing. */
  kernelRegularizer?: RegularizerLike;
  /** What the filters of the state add to the loss. Default: nothing. */
  recurrentRegularizer?: RegularizerLike;
  /** What the bias adds to the loss. Default: nothing. */
  biasRegularizer?: RegularizerLike;
  /** What the filters of the input are brought back to after each step. Default: they are free. */
  kernelConstraint?: ConstraintLike;
  /** The same of the filters of the state. */
  recurrentConstraint?: ConstraintLike;
  /** The same of the bias. */
  biasConstraint?: ConstraintLike;
  /** Share of the inputs that is dropped while fitting, the same at every step. Default 0. */
  dropout?: number;
  /** Share of the state that is dropped while fitting, the same at every step. Default 0. */
  recurrentDropout?: number;
}

const convolutions = [conv1d, conv2d, conv3d];

/** Sequences `[time, ...space, channels]` give `[...space, filters]`. States are `[h, c]`, of the output's shape. (Shi et al. 2015.) */
export class ConvLSTM<R extends Nested<Tensor> = Tensor> extends Recurrent<ConvLSTMOptions, R> {
  private readonly rank: number;
  private readonly window: {
    readonly kernel: readonly number[];
    readonly stride: readonly number[];
    readonly dilation: readonly number[];
    readonly padding: Padding;
  };
  private kernel!: Variable<'float32'>;
  private recurrent!: Variable<'float32'>;
  private bias: Variable<'float32'> | undefined;

  constructor(rank: number, options: ConvLSTMOptions) {
    super(`convLSTM${rank}d`, options);
    this.rank = rank;
    const { name } = this;
    checkCount(name, 'filters', options.filters);
    checkRates(name, options);
    this.window = {
      kernel: perDimension(name, 'kernelSize', options.kernelSize, rank),
      stride: perDimension(name, 'strides', options.strides ?? 1, rank),
      dilation: perDimension(name, 'dilationRate', options.dilationRate ?? 1, rank),
      padding: checkPadding(name, options.padding ?? 'valid', rank),
    };
    const { stride, dilation } = this.window;
    if (stride.some((s) => s > 1) && dilation.some((d) => d > 1)) {
      throw new NablaError(
        name,
        `strides and dilationRate are both above 1, got ${showShape(stride)} and ${showShape(dilation)}, expected one of them to be 1`,
      );
    }
    getActivation(name, options.activation ?? 'tanh');
    getActivation(name, options.recurrentActivation ?? 'sigmoid');
  }

  override variant(options: SequenceOptions): ConvLSTM<Nested<Tensor>> {
    return new ConvLSTM(this.rank, { ...this.options, ...options });
  }

  protected override stepShape(inputShape: Shape): number[] {
    const sample = inputShape.slice(1);
    checkSample(this.name, sample, this.rank);
    const built = this.builtShape?.at(-1);
    if (built !== undefined && sample.at(-1) !== built) {
      throw new NablaError(this.name, `expected input with ${built} channels, got ${showShape(inputShape)}`);
    }
    return [...windowsOver(this.name, sample.slice(0, -1), this.window).output, this.options.filters];
  }

  override stateShapes(inputShape: Shape): readonly Shape[] {
    const shape = this.stepShape(inputShape);
    return [shape, shape];
  }

  protected override build(inputShape: Shape): void {
    const { filters, useBias = true, unitForgetBias = true, biasInitializer = 'zeros' } = this.options;
    const { kernelInitializer = 'glorotUniform', recurrentInitializer = 'orthogonal' } = this.options;
    const { kernel } = this.window;
    this.kernel = this.addWeight({
      name: 'kernel',
      shape: [...kernel, inputShape.at(-1)!, 4 * filters],
      initializer: kernelInitializer,
      regularizer: this.options.kernelRegularizer,
      constraint: this.options.kernelConstraint,
    });
    this.recurrent = this.addWeight({
      name: 'recurrentKernel',
      shape: [...kernel, filters, 4 * filters],
      initializer: recurrentInitializer,
      regularizer: this.options.recurrentRegularizer,
      constraint: this.options.recurrentConstraint,
    });
    if (!useBias) return;
    const others = getInitializer(this.name, biasInitializer);
    const forgetful = () =>
      concat([others([filters]), fill([filters], 1), others([2 * filters])]) as Tensor<'float32'>;
    this.bias = this.addWeight({
      name: 'bias',
      shape: [4 * filters],
      initializer: unitForgetBias ? forgetful : biasInitializer,
      regularizer: this.options.biasRegularizer,
      constraint: this.options.biasConstraint,
    });
  }

  /** @internal One convolution serves the inputs of all steps; those of the states follow one another, each in the program. */
  protected override run(run: SequenceRun): SequenceResult {
    const { dropout = 0, recurrentDropout = 0 } = run.training ? this.options : {};
    const [batch, time, ...sample] = run.x.shape as [number, number, ...number[]];
    const { stride: strides, dilation: dilationRate, padding } = this.window;
    const shape = [batch, ...this.stepShape([time, ...sample])];
    let x = toFloats(run.x) as Tensor;
    if (dropout > 0) x = mul(x, dropoutOp(ones([batch, 1, ...sample]), dropout));
    const convolve = convolutions[this.rank - 1]!;
    const frames = reshape(x, [batch * time, ...sample]);
    const sums = convolve(frames, this.kernel, { strides, dilationRate, padding });
    const biased = this.bias === undefined ? sums : add(sums, this.bias);
    const states = run.states.length > 0 ? run.states : [zeros(shape), zeros(shape)];
    const kept = recurrentDropout > 0 ? dropoutOp(ones(shape), recurrentDropout) : undefined;
    const all = reshape(biased, [batch, time, ...biased.shape.slice(1)]);
    return runSteps({ ...run, x: all, states }, states[0], (now, [h, c]) => {
      const seen = kept === undefined ? h! : mul(h!, kept);
      return this.advance(add(now, convolve(seen, this.recurrent, { padding: 'same' })), c!);
    });
  }

  private advance(sums: Tensor, c: Tensor): StepResult {
    const { activation = 'tanh', recurrentActivation = 'sigmoid' } = this.options;
    const act = getActivation(this.name, activation);
    const gate = getActivation(this.name, recurrentActivation);
    const [i, f, g, o] = split(sums, 4, -1) as [Tensor, Tensor, Tensor, Tensor];
    const next = add(mul(gate(f), c), mul(gate(i), act(g)));
    const output = mul(gate(o), act(next));
    return { output, states: [output, next] };
  }
}

/**
 * A convolutional LSTM over sequences of signals `[time, width, channels]`. Weights: kernel `[size, channels, 4 * filters]`, recurrentKernel `[size, filters, 4 * filters]`,
 * bias `[4 * filters]`. Every step is in the program: its length grows with the sequence.
 *
 * @example layers.convLSTM1d({ filters: 8, kernelSize: 3, padding: 'same' })
 */
export function convLSTM1d<S extends boolean = false>(
  options: ConvLSTMOptions & { returnState?: S },
): ConvLSTM<SequenceOutput<S, [output: Tensor, h: Tensor, c: Tensor]>> {
  return new ConvLSTM(1, options);
}

/**
 * A convolutional LSTM over sequences of images `[time, height, width, channels]`, otherwise as {@link convLSTM1d}.
 *
 * @example layers.convLSTM2d({ filters: 16, kernelSize: 3, padding: 'same', returnSequences: true, inputShape: [10, 32, 32, 1] })
 */
export function convLSTM2d<S extends boolean = false>(
  options: ConvLSTMOptions & { returnState?: S },
): ConvLSTM<SequenceOutput<S, [output: Tensor, h: Tensor, c: Tensor]>> {
  return new ConvLSTM(2, options);
}

/**
 * A convolutional LSTM over sequences of volumes `[time, depth, height, width, channels]`, otherwise as {@link convLSTM1d}.
 *
 * @example layers.convLSTM3d({ filters: 4, kernelSize: 3 })
 */
export function convLSTM3d<S extends boolean = false>(
  options: ConvLSTMOptions & { returnState?: S },
): ConvLSTM<SequenceOutput<S, [output: Tensor, h: Tensor, c: Tensor]>> {
  return new ConvLSTM(3, options);
}
