// bfloat16 on the CUDA backend over the emulated driver: every op of the table and its gradients beside the CPU's bfloat16, whole tiles, and training under mixed_bfloat16.
import assert from 'node:assert/strict';
import {
  input,
  layers,
  model,
  optimizers,
  setDtypePolicy,
  setSeed,
  type Tensor,
  tensor,
} from '../src/api.ts';
import { valueAndGrad } from '../src/autodiff.ts';
import { type Engine, useEngine } from '../src/engine.ts';
import { fromHalves, toHalves } from '../src/halves.ts';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import { scope } from '../src/tensor.ts';
import { Variable } from '../src/variable.ts';
import { fastest, on } from './support/backends.ts';
import type { Case } from './support/case.ts';
import { casesByOp, outputsOf } from './support/cases.ts';
import { openEmulated } from './support/cuda.ts';
import { close, generator, type Numbers, numbersOf, place } from './support/data.ts';

interface Result {
  readonly dtype: string;
  readonly numbers: Numbers;
}

const rounded = (values: Float32Array) => fromHalves(toHalves(values, 'bfloat16'), 'bfloat16');

/** Their floating-point arguments can be bfloat16. */
const casesFor = (tests: readonly Case[]) =>
  tests.filter(({ args }) => args.some(({ dtype }) => dtype === 'float32'));

/** The arguments in bfloat16, of numbers that it holds exactly. */
function place16(test: Case): Tensor[] {
  const random = generator(`${test.op} ${test.label}`);
  return test.args.map((spec) => {
    const numbers = numbersOf(spec, random);
    if (spec.dtype !== 'float32') return place(spec, numbers);
    return ops.cast(place(spec, rounded(numbers as Float32Array)), 'bfloat16');
  });
}

function evaluate(test: Case): Result[] {
  const results: Result[] = [];
  scope(() => {
    ops.setSeed(3);
    for (const out of outputsOf(test, place16(test)))
      results.push({ dtype: `${out.dtype}[${out.shape}]`, numbers: out.dataSync() });
  });
  return results;
}

/** Gradients of the outputs' sum, with a weight for each number. */
function gradients(test: Case): Result[] {
  const results: Result[] = [];
  scope(() => {
    ops.setSeed(3);
    const placed = place16(test);
    const isFree = (i: number) => !test.args[i]!.fixed;
    const body = (...xs: Tensor[]) => {
      let next = 0;
      const outputs = outputsOf(
        test,
        placed.map((fixed, i) => (isFree(i) ? xs[next++]! : fixed)),
      );
      const parts = outputs.map((out) => {
        const weights = ops.add(ops.mod(ops.reshape(ops.range(0, out.size, 1, 'float32'), out.shape), 3), 1);
        return ops.sum(ops.mul(ops.cast(out, 'float32'), weights));
      });
      return parts.reduce((a, b) => ops.add(a, b));
    };
    const free = placed.filter((_, i) => isFree(i));
    for (const gradient of valueAndGrad(body)(...free).gradients)
      results.push({ dtype: gradient.dtype, numbers: gradient.dataSync() });
  });
  return results;
}

/**
 * Both round at the same places: what sums differ by, by their order, tells two bfloat16 apart by one place, and what is computed of
 * those by little more. `places` are of 2^-8, of the number and of the mean size of all.
 */
function compare(actual: readonly Result[], expected: readonly Result[], places: number): void {
  assert.deepEqual(
    actual.map(({ dtype }) => dtype),
    expected.map(({ dtype }) => dtype),
  );
  actual.forEach(({ dtype, numbers }, i) => {
    const wanted = expected[i]!.numbers;
    const finite = Array.from(wanted).filter(Number.isFinite);
    const size = Math.hypot(...finite) / Math.sqrt(Math.max(1, finite.length));
    const whole = !/float/.test(dtype);
    const share = places * 2 ** -8;
    close(
      numbers,
      wanted,
      whole ? { rtol: 0, atol: 0 } : { rtol: share, atol: share * size },
      `number ${i} of the results`,
    );
  });
}

function compareAll(
  tests: readonly Case[],
  engine: Engine,
  results: (test: Case) => Result[],
  places: number,
) {
  const failures: string[] = [];
  for (const test of tests) {
    try {
      const expected = on(fastest(), () => results(test));
      compare(
        on(engine, () => results(test)),
        expected,
        places,
      );
    } catch (error) {
      failures.push(`${test.label}: ${error instanceof Error ? error.message : error}`);
    }
  }
  const shown = failures.slice(0, 12).join('\n');
  assert.equal(failures.length, 0, `${failures.length} of ${tests.length} cases differ\n${shown}`);
}

describe('bfloat16 on the CUDA backend, emulated', function () {
  this.timeout(300_000);
  const engines = new Map<string, Engine>();
  before(async () => {
    for (const precision of ['float32', 'tf32'] as const)
      engines.set(precision, await openEmulated({}, precision));
  });
  after(() => {
    for (const engine of engines.values()) engine.close();
    useEngine(fastest());
  });

  for (const [op, all] of casesByOp) {
    const tests = casesFor(all);
    if (tests.length === 0) continue;
    it(`computes ${op}`, () => compareAll(tests, engines.get('float32')!, evaluate, 2));
    const smooth = tests.filter(({ gradient }) => gradient);
    if (smooth.length === 0) continue;
    it(`differentiates ${op}`, () => compareAll(smooth, engines.get('float32')!, gradients, 2));
  }

  /** Whole numbers, whose products and sums float32 holds exactly. */
  const whole = (random: ReturnType<typeof generator>, size: number, most = 8) =>
    Float32Array.from({ length: size }, () => random.int(2 * most + 1) - most);

  it('multiplies matrices of bfloat16 exactly, by every kernel and at every edge', () => {
    const random = generator('halves');
    // Small and large tiles, with and without edges, lines at multiples of 16 bytes or not, sums in parts, nothing to add up.
    for (const [m, n, k] of [
      [1, 1, 1],
      [70, 35, 19],
      [136, 264, 40],
      [256, 256, 96],
      [64, 72, 200],
      [33, 16, 784],
      [16, 8, 392],
      [5, 3, 0],
    ] as const) {
      for (const [transposeA, transposeB] of [
        [false, false],
        [true, false],
        [false, true],
        [true, true],
      ] as const) {
        const shapeA: [number, number] = transposeA ? [k, m] : [m, k];
        const shapeB: [number, number] = transposeB ? [n, k] : [k, n];
        const [a, b, bias] = [whole(random, m * k), whole(random, k * n), whole(random, n)];
        const product = () =>
          scope(() => {
            const x = ops.tensor(a, shapeA, 'bfloat16');
            const y = ops.tensor(b, shapeB, 'bfloat16');
            const sum = ops.add(
              ops.matMul(x, y, { transposeA, transposeB }),
              ops.tensor(bias, undefined, 'bfloat16'),
            );
            return ops.relu(sum).dataSync();
          });
        const what = `${m} x ${n} x ${k}, ${transposeA} ${transposeB}`;
        const expected = on(fastest(), product);
        // The bias is added before the sum is rounded.
        for (const engine of engines.values())
          close(on(engine, product), expected, { rtol: 2 ** -8, atol: 0 }, what);
      }
    }
  });

  it('multiplies batches, of one matrix or of many', () => {
    const random = generator('batches');
    const [a, b, one] = [whole(random, 3 * 40 * 24), whole(random, 3 * 24 * 16), whole(random, 24 * 16)];
    const products = () =>
      scope(() => {
        const x = ops.tensor(a, [3, 40, 24], 'bfloat16');
        return [
          ops.matMul(x, ops.tensor(b, [3, 24, 16], 'bfloat16')).dataSync(),
          ops.matMul(x, ops.tensor(one, [24, 16], 'bfloat16')).dataSync(),
        ];
      });
    assert.deepEqual(on(engines.get('tf32')!, products), on(fastest(), products));
  });

  it('rounds a float32 factor where the other one and the result are bfloat16, but for float32 products', () => {
    // What bfloat16 rounds away is all that is left of the sums.
    const numbers = Float32Array.from({ length: 64 * 64 }, (_, i) => 1 + (i % 128 < 64 ? 2 ** -9 : 0));
    const signs = Float32Array.from({ length: 64 * 64 }, (_, i) => 1 - 2 * (i % 2));
    const results: number[] = [];
    for (const precision of ['float32', 'tf32'] as const) {
      useEngine(engines.get(precision)!);
      const w = new Variable(ops.tensor(numbers, [64, 64]), 'w');
      const program = jit((x: Tensor) => ops.matMul(x, ops.cast(w, 'bfloat16')));
      const y = program(ops.tensor(signs, [64, 64], 'bfloat16'));
      assert.equal(y.dtype, 'bfloat16');
      results.push(y.dataSync()[0]!);
    }
    assert.deepEqual(results, [32 * 2 ** -9, 0]);
  });

  type Sizes = readonly [x: number[], filter: number[], options?: ops.ConvOptions];
  const convolutions: readonly Sizes[] = [
    [[2, 9, 8, 72], [3, 3, 72, 136], { padding: 'same' }],
    [[3, 17, 16, 24], [3, 2, 24, 40], { strides: 2, padding: 'same' }],
    [[2, 9, 10, 48], [3, 3, 24, 160], { groups: 2 }],
    [[2, 9, 10, 34], [3, 3, 17, 80], { groups: 2 }],
    [[4, 12, 12, 3], [3, 3, 3, 16], { padding: 'same' }],
    [[1, 15, 14, 8], [4, 3, 8, 8], { dilationRate: [3, 2] }],
    [[2, 24, 24, 6], [3, 3, 3, 10], { groups: 2, padding: 'same' }],
  ];
  for (const [x, filter, options] of convolutions) {
    it(`convolves [${x}] [${filter}] as the CPU does`, () => {
      const random = generator(`convolution ${x}`);
      const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
      const [a, b] = [whole(random, size(x), 2), whole(random, size(filter), 2)];
      const results = () =>
        scope(() => {
          const body = (image: Tensor, kernel: Tensor) => {
            const y = ops.conv2d(image, kernel, options);
            // Gradients of whole numbers are whole numbers.
            const weights = ops.sub(ops.mod(ops.reshape(ops.range(0, y.size, 1, 'float32'), y.shape), 5), 2);
            return ops.sum(ops.mul(ops.cast(y, 'float32'), weights));
          };
          const args = [ops.tensor(a, x, 'bfloat16'), ops.tensor(b, filter, 'bfloat16')] as const;
          const { gradients } = valueAndGrad(body)(...args);
          return [ops.conv2d(...args, options), ...gradients].map((each) => each.dataSync());
        });
      const expected = on(fastest(), results);
      for (const engine of engines.values()) assert.deepEqual(on(engine, results), expected);
    });
  }

  /** Losses and weights of a network with every kind of kernel that layers take, trained on this engine. */
  async function train(engine: Engine) {
    useEngine(engine);
    setSeed(7);
    setDtypePolicy('mixed_bfloat16');
    try {
      const image = input({ shape: [8, 8, 2] });
      let h = layers.conv2d({ filters: 8, kernelSize: 3, activation: 'relu', padding: 'same' }).apply(image);
      h = layers.batchNormalization().apply(h);
      h = layers.maxPooling2d({ poolSize: 2 }).apply(h);
      h = layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' }).apply(h);
      h = layers.reshape({ targetShape: [16, 8] }).apply(h);
      h = layers.lstm({ units: 8, returnSequences: true }).apply(h);
      h = layers.layerNormalization().apply(h);
      h = layers.add().apply([h, layers.multiHeadAttention({ numHeads: 2, keyDim: 4 }).apply([h, h])]);
      h = layers.globalAveragePooling1d().apply(h);
      h = layers.dense({ units: 12, activation: 'gelu' }).apply(h);
      const out = layers.dense({ units: 4, activation: 'softmax', dtype: 'float32' }).apply(h);
      const net = model({ inputs: image, outputs: out });
      net.compile({
        optimizer: optimizers.adam({ learningRate: 0.02 }),
        loss: 'sparseCategoricalCrossentropy',
      });
      const random = generator('pictures');
      const labels = Int32Array.from({ length: 32 }, () => random.int(4));
      const numbers = Float32Array.from({ length: 32 * 128 }, (_, i) => {
        const bright = (labels[Math.floor(i / 128)]! & 1) === (i & 1) ? 0.8 : 0;
        return bright + random.uniform() * ((labels[Math.floor(i / 128)]! & 2) === 0 ? 0.4 : 1.2);
      });
      const x = tensor(numbers, [32, 8, 8, 2]);
      const { history } = await net.fit(x, tensor(labels), {
        epochs: 4,
        batchSize: 16,
        shuffle: false,
        verbose: 0,
      });
      return { losses: history.loss!, weights: net.getWeights().flatMap((weight) => [...weight]) };
    } finally {
      setDtypePolicy('float32');
    }
  }

  it('trains under mixed_bfloat16 as the CPU does', async () => {
    const cpu = await train(fastest());
    assert.ok(cpu.losses.at(-1)! < 0.8 * cpu.losses[0]!, `${cpu.losses}`);
    for (const engine of engines.values()) {
      const gpu = await train(engine);
      // One place of bfloat16 here and there, which steps of Adam carry on.
      close(gpu.losses, cpu.losses, { rtol: 0.02, atol: 0.02 }, 'losses');
      const off = Math.hypot(...gpu.weights.map((w, i) => w - cpu.weights[i]!));
      assert.ok(off < 0.1 * Math.hypot(...cpu.weights), `weights are off by ${off}`);
    }
  });
});
