// Adaptive pooling: as many windows as the output is to have, however large the input is.

import { toFloats } from '../ops/compare.ts';
import { tensor } from '../ops/creation.ts';
import { matMul } from '../ops/linalg.ts';
import { avgPool1d, avgPool2d, avgPool3d, maxPool1d, maxPool2d, maxPool3d } from '../ops/pool.ts';
import { max } from '../ops/reduce.ts';
import { concat, reshape, slice } from '../ops/shape.ts';
import { type PerDimension, perDimension } from '../ops/window.ts';
import { type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkSample } from './conv.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** Options of {@link adaptiveAveragePooling2d} and its like. */
export interface AdaptivePoolingOptions extends LayerOptions {
  /** Size of the output, one number or one for each dimension. */
  outputSize: PerDimension;
}

const whole = {
  max: [maxPool1d, maxPool2d, maxPool3d],
  average: [avgPool1d, avgPool2d, avgPool3d],
} as const;

/** Where each of `count` windows over `size` elements begins and ends; neighbours overlap where `size` is no multiple of `count`. */
function windowsOf(size: number, count: number): [number, number][] {
  return Array.from({ length: count }, (_, i) => [
    Math.floor((i * size) / count),
    Math.ceil(((i + 1) * size) / count),
  ]);
}

/** Means of windows of `[outer, size, inner]`: a product with a matrix of shares. */
function means(x: Tensor, size: number, windows: readonly [number, number][]): Tensor {
  const shares = windows.flatMap(([begin, end]) =>
    Array.from({ length: size }, (_, i) => (i >= begin && i < end ? 1 / (end - begin) : 0)),
  );
  return matMul(tensor(shares, [1, windows.length, size]), x);
}

/** Largest numbers of windows of `[outer, size, inner]`. */
function largest(x: Tensor, windows: readonly [number, number][]): Tensor {
  const [outer, , inner] = x.shape as [number, number, number];
  const parts = windows.map(([begin, end]) =>
    max(slice(x, [0, begin, 0], [outer, end - begin, inner]), 1, true),
  );
  return concat(parts, 1);
}

/** The largest number or the mean of each of a given number of windows. */
export class AdaptivePooling extends Layer {
  readonly kind: string;
  private readonly statistic: keyof typeof whole;
  private readonly rank: number;
  private readonly outputSize: readonly number[];

  constructor(statistic: keyof typeof whole, rank: number, options: AdaptivePoolingOptions) {
    super(options);
    this.kind = `adaptive${statistic === 'max' ? 'Max' : 'Average'}Pooling${rank}d`;
    this.statistic = statistic;
    this.rank = rank;
    this.outputSize = perDimension(this.name, 'outputSize', options.outputSize, rank);
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, this.rank);
    return [...this.outputSize, sample.at(-1)!];
  }

  protected override call(x: Tensor): Tensor {
    const floats = toFloats(x);
    const sizes = x.shape.slice(1, -1);
    if (sizes.every((size, i) => size % this.outputSize[i]! === 0)) {
      const poolSize = sizes.map((size, i) => size / this.outputSize[i]!);
      return whole[this.statistic][this.rank - 1]!(floats, { poolSize, strides: poolSize, padding: 'valid' });
    }
    // Means of means and maxima of maxima: an axis after the other.
    return this.outputSize.reduce<Tensor>((pooled, count, i) => {
      const size = pooled.shape[i + 1]!;
      const lead = pooled.shape.slice(0, i + 1);
      const rest = pooled.shape.slice(i + 2);
      const rows = reshape(pooled, [sizeOf(lead), size, sizeOf(rest)]);
      const windows = windowsOf(size, count);
      const joined = this.statistic === 'max' ? largest(rows, windows) : means(rows, size, windows);
      return reshape(joined, [...lead, count, ...rest]);
    }, floats);
  }
}

/**
 * Means of as many windows over sequences `[width, channels]` as the output is to have. (Keras' AdaptiveAveragePooling1D, torch's.)
 *
 * @example layers.adaptiveAveragePooling1d({ outputSize: 4, inputShape: [10, 8] })
 */
export function adaptiveAveragePooling1d(options: AdaptivePoolingOptions): AdaptivePooling {
  return new AdaptivePooling('average', 1, options);
}

/**
 * Means of as many windows over images `[height, width, channels]` as the output is to have. (Keras' AdaptiveAveragePooling2D, torch's.)
 *
 * @example layers.adaptiveAveragePooling2d({ outputSize: [3, 3], inputShape: [32, 24, 8] })
 */
export function adaptiveAveragePooling2d(options: AdaptivePoolingOptions): AdaptivePooling {
  return new AdaptivePooling('average', 2, options);
}

/**
 * Means of as many windows over volumes `[depth, height, width, channels]` as the output is to have. (Keras' AdaptiveAveragePooling3D, torch's.)
 *
 * @example layers.adaptiveAveragePooling3d({ outputSize: 2, inputShape: [5, 8, 8, 4] })
 */
export function adaptiveAveragePooling3d(options: AdaptivePoolingOptions): AdaptivePooling {
  return new AdaptivePooling('average', 3, options);
}

/**
 * Largest numbers of as many windows over sequences `[width, channels]` as the output is to have. (Keras' AdaptiveMaxPooling1D, torch's.)
 *
 * @example layers.adaptiveMaxPooling1d({ outputSize: 4, inputShape: [10, 8] })
 */
export function adaptiveMaxPooling1d(options: AdaptivePoolingOptions): AdaptivePooling {
  return new AdaptivePooling('max', 1, options);
}

/**
 * Largest numbers of as many windows over images `[height, width, channels]` as the output is to have. (Keras' AdaptiveMaxPooling2D, torch's.)
 *
 * @example layers.adaptiveMaxPooling2d({ outputSize: [3, 3], inputShape: [32, 24, 8] })
 */
export function adaptiveMaxPooling2d(options: AdaptivePoolingOptions): AdaptivePooling {
  return new AdaptivePooling('max', 2, options);
}

/**
 * Largest numbers of as many windows over volumes `[depth, height, width, channels]` as the output is to have. (Keras' AdaptiveMaxPooling3D, torch's.)
 *
 * @example layers.adaptiveMaxPooling3d({ outputSize: 2, inputShape: [5, 8, 8, 4] })
 */
export function adaptiveMaxPooling3d(options: AdaptivePoolingOptions): AdaptivePooling {
  return new AdaptivePooling('max', 3, options);
}
