// Metrics made of counts at many thresholds: areas under curves, and one rate where another is given; formulas and defaults as in Keras 3.
import { describe, NablaError } from '../errors.ts';
import { countsOf } from '../masks.ts';
import { add, mul, sub } from '../ops/arithmetic.ts';
import { cast, notEqual } from '../ops/compare.ts';
import { tensor } from '../ops/creation.ts';
import { scatterAdd } from '../ops/gather.ts';
import { concat, reshape } from '../ops/shape.ts';
import { searchSorted } from '../ops/sort.ts';
import { ceil, clip, sigmoid } from '../ops/unary.ts';
import { recorded } from '../saving/recorded.ts';
import { showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkCount, checkShare, chosen } from './confusion.ts';
import { alignLabels, type MetricOptions, ratio, type StreamingMetric } from './metric.ts';

/** Counts at each of many thresholds. */
interface Curve {
  readonly truePositives: number[];
  readonly falsePositives: number[];
  readonly falseNegatives: number[];
  readonly trueNegatives: number[];
}

/** How many of `count` thresholds each prediction exceeds, float32. */
type Exceeded = (predictions: Tensor) => Tensor;

/**
 * For `count` thresholds spaced evenly in [0, 1]. Where `firstIsBelow`, the first lies below 0 and every prediction exceeds it.
 */
function evenly(count: number, firstIsBelow: boolean): Exceeded {
  return (x) => clip(ceil(mul(clip(x, 0, 1), count - 1)), firstIsBelow ? 1 : 0, count - 1);
}

/** For given thresholds in ascending order between one that all predictions exceed and one that none does. */
function between(thresholds: readonly number[]): Exceeded {
  return (x) => {
    const flat = reshape(x, [x.size]);
    const found = searchSorted(tensor(Float32Array.from(thresholds)), flat);
    return reshape(add(cast(found, 'float32'), 1), x.shape);
  };
}

/**
 * Counts positive and negative labels by how many thresholds their predictions exceed, which is one pass for any number of thresholds: for each
 * of `columns` labels `[count]` positive ones, then as many negative ones. The last dimension of labels and predictions is that of the columns.
 */
function countByThresholds(
  labels: Tensor,
  predictions: Tensor,
  exceeded: Exceeded,
  count: number,
  columns: number,
  columnWeights?: readonly number[],
): Tensor {
  const { size } = predictions;
  const bucket = mul(exceeded(predictions), columns);
  const column = tensor(Float32Array.from({ length: columns }, (_, i) => i));
  const place = cast(reshape(columns === 1 ? bucket : add(bucket, column), [size]), 'int32');
  let weights = countsOf(predictions.shape);
  if (columnWeights !== undefined) weights = mul(weights, tensor(Float32Array.from(columnWeights)));
  const all = (source: Tensor) =>
    reshape(scatterAdd(reshape(mul(source, weights), [size]), place, count * columns, 1), [count * columns]);
  return concat([all(labels), all(sub(1, labels))], 0);
}

/** The curve of each column. */
function curvesOf(sums: Float64Array, columns: number): Curve[] {
  const half = sums.length / 2;
  const thresholds = half / columns;
  // How many exceed each threshold: those that exceed more thresholds than come before it.
  const above = (start: number) => {
    let total = 0;
    const counts = Array.from({ length: thresholds }, () => 0);
    for (let i = thresholds - 1; i > 0; i--) {
      total += sums[start + i * columns]!;
      counts[i - 1] = total;
    }
    return { counts, all: total + sums[start]! };
  };
  return Array.from({ length: columns }, (_, column) => {
    const positive = above(column);
    const negative = above(half + column);
    return {
      truePositives: positive.counts,
      falsePositives: negative.counts,
      falseNegatives: positive.counts.map((count) => positive.all - count),
      trueNegatives: negative.counts.map((count) => negative.all - count),
    };
  });
}

/** Options of {@link auc}. */
export interface AucOptions extends MetricOptions {
  /** Recall over the rate of false positives, precision over recall, or the gains of both (Flach and Kull 2015). Default `'ROC'`. */
  curve?: 'ROC' | 'PR' | 'PRGAIN';
  /** Points of the curve, at least 2. Default 200. */
  numThresholds?: number;
  /** Thresholds in [0, 1] in place of evenly spaced ones, beside one below and one above all predictions. */
  thresholds?: readonly number[];
  /** How heights between points are taken. Default `'interpolation'`. */
  summationMethod?: 'interpolation' | 'minoring' | 'majoring';
  /** Whether the last dimension holds labels with a curve each, whose areas are averaged. Default false: one curve of all answers. */
  multiLabel?: boolean;
  /** How much each label counts: in the average of the areas with `multiLabel`, else in the curve. Default: all the same. */
  labelWeights?: readonly number[];
  /** Predictions are logits, not probabilities. Default false. */
  fromLogits?: boolean;
}

const heights = {
  interpolation: (a: number, b: number) => (a + b) / 2,
  minoring: Math.min,
  majoring: Math.max,
};

function checkAuc(name: string, options: AucOptions): void {
  const { curve = 'ROC', numThresholds = 200, summationMethod = 'interpolation' } = options;
  const { thresholds, labelWeights } = options;
  checkCount(name, 'numThresholds', numThresholds, 2);
  if (!['ROC', 'PR', 'PRGAIN'].includes(curve)) {
    throw new NablaError(name, `bad curve, got ${describe(curve)}, expected 'ROC', 'PR' or 'PRGAIN'`);
  }
  if (!Object.hasOwn(heights, summationMethod)) {
    throw new NablaError(
      name,
      `bad summationMethod, got ${describe(summationMethod)}, expected 'interpolation', 'minoring' or 'majoring'`,
    );
  }
  const inside = (value: unknown) => typeof value === 'number' && value >= 0 && value <= 1;
  if (thresholds !== undefined && !(Array.isArray(thresholds) && thresholds.every(inside))) {
    throw new NablaError(
      name,
      `bad thresholds, got ${describe(thresholds)}, expected an array of numbers in [0, 1]`,
    );
  }
  const good = (value: unknown) => typeof value === 'number' && value >= 0 && Number.isFinite(value);
  if (labelWeights !== undefined && !(Array.isArray(labelWeights) && labelWeights.every(good))) {
    throw new NablaError(
      name,
      `bad labelWeights, got ${describe(labelWeights)}, expected an array of numbers, 0 or more`,
    );
  }
}

/**
 * The area under the curve of a classifier of yes and no, from its values at some thresholds.
 *
 * @example model.compile({ optimizer: 'adam', loss: 'binaryCrossentropy', metrics: [metrics.auc({ multiLabel: true })] });
 */
export function auc(options: AucOptions = {}): StreamingMetric {
  const name = 'auc';
  checkAuc(name, options);
  const { thresholds, labelWeights, multiLabel = false, fromLogits = false } = options;
  const sorted = thresholds?.toSorted((a, b) => a - b);
  const count = sorted === undefined ? (options.numThresholds ?? 200) : sorted.length + 2;
  const exceeded = sorted === undefined ? evenly(count, true) : between(sorted);
  const checkColumns = (yPred: Tensor) => {
    const columns = yPred.shape.at(-1)!;
    if (multiLabel && yPred.rank < 2)
      throw new NablaError(
        name,
        `expected predictions [batch, labels] with multiLabel, got ${showShape(yPred.shape)}`,
      );
    if (labelWeights !== undefined && labelWeights.length !== columns)
      throw new NablaError(
        name,
        `labelWeights do not fit, got ${labelWeights.length}, expected ${columns}, one a label`,
      );
    return multiLabel ? columns : 1;
  };
  return recorded('metrics', name, [options], {
    name: options.name ?? name,
    update: (yTrue, yPred) => {
      const columns = checkColumns(yPred);
      const labels = cast(notEqual(alignLabels(name, yTrue, yPred), 0), 'float32');
      const predictions = fromLogits ? sigmoid(yPred) : yPred;
      const weights = multiLabel ? undefined : labelWeights;
      return countByThresholds(labels, predictions, exceeded, count, columns, weights);
    },
    result: (sums) => {
      const columns = sums.length / (2 * count);
      const areas = curvesOf(sums, columns).map((curve) => areaUnder(curve, options));
      const weights = (multiLabel ? labelWeights : undefined) ?? areas.map(() => 1);
      const total = areas.reduce((a, area, i) => a + area * weights[i]!, 0);
      return ratio(
        total,
        weights.reduce((a, b) => a + b, 0),
      );
    },
  });
}

function areaUnder(counts: Curve, { curve = 'ROC', summationMethod = 'interpolation' }: AucOptions): number {
  if (curve === 'PR' && summationMethod === 'interpolation') return interpolatedPr(counts);
  const { truePositives, falsePositives, falseNegatives, trueNegatives } = counts;
  const recalls = truePositives.map((tp, i) => ratio(tp, tp + falseNegatives[i]!));
  const rates = falsePositives.map((fp, i) => ratio(fp, fp + trueNegatives[i]!));
  const precisions = truePositives.map((tp, i) => ratio(tp, tp + falsePositives[i]!));
  const odds = truePositives.map((tp, i) =>
    ratio(tp + falseNegatives[i]!, trueNegatives[i]! + falsePositives[i]!),
  );
  const gain = (wrong: readonly number[], none: number) =>
    truePositives.map((tp, i) => (tp === 0 ? none : 1 - odds[i]! * ratio(wrong[i]!, tp)));
  const [x, y] = {
    ROC: () => [rates, recalls] as const,
    PR: () => [recalls, precisions] as const,
    PRGAIN: () => [gain(falseNegatives, 0).map((g) => Math.max(g, 0)), gain(falsePositives, 1)] as const,
  }[curve]();
  const height = heights[summationMethod];
  let area = 0;
  for (let i = 0; i + 1 < x.length; i++) area += (x[i]! - x[i + 1]!) * height(y[i]!, y[i + 1]!);
  return area;
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

/** Options of {@link specificityAtSensitivity} and its kin. */
export interface RateOptions extends MetricOptions {
  /** Evenly spaced thresholds in [0, 1], at least 2. Default 200. */
  numThresholds?: number;
  /** Count this class only: predictions and labels are `[..., classes]`. Default all. */
  classId?: number;
}

function bestAt(
  kind: string,
  best: keyof typeof rates,
  given: keyof typeof rates,
  value: number,
  options: RateOptions | number,
): StreamingMetric {
  const {
    numThresholds = 200,
    classId,
    name = kind,
  } = typeof options === 'number' ? { numThresholds: options } : options;
  checkShare(kind, 'value', value);
  checkCount(kind, 'numThresholds', numThresholds, 2);
  if (classId !== undefined) checkCount(kind, 'classId', classId, 0);
  const exceeded = evenly(numThresholds, false);
  return recorded('metrics', kind, [value, options], {
    name,
    update: (yTrue, yPred) => {
      const [labels, predictions] = chosen(kind, classId, yTrue, yPred);
      return countByThresholds(labels, predictions, exceeded, numThresholds, 1);
    },
    result: (sums) => {
      const [curve] = curvesOf(sums, 1) as [Curve];
      const points = curve.truePositives.map((_, i) =>
        rates[given](curve, i) >= value ? rates[best](curve, i) : 0,
      );
      return Math.max(0, ...points);
    },
  });
}

/** The best specificity at a threshold where the sensitivity is at least `sensitivity`. A number for options is the number of thresholds. */
export function specificityAtSensitivity(
  sensitivity: number,
  options: RateOptions | number = {},
): StreamingMetric {
  return bestAt('specificityAtSensitivity', 'specificity', 'sensitivity', sensitivity, options);
}

/** The best sensitivity at a threshold where the specificity is at least `specificity`. A number for options is the number of thresholds. */
export function sensitivityAtSpecificity(
  specificity: number,
  options: RateOptions | number = {},
): StreamingMetric {
  return bestAt('sensitivityAtSpecificity', 'sensitivity', 'specificity', specificity, options);
}

/** The best precision at a threshold where the recall is at least `recall`. A number for options is the number of thresholds. */
export function precisionAtRecall(recall: number, options: RateOptions | number = {}): StreamingMetric {
  return bestAt('precisionAtRecall', 'precision', 'sensitivity', recall, options);
}

/** The best recall at a threshold where the precision is at least `precision`. A number for options is the number of thresholds. */
export function recallAtPrecision(precision: number, options: RateOptions | number = {}): StreamingMetric {
  return bestAt('recallAtPrecision', 'sensitivity', 'precision', precision, options);
}
