// What metrics share: their two forms, a number a sample or sums over an epoch, and the helpers of both.
import { NablaError } from '../errors.ts';
import { meanOfSample } from '../masks.ts';
import { cast } from '../ops/compare.ts';
import { reshape } from '../ops/shape.ts';
import { showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Labels and predictions with a batch dimension give one number a sample, `[batch]`. */
export type MetricFunction = (yTrue: Tensor, yPred: Tensor) => Tensor;

/** A metric with its name, the key of its values in histories: the mean over the samples of an epoch. */
export interface Metric {
  /** The key of its values in histories. */
  readonly name: string;
  /** Labels and predictions give one number a sample. */
  readonly call: MetricFunction;
}

/**
 * A metric that is no mean over samples, such as precision. Each step adds `update` to sums in backend memory; they are read ten times a second
 * and at the end of an epoch, and `result` makes the metric of them.
 */
export interface StreamingMetric {
  /** The key of its values in histories. */
  readonly name: string;
  /** What a batch adds to the sums: float32 `[n]`, of one size for all batches. Counts are exact. Padding is told by `yPred.mask`. */
  readonly update: MetricFunction;
  /** The metric from the sums of all batches. */
  readonly result: (sums: Float64Array) => number;
}

/** What metrics have in common. */
export interface MetricOptions {
  /** The key of its values in logs. Default: the name of the metric. */
  name?: string;
}

/** Either form. */
export type AnyMetric = Metric | StreamingMetric;

/** Is it made of sums over an epoch? */
export function isStreaming(metric: AnyMetric): metric is StreamingMetric {
  return 'update' in metric;
}

/** The mean of each sample's numbers, float32, without the steps that the predictions' mask leaves out. */
export function perSample(x: Tensor): Tensor {
  return meanOfSample(cast(x, 'float32'));
}

/** Labels as float32 in the predictions' shape. */
export function alignLabels(name: string, yTrue: Tensor, yPred: Tensor): Tensor {
  if (yTrue.size === yPred.size) return reshape(cast(yTrue, 'float32'), yPred.shape);
  throw new NablaError(
    name,
    `labels do not fit, got ${showShape(yTrue.shape)}, expected ${showShape(yPred.shape)}`,
  );
}

/** The quotient, 0 where nothing is divided by. */
export function ratio(a: number, b: number): number {
  return b === 0 ? 0 : a / b;
}
