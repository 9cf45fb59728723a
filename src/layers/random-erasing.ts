// RandomErasing, RandomGrayscale, RandomInvert: some images, or a patch of them, lose their content or their colors while fitting.
import { describe, NablaError } from '../errors.ts';
import { add, maximum, minimum, mul, sub } from '../ops/arithmetic.ts';
import { greaterEqual, less, logicalAnd, where } from '../ops/compare.ts';
import { range, tensor } from '../ops/creation.ts';
import { randomNormal, randomUniform } from '../ops/random.ts';
import { sum } from '../ops/reduce.ts';
import { reshape } from '../ops/shape.ts';
import { sqrt } from '../ops/unary.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { RandomOptions } from './layer.ts';
import { type Factor, RandomImages } from './random-images.ts';

/** @internal The least and the most of a share in [0, 1]; one number is the most, and 0 the least. */
export function shareRange(name: string, label: string, value: unknown): [number, number] {
  const pair: unknown = typeof value === 'number' ? [0, value] : value;
  const inside = (n: unknown) => typeof n === 'number' && n >= 0 && n <= 1;
  if (Array.isArray(pair) && pair.length === 2 && pair.every(inside)) {
    return [Math.min(...(pair as number[])), Math.max(...(pair as number[]))];
  }
  throw new NablaError(
    name,
    `bad ${label}, got ${describe(value)}, expected a number or two numbers in [0, 1]`,
  );
}

/** @internal The least and the largest number of images, checked. */
export function checkedRange(name: string, value: unknown): readonly [number, number] {
  const [low, high] = Array.isArray(value) ? (value as number[]) : [];
  if (typeof low === 'number' && typeof high === 'number' && low < high) return [low, high];
  throw new NablaError(
    name,
    `bad valueRange, got ${describe(value)}, expected [lowest, highest], such as [0, 1]`,
  );
}

/** Uniform numbers, one for each image, `[batch, 1, 1, 1]`. */
const each = (batch: number, [low, high]: readonly [number, number] = [0, 1]): Tensor =>
  randomUniform([batch, 1, 1, 1], low, high);

/** Which images are changed: each with a probability that is drawn for it. */
const chosen = (batch: number, probability: readonly [number, number]): Tensor =>
  less(each(batch), each(batch, probability));

/** Options of {@link randomErasing}. */
export interface RandomErasingOptions extends RandomOptions {
  /** Probability that an image is changed, drawn for each between 0 and this, or between two numbers. Default 1. */
  factor?: Factor;
  /** Share of height and width that is erased, squared: drawn between two numbers in [0, 1]. Default [0.02, 0.33]. */
  scale?: Factor;
  /** What is put there, or one number for each channel. Default: normal noise times the range's upper end. */
  fillValue?: number | readonly number[] | null;
  /** The least and the largest number of an image, which the patch keeps to. Default [0, 255]. */
  valueRange?: readonly [number, number];
}

/** A rectangle of some images replaced. (Zhong et al. 2017.) */
export class RandomErasing extends RandomImages {
  readonly kind = 'randomErasing';
  private readonly probability: readonly [number, number];
  private readonly scale: readonly [number, number];
  private readonly fillValue: number | readonly number[] | undefined;
  private readonly valueRange: readonly [number, number];

  constructor(options: RandomErasingOptions = {}) {
    super(options);
    this.probability = shareRange(this.name, 'factor', options.factor ?? 1);
    this.scale = shareRange(this.name, 'scale', options.scale ?? [0.02, 0.33]);
    this.valueRange = checkedRange(this.name, options.valueRange ?? [0, 255]);
    this.fillValue = options.fillValue ?? undefined;
    const values = [this.fillValue ?? 0].flat();
    if (values.length === 0 || !values.every((value) => typeof value === 'number')) {
      throw new NablaError(
        this.name,
        `bad fillValue, got ${describe(options.fillValue)}, expected a number, or one for each channel`,
      );
    }
  }

  override computeOutputShape(sample: Shape): number[] {
    const shape = super.computeOutputShape(sample);
    if (!Array.isArray(this.fillValue) || this.fillValue.length === sample[2]) return shape;
    throw new NablaError(
      this.name,
      `expected images of ${this.fillValue.length} channels, as fillValue has, got ${showShape(sample)}`,
    );
  }

  protected override disturb(x: Tensor): Tensor {
    const [batch, height, width] = x.shape as [number, number, number, number];
    const rows = this.inside(batch, reshape(range(0, height), [1, height, 1, 1]), height);
    const columns = this.inside(batch, reshape(range(0, width), [1, 1, width, 1]), width);
    const patch = logicalAnd(rows, columns);
    return where(logicalAnd(patch, chosen(batch, this.probability)), this.content(x.shape), x);
  }

  /** Whether positions along one side lie in an image's patch. */
  private inside(batch: number, positions: Tensor, size: number): Tensor {
    const length = mul(sqrt(each(batch, this.scale)), size);
    const begin = mul(each(batch), sub(size, length));
    return logicalAnd(greaterEqual(positions, begin), less(positions, add(begin, length)));
  }

  private content(shape: Shape): Tensor {
    const [low, high] = this.valueRange;
    const content =
      this.fillValue === undefined
        ? mul(randomNormal(shape), high)
        : tensor([this.fillValue].flat(), undefined, 'float32');
    return minimum(maximum(content, low), high);
  }
}

/**
 * Replaces a random rectangle of images by noise or one color while fitting.
 *
 * @example layers.randomErasing({ factor: 0.5, fillValue: 0, valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomErasing(options: RandomErasingOptions = {}): RandomErasing {
  return new RandomErasing(options);
}

/** Options of {@link randomGrayscale}. */
export interface RandomGrayscaleOptions extends RandomOptions {
  /** Probability that an image loses its colors, in [0, 1]. Default 0.5. */
  factor?: number;
}

/** Some images without color, in as many channels. */
export class RandomGrayscale extends RandomImages {
  readonly kind = 'randomGrayscale';
  private readonly probability: number;

  constructor(options: RandomGrayscaleOptions = {}) {
    super(options);
    this.probability = options.factor ?? 0.5;
    if (typeof this.probability !== 'number' || !(this.probability >= 0 && this.probability <= 1)) {
      throw new NablaError(
        this.name,
        `bad factor, got ${describe(options.factor)}, expected a number in [0, 1]`,
      );
    }
  }

  override computeOutputShape(sample: Shape): number[] {
    const shape = super.computeOutputShape(sample);
    if (sample[2] === 1 || sample[2] === 3) return shape;
    throw new NablaError(
      this.name,
      `expected images of 3 channels (red, green, blue) or 1, got ${showShape(sample)}`,
    );
  }

  protected override disturb(x: Tensor): Tensor {
    if (x.shape[3] === 1) return x;
    // The weights of ITU-R BT.601, as TensorFlow and Keras round them.
    const gray = sum(mul(x, tensor([0.2989, 0.587, 0.114])), -1, true);
    return where(less(each(x.shape[0]!), this.probability), gray, x);
  }
}

/**
 * Takes the colors from some images while fitting.
 *
 * @example layers.randomGrayscale({ factor: 0.2, inputShape: [32, 32, 3] })
 */
export function randomGrayscale(options: RandomGrayscaleOptions = {}): RandomGrayscale {
  return new RandomGrayscale(options);
}

/** Options of {@link randomInvert}. */
export interface RandomInvertOptions extends RandomOptions {
  /** Probability that an image is inverted, drawn for each between 0 and this, or between two numbers. Default 1. */
  factor?: Factor;
  /** The least and the largest number of an image. Default [0, 255]. */
  valueRange?: readonly [number, number];
}

/** Some images as negatives. */
export class RandomInvert extends RandomImages {
  readonly kind = 'randomInvert';
  private readonly probability: readonly [number, number];
  private readonly valueRange: readonly [number, number];

  constructor(options: RandomInvertOptions = {}) {
    super(options);
    this.probability = shareRange(this.name, 'factor', options.factor ?? 1);
    this.valueRange = checkedRange(this.name, options.valueRange ?? [0, 255]);
  }

  protected override disturb(x: Tensor): Tensor {
    return where(chosen(x.shape[0]!, this.probability), sub(this.valueRange[1], x), x);
  }
}

/**
 * Turns some images into negatives while fitting: the range's upper end less each number.
 *
 * @example layers.randomInvert({ factor: 0.3, valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomInvert(options: RandomInvertOptions = {}): RandomInvert {
  return new RandomInvert(options);
}
