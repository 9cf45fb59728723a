// Resizing and CenterCrop: images in one size, stretched, cropped or padded.
import { describe, NablaError, unknownName } from '../errors.ts';
import { cast, toFloats } from '../ops/compare.ts';
import { resample, weightings } from '../ops/resample.ts';
import { resizeBilinear, resizeNearestNeighbor } from '../ops/resize.ts';
import { pad, slice } from '../ops/shape.ts';
import { clip, round } from '../ops/unary.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkSample } from './conv.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** Options of layers that give images of one size. */
export interface ImageSizeOptions extends LayerOptions {
  /** Rows of the output. */
  height: number;
  /** Columns of the output. */
  width: number;
}

/** Throws unless height and width are integers from 1 on. */
export function checkSize(name: string, { height, width }: ImageSizeOptions): void {
  for (const [label, value] of Object.entries({ height, width })) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new NablaError(name, `bad ${label}, got ${describe(value)}, expected an integer >= 1`);
  }
}

/** A window in images `[batch, height, width, channels]`. */
function windowOf(x: Tensor, top: number, left: number, height: number, width: number): Tensor {
  if (height === x.shape[1] && width === x.shape[2]) return x;
  return slice(x, [0, top, left, 0], [x.shape[0]!, height, width, x.shape[3]!]);
}

/** The largest part around the center that has the target's ratio of sides. */
function cropToRatio(x: Tensor, height: number, width: number): Tensor {
  const [, rows, columns] = x.shape as [number, number, number, number];
  const high = Math.max(1, Math.min(rows, Math.trunc((columns * height) / width)));
  const wide = Math.max(1, Math.min(columns, Math.trunc((rows * width) / height)));
  return windowOf(x, Math.trunc((rows - high) / 2), Math.trunc((columns - wide) / 2), high, wide);
}

/** With borders of one value, so that it has the target's ratio of sides. */
function padToRatio(x: Tensor, height: number, width: number, value: number): Tensor {
  const [, rows, columns] = x.shape as [number, number, number, number];
  const high = Math.max(rows, Math.trunc((columns * height) / width));
  const wide = Math.max(columns, Math.trunc((rows * width) / height));
  const [above, before] = [Math.trunc((high - rows) / 2), Math.trunc((wide - columns) / 2)];
  if (above === 0 && before === 0) return x;
  return pad(
    x,
    [
      [0, 0],
      [above, above],
      [before, before],
      [0, 0],
    ],
    value,
  );
}

/** How pixels between those of an image are found. */
export type Interpolation = 'nearest' | 'bilinear' | 'bicubic' | 'lanczos3' | 'lanczos5';

/** @internal */
export const interpolations: readonly Interpolation[] = [
  'nearest',
  'bilinear',
  'bicubic',
  'lanczos3',
  'lanczos5',
];

/** @internal Images in another size; all but the nearest pixel give float32. */
export function interpolate(
  x: Tensor,
  height: number,
  width: number,
  interpolation: Interpolation,
  antialias = false,
): Tensor {
  if (interpolation === 'nearest') return resizeNearestNeighbor(x, [height, width], false, true);
  if (interpolation === 'bilinear' && !antialias) return bilinear(x, height, width);
  if (height === x.shape[1] && width === x.shape[2]) return x;
  return resample(toFloats(x), [height, width], weightings[interpolation], antialias);
}

function bilinear(x: Tensor, height: number, width: number): Tensor {
  return height === x.shape[1] && width === x.shape[2] ? x : resizeBilinear(x, [height, width], false, true);
}

/** The largest part with the target's ratio of sides, in the target's size, float32. */
export function smartResize(x: Tensor, height: number, width: number): Tensor {
  return bilinear(cropToRatio(cast(x, 'float32'), height, width), height, width);
}

/** Options of {@link resizing}. */
export interface ResizingOptions extends ImageSizeOptions {
  /** Default `'bilinear'`. */
  interpolation?: Interpolation;
  /** Whether images that are made smaller are blurred first, so that no pixel is passed over. Default false. */
  antialias?: boolean;
  /** Whether the image is cropped around its center first, so that it is not distorted. Default false. */
  cropToAspectRatio?: boolean;
  /** Whether the image is padded first, so that it is not distorted. Default false. */
  padToAspectRatio?: boolean;
  /** What it is padded with. Default 0. */
  fillValue?: number;
}

/** Images in another size. */
export class Resizing extends Layer {
  readonly kind = 'resizing';
  private readonly options: ResizingOptions;

  constructor(options: ResizingOptions) {
    super(options);
    this.options = options;
    checkSize(this.name, options);
    const { interpolation = 'bilinear', cropToAspectRatio, padToAspectRatio, fillValue = 0 } = options;
    if (!interpolations.includes(interpolation))
      throw unknownName(this.name, 'interpolation', interpolation, interpolations);
    if (cropToAspectRatio && padToAspectRatio) {
      throw new NablaError(
        this.name,
        'cropToAspectRatio and padToAspectRatio exclude each other, got both; pass one',
      );
    }
    if (typeof fillValue !== 'number') {
      throw new NablaError(this.name, `bad fillValue, got ${describe(fillValue)}, expected a number`);
    }
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, 2);
    return [this.options.height, this.options.width, sample[2]!];
  }

  protected override call(x: Tensor): Tensor {
    const { height, width, interpolation = 'bilinear', antialias } = this.options;
    const { cropToAspectRatio, padToAspectRatio, fillValue = 0 } = this.options;
    const cropped = cropToAspectRatio ? cropToRatio(x, height, width) : x;
    const framed = padToAspectRatio ? padToRatio(cropped, height, width, fillValue) : cropped;
    const resized = interpolate(framed, height, width, interpolation, antialias);
    if (interpolation === 'nearest' || x.dtype === 'float32' || resized.dtype !== 'float32') return resized;
    const rounded = round(resized);
    return cast(x.dtype === 'uint8' ? clip(rounded, 0, 255) : rounded, x.dtype);
  }
}

/**
 * Brings images `[height, width, channels]` to one size. Pixels are squares with their centers at halves, as in Keras. Integers stay integers, rounded.
 *
 * @example layers.resizing({ height: 32, width: 32, padToAspectRatio: true, inputShape: [48, 64, 3] })
 */
export function resizing(options: ResizingOptions): Resizing {
  return new Resizing(options);
}

/** The middle of images. */
export class CenterCrop extends Layer {
  readonly kind = 'centerCrop';
  private readonly height: number;
  private readonly width: number;

  constructor(options: ImageSizeOptions) {
    super(options);
    checkSize(this.name, options);
    this.height = options.height;
    this.width = options.width;
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, 2);
    return [this.height, this.width, sample[2]!];
  }

  protected override call(x: Tensor): Tensor {
    const { height, width } = this;
    const [spareRows, spareColumns] = [x.shape[1]! - height, x.shape[2]! - width];
    if (spareRows < 0 || spareColumns < 0) return smartResize(x, height, width);
    const [top, left] = [Math.floor(spareRows / 2), Math.floor(spareColumns / 2)];
    return windowOf(cast(x, 'float32'), top, left, height, width);
  }
}

/**
 * Takes the middle of images `[height, width, channels]`; where they are too small, the largest part of the target's ratio is enlarged.
 *
 * @example layers.centerCrop({ height: 24, width: 24, inputShape: [28, 28, 1] })
 */
export function centerCrop(options: ImageSizeOptions): CenterCrop {
  return new CenterCrop(options);
}
