// MixUp and CutMix: images blended with others of their batch, and their labels in the same shares.
import { describe, NablaError } from '../errors.ts';
import { isRecord, type Nested } from '../nested.ts';
import { add, div, mul, sub } from '../ops/arithmetic.ts';
import { greaterEqual, less, logicalAnd, toFloats, where } from '../ops/compare.ts';
import { range } from '../ops/creation.ts';
import { gather } from '../ops/gather.ts';
import { randomPermutation } from '../ops/permute.ts';
import { randomUniform } from '../ops/random.ts';
import { betaOf } from '../ops/random-gamma.ts';
import { reshape } from '../ops/shape.ts';
import { sqrt } from '../ops/unary.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkSample } from './conv.ts';
import { type CallContext, Layer, type RandomOptions } from './layer.ts';
import { shareRange } from './random-erasing.ts';
import type { Factor } from './random-images.ts';
import type { SymbolicTensor } from './symbolic.ts';

/** Images and what they show: labels float32 `[batch, classes]`, shares that add up to 1. */
export type LabeledImages = {
  /** `[batch, height, width, channels]`. */
  readonly images: Tensor;
  /** `[batch, classes]`, shares that add up to 1. */
  readonly labels: Tensor;
};

/** What a mixture is made by: which image each is mixed with, int32 `[batch]`, and the share of its own labels, `[batch]`. */
export interface Mixture {
  /** Of each image the one that it is mixed with. */
  readonly order: Tensor;
  /** The share that stays its own. */
  readonly share: Tensor;
}

/** The base of layers that mix images and labels; they are given and give `{ images, labels }`. */
abstract class Mixing<M extends Mixture> extends Layer<LabeledImages> {
  /** What is drawn for a batch of images. */
  protected abstract draw(images: Tensor): M;

  /** The images mixed. */
  protected abstract mix(images: Tensor, mixture: M): Tensor;

  /** The shape of one image of the output, that of the input; throws where it is none. */
  override computeOutputShape(sample: Shape): number[] {
    checkSample(this.name, sample, 2);
    return [...sample];
  }

  protected override inputsIn<T extends Tensor | SymbolicTensor>(x: Nested<T>): readonly T[] {
    const given = isRecord(x) ? (x as Readonly<Record<string, T>>) : undefined;
    if (given?.images !== undefined && given.labels !== undefined && Object.keys(given).length === 2)
      return [given.images, given.labels];
    throw new NablaError(
      this.name,
      `expected { images, labels }, got ${given ? `{ ${Object.keys(given).join(', ')} }` : describe(x)}; outside of fit, labels are mixed with the images`,
    );
  }

  protected override shapeOf(inputShapes: readonly Shape[]): Nested<Shape> {
    const [images, labels] = inputShapes as readonly [Shape, Shape];
    if (labels.length > 0) return { images: this.computeOutputShape(images), labels: [...labels] };
    throw new NablaError(
      this.name,
      `expected labels [batch, classes] in shares, got samples ${showShape(labels)}; use oneHot()`,
    );
  }

  protected override call(x: Tensor): LabeledImages {
    return { images: x, labels: x };
  }

  protected override callAll(xs: readonly Tensor[], { training }: CallContext): LabeledImages {
    const [images, labels] = xs.map((x) => toFloats(x)) as [Tensor, Tensor];
    if (!training) return { images, labels };
    if (images.shape[0] !== labels.shape[0]) {
      throw new NablaError(
        this.name,
        `expected a label for each image, got ${labels.shape[0]} for ${images.shape[0]}`,
      );
    }
    const mixture = this.draw(images);
    const own = alongside(mixture.share, labels.rank);
    const others = gather(labels, mixture.order);
    return { images: this.mix(images, mixture), labels: add(mul(own, labels), mul(sub(1, own), others)) };
  }
}

/** `[batch]` with dimensions of 1 behind. */
const alongside = (x: Tensor, rank: number): Tensor =>
  reshape(x, [x.size, ...Array.from({ length: rank - 1 }, () => 1)]);

/** Options of {@link mixUp}. */
export interface MixUpOptions extends RandomOptions {
  /** Both parameters of the beta distribution that shares are drawn from; the smaller, the less is mixed. Default 0.2. */
  alpha?: number;
}

/** Images as weighted means of two. (Zhang et al. 2018.) */
export class MixUp extends Mixing<Mixture> {
  readonly kind = 'mixUp';
  private readonly alpha: number;

  constructor(options: MixUpOptions = {}) {
    super(options);
    this.alpha = options.alpha ?? 0.2;
    if (typeof this.alpha !== 'number' || !(this.alpha > 0 && Number.isFinite(this.alpha)))
      throw new NablaError(this.name, `bad alpha, got ${describe(options.alpha)}, expected a number above 0`);
  }

  protected override draw(images: Tensor): Mixture {
    const batch = images.shape[0]!;
    return { order: randomPermutation(batch), share: betaOf([batch], this.alpha, this.alpha) };
  }

  protected override mix(images: Tensor, { order, share }: Mixture): Tensor {
    const own = alongside(share, images.rank);
    return add(mul(own, images), mul(sub(1, own), gather(images, order)));
  }
}

/**
 * Blends each image of a batch with another one, and their labels in the same shares, while fitting. It takes `{ images, labels }`, labels as
 * float32 `[batch, classes]`, and gives the same: call it in a training step of your own, or on batches of a data set.
 *
 * @example
 * const mix = layers.mixUp({ alpha: 0.2 });
 * const { images, labels } = mix.apply({ images: ones([8, 4, 4, 3]), labels: ones([8, 2]).div(2) }, { training: true });
 */
export function mixUp(options: MixUpOptions = {}): MixUp {
  return new MixUp(options);
}

/** {@link Mixture} with the rectangles, `[batch]` each, that are the other image's: from `left` to before `right`, from `top` to before `bottom`. */
export interface CutMixture extends Mixture {
  /** The first column. */
  readonly left: Tensor;
  /** The column behind the last. */
  readonly right: Tensor;
  /** The first row. */
  readonly top: Tensor;
  /** The row behind the last. */
  readonly bottom: Tensor;
}

/** Options of {@link cutMix}. */
export interface CutMixOptions extends RandomOptions {
  /**
   * Both parameters of the beta distribution that shares are drawn from: one number for each batch, between 0 and this, or between two numbers in
   * [0, 1]. Default 1.
   */
  factor?: Factor;
}

/** Images with a rectangle of another one. (Yun et al. 2019.) */
export class CutMix extends Mixing<CutMixture> {
  readonly kind = 'cutMix';
  private readonly factor: readonly [number, number];

  constructor(options: CutMixOptions = {}) {
    super(options);
    this.factor = shareRange(this.name, 'factor', options.factor ?? 1);
  }

  protected override draw(images: Tensor): CutMixture {
    const [batch, height, width] = images.shape as [number, number, number, number];
    const alpha = add(randomUniform([1], this.factor[0], this.factor[1]), 1e-6);
    const ratio = sqrt(sub(1, betaOf([batch], alpha, alpha)));
    const side = (size: number): [Tensor, Tensor] => {
      const length = mul(ratio, size);
      const from = mul(randomUniform([batch]), sub(size, length));
      return [from, add(from, length)];
    };
    const [left, right] = side(width);
    const [top, bottom] = side(height);
    const area = mul(sub(right, left), sub(bottom, top));
    const share = sub(1, div(area, width * height));
    return { order: randomPermutation(batch), share, left, right, top, bottom };
  }

  protected override mix(images: Tensor, { order, left, right, top, bottom }: CutMixture): Tensor {
    const [, height, width] = images.shape as [number, number, number, number];
    const within = (positions: Tensor, from: Tensor, to: Tensor) =>
      logicalAnd(
        greaterEqual(positions, alongside(from, images.rank)),
        less(positions, alongside(to, images.rank)),
      );
    const rows = within(reshape(range(0, height), [1, height, 1, 1]), top, bottom);
    const columns = within(reshape(range(0, width), [1, 1, width, 1]), left, right);
    return where(logicalAnd(rows, columns), gather(images, order), images);
  }
}

/**
 * Puts a rectangle of another image of the batch into each one, and mixes their labels in the shares of the areas, while fitting. It takes and
 * gives `{ images, labels }` as {@link mixUp} does.
 *
 * @example
 * const mix = layers.cutMix({ seed: 1 });
 * const { images, labels } = mix.apply({ images: ones([8, 4, 4, 3]), labels: ones([8, 2]).div(2) }, { training: true });
 */
export function cutMix(options: CutMixOptions = {}): CutMix {
  return new CutMix(options);
}
