// Metrics made of counts of right and wrong answers over an epoch; formulas and defaults as in Keras 3.
import { describe, NablaError } from '../errors.ts';
import { countsOf, keepCounted } from '../masks.ts';
import { add, mul } from '../ops/arithmetic.ts';
import { cast, greater, greaterEqual, less, lessEqual, logicalAnd, notEqual, where } from '../ops/compare.ts';
import { oneHot, scatterAdd } from '../ops/gather.ts';
import { argMax, max, sum } from '../ops/reduce.ts';
import { concat, reshape, slice, stack } from '../ops/shape.ts';
import { topK } from '../ops/sort.ts';
import { abs } from '../ops/unary.ts';
import { recorded } from '../saving/recorded.ts';
import { showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { fScore } from './f-score.ts';
import { alignLabels, type MetricOptions, ratio, type StreamingMetric } from './metric.ts';

const epsilon = 1e-7;

/** @internal Throws unless it is a number in [0, 1]. */
export function checkShare(name: string, what: string, value: unknown): void {
  if (typeof value === 'number' && value >= 0 && value <= 1) return;
  throw new NablaError(name, `bad ${what}, got ${describe(value)}, expected a number in [0, 1]`);
}

/** @internal Throws unless it is an integer of at least `least`. */
export function checkCount(name: string, what: string, value: unknown, least: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least) return;
  throw new NablaError(name, `bad ${what}, got ${describe(value)}, expected an integer >= ${least}`);
}

/** Options of metrics that count answers on either side of a threshold. */
export interface ConfusionOptions extends MetricOptions {
  /** Predictions above it say yes. Default 0.5. */
  threshold?: number;
  /** Count this class only: predictions and labels are `[..., classes]`. Default all. */
  classId?: number;
}

/** @internal Labels as 0 and 1, and predictions, of one class where one is asked for. */
export function chosen(
  name: string,
  classId: number | undefined,
  yTrue: Tensor,
  yPred: Tensor,
): [Tensor, Tensor] {
  const labels = cast(notEqual(alignLabels(name, yTrue, yPred), 0), 'float32');
  if (classId === undefined) return [labels, yPred];
  const classes = yPred.shape.at(-1)!;
  if (yPred.rank < 2 || classId >= classes) {
    throw new NablaError(name, `bad classId, got ${classId} for predictions of ${classes} classes`);
  }
  const begin = yPred.shape.map((_, i) => (i === yPred.rank - 1 ? classId : 0));
  const size = yPred.shape.map((dim, i) => (i === yPred.rank - 1 ? 1 : dim));
  return [slice(labels, begin, size), slice(yPred, begin, size)];
}

/** @internal Throws unless the options make sense. */
export function checkConfusion(name: string, { threshold = 0.5, classId }: ConfusionOptions): void {
  checkShare(name, 'threshold', threshold);
  if (classId !== undefined) checkCount(name, 'classId', classId, 0);
}

/** Options of {@link precision} and {@link recall}. */
export interface TopKOptions extends ConfusionOptions {
  /** Only the so many largest predictions of a row can say yes; all of them do, unless there is a threshold. Default: any prediction. */
  topK?: number;
}

/** True positives, what was said to be positive, what is positive. */
function positives(name: string, options: TopKOptions): StreamingMetric['update'] {
  checkConfusion(name, options);
  const { topK: k, classId } = options;
  if (k !== undefined) checkCount(name, 'topK', k, 1);
  return (yTrue, yPred) => {
    const [labels, predictions] = chosen(name, classId, yTrue, yPred);
    let said: Tensor = cast(
      greater(predictions, options.threshold ?? (k === undefined ? 0.5 : -1e10)),
      'float32',
    );
    if (k !== undefined) said = mul(said, chosen(name, classId, amongLargest(name, yPred, k), yPred)[0]);
    return stack([mul(said, labels), said, labels].map((each) => sum(keepCounted(each))) as [Tensor], 0);
  };
}

/** 1 at the k largest numbers of each row, the first of equals, 0 elsewhere. */
function amongLargest(name: string, x: Tensor, k: number): Tensor {
  const width = x.shape.at(-1)!;
  if (x.rank >= 2 && k <= width) return cast(sum(oneHot(topK(x, k).indices, width), -2), 'float32');
  throw new NablaError(name, `bad topK, got ${k} for predictions ${showShape(x.shape)}`);
}

/** The share of right answers among those above the threshold. */
export function precision(options: TopKOptions = {}): StreamingMetric {
  const name = 'precision';
  return recorded('metrics', name, [options], {
    name: options.name ?? name,
    update: positives(name, options),
    result: ([hits, said]) => ratio(hits!, said!),
  });
}

/** The share of positive labels whose predictions are above the threshold. */
export function recall(options: TopKOptions = {}): StreamingMetric {
  const name = 'recall';
  return recorded('metrics', name, [options], {
    name: options.name ?? name,
    update: positives(name, options),
    result: ([hits, , there]) => ratio(hits!, there!),
  });
}

/** Options of {@link f1Score}. */
export interface F1Options extends MetricOptions {
  /** The mean over classes, that weighted by their labels, or over all answers alike. Default `'macro'` (Keras: an array of all classes). */
  average?: 'macro' | 'weighted' | 'micro';
  /** Predictions above it say yes. Default: the largest of a row does. */
  threshold?: number;
}

/** The harmonic mean of precision and recall: labels and predictions `[batch, classes]`. */
export function f1Score(options: F1Options = {}): StreamingMetric {
  const { average = 'macro', threshold } = options;
  const name = 'f1Score';
  if (threshold !== undefined) checkShare(name, 'threshold', threshold);
  if (!['macro', 'weighted', 'micro'].includes(average)) {
    throw new NablaError(
      name,
      `bad average, got ${describe(average)}, expected 'macro', 'weighted' or 'micro'`,
    );
  }
  const said = (x: Tensor) =>
    threshold === undefined
      ? logicalAnd(greaterEqual(x, max(x, -1, true)), greater(abs(x), 1e-9))
      : greater(x, threshold);
  return recorded('metrics', 'f1Score', [options], {
    name: options.name ?? name,
    update: (yTrue, yPred) => {
      const labels = alignLabels(name, yTrue, yPred);
      const answers = cast(said(yPred), 'float32');
      const rows = [yPred.size / Math.max(1, yPred.shape.at(-1)!), yPred.shape.at(-1)!];
      const parts = [mul(answers, labels), answers, labels];
      return concat(parts.map((part) => sum(reshape(keepCounted(part), rows), 0)) as [Tensor], 0);
    },
    result: (sums) => fScore(sums, average, 1),
  });
}

/** How often each class, a row, was answered with each class, a column: class indices of equal size give float32 `[numClasses, numClasses]`. Others are left out. */
export function confusionMatrix(labels: Tensor, predictions: Tensor, numClasses: number): Tensor {
  const name = 'confusionMatrix';
  checkCount(name, 'numClasses', numClasses, 1);
  const rows = reshape(alignLabels(name, labels, predictions), [labels.size]);
  const columns = reshape(cast(predictions, 'float32'), [labels.size]);
  return countPairs(cast(rows, 'int32'), cast(columns, 'int32'), numClasses, undefined);
}

function countPairs(
  labels: Tensor,
  predictions: Tensor,
  classes: number,
  ignored: number | undefined,
  counts?: Tensor,
): Tensor {
  const inside = (x: Tensor) => logicalAnd(lessEqual(0, x), less(x, classes));
  const both = logicalAnd(inside(labels), inside(predictions));
  const counted = ignored === undefined ? both : logicalAnd(both, notEqual(labels, ignored));
  const pair = where(counted, add(mul(labels, classes), predictions), 0);
  const each = cast(counted, 'float32');
  const table = scatterAdd(counts === undefined ? each : mul(each, counts), pair, classes * classes, 1);
  return reshape(table, [classes, classes]);
}

/** Options of {@link meanIoU}. */
export interface MeanIoUOptions extends MetricOptions {
  /** Number of classes. */
  numClasses: number;
  /** A class whose labels are left out. Default none. */
  ignoreClass?: number;
  /** Labels are class indices, not `[..., classes]`. Default true. */
  sparseYTrue?: boolean;
  /** Predictions are class indices, not `[..., classes]`. Default true. */
  sparseYPred?: boolean;
}

/** The overlap of what is labelled and what is predicted as a class over their union, averaged over the classes that are met. */
export function meanIoU(options: MeanIoUOptions): StreamingMetric {
  const { numClasses, ignoreClass, sparseYTrue = true, sparseYPred = true } = options;
  const name = 'meanIoU';
  checkCount(name, 'numClasses', numClasses, 1);
  const indices = (x: Tensor, sparse: boolean) => (sparse ? cast(x, 'int32') : argMax(x));
  const flat = (x: Tensor) => reshape(x, [x.size]);
  return recorded('metrics', 'meanIoU', [options], {
    name: options.name ?? name,
    update: (yTrue, yPred) => {
      const labels = flat(indices(yTrue, sparseYTrue));
      const predictions = indices(yPred, sparseYPred);
      alignLabels(name, labels, flat(predictions));
      const counts = flat(countsOf(predictions.shape));
      const table = countPairs(labels, flat(predictions), numClasses, ignoreClass, counts);
      return reshape(table, [numClasses * numClasses]);
    },
    result: (sums) => {
      let total = 0;
      let met = 0;
      for (let i = 0; i < numClasses; i++) {
        const hits = sums[i * numClasses + i]!;
        let union = -hits;
        for (let j = 0; j < numClasses; j++) union += sums[i * numClasses + j]! + sums[j * numClasses + i]!;
        if (union === 0) continue;
        total += hits / (union + epsilon);
        met++;
      }
      return total / (met + epsilon);
    },
  });
}
