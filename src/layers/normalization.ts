// Normalisation layers: layer, RMS, batch, group, instance and unit normalisation.
import type { ConstraintLike } from '../constraints.ts';
import { describe, NablaError } from '../errors.ts';
import type { InitializerLike } from '../initializers/initializers.ts';
import { add, div, mul, sub } from '../ops/arithmetic.ts';
import { cast, toFloats, where } from '../ops/compare.ts';
import { MapBuilder } from '../ops/map.ts';
import {
  type BatchNormalized,
  batchNormalize,
  layerNormalize,
  normalizeWith,
  rmsNormalize,
  unitNormalize,
} from '../ops/normalize.ts';
import { sum, sumSquares } from '../ops/reduce.ts';
import { expandDims, reshape, transpose } from '../ops/shape.ts';
import type { RegularizerLike } from '../regularizers.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { checkFlags } from './flags.ts';
import { type CallContext, Layer, type LayerOptions } from './layer.ts';

/** Options of layers that scale and shift what they have normalised. */
export interface AffineOptions extends LayerOptions {
  /** Added to the variance, so that nothing is divided by 0. Default 0.001. */
  epsilon?: number;
  /** Whether `beta` is added. Default true. */
  center?: boolean;
  /** Whether it is multiplied by `gamma`. Default true. */
  scale?: boolean;
  /** Default `'zeros'`. */
  betaInitializer?: InitializerLike;
  /** Default `'ones'`. */
  gammaInitializer?: InitializerLike;
  /** What `beta` adds to the loss. Default: nothing. */
  betaRegularizer?: RegularizerLike;
  /** What `gamma` adds to the loss. Default: nothing. */
  gammaRegularizer?: RegularizerLike;
  /** What `beta` is brought back to after each step. Default: nothing. */
  betaConstraint?: ConstraintLike;
  /** What `gamma` is brought back to after each step. Default: nothing. */
  gammaConstraint?: ConstraintLike;
}

// Keras' epsilon: keeps a batch that is all padding from being divided by 0.
const keras = 1e-7;

function checkEpsilon(name: string, epsilon: unknown): void {
  if (typeof epsilon === 'number' && epsilon >= 0) return;
  throw new NablaError(name, `bad epsilon, got ${describe(epsilon)}, expected a number >= 0`);
}

/** Throws for a scalar a sample; else the same shape. */
function sameShapeOf(name: string, inputShape: Shape, builtShape: Shape | undefined): number[] {
  if (inputShape.length === 0) {
    throw new NablaError(name, 'expected at least one dimension besides the batch, got a scalar a sample');
  }
  const wanted = builtShape?.at(-1);
  if (wanted !== undefined && wanted !== inputShape.at(-1)) {
    throw new NablaError(name, `expected input with last dimension ${wanted}, got ${showShape(inputShape)}`);
  }
  return [...inputShape];
}

/** The base of layers with `gamma` and `beta`. */
abstract class Affine extends Layer {
  override readonly supportsMasking = true;
  /** What normalised numbers are multiplied by. */
  protected gamma: Variable<'float32'> | undefined;
  /** What is added to them. */
  protected beta: Variable<'float32'> | undefined;
  /** Added to the variance. */
  protected readonly epsilon: number;
  private readonly affine: AffineOptions;

  constructor(options: AffineOptions) {
    super(options);
    this.affine = options;
    this.epsilon = options.epsilon ?? 1e-3;
    checkEpsilon(this.name, this.epsilon);
    checkFlags(this.name, options, ['center', 'scale']);
  }

  /** Makes gamma and beta, where the layer has them. */
  protected addAffine(shape: Shape): void {
    const { center = true, scale = true, betaInitializer = 'zeros', gammaInitializer = 'ones' } = this.affine;
    const { gammaRegularizer, gammaConstraint, betaRegularizer, betaConstraint } = this.affine;
    const gamma = { regularizer: gammaRegularizer, constraint: gammaConstraint };
    const beta = { regularizer: betaRegularizer, constraint: betaConstraint };
    if (scale) this.gamma = this.addWeight({ name: 'gamma', shape, initializer: gammaInitializer, ...gamma });
    if (center) this.beta = this.addWeight({ name: 'beta', shape, initializer: betaInitializer, ...beta });
  }

  /** The shape of one output sample, that of the input; throws where the input does not fit. */
  override computeOutputShape(inputShape: Shape): number[] {
    return sameShapeOf(this.name, inputShape, this.builtShape);
  }
}

/** Options of {@link layerNormalization}. */
export interface LayerNormalizationOptions extends AffineOptions {
  /** The axes to normalise over: the last, or the last few, counted with the batch as in Keras. Default -1. */
  axis?: number | readonly number[];
}

/** Every sample's last dimensions to mean 0 and variance 1. (Ba et al. 2016.) */
export class LayerNormalization extends Affine {
  readonly kind = 'layerNormalization';
  private readonly axis: readonly number[];

  constructor(options: LayerNormalizationOptions = {}) {
    super(options);
    const { axis = -1 } = options;
    this.axis = typeof axis === 'number' ? [axis] : axis;
    if (!Array.isArray(this.axis))
      throw new NablaError(
        this.name,
        `bad axis, got ${describe(axis)}, expected a number or an array of them`,
      );
  }

  /** How many of the last dimensions are normalised together. */
  private dims(sampleRank: number): number {
    const rank = sampleRank + 1;
    const axes = this.axis.map((a) => (a < 0 ? a + rank : a)).sort((a, b) => a - b);
    const trailing = axes.length > 0 && axes.every((a, i) => a === rank - axes.length + i && a > 0);
    if (!trailing) {
      throw new NablaError(
        this.name,
        `bad axis, got [${this.axis}] for samples of ${sampleRank} dimensions, expected the last ones, such as -1`,
      );
    }
    return axes.length;
  }

  protected override build(inputShape: Shape): void {
    this.addAffine(inputShape.slice(inputShape.length - this.dims(inputShape.length)));
  }

  override computeOutputShape(inputShape: Shape): number[] {
    this.dims(inputShape.length);
    return super.computeOutputShape(inputShape);
  }

  protected override call(x: Tensor): Tensor {
    const { gamma, beta, epsilon } = this;
    const dims = this.dims(x.rank - 1);
    return layerNormalize(toFloats(x), { scale: gamma, offset: beta, epsilon, dims });
  }
}

/**
 * Normalises every sample over its last dimension.
 *
 * @example layers.layerNormalization({ epsilon: 1e-5 })
 */
export function layerNormalization(options: LayerNormalizationOptions = {}): LayerNormalization {
  return new LayerNormalization(options);
}

/** Options of {@link rmsNormalization}. */
export interface RmsNormalizationOptions extends LayerOptions {
  /** Added to the mean square. Default 1e-6. */
  epsilon?: number;
}

/** Every sample's last dimension to mean square 1, times `scale`. (Zhang and Sennrich 2019.) */
export class RmsNormalization extends Layer {
  readonly kind = 'rmsNormalization';
  override readonly supportsMasking = true;
  private readonly epsilon: number;
  private factor!: Variable<'float32'>;

  constructor(options: RmsNormalizationOptions = {}) {
    super(options);
    this.epsilon = options.epsilon ?? 1e-6;
    checkEpsilon(this.name, this.epsilon);
  }

  protected override build(inputShape: Shape): void {
    this.factor = this.addWeight({ name: 'scale', shape: inputShape.slice(-1), initializer: 'ones' });
  }

  override computeOutputShape(inputShape: Shape): number[] {
    return sameShapeOf(this.name, inputShape, this.builtShape);
  }

  protected override call(x: Tensor): Tensor {
    return rmsNormalize(toFloats(x), { scale: this.factor, epsilon: this.epsilon });
  }
}

/**
 * Normalises every sample by its root mean square.
 *
 * @example layers.rmsNormalization()
 */
export function rmsNormalization(options: RmsNormalizationOptions = {}): RmsNormalization {
  return new RmsNormalization(options);
}

/** Options of {@link batchNormalization}. */
export interface BatchNormalizationOptions extends AffineOptions {
  /** Share of the moving mean and variance that stays in each step. Default 0.99. */
  momentum?: number;
  /** Default `'zeros'`. */
  movingMeanInitializer?: InitializerLike;
  /** Default `'ones'`. */
  movingVarianceInitializer?: InitializerLike;
}

/**
 * Every channel (the last dimension) to mean 0 and variance 1: of the batch while fitting, by moving averages in prediction. A frozen layer
 * (`trainable: false`) always uses the moving averages, as in Keras. (Ioffe and Szegedy 2015.)
 */
export class BatchNormalization extends Affine {
  readonly kind = 'batchNormalization';
  private readonly options: BatchNormalizationOptions;
  private readonly momentum: number;
  private movingMean!: Variable<'float32'>;
  private movingVariance!: Variable<'float32'>;

  constructor(options: BatchNormalizationOptions = {}) {
    super(options);
    this.options = options;
    this.momentum = options.momentum ?? 0.99;
    if (!(this.momentum >= 0 && this.momentum <= 1)) {
      throw new NablaError(
        this.name,
        `bad momentum, got ${describe(this.momentum)}, expected a number in [0, 1]`,
      );
    }
  }

  protected override build(inputShape: Shape): void {
    const shape = inputShape.slice(-1);
    this.addAffine(shape);
    const { movingMeanInitializer = 'zeros', movingVarianceInitializer = 'ones' } = this.options;
    const moving = { shape, trainable: false };
    this.movingMean = this.addWeight({ ...moving, name: 'movingMean', initializer: movingMeanInitializer });
    this.movingVariance = this.addWeight({
      ...moving,
      name: 'movingVariance',
      initializer: movingVarianceInitializer,
    });
  }

  protected override call(x: Tensor, { training }: CallContext): Tensor {
    const input = cast(x, 'float32');
    const { gamma, beta, epsilon, movingMean, movingVariance } = this;
    if (!training || !this.trainable) {
      return normalizeWith(input, movingMean, movingVariance, gamma, beta, epsilon);
    }
    const { out, mean, variance } =
      x.mask === undefined
        ? batchNormalize(input, gamma, beta, epsilon)
        : this.normalizeMasked(input, x.mask);
    movingMean.assign(this.moved(movingMean, mean));
    movingVariance.assign(this.moved(movingVariance, variance));
    return out;
  }

  /** As batchNormalize, with statistics of the steps that count. */
  private normalizeMasked(x: Tensor, mask: Tensor): BatchNormalized {
    if (mask.rank !== x.rank - 1) {
      throw new NablaError(
        this.name,
        `the mask does not fit, got ${mask} for ${x}, expected one dimension less than the input`,
      );
    }
    const counts = expandDims(mask, -1);
    const axes = mask.shape.map((_, i) => i);
    const total = add(sum(cast(mask, 'float32')), keras);
    const mean = div(sum(where(counts, x, 0), axes), total);
    const variance = div(sumSquares(where(counts, sub(x, mean), 0), axes), total);
    const out = normalizeWith(x, mean, variance, this.gamma, this.beta, this.epsilon);
    return { out, mean, variance };
  }

  private moved(average: Tensor, now: Tensor): Tensor {
    const b = new MapBuilder(this.name);
    const kept = b.op('mul', b.load(average, 'float'), b.constant(this.momentum, 'float'));
    b.op('mulAdd', b.load(now, 'float'), b.constant(1 - this.momentum, 'float'), kept);
    return b.build('float32');
  }
}

/**
 * Normalises every channel over the batch.
 *
 * @example layers.batchNormalization({ momentum: 0.9 })
 */
export function batchNormalization(options: BatchNormalizationOptions = {}): BatchNormalization {
  return new BatchNormalization(options);
}

/** Options of {@link groupNormalization}. */
export interface GroupNormalizationOptions extends AffineOptions {
  /** Groups of channels that are normalised together, over all positions; -1 for one a channel. Default 32. */
  groups?: number;
}

/** Every sample's groups of channels (the last dimension) to mean 0 and variance 1 over all positions. (Wu and He 2018.) */
export class GroupNormalization extends Affine {
  readonly kind: string = 'groupNormalization';
  private readonly groups: number;

  constructor(options: GroupNormalizationOptions = {}) {
    super(options);
    this.groups = options.groups ?? 32;
    if (!Number.isInteger(this.groups) || (this.groups < 1 && this.groups !== -1)) {
      throw new NablaError(
        this.name,
        `bad groups, got ${describe(this.groups)}, expected an integer >= 1, or -1 for one a channel`,
      );
    }
  }

  protected override build(inputShape: Shape): void {
    this.addAffine(inputShape.slice(-1));
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const shape = super.computeOutputShape(inputShape);
    if (this.groups > 0 && shape.at(-1)! % this.groups !== 0) {
      throw new NablaError(
        this.name,
        `the channels do not fall into groups, got ${showShape(shape)} and groups ${this.groups}, ` +
          `expected a divisor of ${shape.at(-1)}; give groups, or -1 for one a channel`,
      );
    }
    return shape;
  }

  protected override call(x: Tensor): Tensor {
    const channels = x.shape.at(-1)!;
    const groups = this.groups === -1 ? channels : this.groups;
    const batch = x.shape[0]!;
    const positions = batch * channels === 0 ? 0 : x.size / batch / channels;
    const cut = reshape(cast(x, 'float32'), [batch, positions, groups, channels / groups]);
    // With one group, or one position, a group's numbers lie together already.
    const together = groups === 1 || positions === 1;
    const grouped = together
      ? reshape(cut, [batch, groups, positions, channels / groups])
      : transpose(cut, [0, 2, 1, 3]);
    const normal = layerNormalize(grouped, { epsilon: this.epsilon, dims: 2 });
    const back = reshape(together ? normal : transpose(normal, [0, 2, 1, 3]), x.shape);
    const scaled = this.gamma === undefined ? back : mul(back, this.gamma);
    return this.beta === undefined ? scaled : add(scaled, this.beta);
  }
}

/**
 * Normalises groups of channels over the positions of every sample.
 *
 * @example layers.groupNormalization({ groups: 8 })
 */
export function groupNormalization(options: GroupNormalizationOptions = {}): GroupNormalization {
  return new GroupNormalization(options);
}

/**
 * Normalises every channel over the positions of every sample: group normalisation with one channel a group. (Ulyanov et al. 2016.)
 *
 * @example layers.instanceNormalization()
 */
export function instanceNormalization(options: AffineOptions = {}): GroupNormalization {
  return new GroupNormalization({ ...options, groups: -1 });
}

/** Every sample's last dimension to length 1. */
export class UnitNormalization extends Layer {
  readonly kind = 'unitNormalization';
  override readonly supportsMasking = true;

  override computeOutputShape(inputShape: Shape): number[] {
    return sameShapeOf(this.name, inputShape, undefined);
  }

  protected override call(x: Tensor): Tensor {
    return unitNormalize(cast(x, 'float32'));
  }
}

/**
 * Scales every sample's last dimension to length 1.
 *
 * @example layers.unitNormalization()
 */
export function unitNormalization(options: LayerOptions = {}): UnitNormalization {
  return new UnitNormalization(options);
}
