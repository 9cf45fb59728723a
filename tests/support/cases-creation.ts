// Cases of the ops that make tensors: from numbers, filled, counted, random (after a fixed seed).
import type { DType } from '../../src/dtype.ts';
import * as ops from '../../src/ops/index.ts';
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, exact, makeCase } from './case.ts';
import { arg, type Tolerance } from './data.ts';

const make = (op: string, label: string, run: () => Tensor, tolerance: Tolerance = exact) =>
  makeCase(op, label, [], run, tolerance);

const dtypes: readonly DType[] = ['float32', 'int32', 'uint8', 'bool'];
const shapes: readonly Shape[] = [[], [0], [1], [3, 5], [257], [1031]];

const filled: readonly Case[] = shapes.flatMap((shape) =>
  dtypes.flatMap((dtype) => [
    make('fill', `[${shape}] ${dtype}`, () => ops.fill(shape, 1, dtype)),
    make('zeros', `[${shape}] ${dtype}`, () => ops.zeros(shape, dtype)),
    make('ones', `[${shape}] ${dtype}`, () => ops.ones(shape, dtype)),
    makeCase('zerosLike', `[${shape}] ${dtype}`, [arg(shape, { dtype })], ops.zerosLike, exact),
    makeCase('onesLike', `[${shape}] ${dtype}`, [arg(shape, { dtype })], ops.onesLike, exact),
  ]),
);

const counted: readonly Case[] = [
  make('tensor', 'nested', () =>
    ops.tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]),
  ),
  make('fill', 'a fraction', () => ops.fill([19], 0.1)),
  make('fill', 'NaN', () => ops.fill([19], Number.NaN)),
  make('range', '0 to 7', () => ops.range(0, 7)),
  make('range', 'by -3', () => ops.range(10, -5, -3)),
  make('range', 'nothing', () => ops.range(5, 5)),
  make('range', 'float32', () => ops.range(0, 33, 0.25, 'float32')),
  make('range', 'uint8', () => ops.range(0, 17, 1, 'uint8')),
  make('linspace', '0 to 1', () => ops.linspace(0, 1, 1031), { rtol: 1e-6, atol: 1e-7 }),
  make('linspace', 'one', () => ops.linspace(3, 5, 1)),
  make('linspace', 'none', () => ops.linspace(3, 5, 0)),
  ...[0, 1, 3, 17].map((n) => make('eye', `${n}`, () => ops.eye(n))),
  make('eye', 'wide', () => ops.eye(3, 5)),
  make('eye', 'tall', () => ops.eye(5, 3)),
  make('eye', 'no columns', () => ops.eye(5, 0)),
];

// Several units in the last place: the transcendental functions in between.
const drawn: Tolerance = { rtol: 1e-5, atol: 1e-5 };
const random: readonly Case[] = shapes.flatMap((shape) => [
  make('randomUniform', `[${shape}]`, () => ops.randomUniform(shape)),
  make('randomUniform', `[${shape}] in a range`, () => ops.randomUniform(shape, -3, 5), drawn),
  make('randomNormal', `[${shape}]`, () => ops.randomNormal(shape), drawn),
  make('randomNormal', `[${shape}] shifted`, () => ops.randomNormal(shape, 3, 0.5), drawn),
  make('truncatedNormal', `[${shape}]`, () => ops.truncatedNormal(shape), drawn),
  make('randomBernoulli', `[${shape}]`, () => ops.randomBernoulli(shape, 0.3)),
  make('randomInt', `[${shape}]`, () => ops.randomInt(shape, -5, 12)),
  make('setSeed', `[${shape}]`, () => {
    ops.setSeed(2 ** 40 + 5);
    return ops.randomUniform(shape);
  }),
]);

// Whether a try is good may hang on the last bit: few numbers, none of which is so near.
const tried: readonly Case[] = [[], [33], [2, 0, 3]].flatMap((shape) => [
  make('randomGamma', `[${shape}]`, () => ops.randomGamma(shape, 2.5), drawn),
  make('randomBeta', `[${shape}]`, () => ops.randomBeta(shape, 0.5, 1.5), drawn),
]);

export const creationCases: readonly Case[] = [...filled, ...counted, ...random, ...tried];
