// Numbers that optimizers share.
import { mul, sub } from '../ops/arithmetic.ts';
import { cast } from '../ops/compare.ts';
import { expm1 } from '../ops/unary.ts';
import type { Tensor } from '../tensor.ts';

/** `1 - base ** exponent` for a base in [0, 1], float32; exact where the power is close to 1, as at the first steps. */
export function oneMinusPower(base: number, exponent: Tensor): Tensor {
  if (base === 0 || base === 1) return mul(cast(exponent, 'float32'), 0).add(1 - base);
  return sub(0, expm1(mul(cast(exponent, 'float32'), Math.log(base))));
}
