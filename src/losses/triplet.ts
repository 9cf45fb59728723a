// Triplet losses: embeddings of one class are to lie nearer to each other than to those of others.
import { describe, NablaError } from '../errors.ts';
import { add, div, maximum, minimum, mul, pow, sub } from '../ops/arithmetic.ts';
import { cast, equal, greater, logicalAnd, notEqual, where } from '../ops/compare.ts';
import { eye } from '../ops/creation.ts';
import { any, max, min, sum } from '../ops/reduce.ts';
import { broadcastTo, expandDims, reshape, split } from '../ops/shape.ts';
import { abs, sqrt } from '../ops/unary.ts';
import { recorded } from '../saving/recorded.ts';
import { showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { embeddingsIn } from './embeddings.ts';
import type { Loss, LossFunction } from './loss.ts';

/** Options of {@link tripletMargin}. */
export interface TripletMarginOptions {
  /** How much farther the negative should be than the positive. Default 1. */
  margin?: number;
  /** The norm of the distance. Default 2. */
  p?: number;
  /** Added to every difference, which keeps the gradient finite where two are equal. Default 1e-6. */
  epsilon?: number;
  /** Whether the positive's distance to the negative counts where it is smaller than the anchor's (Balntas et al. 2016). Default false. */
  swap?: boolean;
}

/** Options of {@link tripletSemiHard}. */
export interface TripletSemiHardOptions {
  /** How much farther the negative should be than the positive. Default 1. */
  margin?: number;
}

function checkMargin(name: string, margin: unknown): void {
  if (typeof margin === 'number' && margin > 0 && Number.isFinite(margin)) return;
  throw new NablaError(name, `bad margin, got ${describe(margin)}, expected a finite number > 0`);
}

/**
 * `max(d(anchor, positive) - d(anchor, negative) + margin, 0)`, PyTorch's TripletMarginLoss. Predictions `[batch, 3, features]` hold an anchor, a positive and a negative
 * each; labels are not looked at.
 *
 * @example losses.tripletMargin({ margin: 0.5 }).call(labels, stack([anchors, positives, negatives], 1))
 */
export function tripletMargin(options: TripletMarginOptions = {}): Loss {
  const { margin = 1, p = 2, epsilon = 1e-6, swap = false } = options;
  const name = 'tripletMargin';
  checkMargin(name, margin);
  if (!(typeof p === 'number' && p >= 1 && Number.isFinite(p))) {
    throw new NablaError(name, `bad p, got ${describe(p)}, expected a finite number >= 1`);
  }
  const distance = (a: Tensor, b: Tensor) => {
    const off = abs(add(sub(a, b), epsilon));
    if (p === 1) return sum(off, -1);
    return p === 2 ? sqrt(sum(mul(off, off), -1)) : pow(sum(pow(off, p), -1), 1 / p);
  };
  const call: LossFunction = (_, yPred) => {
    const [batch, three, features] = yPred.shape;
    if (yPred.rank !== 3 || three !== 3) {
      throw new NablaError(
        name,
        `predictions are no triplets, got ${showShape(yPred.shape)}, expected [batch, 3, features]; stack() anchors, positives and negatives`,
      );
    }
    const parts = split(cast(yPred, 'float32'), 3, 1).map((part) => reshape(part, [batch!, features!]));
    const [anchor, positive, negative] = parts as [Tensor, Tensor, Tensor];
    const far = distance(anchor, negative);
    const apart = swap ? minimum(far, distance(positive, negative)) : far;
    return maximum(add(sub(distance(anchor, positive), apart), margin), 0);
  };
  return recorded('losses', name, [options], { name, call });
}

/**
 * The triplet loss over all pairs of one class in a batch, each with the nearest negative that is farther than the positive, or else the farthest (Schroff et al. 2015), as
 * TensorFlow Addons has it. Labels are class indices `[batch]`, predictions embeddings `[batch, features]`, as a rule of length 1. Every sample has the loss of the batch.
 * Needs memory for `batch ** 3` numbers.
 *
 * @example model.compile({ optimizer: 'adam', loss: losses.tripletSemiHard({ margin: 0.2 }) })
 */
export function tripletSemiHard(options: TripletSemiHardOptions = {}): Loss {
  const { margin = 1 } = options;
  const name = 'tripletSemiHard';
  checkMargin(name, margin);
  const call: LossFunction = (yTrue, yPred) => {
    const batch = embeddingsIn(name, yTrue, yPred);
    const rows = reshape(yTrue, [batch, 1]);
    const columns = reshape(yTrue, [1, batch]);
    const others = notEqual(rows, columns);
    const difference = sub(expandDims(yPred, 1), expandDims(yPred, 0));
    const squares = sum(mul(difference, difference), -1);
    // The root of 0 has no gradient.
    const apart = greater(squares, 0);
    const distances = where(apart, sqrt(where(apart, squares, 1)), 0);
    // [anchor, positive, negative]: the negatives beyond each positive.
    const toNegative = broadcastTo(expandDims(distances, 1), [batch, batch, batch]);
    const beyond = logicalAnd(expandDims(others, 1), greater(toNegative, expandDims(distances, 2)));
    const nearestBeyond = min(where(beyond, toNegative, 3e38), 2);
    const farthest = max(where(others, distances, 0), 1, true);
    const negative = where(any(beyond, 2), nearestBeyond, farthest);
    const pairs = sub(cast(equal(rows, columns), 'float32'), eye(batch));
    const total = sum(maximum(mul(add(sub(distances, negative), margin), pairs), 0));
    return broadcastTo(div(total, maximum(sum(pairs), 1)), [batch]);
  };
  return recorded('losses', name, [options], { name, call });
}
