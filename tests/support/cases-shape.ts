// Cases of the ops that move numbers without computing.
import type { DType } from '../../src/dtype.ts';
import * as ops from '../../src/ops/index.ts';
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, exact, makeCase } from './case.ts';
import { arg } from './data.ts';

type Run = (x: Tensor) => Tensor | readonly Tensor[];

/** One op of one tensor, in float32 with its gradient, misaligned, and in a dtype of one byte. */
function moves(op: string, list: readonly (readonly [shape: Shape, text: string, run: Run])[]): Case[] {
  return list.flatMap(([shape, text, run]) => {
    const label = `[${shape}] ${text}`;
    const bytes: DType = 'uint8';
    return [
      makeCase(op, label, [arg(shape)], run, { ...exact, gradient: true }),
      makeCase(op, `${label}, misaligned`, [arg(shape, { offset: 3 })], run, exact),
      makeCase(op, `${label}, uint8`, [arg(shape, { dtype: bytes, offset: 1, high: 256 })], run, exact),
      makeCase(op, `${label}, int32`, [arg(shape, { dtype: 'int32' })], run, exact),
    ];
  });
}

const order = (x: Shape, ...axes: number[]) =>
  [x, `order ${axes}`, (t: Tensor) => ops.transpose(t, axes)] as const;
const part = (shape: Shape, begin: number[], size?: number[]) =>
  [shape, `from ${begin} size ${size ?? 'rest'}`, (t: Tensor) => ops.slice(t, begin, size)] as const;
const surround = (shape: Shape, paddings: [number, number][], value?: number) =>
  [
    shape,
    `by ${JSON.stringify(paddings)} ${value ?? ''}`,
    (t: Tensor) => ops.pad(t, paddings, value),
  ] as const;
const stretch = (from: Shape, to: Shape) =>
  [from, `to [${to}]`, (t: Tensor) => ops.broadcastTo(t, to)] as const;
const repeat = (shape: Shape, repeats: number[]) =>
  [shape, `by ${repeats}`, (t: Tensor) => ops.tile(t, repeats)] as const;
const turn = (shape: Shape, axis?: number | number[]) =>
  [shape, `axis ${axis ?? 'all'}`, (t: Tensor) => ops.flip(t, axis)] as const;

/** Joining ops: tensors of several shapes. */
function joins(op: string, list: readonly (readonly [shapes: readonly Shape[], axis: number])[]): Case[] {
  const join = op === 'concat' ? ops.concat : ops.stack;
  return list.flatMap(([shapes, axis]) =>
    (['float32', 'int32', 'bool'] as const).map((dtype) =>
      makeCase(
        op,
        `${shapes.map((s) => `[${s}]`).join(' ')} axis ${axis} ${dtype}`,
        shapes.map((shape, i) => arg(shape, { dtype, offset: i })),
        (...parts) => join(parts, axis),
        { ...exact, gradient: dtype === 'float32' },
      ),
    ),
  );
}

export const shapeCases: readonly Case[] = [
  ...moves('reshape', [
    [[6], 'to rows', (x) => ops.reshape(x, [2, 3])],
    [[2, 3, 5], 'with -1', (x) => ops.reshape(x, [-1, 5])],
    [[0, 3], 'empty', (x) => ops.reshape(x, [3, 0, 2])],
    [[0, 3], 'empty with -1', (x) => ops.reshape(x, [-1, 3])],
    [[1], 'to a scalar', (x) => ops.reshape(x, [])],
  ]),
  ...moves('flatten', [
    [[2, 3, 5], '', ops.flatten],
    [[], '', ops.flatten],
  ]),
  ...moves('expandDims', [
    [[2, 3], 'first', (x) => ops.expandDims(x)],
    [[2, 3], 'last', (x) => ops.expandDims(x, -1)],
    [[], 'scalar', (x) => ops.expandDims(x)],
  ]),
  ...moves('squeeze', [
    [[1, 3, 1], 'all', (x) => ops.squeeze(x)],
    [[1, 3, 1], 'last', (x) => ops.squeeze(x, -1)],
    [[1, 3, 1], 'both', (x) => ops.squeeze(x, [0, 2])],
  ]),
  ...moves('transpose', [
    [[3, 5], 'reversed', (x) => ops.transpose(x)],
    [[2, 3, 4], 'reversed', (x) => ops.transpose(x)],
    [[], 'scalar', (x) => ops.transpose(x)],
    order([33, 17], 1, 0),
    order([16, 64], 1, 0),
    order([2, 3, 4], 0, 2, 1),
    order([2, 3, 4], 2, 0, 1),
    order([2, 3, 4], -2, -1, -3),
    order([1, 5, 1, 3], 1, 0, 3, 2),
    order([0, 3], 1, 0),
    order([5, 4, 3, 2], 3, 1, 2, 0),
    order([2, 1, 2, 3, 1, 2, 2, 2], 7, 6, 5, 4, 3, 2, 1, 0),
    order([65, 129], 1, 0),
  ]),
  ...moves('broadcastTo', [
    stretch([3], [2, 3]),
    stretch([3, 1], [3, 5]),
    stretch([], [17]),
    stretch([2, 1, 3], [4, 2, 5, 3]),
    stretch([1], [0]),
    stretch([1, 33], [7, 33]),
    stretch([2, 3], [2, 3]),
  ]),
  ...moves('slice', [
    part([7], [2], [3]),
    part([7], [-3]),
    part([5, 4], [1], [2]),
    part([5, 4], [1, 1], [3, 2]),
    part([5, 17], [0, 3], [-1, 13]),
    part([2, 3, 4], [0, -2, 1], [2, 2, -1]),
    part([5, 4], [2, 1], [0, 2]),
    part([5, 4], [5, 0], [0, 4]),
    part([], []),
    part([33, 65], [1, 2], [31, 60]),
  ]),
  ...moves('pad', [
    surround([3], [[1, 2]]),
    surround([3], [[0, 0]], 5),
    surround(
      [2, 3],
      [
        [1, 0],
        [0, 2],
      ],
      3,
    ),
    surround([0], [[2, 2]], 1),
    surround([], []),
    surround(
      [5, 17],
      [
        [2, 1],
        [3, 15],
      ],
    ),
  ]),
  ...joins('concat', [
    [[[3], [4], [1]], 0],
    [[[2, 3]], 0],
    [
      [
        [2, 3],
        [2, 5],
      ],
      1,
    ],
    [
      [
        [2, 3],
        [2, 0],
        [2, 1],
      ],
      -1,
    ],
    [
      [
        [0, 3],
        [0, 3],
      ],
      0,
    ],
    [
      [
        [2, 3, 4],
        [2, 17, 4],
        [2, 1, 4],
      ],
      1,
    ],
    [Array.from({ length: 20 }, (_, i): Shape => [3, i]), 1],
  ]),
  ...joins('stack', [
    [[[], []], 0],
    [[[3], [3], [3]], 0],
    [[[3], [3]], -1],
    [
      [
        [2, 3],
        [2, 3],
      ],
      1,
    ],
    [
      [
        [2, 3],
        [2, 3],
      ],
      -1,
    ],
  ]),
  ...moves('split', [
    [[6], 'in 3', (x) => ops.split(x, 3)],
    [[2, 7], 'in sizes', (x) => ops.split(x, [1, 0, 6], 1)],
    [[4, 3], 'last axis', (x) => ops.split(x, 3, -1)],
    [[5, 33], 'uneven', (x) => ops.split(x, [16, 17], 1)],
  ]),
  ...moves('tile', [
    repeat([3], [4]),
    repeat([2, 3], [2, 1]),
    repeat([2, 3], [3, 5]),
    repeat([2, 3], [0, 2]),
    repeat([], []),
    repeat([1, 17], [3, 2]),
    repeat([2, 1, 2, 1, 2], [1, 3, 2, 2, 2]),
    repeat([2, 1, 2, 1, 2, 1, 1, 2], [2, 3, 1, 1, 2, 1, 2, 2]),
  ]),
  ...moves('flip', [
    turn([5]),
    turn([2, 3]),
    turn([2, 3], 1),
    turn([2, 3, 4], [0, -1]),
    turn([0, 3]),
    turn([]),
    turn([17, 33], 0),
    turn([17, 33], 1),
  ]),
];
