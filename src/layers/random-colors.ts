// RandomHue, RandomSaturation, RandomColorDegeneration, RandomColorJitter: colors that differ from one step of training to the next.
import { NablaError } from '../errors.ts';
import { add, div, maximum, minimum, mod, mul, sub } from '../ops/arithmetic.ts';
import { equal, greater, where } from '../ops/compare.ts';
import { tensor } from '../ops/creation.ts';
import { randomBernoulli, randomUniform } from '../ops/random.ts';
import { sum } from '../ops/reduce.ts';
import { concat, slice } from '../ops/shape.ts';
import { abs, clip } from '../ops/unary.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { RandomOptions } from './layer.ts';
import { checkedRange, shareRange } from './random-erasing.ts';
import { type Factor, RandomBrightness, RandomContrast, RandomImages } from './random-images.ts';

/** Options of {@link randomHue}, {@link randomSaturation} and {@link randomColorDegeneration}. */
export interface RandomTintOptions extends RandomOptions {
  /** How much, in [0, 1]: see the layer. One number is the most, and 0 the least. */
  factor: Factor;
  /** The least and the largest number of an image. Default [0, 255]. */
  valueRange?: readonly [number, number];
}

type Three = readonly [Tensor, Tensor, Tensor];

/** The channels of images `[batch, height, width, 3]`. */
function channelsOf(x: Tensor): Three {
  const one = (i: number) => slice(x, [0, 0, 0, i], [...x.shape.slice(0, 3), 1]);
  return [one(0), one(1), one(2)];
}

/** Hue in turns, saturation and value of red, green and blue (Smith 1978); colors without saturation have hue 0. */
function toHsv([r, g, b]: Three): Three {
  const value = maximum(maximum(r, g), b);
  const spread = sub(value, minimum(minimum(r, g), b));
  const colored = greater(spread, 0);
  const share = (x: Tensor, by: Tensor, allowed: Tensor) => where(allowed, div(x, where(allowed, by, 1)), 0);
  const turn = (x: Tensor, y: Tensor, from: number) => add(share(sub(x, y), spread, colored), from);
  const sixths = where(equal(value, r), turn(g, b, 0), where(equal(value, g), turn(b, r, 2), turn(r, g, 4)));
  const hue = where(colored, mod(div(sixths, 6), 1), 0);
  return [hue, share(spread, value, greater(value, 0)), value];
}

/** Red, green and blue of hue in turns, saturation and value. */
function fromHsv([hue, saturation, value]: Three): Three {
  const channel = (offset: number) => {
    // How far along the wheel the channel is from its own color: 1 within a sixth of it, 0 from a third on.
    const place = mod(add(mul(hue, 6), offset), 6);
    const strength = clip(sub(abs(sub(place, 3)), 1), 0, 1);
    return mul(value, sub(1, mul(saturation, sub(1, strength))));
  };
  return [channel(0), channel(4), channel(2)];
}

/** The base of layers that take colors apart. */
abstract class RandomTint extends RandomImages {
  /** @internal */
  protected readonly amount: readonly [number, number];
  /** @internal */
  protected readonly valueRange: readonly [number, number];

  constructor(kind: string, options: RandomTintOptions) {
    super(options);
    // Classes that extend this one have their kind only after it.
    const name = options.name ?? kind;
    this.amount = shareRange(name, 'factor', options.factor);
    this.valueRange = checkedRange(name, options.valueRange ?? [0, 255]);
  }

  override computeOutputShape(sample: Shape): number[] {
    const shape = super.computeOutputShape(sample);
    if (sample[2] === 3) return shape;
    throw new NablaError(
      this.name,
      `expected images of 3 channels (red, green, blue), got ${showShape(sample)}`,
    );
  }

  /** A uniform number for each image. */
  protected drawn(x: Tensor): Tensor {
    return randomUniform([x.shape[0]!, 1, 1, 1], this.amount[0], this.amount[1]);
  }

  /** @internal Images with another hue, saturation or value. */
  protected inHsv(x: Tensor, change: (parts: Three) => Three): Tensor {
    const [low, high] = this.valueRange;
    const unit = div(sub(x, low), high - low);
    const changed = concat([...fromHsv(change(toHsv(channelsOf(unit))))], -1);
    return add(mul(clip(changed, 0, 1), high - low), low);
  }
}

/** Colors moved along the wheel. */
export class RandomHue extends RandomTint {
  readonly kind = 'randomHue';

  constructor(options: RandomTintOptions) {
    super('randomHue', options);
  }

  protected override disturb(x: Tensor): Tensor {
    const amount = mul(this.drawn(x), 0.5);
    const signed = where(randomBernoulli([x.shape[0]!, 1, 1, 1]), amount, mul(amount, -1));
    return this.inHsv(x, ([hue, saturation, value]) => [mod(add(hue, signed), 1), saturation, value]);
  }
}

/**
 * Moves the colors of each image along the color wheel while fitting, to either side, by half of a share of a turn that is uniform in `[0, factor]`, or between
 * two factors. Images `[height, width, 3]` of red, green and blue.
 *
 * @example layers.randomHue({ factor: 0.2, valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomHue(options: RandomTintOptions): RandomHue {
  return new RandomHue(options);
}

/** Colors made paler or stronger. */
export class RandomSaturation extends RandomTint {
  readonly kind = 'randomSaturation';

  constructor(options: RandomTintOptions) {
    super('randomSaturation', options);
  }

  protected override disturb(x: Tensor): Tensor {
    const share = this.drawn(x);
    const factor = div(share, add(sub(1, share), 1e-7));
    return this.inHsv(x, ([hue, saturation, value]) => [hue, clip(mul(saturation, factor), 0, 1), value]);
  }
}

/**
 * Multiplies the saturation of each image while fitting by `f / (1 - f)`, with f uniform in `[0, factor]`, or between two factors: 0 gives gray images, 0.5
 * leaves them, 1 saturates all colors. Images `[height, width, 3]` of red, green and blue.
 *
 * @example layers.randomSaturation({ factor: [0.4, 0.6], valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomSaturation(options: RandomTintOptions): RandomSaturation {
  return new RandomSaturation(options);
}

/** Colors drawn toward gray. */
export class RandomColorDegeneration extends RandomTint {
  readonly kind = 'randomColorDegeneration';

  constructor(options: RandomTintOptions) {
    super('randomColorDegeneration', options);
  }

  protected override disturb(x: Tensor): Tensor {
    const gray = sum(mul(x, tensor([0.2989, 0.587, 0.114])), -1, true);
    const [low, high] = this.valueRange;
    return clip(add(x, mul(this.drawn(x), sub(gray, x))), low, high);
  }
}

/**
 * Draws the colors of each image toward its gray form while fitting, by a share that is uniform in `[0, factor]`, or between two factors. Images
 * `[height, width, 3]` of red, green and blue.
 *
 * @example layers.randomColorDegeneration({ factor: 0.5, valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomColorDegeneration(options: RandomTintOptions): RandomColorDegeneration {
  return new RandomColorDegeneration(options);
}

/** Options of {@link randomColorJitter}. Changes whose factor is not given do not happen. */
export interface RandomColorJitterOptions extends RandomOptions {
  /** The least and the largest number of an image. Default [0, 255]. */
  valueRange?: readonly [number, number];
  /** As the factor of {@link randomBrightness}. */
  brightnessFactor?: Factor;
  /** As the factor of {@link randomContrast}. */
  contrastFactor?: Factor;
  /** As the factor of {@link randomSaturation}. */
  saturationFactor?: Factor;
  /** As the factor of {@link randomHue}. */
  hueFactor?: Factor;
}

/** Brightness, contrast, saturation and hue changed, one after the other. */
export class RandomColorJitter extends RandomImages {
  readonly kind = 'randomColorJitter';
  private readonly steps: readonly RandomImages[];

  constructor(options: RandomColorJitterOptions = {}) {
    super(options);
    const { valueRange = [0, 255], brightnessFactor, contrastFactor, saturationFactor, hueFactor } = options;
    const step = <T>(
      make: new (options: { factor: Factor; valueRange: readonly [number, number]; name: string }) => T,
      part: string,
      factor: Factor | undefined,
    ): T[] => (factor === undefined ? [] : [new make({ factor, valueRange, name: `${this.name}/${part}` })]);
    this.steps = [
      ...step(RandomBrightness, 'brightness', brightnessFactor),
      ...step(RandomContrast, 'contrast', contrastFactor),
      ...step(RandomSaturation, 'saturation', saturationFactor),
      ...step(RandomHue, 'hue', hueFactor),
    ];
  }

  override computeOutputShape(sample: Shape): number[] {
    for (const step of this.steps) step.computeOutputShape(sample);
    return super.computeOutputShape(sample);
  }

  protected override disturb(x: Tensor): Tensor {
    return this.steps.reduce((images, step) => step.apply(images, { training: true }), x);
  }
}

/**
 * Changes brightness, contrast, saturation and hue of each image while fitting, in this order, each as its own layer does.
 *
 * @example layers.randomColorJitter({ brightnessFactor: 0.2, hueFactor: 0.1, valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randomColorJitter(options: RandomColorJitterOptions = {}): RandomColorJitter {
  return new RandomColorJitter(options);
}
