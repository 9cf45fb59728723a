// RandomSharpness, RandomGaussianBlur, RandomPosterization, Solarization, AutoContrast, Equalization: tones and edges of images changed.
import { describe, NablaError } from '../errors.ts';
import { add, div, maximum, minimum, mul, pow, sub } from '../ops/arithmetic.ts';
import { cast, equal, greater, less, lessEqual, where } from '../ops/compare.ts';
import { depthwiseConv2d } from '../ops/conv.ts';
import { fill, range, tensor } from '../ops/creation.ts';
import { cumsum } from '../ops/cumulate.ts';
import { gather, scatterAdd } from '../ops/gather.ts';
import { randomInt, randomUniform } from '../ops/random.ts';
import { max, min, sum } from '../ops/reduce.ts';
import { broadcastTo, reshape } from '../ops/shape.ts';
import { clip, exp, floor, round, square } from '../ops/unary.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkSample } from './conv.ts';
import { Layer, type LayerOptions, type RandomOptions } from './layer.ts';
import { checkedRange, shareRange } from './random-erasing.ts';
import { type Factor, RandomImages } from './random-images.ts';

/** Options of layers that know the range of an image's numbers. */
export interface ToneOptions extends LayerOptions {
  /** The least and the largest number of an image. Default [0, 255]. */
  valueRange?: readonly [number, number];
}

/** From the range of the images to [0, 255], and back. */
function inBytes(x: Tensor, [low, high]: readonly [number, number], change: (x: Tensor) => Tensor): Tensor {
  const scale = 255 / (high - low);
  return add(div(change(mul(sub(x, low), scale)), scale), low);
}

const each = (x: Tensor, [low, high]: readonly [number, number]) =>
  randomUniform([x.shape[0]!, 1, 1, 1], low, high);

/** The base of layers that keep to a range while they change tones by chance. */
abstract class RandomTone extends RandomImages {
  /** @internal */
  protected readonly valueRange: readonly [number, number];

  constructor(kind: string, options: ToneOptions) {
    super(options);
    // Classes that extend this one have their kind only after it.
    this.valueRange = checkedRange(options.name ?? kind, options.valueRange ?? [0, 255]);
  }

  /** @internal */
  protected limited(x: Tensor): Tensor {
    return minimum(maximum(x, this.valueRange[0]), this.valueRange[1]);
  }
}

/** Options of {@link randomSharpness}. */
export interface RandomSharpnessOptions extends ToneOptions, RandomOptions {
  /** Share in [0, 1], drawn for each image between 0 and this, or between two numbers: 0 blurs, 0.5 leaves the image, 1 sharpens. */
  factor: Factor;
}

/** Edges made softer or harder. */
export class RandomSharpness extends RandomTone {
  readonly kind = 'randomSharpness';
  private readonly amount: readonly [number, number];

  constructor(options: RandomSharpnessOptions) {
    super('randomSharpness', options);
    this.amount = shareRange(this.name, 'factor', options.factor);
  }

  protected override disturb(x: Tensor): Tensor {
    const channels = x.shape[3]!;
    const kernel = Array.from({ length: 9 }, (_, i) => (i === 4 ? 5 : 1) / 13);
    const filter = broadcastTo(tensor(kernel, [3, 3, 1, 1]), [3, 3, channels, 1]);
    const smooth = depthwiseConv2d(x, filter, { padding: 'same' });
    const share = sub(1, mul(each(x, this.amount), 2));
    return this.limited(add(x, mul(share, sub(smooth, x))));
  }
}

/**
 * Makes the edges of each image softer or harder while fitting: `x + (1 - 2f) (smooth - x)`, where each pixel of `smooth` is that of the image, five times as heavy as each of
 * its eight neighbours.
 *
 * @example layers.randomSharpness({ factor: [0.3, 0.9], valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomSharpness(options: RandomSharpnessOptions): RandomSharpness {
  return new RandomSharpness(options);
}

/** Options of {@link randomGaussianBlur}. */
export interface RandomGaussianBlurOptions extends ToneOptions, RandomOptions {
  /** Probability that an image is changed, drawn for each between 0 and this, or between two numbers. Default 1. */
  factor?: Factor;
  /** Columns and rows of the window, in this order as in Keras, odd. Default 3. */
  kernelSize?: number | readonly [number, number];
  /** Standard deviation in pixels, in [0, 1], drawn for both directions between 0 and this, or between two numbers. Default 1. */
  sigma?: Factor;
}

/** Some images blurred. */
export class RandomGaussianBlur extends RandomTone {
  readonly kind = 'randomGaussianBlur';
  private readonly probability: readonly [number, number];
  private readonly sigma: readonly [number, number];
  private readonly kernelSize: readonly [number, number];

  constructor(options: RandomGaussianBlurOptions = {}) {
    super('randomGaussianBlur', options);
    this.probability = shareRange(this.name, 'factor', options.factor ?? 1);
    this.sigma = shareRange(this.name, 'sigma', options.sigma ?? 1);
    const { kernelSize = 3 } = options;
    const sizes = typeof kernelSize === 'number' ? [kernelSize, kernelSize] : kernelSize;
    const odd = (n: unknown) => Number.isInteger(n) && (n as number) > 0 && (n as number) % 2 === 1;
    if (!Array.isArray(sizes) || sizes.length !== 2 || !sizes.every(odd)) {
      throw new NablaError(
        this.name,
        `bad kernelSize, got ${describe(kernelSize)}, expected an odd number, or one each for columns and rows`,
      );
    }
    this.kernelSize = sizes as [number, number];
  }

  protected override disturb(x: Tensor): Tensor {
    const [columns, rows] = this.kernelSize;
    const bell = (size: number) => {
      const sigma = add(randomUniform([1], this.sigma[0], this.sigma[1]), 1e-6);
      const heights = exp(mul(square(div(sub(range(0, size), (size - 1) / 2), sigma)), -0.5));
      return div(heights, sum(heights));
    };
    const window = mul(reshape(bell(rows), [rows, 1]), reshape(bell(columns), [1, columns]));
    const channels = x.shape[3]!;
    const filter = broadcastTo(reshape(window, [rows, columns, 1, 1]), [rows, columns, channels, 1]);
    const blurred = depthwiseConv2d(x, filter, { padding: 'same' });
    return this.limited(where(less(each(x, [0, 1]), each(x, this.probability)), blurred, x));
  }
}

/**
 * Blurs some images by a Gaussian window while fitting; one standard deviation for the rows and one for the columns of a batch.
 *
 * @example layers.randomGaussianBlur({ factor: 0.5, kernelSize: 5, valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomGaussianBlur(options: RandomGaussianBlurOptions = {}): RandomGaussianBlur {
  return new RandomGaussianBlur(options);
}

/** Options of {@link randomPosterization}. */
export interface RandomPosterizationOptions extends ToneOptions, RandomOptions {
  /** Bits that are kept of eight, or the least and the most of them. */
  factor: number | readonly [number, number];
}

/** Images of few tones. */
export class RandomPosterization extends RandomTone {
  readonly kind = 'randomPosterization';
  private readonly bits: readonly [number, number];

  constructor(options: RandomPosterizationOptions) {
    super('randomPosterization', options);
    const { factor } = options;
    const pair = typeof factor === 'number' ? [factor, factor] : factor;
    const good = (n: unknown) => Number.isInteger(n) && (n as number) >= 0 && (n as number) <= 8;
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every(good)) {
      throw new NablaError(
        this.name,
        `bad factor, got ${describe(factor)}, expected a number of bits, or two, integers in [0, 8]`,
      );
    }
    this.bits = [Math.min(...(pair as number[])), Math.max(...(pair as number[]))];
  }

  protected override disturb(x: Tensor): Tensor {
    const shape = [x.shape[0]!, 1, 1, 1];
    const [least, most] = this.bits;
    const bits = least === most ? fill(shape, least) : cast(randomInt(shape, least, most + 1), 'float32');
    const step = pow(2, sub(8, bits));
    return inBytes(x, this.valueRange, (bytes) => mul(floor(div(floor(clip(bytes, 0, 255)), step)), step));
  }
}

/**
 * Keeps the highest bits of each pixel while fitting, where images are seen as bytes.
 *
 * @example layers.randomPosterization({ factor: [3, 6], valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomPosterization(options: RandomPosterizationOptions): RandomPosterization {
  return new RandomPosterization(options);
}

/** Options of {@link solarization}. */
export interface SolarizationOptions extends ToneOptions, RandomOptions {
  /** Share of the range that is added first, drawn between 0 and this, or between two numbers in [0, 1]. Default 0. */
  additionFactor?: Factor;
  /** Share of the range from which on numbers are inverted, drawn as well. Default 0: all. */
  thresholdFactor?: Factor;
}

/** Bright pixels as negatives. */
export class Solarization extends RandomTone {
  readonly kind = 'solarization';
  private readonly addition: readonly [number, number];
  private readonly threshold: readonly [number, number];

  constructor(options: SolarizationOptions = {}) {
    super('solarization', options);
    this.addition = shareRange(this.name, 'additionFactor', options.additionFactor ?? 0);
    this.threshold = shareRange(this.name, 'thresholdFactor', options.thresholdFactor ?? 0);
  }

  protected override disturb(x: Tensor): Tensor {
    const [addition, threshold] = [mul(each(x, this.addition), 255), mul(each(x, this.threshold), 255)];
    return inBytes(x, this.valueRange, (bytes) => {
      const brighter = clip(add(bytes, addition), 0, 255);
      return where(less(brighter, threshold), brighter, sub(255, brighter));
    });
  }
}

/**
 * Turns the pixels of each image that are brighter than a threshold into negatives while fitting.
 *
 * @example layers.solarization({ thresholdFactor: [0.4, 0.6], valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function solarization(options: SolarizationOptions = {}): Solarization {
  return new Solarization(options);
}

/** Each channel stretched over the whole range. */
export class AutoContrast extends Layer {
  readonly kind = 'autoContrast';
  private readonly valueRange: readonly [number, number];

  constructor(options: ToneOptions = {}) {
    super(options);
    this.valueRange = checkedRange(this.name, options.valueRange ?? [0, 255]);
  }

  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, 2);
    return [...sample];
  }

  protected override call(images: Tensor): Tensor {
    const x = cast(images, 'float32');
    const [least, most] = [min(x, [1, 2], true), max(x, [1, 2], true)];
    const [low, high] = this.valueRange;
    const flat = equal(least, most);
    const unit = div(sub(x, least), where(flat, 1, sub(most, least)));
    return where(flat, x, add(mul(unit, high - low), low));
  }
}

/**
 * Stretches each channel of each image over the whole range, in fitting and otherwise; channels of one tone stay as they are.
 *
 * @example layers.autoContrast({ valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function autoContrast(options: ToneOptions = {}): AutoContrast {
  return new AutoContrast(options);
}

/** Options of {@link equalization}. */
export interface EqualizationOptions extends ToneOptions {
  /** Tones that are told apart, at least 2. Default 256. */
  bins?: number;
}

/** Tones spread so that each is about as frequent. */
export class Equalization extends RandomTone {
  readonly kind = 'equalization';
  private readonly bins: number;

  constructor(options: EqualizationOptions = {}) {
    super('equalization', options);
    this.bins = options.bins ?? 256;
    if (!Number.isInteger(this.bins) || this.bins < 2)
      throw new NablaError(this.name, `bad bins, got ${describe(options.bins)}, expected an integer >= 2`);
  }

  protected override disturb(x: Tensor): Tensor {
    const { bins } = this;
    const [batch, , , channels] = x.shape as [number, number, number, number];
    const lines = batch * channels;
    return inBytes(x, this.valueRange, (bytes) => {
      const tone = clip(floor(mul(bytes, (bins - 1) / 255)), 0, bins - 1);
      // Each channel of each image has a histogram of its own.
      const line = reshape(range(0, lines), [batch, 1, 1, channels]);
      const place = reshape(cast(add(tone, mul(line, bins)), 'int32'), [x.size]);
      const counts = reshape(scatterAdd(fill([x.size], 1), place, lines * bins, 1), [lines, bins]);
      const upTo = cumsum(counts, 1);
      const all = max(upTo, 1, true);
      const first = min(where(greater(upTo, 0), upTo, all), 1, true);
      const rest = sub(all, first);
      const spread = round(div(mul(sub(upTo, first), 255), where(equal(rest, 0), 1, rest)));
      const table = reshape(clip(spread, 0, 255), [lines * bins]);
      const flat = reshape(lessEqual(rest, 0), [batch, 1, 1, channels]);
      return where(flat, bytes, reshape(gather(table, place), x.shape));
    });
  }
}

/**
 * Spreads the tones of each channel of each image while fitting so that all are about as frequent (histogram equalization).
 *
 * @example layers.equalization({ valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function equalization(options: EqualizationOptions = {}): Equalization {
  return new Equalization(options);
}
