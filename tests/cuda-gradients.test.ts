// Gradients on the CUDA backend over the emulated driver, against the reference; and sizes that take the kernels' larger tiles.
import { valueAndGrad } from '../src/autodiff.ts';
import { type Engine, useEngine } from '../src/engine.ts';
import * as ops from '../src/ops/index.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { fastest, on, reference } from './support/backends.ts';
import { type Case, makeCase } from './support/case.ts';
import { casesByOp, outputsOf } from './support/cases.ts';
import { openEmulated } from './support/cuda.ts';
import { arg, close, generator, type Numbers, numbersOf, place } from './support/data.ts';

const product = { rtol: 1e-4, atol: 1e-4, gradient: true };
const unit = { low: -1, high: 1 };

type ConvSizes = readonly [x: number[], filter: number[], options?: ops.ConvOptions];

/** Whole tiles and parts of tiles, groups with and without products of matrices, sums in several parts. */
const convolutions: readonly ConvSizes[] = [
  [[2, 9, 8, 70], [3, 3, 70, 130], { padding: 'same' }],
  [[3, 17, 16, 20], [3, 2, 20, 40], { strides: 2, padding: 'same' }],
  [[2, 9, 10, 34], [3, 3, 17, 80], { groups: 2 }],
  [[2, 24, 24, 6], [3, 3, 3, 10], { groups: 2, padding: 'same' }],
  [[1, 15, 14, 5], [3, 3, 5, 6], { strides: 3, dilationRate: 1 }],
  [[1, 15, 14, 5], [4, 3, 5, 6], { dilationRate: [3, 2] }],
];

/** Several tiles of queries and keys, and more columns than a block has room for. */
const attentions = [
  [130, 130, 40, 70, true],
  [70, 129, 140, 30, false],
  [65, 3, 20, 150, true],
] as const;

/** Cases for tiles of these kernels, beside those of the table. */
const tiles: readonly Case[] = [
  ...convolutions.map(([x, filter, options = {}]) =>
    makeCase(
      'conv2d',
      `tiles [${x}] [${filter}]`,
      [arg(x, unit), arg(filter, unit)],
      (a, b) => ops.conv2d(a, b, options),
      product,
    ),
  ),
  makeCase(
    'depthwiseConv2d',
    'tiles',
    [arg([2, 25, 24, 40], unit), arg([3, 3, 40, 2], unit)],
    (a, b) => ops.depthwiseConv2d(a, b, { strides: 2, padding: 'same' }),
    product,
  ),
  ...attentions.map(([queries, keys, dim, valueDim, causal]) =>
    makeCase(
      'attention',
      `tiles ${[queries, keys, dim, valueDim, causal]}`,
      [arg([1, queries, 4, dim], unit), arg([1, keys, 2, dim], unit), arg([1, keys, 2, valueDim], unit)],
      (q, k, v) => ops.scaledDotProductAttention(q, k, v, { causal }),
      product,
    ),
  ),
];

/** The outputs, and the gradients of their sum with a weight for each number. */
function differentiate(test: Case, args: readonly Numbers[]): Numbers[] {
  const results: Numbers[] = [];
  scope(() => {
    ops.setSeed(3);
    const placed = test.args.map((spec, i) => place(spec, args[i]!));
    const body = (...free: Tensor[]) => {
      let next = 0;
      const outputs = outputsOf(
        test,
        placed.map((fixed, i) => (test.args[i]!.fixed ? fixed : free[next++]!)),
      );
      const parts = outputs.map((out, o) => {
        const random = generator(`weights ${o}`);
        const weights = Float32Array.from({ length: out.size }, () => 0.5 + random.uniform());
        return ops.sum(ops.mul(out, ops.tensor(weights, out.shape)));
      });
      return parts.reduce((a, b) => ops.add(a, b));
    };
    const free = placed.filter((_, i) => !test.args[i]!.fixed);
    for (const gradient of valueAndGrad(body)(...free).gradients) results.push(gradient.dataSync());
    for (const out of outputsOf(test, placed)) results.push(out.dataSync());
  });
  return results;
}

function check(test: Case, engine: Engine): void {
  const random = generator(`${test.op} ${test.label}`);
  const args = test.args.map((spec) => numbersOf(spec, random));
  const expected = on(reference(), () => differentiate(test, args));
  const actual = on(engine, () => differentiate(test, args));
  actual.forEach((numbers, i) => {
    // Rounding grows with what is summed up, of which the largest number tells.
    const largest = expected[i]!.reduce((a: number, b: number) => Math.max(a, Math.abs(b)), 1);
    const tolerance = { rtol: 20 * test.rtol + 1e-6, atol: 5e-6 * largest };
    close(numbers, expected[i]!, tolerance, `${test.label}: gradient or output ${i}`);
  });
}

describe('gradients on the CUDA backend, emulated', function () {
  this.timeout(300_000);
  let engine: Engine;
  before(async () => {
    engine = await openEmulated();
  });
  after(() => {
    engine?.close();
    useEngine(fastest());
  });
  for (const [op, tests] of casesByOp) {
    const smooth = tests.filter(({ gradient }) => gradient);
    if (smooth.length === 0) continue;
    it(`differentiates ${op}`, () => {
      for (const test of smooth) check(test, engine);
    });
  }
  for (const test of tiles) it(`differentiates ${test.op} ${test.label}`, () => check(test, engine));
});
