// Cases of matrix products, softmax, cross entropy, dropout, and rows by index.
import * as ops from '../../src/ops/index.ts';
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, exact, makeCase, specials, tight } from './case.ts';
import { type Arg, arg, type Tolerance } from './data.ts';

const product: Tolerance = { rtol: 1e-5, atol: 2e-5 };

type Product = readonly [a: Shape, b: Shape, transposeA?: boolean, transposeB?: boolean];

const products: readonly Product[] = [
  [
    [1, 1],
    [1, 1],
  ],
  [
    [2, 3],
    [3, 4],
  ],
  [[3, 2], [3, 4], true],
  [[2, 3], [4, 3], false, true],
  [[3, 2], [4, 3], true, true],
  [
    [15, 17],
    [17, 31],
  ],
  [
    [16, 16],
    [16, 16],
  ],
  [
    [17, 15],
    [15, 33],
  ],
  [[15, 17], [33, 15], true, true],
  [
    [33, 65],
    [65, 1],
  ],
  [
    [1, 65],
    [65, 33],
  ],
  [
    [32, 784],
    [784, 10],
  ],
  [
    [129, 70],
    [70, 95],
  ],
  [[70, 129], [70, 95], true],
  [[129, 300], [95, 300], false, true],
  [[300, 129], [95, 300], true, true],
  [[3], [3]],
  [[3], [3, 4]],
  [[2, 3], [3]],
  [[3, 2], [3], true],
  [[3], [4, 3], false, true],
  [
    [5, 2, 3],
    [3, 4],
  ],
  [[5, 3, 2], [3, 4], true],
  [
    [5, 2, 3],
    [5, 3, 4],
  ],
  [[5, 3, 2], [5, 4, 3], true, true],
  [
    [2, 3],
    [5, 3, 4],
  ],
  [
    [2, 1, 2, 3],
    [5, 3, 4],
  ],
  [[5, 1, 3], [3]],
  [[3], [5, 3, 4]],
  [
    [1, 2, 3],
    [5, 3, 4],
  ],
  [
    [0, 3],
    [3, 4],
  ],
  [
    [2, 0],
    [0, 4],
  ],
  [
    [2, 3],
    [3, 0],
  ],
  [
    [0, 2, 3],
    [3, 4],
  ],
  [
    [0, 2, 3],
    [0, 3, 4],
  ],
  [
    [3, 0, 2],
    [3, 2, 4],
  ],
];

const productCases: readonly Case[] = [
  ...products.map(([a, b, transposeA, transposeB]) => {
    const label = `[${a}]${transposeA ? 'T' : ''} [${b}]${transposeB ? 'T' : ''}`;
    const small = a.every((dim) => dim <= 17) && b.every((dim) => dim <= 33);
    return makeCase(
      'matMul',
      label,
      [arg(a), arg(b)],
      (x, y) => ops.matMul(x, y, { transposeA, transposeB }),
      {
        rtol: product.rtol,
        // By the length of the sums.
        atol: product.atol * (small ? 1 : 4),
        gradient: small,
      },
    );
  }),
  makeCase(
    'matMul',
    'misaligned',
    [arg([13, 19], { offset: 1 }), arg([19, 37], { offset: 3 })],
    (x, y) => ops.matMul(x, y),
    product,
  ),
  makeCase(
    'matMul',
    'int32',
    [arg([2, 3], { dtype: 'int32' }), arg([3, 4])],
    (x, y) => ops.matMul(x, y),
    product,
  ),
  makeCase('dot', 'vectors', [arg([37]), arg([37])], ops.dot, { ...product, gradient: true }),
  makeCase('dot', 'matrices', [arg([3, 4]), arg([4, 5])], ops.dot, { ...product, gradient: true }),
  makeCase('outer', '', [arg([3]), arg([17])], ops.outer, { ...product, gradient: true }),
  makeCase('outer', 'empty', [arg([0]), arg([17])], ops.outer, product),
];

const rows: readonly (readonly [Shape, number])[] = [
  [[1], 0],
  [[10], -1],
  [[3, 1], -1],
  [[3, 5], -1],
  [[3, 5], 0],
  [[32, 10], -1],
  [[7, 17], -1],
  [[5, 257], -1],
  [[2, 3, 4], 1],
  [[2, 1031], 1],
  [[0, 3], -1],
  [[3, 0], -1],
];

const softmaxTolerance: Tolerance = { rtol: 2e-6, atol: 1e-12 };
const softmaxCases: readonly Case[] = (['softmax', 'logSoftmax'] as const).flatMap((op) => {
  const f = op === 'softmax' ? ops.softmax : ops.logSoftmax;
  const tolerance = op === 'softmax' ? softmaxTolerance : { rtol: 2e-6, atol: 1e-6 };
  const run = (x: Tensor) => f(x);
  return [
    ...rows.map(([shape, axis]) =>
      makeCase(op, `[${shape}] axis ${axis}`, [arg(shape)], (x) => f(x, axis), {
        ...tolerance,
        gradient: shape.every((dim) => dim < 100),
      }),
    ),
    makeCase(op, 'large numbers', [arg([5, 19], { low: -400, high: 400 })], run, tolerance),
    makeCase(op, 'special numbers', [arg([specials.length, 1], { values: specials })], run, tolerance),
    makeCase(
      op,
      'special numbers among others',
      [arg([7, 31], { values: [1, ...specials, 2] })],
      run,
      tolerance,
    ),
    makeCase(op, 'misaligned', [arg([5, 19], { offset: 1 })], run, tolerance),
  ];
});

const classes = (shape: Shape, count: number): Arg => arg(shape, { dtype: 'int32', low: 0, high: count });

const entropyTolerance: Tolerance = { rtol: 2e-6, atol: 2e-6 };
const entropyCases: readonly Case[] = [
  ...[1, 2, 10, 17, 33, 300].flatMap((count) => [
    makeCase(
      'softmaxCrossEntropy',
      `distribution, ${count} classes`,
      [arg([7, count]), arg([7, count], { low: 0, high: 1 })],
      ops.softmaxCrossEntropy,
      {
        rtol: 4e-6,
        atol: 1e-5,
        gradient: count < 50,
      },
    ),
    makeCase(
      'softmaxCrossEntropy',
      `indices, ${count} classes`,
      [arg([7, count]), classes([7], count)],
      ops.softmaxCrossEntropy,
      {
        ...entropyTolerance,
        gradient: count < 50,
      },
    ),
  ]),
  makeCase(
    'softmaxCrossEntropy',
    'uint8 indices',
    [arg([19, 5]), arg([19], { dtype: 'uint8', high: 5 })],
    ops.softmaxCrossEntropy,
    entropyTolerance,
  ),
  makeCase(
    'softmaxCrossEntropy',
    'higher rank',
    [arg([2, 3, 5]), classes([2, 3], 5)],
    ops.softmaxCrossEntropy,
    {
      ...entropyTolerance,
      gradient: true,
    },
  ),
  makeCase(
    'softmaxCrossEntropy',
    'no rows',
    [arg([0, 5]), classes([0], 5)],
    ops.softmaxCrossEntropy,
    entropyTolerance,
  ),
  makeCase(
    'softmaxCrossEntropy',
    'large logits',
    [arg([5, 9], { low: -300, high: 300 }), classes([5], 9)],
    ops.softmaxCrossEntropy,
    entropyTolerance,
  ),
];

const index = (shape: Shape, rowCount: number) => classes(shape, rowCount);
const gatherCases: readonly Case[] = [
  ...(
    [
      [[5], [3]],
      [[5, 3], [7]],
      [
        [5, 17],
        [2, 3],
      ],
      [[1, 33], [4]],
      [[5, 2, 3], []],
      [[5, 3], [0]],
      [[5, 0], [3]],
      [[40, 28], [257]],
    ] as readonly (readonly [Shape, Shape])[]
  ).flatMap(([table, wanted]) => [
    makeCase(
      'gather',
      `[${table}] by [${wanted}]`,
      [arg(table), index(wanted, table[0]!)],
      (t, i) => ops.gather(t, i),
      {
        ...exact,
        gradient: true,
      },
    ),
    makeCase(
      'gather',
      `[${table}] by [${wanted}] uint8`,
      [arg(table, { dtype: 'uint8', high: 256, offset: 1 }), index(wanted, table[0]!)],
      (t, i) => ops.gather(t, i),
      exact,
    ),
  ]),
  makeCase(
    'gather',
    'float indices',
    [arg([5, 3]), arg([4], { values: [0, 4, 2.7, 1], fixed: true })],
    (t, i) => ops.gather(t, i),
    exact,
  ),
  ...[1, 2, 10, 17].flatMap((count) => [
    makeCase(
      'oneHot',
      `int32 [7], ${count} classes`,
      [classes([7], count)],
      (x) => ops.oneHot(x, count),
      exact,
    ),
    makeCase(
      'oneHot',
      `uint8 [2, 3], ${count} classes`,
      [arg([2, 3], { dtype: 'uint8', high: count })],
      (x) => ops.oneHot(x, count),
      exact,
    ),
  ]),
  makeCase('oneHot', 'scalar', [classes([], 3)], (x) => ops.oneHot(x, 3), exact),
  makeCase('oneHot', 'empty', [classes([0], 3)], (x) => ops.oneHot(x, 3), exact),
];

const dropoutCases: readonly Case[] = [0, 0.3, 0.9].map((rate) =>
  makeCase('dropout', `rate ${rate}`, [arg([5, 53])], (x) => ops.dropout(x, rate), {
    ...tight,
    gradient: true,
  }),
);

export const networkCases: readonly Case[] = [
  ...productCases,
  ...softmaxCases,
  ...entropyCases,
  ...gatherCases,
  ...dropoutCases,
];
