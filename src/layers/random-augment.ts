// RandAugment and AugMix: changes of images that are drawn from a list, one after the other or mixed.
import { describe, NablaError } from '../errors.ts';
import type { AffineOptions } from '../ops/affine.ts';
import { add, mul, sub } from '../ops/arithmetic.ts';
import { equal, where } from '../ops/compare.ts';
import { softmax } from '../ops/nn.ts';
import { randomInt } from '../ops/random.ts';
import { betaOf, logGamma } from '../ops/random-gamma.ts';
import { slice } from '../ops/shape.ts';
import { clip } from '../ops/unary.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Layer, RandomOptions } from './layer.ts';
import { RandomRotation, RandomShear, RandomTranslation } from './random-affine.ts';
import { RandomColorDegeneration } from './random-colors.ts';
import { checkedRange, shareRange } from './random-erasing.ts';
import { type Factor, RandomBrightness, RandomContrast, RandomImages } from './random-images.ts';
import {
  AutoContrast,
  Equalization,
  RandomPosterization,
  RandomSharpness,
  Solarization,
} from './random-tones.ts';

/** Options that {@link randAugment} and {@link augMix} share. */
export interface AugmentOptions extends RandomOptions {
  /** The least and the largest number of an image. Default [0, 255]. */
  valueRange?: readonly [number, number];
  /** Between pixels: `'bilinear'` (default) or the `'nearest'` pixel. */
  interpolation?: AffineOptions['interpolation'];
}

/** The base of layers that choose among changes. */
abstract class Augment extends RandomImages {
  /** @internal The changes to choose from. */
  protected readonly choices: readonly Layer[];
  /** @internal */
  protected readonly valueRange: readonly [number, number];

  /** `colors`: are brightness, contrast, color degeneration and sharpness among them? */
  constructor(kind: string, options: AugmentOptions, given: Factor, colors: boolean) {
    super(options);
    const name = options.name ?? kind;
    const valueRange = checkedRange(name, options.valueRange ?? [0, 255]);
    const factor = shareRange(name, 'factor', given);
    this.valueRange = valueRange;
    const { interpolation = 'bilinear' } = options;
    const move = (part: string) => ({ interpolation, name: `${name}/${part}` });
    const tone = (part: string) => ({ valueRange, name: `${name}/${part}` });
    const color = (part: string) => ({ factor, ...tone(part) });
    this.choices = [
      new RandomShear({ xFactor: factor, yFactor: factor, ...move('shear') }),
      new RandomTranslation({ heightFactor: factor, widthFactor: factor, ...move('translation') }),
      new RandomRotation({ factor, ...move('rotation') }),
      ...(colors
        ? [
            new RandomBrightness(color('brightness')),
            new RandomColorDegeneration(color('colorDegeneration')),
            new RandomContrast(color('contrast')),
            new RandomSharpness(color('sharpness')),
          ]
        : []),
      new RandomPosterization({ factor: Math.max(1, Math.floor(8 * factor[1])), ...tone('posterization') }),
      new Solarization({ additionFactor: factor, thresholdFactor: factor, ...tone('solarization') }),
      new AutoContrast(tone('autoContrast')),
      new Equalization(tone('equalization')),
    ];
  }

  /** Those that images of a shape can go through: without colors there is nothing to take away. */
  private fitting(shape: Shape): readonly Layer[] {
    return shape.at(-1) === 1
      ? this.choices.filter(({ kind }) => kind !== 'randomColorDegeneration')
      : this.choices;
  }

  override computeOutputShape(sample: Shape): number[] {
    const shape = super.computeOutputShape(sample);
    for (const choice of this.fitting(sample)) choice.computeOutputShape(sample);
    return shape;
  }

  /** Each image changed by one choice; `idle` more choices change nothing. */
  protected step(x: Tensor, idle: number): Tensor {
    const choices = this.fitting(x.shape);
    const chosen = randomInt([x.shape[0]!, 1, 1, 1], 0, choices.length + idle);
    return choices.reduce(
      (result, choice, i) => where(equal(chosen, i), choice.apply(x, { training: true }), result),
      x,
    );
  }
}

function checkCount(name: string, label: string, value: unknown): void {
  if (Number.isInteger(value) && (value as number) >= 1) return;
  throw new NablaError(name, `bad ${label}, got ${describe(value)}, expected an integer >= 1`);
}

/** Options of {@link randAugment}. */
export interface RandAugmentOptions extends AugmentOptions {
  /** How many changes an image goes through. Default 2. */
  numOps?: number;
  /** How strong they are: up to one number in [0, 1], or between two. Default 0.5. */
  factor?: Factor;
}

/** Changes drawn from a list. (Cubuk et al. 2020.) */
export class RandAugment extends Augment {
  readonly kind = 'randAugment';
  private readonly numOps: number;

  constructor(options: RandAugmentOptions = {}) {
    super('randAugment', options, options.factor ?? 0.5, true);
    this.numOps = options.numOps ?? 2;
    checkCount(this.name, 'numOps', this.numOps);
  }

  protected override disturb(x: Tensor): Tensor {
    let changed = x;
    for (let i = 0; i < this.numOps; i++) changed = this.step(changed, 0);
    return changed;
  }
}

/**
 * Changes each image a few times while fitting, each time by one of eleven layers that is drawn for it: shear, translation, rotation, brightness, color
 * degeneration (not where images have one channel), contrast, sharpness, posterization, solarization, auto contrast, equalization. All of them are computed
 * for all images, whichever is drawn.
 *
 * @example layers.randAugment({ numOps: 2, factor: 0.3, valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function randAugment(options: RandAugmentOptions = {}): RandAugment {
  return new RandAugment(options);
}

/** Options of {@link augMix}. */
export interface AugMixOptions extends AugmentOptions {
  /** How many chains of changes are mixed. Default 3. */
  numChains?: number;
  /** How long a chain is at most. Default 3. */
  chainDepth?: number;
  /** How strong changes are: up to one number in [0, 1], or between two. Default 0.3. */
  factor?: Factor;
  /** The parameter of the distributions that shares are drawn from. Default 1. */
  alpha?: number;
  /** Whether brightness, color degeneration, contrast and sharpness are among the changes. Default true. */
  allOps?: boolean;
}

/** Chains of changes mixed with the image. (Hendrycks et al. 2020.) */
export class AugMix extends Augment {
  readonly kind = 'augMix';
  private readonly numChains: number;
  private readonly chainDepth: number;
  private readonly alpha: number;

  constructor(options: AugMixOptions = {}) {
    super('augMix', options, options.factor ?? 0.3, options.allOps ?? true);
    const { numChains = 3, chainDepth = 3, alpha = 1 } = options;
    checkCount(this.name, 'numChains', numChains);
    checkCount(this.name, 'chainDepth', chainDepth);
    if (typeof alpha !== 'number' || !(alpha > 0 && Number.isFinite(alpha)))
      throw new NablaError(this.name, `bad alpha, got ${describe(alpha)}, expected a number above 0`);
    this.numChains = numChains;
    this.chainDepth = chainDepth;
    this.alpha = alpha;
  }

  protected override disturb(x: Tensor): Tensor {
    const batch = x.shape[0]!;
    // Gamma numbers divided by their sum are Dirichlet distributed.
    const shares = softmax(logGamma([batch, 1, 1, this.numChains], this.alpha));
    let mixed: Tensor | undefined;
    for (let i = 0; i < this.numChains; i++) {
      let chain = x;
      for (let depth = 0; depth < this.chainDepth; depth++) chain = this.step(chain, 1);
      const part = mul(chain, slice(shares, [0, 0, 0, i], [batch, 1, 1, 1]));
      mixed = mixed === undefined ? part : add(mixed, part);
    }
    const own = betaOf([batch, 1, 1, 1], this.alpha, this.alpha);
    const [low, high] = this.valueRange;
    return clip(add(mul(own, x), mul(sub(1, own), mixed!)), low, high);
  }
}

/**
 * Mixes each image with several chains of changes while fitting; each step of a chain is one of the layers of {@link randAugment}, or none, that is drawn for the
 * image. All of them are computed for all images: `numChains` times `chainDepth` times eleven.
 *
 * @example layers.augMix({ numChains: 2, chainDepth: 2, valueRange: [0, 1], inputShape: [32, 32, 3] })
 */
export function augMix(options: AugMixOptions = {}): AugMix {
  return new AugMix(options);
}
