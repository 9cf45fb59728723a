// Masks in losses and metrics: means over a sample's numbers that leave out the steps that are padding.
import { div, maximum, mul } from './ops/arithmetic.ts';
import { cast, where } from './ops/compare.ts';
import { mean, sum } from './ops/reduce.ts';
import { reshape } from './ops/shape.ts';
import { sameShape, sizeOf } from './shape.ts';
import type { Tensor } from './tensor.ts';

interface Counting {
  readonly mask: Tensor;
  used: boolean;
}

// The mask of the predictions whose loss or metric is being computed.
let counting: Counting | undefined;

/** Runs `body`, in which {@link meanOfSample} leaves out what the mask says is padding; `used` says whether anything was averaged so. */
export function countingOnly<T>(mask: Tensor | undefined, body: () => T): { result: T; used: boolean } {
  const outer = counting;
  const mine = mask === undefined ? undefined : { mask, used: false };
  counting = mine;
  try {
    return { result: body(), used: mine?.used ?? false };
  } finally {
    counting = outer;
  }
}

/**
 * The mean of each sample's numbers, `[batch]`. With a mask `[batch, steps]` the steps that count are weighted so that the mean over the batch is the mean over all
 * steps that count, as in Keras; it is 0 where none does.
 */
export function meanOfSample(x: Tensor): Tensor {
  if (x.rank <= 1) return x;
  const [batch, ...sample] = x.shape as [number, ...number[]];
  const mask = counting?.mask;
  if (mask === undefined || mask.rank < 2 || !sameShape(x.shape.slice(0, mask.rank), mask.shape)) {
    return mean(reshape(x, [batch, sizeOf(sample)]), 1);
  }
  counting!.used = true;
  const steps = sizeOf(mask.shape.slice(1));
  const each = mean(reshape(x, [batch, steps, sizeOf(x.shape.slice(mask.rank))]), 2);
  const kept = mean(where(reshape(mask, [batch, steps]), each, 0), 1);
  return mul(kept, div(batch * steps, maximum(stepsIn(mask), 1)));
}

/** How many steps count, a float32 scalar. */
export function stepsIn(mask: Tensor): Tensor {
  return sum(cast(mask, 'float32'));
}
