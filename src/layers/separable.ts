// DepthwiseConv and SeparableConv: every channel is filtered by itself, and then channels are mixed by a 1x1 convolution.
import type { ConstraintLike } from '../constraints.ts';
import type { InitializerLike } from '../initializers/initializers.ts';
import {
  conv1d,
  conv2d,
  depthwiseConv1d as depthwise1dOp,
  depthwiseConv2d as depthwise2dOp,
} from '../ops/conv.ts';
import type { RegularizerLike } from '../regularizers.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { checkCount, WindowLayer, type WindowOptions } from './conv.ts';

/** Options of {@link depthwiseConv2d} and {@link depthwiseConv1d}. */
export interface DepthwiseConvOptions extends WindowOptions {
  /** Filters a channel. Default 1. */
  depthMultiplier?: number;
  /** Default `'glorotUniform'`. */
  depthwiseInitializer?: InitializerLike;
  /** What the depthwise kernel adds to the loss. Default: nothing. */
  depthwiseRegularizer?: RegularizerLike;
  /** What the depthwise kernel is brought back to after each step. Default: nothing. */
  depthwiseConstraint?: ConstraintLike;
}

/** Options of {@link separableConv2d} and {@link separableConv1d}. */
export interface SeparableConvOptions extends DepthwiseConvOptions {
  /** Channels of the output. */
  filters: number;
  /** Default `'glorotUniform'`. */
  pointwiseInitializer?: InitializerLike;
  /** What the pointwise kernel adds to the loss. Default: nothing. */
  pointwiseRegularizer?: RegularizerLike;
  /** What the pointwise kernel is brought back to after each step. Default: nothing. */
  pointwiseConstraint?: ConstraintLike;
}

const ops = [depthwise1dOp, depthwise2dOp];

/** Filters for each channel apart. */
export class DepthwiseConv extends WindowLayer {
  private readonly options: DepthwiseConvOptions;
  private readonly multiplier: number;
  private kernel!: Variable<'float32'>;

  constructor(rank: number, options: DepthwiseConvOptions) {
    super(`depthwiseConv${rank}d`, rank, options);
    this.options = options;
    this.multiplier = options.depthMultiplier ?? 1;
    checkCount(this.name, 'depthMultiplier', this.multiplier);
    this.checkPenalties(options.depthwiseRegularizer, options.depthwiseConstraint);
  }

  protected override build(sample: Shape): void {
    const channels = sample.at(-1)!;
    const shape = [...this.kernelSize, channels, this.multiplier];
    const { depthwiseInitializer = 'glorotUniform' } = this.options;
    this.kernel = this.addWeight({
      name: 'kernel',
      shape,
      initializer: depthwiseInitializer,
      regularizer: this.options.depthwiseRegularizer,
      constraint: this.options.depthwiseConstraint,
    });
    this.buildBias(channels * this.multiplier);
  }

  override computeOutputShape(sample: Shape): number[] {
    this.checkInput(sample);
    return [...this.windowsOf(sample), sample.at(-1)! * this.multiplier];
  }

  protected override call(x: Tensor): Tensor {
    return this.finish(ops[this.rank - 1]!(x, this.kernel, this.window));
  }
}

/** Filters for each channel apart, then weighted sums of the channels; bias and activation come last. (Chollet 2017.) */
export class SeparableConv extends WindowLayer {
  private readonly options: SeparableConvOptions;
  private depthwise!: Variable<'float32'>;
  private pointwise!: Variable<'float32'>;

  constructor(rank: number, options: SeparableConvOptions) {
    super(`separableConv${rank}d`, rank, options);
    this.options = options;
    checkCount(this.name, 'filters', options.filters);
    checkCount(this.name, 'depthMultiplier', options.depthMultiplier ?? 1);
    this.checkPenalties(options.depthwiseRegularizer, options.depthwiseConstraint);
    this.checkPenalties(options.pointwiseRegularizer, options.pointwiseConstraint);
  }

  protected override build(sample: Shape): void {
    const { filters, depthMultiplier = 1 } = this.options;
    const { depthwiseInitializer = 'glorotUniform', pointwiseInitializer = 'glorotUniform' } = this.options;
    const channels = sample.at(-1)!;
    this.depthwise = this.addWeight({
      name: 'depthwiseKernel',
      shape: [...this.kernelSize, channels, depthMultiplier],
      initializer: depthwiseInitializer,
      regularizer: this.options.depthwiseRegularizer,
      constraint: this.options.depthwiseConstraint,
    });
    this.pointwise = this.addWeight({
      name: 'pointwiseKernel',
      shape: [...this.kernelSize.map(() => 1), channels * depthMultiplier, filters],
      initializer: pointwiseInitializer,
      regularizer: this.options.pointwiseRegularizer,
      constraint: this.options.pointwiseConstraint,
    });
    this.buildBias(filters);
  }

  override computeOutputShape(sample: Shape): number[] {
    this.checkInput(sample);
    return [...this.windowsOf(sample), this.options.filters];
  }

  protected override call(x: Tensor): Tensor {
    const apart = ops[this.rank - 1]!(x, this.depthwise, this.window);
    return this.finish(this.rank === 1 ? conv1d(apart, this.pointwise) : conv2d(apart, this.pointwise));
  }
}

/**
 * Filters each channel of a sequence by itself.
 *
 * @example layers.depthwiseConv1d({ kernelSize: 3, padding: 'same' })
 */
export function depthwiseConv1d(options: DepthwiseConvOptions): DepthwiseConv {
  return new DepthwiseConv(1, options);
}

/**
 * Filters each channel of an image by itself.
 *
 * @example layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' })
 */
export function depthwiseConv2d(options: DepthwiseConvOptions): DepthwiseConv {
  return new DepthwiseConv(2, options);
}

/**
 * Separable convolution over sequences.
 *
 * @example layers.separableConv1d({ filters: 32, kernelSize: 3 })
 */
export function separableConv1d(options: SeparableConvOptions): SeparableConv {
  return new SeparableConv(1, options);
}

/**
 * Separable convolution over images: far fewer weights than a full one.
 *
 * @example layers.separableConv2d({ filters: 64, kernelSize: 3, padding: 'same', activation: 'relu' })
 */
export function separableConv2d(options: SeparableConvOptions): SeparableConv {
  return new SeparableConv(2, options);
}
