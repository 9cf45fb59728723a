// Training as a whole: backends and thread counts agree, seeds are obeyed, the event loop stays free, memory stays flat.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateDigits } from '../src/data/digits.ts';
import { engine, useEngine } from '../src/engine.ts';
import {
  layers,
  type Model,
  memory,
  type Samples,
  samples,
  sequential,
  setBackend,
  setSeed,
  tensor,
} from '../src/index.ts';

const count = 6400;
const digits = generateDigits({ count, seed: 7 });

interface Data {
  x: Samples;
  y: Samples;
}

function load(): Data {
  const images = tensor(digits.images, [count, 28, 28]).keep();
  return { x: samples(images, { scale: 1 / 255 }), y: samples(tensor(digits.labels).keep(), { oneHot: 10 }) };
}

function mlp(): Model {
  const model = sequential({
    layers: [
      layers.flatten({ inputShape: [28, 28] }),
      layers.dense({ units: 128, activation: 'relu' }),
      layers.dense({ units: 10, activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

/** Losses of the first 200 steps, and the weights after them. */
async function curve(backend: 'native' | 'wasm', threads: number, seed: number) {
  const former = engine();
  const mine = await setBackend(backend, { threads });
  try {
    setSeed(seed);
    const { x, y } = load();
    const model = mlp();
    const losses: number[] = [];
    const onBatchEnd = (_step: number, logs: Record<string, number>) => void losses.push(logs.loss!);
    await model.fit(x, y, { epochs: 1, batchSize: 32, verbose: 0, callbacks: [{ onBatchEnd }] });
    return { losses, weights: model.getWeights() };
  } finally {
    mine.close();
    useEngine(former);
  }
}

function assertClose(a: number[], b: number[], relative: number): void {
  assert.equal(a.length, b.length);
  a.forEach((value, i) => {
    const off = Math.abs(value - b[i]!) / Math.abs(b[i]!);
    assert.ok(
      off <= relative,
      `step ${i}: ${value} and ${b[i]} differ by ${off}, expected at most ${relative}`,
    );
  });
}

describe('training', () => {
  it('gives the same losses natively and in WebAssembly over 200 steps, to 1e-3', async () => {
    const native = await curve('native', 1, 3);
    const wasm = await curve('wasm', 1, 3);
    assert.equal(native.losses.length, 200);
    assertClose(native.losses, wasm.losses, 1e-3);
  });

  for (const backend of ['native', 'wasm'] as const) {
    it(`gives the same losses with one and two threads, to 1e-3 (${backend})`, async () => {
      const one = await curve(backend, 1, 4);
      const two = await curve(backend, 2, 4);
      assertClose(one.losses, two.losses, 1e-3);
    });

    it(`is equal to the bit for one seed, and differs for another (${backend})`, async () => {
      const first = await curve(backend, 2, 5);
      const again = await curve(backend, 2, 5);
      const other = await curve(backend, 2, 6);
      assert.deepEqual(again.losses, first.losses);
      assert.deepEqual(again.weights, first.weights);
      assert.notDeepEqual(other.losses, first.losses);
    });
  }

  it('learns 5,120 generated digits to 0.85 in five epochs', async () => {
    setSeed(1);
    const { x, y } = load();
    const model = mlp();
    const history = await model.fit(x, y, { epochs: 5, batchSize: 32, validationSplit: 0.2, verbose: 0 });
    const reached = history.history.val_accuracy!.at(-1)!;
    assert.ok(reached > 0.85, `validation accuracy ${reached}`);
  });
});

/** How a 5 ms timer fared while something ran. */
interface Firings {
  /** Milliseconds beyond its time, for every firing. */
  late: number[];
  seconds: number;
}

async function timerDuring(body: () => Promise<unknown>): Promise<Firings> {
  const late: number[] = [];
  const began = performance.now();
  let last = began;
  const timer = setInterval(() => {
    const now = performance.now();
    late.push(now - last - 5);
    last = now;
  }, 5);
  await body();
  clearInterval(timer);
  return { late, seconds: (performance.now() - began) / 1000 };
}

const rate = ({ late, seconds }: Firings) => late.length / seconds;
const lateShare = ({ late }: Firings) => late.filter((v) => v > 10).length / late.length;
const show = (firings: Firings) =>
  `${rate(firings).toFixed(0)} firings a second, ${(100 * lateShare(firings)).toFixed(1)} % over 10 ms late`;

// A machine that does other things delays timers too, of idle processes as well, so that is what counts, and noise is given some
// tries; a library that keeps the loop fails them all.
const tries = 8;

describe('the event loop', () => {
  for (const backend of ['native', 'wasm'] as const) {
    it(`stays free during fit, evaluate and predict (${backend}, one thread)`, async () => {
      const former = engine();
      const mine = await setBackend(backend, { threads: 1 });
      try {
        const { x, y } = load();
        const model = mlp();
        await model.fit(x, y, { epochs: 1, verbose: 0 });
        const free = async () => {
          const idle = await timerDuring(() => sleep(1000));
          const busy = await timerDuring(async () => {
            const began = performance.now();
            while (performance.now() - began < 2000) {
              await model.fit(x, y, { epochs: 2, verbose: 0 });
              await model.evaluate(x, y);
              (await model.predict(x)).dispose();
            }
          });
          console.log(`      idle: ${show(idle)}; busy: ${show(busy)}`);
          return lateShare(busy) <= 0.01 + lateShare(idle) && rate(busy) >= 0.9 * rate(idle);
        };
        let met = false;
        for (let i = 0; i < tries && !met; i++) met = await free();
        assert.ok(
          met,
          'expected at most 1 % of firings more over 10 ms late than in an idle process, and 0.9 of its firings',
        );
      } finally {
        mine.close();
        useEngine(former);
      }
    });
  }
});

const collect = (globalThis as { gc?: () => void }).gc;

/** Resident memory in MiB after collecting garbage. */
async function resident(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collect?.();
    await sleep(10);
  }
  return process.memoryUsage.rss() / 2 ** 20;
}

/** Threads of this process; unknown, which is none, where there is no /proc. */
const threads = () => (existsSync('/proc/self/task') ? readdirSync('/proc/self/task').length : 0);

describe('memory', () => {
  it('stays flat over 10,000 further steps and 1,000 fits of one step', async function () {
    this.timeout(300_000);
    setSeed(1);
    const { x, y } = load();
    const model = mlp();
    const small = sequential({ layers: [layers.dense({ units: 4, inputShape: [8] })] });
    small.compile({ optimizer: 'adam', loss: 'mse' });
    const sx = tensor(new Float32Array(32 * 8).fill(0.5), [32, 8]).keep();
    const sy = tensor(new Float32Array(32 * 4).fill(0.25), [32, 4]).keep();
    await model.fit(x, y, { epochs: 5, verbose: 0 });
    for (let i = 0; i < 100; i++) await small.fit(sx, sy, { verbose: 0 });
    const before = await resident();
    const held = memory();
    await model.fit(x, y, { epochs: 50, verbose: 0 });
    const afterSteps = await resident();
    for (let i = 0; i < 1000; i++) await small.fit(sx, sy, { verbose: 0 });
    const afterFits = await resident();
    console.log(
      `      resident MiB: ${before.toFixed(1)} before, ${afterSteps.toFixed(1)} after 10,000 steps, ` +
        `${afterFits.toFixed(1)} after 1,000 fits`,
    );
    assert.ok(afterSteps - before < 8, `10,000 steps added ${afterSteps - before} MiB`);
    assert.ok(afterFits - before < 16, `1,000 fits added ${afterFits - before} MiB`);
    assert.equal(memory().bufferBytes, held.bufferBytes);
    assert.equal(memory().programs, held.programs);
    // Still in use, so that none of it was collected before it was counted.
    for (const owner of [x, y, sx, sy, model, small]) owner.dispose();
  });

  for (const backend of ['native', 'wasm'] as const) {
    it(`stays flat over 100 times opening and closing the backend (${backend})`, async function () {
      this.timeout(600_000);
      const former = engine();
      const cycle = async () => {
        const mine = await setBackend(backend, { threads: 2 });
        const model = sequential({ layers: [layers.dense({ units: 4, inputShape: [8] })] });
        model.compile({ optimizer: 'sgd', loss: 'mse' });
        const x = tensor(new Float32Array(64), [8, 8]);
        const y = tensor(new Float32Array(32), [8, 4]);
        await model.fit(x, y, { verbose: 0 });
        mine.close();
      };
      try {
        for (let i = 0; i < 20; i++) await cycle();
        const usual = threads();
        let added = Number.POSITIVE_INFINITY;
        // A leak shows in every round. The first may also take what the allocator keeps for threads, more of which overlap where the machine is busy.
        for (let round = 0; round < 3 && added >= 24; round++) {
          const before = await resident();
          for (let i = 0; i < 100; i++) await cycle();
          // Workers end when they get their turn, and hold memory until then.
          for (let i = 0; i < 500 && threads() > usual; i++) await sleep(10);
          const after = await resident();
          console.log(
            `      resident MiB: ${before.toFixed(1)} before, ${after.toFixed(1)} after 100 cycles`,
          );
          added = after - before;
        }
        assert.ok(added < 24, `100 cycles added ${added} MiB, once more than those before them`);
      } finally {
        useEngine(former);
      }
    });
  }
});
