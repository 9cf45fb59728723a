// Cases of ops that are composed of others, and of those that rearrange.
import * as ops from '../../src/ops/index.ts';
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, exact, makeCase, specials, summed, tight } from './case.ts';
import { type Arg, arg } from './data.ts';

type Run = (x: Tensor) => Tensor | readonly Tensor[];

/** In float32 with its gradient, misaligned, and in other dtypes. */
const moves = (
  op: string,
  list: readonly (readonly [shape: Shape, text: string, run: Run])[],
): readonly Case[] =>
  list.flatMap(([shape, text, run]) => {
    const label = `[${shape}] ${text}`;
    return [
      makeCase(op, label, [arg(shape)], run as Case['run'], { ...exact, gradient: true }),
      makeCase(op, `${label} misaligned`, [arg(shape, { offset: 3 })], run as Case['run'], exact),
      makeCase(op, `${label} uint8`, [arg(shape, { dtype: 'uint8', high: 256 })], run as Case['run'], exact),
      makeCase(op, `${label} int32`, [arg(shape, { dtype: 'int32' })], run as Case['run'], exact),
    ];
  });

const smooth = (
  op: string,
  f: (x: Tensor) => Tensor,
  options: Partial<Arg>,
  rtol = 1e-5,
): readonly Case[] => [
  makeCase(op, '[17]', [arg([17], options)], (x) => f(x!), { rtol, atol: 1e-6, gradient: true }),
  makeCase(op, '[3, 5]', [arg([3, 5], { ...options, offset: 1 })], (x) => f(x!), { rtol, atol: 1e-6 }),
];

/** A turn with a shift, and a shear that makes smaller; no place read is a pixel's own. */
const turns = [0.83, -0.51, 0.37, 0.52, 0.81, -0.93, 0, 0, 1.31, 0.22, -0.61, -0.17, 1.23, 0.44, 0, 0];

const positive = { low: 0.2, high: 4 };

export const composeCases: readonly Case[] = [
  ...moves('stridedSlice', [
    [[7], 'by 2', (x) => ops.stridedSlice(x, [1], [6], [2])],
    [[5, 6], 'backwards', (x) => ops.stridedSlice(x, [undefined, -2], [undefined, 0], [-1, -2])],
    [[5, 6], 'nothing', (x) => ops.stridedSlice(x, [3], [1])],
    [[2, 3, 4], 'some', (x) => ops.stridedSlice(x, [0, 1], [99, 3])],
  ]),
  ...moves('roll', [
    [[7], 'by 2', (x) => ops.roll(x, 2)],
    [[3, 5], 'all', (x) => ops.roll(x, -4)],
    [[3, 5], 'axes', (x) => ops.roll(x, [1, 7], [0, 1])],
    [[0, 3], 'empty', (x) => ops.roll(x, 1, 0)],
  ]),
  ...moves('repeat', [
    [[3], 'thrice', (x) => ops.repeat(x, 3)],
    [[2, 3], 'axis 1', (x) => ops.repeat(x, 2, 1)],
    [[2, 3], 'each', (x) => ops.repeat(x, [0, 3], 0)],
  ]),
  ...(
    [
      ['tril', ops.tril],
      ['triu', ops.triu],
    ] as const
  ).flatMap(([op, f]) =>
    moves(op, [
      [[4, 5], 'main', (x) => f(x)],
      [[2, 5, 3], 'above', (x) => f(x, 1)],
      [[17, 33], 'below', (x) => f(x, -2)],
    ]),
  ),
  ...moves('diagonal', [
    [[4, 5], 'main', (x) => ops.diagonal(x)],
    [[2, 5, 3], 'below', (x) => ops.diagonal(x, -2)],
    [[3, 3], 'none', (x) => ops.diagonal(x, 5)],
  ]),
  ...moves('diag', [
    [[4], 'of a vector', (x) => ops.diag(x)],
    [[3], 'above', (x) => ops.diag(x, 1)],
    [[3, 4], 'of a matrix', (x) => ops.diag(x)],
  ]),
  ...moves('swapAxes', [[[2, 3, 4], '0 2', (x) => ops.swapAxes(x, 0, 2)]]),
  ...moves('moveAxis', [[[2, 3, 4], '0 to 2', (x) => ops.moveAxis(x, 0, 2)]]),
  ...moves('unstack', [[[2, 3, 4], 'axis 1', (x) => ops.unstack(x, 1)]]),
  ...moves('pad', [
    [
      [3, 4],
      'reflect',
      (x) =>
        ops.pad(
          x,
          [
            [2, 1],
            [0, 3],
          ],
          'reflect',
        ),
    ],
    [[3], 'symmetric', (x) => ops.pad(x, [[5, 4]], 'symmetric')],
    [
      [3, 4],
      'edge',
      (x) =>
        ops.pad(
          x,
          [
            [0, 0],
            [2, 2],
          ],
          'edge',
        ),
    ],
  ]),
  makeCase('trace', '[2, 3, 4]', [arg([2, 3, 4])], (x) => ops.trace(x!), { ...summed, gradient: true }),
  makeCase('meshgrid', '3 by 4', [arg([3]), arg([4])], (a, b) => ops.meshgrid([a!, b!]), {
    ...exact,
    gradient: true,
  }),
  ...smooth('log2', ops.log2, positive),
  ...smooth('log10', ops.log10, positive),
  ...smooth('exp2', ops.exp2, {}),
  ...smooth('sinc', ops.sinc, { gap: 0.05 }),
  ...smooth('erfc', ops.erfc, { low: -3, high: 3, gap: 0.05 }),
  makeCase('erfc', 'tail', [arg([33], { low: 3, high: 9 })], (x) => ops.erfc(x!), {
    rtol: 2e-5,
    atol: 1e-36,
  }),
  makeCase('hypot', '[17]', [arg([17], { gap: 0.2 }), arg([17], { gap: 0.2 })], (a, b) => ops.hypot(a!, b!), {
    ...summed,
    gradient: true,
  }),
  makeCase('logAddExp', '[3, 5]', [arg([3, 5]), arg([5])], (a, b) => ops.logAddExp(a!, b!), {
    ...summed,
    gradient: true,
  }),
  makeCase(
    'isInf',
    'special numbers',
    [arg([specials.length], { values: specials })],
    (x) => ops.isInf(x!),
    exact,
  ),
  makeCase(
    'nanToNum',
    'special numbers',
    [arg([specials.length], { values: specials })],
    (x) => ops.nanToNum(x!),
    exact,
  ),
  makeCase(
    'countNonZero',
    'rows',
    [arg([5, 9], { values: [0, 1, 2, 0, -0, 3, 4] })],
    (x) => ops.countNonZero(x!, 1),
    exact,
  ),
  makeCase('clipByNorm', 'longer', [arg([3, 5], { gap: 0.3 })], (x) => ops.clipByNorm(x!, 0.5, 1), {
    ...summed,
    gradient: true,
  }),
  makeCase('clipByNorm', 'shorter', [arg([3, 5])], (x) => ops.clipByNorm(x!, 50), {
    ...summed,
    gradient: true,
  }),
  makeCase(
    'clipByGlobalNorm',
    'two',
    [arg([3, 5]), arg([7])],
    (a, b) => ops.clipByGlobalNorm([a!, b!], 0.7).clipped,
    { ...summed, gradient: true },
  ),
  makeCase('addN', 'three', [arg([7]), arg([7]), arg([7])], (...xs) => ops.addN(xs), {
    ...tight,
    gradient: true,
  }),
  makeCase('moments', 'rows', [arg([3, 5])], (x) => Object.values(ops.moments(x!, 1)), {
    ...summed,
    gradient: true,
  }),
  makeCase(
    'maximum',
    'of three',
    [arg([7]), arg([7]), arg([7])],
    (a, b, c) => ops.maximum(a!, b!, c!),
    exact,
  ),
  makeCase(
    'minimum',
    'of three',
    [arg([7]), arg([7]), arg([7])],
    (a, b, c) => ops.minimum(a!, b!, c!),
    exact,
  ),
  makeCase('qr', '[4, 3]', [arg([4, 3])], (x) => Object.values(ops.qr(x!)), { rtol: 1e-6, atol: 1e-6 }),
  makeCase('randomCategorical', '[3, 5]', [arg([3, 5])], (x) => ops.randomCategorical(x!, 7), exact),
  makeCase('randomPermutation', '300', [], () => ops.randomPermutation(300), exact),
  makeCase('shuffle', '[17, 3]', [arg([17, 3])], (x) => ops.shuffle(x!), exact),
  ...(['reflect', 'wrap', 'nearest', 'constant'] as const).flatMap((fillMode) => [
    makeCase(
      'affineTransform',
      `${fillMode}, each image its own`,
      [arg([2, 4, 5, 3], { offset: 1 }), arg([2, 8], { values: turns, fixed: true })],
      (x, t) => ops.affineTransform(x!, t!, { fillMode, fillValue: 0.5 }),
      { ...summed, gradient: true },
    ),
    makeCase(
      'affineTransform',
      `${fillMode}, nearest pixels of one image`,
      [arg([4, 3, 2]), arg([6], { values: turns, fixed: true })],
      (x, t) => ops.affineTransform(x!, t!, { fillMode, interpolation: 'nearest' }),
      { ...summed, gradient: true },
    ),
  ]),
];
