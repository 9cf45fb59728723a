// ZeroPadding, Cropping, UpSampling in one to three dimensions: sequences, images and volumes made larger or smaller without weights.
import { describe, NablaError, unknownName } from '../errors.ts';
import { broadcastTo, pad, reshape, slice } from '../ops/shape.ts';
import { type PerDimension, perDimension } from '../ops/window.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkSample } from './conv.ts';
import { type Interpolation, interpolate, interpolations } from './image-size.ts';
import { Layer, type LayerOptions } from './layer.ts';

/**
 * How much at each side: one number, one for each dimension (of a sequence: before and behind), or a pair for each dimension such as
 * `[[top, bottom], [left, right]]`.
 */
export type Borders = number | readonly [number, number] | readonly number[] | readonly (readonly number[])[];

const expectations = [
  '[before, behind]',
  '[height, width] or [[top, bottom], [left, right]]',
  'one for each dimension or three pairs',
];

function borders(where: string, name: string, value: Borders, rank: number): [number, number][] {
  let sides: readonly unknown[] = Array.isArray(value) ? value : new Array<Borders>(rank).fill(value);
  // Of a sequence two numbers are its two ends.
  if (rank === 1 && sides.length === 2) sides = [sides];
  const pairs = sides.map((side) => (Array.isArray(side) ? side : [side, side]));
  const good =
    pairs.length === rank &&
    pairs.every((pair) => pair.length === 2 && pair.every((n) => Number.isInteger(n) && n >= 0));
  if (!good) {
    throw new NablaError(
      where,
      `bad ${name}, got ${describe(value)}, expected an integer >= 0, ${expectations[rank - 1]}`,
    );
  }
  return pairs as [number, number][];
}

/** Options of {@link zeroPadding2d} and its like. */
export interface ZeroPaddingOptions extends LayerOptions {
  /** Default 1. */
  padding?: Borders;
}

/** Zeros around sequences, images or volumes. */
export class ZeroPadding extends Layer {
  readonly kind: string;
  private readonly rank: number;
  private readonly padding: [number, number][];

  constructor(rank: number, options: ZeroPaddingOptions) {
    super(options);
    this.kind = `zeroPadding${rank}d`;
    this.rank = rank;
    this.padding = borders(this.name, 'padding', options.padding ?? 1, rank);
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, this.rank);
    return sample.map((size, i) => size + (this.padding[i]?.[0] ?? 0) + (this.padding[i]?.[1] ?? 0));
  }

  protected override call(x: Tensor): Tensor {
    return pad(x, [[0, 0], ...this.padding, [0, 0]]);
  }
}

/**
 * Puts zeros before and behind sequences `[width, channels]`.
 *
 * @example layers.zeroPadding1d({ padding: [2, 0], inputShape: [10, 3] })
 */
export function zeroPadding1d(options: ZeroPaddingOptions = {}): ZeroPadding {
  return new ZeroPadding(1, options);
}

/**
 * Puts zeros around images `[height, width, channels]`.
 *
 * @example layers.zeroPadding2d({ padding: [[0, 1], [0, 1]], inputShape: [28, 28, 1] })
 */
export function zeroPadding2d(options: ZeroPaddingOptions = {}): ZeroPadding {
  return new ZeroPadding(2, options);
}

/**
 * Puts zeros around volumes `[depth, height, width, channels]`.
 *
 * @example layers.zeroPadding3d({ padding: [1, 2, 2], inputShape: [4, 8, 8, 1] })
 */
export function zeroPadding3d(options: ZeroPaddingOptions = {}): ZeroPadding {
  return new ZeroPadding(3, options);
}

/** Options of {@link cropping2d} and its like. */
export interface CroppingOptions extends LayerOptions {
  /** Default 0 for images, 1 for sequences and volumes, as in Keras. */
  cropping?: Borders;
}

/** Sequences, images or volumes without their borders. */
export class Cropping extends Layer {
  readonly kind: string;
  private readonly rank: number;
  private readonly cropping: [number, number][];

  constructor(rank: number, options: CroppingOptions) {
    super(options);
    this.kind = `cropping${rank}d`;
    this.rank = rank;
    this.cropping = borders(this.name, 'cropping', options.cropping ?? (rank === 2 ? 0 : 1), rank);
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, this.rank);
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
 * Cuts the ends off sequences `[width, channels]`.
 *
 * @example layers.cropping1d({ cropping: [1, 2], inputShape: [10, 3] })
 */
export function cropping1d(options: CroppingOptions = {}): Cropping {
  return new Cropping(1, options);
}

/**
 * Cuts borders off images `[height, width, channels]`.
 *
 * @example layers.cropping2d({ cropping: 2, inputShape: [28, 28, 1] })
 */
export function cropping2d(options: CroppingOptions = {}): Cropping {
  return new Cropping(2, options);
}

/**
 * Cuts borders off volumes `[depth, height, width, channels]`.
 *
 * @example layers.cropping3d({ cropping: [0, 1, 1], inputShape: [4, 8, 8, 1] })
 */
export function cropping3d(options: CroppingOptions = {}): Cropping {
  return new Cropping(3, options);
}

/** Options of {@link upSampling1d} and {@link upSampling3d}. */
export interface UpSamplingOptions extends LayerOptions {
  /** How often each step, row and column is repeated. Default 2. */
  size?: PerDimension;
}

/** Options of {@link upSampling2d}. */
export interface UpSampling2DOptions extends UpSamplingOptions {
  /** `'nearest'` (default) repeats pixels, `'bilinear'` draws lines between their centers, the others curves. */
  interpolation?: Interpolation;
}

/** Sequences, images or volumes enlarged by whole numbers. */
export class UpSampling extends Layer {
  readonly kind: string;
  private readonly rank: number;
  private readonly factors: readonly number[];
  private readonly interpolation: Interpolation;

  constructor(rank: number, options: UpSampling2DOptions) {
    super(options);
    this.kind = `upSampling${rank}d`;
    this.rank = rank;
    this.factors = perDimension(this.name, 'size', options.size ?? 2, rank);
    this.interpolation = options.interpolation ?? 'nearest';
    const known = rank === 2 ? interpolations : ['nearest'];
    if (!known.includes(this.interpolation))
      throw unknownName(options.name ?? this.kind, 'interpolation', this.interpolation, known);
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, this.rank);
    return sample.map((size, i) => size * (this.factors[i] ?? 1));
  }

  protected override call(x: Tensor): Tensor {
    const [batch, ...sample] = x.shape as [number, ...number[]];
    const large = this.computeOutputShape(sample);
    if (this.interpolation !== 'nearest') return interpolate(x, large[0]!, large[1]!, this.interpolation);
    // Every dimension is followed by one of size 1, which is stretched.
    const [first, ...others] = sample.slice(0, -1);
    const lead = batch * first!;
    const single = [lead, 1, ...others.flatMap((size) => [size, 1]), sample.at(-1)!];
    const wide = [
      lead,
      this.factors[0]!,
      ...others.flatMap((size, i) => [size, this.factors[i + 1]!]),
      sample.at(-1)!,
    ];
    return reshape(broadcastTo(reshape(x, single), wide), [batch, ...large]);
  }
}

/**
 * Repeats each step of sequences `[width, channels]`.
 *
 * @example layers.upSampling1d({ size: 3, inputShape: [10, 4] })
 */
export function upSampling1d(options: UpSamplingOptions = {}): UpSampling {
  return new UpSampling(1, options);
}

/**
 * Enlarges images `[height, width, channels]`, by repeating pixels or by what lies between them.
 *
 * @example layers.upSampling2d({ size: 2, interpolation: 'bilinear', inputShape: [14, 14, 8] })
 */
export function upSampling2d(options: UpSampling2DOptions = {}): UpSampling {
  return new UpSampling(2, options);
}

/**
 * Enlarges volumes `[depth, height, width, channels]` by repeating their elements.
 *
 * @example layers.upSampling3d({ size: [1, 2, 2], inputShape: [4, 8, 8, 1] })
 */
export function upSampling3d(options: UpSamplingOptions = {}): UpSampling {
  return new UpSampling(3, options);
}
