// The CUDA backend over the emulated driver (native/cuda/emulation): every op against the reference, whole models against the CPU.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { layers, optimizers, samples, sequential, setSeed, type Tensor, tensor } from '../src/api.ts';
import { valueAndGrad } from '../src/autodiff.ts';
import { generateDigits } from '../src/data/digits.ts';
import { type Engine, Executable, engine as engineInUse, useEngine } from '../src/engine.ts';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import { Graph, type MicroOp, Value } from '../src/program/graph.ts';
import { kernels } from '../src/program/kernels.ts';
import { scope } from '../src/tensor.ts';
import { fastest, on, reference } from './support/backends.ts';
import type { Case } from './support/case.ts';
import { casesByOp, outputsOf } from './support/cases.ts';
import { openTested } from './support/cuda.ts';
import { close, generator, type Numbers, numbersOf, place } from './support/data.ts';
import { clusters, compiled, weightsOf } from './support/models.ts';
import { allNames, recordingLoads } from './support/recording.ts';

const sources = fileURLToPath(new URL('../native/cuda', import.meta.url));

interface Result {
  readonly shape: string;
  readonly numbers: Numbers;
}

function evaluate(test: Case, numbers: readonly Numbers[]): Result[] {
  const results: Result[] = [];
  scope(() => {
    ops.setSeed(3);
    for (const out of outputsOf(
      test,
      test.args.map((spec, i) => place(spec, numbers[i]!)),
    )) {
      results.push({ shape: `${out.dtype}[${out.shape}]`, numbers: out.dataSync() });
    }
  });
  return results;
}

/** Gradients of the weighted sum of all outputs. */
function gradients(test: Case, numbers: readonly Numbers[]): Numbers[] {
  const results: Numbers[] = [];
  scope(() => {
    ops.setSeed(3);
    const placed = test.args.map((spec, i) => place(spec, numbers[i]!));
    const isFree = (i: number) => !test.args[i]!.fixed;
    const body = (...xs: Tensor[]) => {
      let next = 0;
      const outputs = outputsOf(
        test,
        placed.map((fixed, i) => (isFree(i) ? xs[next++]! : fixed)),
      );
      const parts = outputs.map((out, o) => {
        const random = generator(`weights ${test.op} ${test.label} ${o}`);
        const weights = Float32Array.from({ length: out.size }, () => 0.5 + random.uniform());
        return ops.sum(ops.mul(out, tensor(weights, out.shape)));
      });
      return parts.reduce((a, b) => ops.add(a, b));
    };
    for (const gradient of valueAndGrad(body)(...placed.filter((_, i) => isFree(i))).gradients) {
      results.push(gradient.dataSync());
    }
  });
  return results;
}

/** All 32 bits that the generator gives, which no op shows, and numbers copied by a map of nothing else. */
function rawDraws(): number[] {
  const graph = new Graph();
  const state = graph.input([4], 'int32');
  const map = (dtype: 'int32' | 'float32', inputs: Value[], micro: MicroOp[]) => {
    const out = new Value([1000], dtype, { kind: 'node' });
    graph.add({ kernel: 'map', outputs: [out], inputs, attributes: [], micro, where: 'test' });
    graph.outputs.push(out);
    return out;
  };
  map('int32', [state], [{ op: 'randomBits', args: [0, 5] }]);
  const uniform = map('float32', [state], [{ op: 'random', args: [0, 6] }]);
  map('float32', [uniform], [{ op: 'identity', args: [0] }]);
  const program = new Executable(engineInUse(), graph);
  const key = ops.tensor([11, 22, 33, 0], [4], 'int32');
  const results = (['int32', 'float32', 'float32'] as const).map((dtype) => ops.zeros([1000], dtype));
  program.run(
    [key.memory('test')],
    results.map((result) => result.memory('test')),
  );
  return results.flatMap((result) => [...result.dataSync()]);
}

describe('the CUDA backend, emulated', function () {
  this.timeout(300_000);
  let engine: Engine;
  const seen = new Set<string>();
  before(async () => {
    engine = await openTested();
    recordingLoads(engine.backend, seen);
  });
  after(() => {
    engine?.close();
    useEngine(fastest());
  });

  const compareAll = (tests: readonly Case[], compare: (test: Case, numbers: Numbers[]) => void) => {
    const failures: string[] = [];
    for (const test of tests) {
      const random = generator(`${test.op} ${test.label}`);
      const numbers = test.args.map((spec) => numbersOf(spec, random));
      try {
        compare(test, numbers);
      } catch (error) {
        failures.push(`${test.label}: ${error instanceof Error ? error.message : error}`);
      }
    }
    const shown = failures.slice(0, 12).join('\n');
    assert.equal(failures.length, 0, `${failures.length} of ${tests.length} cases differ\n${shown}`);
  };

  for (const [op, tests] of casesByOp) {
    it(`computes ${op}`, () => {
      compareAll(tests, (test, numbers) => {
        const expected = on(reference(), () => evaluate(test, numbers));
        const actual = on(engine, () => evaluate(test, numbers));
        assert.deepEqual(
          actual.map(({ shape }) => shape),
          expected.map(({ shape }) => shape),
        );
        actual.forEach((result, i) => {
          close(result.numbers, expected[i]!.numbers, test, `output ${i}`);
        });
      });
    });

    const smooth = tests.filter((test) => test.gradient);
    if (smooth.length === 0) continue;
    it(`differentiates ${op}`, () => {
      compareAll(smooth, (test, numbers) => {
        const expected = on(reference(), () => gradients(test, numbers));
        const actual = on(engine, () => gradients(test, numbers));
        actual.forEach((result, i) => {
          close(result, expected[i]!, { rtol: 1e-4, atol: 1e-4 }, `gradient ${i}`);
        });
      });
    });
  }

  it('multiplies on tensor cores: exactly where TF32 holds the numbers, else to its 10 bits', async () => {
    const tensors = await openTested('tf32');
    assert.match(tensors.backend.info.device, /TF32 products/);
    const random = generator('tf32');
    // Small and large tiles with edges, a sum in parts, nothing to add up.
    for (const [m, n, k] of [
      [1, 1, 1],
      [70, 35, 19],
      [130, 260, 33],
      [32, 16, 784],
      [5, 3, 0],
    ] as const) {
      for (const [transA, transB] of [
        [false, false],
        [true, false],
        [false, true],
        [true, true],
      ] as const) {
        const whole = (rows: number, columns: number) =>
          Float32Array.from({ length: rows * columns }, () => random.int(65) - 32);
        const shapeA: [number, number] = transA ? [k, m] : [m, k];
        const shapeB: [number, number] = transB ? [n, k] : [k, n];
        const [a, b, bias] = [whole(m, k), whole(k, n), whole(1, n)];
        const product = (scale: number) => () =>
          scope(() => {
            const x = ops.mul(tensor(a, shapeA), scale);
            const y = ops.add(
              ops.matMul(x, tensor(b, shapeB), { transposeA: transA, transposeB: transB }),
              tensor(bias),
            );
            return ops.relu(y).dataSync();
          });
        const what = `${m} x ${n} x ${k}, ${transA} ${transB}`;
        close(on(tensors, product(1)), on(reference(), product(1)), { rtol: 0, atol: 0 }, what);
        const most = 32 * 32 * Math.sqrt(k) * 2 ** -10;
        close(
          on(tensors, product(Math.PI / 3)),
          on(reference(), product(Math.PI / 3)),
          { rtol: 0, atol: most },
          what,
        );
      }
    }
    tensors.close();
    useEngine(engine);
  });

  it('trains the model of the README as the CPU does', async () => {
    const count = 256;
    const digits = generateDigits({ count, seed: 5 });
    const runs = [];
    for (const used of [fastest(), engine]) {
      useEngine(used);
      setSeed(11);
      const x = samples(tensor(digits.images, [count, 28, 28]), { scale: 1 / 255 });
      const y = samples(tensor(digits.labels), { oneHot: 10 });
      const model = sequential({
        layers: [
          layers.flatten({ inputShape: [28, 28] }),
          layers.dense({ units: 32, activation: 'relu' }),
          layers.dropout({ rate: 0.2 }),
          layers.dense({ units: 10, activation: 'softmax' }),
        ],
      });
      model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
      const { history } = await model.fit(x, y, { epochs: 3, batchSize: 32, verbose: 0 });
      runs.push({ history, weights: weightsOf(model), output: [...(await model.predict(x)).dataSync()] });
    }
    const [cpu, gpu] = runs as [(typeof runs)[0], (typeof runs)[0]];
    // The same random numbers, so that only rounding tells them apart.
    const near = (a: readonly number[], b: readonly number[], most: number) => {
      assert.equal(a.length, b.length);
      a.forEach((value, i) => {
        assert.ok(Math.abs(value - b[i]!) <= most, `element ${i}: got ${value}, expected ${b[i]}`);
      });
    };
    near(gpu.history.loss!, cpu.history.loss!, 1e-4);
    near(gpu.weights, cpu.weights, 1e-3);
    near(gpu.output, cpu.output, 1e-3);
    assert.ok(gpu.history.loss!.at(-1)! < 0.95 * gpu.history.loss![0]!, `${gpu.history.loss}`);
  });

  it('steps every so many batches where gradients accumulate', async () => {
    const weights = [];
    for (const used of [fastest(), engine]) {
      useEngine(used);
      setSeed(2);
      const { x, y } = clusters(64);
      const model = compiled({ optimizer: optimizers.adam({ gradientAccumulationSteps: 3 }) });
      await model.fit(x, y, { epochs: 2, batchSize: 8, verbose: 0 });
      weights.push(weightsOf(model));
    }
    close(weights[1]!, weights[0]!, { rtol: 1e-4, atol: 1e-5 }, 'weights');
  });

  it('repeats to the bit, eagerly and as a graph', async () => {
    useEngine(engine);
    const weights = [];
    for (let run = 0; run < 2; run++) {
      setSeed(4);
      const { x, y } = clusters(96);
      const model = compiled({ dropout: 0.3 });
      await model.fit(x, y, { epochs: 4, batchSize: 16, verbose: 0 });
      weights.push(weightsOf(model));
    }
    assert.deepEqual(weights[1], weights[0]);
    const square = jit((x: Tensor) => ops.sum(ops.mul(ops.add(x, 1), x)));
    const x = tensor([1, 2, 3]);
    const results = Array.from({ length: 4 }, () => square(x).dataSync()[0]);
    assert.deepEqual(results, [20, 20, 20, 20]);
  });

  it("draws the CPU's random numbers, to the bit", () => {
    const drawn = () => {
      setSeed(8);
      return scope(() => [
        ...[ops.randomUniform([3, 333]), ops.randomInt([1001], -9, 1e6), ops.randomBernoulli([77], 0.3)].map(
          (draw) => [...draw.dataSync()],
        ),
        [...jit(() => ops.add(ops.randomUniform([5, 50]), ops.randomUniform([50])))().dataSync()],
        rawDraws(),
      ]);
    };
    assert.deepEqual(on(engine, drawn), on(fastest(), drawn));
    // Of numbers that are made from them by functions, all but the last bits.
    const normal = () => {
      setSeed(8);
      return scope(() => ops.randomNormal([1000]).dataSync());
    };
    close(on(engine, normal), on(fastest(), normal), { rtol: 1e-5, atol: 1e-6 }, 'normal numbers');
  });

  it('takes arrays in pieces, and gives them back whole', () => {
    useEngine(engine);
    // More than twice what a piece of pinned memory holds.
    const numbers = Float32Array.from({ length: 700_001 }, (_, i) => i);
    assert.deepEqual(tensor(numbers).dataSync(), numbers);
    assert.equal(ops.sum(tensor(new Float32Array(0))).dataSync()[0], 0);
  });

  it('gives all memory back, with its guards whole', async () => {
    const fresh = await openTested();
    useEngine(fresh);
    scope(() => {
      for (let i = 1; i < 50; i++) ops.sum(ops.matMul(ops.zeros([i, 7]), ops.ones([7, i]))).dataSync();
    });
    const { buffers, bufferBytes } = fresh.blocks.memory();
    assert.deepEqual({ buffers, bufferBytes }, { buffers: 0, bufferBytes: 0 });
    // A kernel that wrote beside its memory would have cost the device by now.
    assert.equal(ops.add(tensor([1]), 1).dataSync()[0], 2);
    fresh.close();
    useEngine(engine);
  });

  it('has in its sources both halves of every kernel, and each half the other', () => {
    const read = (folder: string, ending: string) =>
      readdirSync(join(sources, folder))
        .filter((name) => name.endsWith(ending))
        .map((name) => ({
          name: name.slice(0, -ending.length),
          text: readFileSync(join(sources, folder, name), 'utf8'),
        }));
    const hosts = [...read('launch', '.cpp'), ...read('.', '.cpp')];
    const started = hosts.flatMap(({ text }) =>
      [...text.matchAll(/\{"(\w+)",\s+"(\w+)"\}/g)].map(([, family, name]) => `${family}.${name}`),
    );
    const written = read('kernels', '.cu').flatMap(({ name, text }) =>
      [...text.matchAll(/^\s*NABLA_ENTRY\((\w+(?:##)?)/gm)].map(([, entry]) => `${name}.${entry}`),
    );
    // Of kernels that a macro makes the sources have the beginning of the name, or none of it.
    const isStarted = (name: string) =>
      name.endsWith('##')
        ? started.some((other) => other.startsWith(name.slice(0, -2)))
        : started.includes(name);
    assert.deepEqual(
      written.filter((name) => !/[A-Z]$/.test(name) && !isStarted(name)),
      [],
    );
    const families = new Set(written.map((name) => name.split('.')[0]));
    assert.deepEqual(
      started.filter((name) => !families.has(name.split('.')[0])),
      [],
    );
    for (const name of Object.keys(kernels)) {
      const [first, ...rest] = name;
      const kernel = `${first!.toUpperCase()}${rest.join('')}`;
      for (const half of [`void Launch${kernel}(Launcher&`, `size_t Scratch${kernel}(const Instruction&`])
        assert.equal(hosts.filter(({ text }) => text.includes(half)).length, 1, half);
    }
  });

  it('has run every kernel of the list, and every micro-operation', function () {
    // Only after all of the tests before it.
    if (this.test!.parent!.tests.some((test) => test.state === undefined && test !== this.test)) this.skip();
    const missing = allNames.filter((name) => !seen.has(name));
    assert.deepEqual(missing, [], 'add cases to tests/support/cases*.ts');
  });
});
