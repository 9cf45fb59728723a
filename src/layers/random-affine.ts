// RandomRotation, RandomZoom, RandomTranslation, RandomShear: images turned, scaled, moved and slanted, each by its own chance.
import { describe, NablaError } from '../errors.ts';
import { type AffineColumns, type AffineOptions, affineSample, checkAffine } from '../ops/affine.ts';
import { add, mul, sub } from '../ops/arithmetic.ts';
import { cast } from '../ops/compare.ts';
import { randomBernoulli, randomUniform } from '../ops/random.ts';
import { cos, neg, sin } from '../ops/unary.ts';
import type { Tensor } from '../tensor.ts';
import type { RandomOptions } from './layer.ts';
import { type Factor, factorRange, RandomImages } from './random-images.ts';

/** Options of all layers that move images. */
export interface RandomMoveOptions extends RandomOptions {
  /** What lies around the image. Default `'reflect'`. */
  fillMode?: AffineOptions['fillMode'];
  /** Between pixels: `'bilinear'` (default) or the `'nearest'` pixel. */
  interpolation?: AffineOptions['interpolation'];
  /** What lies around with fill mode `'constant'`. Default 0. */
  fillValue?: number;
}

/** The base of layers that move images by an affine map. */
abstract class RandomMove extends RandomImages {
  private readonly move: AffineOptions;

  constructor(options: RandomMoveOptions) {
    super(options);
    const { fillMode = 'reflect', interpolation = 'bilinear', fillValue = 0 } = options;
    this.move = { fillMode, interpolation, fillValue };
  }

  /** Called once the layer has its name. */
  protected checkMove(): void {
    checkAffine(this.name, this.move);
    const { fillValue } = this.move;
    if (typeof fillValue !== 'number')
      throw new NablaError(this.name, `bad fillValue, got ${describe(fillValue)}, expected a number`);
  }

  protected override disturb(x: Tensor): Tensor {
    const [batch, height, width] = x.shape as [number, number, number, number];
    return affineSample(x, this.columns(batch, height, width), this.move);
  }

  /** @internal Where each output pixel is read. */
  protected abstract columns(batch: number, height: number, width: number): AffineColumns;
}

/** Uniform numbers, one for each image. */
const uniform = (batch: number, [low, high]: readonly [number, number]): Tensor =>
  randomUniform([batch], low, high);

/** Options of {@link randomRotation}. */
export interface RandomRotationOptions extends RandomMoveOptions {
  /** The largest turn as a share of a full one, either way, or from the first to the second, in [-1, 1]. */
  factor: Factor;
}

/** Images turned about their centers. */
export class RandomRotation extends RandomMove {
  readonly kind = 'randomRotation';
  private readonly range: readonly [number, number];

  constructor(options: RandomRotationOptions) {
    super(options);
    this.checkMove();
    this.range = factorRange(this.name, 'factor', options.factor, [-1, 1]);
  }

  /** @internal */
  protected override columns(batch: number, height: number, width: number): AffineColumns {
    const angle = mul(uniform(batch, this.range), 2 * Math.PI);
    const [c, s] = [cos(angle), sin(angle)];
    const [x, y] = [(width - 1) / 2, (height - 1) / 2];
    const a2 = add(sub(x, mul(c, x)), mul(s, y));
    const b2 = sub(sub(y, mul(s, x)), mul(c, y));
    return [c, neg(s), a2, s, c, b2];
  }
}

/**
 * Turns each image by a random angle while fitting; factor 0.1 is up to 36 degrees either way.
 *
 * @example layers.randomRotation({ factor: 0.05, inputShape: [28, 28, 1] })
 */
export function randomRotation(options: RandomRotationOptions): RandomRotation {
  return new RandomRotation(options);
}

/** Options of {@link randomZoom}. */
export interface RandomZoomOptions extends RandomMoveOptions {
  /** How much more of the height is seen, as a share, in (-1, 1]: negative zooms in. One number: either way. */
  heightFactor: Factor;
  /** The same of the width. Default: as much as of the height, so that nothing is distorted. */
  widthFactor?: Factor;
}

/** Images nearer or farther. */
export class RandomZoom extends RandomMove {
  readonly kind = 'randomZoom';
  private readonly rows: readonly [number, number];
  private readonly acrossRows: readonly [number, number] | undefined;

  constructor(options: RandomZoomOptions) {
    super(options);
    this.checkMove();
    const { heightFactor, widthFactor } = options;
    this.rows = this.limits('heightFactor', heightFactor);
    if (widthFactor !== undefined) this.acrossRows = this.limits('widthFactor', widthFactor);
  }

  private limits(label: string, factor: Factor): [number, number] {
    const range = factorRange(this.name, label, factor, [-1, 1]);
    if (typeof factor === 'number' || range[0] > -1) return range;
    // At -1 one pixel would fill the image.
    throw new NablaError(this.name, `bad ${label}, got ${describe(factor)}, expected two numbers in (-1, 1]`);
  }

  /** @internal */
  protected override columns(batch: number, height: number, width: number): AffineColumns {
    const zoom = (limits: readonly [number, number]) => add(uniform(batch, limits), 1);
    const down = zoom(this.rows);
    const across = this.acrossRows === undefined ? down : zoom(this.acrossRows);
    const rest = (factor: Tensor, size: number) => mul(sub(1, factor), (size - 1) / 2);
    return [across, 0, rest(across, width), 0, down, rest(down, height)];
  }
}

/**
 * Zooms each image in or out while fitting.
 *
 * @example layers.randomZoom({ heightFactor: 0.2, inputShape: [28, 28, 1] })
 */
export function randomZoom(options: RandomZoomOptions): RandomZoom {
  return new RandomZoom(options);
}

/** Options of {@link randomTranslation}. */
export interface RandomTranslationOptions extends RandomMoveOptions {
  /** How far down, as a share of the height in [-1, 1]; one number: either way. */
  heightFactor: Factor;
  /** How far to the right, as a share of the width. */
  widthFactor: Factor;
}

/** Images moved. */
export class RandomTranslation extends RandomMove {
  readonly kind = 'randomTranslation';
  private readonly down: readonly [number, number];
  private readonly right: readonly [number, number];

  constructor(options: RandomTranslationOptions) {
    super(options);
    this.checkMove();
    this.down = factorRange(this.name, 'heightFactor', options.heightFactor, [-1, 1]);
    this.right = factorRange(this.name, 'widthFactor', options.widthFactor, [-1, 1]);
  }

  /** @internal */
  protected override columns(batch: number, height: number, width: number): AffineColumns {
    const a2 = mul(uniform(batch, this.right), -width);
    return [1, 0, a2, 0, 1, mul(uniform(batch, this.down), -height)];
  }
}

/**
 * Moves each image while fitting.
 *
 * @example layers.randomTranslation({ heightFactor: 0.1, widthFactor: 0.1, fillMode: 'constant', inputShape: [28, 28, 1] })
 */
export function randomTranslation(options: RandomTranslationOptions): RandomTranslation {
  return new RandomTranslation(options);
}

/** Options of {@link randomShear}. */
export interface RandomShearOptions extends RandomMoveOptions {
  /**
   * How far rows are moved for each row further down, in [0, 1]: up to one number, or between two, to
   * either side. Default 0.
   */
  xFactor?: Factor;
  /** How far columns are moved for each column further right. Default 0. */
  yFactor?: Factor;
}

/** Images slanted. */
export class RandomShear extends RandomMove {
  readonly kind = 'randomShear';
  private readonly across: readonly [number, number];
  private readonly down: readonly [number, number];

  constructor(options: RandomShearOptions) {
    super(options);
    this.checkMove();
    this.across = this.limits('xFactor', options.xFactor ?? 0);
    this.down = this.limits('yFactor', options.yFactor ?? 0);
  }

  private limits(label: string, factor: Factor): [number, number] {
    const range = factorRange(this.name, label, factor, [-1, 1]);
    const given = typeof factor === 'number' ? factor : range[0];
    if (given >= 0) return range;
    throw new NablaError(
      this.name,
      `bad ${label}, got ${describe(factor)}, expected a number or two numbers in [0, 1]`,
    );
  }

  /** @internal */
  protected override columns(batch: number): AffineColumns {
    const side = sub(mul(cast(randomBernoulli([batch]), 'float32'), 2), 1);
    return [1, mul(uniform(batch, this.across), side), 0, mul(uniform(batch, this.down), side), 1, 0];
  }
}

/**
 * Slants each image while fitting, to either side.
 *
 * @example layers.randomShear({ xFactor: 0.2, inputShape: [28, 28, 1] })
 */
export function randomShear(options: RandomShearOptions): RandomShear {
  return new RandomShear(options);
}
