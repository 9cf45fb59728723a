// Copies of the CUDA backend beside its kernels, and runs that keep their queue filled; over the emulated driver, which does things as late, or copies as early, as the order permits.
import assert from 'node:assert/strict';
import { data, layers, sequential, setSeed, tensor } from '../src/api.ts';
import { type Bound, type Engine, Executable, Storage, useEngine } from '../src/engine.ts';
import { add, mul } from '../src/ops/index.ts';
import { Graph } from '../src/program/graph.ts';
import { Philox } from '../src/random.ts';
import { Tensor } from '../src/tensor.ts';
import { trace, valueOf } from '../src/trace.ts';
import { fastest } from './support/backends.ts';
import { openEmulated, openTested, withEnvironment } from './support/cuda.ts';
import { close } from './support/data.ts';
import { says } from './support/errors.ts';

// 40 KiB: enough to be copied beside the kernels.
const size = 10 * 1024;
const filled = (value: number, length = size) => new Float32Array(length).fill(value);

function held(engine: Engine, length = size): Storage {
  const storage = new Storage(engine, 4 * length);
  storage.retain();
  return storage;
}

/** The program `out = (a + b) / 2`. */
function meanProgram(engine: Engine): Executable {
  const graph = new Graph();
  const [a, b] = [0, 1].map(
    () =>
      new Tensor([size], 'float32', {
        kind: 'traced',
        graph,
        value: graph.input([size], 'float32'),
      }) as Tensor,
  );
  graph.outputs.push(
    valueOf(
      graph,
      trace(graph, () => mul(add(a!, b!), 0.5)),
      'mean',
    ),
  );
  return new Executable(engine, graph);
}

/** A program that adds 1 to an int32. */
function countProgram(engine: Engine, counter: Storage): Executable {
  const graph = new Graph();
  const count = graph.external({ storage: counter, byteOffset: 0 }, [1], 'int32');
  graph.addEffect({
    kernel: 'map',
    outputs: [count],
    inputs: [count],
    attributes: [],
    micro: [
      { op: 'constantInt', args: [1] },
      { op: 'addInt', args: [0, 1] },
    ],
    where: 'count',
  });
  return new Executable(engine, graph);
}

const bound = (storage: Storage): Bound => ({ storage, byteOffset: 0 });

/** What the buffer holds, which must be one number everywhere. */
function numberIn({ engine, handle }: Storage): number {
  const values = new Float32Array(size);
  engine.backend.read(handle, 0, values);
  assert.ok(
    values.every((value) => value === values[0]),
    'a part of the buffer is older than the rest',
  );
  return values[0]!;
}

describe('copies beside kernels, emulated', function () {
  this.timeout(120_000);
  let engine: Engine | undefined;
  const use = async (variables: Record<string, string> = {}) => {
    // What a GPU cannot be told needs the emulated one.
    engine = await (Object.keys(variables).length === 0 ? openTested() : openEmulated(variables));
    useEngine(engine);
    return engine;
  };
  afterEach(() => {
    engine?.close();
    engine = undefined;
    useEngine(fastest());
  });

  for (const when of ['late', 'early']) {
    it(`keep the order of every buffer, where they come ${when}`, async () => {
      await withEnvironment({ NABLA_EMULATED_COPIES: when }, async () => {
        const home = await use();
        const { backend } = home;
        const random = new Philox(7);
        const mean = meanProgram(home);
        const buffers = Array.from({ length: 5 }, () => held(home));
        const expected = buffers.map(() => 0);
        let under: { done: Promise<unknown>; used: Set<number> } | undefined;
        const end = async () => {
          await under?.done;
          under = undefined;
        };
        for (let i = 0; i < 600; i++) {
          const [a, b, out] = [random.int(5), random.int(5), random.int(5)] as const;
          const free = under === undefined || !under.used.has(out);
          switch (random.int(6)) {
            case 0:
            case 1:
              if (!free) await end();
              expected[out] = random.int(1000);
              backend.write(buffers[out]!.handle, 0, filled(expected[out]!));
              break;
            case 2:
              if (under?.used.has(a) || under?.used.has(b) || !free) await end();
              mean.run([bound(buffers[a]!), bound(buffers[b]!)], [bound(buffers[out]!)]);
              expected[out] = Math.fround(Math.fround(expected[a]! + expected[b]!) * 0.5);
              break;
            case 3: {
              await end();
              // Several turns of the same step, which must not read what it wrote.
              if (out === a || out === b) break;
              const { done } = mean.start(
                [bound(buffers[a]!), bound(buffers[b]!)],
                [bound(buffers[out]!)],
                3,
              );
              under = { done, used: new Set([a, b, out]) };
              expected[out] = Math.fround(Math.fround(expected[a]! + expected[b]!) * 0.5);
              break;
            }
            case 4:
              if (!free) await end();
              assert.equal(numberIn(buffers[out]!), expected[out], `buffer ${out} after ${i} calls`);
              break;
            default:
              // Memory that is given back, and taken for another buffer.
              if (!free) await end();
              buffers[out]!.release();
              buffers[out] = held(home);
              expected[out] = 0;
          }
        }
        await end();
        buffers.forEach((buffer, i) => {
          assert.equal(numberIn(buffer), expected[i]);
        });
      });
    });
  }

  it('wait for no kernel that has nothing to do with them', async () => {
    // The second launch costs the device as soon as something waits for it.
    const losing = { NABLA_EMULATED_LOSE_AT: '2' };
    await withEnvironment(losing, async () => {
      const home = await use(losing);
      const mean = meanProgram(home);
      const [a, b, out, next] = [held(home), held(home), held(home), held(home, 2 << 20)] as const;
      // So that all of them are at rest.
      mean.run([bound(a), bound(b)], [bound(out)]);
      numberIn(out);
      mean.run([bound(a), bound(b)], [bound(out)]);
      // More than the pinned pieces hold: the first must have travelled before the last goes.
      home.backend.write(next.handle, 0, filled(3, 2 << 20));
      const there = filled(0, 1 << 16);
      home.backend.read(next.handle, 0, there);
      assert.deepEqual(there, filled(3, 1 << 16));
      assert.throws(() => numberIn(out), says('cuda.read', 'the GPU was lost'));
    });
  });

  it('are of no harm when the buffer is freed at once', async () => {
    const home = await use();
    const mean = meanProgram(home);
    const [a, b, out, next] = [held(home), held(home), held(home), held(home)] as const;
    const large = held(home, 2 << 20);
    mean.run([bound(a), bound(b)], [bound(out)]);
    numberIn(out);
    for (let i = 0; i < 3; i++) {
      mean.run([bound(a), bound(b)], [bound(out)]);
      home.backend.write(a.handle, 0, filled(i));
    }
    mean.run([bound(a), bound(b)], [bound(out)]);
    home.backend.write(next.handle, 0, filled(5));
    next.release();
    // The stream that frees must have waited for the copy, or it goes where no memory is: that costs the device.
    assert.equal(numberIn(out), 1);
    // Drives all copies on.
    mean.run([bound(a), bound(b)], [bound(out)]);
    home.backend.write(large.handle, 0, filled(1, 2 << 20));
    assert.equal(numberIn(out), 1);
  });

  it('run while steps do, and steps are counted right where a run is stopped', async () => {
    const home = await use();
    const counter = held(home, 1);
    const count = countProgram(home, counter);
    const next = held(home);
    const run = count.start([], [], 1e6);
    for (let i = 0; i < 20; i++) {
      home.backend.write(next.handle, 0, filled(i));
      await new Promise(setImmediate);
    }
    run.stop();
    const { steps } = await run.done;
    const counted = new Int32Array(1);
    home.backend.read(counter.handle, 0, counted);
    assert.equal(counted[0], steps);
    assert.ok(steps < 1e6, 'the run was not stopped');
    assert.equal(numberIn(next), 19);
  });

  it('take turns where two runs are under way, and each counts its own steps', async () => {
    const home = await use();
    const runs = [held(home, 1), held(home, 1)].map((counter, i) => ({
      counter,
      run: countProgram(home, counter).start([], [], 40 + i),
    }));
    const ended = await Promise.all(runs.map(({ run }) => run.done));
    runs.forEach(({ counter }, i) => {
      const counted = new Int32Array(1);
      home.backend.read(counter.handle, 0, counted);
      assert.deepEqual([ended[i]!.steps, counted[0]], [40 + i, 40 + i]);
    });
  });

  it('bring the batches of a data set while the steps before them run', async () => {
    const features = 300;
    const random = new Philox(3);
    const numbers = (length: number) => Float32Array.from({ length }, () => random.uniform() - 0.5);
    const [x, y] = [numbers(320 * features), numbers(320)];
    const train = async () => {
      setSeed(5);
      const model = sequential({ layers: [layers.dense({ units: 1, inputShape: [features] })] });
      model.compile({ optimizer: 'sgd', loss: 'mse' });
      const samples = data.fromTensorSlices([tensor(x, [320, features]), tensor(y, [320, 1])]);
      // A smaller batch in the middle, which needs a table of its own, and one at the end.
      const batches = samples.take(100).batch(16).concatenate(samples.skip(100).batch(16));
      const { history } = await model.fit(batches, { epochs: 2, verbose: 0 });
      return { loss: history.loss!, weights: [...model.getWeights()[0]!] };
    };
    useEngine(fastest());
    const expected = await train();
    const results: Awaited<ReturnType<typeof train>>[] = [];
    for (const when of ['late', 'early']) {
      await withEnvironment({ NABLA_EMULATED_COPIES: when }, async () => {
        await use();
        results.push(await train());
        engine!.close();
      });
    }
    assert.deepEqual(results[1], results[0]);
    close(results[0]!.weights, expected.weights, { rtol: 1e-4, atol: 1e-5 }, 'weights');
    close(results[0]!.loss, expected.loss, { rtol: 1e-4, atol: 1e-5 }, 'loss');
  });

  it('lose nothing when the device is closed with both under way', async () => {
    const home = await use();
    const mean = meanProgram(home);
    const [a, b, out, next] = [held(home), held(home), held(home), held(home)] as const;
    const run = mean.start([bound(a), bound(b)], [bound(out)], 50);
    home.backend.write(next.handle, 0, filled(1));
    home.close();
    assert.ok((await run.done).steps <= 50);
  });
});
