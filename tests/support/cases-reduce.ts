// Cases of the reductions.
import * as ops from '../../src/ops/index.ts';
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, exact, makeCase, specials, summed, tight } from './case.ts';
import { type Arg, arg, type Tolerance } from './data.ts';

type Reduction = (x: Tensor, axis?: ops.Axis, keepDims?: boolean) => Tensor;

interface Entry {
  readonly op: string;
  readonly f: Reduction;
  readonly options: Partial<Arg>;
  readonly tolerance: Tolerance;
  readonly gradient: boolean;
  /** Is it defined over no elements at all? */
  readonly ofNothing: boolean;
}

const entry = (
  op: string,
  f: Reduction,
  options: Partial<Arg> = {},
  tolerance: Tolerance = summed,
  gradient = true,
): Entry => ({ op, f, options, tolerance, gradient, ofNothing: true });

const table: readonly Entry[] = [
  entry('sum', ops.sum),
  entry('mean', ops.mean),
  entry('prod', ops.prod, { low: 0.8, high: 1.22 }, { rtol: 5e-5, atol: 1e-6 }),
  entry('max', ops.max, { distinct: true, low: -9, high: 9 }, exact),
  entry('min', ops.min, { distinct: true, low: -9, high: 9 }, exact),
  entry('sumSquares', ops.sumSquares),
  entry('variance', ops.variance),
  entry('std', ops.std),
  entry('norm', ops.norm, { gap: 0.2 }),
  entry('logSumExp', ops.logSumExp),
  entry('any', ops.any, { dtype: 'bool' }, exact, false),
  entry('all', ops.all, { dtype: 'bool' }, exact, false),
];

const layouts: readonly (readonly [Shape, ops.Axis | undefined, boolean])[] = [
  [[], undefined, false],
  [[1], undefined, false],
  [[2], 0, false],
  [[3], undefined, true],
  [[15], 0, false],
  [[16], 0, false],
  [[17], -1, true],
  [[33], 0, false],
  [[255], 0, false],
  [[257], 0, false],
  [[4099], 0, false],
  [[3, 5], 0, false],
  [[3, 5], 1, false],
  [[3, 5], [0, 1], false],
  [[3, 5], 0, true],
  [[17, 33], 0, false],
  [[17, 33], 1, false],
  [[33, 17], 1, true],
  [[2, 3, 4], 1, false],
  [[2, 3, 4], [0, 2], false],
  [[2, 3, 4], [0, 2], true],
  [[2, 3, 4], [-1, 1], false],
  [[300, 3], 0, false],
  [[3, 300], 1, false],
  [[2, 130, 19], 1, false],
  [[4, 3], [], false],
  [[0], 0, false],
  [[0, 3], 0, false],
  [[3, 0], 0, false],
  [[3, 0], 1, true],
];

const smooth = new Set(['', '3', '3,5', '2,3,4', '17', '4,3']);

const reductions: readonly Case[] = table.flatMap(({ op, f, options, tolerance, gradient }) => [
  ...layouts.map(([shape, axis, keepDims]) => {
    const label = `[${shape}] axis ${JSON.stringify(axis)}${keepDims ? ' kept' : ''}`;
    // The deviation of one number is 0, where its root has no gradient.
    const flat = op === 'std' && (shape.length === 0 || (Array.isArray(axis) && axis.length === 0));
    return makeCase(op, label, [arg(shape, options)], (x) => f(x, axis, keepDims), {
      ...tolerance,
      gradient: gradient && !flat && smooth.has(shape.join()),
    });
  }),
  makeCase(op, 'misaligned', [arg([3, 37], { ...options, offset: 1 })], (x) => f(x, 1), tolerance),
  makeCase(op, 'misaligned columns', [arg([13, 37], { ...options, offset: 3 })], (x) => f(x, 0), tolerance),
  makeCase(op, 'int32', [arg([7, 19], { dtype: 'int32' })], (x) => f(x, 1), tolerance),
  makeCase(op, 'uint8', [arg([7, 19], { dtype: 'uint8', high: 256 })], (x) => f(x, 0), {
    ...tolerance,
    rtol: Math.max(tolerance.rtol, 1e-6),
  }),
  makeCase(op, 'bool', [arg([7, 19], { dtype: 'bool' })], (x) => f(x, 1), tolerance),
  // Each special number alone and beside a plain one.
  makeCase(
    op,
    'special numbers',
    [arg([specials.length, 1], { values: specials })],
    (x) => f(x, 1),
    tolerance,
  ),
  makeCase(
    op,
    'special numbers among others',
    [
      arg([specials.length, 35], {
        values: specials.flatMap((v) => [
          ...new Array<number>(20).fill(1),
          v,
          ...new Array<number>(14).fill(0.5),
        ]),
      }),
    ],
    (x) => f(x, 1),
    tolerance,
  ),
  makeCase(
    op,
    'special numbers in columns',
    [
      arg([3, specials.length], {
        values: [...specials, ...specials.map(() => 1), ...specials.map(() => 0.5)],
      }),
    ],
    (x) => f(x, 0),
    tolerance,
  ),
]);

const search = (op: 'argMax' | 'argMin'): Case[] => {
  const f = op === 'argMax' ? ops.argMax : ops.argMin;
  const run = (axis: number) => (x: Tensor) => f(x, axis);
  const list: (readonly [Shape, number])[] = [
    [[1], 0],
    [[17], 0],
    [[257], -1],
    [[3, 5], 0],
    [[5, 10], 1],
    [[32, 10], -1],
    [[17, 33], 0],
    [[2, 3, 4], 1],
    [[0, 3], 1],
  ];
  return [
    ...list.map(([shape, axis]) =>
      makeCase(op, `[${shape}] axis ${axis}`, [arg(shape, { distinct: true })], run(axis), exact),
    ),
    ...list.map(([shape, axis]) =>
      makeCase(
        op,
        `[${shape}] axis ${axis}, ties`,
        [arg(shape, { values: [3, 1, 1, 3, 0, 0, 3] })],
        run(axis),
        exact,
      ),
    ),
    makeCase(op, 'int32', [arg([7, 19], { dtype: 'int32' })], run(1), exact),
    makeCase(op, 'int32 in columns', [arg([7, 19], { dtype: 'int32' })], run(0), exact),
    makeCase(op, 'uint8', [arg([7, 19], { dtype: 'uint8' })], run(1), exact),
    makeCase(op, 'bool', [arg([7, 19], { dtype: 'bool' })], run(1), exact),
    makeCase(
      op,
      'NaN wins',
      [arg([5, 37], { values: [1, 2, 3, Number.NaN, -5, 7, Number.NaN, 9, 0.5] })],
      run(1),
      exact,
    ),
    makeCase(
      op,
      'NaN wins in columns',
      [arg([5, 37], { values: [1, 2, 3, Number.NaN, -5, 7, 9, 0.5] })],
      run(0),
      exact,
    ),
    makeCase(
      op,
      'infinities',
      [arg([4, 5], { values: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1] })],
      run(1),
      exact,
    ),
    makeCase(
      op,
      'all negative infinite',
      [arg([2, 21], { values: [Number.NEGATIVE_INFINITY] })],
      run(1),
      exact,
    ),
    makeCase(op, 'misaligned', [arg([3, 37], { offset: 1 })], run(1), exact),
  ];
};

export const reduceCases: readonly Case[] = [
  ...reductions,
  ...search('argMax'),
  ...search('argMin'),
  // Large numbers of one sign: a running float would lose digits.
  makeCase('sum', 'many', [arg([200_003], { low: 1, high: 2 })], (x) => ops.sum(x), { rtol: 1e-6, atol: 0 }),
  makeCase('mean', 'many rows', [arg([40_001, 2], { low: 1, high: 2 })], (x) => ops.mean(x, 0), {
    rtol: 1e-6,
    atol: 0,
  }),
  makeCase(
    'logSumExp',
    'large numbers',
    [arg([3, 17], { low: 80, high: 300 })],
    (x) => ops.logSumExp(x, 1),
    tight,
  ),
];
