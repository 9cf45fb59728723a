// Metrics: one number a sample, averaged over an epoch.
import { NablaError } from '../errors.ts';
import { getLoss } from '../losses/losses.ts';
import { resolveName } from '../names.ts';
import { cast, equal, less } from '../ops/compare.ts';
import { argMax, mean } from '../ops/reduce.ts';
import { reshape } from '../ops/shape.ts';
import { sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Labels and predictions with a batch dimension give one number a sample, `[batch]`. */
export type MetricFunction = (yTrue: Tensor, yPred: Tensor) => Tensor;

/** A metric with its name, the key of its values in histories. */
export interface Metric {
  readonly name: string;
  readonly call: MetricFunction;
}

function perSample(x: Tensor): Tensor {
  const numbers = cast(x, 'float32');
  if (numbers.rank <= 1) return numbers;
  return mean(reshape(numbers, [numbers.shape[0]!, numbers.size / Math.max(1, numbers.shape[0]!)]), 1);
}

/** Share of rows whose largest prediction is at the largest label: labels and predictions `[..., classes]`. */
export function categoricalAccuracy(): Metric {
  return {
    name: 'categoricalAccuracy',
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
  };
}

/** Share of rows whose largest prediction is at the class index: labels `[...]` or `[..., 1]`. */
export function sparseCategoricalAccuracy(): Metric {
  return {
    name: 'sparseCategoricalAccuracy',
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
  };
}

/** Share of predictions on the same side of `threshold` (default 0.5) as their labels. */
export function binaryAccuracy(threshold = 0.5): Metric {
  return {
    name: 'binaryAccuracy',
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
  };
}

/** The accuracy that fits labels and predictions: binary, categorical or sparse, chosen by their shapes as Keras does. */
export function accuracy(): Metric {
  const call: MetricFunction = (yTrue, yPred) => {
    const last = yPred.shape.at(-1);
    if (yPred.rank === 1 || last === 1) return binaryAccuracy().call(yTrue, yPred);
    if (yTrue.rank === yPred.rank && yTrue.shape.at(-1) === last)
      return categoricalAccuracy().call(yTrue, yPred);
    return sparseCategoricalAccuracy().call(yTrue, yPred);
  };
  return { name: 'accuracy', call };
}

function ofLoss(name: string): () => Metric {
  return () => ({ name, call: getLoss(name, name).call });
}

const factories = {
  accuracy,
  binaryAccuracy: () => binaryAccuracy(),
  categoricalAccuracy,
  sparseCategoricalAccuracy,
  binaryCrossentropy: ofLoss('binaryCrossentropy'),
  categoricalCrossentropy: ofLoss('categoricalCrossentropy'),
  sparseCategoricalCrossentropy: ofLoss('sparseCategoricalCrossentropy'),
  meanSquaredError: ofLoss('meanSquaredError'),
  meanAbsoluteError: ofLoss('meanAbsoluteError'),
} satisfies Record<string, () => Metric>;

/** Names of metrics, in camelCase; Keras' snake_case and short forms are accepted too. */
export type MetricName = keyof typeof factories | 'acc' | 'mse' | 'mae';

/** A metric, its name, or a function of labels and predictions. */
export type MetricLike = MetricName | Metric | MetricFunction | (string & {});

const aliases = { acc: 'accuracy', mse: 'meanSquaredError', mae: 'meanAbsoluteError' };

/** The metric that a name, object or function means. Values are kept under the name as the user wrote it. */
export function getMetric(where: string, like: MetricLike): Metric {
  if (typeof like === 'string') {
    const metric = resolveName<() => Metric>(where, 'metric', like, factories, aliases)();
    return { name: like, call: metric.call };
  }
  if (typeof like === 'function') return { name: like.name || 'metric', call: like };
  if (like !== null && typeof like === 'object' && typeof like.call === 'function') return like;
  throw new NablaError(
    where,
    `bad metric, got ${String(like)}, expected a name such as 'accuracy' or a function`,
  );
}
