// What layers do to the batches that they are given and give: their dtype, and a mask that they carry for a call.
import { isFloating } from '../dtype.ts';
import type { DTypePolicy } from '../dtype-policies.ts';
import { cast } from '../ops/compare.ts';
import { exactly } from '../ops/nn.ts';
import { Tensor } from '../tensor.ts';

/** Floating-point numbers in a dtype, with their mask; others as they are. */
export function inDType(x: Tensor, dtype: DTypePolicy['computeDtype']): Tensor {
  if (!(x instanceof Tensor) || !isFloating(x.dtype) || x.dtype === dtype) return x;
  if (dtype === 'float32') return exactly(x);
  const out = cast(x, dtype);
  out.mask = x.mask;
  return out;
}

/** Runs `body` while `x` carries the mask, if there is one. */
export function withMask<T>(x: Tensor, mask: Tensor | undefined, body: () => T): T {
  if (mask === undefined) return body();
  const own = x.mask;
  x.mask = mask;
  try {
    return body();
  } finally {
    x.mask = own;
  }
}
