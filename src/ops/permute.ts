// Random choices: classes by their log-probabilities, permutations, shuffled tensors.
import { NablaError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';
import { add } from './arithmetic.ts';
import { gather } from './gather.ts';
import { randomUniform } from './random.ts';
import { argMax } from './reduce.ts';
import { expandDims } from './shape.ts';
import { argsort } from './sort.ts';
import { log, neg } from './unary.ts';

/**
 * Class indices drawn with probabilities `softmax(logits)`: `[rows, classes]` gives int32 `[rows, samples]` (by the Gumbel-max trick). Default one
 * sample a row.
 */
export function randomCategorical(logits: Tensor, samples = 1): Tensor<'int32'> {
  if (logits.rank !== 2 || !Number.isInteger(samples) || samples < 0) {
    throw new NablaError(
      'randomCategorical',
      `expected logits [rows, classes] and a number of samples, got ${logits} and ${samples}`,
    );
  }
  const [rows, classes] = logits.shape as [number, number];
  const gumbel = neg(log(neg(log(randomUniform([rows, samples, classes])))));
  return argMax(add(expandDims(logits, 1), gumbel), -1);
}

/** The integers `0 .. n - 1` in random order, int32. */
export function randomPermutation(n: number): Tensor<'int32'> {
  // Two keys of 24 bits each: sorted by the lower, then stably by the upper, so that equal keys are too rare to count.
  const lower = argsort(randomUniform([n]));
  return gather(lower, argsort(randomUniform([n]))) as Tensor<'int32'>;
}

/** The slices along `axis` (default 0) in random order. */
export function shuffle(x: Tensor, axis = 0): Tensor {
  const count = x.shape.at(axis);
  if (count === undefined) {
    throw new NablaError('shuffle', `axis out of range, got ${axis} for ${x}, expected one of its axes`);
  }
  return gather(x, randomPermutation(count), axis);
}
