// Images turned, scaled, sheared and moved: every pixel of the output looks at a place of the input.
import { NablaError, unknownName } from '../errors.ts';
import { showShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { placeName } from '../trace.ts';
import { add, maximum, minimum, mod, mul, sub } from './arithmetic.ts';
import { cast, greaterEqual, less, logicalAnd, where } from './compare.ts';
import { range } from './creation.ts';
import { gather } from './gather.ts';
import { reshape, slice } from './shape.ts';
import { abs, floor, sign } from './unary.ts';

/**
 * What lies around an image: `'reflect'` the image mirrored at its edges (d c b a | a b c d | d c b a), `'wrap'` the image again, `'nearest'` its
 * border, `'constant'` one value.
 */
export type FillMode = 'reflect' | 'wrap' | 'nearest' | 'constant';

/** Options of {@link affineTransform}. */
export interface AffineOptions {
  /** Between pixels: `'bilinear'` (default) or the `'nearest'` pixel. */
  interpolation?: 'bilinear' | 'nearest';
  /** Default `'constant'`. */
  fillMode?: FillMode;
  /** What is outside with `'constant'`. Default 0. */
  fillValue?: number;
}

const fillModes: readonly FillMode[] = ['reflect', 'wrap', 'nearest', 'constant'];
const interpolations = ['bilinear', 'nearest'] as const;

/** Throws unless these are names of a fill mode and an interpolation. */
export function checkAffine(where: string, { fillMode, interpolation }: AffineOptions): void {
  if (fillMode !== undefined && !fillModes.includes(fillMode)) {
    throw unknownName(where, 'fillMode', fillMode, fillModes);
  }
  if (interpolation !== undefined && !interpolations.includes(interpolation)) {
    throw unknownName(where, 'interpolation', interpolation, interpolations);
  }
}

/** The six numbers of a map `x' = a0 x + a1 y + a2, y' = b0 x + b1 y + b2`: each a number, or float32 `[batch]`, one for each image. */
export type AffineColumns = readonly [
  a0: Tensor | number,
  a1: Tensor | number,
  a2: Tensor | number,
  b0: Tensor | number,
  b1: Tensor | number,
  b2: Tensor | number,
];

/** A pixel to read along one axis: its index, and how much it counts; `inside` is missing where every index is. */
interface Node {
  readonly index: Tensor;
  readonly inside: Tensor | undefined;
  readonly weight: Tensor | undefined;
}

/** An index brought into the image. */
function node(index: Tensor, size: number, mode: FillMode, weight: Tensor | undefined): Node {
  if (mode === 'wrap') return { index: mod(index, size), inside: undefined, weight };
  if (mode === 'reflect') {
    const along = mod(index, 2 * size);
    return { index: minimum(along, sub(2 * size - 1, along)), inside: undefined, weight };
  }
  const inside = logicalAnd(greaterEqual(index, 0), less(index, size));
  const kept = minimum(maximum(index, 0), size - 1);
  return { index: kept, inside: mode === 'constant' ? inside : undefined, weight };
}

/** The pixels that a coordinate along one axis reads. */
function nodes(at: Tensor, size: number, mode: FillMode, interpolation: 'bilinear' | 'nearest'): Node[] {
  if (interpolation === 'nearest') {
    // Halves go away from zero.
    const rounded = mul(sign(at), floor(add(abs(at), 0.5)));
    return [node(cast(rounded, 'int32'), size, mode, undefined)];
  }
  const below = floor(at);
  const first = cast(below, 'int32');
  const share = sub(at, below);
  return [node(first, size, mode, sub(1, share)), node(add(first, 1), size, mode, share)];
}

/** {@link affineTransform} with its numbers apart: float32 images `[batch, height, width, channels]`. */
export function affineSample(images: Tensor, columns: AffineColumns, options: AffineOptions): Tensor {
  const { interpolation = 'bilinear', fillMode = 'constant', fillValue = 0 } = options;
  const [batch, height, width, channels] = images.shape as [number, number, number, number];
  const [a0, a1, a2, b0, b1, b2] = columns.map((column) =>
    column instanceof Tensor ? reshape(column, [column.size, 1, 1]) : column,
  ) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
  const x = cast(reshape(range(0, width), [1, 1, width]), 'float32');
  const y = cast(reshape(range(0, height), [1, height, 1]), 'float32');
  const across = nodes(add(add(mul(x, a0), mul(y, a1)), a2), width, fillMode, interpolation);
  const down = nodes(add(add(mul(x, b0), mul(y, b1)), b2), height, fillMode, interpolation);
  const first = mul(reshape(cast(range(0, batch), 'int32'), [batch, 1, 1]), height * width);
  const pixels = reshape(images, [batch * height * width, channels]);
  const parts = down.flatMap((row) =>
    across.map((column) => {
      const flat = add(first, add(mul(row.index, width), column.index));
      const read = reshape(gather(pixels, flat), images.shape);
      const each = (value: Tensor) => reshape(value, [...value.shape, 1]);
      const seen =
        row.inside === undefined || column.inside === undefined
          ? read
          : where(each(logicalAnd(row.inside, column.inside)), read, fillValue);
      if (row.weight === undefined || column.weight === undefined) return seen;
      return mul(seen, each(mul(row.weight, column.weight)));
    }),
  );
  return parts.reduce((sum, part) => add(sum, part));
}

/**
 * Images moved by an affine map each: output pixel `(x, y)`, x to the right and y down from 0 on, is read at
 * `(a0 x + a1 y + a2, b0 x + b1 y + b2)` of the input. `images` `[batch, height, width, channels]` or one image without batch; `transform`
 * `[batch, 8]` or `[8]`: rows `a0 a1 a2 b0 b1 b2 0 0`, as in Keras (the last two may be left out). Float32.
 *
 * @example affineTransform(images, tensor([1, 0, 2, 0, 1, 0, 0, 0])) // two pixels to the left, zeros from the right
 */
export function affineTransform(images: Tensor, transform: Tensor, options: AffineOptions = {}): Tensor {
  const place = placeName('affineTransform');
  checkAffine(place, options);
  if (images.rank !== 3 && images.rank !== 4) {
    throw new NablaError(
      place,
      `expected images [batch, height, width, channels] or one without batch, got ${images}`,
    );
  }
  const shape = images.rank === 3 ? [1, ...images.shape] : images.shape;
  const numbers = transform.shape.at(-1);
  const rows = transform.rank === 2 ? transform.shape[0]! : 1;
  const fits = (numbers === 6 || numbers === 8) && transform.rank <= 2 && (rows === 1 || rows === shape[0]);
  if (!fits) {
    throw new NablaError(
      place,
      `bad transform, got ${showShape(transform.shape)}, expected [8] or [${shape[0]}, 8]: a0 a1 a2 b0 b1 b2 0 0 for each image`,
    );
  }
  const table = reshape(cast(transform, 'float32'), [rows, numbers!]);
  const columns = [0, 1, 2, 3, 4, 5].map((i) => reshape(slice(table, [0, i], [rows, 1]), [rows]));
  const floats = reshape(cast(images, 'float32'), shape);
  return reshape(affineSample(floats, columns as unknown as AffineColumns, options), images.shape);
}
