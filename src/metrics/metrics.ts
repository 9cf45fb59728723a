// Accuracies, and metrics by name.
import { describe, NablaError } from '../errors.ts';
import { lossAliases } from '../losses/losses.ts';
import { resolveName, type Spelled } from '../names.ts';
import { cast, equal, less, logicalAnd, where } from '../ops/compare.ts';
import { oneHot } from '../ops/gather.ts';
import { argMax, sum } from '../ops/reduce.ts';
import { reshape } from '../ops/shape.ts';
import { recorded } from '../saving/recorded.ts';
import { sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { named } from '../trace.ts';
import { f1Score, precision, recall } from './confusion.ts';
import { falseNegatives, falsePositives, trueNegatives, truePositives } from './counts.ts';
import { auc } from './curves.ts';
import { fBetaScore } from './f-score.ts';
import {
  type AnyMetric,
  alignLabels,
  isStreaming,
  type Metric,
  type MetricFunction,
  type MetricOptions,
  perSample,
} from './metric.ts';
import * as ofLosses from './of-losses.ts';
import { binaryIoU } from './overlap.ts';
import {
  concordanceCorrelation,
  cosineSimilarity,
  pearsonCorrelation,
  perplexity,
  r2Score,
  rootMeanSquaredError,
} from './regression.ts';

export type { AnyMetric, Metric, MetricFunction, MetricOptions, StreamingMetric } from './metric.ts';

/** Share of rows whose largest prediction is at the largest label: labels and predictions `[..., classes]`. */
export function categoricalAccuracy(options: MetricOptions = {}): Metric {
  return recorded('metrics', 'categoricalAccuracy', [options], {
    name: options.name ?? 'categoricalAccuracy',
    call: (yTrue, yPred) => {
      if (!sameShape(yTrue.shape, yPred.shape)) {
        throw new NablaError(
          'categoricalAccuracy',
          `labels do not fit, got ${showShape(yTrue.shape)}, expected ${showShape(yPred.shape)}; ` +
            "use the metric 'sparseCategoricalAccuracy' with class indices",
        );
      }
      return perSample(equal(argMax(yTrue), argMax(yPred)));
    },
  });
}

/** Share of rows whose largest prediction is at the class index: labels `[...]` or `[..., 1]`. */
export function sparseCategoricalAccuracy(options: MetricOptions = {}): Metric {
  return recorded('metrics', 'sparseCategoricalAccuracy', [options], {
    name: options.name ?? 'sparseCategoricalAccuracy',
    call: (yTrue, yPred) => {
      const predicted = argMax(yPred);
      if (predicted.size !== yTrue.size) {
        throw new NablaError(
          'sparseCategoricalAccuracy',
          `labels do not fit, got ${showShape(yTrue.shape)}, expected class indices ${showShape(predicted.shape)}`,
        );
      }
      return perSample(equal(reshape(cast(yTrue, 'int32'), predicted.shape), predicted));
    },
  });
}

/** Options of {@link binaryAccuracy}. */
export interface BinaryAccuracyOptions extends MetricOptions {
  /** Predictions above it say yes. Default 0.5. */
  threshold?: number;
}

/** Share of predictions on the same side of a threshold as their labels. A number for options is the threshold. */
export function binaryAccuracy(options: BinaryAccuracyOptions | number = {}): Metric {
  const { threshold = 0.5, name = 'binaryAccuracy' } =
    typeof options === 'number' ? { threshold: options } : options;
  return recorded('metrics', 'binaryAccuracy', [options], {
    name,
    call: (yTrue, yPred) => {
      if (yTrue.size !== yPred.size) {
        throw new NablaError(
          'binaryAccuracy',
          `labels do not fit, got ${showShape(yTrue.shape)}, expected ${showShape(yPred.shape)}`,
        );
      }
      const labels = reshape(cast(yTrue, 'float32'), yPred.shape);
      return perSample(equal(cast(less(threshold, yPred), 'float32'), labels));
    },
  });
}

/** The accuracy that fits labels and predictions: binary, categorical or sparse, chosen by their shapes as Keras does. */
export function accuracy(options: MetricOptions = {}): Metric {
  const call: MetricFunction = (yTrue, yPred) => {
    const last = yPred.shape.at(-1);
    if (yPred.rank === 1 || last === 1) return binaryAccuracy().call(yTrue, yPred);
    if (yTrue.rank === yPred.rank && yTrue.shape.at(-1) === last)
      return categoricalAccuracy().call(yTrue, yPred);
    return sparseCategoricalAccuracy().call(yTrue, yPred);
  };
  return recorded('metrics', 'accuracy', [options], { name: options.name ?? 'accuracy', call });
}

/** Whether fewer than k of a row's predictions are larger than that of its class. */
function amongTop(name: string, k: number, classes: Tensor, yPred: Tensor): Tensor {
  const shape = yPred.shape.slice(0, -1);
  const chosen = oneHot(reshape(cast(classes, 'int32'), shape), yPred.shape.at(-1)!);
  const own = sum(where(equal(chosen, 1), yPred, 0), -1, true);
  // A prediction of NaN is no hit.
  const isNumber = reshape(equal(own, own), shape);
  const larger = sum(cast(less(own, yPred), 'float32'), -1);
  return named(name, () => perSample(logicalAnd(less(larger, k), isNumber)));
}

/** Options of {@link topKCategoricalAccuracy} and {@link sparseTopKCategoricalAccuracy}. */
export interface TopKAccuracyOptions extends MetricOptions {
  /** How many of the largest predictions count as right. Default 5. */
  k?: number;
}

function topKOptions(kind: string, options: TopKAccuracyOptions | number): { k: number; name: string } {
  const { k = 5, name = kind } = typeof options === 'number' ? { k: options } : options;
  if (Number.isInteger(k) && k >= 1) return { k, name };
  throw new NablaError(kind, `bad k, got ${describe(k)}, expected an integer >= 1`);
}

/** Share of rows whose largest label is among the `k` largest predictions: labels and predictions `[..., classes]`. A number for options is `k`. */
export function topKCategoricalAccuracy(options: TopKAccuracyOptions | number = {}): Metric {
  const kind = 'topKCategoricalAccuracy';
  const { k, name } = topKOptions(kind, options);
  return recorded('metrics', kind, [options], {
    name,
    call: (yTrue, yPred) => amongTop(kind, k, argMax(alignLabels(kind, yTrue, yPred)), yPred),
  });
}

/** Share of rows whose class index is among the `k` largest predictions: labels `[...]` or `[..., 1]`. A number for options is `k`. */
export function sparseTopKCategoricalAccuracy(options: TopKAccuracyOptions | number = {}): Metric {
  const kind = 'sparseTopKCategoricalAccuracy';
  const { k, name } = topKOptions(kind, options);
  return recorded('metrics', kind, [options], {
    name,
    call: (yTrue, yPred) => amongTop(kind, k, yTrue, yPred),
  });
}

const factories = {
  accuracy,
  binaryAccuracy: () => binaryAccuracy(),
  categoricalAccuracy,
  sparseCategoricalAccuracy,
  binaryCrossentropy: () => ofLosses.binaryCrossentropy(),
  categoricalCrossentropy: () => ofLosses.categoricalCrossentropy(),
  sparseCategoricalCrossentropy: () => ofLosses.sparseCategoricalCrossentropy(),
  meanSquaredError: () => ofLosses.meanSquaredError(),
  meanAbsoluteError: () => ofLosses.meanAbsoluteError(),
  meanAbsolutePercentageError: () => ofLosses.meanAbsolutePercentageError(),
  meanSquaredLogarithmicError: () => ofLosses.meanSquaredLogarithmicError(),
  logCosh: () => ofLosses.logCosh(),
  poisson: () => ofLosses.poisson(),
  klDivergence: () => ofLosses.klDivergence(),
  hinge: () => ofLosses.hinge(),
  squaredHinge: () => ofLosses.squaredHinge(),
  categoricalHinge: () => ofLosses.categoricalHinge(),
  topKCategoricalAccuracy: () => topKCategoricalAccuracy(),
  sparseTopKCategoricalAccuracy: () => sparseTopKCategoricalAccuracy(),
  cosineSimilarity,
  pearsonCorrelation,
  concordanceCorrelation,
  rootMeanSquaredError,
  r2Score,
  perplexity,
  precision,
  recall,
  f1Score,
  fBetaScore,
  auc,
  truePositives,
  trueNegatives,
  falsePositives,
  falseNegatives,
  binaryIoU,
} satisfies Record<string, () => AnyMetric>;

/**
 * Names of metrics: in camelCase, in Keras' two spellings, and short forms.
 *
 * @useDeclaredType
 */
export type MetricName =
  | Spelled<keyof typeof factories>
  | 'acc'
  | 'mse'
  | 'MSE'
  | 'mae'
  | 'MAE'
  | 'mape'
  | 'MAPE'
  | 'msle'
  | 'MSLE'
  | 'kld'
  | 'KLD'
  | 'KLDivergence'
  | 'AUC'
  | 'rmse';

/** A metric, its name, or a function of labels and predictions. */
export type MetricLike = MetricName | AnyMetric | MetricFunction;

const aliases = { ...lossAliases, acc: 'accuracy', rmse: 'rootMeanSquaredError' };

/** The metric that a name, object or function means. Values are kept under the name as the user wrote it. */
export function getMetric(where: string, like: MetricLike): AnyMetric {
  if (typeof like === 'string') {
    const metric = resolveName<() => AnyMetric>(where, 'metric', like, factories, aliases)();
    return { ...metric, name: like };
  }
  if (typeof like === 'function') return { name: like.name || 'metric', call: like };
  if (like !== null && typeof like === 'object') {
    const form = isStreaming(like) ? like.update : like.call;
    if (typeof form === 'function') return like;
  }
  throw new NablaError(
    where,
    `bad metric, got ${String(like)}, expected a name such as 'accuracy' or a function`,
  );
}
