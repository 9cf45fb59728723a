// Cases of running sums, sorting, indices along axes, named products and images.
import * as ops from '../../src/ops/index.ts';
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, exact, makeCase, specials, summed, tight } from './case.ts';
import { arg } from './data.ts';

const lines: readonly (readonly [Shape, number])[] = [
  [[1], 0],
  [[7], 0],
  [[3, 5], 0],
  [[3, 5], -1],
  [[2, 3, 4], 1],
  [[2, 0, 3], 1],
  [[0, 3], 1],
  [[5, 33], 0],
  [[2, 300], 1],
];
const small = new Set(['7', '3,5', '2,3,4']);

type Running = (x: Tensor, axis?: number, exclusive?: boolean, reverse?: boolean) => Tensor;

const running = (op: string, f: Running, low: number, high: number, smooth = true): readonly Case[] => [
  ...lines.flatMap(([shape, axis]) =>
    [0, 1, 2, 3].map((flags) =>
      makeCase(
        op,
        `[${shape}] axis ${axis} flags ${flags}`,
        [arg(shape, { low, high, distinct: !smooth })],
        (x) => f(x!, axis, (flags & 1) !== 0, (flags & 2) !== 0),
        // The first of exclusive sums of exponentials is -inf whatever x is.
        { ...summed, gradient: small.has(shape.join()) && !(op === 'logCumsumExp' && flags % 2 === 1) },
      ),
    ),
  ),
  makeCase(op, 'misaligned', [arg([3, 37], { offset: 1, low, high })], (x) => f(x!, 0), summed),
  makeCase(
    op,
    'special numbers',
    [arg([specials.length, 2], { values: specials.flatMap((v) => [1, v]) })],
    (x) => f(x!, 1),
    summed,
  ),
];

const exclusiveFree =
  (f: (x: Tensor, axis?: number, reverse?: boolean) => Tensor): Running =>
  (x, axis, _exclusive, reverse) =>
    f(x, axis, reverse);

const sortable: readonly (readonly [Shape, number])[] = [...lines, [[4, 257], 1], [[1, 3000], 1]];
const sorting: readonly Case[] = sortable.flatMap(([shape, axis]) =>
  [false, true].flatMap((descending) => {
    const label = `[${shape}] axis ${axis}${descending ? ' descending' : ''}`;
    const gradient = small.has(shape.join());
    const run = (x?: Tensor) => ops.sort(x!, axis, descending);
    const order = (x?: Tensor) => ops.argsort(x!, axis, descending);
    return [
      makeCase('sort', label, [arg(shape, { distinct: true, low: -9, high: 9 })], run, {
        ...exact,
        gradient,
      }),
      makeCase('sort', `${label} int32`, [arg(shape, { dtype: 'int32' })], run, exact),
      makeCase('sort', `${label} uint8`, [arg(shape, { dtype: 'uint8', offset: 1 })], run, exact),
      makeCase('sort', `${label} bool`, [arg(shape, { dtype: 'bool' })], run, exact),
      makeCase('argsort', label, [arg(shape)], order, exact),
      makeCase('argsort', `${label} ties`, [arg(shape, { dtype: 'int32', low: 0, high: 3 })], order, exact),
    ];
  }),
);

const choosing: readonly Case[] = [
  ...[0, 1, 3, 19].map((k) =>
    makeCase(
      'topK',
      `${k} of 19`,
      [arg([4, 19], { distinct: true, low: -9, high: 9 })],
      (x) => Object.values(ops.topK(x!, k)) as Tensor[],
      exact,
    ),
  ),
  makeCase(
    'topK',
    'values',
    [arg([3, 7], { distinct: true, low: -9, high: 9 })],
    (x) => ops.topK(x!, 3).values,
    {
      ...exact,
      gradient: true,
    },
  ),
  makeCase(
    'sort',
    'special numbers',
    [arg([specials.length], { values: specials })],
    (x) => ops.sort(x!),
    exact,
  ),
  makeCase('inTopK', 'k 2', [arg([9, 5]), arg([9], { dtype: 'int32', low: 0, high: 5 })], (p, t) =>
    ops.inTopK(p!, t!, 2),
  ),
  makeCase('searchSorted', 'edges', [arg([7], { values: [-2, -1, 0, 0, 0.5, 1, 3] }), arg([3, 17])], (s, v) =>
    ops.searchSorted(s!, v!),
  ),
  makeCase(
    'bincount',
    'counts',
    [arg([50], { dtype: 'int32', low: 0, high: 7 })],
    (x) => ops.bincount(x!, 9),
    exact,
  ),
  makeCase(
    'bincount',
    'weights',
    [arg([50], { dtype: 'int32', low: 0, high: 7 }), arg([50])],
    (x, w) => ops.bincount(x!, 9, w!),
    { ...summed, gradient: true },
  ),
];

const index = (shape: Shape, high: number) => arg(shape, { dtype: 'int32', low: 0, high });

const indexed: readonly Case[] = [
  ...([0, 1, 2] as const).map((axis) =>
    makeCase(
      'takeAlongAxis',
      `axis ${axis}`,
      [arg([3, 4, 5]), index([3, 4, 5].with(axis, 6), 3)],
      (x, i) => ops.takeAlongAxis(x!, i!, axis),
      { ...exact, gradient: true },
    ),
  ),
  makeCase('gather', 'axis 1', [arg([3, 4, 5]), index([2, 3], 4)], (x, i) => ops.gather(x!, i!, 1), {
    ...exact,
    gradient: true,
  }),
  makeCase('gather', 'last axis, uint8', [arg([3, 5], { dtype: 'uint8' }), index([7], 5)], (x, i) =>
    ops.gather(x!, i!, -1),
  ),
  ...[1, 2, 3].map((depth) =>
    makeCase(
      'gatherND',
      `depth ${depth}`,
      [arg([3, 4, 5]), index([6, depth], 3)],
      (x, i) => ops.gatherND(x!, i!),
      {
        ...exact,
        gradient: true,
      },
    ),
  ),
  makeCase('scatterND', 'rows', [arg([6, 5]), index([6, 1], 3)], (u, i) => ops.scatterND(i!, u!, [4, 5]), {
    ...summed,
    gradient: true,
  }),
  makeCase(
    'tensorScatterAdd',
    'elements',
    [arg([4, 5]), arg([7]), index([7, 2], 4)],
    (x, u, i) => ops.tensorScatterAdd(x!, i!, u!),
    { ...summed, gradient: true },
  ),
];

const products: readonly Case[] = (
  [
    ['ij,jk->ik', [3, 4], [4, 5]],
    ['bij,bkj->bik', [2, 3, 4], [2, 5, 4]],
    ['bqhd,bkhd->bhqk', [2, 4, 3, 5], [2, 6, 3, 5]],
    ['i,j->ij', [3], [4]],
    ['ij,ij->i', [3, 4], [3, 4]],
    ['...i,ij->...j', [2, 3, 4], [4, 5]],
  ] as readonly (readonly [string, Shape, Shape])[]
).map(([equation, a, b]) =>
  makeCase('einsum', equation, [arg(a), arg(b)], (x, y) => ops.einsum(equation, x!, y!), {
    ...summed,
    gradient: true,
  }),
);

const images: readonly Case[] = (
  [
    [2, 4, 5, 3, 8, 10],
    [1, 7, 5, 17, 3, 9],
    [1, 3, 3, 1, 1, 7],
    [2, 1, 1, 2, 3, 3],
  ] as const
).flatMap(([batch, height, width, channels, ...size]) =>
  [0, 1, 2].flatMap((centers) => {
    const shape = [batch, height, width, channels];
    const label = `[${shape}] to [${size}] ${['', 'corners', 'half'][centers]}`;
    const resize = (f: typeof ops.resizeBilinear) => (x?: Tensor) =>
      f(x!, size, centers === 1, centers === 2);
    return [
      makeCase('resizeBilinear', label, [arg(shape)], resize(ops.resizeBilinear), {
        ...summed,
        gradient: true,
      }),
      makeCase(
        'resizeNearestNeighbor',
        label,
        [arg(shape, { offset: 1 })],
        resize(ops.resizeNearestNeighbor),
        {
          ...exact,
          gradient: true,
        },
      ),
      makeCase(
        'resizeNearestNeighbor',
        `${label} uint8`,
        [arg(shape, { dtype: 'uint8' })],
        resize(ops.resizeNearestNeighbor),
        exact,
      ),
      // The three ways of centers do not tell these apart: they stand for a radius and for blurring instead.
      makeCase(
        centers === 0 ? 'resizeBicubic' : 'resizeLanczos',
        `[${shape}] to [${size}] ${centers}`,
        [arg(shape)],
        (x) =>
          centers === 0
            ? ops.resizeBicubic(x!, size, { antialias: batch === 1 })
            : ops.resizeLanczos(x!, size, { radius: centers === 1 ? 3 : 5, antialias: batch === 2 }),
        { ...summed, gradient: true },
      ),
    ];
  }),
);

export const orderCases: readonly Case[] = [
  ...running('cumsum', ops.cumsum, -2, 2),
  ...running('cumprod', ops.cumprod, 0.8, 1.3),
  ...running('cummax', exclusiveFree(ops.cummax), -9, 9, false),
  ...running('logCumsumExp', ops.logCumsumExp, -3, 3),
  makeCase('cumsum', 'int32', [arg([3, 9], { dtype: 'int32' })], (x) => ops.cumsum(x!, 1), exact),
  makeCase('cumsum', 'uint8', [arg([3, 9], { dtype: 'uint8' })], (x) => ops.cumsum(x!, 1), exact),
  makeCase('cumprod', 'int32', [arg([3, 9], { dtype: 'int32' })], (x) => ops.cumprod(x!, 1), exact),
  makeCase('cummax', 'int32', [arg([3, 9], { dtype: 'int32' })], (x) => ops.cummax(x!, 1), exact),
  ...sorting,
  ...choosing,
  ...indexed,
  ...products,
  makeCase('tensordot', '2 axes', [arg([2, 3, 4]), arg([3, 4, 5])], (a, b) => ops.tensordot(a!, b!), {
    ...summed,
    gradient: true,
  }),
  makeCase(
    'unique',
    'float32',
    [arg([40], { values: [3, 1, 3, -2, 7, 1, 0] })],
    (x) => ops.unique(x!).values,
    tight,
  ),
  ...images,
];
