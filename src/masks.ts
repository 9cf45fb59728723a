// Masks and weights in losses and metrics: means and sums over a sample's numbers that leave out the steps that are padding.
import { div, maximum, mul } from './ops/arithmetic.ts';
import { cast, where } from './ops/compare.ts';
import { fill } from './ops/creation.ts';
import { mean, sum } from './ops/reduce.ts';
import { reshape } from './ops/shape.ts';
import { type Shape, sameShape, sizeOf } from './shape.ts';
import type { Tensor } from './tensor.ts';

interface Counting {
  readonly mask: Tensor | undefined;
  readonly weights: Tensor | undefined;
  used: boolean;
}

// The mask of the predictions whose loss or metric is being computed, and the weights of their samples.
let counting: Counting | undefined;

/**
 * Runs `body`, in which {@link meanOfSample} and {@link keepCounted} leave out what the mask says is padding, and {@link sumsOf} and {@link keepCounted} weigh
 * samples by `weights`, `[batch]`.
 */
export function countingOnly<T>(mask: Tensor | undefined, body: () => T, weights?: Tensor): T {
  const outer = counting;
  counting = mask === undefined && weights === undefined ? undefined : { mask, weights, used: false };
  try {
    return body();
  } finally {
    counting = outer;
  }
}

/** The mask, if it tells of the steps of `[batch, steps, ...]`. */
function maskFor(shape: Shape): Tensor | undefined {
  const mask = counting?.mask;
  if (mask === undefined || mask.rank < 2 || !sameShape(shape.slice(0, mask.rank), mask.shape)) {
    return undefined;
  }
  counting!.used = true;
  return mask;
}

const trailing = (x: Tensor, rank: number) =>
  x.rank === rank ? x : reshape(x, [...x.shape, ...Array.from({ length: rank - x.rank }, () => 1)]);

/**
 * The mean of each sample's numbers, `[batch]`. With a mask `[batch, steps]` the steps that count are weighted so that the mean over the batch is the mean over all
 * steps that count, as in Keras; it is 0 where none does.
 */
export function meanOfSample(x: Tensor): Tensor {
  if (x.rank <= 1) return x;
  const [batch, ...sample] = x.shape as [number, ...number[]];
  const mask = maskFor(x.shape);
  if (mask === undefined) return mean(reshape(x, [batch, sizeOf(sample)]), 1);
  const steps = sizeOf(mask.shape.slice(1));
  const each = mean(reshape(x, [batch, steps, sizeOf(x.shape.slice(mask.rank))]), 2);
  const kept = mean(where(reshape(mask, [batch, steps]), each, 0), 1);
  return mul(kept, div(batch * steps, maximum(sum(cast(mask, 'float32')), 1)));
}

/** Float32 `[batch, ...]` with 0 in the steps that do not count, times the weights of the samples: what sums of metrics are made of. */
export function keepCounted(x: Tensor): Tensor {
  const mask = maskFor(x.shape);
  const kept = mask === undefined ? x : where(trailing(mask, x.rank), x, 0);
  const weights = counting?.weights;
  return weights === undefined ? kept : mul(kept, trailing(weights, x.rank));
}

/** How much the numbers of that shape count: 1 each, but for masks and weights. */
export function countsOf(shape: Shape): Tensor {
  return keepCounted(fill(shape, 1));
}

/**
 * The sum over all that counts, and how much that is, from `body`, which gives one number a sample. `plain`: the mean, where neither mask nor weights had a
 * part, so that the count is the size of the batch.
 */
export function sumsOf(body: () => Tensor): { sum: Tensor; count: Tensor; plain?: Tensor } {
  if (counting !== undefined) counting.used = false;
  const values = cast(body(), 'float32');
  const { mask, weights, used } = counting ?? { used: false };
  const batch = values.shape[0]!;
  const weighted = weights === undefined ? values : mul(values, weights);
  if (!used || mask === undefined) {
    if (weights !== undefined) return { sum: sum(weighted), count: sum(weights) };
    return { sum: sum(values), count: fill([], batch), plain: mean(values) };
  }
  // The mean of each sample was weighted by its share of the steps that count.
  const steps = sum(reshape(cast(mask, 'float32'), [batch, mask.size / Math.max(1, batch)]), 1);
  const count = sum(weights === undefined ? steps : mul(steps, weights));
  return { sum: mul(sum(weighted), div(sum(steps), batch)), count };
}
