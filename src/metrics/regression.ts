// Metrics of numbers rather than classes, and perplexity.
import { sparseCategoricalCrossentropy } from '../losses/crossentropy.ts';
import { rowCosine } from '../losses/regression.ts';
import { add, div, mul, squaredDifference, sub } from '../ops/arithmetic.ts';
import { fill } from '../ops/creation.ts';
import { mean, std, sum, variance } from '../ops/reduce.ts';
import { concat, reshape } from '../ops/shape.ts';
import { square } from '../ops/unary.ts';
import { recorded } from '../saving/recorded.ts';
import type { Tensor } from '../tensor.ts';
import { alignLabels, type Metric, perSample, type StreamingMetric } from './metric.ts';

/** The sums of `[batch, columns]` down the batch, and the batch's size, after one another. */
function sumsAndCount(...parts: readonly [Tensor, ...Tensor[]]): Tensor {
  const sums = parts.map((part) => sum(part, 0));
  return concat([...sums, fill([1], parts[0].shape[0]!)], 0);
}

function columns(x: Tensor): Tensor {
  const batch = x.shape[0]!;
  return reshape(x, [batch, x.size / Math.max(1, batch)]);
}

/** The cosine between the rows of labels and predictions, from -1 to 1; the loss of this name is its negative. */
export function cosineSimilarity(): Metric {
  const name = 'cosineSimilarity';
  return recorded('metrics', 'cosineSimilarity', [], {
    name,
    call: (yTrue, yPred) => perSample(rowCosine(yPred, alignLabels(name, yTrue, yPred))),
  });
}

/** Pearson's correlation between the rows of labels and predictions, averaged over the rows; NaN where a row is constant. */
export function pearsonCorrelation(): Metric {
  const name = 'pearsonCorrelation';
  const standard = (x: Tensor) => div(sub(x, mean(x, -1, true)), std(x, -1, true));
  return recorded('metrics', 'pearsonCorrelation', [], {
    name,
    call: (yTrue, yPred) =>
      perSample(mean(mul(standard(alignLabels(name, yTrue, yPred)), standard(yPred)), -1)),
  });
}

/** Lin's concordance correlation (1989) between the rows of labels and predictions, averaged over the rows: Pearson's, less for what is shifted or scaled. */
export function concordanceCorrelation(): Metric {
  const name = 'concordanceCorrelation';
  return recorded('metrics', name, [], {
    name,
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
export function rootMeanSquaredError(): StreamingMetric {
  const name = 'rootMeanSquaredError';
  return recorded('metrics', 'rootMeanSquaredError', [], {
    name,
    update: (yTrue, yPred) => {
      const squares = columns(squaredDifference(yPred, alignLabels(name, yTrue, yPred)));
      return sumsAndCount(mean(squares, 1, true));
    },
    result: (sums) => Math.sqrt(sums[0]! / sums[1]!),
  });
}

/** The share of the labels' variance that is predicted, 1 at best, averaged over the outputs. Infinite scores count as 0. */
export function r2Score(): StreamingMetric {
  const name = 'r2Score';
  return recorded('metrics', 'r2Score', [], {
    name,
    update: (yTrue, yPred) => {
      const labels = columns(alignLabels(name, yTrue, yPred));
      const predictions = columns(yPred);
      const left = squaredDifference(predictions, labels);
      return sumsAndCount(labels, square(labels), left);
    },
    result: (sums) => {
      const outputs = (sums.length - 1) / 3;
      const count = sums.at(-1)!;
      let total = 0;
      for (let i = 0; i < outputs; i++) {
        const variance = sums[outputs + i]! - sums[i]! ** 2 / count;
        const score = 1 - sums[2 * outputs + i]! / variance;
        total += Math.abs(score) === Infinity ? 0 : score;
      }
      return total / outputs;
    },
  });
}

/** Options of {@link perplexity}. */
export interface PerplexityOptions {
  /** Predictions are logits, not probabilities. Default false. */
  fromLogits?: boolean;
}

/** e to the mean cross entropy: among how many classes the model is in doubt. Labels are class indices `[...]`, predictions `[..., classes]`. */
export function perplexity(options: PerplexityOptions = {}): StreamingMetric {
  const entropy = sparseCategoricalCrossentropy(options);
  return recorded('metrics', 'perplexity', [options], {
    name: 'perplexity',
    update: (yTrue, yPred) => sumsAndCount(reshape(entropy.call(yTrue, yPred), [yPred.shape[0]!, 1])),
    result: (sums) => Math.exp(sums[0]! / sums[1]!),
  });
}
