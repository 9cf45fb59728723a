// Metrics made of counts of right and wrong answers over an epoch; formulas and defaults as in Keras 3.
import { describe, NablaError } from '../errors.ts';
import { add, mul, sub } from '../ops/arithmetic.ts';
import { cast, greater, greaterEqual, less, lessEqual, logicalAnd, notEqual, where } from '../ops/compare.ts';
import { scatterAdd } from '../ops/gather.ts';
import { argMax, max, sum } from '../ops/reduce.ts';
import { concat, reshape, slice, stack } from '../ops/shape.ts';
import { abs, ceil, clip, sigmoid } from '../ops/unary.ts';
import { recorded } from '../saving/recorded.ts';
import type { Tensor } from '../tensor.ts';
import { fScore } from './f-score.ts';
import { alignLabels, ratio, type StreamingMetric } from './metric.ts';

const epsilon = 1e-7;

function checkShare(name: string, what: string, value: unknown): void {
  if (typeof value === 'number' && value >= 0 && value <= 1) return;
  throw new NablaError(name, `bad ${what}, got ${describe(value)}, expected a number in [0, 1]`);
}

function checkCount(name: string, what: string, value: unknown, least: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least) return;
  throw new NablaError(name, `bad ${what}, got ${describe(value)}, expected an integer >= ${least}`);
}

/** Options of {@link precision} and {@link recall}. */
export interface ConfusionOptions {
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

/** True positives, what was said to be positive, what is positive. */
function positives(name: string, options: ConfusionOptions): StreamingMetric['update'] {
  checkConfusion(name, options);
  const { threshold = 0.5, classId } = options;
  return (yTrue, yPred) => {
    const [labels, predictions] = chosen(name, classId, yTrue, yPred);
    const said = cast(greater(predictions, threshold), 'float32');
    return stack([sum(mul(said, labels)), sum(said), sum(labels)], 0);
  };
}

/** The share of right answers among those above the threshold. */
export function precision(options: ConfusionOptions = {}): StreamingMetric {
  const name = 'precision';
  return recorded('metrics', 'precision', [options], {
    name,
    update: positives(name, options),
    result: ([hits, said]) => ratio(hits!, said!),
  });
}

/** The share of positive labels whose predictions are above the threshold. */
export function recall(options: ConfusionOptions = {}): StreamingMetric {
  const name = 'recall';
  return recorded('metrics', 'recall', [options], {
    name,
    update: positives(name, options),
    result: ([hits, , there]) => ratio(hits!, there!),
  });
}

/** Options of {@link f1Score}. */
export interface F1Options {
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
    name,
    update: (yTrue, yPred) => {
      const rows = [yPred.size / Math.max(1, yPred.shape.at(-1)!), yPred.shape.at(-1)!];
      const labels = reshape(alignLabels(name, yTrue, yPred), rows);
      const answers = cast(said(reshape(yPred, rows)), 'float32');
      return concat([sum(mul(answers, labels), 0), sum(answers, 0), sum(labels, 0)], 0);
    },
    result: (sums) => fScore(sums, average, 1),
  });
}

/** Counts at each of many thresholds. */
interface Curve {
  readonly truePositives: number[];
  readonly falsePositives: number[];
  readonly falseNegatives: number[];
  readonly trueNegatives: number[];
}

/**
 * Counts positive and negative labels by how many of `thresholds` evenly spaced thresholds in [0, 1] their predictions exceed, which is one pass
 * for any number of thresholds. Where `firstIsBelow`, the first threshold lies below 0 and every prediction exceeds it.
 */
function countByThresholds(
  name: string,
  thresholds: number,
  firstIsBelow: boolean,
): StreamingMetric['update'] {
  return (yTrue, yPred) => {
    const size = yPred.size;
    const labels = cast(notEqual(reshape(alignLabels(name, yTrue, yPred), [size]), 0), 'float32');
    const exceeded = ceil(mul(clip(reshape(yPred, [size]), 0, 1), thresholds - 1));
    const bucket = cast(clip(exceeded, firstIsBelow ? 1 : 0, thresholds - 1), 'int32');
    const count = (source: Tensor) => reshape(scatterAdd(source, bucket, thresholds, 1), [thresholds]);
    return concat([count(labels), count(sub(1, labels))], 0);
  };
}

function curveOf(sums: Float64Array): Curve {
  const thresholds = sums.length / 2;
  // How many exceed each threshold: those that exceed more thresholds than come before it.
  const above = (buckets: Float64Array) => {
    let total = 0;
    const counts = Array.from(buckets, () => 0);
    for (let i = thresholds - 1; i > 0; i--) {
      total += buckets[i]!;
      counts[i - 1] = total;
    }
    return { counts, all: total + buckets[0]! };
  };
  const positive = above(sums.subarray(0, thresholds));
  const negative = above(sums.subarray(thresholds));
  return {
    truePositives: positive.counts,
    falsePositives: negative.counts,
    falseNegatives: positive.counts.map((count) => positive.all - count),
    trueNegatives: negative.counts.map((count) => negative.all - count),
  };
}

/** Options of {@link auc}. */
export interface AucOptions {
  /** Recall over the rate of false positives, or precision over recall. Default `'ROC'`. */
  curve?: 'ROC' | 'PR';
  /** Points of the curve, at least 2. Default 200. */
  numThresholds?: number;
  /** How heights between points are taken. Default `'interpolation'`. */
  summationMethod?: 'interpolation' | 'minoring' | 'majoring';
  /** Predictions are logits, not probabilities. Default false. */
  fromLogits?: boolean;
}

/** The area under the curve of a classifier of yes and no, from its values at evenly spaced thresholds. */
export function auc(options: AucOptions = {}): StreamingMetric {
  const {
    curve = 'ROC',
    numThresholds = 200,
    summationMethod = 'interpolation',
    fromLogits = false,
  } = options;
  const name = 'auc';
  checkCount(name, 'numThresholds', numThresholds, 2);
  if (curve !== 'ROC' && curve !== 'PR') {
    throw new NablaError(name, `bad curve, got ${describe(curve)}, expected 'ROC' or 'PR'`);
  }
  const heights = {
    interpolation: (a: number, b: number) => (a + b) / 2,
    minoring: Math.min,
    majoring: Math.max,
  };
  if (!Object.hasOwn(heights, summationMethod)) {
    throw new NablaError(
      name,
      `bad summationMethod, got ${describe(summationMethod)}, expected 'interpolation', 'minoring' or 'majoring'`,
    );
  }
  const height = heights[summationMethod];
  const update = countByThresholds(name, numThresholds, true);
  return recorded('metrics', 'auc', [options], {
    name,
    update: (yTrue, yPred) => update(yTrue, fromLogits ? sigmoid(yPred) : yPred),
    result: (sums) => {
      const counts = curveOf(sums);
      if (curve === 'PR' && summationMethod === 'interpolation') return interpolatedPr(counts);
      const { truePositives, falsePositives, falseNegatives, trueNegatives } = counts;
      const recalls = truePositives.map((tp, i) => ratio(tp, tp + falseNegatives[i]!));
      const rates = falsePositives.map((fp, i) => ratio(fp, fp + trueNegatives[i]!));
      const precisions = truePositives.map((tp, i) => ratio(tp, tp + falsePositives[i]!));
      const [x, y] = curve === 'ROC' ? [rates, recalls] : [recalls, precisions];
      let area = 0;
      for (let i = 0; i + 1 < x.length; i++) area += (x[i]! - x[i + 1]!) * height(y[i]!, y[i + 1]!);
      return area;
    },
  });
}

/** The area under precision over recall, interpolated between points as Davis and Goadrich (2006) found right. */
function interpolatedPr({ truePositives, falsePositives, falseNegatives }: Curve): number {
  const said = truePositives.map((tp, i) => tp + falsePositives[i]!);
  let area = 0;
  for (let i = 0; i + 1 < said.length; i++) {
    const [tp, next] = [truePositives[i]!, truePositives[i + 1]!];
    const slope = ratio(tp - next, Math.max(said[i]! - said[i + 1]!, 0));
    const intercept = next - slope * said[i + 1]!;
    const growth = said[i]! > 0 && said[i + 1]! > 0 ? said[i]! / said[i + 1]! : 1;
    const there = Math.max(next + falseNegatives[i + 1]!, 0);
    area += ratio(slope * (tp - next + intercept * Math.log(growth)), there);
  }
  return area;
}

type Rate = (curve: Curve, i: number) => number;
const rates = {
  sensitivity: (c, i) => ratio(c.truePositives[i]!, c.truePositives[i]! + c.falseNegatives[i]!),
  specificity: (c, i) => ratio(c.trueNegatives[i]!, c.trueNegatives[i]! + c.falsePositives[i]!),
  precision: (c, i) => ratio(c.truePositives[i]!, c.truePositives[i]! + c.falsePositives[i]!),
} satisfies Record<string, Rate>;

function bestAt(
  name: string,
  best: Rate,
  given: Rate,
  value: number,
  numThresholds: number,
): StreamingMetric {
  checkShare(name, 'value', value);
  checkCount(name, 'numThresholds', numThresholds, 2);
  return {
    name,
    update: countByThresholds(name, numThresholds, false),
    result: (sums) => {
      const curve = curveOf(sums);
      const points = curve.truePositives.map((_, i) => (given(curve, i) >= value ? best(curve, i) : 0));
      return Math.max(0, ...points);
    },
  };
}

/** The best specificity at a threshold where the sensitivity is at least `sensitivity`. */
export function specificityAtSensitivity(sensitivity: number, numThresholds = 200): StreamingMetric {
  const { specificity, sensitivity: given } = rates;
  return recorded(
    'metrics',
    'specificityAtSensitivity',
    [sensitivity, numThresholds],
    bestAt('specificityAtSensitivity', specificity, given, sensitivity, numThresholds),
  );
}

/** The best sensitivity at a threshold where the specificity is at least `specificity`. */
export function sensitivityAtSpecificity(specificity: number, numThresholds = 200): StreamingMetric {
  const { sensitivity, specificity: given } = rates;
  return recorded(
    'metrics',
    'sensitivityAtSpecificity',
    [specificity, numThresholds],
    bestAt('sensitivityAtSpecificity', sensitivity, given, specificity, numThresholds),
  );
}

/** The best precision at a threshold where the recall is at least `recall`. */
export function precisionAtRecall(recall: number, numThresholds = 200): StreamingMetric {
  return recorded(
    'metrics',
    'precisionAtRecall',
    [recall, numThresholds],
    bestAt('precisionAtRecall', rates.precision, rates.sensitivity, recall, numThresholds),
  );
}

/** The best recall at a threshold where the precision is at least `precision`. */
export function recallAtPrecision(precision: number, numThresholds = 200): StreamingMetric {
  return recorded(
    'metrics',
    'recallAtPrecision',
    [precision, numThresholds],
    bestAt('recallAtPrecision', rates.sensitivity, rates.precision, precision, numThresholds),
  );
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
): Tensor {
  const inside = (x: Tensor) => logicalAnd(lessEqual(0, x), less(x, classes));
  const both = logicalAnd(inside(labels), inside(predictions));
  const counted = ignored === undefined ? both : logicalAnd(both, notEqual(labels, ignored));
  const pair = where(counted, add(mul(labels, classes), predictions), 0);
  const table = scatterAdd(cast(counted, 'float32'), pair, classes * classes, 1);
  return reshape(table, [classes, classes]);
}

/** Options of {@link meanIoU}. */
export interface MeanIoUOptions {
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
  const indices = (x: Tensor, sparse: boolean) => {
    const classes = sparse ? cast(x, 'int32') : argMax(x);
    return reshape(classes, [classes.size]);
  };
  return recorded('metrics', 'meanIoU', [options], {
    name,
    update: (yTrue, yPred) => {
      const labels = indices(yTrue, sparseYTrue);
      const predictions = indices(yPred, sparseYPred);
      alignLabels(name, labels, predictions);
      const table = countPairs(labels, predictions, numClasses, ignoreClass);
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
