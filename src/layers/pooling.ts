// Pooling layers: the largest number or the mean of each window, or of each whole channel.
import { div, maximum } from '../ops/arithmetic.ts';
import { cast, where } from '../ops/compare.ts';
import { avgPool1d, avgPool2d, avgPool3d, maxPool1d, maxPool2d, maxPool3d } from '../ops/pool.ts';
import { max, mean, sum } from '../ops/reduce.ts';
import { expandDims } from '../ops/shape.ts';
import { checkPadding, type Padding, type PerDimension, perDimension, windowsOver } from '../ops/window.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkSample } from './conv.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** Options of {@link maxPooling2d} and its like. */
export interface PoolingOptions extends LayerOptions {
  /** Size of the window. Default 2. */
  poolSize?: PerDimension;
  /** Distance of neighbouring windows. Default: the window's size. */
  strides?: PerDimension;
  /** `'valid'` (default) or `'same'`, whose padding never counts. */
  padding?: Exclude<Padding, 'causal'>;
}

const ops = {
  max: [maxPool1d, maxPool2d, maxPool3d],
  average: [avgPool1d, avgPool2d, avgPool3d],
} as const;

/** The largest number or the mean of each window, channel by channel. */
export class Pooling extends Layer {
  readonly kind: string;
  private readonly statistic: keyof typeof ops;
  private readonly rank: number;
  private readonly poolSize: readonly number[];
  private readonly strides: readonly number[];
  private readonly padding: Exclude<Padding, 'causal'>;

  constructor(statistic: keyof typeof ops, rank: number, options: PoolingOptions) {
    super(options);
    this.kind = `${statistic}Pooling${rank}d`;
    this.statistic = statistic;
    this.rank = rank;
    this.poolSize = perDimension(this.name, 'poolSize', options.poolSize ?? 2, rank);
    this.strides = perDimension(this.name, 'strides', options.strides ?? this.poolSize, rank);
    // Pooling has no causal padding in any number of dimensions.
    this.padding = checkPadding(this.name, options.padding ?? 'valid', 2) as Exclude<Padding, 'causal'>;
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, this.rank);
    const { poolSize: kernel, strides: stride, padding } = this;
    const dilation = kernel.map(() => 1);
    const { output } = windowsOver(this.name, sample.slice(0, -1), { kernel, stride, dilation, padding });
    return [...output, sample.at(-1)!];
  }

  protected override call(x: Tensor): Tensor {
    const { poolSize, strides, padding } = this;
    return ops[this.statistic][this.rank - 1]!(x, { poolSize, strides, padding });
  }
}

/** Options of {@link globalAveragePooling2d} and its like. */
export interface GlobalPoolingOptions extends LayerOptions {
  /** Whether the dimensions that are pooled stay, with size 1. Default false. */
  keepDims?: boolean;
}

/** The largest number or the mean of each channel. */
export class GlobalPooling extends Layer {
  readonly kind: string;
  private readonly statistic: keyof typeof ops;
  private readonly rank: number;
  private readonly keepDims: boolean;

  constructor(statistic: keyof typeof ops, rank: number, options: GlobalPoolingOptions) {
    super(options);
    this.kind = `global${statistic === 'max' ? 'Max' : 'Average'}Pooling${rank}d`;
    this.statistic = statistic;
    this.rank = rank;
    this.keepDims = options.keepDims ?? false;
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, this.rank);
    const ones = this.keepDims ? new Array<number>(this.rank).fill(1) : [];
    return [...ones, sample.at(-1)!];
  }

  protected override call(x: Tensor): Tensor {
    const axes = Array.from({ length: this.rank }, (_, i) => i + 1);
    if (x.mask !== undefined && this.statistic === 'average' && this.rank === 1) {
      return maskedMean(x, x.mask, this.keepDims);
    }
    return (this.statistic === 'max' ? max : mean)(x, axes, this.keepDims);
  }
}

/** The mean over the steps that count, 0 where none does. */
function maskedMean(x: Tensor, mask: Tensor, keepDims: boolean): Tensor {
  const counts = expandDims(mask, -1);
  const steps = sum(cast(counts, 'float32'), 1, keepDims);
  return div(sum(where(counts, x, 0), 1, keepDims), maximum(steps, 1));
}

/**
 * The largest number of each window of a sequence `[width, channels]`.
 *
 * @example layers.maxPooling1d({ poolSize: 2 })
 */
export function maxPooling1d(options: PoolingOptions = {}): Pooling {
  return new Pooling('max', 1, options);
}

/**
 * The largest number of each window of a image `[height, width, channels]`.
 *
 * @example layers.maxPooling2d({ poolSize: 2 })
 */
export function maxPooling2d(options: PoolingOptions = {}): Pooling {
  return new Pooling('max', 2, options);
}

/**
 * The largest number of each window of a volume `[depth, height, width, channels]`.
 *
 * @example layers.maxPooling3d({ poolSize: [1, 2, 2] })
 */
export function maxPooling3d(options: PoolingOptions = {}): Pooling {
  return new Pooling('max', 3, options);
}

/**
 * The mean of each window of a sequence `[width, channels]`.
 *
 * @example layers.averagePooling1d({ poolSize: 2 })
 */
export function averagePooling1d(options: PoolingOptions = {}): Pooling {
  return new Pooling('average', 1, options);
}

/**
 * The mean of each window of a image `[height, width, channels]`.
 *
 * @example layers.averagePooling2d({ poolSize: 2 })
 */
export function averagePooling2d(options: PoolingOptions = {}): Pooling {
  return new Pooling('average', 2, options);
}

/**
 * The mean of each window of a volume `[depth, height, width, channels]`.
 *
 * @example layers.averagePooling3d({ poolSize: [1, 2, 2] })
 */
export function averagePooling3d(options: PoolingOptions = {}): Pooling {
  return new Pooling('average', 3, options);
}

/**
 * The largest number of each channel of a sequence `[width, channels]`.
 *
 * @example layers.globalMaxPooling1d()
 */
export function globalMaxPooling1d(options: GlobalPoolingOptions = {}): GlobalPooling {
  return new GlobalPooling('max', 1, options);
}

/**
 * The largest number of each channel of a image `[height, width, channels]`.
 *
 * @example layers.globalMaxPooling2d()
 */
export function globalMaxPooling2d(options: GlobalPoolingOptions = {}): GlobalPooling {
  return new GlobalPooling('max', 2, options);
}

/**
 * The largest number of each channel of a volume `[depth, height, width, channels]`.
 *
 * @example layers.globalMaxPooling3d()
 */
export function globalMaxPooling3d(options: GlobalPoolingOptions = {}): GlobalPooling {
  return new GlobalPooling('max', 3, options);
}

/**
 * The mean of each channel of a sequence `[width, channels]`, over the steps that a mask does not leave out.
 *
 * @example layers.globalAveragePooling1d()
 */
export function globalAveragePooling1d(options: GlobalPoolingOptions = {}): GlobalPooling {
  return new GlobalPooling('average', 1, options);
}

/**
 * The mean of each channel of a image `[height, width, channels]`.
 *
 * @example layers.globalAveragePooling2d()
 */
export function globalAveragePooling2d(options: GlobalPoolingOptions = {}): GlobalPooling {
  return new GlobalPooling('average', 2, options);
}

/**
 * The mean of each channel of a volume `[depth, height, width, channels]`.
 *
 * @example layers.globalAveragePooling3d()
 */
export function globalAveragePooling3d(options: GlobalPoolingOptions = {}): GlobalPooling {
  return new GlobalPooling('average', 3, options);
}
