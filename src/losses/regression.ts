// Losses of numbers rather than classes: differences, ratios, angles and rates; formulas and defaults as in Keras 3.
import { describe, NablaError } from '../errors.ts';
import { add, div, maximum, mul, squaredDifference, sub } from '../ops/arithmetic.ts';
import { lessEqual, where } from '../ops/compare.ts';
import { sum, sumSquares } from '../ops/reduce.ts';
import { abs, clip, log, log1p, neg, rsqrt, softplus, square } from '../ops/unary.ts';
import type { Tensor } from '../tensor.ts';
import { elementwise, epsilon, type Loss, rowwise } from './loss.ts';

/** The mean of squared differences. */
export function meanSquaredError(): Loss {
  return elementwise('meanSquaredError', squaredDifference);
}

/** The mean of absolute differences. */
export function meanAbsoluteError(): Loss {
  return elementwise('meanAbsoluteError', (p, label) => abs(sub(p, label)));
}

/** The mean of absolute differences in percent of the label, which counts as at least 1e-7. */
export function meanAbsolutePercentageError(): Loss {
  return elementwise('meanAbsolutePercentageError', (p, label) =>
    mul(abs(div(sub(p, label), maximum(abs(label), epsilon))), 100),
  );
}

/** The mean of squared differences of `log(1 + y)`; numbers below 1e-7 count as that. */
export function meanSquaredLogarithmicError(): Loss {
  const scaled = (x: Tensor) => log1p(maximum(x, epsilon));
  return elementwise('meanSquaredLogarithmicError', (p, label) =>
    squaredDifference(scaled(p), scaled(label)),
  );
}

/** Options of {@link huber}. */
export interface HuberOptions {
  /** Differences beyond it count linearly. Default 1. */
  delta?: number;
}

/** Half the squared difference up to `delta`, beyond it `delta * (|difference| - delta / 2)` (Huber 1964). */
export function huber(options: HuberOptions = {}): Loss {
  const { delta = 1 } = options;
  if (!(typeof delta === 'number' && delta > 0 && Number.isFinite(delta))) {
    throw new NablaError('huber', `bad delta, got ${describe(delta)}, expected a finite number above 0`);
  }
  return elementwise(
    'huber',
    (p, label) => {
      const error = sub(p, label);
      const size = abs(error);
      const linear = sub(mul(size, delta), (delta * delta) / 2);
      return where(lessEqual(size, delta), mul(square(error), 0.5), linear);
    },
    options,
  );
}

/** The mean of `log(cosh(difference))`: near `x ** 2 / 2` for small differences, `|x| - log(2)` for large ones. */
export function logCosh(): Loss {
  return elementwise('logCosh', (p, label) => {
    const error = sub(p, label);
    return sub(add(error, softplus(mul(error, -2))), Math.LN2);
  });
}

/** Rows of length 1; zeros stay zeros. */
function normalized(x: Tensor): Tensor {
  return mul(x, rsqrt(maximum(sumSquares(x, -1, true), epsilon ** 2)));
}

/** The cosine between the rows of labels and predictions, from -1 (opposite) to 1. As a metric it is meant to grow. */
export function rowCosine(predictions: Tensor, labels: Tensor): Tensor {
  return sum(mul(normalized(predictions), normalized(labels)), -1);
}

/** Minus the cosine between the rows of labels and predictions: -1 where they point the same way, 0 for a row of zeros. */
export function cosineSimilarity(): Loss {
  return rowwise('cosineSimilarity', (p, label) => neg(rowCosine(p, label)));
}

/** The mean of `prediction - label * log(prediction)`: rates of counts. */
export function poisson(): Loss {
  return elementwise('poisson', (p, label) => sub(p, mul(label, log(add(p, epsilon)))));
}

/** The Kullback-Leibler divergence of predicted distributions from those of the labels, `[..., classes]`: `sum(label * log(label / prediction))`. */
export function klDivergence(): Loss {
  return rowwise('klDivergence', (p, label) => {
    const [from, to] = [clip(label, epsilon, 1), clip(p, epsilon, 1)];
    return sum(mul(from, log(div(from, to))), -1);
  });
}
