// Cases of attention, positions and normalisation.
import * as ops from '../../src/ops/index.ts';
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, exact, makeCase } from './case.ts';
import { type Arg, arg, type Tolerance } from './data.ts';

const summed: Tolerance = { rtol: 2e-5, atol: 5e-6 };

type Sizes = readonly [
  batch: number,
  heads: number,
  kvHeads: number,
  queries: number,
  keys: number,
  dim: number,
  valueDim: number,
];

const sizes: readonly Sizes[] = [
  [1, 1, 1, 1, 1, 1, 1],
  [2, 3, 3, 5, 7, 4, 6],
  [2, 4, 2, 9, 9, 8, 8],
  [1, 2, 1, 70, 70, 16, 16],
  [1, 2, 2, 17, 130, 33, 20],
  [2, 2, 2, 0, 3, 4, 4],
  [2, 1, 1, 3, 0, 4, 4],
];

const bit: Partial<Arg> = { dtype: 'bool' };

function separate([b, h, g, t, s, d, e]: Sizes): Arg[] {
  return [arg([b, t, h, d]), arg([b, s, g, d]), arg([b, s, g, e])];
}

const attention = (label: string, size: Sizes, options: ops.AttentionOptions, mask?: Arg): Case =>
  makeCase(
    'scaledDotProductAttention',
    `${size} ${label}`,
    [...separate(size), ...(mask ? [mask] : [])],
    (q, k, v, m) => ops.scaledDotProductAttention(q!, k!, v!, { ...options, mask: m }),
    { ...summed, gradient: size[3] > 0 && size[3] < 20 && size[4] > 0 && size[4] < 20 },
  );

const attentionTable: readonly Case[] = [
  ...sizes.flatMap((size) => [
    attention('plain', size, {}),
    attention('causal, scaled', size, { causal: true, scale: 0.5 }),
  ]),
  attention('bool mask', sizes[1]!, {}, arg([5, 7], bit)),
  attention('bool mask a sample', sizes[1]!, { causal: true }, arg([2, 5, 7], bit)),
  attention('float mask, fixed', sizes[1]!, {}, arg([2, 3, 5, 7], { fixed: true })),
  attention('float mask for all heads', sizes[2]!, {}, arg([2, 1, 9, 9], { fixed: true })),
  attention('float mask with its gradient', sizes[2]!, { causal: true }, arg([9, 9])),
];

const fused = (
  time: number,
  heads: number,
  kvHeads: number,
  dim: number,
  valueDim: number,
  causal: boolean,
): Case =>
  makeCase(
    'fusedSelfAttention',
    `${[time, heads, kvHeads, dim, valueDim]} ${causal}`,
    [arg([2, time, heads * dim + kvHeads * (dim + valueDim)])],
    (qkv) => ops.fusedSelfAttention(qkv!, { heads, kvHeads, dim, valueDim }, { causal }),
    { ...summed, gradient: time < 20 },
  );

const fusedTable: readonly Case[] = [
  fused(6, 2, 2, 4, 4, false),
  fused(9, 4, 2, 8, 5, true),
  fused(100, 2, 1, 16, 16, true),
  makeCase(
    'fusedCrossAttention',
    'grouped',
    [arg([2, 5, 4 * 6]), arg([2, 7, 2 * (6 + 3)])],
    (q, kv) => ops.fusedCrossAttention(q!, kv!, { heads: 4, kvHeads: 2, dim: 6, valueDim: 3 }),
    { ...summed, gradient: true },
  ),
];

const rowShapes: readonly Shape[] = [
  [3, 5],
  [2, 3, 17],
  [1, 1],
  [4, 64],
  [70, 33],
  [2, 1000],
  [0, 4],
];

const normalized = (
  op: string,
  label: string,
  args: readonly Arg[],
  run: (...args: Tensor[]) => Tensor | readonly Tensor[],
): Case =>
  makeCase(op, label, args, run, { rtol: 2e-5, atol: 1e-5, gradient: args[0]!.shape.join() === '3,5' });

const rows: readonly Case[] = rowShapes.flatMap((shape) => {
  const vector = arg(shape.slice(-1));
  const both = { layerNormalize: ops.layerNormalize, rmsNormalize: ops.rmsNormalize };
  return Object.entries(both).flatMap(([op, normalize]) => [
    normalized(op, `[${shape}]`, [arg(shape)], (x) => normalize(x!)),
    normalized(op, `[${shape}] scaled and shifted`, [arg(shape), vector, vector], (x, scale, offset) =>
      normalize(x!, { scale: scale!, offset: offset!, epsilon: 0.1 }),
    ),
  ]);
});

const channels: readonly Case[] = (
  [
    [3, 5],
    [2, 3, 4, 5],
    [50, 17],
    [1, 3],
  ] as Shape[]
).flatMap((shape) => {
  const vector = arg(shape.slice(-1));
  const some = arg(shape.slice(-1), { low: 0.5, high: 2 });
  return [
    normalized(
      'batchNormalize',
      `[${shape}]`,
      [arg(shape), vector, vector],
      (x, scale, offset) => ops.batchNormalize(x!, scale!, offset!, 0.1).out,
    ),
    normalized(
      'batchNormalize',
      `[${shape}] bare`,
      [arg(shape)],
      (x) => ops.batchNormalize(x!, undefined, undefined, 0.1).out,
    ),
    normalized(
      'normalizeWith',
      `[${shape}]`,
      [arg(shape), vector, some, vector, vector],
      (x, mean, variance, scale, offset) => ops.normalizeWith(x!, mean!, variance!, scale, offset, 0.01),
    ),
  ];
});

export const attentionCases: readonly Case[] = [
  ...attentionTable,
  ...fusedTable,
  ...rows,
  ...channels,
  normalized('layerNormalize', 'over two dimensions', [arg([3, 4, 5])], (x) =>
    ops.layerNormalize(x!, { dims: 2 }),
  ),
  normalized('unitNormalize', '[3,5]', [arg([3, 5], { gap: 0.1 })], (x) => ops.unitNormalize(x!)),
  normalized('unitNormalize', 'with zeros', [arg([2, 3], { values: [0, 0, 0, 3, 4, 0] })], (x) =>
    ops.unitNormalize(x!),
  ),
  makeCase('causalMask', '[5,7]', [], () => ops.causalMask(5, 7), exact),
  makeCase('causalMask', '[3,0]', [], () => ops.causalMask(3, 0), exact),
  makeCase('sinusoidalPositions', '[50,17]', [], () => ops.sinusoidalPositions(50, 17), {
    rtol: 1e-4,
    atol: 2e-5,
  }),
  makeCase('rotaryEmbedding', '[2,5,3,8]', [arg([2, 5, 3, 8])], (x) => ops.rotaryEmbedding(x!), {
    rtol: 1e-5,
    atol: 1e-5,
    gradient: true,
  }),
  makeCase(
    'rotaryEmbedding',
    'from 7 on',
    [arg([1, 3, 1, 2])],
    (x) => ops.rotaryEmbedding(x!, { offset: 7, base: 100 }),
    {
      rtol: 1e-5,
      atol: 1e-5,
    },
  ),
];
