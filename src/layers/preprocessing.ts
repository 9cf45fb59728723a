// Rescaling and Normalization: numbers brought to a range, or to mean 0 and variance 1 as their data have it.
import { describe, NablaError } from '../errors.ts';
import { add, div, maximum, mul, sub } from '../ops/arithmetic.ts';
import { cast } from '../ops/compare.ts';
import { type TensorData, tensor } from '../ops/creation.ts';
import { mean as meanOp, variance as varianceOp } from '../ops/reduce.ts';
import { broadcastTo, reshape } from '../ops/shape.ts';
import { sqrt } from '../ops/unary.ts';
import { broadcastShapes, normalizeAxis, type Shape, sameShape, showShape, sizeOf } from '../shape.ts';
import { scope, type Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { type AdaptData, type AdaptStream, afterwards, eachBatch } from './adapt.ts';
import { checkFlags } from './flags.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** Options of {@link rescaling}. */
export interface RescalingOptions extends LayerOptions {
  /** What numbers are multiplied by; one number, or one for each channel (the last dimension). */
  scale: number | readonly number[];
  /** What is added then. Default 0. */
  offset?: number | readonly number[];
}

/** `x * scale + offset`. */
export class Rescaling extends Layer {
  readonly kind = 'rescaling';
  override readonly supportsMasking = true;
  private readonly scale: number | readonly number[];
  private readonly offset: number | readonly number[];

  constructor(options: RescalingOptions) {
    super(options);
    this.scale = options.scale;
    this.offset = options.offset ?? 0;
    for (const [name, value] of Object.entries({ scale: this.scale, offset: this.offset })) {
      const numbers = Array.isArray(value) ? value : [value];
      if (numbers.length > 0 && numbers.every((n) => typeof n === 'number' && Number.isFinite(n))) continue;
      throw new NablaError(
        this.name,
        `bad ${name}, got ${describe(value)}, expected a number, or one for each channel`,
      );
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    for (const value of [this.scale, this.offset]) {
      if (typeof value === 'number' || value.length === inputShape.at(-1)) continue;
      throw new NablaError(
        this.name,
        `expected samples with last dimension ${value.length}, as scale and offset, got ${showShape(inputShape)}`,
      );
    }
    return [...inputShape];
  }

  protected override call(x: Tensor): Tensor {
    const own = (value: number | readonly number[]) => (typeof value === 'number' ? value : tensor(value));
    const scaled = mul(cast(x, 'float32'), own(this.scale));
    return this.offset === 0 ? scaled : add(scaled, own(this.offset));
  }
}

/**
 * Multiplies and adds: bytes of images to [0, 1] or [-1, 1].
 *
 * @example layers.rescaling({ scale: 1 / 127.5, offset: -1, inputShape: [28, 28, 1] })
 */
export function rescaling(options: RescalingOptions): Rescaling {
  return new Rescaling(options);
}

/** Options of {@link normalization}. */
export interface NormalizationOptions extends LayerOptions {
  /** Axes that have a mean and a variance for each index, counted with the batch; `null`: one for all numbers. Default -1. */
  axis?: number | readonly number[] | null;
  /** The mean, a number or one for each index of the axes; with `variance`, in place of `adapt`. */
  mean?: TensorData;
  /** The variance. */
  variance?: TensorData;
  /** From normalised numbers back to the former. Default false. */
  invert?: boolean;
}

/** The shape of numbers in arrays. */
function shapeOfData(data: TensorData): Shape {
  return scope(() => [...tensor(data).shape]);
}

/** `(x - mean) / sqrt(variance)` with a mean and a variance for each index of some axes. */
export class Normalization extends Layer {
  readonly kind = 'normalization';
  private readonly options: NormalizationOptions;
  private readonly axis: readonly number[];
  private mean: Variable<'float32'> | undefined;
  private variance: Variable<'float32'> | undefined;

  constructor(options: NormalizationOptions = {}) {
    super(options);
    this.options = options;
    const { axis = -1, mean, variance } = options;
    checkFlags(this.name, options, ['invert']);
    this.axis = axis === null ? [] : typeof axis === 'number' ? [axis] : axis;
    if (!Array.isArray(this.axis) || !this.axis.every((a) => Number.isInteger(a) && a !== 0)) {
      throw new NablaError(
        this.name,
        `bad axis, got ${describe(axis)}, expected integers other than 0, the batch, or null`,
      );
    }
    if ((mean === undefined) !== (variance === undefined)) {
      const missing = mean === undefined ? 'mean' : 'variance';
      throw new NablaError(
        this.name,
        `${missing} is missing; give both mean and variance, or adapt() the layer`,
      );
    }
    if (mean === undefined || variance === undefined) return;
    const [a, b] = [shapeOfData(mean), shapeOfData(variance)];
    if (!sameShape(a, b) || a.length > this.axis.length) {
      throw new NablaError(
        this.name,
        `mean and variance do not fit, got ${showShape(a)} and ${showShape(b)}, ` +
          `expected one shape of at most ${this.axis.length} dimensions, those of axis`,
      );
    }
  }

  /** Which dimensions of a sample have statistics of their own, ascending. */
  private kept(sampleRank: number): number[] {
    const axes = this.axis.map((axis) => normalizeAxis(this.name, axis, sampleRank + 1) - 1);
    return [...new Set(axes)].sort((a, b) => a - b);
  }

  protected override build(inputShape: Shape): void {
    if (this.options.mean !== undefined) return;
    const shape = this.kept(inputShape.length).map((axis) => inputShape[axis]!);
    this.mean = this.addWeight({ name: 'mean', shape, initializer: 'zeros', trainable: false });
    this.variance = this.addWeight({ name: 'variance', shape, initializer: 'ones', trainable: false });
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const axes = this.kept(inputShape.length);
    const sizes = axes.map((axis) => inputShape[axis]!);
    const wanted = this.mean?.shape;
    if (wanted !== undefined && !sameShape(wanted, sizes)) {
      throw new NablaError(
        this.name,
        `expected ${showShape(wanted)} along axis ${this.axis.join(', ')}, got samples ${showShape(inputShape)}`,
      );
    }
    if (this.options.mean !== undefined) {
      const given = shapeOfData(this.options.mean);
      const fits = given.every((dim, i) => dim === 1 || dim === sizes.at(i - given.length));
      if (!fits) {
        throw new NablaError(
          this.name,
          `mean and variance do not fit, got ${showShape(given)}, expected ${showShape(sizes)} for samples ${showShape(inputShape)}`,
        );
      }
    }
    return [...inputShape];
  }

  /** Statistics with a dimension for each of a batch's. */
  private spread(statistic: Tensor, sample: Shape): Tensor {
    const axes = this.kept(sample.length);
    const sizes = axes.map((axis) => sample[axis]!);
    const shape = [1, ...sample.map((size, axis) => (axes.includes(axis) ? size : 1))];
    const whole = broadcastShapes(this.name, statistic.shape, sizes);
    return reshape(broadcastTo(statistic, whole), shape);
  }

  protected override call(x: Tensor): Tensor {
    const sample = x.shape.slice(1);
    const given = (data: TensorData | undefined) => tensor(data!, undefined, 'float32');
    const mean = this.spread(this.mean ?? given(this.options.mean), sample);
    const variance = this.spread(this.variance ?? given(this.options.variance), sample);
    const deviation = maximum(sqrt(variance), 1e-7);
    const floats = cast(x, 'float32');
    return this.options.invert ? add(mean, mul(floats, deviation)) : div(sub(floats, mean), deviation);
  }

  /**
   * Learns mean and variance of `data`: a batch as a tensor or in arrays, a list of batches, or batches over time, such as a batched data set, for
   * which it gives a promise. What was learned before is forgotten.
   */
  adapt(data: AdaptData): void;
  adapt(data: AdaptStream): Promise<void>;
  adapt(data: AdaptData | AdaptStream): void | Promise<void> {
    if (this.options.mean !== undefined) {
      throw new NablaError(this.name, 'mean and variance were given; leave them out to adapt() the layer');
    }
    let count = 0;
    const mean: number[] = [];
    const variance: number[] = [];
    const seen = eachBatch(this.name, data, (batch) => {
      const sample = batch.shape.slice(1);
      if (batch.rank === 0 || batch.size === 0) {
        throw new NablaError(this.name, `nothing to learn from, got ${batch}, expected a batch of samples`);
      }
      this.ensureBuilt(sample);
      this.computeOutputShape(sample);
      const floats = cast(batch, 'float32');
      const axes = this.kept(sample.length).map((axis) => axis + 1);
      const others = batch.shape.map((_, i) => i).filter((i) => !axes.includes(i));
      const [means, variances] = [meanOp(floats, others).dataSync(), varianceOp(floats, others).dataSync()];
      const numbers = batch.size / sizeOf(axes.map((axis) => batch.shape[axis]!));
      count += numbers;
      const share = numbers / count;
      // Batches join by their shares; the variance has the distances of their means in it.
      means.forEach((m, i) => {
        const [formerMean, formerVariance] = [mean[i] ?? 0, variance[i] ?? 0];
        const joined = formerMean * (1 - share) + m * share;
        const former = (formerVariance + (formerMean - joined) ** 2) * (1 - share);
        variance[i] = former + (variances[i]! + (m - joined) ** 2) * share;
        mean[i] = joined;
      });
    });
    return afterwards(seen, () => {
      if (count === 0) throw new NablaError(this.name, 'nothing to learn from, got no batches');
      scope(() => {
        this.mean!.assign(tensor(mean, this.mean!.shape, 'float32'));
        this.variance!.assign(tensor(variance, this.variance!.shape, 'float32'));
      });
    });
  }
}

/**
 * Brings numbers to mean 0 and variance 1, with statistics for each index of the last axis (or of others): `(x - mean) / sqrt(variance)`. The statistics are
 * learned by `adapt` before training, or given.
 *
 * @example
 * const scale = layers.normalization({ inputShape: [2] });
 * scale.adapt([[0, 100], [2, 300]]);
 * scale.apply(tensor([[1, 200]])); // [[0, 0]]
 */
export function normalization(options: NormalizationOptions = {}): Normalization {
  return new Normalization(options);
}
