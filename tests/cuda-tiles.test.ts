// The CUDA backend over the emulated driver at sizes that take whole tiles, several of them, and sums in parts: outputs and gradients against the reference.
import assert from 'node:assert/strict';
import { valueAndGrad } from '../src/autodiff.ts';
import { type Engine, useEngine } from '../src/engine.ts';
import * as ops from '../src/ops/index.ts';
import { rnnGates } from '../src/ops/rnn.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { fastest, on, reference } from './support/backends.ts';
import { type Case, makeCase } from './support/case.ts';
import { outputsOf } from './support/cases.ts';
import { openTested } from './support/cuda.ts';
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

/** Rows and units of several blocks, and enough steps that the bias's gradient is summed in parts. */
const sequences = ['simpleTanh', 'lstm', 'gru'] as const;

const cases: readonly Case[] = [
  ...convolutions.map(([x, filter, options = {}]) =>
    makeCase(
      'conv2d',
      `[${x}] [${filter}]`,
      [arg(x, unit), arg(filter, unit)],
      (a, b) => ops.conv2d(a, b, options),
      product,
    ),
  ),
  makeCase(
    'depthwiseConv2d',
    'with two strides',
    [arg([2, 25, 24, 40], unit), arg([3, 3, 40, 2], unit)],
    (a, b) => ops.depthwiseConv2d(a, b, { strides: 2, padding: 'same' }),
    product,
  ),
  ...attentions.map(([queries, keys, dim, valueDim, causal]) =>
    makeCase(
      'attention',
      `${[queries, keys, dim, valueDim, causal]}`,
      [arg([1, queries, 4, dim], unit), arg([1, keys, 2, dim], unit), arg([1, keys, 2, valueDim], unit)],
      (q, k, v) => ops.scaledDotProductAttention(q!, k!, v!, { causal }),
      product,
    ),
  ),
  ...sequences.map((kind) => {
    const sums = 40 * rnnGates[kind];
    return makeCase(
      'rnn',
      kind,
      [
        arg([20, 7, sums], unit),
        arg([40, sums], { low: -0.2, high: 0.2 }),
        arg(kind === 'gru' ? [2, sums] : [sums], unit),
        arg([20, 7], { dtype: 'bool' }),
      ],
      (input, recurrent, bias, mask) => ops.rnn(input!, recurrent!, { kind, bias, mask }).y!,
      product,
    );
  }),
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

/** `share`: how far numbers may be off, as a share of the largest. */
function check(test: Case, engine: Engine, share = 5e-6): void {
  const random = generator(`${test.op} ${test.label}`);
  const args = test.args.map((spec) => numbersOf(spec, random));
  const expected = on(reference(), () => differentiate(test, args));
  const actual = on(engine, () => differentiate(test, args));
  actual.forEach((numbers, i) => {
    // Rounding grows with what is summed up, of which the largest number tells.
    const largest = Array.from(expected[i]!).reduce((a, b) => Math.max(a, Math.abs(b)), 1);
    const tolerance = { rtol: 20 * test.rtol + 1e-6, atol: share * largest };
    close(numbers, expected[i]!, tolerance, `${test.label}: gradient or output ${i}`);
  });
}

describe('tiles of the CUDA backend, emulated', function () {
  this.timeout(300_000);
  let engine: Engine;
  before(async () => {
    engine = await openTested();
  });
  after(() => {
    engine?.close();
    useEngine(fastest());
  });
  for (const test of cases) it(`${test.op} ${test.label}`, () => check(test, engine));

  it('convolve on tensor cores, to the 10 bits of TF32', async () => {
    const tensors = await openTested('tf32');
    for (const test of cases) if (test.op === 'conv2d') check(test, tensors, 1e-3);
    tensors.close();
    useEngine(engine);
  });

  it('sorts rows that no block holds', () => {
    const random = generator('long rows');
    const whole = Int32Array.from({ length: 2 * 5000 }, () => random.int(1000));
    const sorted = () =>
      scope(() => {
        const x = ops.tensor(whole, [2, 5000]);
        return [ops.sort(x).dataSync(), ops.argsort(x, -1, true).dataSync()];
      });
    assert.deepEqual(on(engine, sorted), on(reference(), sorted));
  });
});
