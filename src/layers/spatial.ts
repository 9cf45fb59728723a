// ZeroPadding2D, Cropping2D, UpSampling2D: images made larger or smaller without weights.
import { describe, NablaError } from '../errors.ts';
import { broadcastTo, pad, reshape, slice } from '../ops/shape.ts';
import { type PerDimension, perDimension } from '../ops/window.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkSample } from './conv.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** How much at each side: one number, `[height, width]`, or `[[top, bottom], [left, right]]`. */
export type Borders = number | readonly [number, number] | readonly (readonly [number, number])[];

function borders(where: string, name: string, value: Borders): [number, number][] {
  const sides = typeof value === 'number' ? [value, value] : value;
  const pairs =
    Array.isArray(sides) && sides.length === 2 ? sides.map((s) => (Array.isArray(s) ? s : [s, s])) : [];
  const good =
    pairs.length === 2 && pairs.every((p) => p.length === 2 && p.every((n) => Number.isInteger(n) && n >= 0));
  if (!good) {
    throw new NablaError(
      where,
      `bad ${name}, got ${describe(value)}, expected an integer >= 0, [height, width] or [[top, bottom], [left, right]]`,
    );
  }
  return pairs as [number, number][];
}

/** Options of {@link zeroPadding2d}. */
export interface ZeroPadding2DOptions extends LayerOptions {
  /** Default 1. */
  padding?: Borders;
}

/** Zeros around images. */
export class ZeroPadding2D extends Layer {
  readonly kind = 'zeroPadding2d';
  private readonly padding: [number, number][];

  constructor(options: ZeroPadding2DOptions = {}) {
    super(options);
    this.padding = borders(this.name, 'padding', options.padding ?? 1);
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, 2);
    return sample.map((size, i) => size + (this.padding[i]?.[0] ?? 0) + (this.padding[i]?.[1] ?? 0));
  }

  protected override call(x: Tensor): Tensor {
    return pad(x, [[0, 0], ...this.padding, [0, 0]]);
  }
}

/**
 * Puts zeros around images.
 *
 * @example layers.zeroPadding2d({ padding: [[0, 1], [0, 1]] })
 */
export function zeroPadding2d(options: ZeroPadding2DOptions = {}): ZeroPadding2D {
  return new ZeroPadding2D(options);
}

/** Options of {@link cropping2d}. */
export interface Cropping2DOptions extends LayerOptions {
  /** Default 0. */
  cropping?: Borders;
}

/** Images without their borders. */
export class Cropping2D extends Layer {
  readonly kind = 'cropping2d';
  private readonly cropping: [number, number][];

  constructor(options: Cropping2DOptions = {}) {
    super(options);
    this.cropping = borders(this.name, 'cropping', options.cropping ?? 0);
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, 2);
    const shape = sample.map((size, i) => size - (this.cropping[i]?.[0] ?? 0) - (this.cropping[i]?.[1] ?? 0));
    if (shape.some((size) => size < 1)) {
      throw new NablaError(
        this.name,
        `nothing would be left, got samples ${showShape(sample)} and cropping ${JSON.stringify(this.cropping)}, ` +
          'expected less cropping than there are pixels',
      );
    }
    return shape;
  }

  protected override call(x: Tensor): Tensor {
    const begin = [0, ...this.cropping.map(([before]) => before), 0];
    return slice(x, begin, [x.shape[0]!, ...this.computeOutputShape(x.shape.slice(1))]);
  }
}

/**
 * Cuts borders off images.
 *
 * @example layers.cropping2d({ cropping: 2 })
 */
export function cropping2d(options: Cropping2DOptions = {}): Cropping2D {
  return new Cropping2D(options);
}

/** Options of {@link upSampling2d}. */
export interface UpSampling2DOptions extends LayerOptions {
  /** How often each row and column is repeated. Default 2. */
  size?: PerDimension;
}

/** Images with each pixel repeated. */
export class UpSampling2D extends Layer {
  readonly kind = 'upSampling2d';
  private readonly factors: readonly number[];

  constructor(options: UpSampling2DOptions = {}) {
    super(options);
    this.factors = perDimension(this.name, 'size', options.size ?? 2, 2);
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, 2);
    return [sample[0]! * this.factors[0]!, sample[1]! * this.factors[1]!, sample[2]!];
  }

  protected override call(x: Tensor): Tensor {
    const [batch, height, width, channels] = x.shape as [number, number, number, number];
    const [down, right] = this.factors as [number, number];
    const spread = broadcastTo(reshape(x, [batch * height, 1, width, 1, channels]), [
      batch * height,
      down,
      width,
      right,
      channels,
    ]);
    return reshape(spread, [batch, height * down, width * right, channels]);
  }
}

/**
 * Enlarges images by repeating pixels (nearest neighbour).
 *
 * @example layers.upSampling2d({ size: 2 })
 */
export function upSampling2d(options: UpSampling2DOptions = {}): UpSampling2D {
  return new UpSampling2D(options);
}
