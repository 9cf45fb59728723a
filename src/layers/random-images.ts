// RandomFlip, RandomCrop, RandomContrast, RandomBrightness: images that differ from one step of training to the next.
import { describe, NablaError, unknownName } from '../errors.ts';
import { add, maximum, minimum, mul, sub } from '../ops/arithmetic.ts';
import { cast, where } from '../ops/compare.ts';
import { range } from '../ops/creation.ts';
import { gather } from '../ops/gather.ts';
import { randomBernoulli, randomInt, randomUniform } from '../ops/random.ts';
import { mean } from '../ops/reduce.ts';
import { flip } from '../ops/shape.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkSample } from './conv.ts';
import { checkSize, type ImageSizeOptions, smartResize } from './image-size.ts';
import { type CallContext, Layer, type RandomOptions } from './layer.ts';

/** The base of layers that change images `[height, width, channels]` while fitting and pass them on, as float32, otherwise. */
export abstract class RandomImages extends Layer {
  /** The shape of one output sample, that of the input; throws where the input does not fit. */
  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, 2);
    return [...sample];
  }

  /** What becomes of a batch of images. */
  protected override call(x: Tensor, { training }: CallContext): Tensor {
    const floats = cast(x, 'float32');
    return training ? this.disturb(floats) : floats;
  }

  /** Float32 images changed by random numbers, each image by its own. */
  protected abstract disturb(x: Tensor): Tensor;
}

/** A share, or the least and the most of it. */
export type Factor = number | readonly [number, number];

/** The least and the most that a factor means: of one number minus it to it. */
export function factorRange(
  name: string,
  label: string,
  value: unknown,
  [low, high]: readonly [number, number],
): [number, number] {
  const pair: unknown = typeof value === 'number' ? [-Math.abs(value), Math.abs(value)] : value;
  const inside = (n: unknown) => typeof n === 'number' && n <= high;
  const both = Array.isArray(pair) && pair.length === 2 && pair.every(inside);
  if (!both || Math.min(...(pair as number[])) < low) {
    throw new NablaError(
      name,
      `bad ${label}, got ${describe(value)}, expected a number up to ${high}, or two numbers in [${low}, ${high}]`,
    );
  }
  return [Math.min(...(pair as number[])), Math.max(...(pair as number[]))];
}

/** A uniform number for each image, `[batch, 1, 1, 1]`. */
function each(x: Tensor, [low, high]: readonly [number, number]): Tensor {
  return randomUniform([x.shape[0]!, 1, 1, 1], low, high);
}

/** Which way images are flipped. */
export type FlipMode = 'horizontal' | 'vertical' | 'horizontalAndVertical';

/** Options of {@link randomFlip}. */
export interface RandomFlipOptions extends RandomOptions {
  /** `'horizontal'`: left and right; `'vertical'`: top and bottom. Default `'horizontalAndVertical'`: each by itself. */
  mode?: FlipMode;
}

const flipModes: readonly FlipMode[] = ['horizontal', 'vertical', 'horizontalAndVertical'];

/** Half of the images mirrored. */
export class RandomFlip extends RandomImages {
  readonly kind = 'randomFlip';
  private readonly mode: FlipMode;

  constructor(options: RandomFlipOptions = {}) {
    super(options);
    this.mode = options.mode ?? 'horizontalAndVertical';
    if (!flipModes.includes(this.mode)) throw unknownName(this.name, 'mode', this.mode, flipModes);
  }

  protected override disturb(x: Tensor): Tensor {
    const along = (images: Tensor, axis: number) =>
      where(randomBernoulli([images.shape[0]!, 1, 1, 1]), flip(images, axis), images);
    const sideways = this.mode === 'vertical' ? x : along(x, 2);
    return this.mode === 'horizontal' ? sideways : along(sideways, 1);
  }
}

/**
 * Mirrors half of the images while fitting, each by its own chance.
 *
 * @example layers.randomFlip({ mode: 'horizontal', inputShape: [32, 32, 3] })
 */
export function randomFlip(options: RandomFlipOptions = {}): RandomFlip {
  return new RandomFlip(options);
}

/** Options of {@link randomCrop}. */
export interface RandomCropOptions extends ImageSizeOptions, RandomOptions {}

/** A window of images, at another place in every step. */
export class RandomCrop extends RandomImages {
  readonly kind = 'randomCrop';
  private readonly height: number;
  private readonly width: number;

  constructor(options: RandomCropOptions) {
    super(options);
    checkSize(this.name, options);
    this.height = options.height;
    this.width = options.width;
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, 2);
    return [this.height, this.width, sample[2]!];
  }

  protected override call(x: Tensor, { training }: CallContext): Tensor {
    const fits = x.shape[1]! >= this.height && x.shape[2]! >= this.width;
    if (training && fits) return this.disturb(cast(x, 'float32'));
    return smartResize(x, this.height, this.width);
  }

  protected override disturb(x: Tensor): Tensor {
    const window = (images: Tensor, axis: number, size: number) => {
      const spare = images.shape[axis]! - size;
      if (spare === 0) return images;
      return gather(images, add(range(0, size), randomInt([1], 0, spare + 1)), axis);
    };
    return window(window(x, 1, this.height), 2, this.width);
  }
}

/**
 * Takes a window of images `[height, width, channels]` at a random place while fitting, the same for all images of a batch. Otherwise, and where
 * images are smaller than the window, the largest part around the center that has the window's ratio of sides is brought to its size.
 *
 * @example layers.randomCrop({ height: 24, width: 24, inputShape: [28, 28, 1] })
 */
export function randomCrop(options: RandomCropOptions): RandomCrop {
  return new RandomCrop(options);
}

/** Options of {@link randomContrast} and {@link randomBrightness}. */
export interface RandomColorOptions extends RandomOptions {
  /** How much: see the layer. */
  factor: Factor;
  /** The least and the largest number of an image, which the result keeps to. Default [0, 255]. */
  valueRange?: readonly [number, number];
}

/** The base of layers that change the colors of images. */
abstract class RandomColor extends RandomImages {
  /** What the numbers of images lie between. */
  protected readonly valueRange: readonly [number, number];

  constructor(options: RandomColorOptions) {
    super(options);
    this.valueRange = options.valueRange ?? [0, 255];
  }

  /** Throws unless it is two numbers that rise. */
  protected checkRange(): void {
    const [low, high] = Array.isArray(this.valueRange) ? this.valueRange : [];
    if (typeof low === 'number' && typeof high === 'number' && low < high) return;
    throw new NablaError(
      this.name,
      `bad valueRange, got ${describe(this.valueRange)}, expected [lowest, highest], such as [0, 1]`,
    );
  }

  /** Brought back into it. */
  protected limited(x: Tensor): Tensor {
    return minimum(maximum(x, this.valueRange[0]), this.valueRange[1]);
  }
}

/** Differences from the mean made larger or smaller. */
export class RandomContrast extends RandomColor {
  readonly kind = 'randomContrast';
  private readonly range: readonly [number, number];

  constructor(options: RandomColorOptions) {
    super(options);
    this.checkRange();
    const { factor } = options;
    const pair = typeof factor === 'number' ? [factor, factor] : factor;
    const [lower, upper] = Array.isArray(pair) ? (pair as number[]) : [];
    for (const share of [lower, upper]) {
      if (typeof share === 'number' && share >= 0 && share <= 1) continue;
      throw new NablaError(
        this.name,
        `bad factor, got ${describe(factor)}, expected a number or two numbers in [0, 1]`,
      );
    }
    this.range = [1 - lower!, 1 + upper!];
  }

  protected override disturb(x: Tensor): Tensor {
    const center = mean(x, [1, 2], true);
    return this.limited(add(mul(sub(x, center), each(x, this.range)), center));
  }
}

/**
 * Changes the contrast of each image while fitting: `(x - mean) * c + mean` with the mean of each channel and c uniform in
 * `[1 - factor, 1 + factor]`; of two factors the first is the lower side's.
 *
 * @example layers.randomContrast({ factor: 0.3, valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomContrast(options: RandomColorOptions): RandomContrast {
  return new RandomContrast(options);
}

/** All numbers of an image made larger or smaller. */
export class RandomBrightness extends RandomColor {
  readonly kind = 'randomBrightness';
  private readonly range: readonly [number, number];

  constructor(options: RandomColorOptions) {
    super(options);
    this.checkRange();
    this.range = factorRange(this.name, 'factor', options.factor, [-1, 1]);
  }

  protected override disturb(x: Tensor): Tensor {
    const [low, high] = this.valueRange;
    return this.limited(add(x, mul(each(x, this.range), high - low)));
  }
}

/**
 * Changes the brightness of each image while fitting: adds a share of the value range that is uniform in `[-factor, factor]`, or between two
 * factors.
 *
 * @example layers.randomBrightness({ factor: 0.2, valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomBrightness(options: RandomColorOptions): RandomBrightness {
  return new RandomBrightness(options);
}
