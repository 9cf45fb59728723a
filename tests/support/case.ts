// What one entry of the table of cases says, and the shapes that entries share.
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Arg, arg, type Tolerance } from './data.ts';

export interface Case extends Tolerance {
  /** The op's public name. */
  readonly op: string;
  /** What is special about it. */
  readonly label: string;
  readonly args: readonly Arg[];
  readonly run: (...args: Tensor[]) => Tensor | readonly Tensor[];
  /** Is it smooth at these arguments, so that finite differences can check its gradient? */
  readonly gradient: boolean;
}

/** Bit for bit. */
export const exact: Tolerance = { rtol: 0, atol: 0 };
/** A few units in the last place. */
export const tight: Tolerance = { rtol: 1e-6, atol: 1e-37 };
/** Sums of some hundred numbers near 1. */
export const summed: Tolerance = { rtol: 4e-6, atol: 4e-6 };

/** Vector lengths of 4, 8 and 16 with tails, several blocks of a map, nothing at all. */
export const flatSizes = [
  0, 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 63, 65, 255, 256, 257, 511, 513, 1031, 4099,
];

/** Shapes for elementwise ops: the flat sizes, and a few of other ranks. */
export const shapes: readonly Shape[] = [[], ...flatSizes.map((n) => [n]), [3, 5], [2, 0, 3], [2, 3, 1, 7]];

/** Numbers where float32 is not plain: NaN, infinities, zeros of both signs, denormals, the largest, halves, whole numbers. */
export const specials: readonly number[] = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  0,
  -0,
  1e-40,
  -1e-40,
  1.401298464324817e-45,
  1.1754943508222875e-38,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  2 ** 23,
  2 ** 24 + 2,
  -(2 ** 31),
  1e-20,
  -1e-20,
  1e20,
  88.7,
  89,
  -87.3,
  -103.9,
  -104.5,
  0.9999999403953552,
  -0.9999999403953552,
];

/** A case with the table's usual values where none are given. */
export function makeCase(
  op: string,
  label: string,
  args: readonly Arg[],
  run: Case['run'],
  options: Partial<Tolerance> & { gradient?: boolean } = {},
): Case {
  const { rtol = tight.rtol, atol = tight.atol, gradient = false } = options;
  return { op, label, args, run, rtol, atol, gradient };
}

/** Every pair of special numbers as two arguments. */
export function specialPairs(): [Arg, Arg] {
  const count = specials.length;
  const first = specials.flatMap((a) => specials.map(() => a));
  const second = specials.flatMap(() => specials);
  return [arg([count * count], { values: first }), arg([count * count], { values: second })];
}
