// Metrics of numbers rather than classes, and perplexity.
import { describe, NablaError } from '../errors.ts';
import { sparseCategoricalCrossentropy } from '../losses/crossentropy.ts';
import { rowCosine } from '../losses/regression.ts';
import { countsOf, keepCounted, sumsOf } from '../masks.ts';
import { add, div, mul, squaredDifference, sub } from '../ops/arithmetic.ts';
import { fill } from '../ops/creation.ts';
import { mean, std, sum, variance } from '../ops/reduce.ts';
import { concat, reshape, stack } from '../ops/shape.ts';
import { square } from '../ops/unary.ts';
import { checkOptions } from '../options.ts';
import { recorded } from '../saving/recorded.ts';
import type { Tensor } from '../tensor.ts';
import { checkCount } from './confusion.ts';
import { alignLabels, type Metric, type MetricOptions, perSample, type StreamingMetric } from './metric.ts';

/** The sums of `[batch, columns]` down the batch, after one another. */
function sums(...parts: readonly [Tensor, ...Tensor[]]): Tensor {
  return concat(parts.map((part) => sum(part, 0)) as [Tensor], 0);
}

function columns(x: Tensor): Tensor {
  const batch = x.shape[0]!;
  return reshape(x, [batch, x.size / Math.max(1, batch)]);
}

/** The cosine between the rows of labels and predictions, from -1 to 1; the loss of this name is its negative. */
export function cosineSimilarity(options: MetricOptions = {}): Metric {
  const name = 'cosineSimilarity';
  return recorded('metrics', name, [options], {
    name: options.name ?? name,
    call: (yTrue, yPred) => perSample(rowCosine(yPred, alignLabels(name, yTrue, yPred))),
  });
}

/** Pearson's correlation between the rows of labels and predictions, averaged over the rows; NaN where a row is constant. */
export function pearsonCorrelation(options: MetricOptions = {}): Metric {
  const name = 'pearsonCorrelation';
  const standard = (x: Tensor) => div(sub(x, mean(x, -1, true)), std(x, -1, true));
  return recorded('metrics', name, [options], {
    name: options.name ?? name,
    call: (yTrue, yPred) =>
      perSample(mean(mul(standard(alignLabels(name, yTrue, yPred)), standard(yPred)), -1)),
  });
}

/** Lin's concordance correlation (1989) between the rows of labels and predictions, averaged over the rows: Pearson's, less for what is shifted or scaled. */
export function concordanceCorrelation(options: MetricOptions = {}): Metric {
  const name = 'concordanceCorrelation';
  return recorded('metrics', name, [options], {
    name: options.name ?? name,
    call: (yTrue, yPred) => {
      const labels = alignLabels(name, yTrue, yPred);
      const [a, b] = [mean(labels, -1, true), mean(yPred, -1, true)];
      const together = mean(mul(sub(labels, a), sub(yPred, b)), -1);
      const spread = add(add(variance(labels, -1), variance(yPred, -1)), mean(squaredDifference(a, b), -1));
      return perSample(div(mul(together, 2), add(spread, 1e-7)));
    },
  });
}

/** The square root of the mean of squared differences over all samples. */
export function rootMeanSquaredError(options: MetricOptions = {}): StreamingMetric {
  const name = 'rootMeanSquaredError';
  return recorded('metrics', name, [options], {
    name: options.name ?? name,
    update: (yTrue, yPred) => {
      const squares = keepCounted(squaredDifference(yPred, alignLabels(name, yTrue, yPred)));
      return sums(mean(columns(squares), 1, true), mean(columns(countsOf(yPred.shape)), 1, true));
    },
    result: ([total, count]) => Math.sqrt(total! / count!),
  });
}

/** Options of {@link r2Score}. */
export interface R2Options extends MetricOptions {
  /** The mean over the outputs, or that weighted by the variances of their labels. Default `'uniformAverage'`. */
  classAggregation?: 'uniformAverage' | 'varianceWeightedAverage';
  /** Independent variables that the predictions were made from, for the adjusted score; 0 for the plain one. Default 0. */
  numRegressors?: number;
}

/** The share of the labels' variance that is predicted, 1 at best, averaged over the outputs, `[..., outputs]`. Infinite scores count as 0. */
export function r2Score(options: R2Options = {}): StreamingMetric {
  const name = 'r2Score';
  const { classAggregation = 'uniformAverage', numRegressors = 0 } = options;
  if (!['uniformAverage', 'varianceWeightedAverage'].includes(classAggregation)) {
    throw new NablaError(
      name,
      `bad classAggregation, got ${describe(classAggregation)}, expected 'uniformAverage' or 'varianceWeightedAverage'`,
    );
  }
  checkCount(name, 'numRegressors', numRegressors, 0);
  return recorded('metrics', name, [options], {
    name: options.name ?? name,
    update: (yTrue, yPred) => {
      const labels = alignLabels(name, yTrue, yPred);
      const left = squaredDifference(yPred, labels);
      const parts = [
        keepCounted(labels),
        keepCounted(square(labels)),
        keepCounted(left),
        countsOf(yPred.shape),
      ];
      const width = yPred.rank < 2 ? 1 : yPred.shape.at(-1)!;
      const byOutput = parts.map((part) => reshape(part, [part.size / width, width]));
      return concat([sums(...(byOutput as [Tensor])), fill([1], yPred.size)], 0);
    },
    result: (totals) => {
      const outputs = (totals.length - 1) / 4;
      let [total, weights] = [0, 0];
      for (let i = 0; i < outputs; i++) {
        const [first, second, left, count] = [0, 1, 2, 3].map((part) => totals[part * outputs + i]!);
        const variance = second! - first! ** 2 / count!;
        const score = 1 - left! / variance;
        const weight = classAggregation === 'uniformAverage' ? 1 : variance;
        total += Math.abs(score) === Infinity ? 0 : score * weight;
        weights += weight;
      }
      const score = total / weights;
      const freedom = totals.at(-1)! - numRegressors - 1;
      // With fewer samples than variables there is no adjusted score.
      if (numRegressors === 0 || freedom <= 0) return score;
      return 1 - ((1 - score) * (totals.at(-1)! - 1)) / freedom;
    },
  });
}

/** Options of {@link perplexity}. */
export interface PerplexityOptions extends MetricOptions {
  /** Predictions are logits, not probabilities. Default false. */
  fromLogits?: boolean;
}

/** e to the mean cross entropy: among how many classes the model is in doubt. Labels are class indices `[...]`, predictions `[..., classes]`. */
export function perplexity(options: PerplexityOptions = {}): StreamingMetric {
  checkOptions('metrics', 'perplexity', options);
  const entropy = sparseCategoricalCrossentropy(options);
  return recorded('metrics', 'perplexity', [options], {
    name: options.name ?? 'perplexity',
    update: (yTrue, yPred) => {
      const { sum: total, count } = sumsOf(() => entropy.call(yTrue, yPred));
      return stack([total, count], 0);
    },
    result: ([total, count]) => Math.exp(total! / count!),
  });
}
