// Conv1D, Conv2D, Conv3D and their transposes: filters that slide over channelsLast data.
import { type ActivationLike, getActivation } from '../activations.ts';
import { type ConstraintLike, getConstraint } from '../constraints.ts';
import { describe, NablaError } from '../errors.ts';
import type { InitializerLike } from '../initializers/initializers.ts';
import { add } from '../ops/arithmetic.ts';
import {
  type ConvOptions as ConvOpOptions,
  type ConvTransposeOptions as ConvTransposeOpOptions,
  conv1d as conv1dOp,
  conv1dTranspose as conv1dTransposeOp,
  conv2d as conv2dOp,
  conv2dTranspose as conv2dTransposeOp,
  conv3d as conv3dOp,
  conv3dTranspose as conv3dTransposeOp,
} from '../ops/conv.ts';
import {
  checkOutputPadding,
  checkPadding,
  type Padding,
  type PerDimension,
  perDimension,
  transposedWindows,
  windowsOver,
} from '../ops/window.ts';
import { getRegularizer, type RegularizerLike } from '../regularizers.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** Options of all convolutions but for the number of filters. */
export interface WindowOptions extends LayerOptions {
  /** Size of the window, one number or one for each dimension. */
  kernelSize: PerDimension;
  /** Distance of neighbouring windows. Default 1. */
  strides?: PerDimension;
  /** `'valid'` (default): windows lie inside the input; `'same'`: zeros around it, so that stride 1 keeps the size. */
  padding?: Padding;
  /** Distance of the elements of a window. Default 1. */
  dilationRate?: PerDimension;
  /** Applied to the sums. Default `'linear'`. */
  activation?: ActivationLike;
  /** Whether a bias is added. Default true. */
  useBias?: boolean;
  /** Default `'zeros'`. */
  biasInitializer?: InitializerLike;
  /** What the bias adds to the loss. Default: nothing. */
  biasRegularizer?: RegularizerLike;
  /** What the bias is brought back to after each step. Default: nothing. */
  biasConstraint?: ConstraintLike;
}

/** Options of {@link conv1d}, {@link conv2d} and {@link conv3d}. */
export interface ConvOptions extends WindowOptions {
  /** Number of filters: channels of the output. */
  filters: number;
  /** Parts of the channels that are convolved apart from each other. Default 1. */
  groups?: number;
  /** Default `'glorotUniform'`. */
  kernelInitializer?: InitializerLike;
  /** What the kernel adds to the loss. Default: nothing. */
  kernelRegularizer?: RegularizerLike;
  /** What the kernel is brought back to after each step. Default: nothing. */
  kernelConstraint?: ConstraintLike;
}

/** Options of {@link conv2dTranspose} and its like. */
export interface ConvTransposeOptions extends Omit<ConvOptions, 'groups' | 'padding'> {
  /** `'valid'` (default) or `'same'`: the output is the stride times the input. */
  padding?: Exclude<Padding, 'causal'>;
  /** Elements more at the end of each dimension, fewer than the stride. Default: the stride times the input, or what windows need. */
  outputPadding?: PerDimension;
}

type ConvOp = (x: Tensor, filter: Tensor, options: ConvOpOptions) => Tensor;
const convOps: readonly ConvOp[] = [conv1dOp, conv2dOp, conv3dOp];
type TransposeOp = (x: Tensor, filter: Tensor, options: ConvTransposeOpOptions) => Tensor;
const transposeOps: readonly TransposeOp[] = [conv1dTransposeOp, conv2dTransposeOp, conv3dTransposeOp];
const spaces = ['width', 'height, width', 'depth, height, width'];

/** Throws unless a number of channels, filters or the like is an integer from 1 on. */
export function checkCount(where: string, name: string, value: unknown): void {
  if (!Number.isInteger(value) || (value as number) < 1) {
    throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected an integer >= 1`);
  }
}

/** Throws unless a sample has so many spatial dimensions and a channel. */
export function checkSample(where: string, sample: Shape, rank: number): void {
  if (sample.length === rank + 1) return;
  const remedy =
    sample.length === rank ? `; add layers.reshape({ targetShape: [${[...sample, 1]}] }) before it` : '';
  throw new NablaError(
    where,
    `expected samples [${spaces[rank - 1]}, channels], got ${showShape(sample)}${remedy}`,
  );
}

/** What convolutions of any kind share: a window over the input, a bias, an activation. */
export abstract class WindowLayer extends Layer {
  readonly kind: string;
  /** Spatial dimensions: 1, 2 or 3. */
  protected readonly rank: number;
  /** Size of the window in each of them. */
  protected readonly kernelSize: readonly number[];
  /** Step of the window in each. */
  protected readonly strides: readonly number[];
  /** Distance of the window's elements in each. */
  protected readonly dilation: readonly number[];
  /** What lies around the input. */
  protected readonly padding: Padding;
  private readonly common: WindowOptions;
  private bias: Variable<'float32'> | undefined;

  constructor(kind: string, rank: number, options: WindowOptions) {
    super(options);
    this.kind = kind;
    this.rank = rank;
    this.common = options;
    this.kernelSize = perDimension(this.name, 'kernelSize', options.kernelSize, rank);
    this.strides = perDimension(this.name, 'strides', options.strides ?? 1, rank);
    this.dilation = perDimension(this.name, 'dilationRate', options.dilationRate ?? 1, rank);
    this.padding = checkPadding(this.name, options.padding ?? 'valid', rank);
    if (this.strides.some((s) => s > 1) && this.dilation.some((d) => d > 1)) {
      throw new NablaError(
        this.name,
        `strides and dilationRate are both above 1, got ${showShape(this.strides)} and ${showShape(this.dilation)}, ` +
          'expected one of them to be 1',
      );
    }
    getActivation(this.name, options.activation ?? 'linear');
    this.checkPenalties(options.biasRegularizer, options.biasConstraint);
  }

  /** Looks names up where they are written. */
  protected checkPenalties(regularizer?: RegularizerLike, constraint?: ConstraintLike): void {
    if (regularizer !== undefined) getRegularizer(this.name, regularizer);
    if (constraint !== undefined) getConstraint(this.name, constraint);
  }

  /** @internal Options of the op. */
  protected get window() {
    return { strides: this.strides, padding: this.padding, dilationRate: this.dilation };
  }

  /** Output sizes of windows over a sample's spatial dimensions. */
  protected windowsOf(sample: Shape): readonly number[] {
    const { kernelSize: kernel, strides: stride, dilation, padding } = this;
    return windowsOver(this.name, sample.slice(0, -1), { kernel, stride, dilation, padding }).output;
  }

  /** Throws unless a sample fits the window and the channels that the layer was built for. */
  protected checkInput(sample: Shape): void {
    checkSample(this.name, sample, this.rank);
    const built = this.builtShape?.at(-1);
    if (built !== undefined && sample.at(-1) !== built) {
      throw new NablaError(this.name, `expected input with ${built} channels, got ${showShape(sample)}`);
    }
  }

  /** Makes the bias, unless the options say that there is none. */
  protected buildBias(channels: number): void {
    const { useBias = true, biasInitializer = 'zeros' } = this.common;
    if (!useBias) return;
    this.bias = this.addWeight({
      name: 'bias',
      shape: [channels],
      initializer: biasInitializer,
      regularizer: this.common.biasRegularizer,
      constraint: this.common.biasConstraint,
    });
  }

  /** Bias and activation. */
  protected finish(sums: Tensor): Tensor {
    const biased = this.bias === undefined ? sums : add(sums, this.bias);
    return getActivation(this.name, this.common.activation ?? 'linear')(biased);
  }
}

/** Sums of each window's numbers, weighted by a filter for each output channel. */
export class Conv extends WindowLayer {
  private readonly options: ConvOptions;
  private kernel!: Variable<'float32'>;

  constructor(rank: number, options: ConvOptions) {
    super(`conv${rank}d`, rank, options);
    this.options = options;
    checkCount(this.name, 'filters', options.filters);
    checkCount(this.name, 'groups', options.groups ?? 1);
    this.checkPenalties(options.kernelRegularizer, options.kernelConstraint);
  }

  protected override build(sample: Shape): void {
    const { filters, groups = 1, kernelInitializer = 'glorotUniform' } = this.options;
    const shape = [...this.kernelSize, sample.at(-1)! / groups, filters];
    this.kernel = this.addWeight({
      name: 'kernel',
      shape,
      initializer: kernelInitializer,
      regularizer: this.options.kernelRegularizer,
      constraint: this.options.kernelConstraint,
    });
    this.buildBias(filters);
  }

  override computeOutputShape(sample: Shape): number[] {
    this.checkInput(sample);
    const { filters, groups = 1 } = this.options;
    const channels = sample.at(-1)!;
    if (channels % groups !== 0 || filters % groups !== 0) {
      throw new NablaError(
        this.name,
        `expected channels and filters that are multiples of groups, got ${channels}, ${filters} and ${groups}`,
      );
    }
    return [...this.windowsOf(sample), filters];
  }

  protected override call(x: Tensor): Tensor {
    const op = convOps[this.rank - 1]!;
    return this.finish(op(x, this.kernel, { ...this.window, groups: this.options.groups ?? 1 }));
  }
}

/** The transpose of a convolution: it makes the input larger by the stride, as decoders and generators do. */
export class ConvTranspose extends WindowLayer {
  private readonly options: ConvTransposeOptions;
  private readonly outputPadding: number[] | undefined;
  private kernel!: Variable<'float32'>;

  constructor(rank: number, options: ConvTransposeOptions) {
    super(`conv${rank}dTranspose`, rank, options);
    this.options = options;
    checkCount(this.name, 'filters', options.filters);
    if (this.padding === 'causal') checkPadding(this.name, this.padding, 2);
    this.outputPadding = checkOutputPadding(this.name, options.outputPadding, this.strides, rank);
    this.checkPenalties(options.kernelRegularizer, options.kernelConstraint);
  }

  protected override build(sample: Shape): void {
    const { filters, kernelInitializer = 'glorotUniform' } = this.options;
    const shape = [...this.kernelSize, filters, sample.at(-1)!];
    this.kernel = this.addWeight({
      name: 'kernel',
      shape,
      initializer: kernelInitializer,
      regularizer: this.options.kernelRegularizer,
      constraint: this.options.kernelConstraint,
    });
    this.buildBias(filters);
  }

  override computeOutputShape(sample: Shape): number[] {
    this.checkInput(sample);
    const { kernelSize: kernel, strides: stride, dilation, padding, outputPadding } = this;
    const windows = transposedWindows(sample.slice(0, -1), {
      kernel,
      stride,
      dilation,
      padding,
      outputPadding,
    });
    return [...windows.input, this.options.filters];
  }

  protected override call(x: Tensor): Tensor {
    const options = { ...this.window, outputPadding: this.outputPadding };
    return this.finish(transposeOps[this.rank - 1]!(x, this.kernel, options));
  }
}

/**
 * Convolution over sequences `[width, channels]`; padding `'causal'` keeps the future out.
 *
 * @example layers.conv1d({ filters: 16, kernelSize: 5, padding: 'causal', activation: 'relu' })
 */
export function conv1d(options: ConvOptions): Conv {
  return new Conv(1, options);
}

/**
 * Convolution over images `[height, width, channels]`.
 *
 * @example layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu' })
 */
export function conv2d(options: ConvOptions): Conv {
  return new Conv(2, options);
}

/**
 * Convolution over volumes `[depth, height, width, channels]`.
 *
 * @example layers.conv3d({ filters: 8, kernelSize: [3, 3, 3], padding: 'same' })
 */
export function conv3d(options: ConvOptions): Conv {
  return new Conv(3, options);
}

/**
 * Transposed convolution over sequences.
 *
 * @example layers.conv1dTranspose({ filters: 8, kernelSize: 4, strides: 2, padding: 'same' })
 */
export function conv1dTranspose(options: ConvTransposeOptions): ConvTranspose {
  return new ConvTranspose(1, options);
}

/**
 * Transposed convolution over images.
 *
 * @example layers.conv2dTranspose({ filters: 64, kernelSize: 5, strides: 2, padding: 'same' })
 */
export function conv2dTranspose(options: ConvTransposeOptions): ConvTranspose {
  return new ConvTranspose(2, options);
}

/**
 * Transposed convolution over volumes.
 *
 * @example layers.conv3dTranspose({ filters: 4, kernelSize: 2, strides: 2 })
 */
export function conv3dTranspose(options: ConvTransposeOptions): ConvTranspose {
  return new ConvTranspose(3, options);
}
