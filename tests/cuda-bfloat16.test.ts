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
import { fromHalves, toHalves } from '../src/dtype.ts';
import { type Engine, useEngine } from '../src/engine.ts';
import * as ops from '../src/ops/index.ts';
import { scope } from '../src/tensor.ts';
import { fastest, on } from './support/backends.ts';
import type { Case } from './support/case.ts';
import { casesByOp, outputsOf } from './support/cases.ts';
import { openEmulated } from './support/cuda.ts';
import { close, generator, type Numbers, numbersOf, place } from './support/data.ts';

interface Result {
  readonly dtype: string;
  readonly numbers: Numbers;
}

const rounded = (values: Float32Array) => fromHalves(toHalves(values));

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
