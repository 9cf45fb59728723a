// Losses of margins; formulas as in Keras 3.
import { add, maximum, mul, sub } from '../ops/arithmetic.ts';
import { equal, logicalOr, where } from '../ops/compare.ts';
import { all, max, sum } from '../ops/reduce.ts';
import { square } from '../ops/unary.ts';
import type { Tensor } from '../tensor.ts';
import { elementwise, type Loss, rowwise } from './loss.ts';

/** What is missing to a margin of 1. A batch of labels 0 and 1 is taken as -1 and 1. */
function missing(p: Tensor, label: Tensor): Tensor {
  const isBinary = all(logicalOr(equal(label, 0), equal(label, 1)));
  const sides = where(isBinary, sub(mul(label, 2), 1), label);
  return maximum(sub(1, mul(p, sides)), 0);
}

/** The mean of `max(1 - label * prediction, 0)`, labels -1 and 1 or 0 and 1. */
export function hinge(): Loss {
  return elementwise('hinge', missing);
}

/** The mean of `max(1 - label * prediction, 0) ** 2`, labels -1 and 1 or 0 and 1. */
export function squaredHinge(): Loss {
  return elementwise('squaredHinge', (p, label) => square(missing(p, label)));
}

/** How far the best wrong class comes within 1 of the right one: labels one-hot `[..., classes]`. */
export function categoricalHinge(): Loss {
  return rowwise('categoricalHinge', (p, label) => {
    const right = sum(mul(p, label), -1);
    const wrong = max(mul(p, sub(1, label)), -1);
    return maximum(add(sub(wrong, right), 1), 0);
  });
}
