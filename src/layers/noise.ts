// Noise while fitting, against overfitting: whole channels dropped, Gaussian noise and Gaussian dropout, alpha dropout.
import { describe, NablaError } from '../errors.ts';
import { add, mul } from '../ops/arithmetic.ts';
import { toFloats, where } from '../ops/compare.ts';
import { ones } from '../ops/creation.ts';
import { dropout as dropoutOp } from '../ops/nn.ts';
import { randomBernoulli, randomNormal } from '../ops/random.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { DropoutOptions } from './core.ts';
import { type CallContext, Layer, type RandomOptions } from './layer.ts';

function checkRate(name: string, rate: unknown): void {
  if (typeof rate === 'number' && rate >= 0 && rate < 1) return;
  throw new NablaError(name, `bad rate, got ${describe(rate)}, expected a number in [0, 1)`);
}

/** The base of layers that change nothing but numbers, and those only while fitting. */
abstract class Noise extends Layer {
  override readonly supportsMasking = true;
  /** The shape of one output sample, that of the input; throws where the input does not fit. */
  override computeOutputShape(inputShape: Shape): number[] {
    return [...inputShape];
  }

  protected override call(x: Tensor, { training }: CallContext): Tensor {
    return training ? this.disturb(toFloats(x)) : x;
  }

  /** What becomes of a float32 batch in training. */
  protected abstract disturb(x: Tensor): Tensor;
}

/** Drops whole channels of a sample, at all its positions. (Tompson et al. 2015.) */
export class SpatialDropout extends Noise {
  readonly kind: string;
  private readonly rate: number;
  private readonly rank: number;

  /** `dimensions`: how many dimensions of positions a sample has. */
  constructor(options: DropoutOptions, dimensions: 1 | 2 | 3) {
    super(options);
    this.kind = `spatialDropout${dimensions}d`;
    this.rate = options.rate;
    this.rank = dimensions + 1;
    checkRate(this.name, this.rate);
  }

  override computeOutputShape(inputShape: Shape): number[] {
    if (inputShape.length !== this.rank) {
      throw new NablaError(
        this.name,
        `expected samples of ${this.rank} dimensions, channels last, got ${showShape(inputShape)}`,
      );
    }
    return [...inputShape];
  }

  protected override disturb(x: Tensor): Tensor {
    if (this.rate === 0) return x;
    const mask = x.shape.map((dim, i) => (i === 0 || i === x.rank - 1 ? dim : 1));
    return mul(x, dropoutOp(ones(mask), this.rate));
  }
}

/**
 * Drops whole channels of sequences `[time, channels]`.
 *
 * @example layers.spatialDropout1d({ rate: 0.2 })
 */
export function spatialDropout1d(options: DropoutOptions): SpatialDropout {
  return new SpatialDropout(options, 1);
}

/**
 * Drops whole channels of images `[height, width, channels]`.
 *
 * @example layers.spatialDropout2d({ rate: 0.2 })
 */
export function spatialDropout2d(options: DropoutOptions): SpatialDropout {
  return new SpatialDropout(options, 2);
}

/**
 * Drops whole channels of volumes `[depth, height, width, channels]`.
 *
 * @example layers.spatialDropout3d({ rate: 0.2 })
 */
export function spatialDropout3d(options: DropoutOptions): SpatialDropout {
  return new SpatialDropout(options, 3);
}

/** Options of {@link gaussianNoise}. */
export interface GaussianNoiseOptions extends RandomOptions {
  /** Standard deviation of the noise. */
  stddev: number;
}

/** Adds normal numbers while fitting. */
export class GaussianNoise extends Noise {
  readonly kind = 'gaussianNoise';
  private readonly stddev: number;

  constructor(options: GaussianNoiseOptions) {
    super(options);
    this.stddev = options.stddev;
    if (!(this.stddev >= 0)) {
      throw new NablaError(this.name, `bad stddev, got ${describe(this.stddev)}, expected a number >= 0`);
    }
  }

  protected override disturb(x: Tensor): Tensor {
    return add(x, randomNormal(x.shape, 0, this.stddev));
  }
}

/**
 * Adds normal noise while fitting.
 *
 * @example layers.gaussianNoise({ stddev: 0.1 })
 */
export function gaussianNoise(options: GaussianNoiseOptions): GaussianNoise {
  return new GaussianNoise(options);
}

/** Multiplies by normal numbers of mean 1 and variance `rate / (1 - rate)` while fitting. (Srivastava et al. 2014.) */
export class GaussianDropout extends Noise {
  readonly kind = 'gaussianDropout';
  private readonly rate: number;

  constructor(options: DropoutOptions) {
    super(options);
    this.rate = options.rate;
    checkRate(this.name, this.rate);
  }

  protected override disturb(x: Tensor): Tensor {
    return mul(x, randomNormal(x.shape, 1, Math.sqrt(this.rate / (1 - this.rate))));
  }
}

/**
 * Multiplies by normal noise while fitting.
 *
 * @example layers.gaussianDropout({ rate: 0.3 })
 */
export function gaussianDropout(options: DropoutOptions): GaussianDropout {
  return new GaussianDropout(options);
}

// The value that selu tends to far below 0.
const seluFloor = -1.0507009873554805 * 1.6732632423543772;

/** Dropout that keeps mean and variance of selu's outputs: what is dropped takes selu's least value. (Klambauer et al. 2017.) */
export class AlphaDropout extends Noise {
  readonly kind = 'alphaDropout';
  private readonly rate: number;

  constructor(options: DropoutOptions) {
    super(options);
    this.rate = options.rate;
    checkRate(this.name, this.rate);
  }

  protected override disturb(x: Tensor): Tensor {
    const { rate } = this;
    if (rate === 0) return x;
    const factor = ((1 - rate) * (1 + rate * seluFloor ** 2)) ** -0.5;
    const dropped = randomBernoulli(x.shape, rate);
    return add(mul(where(dropped, seluFloor, x), factor), -factor * seluFloor * rate);
  }
}

/**
 * Dropout after selu.
 *
 * @example layers.alphaDropout({ rate: 0.1 })
 */
export function alphaDropout(options: DropoutOptions): AlphaDropout {
  return new AlphaDropout(options);
}
