// The circle loss of embeddings, and the generalized cross entropy of noisy labels; formulas and defaults as in Keras 3.
import { describe, NablaError } from '../errors.ts';
import { add, div, maximum, mul, pow, sub } from '../ops/arithmetic.ts';
import { cast, equal, greater, logicalAnd, logicalNot, where } from '../ops/compare.ts';
import { eye } from '../ops/creation.ts';
import { oneHot } from '../ops/gather.ts';
import { matMul } from '../ops/linalg.ts';
import { logSumExp, sum } from '../ops/reduce.ts';
import { reshape } from '../ops/shape.ts';
import { softplus } from '../ops/unary.ts';
import { recorded } from '../saving/recorded.ts';
import { showShape } from '../shape.ts';
import { embeddingsIn } from './embeddings.ts';
import type { Loss, LossFunction } from './loss.ts';
import { perSample } from './loss.ts';

/** Options of {@link circle}. */
export interface CircleOptions {
  /** How sharply pairs that are far from where they should be are preferred. Default 80. */
  gamma?: number;
  /** How far from their best similarities pairs may stay. Default 0.4. */
  margin?: number;
  /** Whether a sample is no pair with itself. Default true. */
  removeDiagonal?: boolean;
}

/**
 * Brings embeddings of one class together and those of others apart, pair by pair in a batch (Sun et al. 2020). Labels are class indices `[batch]`,
 * predictions embeddings `[batch, features]` of length 1. Samples that make no pair with others do not count in the mean.
 *
 * @example model.compile({ optimizer: 'adam', loss: losses.circle({ gamma: 64 }) })
 */
export function circle(options: CircleOptions = {}): Loss {
  const { gamma = 80, margin = 0.4, removeDiagonal = true } = options;
  const name = 'circle';
  for (const [label, value] of Object.entries({ gamma, margin })) {
    if (typeof value === 'number' && Number.isFinite(value)) continue;
    throw new NablaError(name, `bad ${label}, got ${describe(value)}, expected a finite number`);
  }
  const call: LossFunction = (yTrue, yPred) => {
    const batch = embeddingsIn(name, yTrue, yPred);
    const alike = equal(reshape(yTrue, [batch, 1]), reshape(yTrue, [1, batch]));
    const positive = removeDiagonal ? logicalAnd(alike, equal(eye(batch), 0)) : alike;
    const distance = maximum(sub(1, matMul(yPred, yPred, { transposeB: true })), 0);
    // Where a row has no pair, its sum comes out as that of nothing: far below all others.
    const nothing = -1e30;
    const pull = mul(mul(maximum(add(distance, margin), 0), sub(margin, distance)), -gamma);
    const push = mul(mul(maximum(sub(1 + margin, distance), 0), sub(1 - margin, distance)), gamma);
    const near = logSumExp(where(positive, pull, nothing), 1);
    const far = logSumExp(where(logicalNot(alike), push, nothing), 1);
    const losses = softplus(add(near, far));
    const counted = sum(cast(greater(losses, 0), 'float32'));
    return mul(losses, div(batch, maximum(counted, 1)));
  };
  return recorded('losses', name, [options], { name, call });
}

/** Options of {@link categoricalGeneralizedCrossEntropy}. */
export interface GeneralizedCrossEntropyOptions {
  /** Between 0, where it is the cross entropy, and 1, where it is the mean absolute error, which noise moves least. Default 0.5. */
  q?: number;
}

/**
 * `(1 - p ** q) / q` with the probability `p` that is given to the label (Zhang and Sabuncu 2018): for labels some of which are wrong. Labels are
 * class indices.
 *
 * @example model.compile({ optimizer: 'adam', loss: losses.categoricalGeneralizedCrossEntropy({ q: 0.7 }) })
 */
export function categoricalGeneralizedCrossEntropy(options: GeneralizedCrossEntropyOptions = {}): Loss {
  const { q = 0.5 } = options;
  const name = 'categoricalGeneralizedCrossEntropy';
  if (typeof q !== 'number' || !(q > 0 && q < 1))
    throw new NablaError(name, `bad q, got ${describe(q)}, expected a number in (0, 1)`);
  const call: LossFunction = (yTrue, yPred) => {
    const shape = yPred.shape.slice(0, -1);
    if (yTrue.size !== shape.reduce((a, b) => a * b, 1)) {
      throw new NablaError(
        name,
        `labels do not fit the predictions, got ${showShape(yTrue.shape)}, expected class indices ${showShape(shape)}`,
      );
    }
    const chosen = oneHot(cast(reshape(yTrue, shape), 'int32'), yPred.shape.at(-1)!);
    return perSample(div(sub(1, pow(sum(mul(yPred, chosen), -1), q)), q));
  };
  return recorded('losses', name, [options], { name, call });
}
