// Images in other sizes by bicubic, Lanczos and blurring interpolation: a matrix product along each side.
import { NablaError } from '../errors.ts';
import { showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { placeName } from '../trace.ts';
import { toFloats } from './compare.ts';
import { tensor } from './creation.ts';
import { matMul } from './linalg.ts';
import { checkImages } from './resize.ts';
import { reshape } from './shape.ts';

/** Options of {@link resizeBicubic}. */
export interface ResampleOptions {
  /** Whether images that are made smaller are blurred first, so that no pixel is passed over. Default false. */
  antialias?: boolean;
}

/** Options of {@link resizeLanczos}. */
export interface LanczosOptions extends ResampleOptions {
  /** How many pixels to each side count. Default 3. */
  radius?: 3 | 5;
}

/** How much a pixel at a distance counts; nothing from some distance on. */
type Weighting = (distance: number) => number;

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const lanczos =
  (radius: number): Weighting =>
  (x) =>
    x > radius ? 0 : sinc(x) * sinc(x / radius);

/** @internal The weightings by the names of Keras' interpolations. */
export const weightings = {
  bilinear: (x) => Math.max(0, 1 - x),
  // Keys 1981 with a = -0.5.
  bicubic: (x) => (x >= 2 ? 0 : x >= 1 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : (1.5 * x - 2.5) * x * x + 1),
  lanczos3: lanczos(3),
  lanczos5: lanczos(5),
} satisfies Record<string, Weighting>;

/** Row by row what each of `to` pixels reads of each of `from`, as a matrix. Pixels are squares with their centers at halves. */
function weightsOf(from: number, to: number, weighting: Weighting, antialias: boolean): Tensor<'float32'> {
  const scale = from / to;
  const width = antialias ? Math.max(scale, 1) : 1;
  const matrix = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale - 0.5;
    const row = Float64Array.from({ length: from }, (_, j) => weighting(Math.abs(center - j) / width));
    const total = row.reduce((sum, weight) => sum + weight, 0);
    matrix.set(
      row.map((weight) => weight / total),
      i * from,
    );
  }
  return tensor(matrix, [to, from], 'float32');
}

/** @internal Float32 images `[batch, height, width, channels]` in another size. */
export function resample(
  images: Tensor,
  [height, width]: readonly [number, number],
  weighting: Weighting,
  antialias: boolean,
): Tensor {
  const [batch, rows, columns, channels] = images.shape as [number, number, number, number];
  const flat = reshape(images, [batch, rows, columns * channels]);
  const down = height === rows ? flat : matMul(weightsOf(rows, height, weighting, antialias), flat);
  if (width === columns) return reshape(down, [batch, height, columns, channels]);
  const lines = reshape(down, [batch * height, columns, channels]);
  const across = matMul(weightsOf(columns, width, weighting, antialias), lines);
  return reshape(across, [batch, height, width, channels]);
}

function checked(
  name: string,
  images: Tensor,
  size: readonly [number, number],
  weighting: Weighting,
  antialias: boolean,
): Tensor {
  const where = placeName(name);
  checkImages(where, images, size);
  const shape = images.rank === 3 ? [1, ...images.shape] : images.shape;
  if (shape[1] === 0 || shape[2] === 0)
    throw new NablaError(where, `images of no pixels cannot be resized, got ${showShape(images.shape)}`);
  const out = resample(reshape(toFloats(images), shape), size, weighting, antialias);
  return images.rank === 3 ? reshape(out, out.shape.slice(1)) : out;
}

/**
 * Images in another size by cubic interpolation (Keys 1981), float32: `[batch, height, width, channels]` or one image; `size` is `[height, width]`.
 * Pixels are squares with their centers at halves, and what lies outside of the image does not count, as in Keras and tf.image.resize.
 *
 * @example resizeBicubic(ones([1, 4, 4, 3]), [8, 8]).shape // [ 1, 8, 8, 3 ]
 */
export function resizeBicubic(
  images: Tensor,
  size: readonly [number, number],
  { antialias = false }: ResampleOptions = {},
): Tensor {
  return checked('resizeBicubic', images, size, weightings.bicubic, antialias);
}

/**
 * Images in another size by a windowed sinc (Lanczos 1964; Duchon 1979), float32; otherwise as {@link resizeBicubic}.
 *
 * @example resizeLanczos(ones([4, 4, 3]), [2, 2], { radius: 5, antialias: true }).shape // [ 2, 2, 3 ]
 */
export function resizeLanczos(
  images: Tensor,
  size: readonly [number, number],
  { radius = 3, antialias = false }: LanczosOptions = {},
): Tensor {
  if (radius !== 3 && radius !== 5)
    throw new NablaError(placeName('resizeLanczos'), `bad radius, got ${radius}, expected 3 or 5`);
  return checked('resizeLanczos', images, size, lanczos(radius), antialias);
}
