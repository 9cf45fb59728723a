// Cases of convolutions and pooling.

import type { ConvOptions, PoolOptions } from '../../src/ops/index.ts';
import * as ops from '../../src/ops/index.ts';
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, makeCase } from './case.ts';
import { arg, type Tolerance } from './data.ts';

const product: Tolerance = { rtol: 1e-5, atol: 4e-5 };

type Op = (x: Tensor, filter: Tensor, options: ConvOptions) => Tensor;
type Convolution = readonly [x: Shape, filter: Shape, options?: ConvOptions];

function convCases(op: string, run: Op, list: readonly Convolution[]): Case[] {
  return list.map(([x, filter, options = {}]) =>
    makeCase(
      op,
      `[${x}] [${filter}] ${JSON.stringify(options)}`,
      [arg(x, { low: -1, high: 1 }), arg(filter, { low: -1, high: 1 })],
      (a, b) => run(a, b, options),
      { ...product, gradient: x.reduce((size, dim) => size * dim, 1) < 2000 },
    ),
  );
}

const conv1dList: readonly Convolution[] = [
  [
    [2, 9, 3],
    [3, 3, 4],
  ],
  [[1, 17, 2], [4, 2, 5], { padding: 'same' }],
  [[2, 13, 3], [3, 3, 2], { padding: 'causal', dilationRate: 2 }],
  [[2, 16, 4], [5, 2, 6], { strides: 3, padding: 'same', groups: 2 }],
  [[1, 700, 2], [3, 2, 3], { padding: 'same' }],
];

const conv2dList: readonly Convolution[] = [
  [
    [2, 7, 6, 3],
    [3, 3, 3, 5],
  ],
  [
    [2, 28, 28, 1],
    [3, 3, 1, 32],
  ],
  [[1, 8, 9, 4], [3, 2, 4, 17], { padding: 'same' }],
  [[2, 9, 9, 3], [3, 3, 3, 4], { padding: 'same', strides: 2 }],
  [[1, 10, 11, 2], [2, 3, 2, 3], { strides: [3, 2] }],
  [[1, 11, 12, 3], [3, 3, 3, 2], { dilationRate: [2, 3], padding: 'same' }],
  [[2, 6, 5, 8], [3, 3, 2, 12], { groups: 4, padding: 'same' }],
  [
    [2, 5, 6, 7],
    [1, 1, 7, 9],
  ],
  [[2, 5, 6, 7], [1, 1, 7, 9], { strides: 2 }],
  [
    [0, 5, 6, 2],
    [3, 3, 2, 4],
  ],
  // Wide enough for Winograd's filtering: whole tiles, odd ones, and channels that end within a vector.
  [[1, 8, 8, 16], [3, 3, 16, 17], { padding: 'same' }],
  [
    [1, 9, 11, 17],
    [3, 3, 17, 16],
  ],
  [[3, 21, 15, 24], [3, 3, 24, 40], { padding: 'same' }],
  [
    [2, 18, 20, 33],
    [3, 3, 33, 48],
  ],
];

const conv3dList: readonly Convolution[] = [
  [
    [1, 4, 5, 6, 2],
    [2, 3, 3, 2, 3],
  ],
  [[1, 5, 4, 5, 2], [3, 3, 3, 2, 4], { padding: 'same', strides: [1, 2, 2] }],
];

const transposedList: readonly Convolution[] = [
  [
    [2, 4, 5, 3],
    [3, 3, 4, 3],
  ],
  [[1, 4, 5, 3], [4, 4, 2, 3], { strides: 2, padding: 'same' }],
  [[1, 3, 4, 2], [2, 3, 5, 2], { strides: 3 }],
  [
    [1, 7, 9, 16],
    [3, 3, 18, 16],
  ],
  [[2, 12, 11, 32], [3, 3, 16, 32], { padding: 'same' }],
];

type PoolOp = (x: Tensor, options: PoolOptions) => Tensor;

const poolShapes: readonly Shape[] = [
  [2, 11, 3],
  [2, 8, 9, 5],
  [1, 5, 6, 7, 3],
];

const poolOptions: readonly PoolOptions[] = [
  {},
  { poolSize: 3, strides: 2, padding: 'same' },
  { poolSize: 2, strides: 1 },
  { poolSize: 2, strides: 3, padding: 'same' },
];

function poolCases(op: string, run: PoolOp, rank: number): Case[] {
  return poolOptions.map((options) =>
    makeCase(
      op,
      JSON.stringify(options),
      [arg(poolShapes[rank - 1]!, { low: -40, high: 40, distinct: true })],
      (x) => run(x, options),
      { rtol: 1e-6, atol: 1e-5, gradient: true },
    ),
  );
}

export const convolutionCases: readonly Case[] = [
  ...convCases('conv1d', ops.conv1d, conv1dList),
  ...convCases('conv2d', ops.conv2d, conv2dList),
  ...convCases('conv3d', ops.conv3d, conv3dList),
  ...convCases('depthwiseConv1d', ops.depthwiseConv1d, [[[2, 9, 5], [3, 5, 2], { padding: 'same' }]]),
  ...convCases('depthwiseConv2d', ops.depthwiseConv2d, [
    [[2, 7, 6, 19], [3, 3, 19, 1], { padding: 'same' }],
    [[1, 9, 8, 4], [3, 2, 4, 3], { strides: 2 }],
  ]),
  ...convCases('conv1dTranspose', ops.conv1dTranspose, [
    [[2, 5, 3], [4, 2, 3], { strides: 2, padding: 'same' }],
  ]),
  ...convCases('conv2dTranspose', ops.conv2dTranspose, transposedList),
  ...convCases('conv3dTranspose', ops.conv3dTranspose, [[[1, 3, 2, 3, 2], [2, 3, 2, 3, 2], { strides: 2 }]]),
  ...poolCases('maxPool1d', ops.maxPool1d, 1),
  ...poolCases('maxPool2d', ops.maxPool2d, 2),
  ...poolCases('maxPool3d', ops.maxPool3d, 3),
  ...poolCases('avgPool1d', ops.avgPool1d, 1),
  ...poolCases('avgPool2d', ops.avgPool2d, 2),
  ...poolCases('avgPool3d', ops.avgPool3d, 3),
];
