// Cases of the elementwise ops of two and more tensors: arithmetic, comparison, logic, choice, conversion.
import type { DType } from '../../src/dtype.ts';
import * as ops from '../../src/ops/index.ts';
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, exact, flatSizes, makeCase, specialPairs, specials, tight } from './case.ts';
import { type Arg, arg, type Tolerance } from './data.ts';

type Operand = Tensor | number;

interface Binary {
  readonly op: string;
  readonly f: (a: Operand, b: Operand) => Tensor;
  readonly left: Partial<Arg>;
  readonly right: Partial<Arg>;
  readonly tolerance: Tolerance;
  readonly gradient: boolean;
}

const binary = (
  op: string,
  f: (a: Operand, b: Operand) => Tensor,
  [left, right]: readonly [Partial<Arg>, Partial<Arg>] = [{}, {}],
  tolerance: Tolerance = exact,
  gradient = true,
): Binary => ({ op, f, left, right, tolerance, gradient });

const plain = [{}, {}] as const;
// Apart from each other everywhere: the left numbers near whole ones, the right ones near halves.
const apart = [
  { low: 0.1, high: 1.9 },
  { low: -1.9, high: -0.1 },
] as const;
const divisor = [{}, { low: 0.5, high: 2.5 }] as const;
const powers = [{ low: 0.4, high: 2.2 }, {}] as const;

const table: readonly Binary[] = [
  binary('add', ops.add),
  binary('sub', ops.sub),
  binary('mul', ops.mul),
  binary('div', ops.div, divisor, tight),
  binary('maximum', ops.maximum, apart),
  binary('minimum', ops.minimum, apart),
  binary('pow', ops.pow, powers, { rtol: 2e-6, atol: 1e-37 }),
  binary(
    'mod',
    ops.mod,
    [
      { low: 0.2, high: 0.4 },
      { low: 0.5, high: 0.9 },
    ],
    tight,
  ),
  binary('floorDiv', ops.floorDiv, [
    { low: 0.2, high: 0.4 },
    { low: 0.5, high: 0.9 },
  ]),
  binary('atan2', ops.atan2, divisor, tight),
  binary('squaredDifference', ops.squaredDifference),
  binary('equal', ops.equal, plain, exact, false),
  binary('notEqual', ops.notEqual, plain, exact, false),
  binary('less', ops.less, plain, exact, false),
  binary('lessEqual', ops.lessEqual, plain, exact, false),
  binary('greater', ops.greater, plain, exact, false),
  binary('greaterEqual', ops.greaterEqual, plain, exact, false),
  binary('logicalAnd', ops.logicalAnd, plain, exact, false),
  binary('logicalOr', ops.logicalOr, plain, exact, false),
  binary('logicalXor', ops.logicalXor, plain, exact, false),
];

const pairs: readonly (readonly [Shape, Shape])[] = [
  ...flatSizes.map((n) => [[n], [n]] as const),
  [[], []],
  [[], [7]],
  [[1031], [1]],
  [
    [3, 1],
    [1, 4],
  ],
  [[2, 3, 4], [4]],
  [
    [2, 3, 4],
    [2, 1, 4],
  ],
  [[17, 33], [33]],
  [
    [17, 33],
    [17, 1],
  ],
  [[0, 3], [3]],
  [
    [2, 0],
    [2, 1],
  ],
  [
    [2, 1, 3, 1],
    [4, 1, 5],
  ],
  [
    [2, 1, 2, 1, 2, 1, 2, 1],
    [1, 3, 1, 2, 1, 2, 1, 3],
  ],
];

const few = new Set(['|', '|7', '3|3', '3,1|1,4', '2,3,4|4', '2,3,4|2,1,4', '2,1,3,1|4,1,5', '0,3|3']);

const mixed: readonly (readonly [DType, DType])[] = [
  ['int32', 'int32'],
  ['int32', 'float32'],
  ['uint8', 'uint8'],
  ['bool', 'float32'],
  ['bool', 'bool'],
];

function binaryCases({ op, f, left, right, tolerance, gradient }: Binary): Case[] {
  // Below the divisors, where the quotient does not jump.
  const number = op === 'mod' || op === 'floorDiv' ? 0.3 : 2.25;
  return [
    ...pairs.map(([a, b]) =>
      makeCase(op, `[${a}] with [${b}]`, [arg(a, left), arg(b, right)], f, {
        ...tolerance,
        gradient: gradient && few.has(`${a}|${b}`),
      }),
    ),
    makeCase(
      op,
      'misaligned',
      [arg([67], { ...left, offset: 1 }), arg([67], { ...right, offset: 3 })],
      f,
      tolerance,
    ),
    makeCase(
      op,
      'misaligned rows',
      [arg([9, 35], { ...left, offset: 2 }), arg([35], { ...right, offset: 1 })],
      f,
      tolerance,
    ),
    makeCase(op, 'tensor with number', [arg([19], left)], (x) => f(x, 2.05), { ...tolerance, gradient }),
    makeCase(op, 'number with tensor', [arg([19], right)], (x) => f(number, x), { ...tolerance, gradient }),
    makeCase(op, 'tensor with itself', [arg([19], right)], (x) => f(x, x), tolerance),
    makeCase(op, 'special numbers', specialPairs(), f, tolerance),
    ...mixed.map(([a, b]) => {
      // 0 is among the divisors, and int32 arithmetic wraps.
      const args = [arg([5, 19], { dtype: a }), arg([19], { dtype: b })];
      return makeCase(op, `${a} with ${b}`, args, f, tolerance);
    }),
    makeCase(op, 'int32 with a whole number', [arg([19], { dtype: 'int32' })], (x) => f(x, 3), tolerance),
    makeCase(
      op,
      'large int32',
      [
        arg([36], { dtype: 'int32', values: [-(2 ** 31), 2 ** 31 - 1, -1, 0, 1, 65537] }),
        arg([36], { dtype: 'int32', values: [-1, 2 ** 31 - 1, -(2 ** 31), 3, 0, -7, 2] }),
      ],
      f,
      // Doubles in between would hide what happens at the ends of int32, float32 rounds them.
      tolerance,
    ),
  ];
}

const condition = (shape: Shape) => arg(shape, { dtype: 'bool' });

const whereCases: readonly Case[] = [
  ...[0, 1, 17, 33, 257, 1031].map((n) =>
    makeCase('where', `[${n}]`, [condition([n]), arg([n]), arg([n])], ops.where, {
      ...exact,
      gradient: n === 17,
    }),
  ),
  makeCase('where', 'broadcast', [condition([3, 1]), arg([1, 4]), arg([2, 1, 1])], ops.where, {
    ...exact,
    gradient: true,
  }),
  makeCase(
    'where',
    'the same tensor on both sides',
    [condition([19]), arg([19])],
    (c, x) => ops.where(c, x, x),
    {
      ...exact,
      gradient: true,
    },
  ),
  makeCase(
    'where',
    'its own condition',
    [arg([19], { gap: 0.1 }), arg([19])],
    (x, y) => ops.where(x, ops.square(x), y),
    {
      ...exact,
      gradient: true,
    },
  ),
  makeCase(
    'where',
    'condition as value',
    [arg([19], { gap: 0.1 }), arg([19])],
    (x, y) => ops.where(x, x, y),
    {
      ...exact,
      gradient: true,
    },
  ),
  makeCase('where', 'numbers', [condition([19])], (c) => ops.where(c, 1.5, -1), exact),
  makeCase(
    'where',
    'int32',
    [condition([19]), arg([19], { dtype: 'int32' })],
    (c, x) => ops.where(c, x, 7),
    exact,
  ),
  makeCase(
    'where',
    'special numbers',
    [
      arg([specials.length], { values: specials }),
      ...specialPairs().map((p) => ({ ...p, shape: [specials.length] })),
    ],
    ops.where,
    exact,
  ),
];

const dtypes: readonly DType[] = ['float32', 'int32', 'uint8', 'bool'];

const castCases: readonly Case[] = dtypes.flatMap((from) =>
  dtypes.flatMap((to) => [
    ...[0, 1, 17, 259].map((n) =>
      makeCase('cast', `${from} to ${to} [${n}]`, [arg([n], { dtype: from })], (x) => ops.cast(x, to), exact),
    ),
    makeCase(
      'cast',
      `${from} to ${to}, misaligned`,
      [arg([41], { dtype: from, offset: 3, ...(from === 'int32' ? { low: -1000, high: 1000 } : {}) })],
      (x) => ops.cast(x, to),
      exact,
    ),
    ...(from === 'float32'
      ? [
          makeCase(
            'cast',
            `special numbers to ${to}`,
            [arg([specials.length], { values: specials })],
            (x) => ops.cast(x, to),
            exact,
          ),
        ]
      : []),
  ]),
);

export const arithmeticCases: readonly Case[] = [...table.flatMap(binaryCases), ...whereCases, ...castCases];
