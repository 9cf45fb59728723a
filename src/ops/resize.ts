// Images in other sizes, channels last, and the gradients.
import { record } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import { resizeModes } from '../program/kernels.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, placeName } from '../trace.ts';
import { toFloats } from './compare.ts';
import { reshape } from './shape.ts';

type ResizeMode = keyof typeof resizeModes;

/** What both kernels are told: mode, sizes, where the pixels' centers are. */
interface Plan {
  readonly name: string;
  readonly attributes: readonly number[];
  readonly small: Shape;
  readonly large: Shape;
}

function run(plan: Plan, x: Tensor): Tensor {
  const { name, attributes, large } = plan;
  const outputs = [{ shape: large, dtype: x.dtype }];
  const out = emit({ kernel: 'resize', outputs, inputs: [x], attributes, where: name })[0]!;
  record(name, [out], [x], (dy) => [dy && runBack(plan, dy)]);
  return out;
}

/** Linear like the way there, so that each is the gradient of the other. */
function runBack(plan: Plan, dy: Tensor): Tensor {
  const { name, attributes, small } = plan;
  const outputs = [{ shape: small, dtype: 'float32' as const }];
  const out = emit({ kernel: 'resizeGrad', outputs, inputs: [dy], attributes, where: name })[0]!;
  record(`${name} gradient`, [out], [dy], (g) => [g && run(plan, g)]);
  return out;
}

/** @internal Throws where these are no images, or that is no size for them. */
export function checkImages(where: string, images: Tensor, size: readonly [number, number]): void {
  if (images.rank !== 3 && images.rank !== 4) {
    throw new NablaError(
      where,
      `expected images [batch, height, width, channels] or one without batch, got ${images}`,
    );
  }
  if (size.length !== 2 || !size.every((n) => Number.isInteger(n) && n > 0)) {
    throw new NablaError(where, `bad size, got [${size}], expected [height, width], integers > 0`);
  }
}

function resize(
  name: string,
  mode: ResizeMode,
  images: Tensor,
  size: readonly [number, number],
  alignCorners: boolean,
  halfPixelCenters: boolean,
): Tensor {
  const where = placeName(name);
  checkImages(where, images, size);
  if (alignCorners && halfPixelCenters) {
    throw new NablaError(where, 'alignCorners and halfPixelCenters exclude each other, got both; pass one');
  }
  const small = images.rank === 3 ? [1, ...images.shape] : images.shape;
  const [batch, inH, inW, channels] = small as [number, number, number, number];
  if (inH * inW === 0 && batch * channels > 0) {
    throw new NablaError(where, `images of no pixels cannot be resized, got ${showShape(images.shape)}`);
  }
  const sizes = [resizeModes[mode], batch, inH, inW, channels, ...size];
  const attributes = [...sizes, Number(alignCorners), Number(halfPixelCenters)];
  const large = [batch, ...size, channels];
  const out = run({ name, attributes, small, large }, reshape(images, small));
  return images.rank === 3 ? reshape(out, large.slice(1)) : out;
}

/**
 * Images in another size by the nearest pixel, any dtype: `[batch, height, width, channels]` or one image. `size` is `[height, width]`. With
 * `halfPixelCenters` pixels are squares with their centers at halves (Keras' Resizing, tf.image.resize); with `alignCorners` the corner pixels'
 * centers meet; default neither (TF.js).
 */
export function resizeNearestNeighbor(
  images: Tensor,
  size: readonly [number, number],
  alignCorners = false,
  halfPixelCenters = false,
): Tensor {
  return resize('resizeNearestNeighbor', 'nearest', images, size, alignCorners, halfPixelCenters);
}

/** Images in another size by bilinear interpolation, float32; arguments as {@link resizeNearestNeighbor}. */
export function resizeBilinear(
  images: Tensor,
  size: readonly [number, number],
  alignCorners = false,
  halfPixelCenters = false,
): Tensor {
  const floats = toFloats(images);
  return resize('resizeBilinear', 'bilinear', floats, size, alignCorners, halfPixelCenters);
}
