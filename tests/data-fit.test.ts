// fit, evaluate and predict over data sets: the same bits as over tensors, bounded memory, clean ends, resuming in the middle of the data.
import assert from 'node:assert/strict';
import {
  type Callback,
  data,
  type FitOptions,
  type FitPosition,
  model as functional,
  input,
  layers,
  memory,
  modelFromBytes,
  optimizers,
  sequential,
  setSeed,
  tensor,
} from '../src/index.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { modelBackends, oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, inputs, weightsOf } from './support/models.ts';

const quiet = { verbose: 0 } as const;

/** Runs with the warnings of `console.warn` kept. */
async function warnings(body: () => Promise<unknown>): Promise<string[]> {
  const told: string[] = [];
  const { warn } = console;
  console.warn = (text: string) => void told.push(text);
  try {
    await body();
  } finally {
    console.warn = warn;
  }
  return told;
}

const slices = (count = 90, seed?: number) => {
  const { x, y } = clusters(count, seed);
  return data.fromTensorSlices([x, y]);
};

/** The weights after a fit from one start. */
async function trained(
  run: (model: ReturnType<typeof compiled>) => Promise<unknown>,
  options: Parameters<typeof compiled>[0] = {},
): Promise<number[]> {
  setSeed(8);
  const model = compiled(options);
  await run(model);
  const weights = weightsOf(model);
  model.dispose();
  return weights;
}

describeBackends(
  'fit over a data set',
  () => {
    it('gives the bits and the logs of a fit over tensors, with the same batches in the same order', async () => {
      const { x, y } = clusters(90);
      const options = { epochs: 3, shuffle: false, ...quiet };
      const logs: unknown[] = [];
      const keep = (fit: Promise<{ history: unknown; steps: number }>) =>
        fit.then(({ history, steps }) => logs.push([history, steps]));
      const held = clusters(30, 4);
      const setOf = (count: number, seed: number) => slices(count, seed).batch(8);
      const expected = await trained(
        (model) =>
          keep(
            model.fit(x, y, {
              ...options,
              batchSize: 8,
              validationData: [held.x, held.y],
              validationBatchSize: 8,
            }),
          ),
        { dropout: 0.3 },
      );
      const found = await trained(
        (model) => keep(model.fit(setOf(90, 1), { ...options, validationData: setOf(30, 4) })),
        { dropout: 0.3 },
      );
      assert.deepEqual(found, expected);
      assert.deepEqual(logs[1], logs[0]);
      // Not put into batches, slow, and of unknown length it is the same still.
      const lazily = slices()
        .map(async (pair) => pair, { concurrency: 3 })
        .filter(() => true)
        .prefetch(5);
      const slowly = await trained((model) => model.fit(lazily, { ...options, batchSize: 8 }), {
        dropout: 0.3,
      });
      assert.deepEqual(slowly, expected);
    });
  },
  modelBackends,
);

describeBackends(
  'data sets in fit, evaluate and predict',
  () => {
    it('shuffle from epoch to epoch as their seed says', async () => {
      const shuffled = () => slices().shuffle(90, { seed: 3 }).batch(8);
      const train = (set: data.Dataset<unknown>, epochs = 2) =>
        trained((model) => model.fit(set, { epochs, ...quiet }));
      const first = await train(shuffled());
      assert.deepEqual(await train(shuffled()), first);
      assert.notDeepEqual(await train(slices().batch(8)), first);
      // Two epochs of one pass each are the two passes of a repeat.
      assert.deepEqual(await train(shuffled().repeat(2), 1), first);
      const unseeded = () => slices().shuffle(90).batch(8);
      assert.deepEqual(await train(unseeded()), await train(unseeded()));
    });

    it('evaluate and predict as tensors do', async () => {
      const { x, y } = clusters(70);
      const model = compiled();
      await model.fit(x, y, quiet);
      const set = data.fromTensorSlices([x, y]);
      assert.deepEqual(await model.evaluate(set.batch(32)), await model.evaluate(x, y, { batchSize: 32 }));
      assert.deepEqual(
        await model.evaluate(set, { batchSize: 32 }),
        await model.evaluate(x, y, { batchSize: 32 }),
      );
      const part = await model.evaluate(set.batch(10).repeat(), { steps: 3 });
      const thirty = clusters(70);
      assert.deepEqual(
        part,
        await model.evaluate(thirty.x.slice([0, 0], [30, inputs]), thirty.y.slice([0], [30]), {
          batchSize: 10,
        }),
      );
      const expected = (await model.predict(x)).arraySync();
      for (const source of [set.batch(32), set, set.map(([row]) => row), data.fromTensorSlices(x).batch(7)]) {
        assert.deepEqual((await model.predict(source)).arraySync(), expected);
      }
      assert.deepEqual((await model.predict(set.batch(10).repeat(), { steps: 7 })).shape, [70, 3]);
      model.dispose();
    });

    it('weigh samples and classes as fit over tensors does', async () => {
      const { x, y, labels } = clusters(40);
      const sampleWeight = Float32Array.from({ length: 40 }, (_, i) => (i % 4) / 2);
      const classWeight = { 0: 2, 2: 0.25 };
      const options = { epochs: 2, shuffle: false, ...quiet };
      const expected = await trained((model) =>
        model.fit(x, y, { ...options, batchSize: 8, sampleWeight, classWeight }),
      );
      const set = data.fromTensorSlices([x, labels, sampleWeight]).batch(8);
      assert.deepEqual(await trained((model) => model.fit(set, { ...options, classWeight })), expected);
      const onlyClasses = await trained((model) =>
        model.fit(x, y, { ...options, batchSize: 8, classWeight }),
      );
      const plain = data.fromTensorSlices([x, y]).batch(8);
      assert.deepEqual(await trained((model) => model.fit(plain, { ...options, classWeight })), onlyClasses);
    });

    it('give several inputs and outputs by place or by name', async () => {
      const a = input({ shape: [2], name: 'a' });
      const b = input({ shape: [3], name: 'b' });
      const joined = layers.concatenate().apply([a, b]);
      const net = functional({
        inputs: { a, b },
        outputs: {
          p: layers.dense({ units: 1, name: 'p' }).apply(joined),
          q: layers.dense({ units: 2, name: 'q' }).apply(joined),
        },
      });
      net.compile({ optimizer: optimizers.sgd({ learningRate: 0.1 }), loss: 'mse' });
      const numbers = (columns: number) =>
        tensor(
          Float32Array.from({ length: 12 * columns }, (_, i) => Math.sin(i)),
          [12, columns],
        );
      const x = { a: numbers(2), b: numbers(3) };
      const y = { p: numbers(1), q: numbers(2) };
      const options = { shuffle: false, epochs: 2, ...quiet };
      (await net.predict(x)).p.dispose();
      const start = net.getWeights();
      const { history } = await net.fit(x, y, { ...options, batchSize: 4 });
      const expected = net.getWeights();
      const rows = (parts: Record<string, ReturnType<typeof numbers>>) => data.fromTensorSlices(parts);
      const named = data.zip([rows(x), rows(y)]).batch(4);
      const placed = named.map(([xs, ys]) => [
        [xs.a!, xs.b!],
        [ys.p!, ys.q!],
      ]);
      for (const set of [named, placed]) {
        net.compile({ optimizer: optimizers.sgd({ learningRate: 0.1 }), loss: 'mse' });
        net.setWeights(start);
        assert.deepEqual((await net.fit(set, options)).history, history);
        assert.deepEqual(net.getWeights(), expected);
      }
      const predictions = await net.predict(named);
      assert.deepEqual(predictions.q.arraySync(), (await net.predict(x)).q.arraySync());
      net.dispose();
    });

    it('go on from epoch to epoch with stepsPerEpoch, and say when they end', async () => {
      const seen: number[] = [];
      const count: Callback = { onBatchEnd: (step) => void seen.push(step) };
      const whole = await trained((model) => model.fit(slices().batch(10), { epochs: 1, ...quiet }));
      const parts = await trained((model) =>
        model.fit(slices().batch(10), { epochs: 3, stepsPerEpoch: 3, callbacks: [count], ...quiet }),
      );
      assert.deepEqual(parts, whole);
      assert.deepEqual(seen, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
      const endless = await trained((model) =>
        model.fit(slices().batch(10).repeat(), { epochs: 3, stepsPerEpoch: 3, ...quiet }),
      );
      assert.deepEqual(endless, whole);
      const model = compiled();
      const told = await warnings(async () => {
        const history = await model.fit(slices().batch(10), { epochs: 2, stepsPerEpoch: 7, ...quiet });
        assert.deepEqual([history.steps, history.epoch], [9, [0, 1]]);
      });
      assert.equal(told.length, 1);
      assert.match(told[0]!, /ended after 2 steps of epoch 2, expected 7/);
      model.dispose();
    });

    it('go on where a fit was stopped, to the bit', async () => {
      const cases: [string, () => data.Dataset<unknown>, FitOptions][] = [
        ['a pass an epoch', () => slices().shuffle(40, { seed: 1 }).batch(8), {}],
        ['drawn from setSeed', () => slices().shuffle(40).batch(8), {}],
        ['on and on', () => slices().shuffle(40, { seed: 1 }).batch(8).repeat(), { stepsPerEpoch: 5 }],
      ];
      for (const [name, make, more] of cases) {
        const options = { epochs: 4, ...more, ...quiet };
        const expected = await trained((model) => model.fit(make(), options), { dropout: 0.4 });
        const stopped = await trained(
          async (model) => {
            let resume: FitPosition | undefined;
            for (let stops = 0; ; stops++) {
              const controller = new AbortController();
              let steps = 0;
              const abort: Callback = {
                onBatchEnd() {
                  if (++steps === 3 + 4 * stops) controller.abort();
                },
              };
              const { signal } = controller;
              const history = await model.fit(make(), { ...options, callbacks: [abort], signal, resume });
              resume = history.stopped && JSON.parse(JSON.stringify(history.stopped));
              if (resume === undefined) break;
            }
          },
          { dropout: 0.4 },
        );
        assert.deepEqual(stopped, expected, name);
      }
    });

    it('go on in the middle of the data after saving and loading', async () => {
      const set = () => slices().shuffle(40, { seed: 1 }).batch(8);
      const options = { epochs: 3, ...quiet };
      const expected = await trained((model) => model.fit(set(), options), { dropout: 0.4 });
      setSeed(8);
      const model = compiled({ dropout: 0.4 });
      const controller = new AbortController();
      let steps = 0;
      const callbacks = [{ onBatchEnd: () => void (++steps === 17 && controller.abort()) }];
      await model.fit(set(), { ...options, callbacks, signal: controller.signal });
      const copy = modelFromBytes(model.toBytes());
      setSeed(99);
      await copy.fit(set(), { ...options, resume: copy.position });
      assert.deepEqual(
        copy.getWeights().flatMap((weight) => [...weight]),
        expected,
      );
      model.dispose();
      copy.dispose();
    });

    it('of more than memory is to hold train in a table of bounded size', async () => {
      const width = 4096;
      const batch = 64;
      const batches = 40;
      const net = sequential({ layers: [layers.dense({ units: 1, inputShape: [width] })] });
      net.compile({ optimizer: optimizers.sgd({ learningRate: 0 }), loss: 'mse' });
      const set = data
        .range(batch * batches)
        .map((i) => [new Float32Array(width).fill(i / 1000), 0] as const)
        .batch(batch);
      const before = memory().bufferBytes;
      let most = 0;
      const watch: Callback = {
        onBatchEnd() {
          most = Math.max(most, memory().bufferBytes - before);
        },
      };
      const history = await net.fit(set, { callbacks: [watch], ...quiet });
      assert.equal(history.steps, batches);
      const bytes = batch * batches * width * 4;
      assert.ok(bytes > 40e6 && most > 0 && most < 10e6, `${most} bytes of ${bytes} held`);
      net.dispose();
    });

    it('take batches of any size, in the order that they come', async () => {
      const sizes = [3, 8, 8, 1, 20, 2];
      const { x, labels } = clusters(42);
      const rows = x.dataSync() as Float32Array;
      const batches = data.fromGenerator(
        function* () {
          let from = 0;
          for (const size of sizes) {
            const part = rows.subarray(from * inputs, (from + size) * inputs);
            const some = { dtype: 'float32' as const, shape: [size, inputs], data: part };
            yield [some, labels.subarray(from, from + size)] as const;
            from += size;
          }
        },
        { batched: true },
      );
      const expected = await trained(async (model) => {
        let from = 0;
        for (const size of sizes) {
          await model.trainOnBatch(
            tensor(rows.subarray(from * inputs, (from + size) * inputs), [size, inputs]),
            labels.subarray(from, from + size),
          );
          from += size;
        }
      });
      assert.deepEqual(await trained((model) => model.fit(batches, quiet)), expected);
    });

    it('free what they took, whether they end, fail or are stopped', async () => {
      const model = compiled();
      let closed = 0;
      const source = (fails: boolean) =>
        data
          .fromGenerator(function* () {
            try {
              yield* Array.from({ length: 5 }, (_, i) => [new Float32Array(inputs).fill(i), i % 3] as const);
              if (fails) throw new Error('torn cable');
              yield* Array.from({ length: 500 }, () => [new Float32Array(inputs), 0] as const);
            } finally {
              closed++;
            }
          })
          .prefetch(2);
      const stop: Callback = { onBatchEnd: (_step, _logs, control) => control.stop() };
      const runs = async () => {
        await model.fit(source(false), { batchSize: 4, ...quiet });
        await model.evaluate(source(false));
        (await model.predict(source(false))).dispose();
        await model.fit(source(false), { batchSize: 2, callbacks: [stop], ...quiet });
        await assert.rejects(
          model.fit(source(true), { batchSize: 2, ...quiet }),
          says('data.fromGenerator', 'element 5', 'torn cable'),
        );
      };
      const settle = () => (globalThis as { gc?: () => void }).gc?.();
      await runs();
      settle();
      const { buffers } = memory();
      closed = 0;
      await runs();
      settle();
      assert.equal(closed, 5);
      assert.ok(memory().buffers <= buffers, `${memory().buffers} buffers, ${buffers} before`);
      model.dispose();
    });
  },
  twoBackends,
);

describeBackends(
  'errors of fit over data sets',
  () => {
    it('come once, after the steps before them, with the element, and leave the model whole', async () => {
      const model = compiled();
      const failing = slices().map((pair, { index }) => {
        if (index === 50) throw new Error('no such file');
        return pair;
      });
      let steps = 0;
      const callbacks = [{ onBatchEnd: () => void steps++ }];
      await assert.rejects(
        model.fit(failing.batch(8), { callbacks, ...quiet }),
        says('data.map', 'element 50 failed: no such file'),
      );
      assert.equal(steps, 6);
      await model.fit(slices().batch(8), quiet);
      await assert.rejects(model.evaluate(failing.batch(8)), says('data.map', 'element 50'));
      await assert.rejects(model.predict(failing.batch(8)), says('data.map', 'element 50'));
      const validationData = failing.batch(8);
      await assert.rejects(
        model.fit(slices().batch(8), { validationData, ...quiet }),
        says('data.map', 'element 50'),
      );
      model.dispose();
    });

    it('do not wait for a source that hangs when a signal stops the fit', async () => {
      const model = compiled();
      const controller = new AbortController();
      const { x, labels } = clusters(4);
      const rows = x.dataSync() as Float32Array;
      let closed = false;
      const set = data.fromGenerator(
        async function* () {
          try {
            yield [{ dtype: 'float32' as const, shape: [4, inputs], data: rows }, labels] as const;
            await new Promise(() => {});
          } finally {
            closed = true;
          }
        },
        { batched: true },
      );
      const callbacks = [{ onBatchEnd: () => void setTimeout(() => controller.abort(), 5) }];
      const history = await model.fit(set, { callbacks, signal: controller.signal, ...quiet });
      assert.deepEqual([history.stopped?.epoch, history.stopped?.step], [0, 1]);
      // The generator itself waits for ever: nobody can end that but its own source.
      assert.equal(closed, false);
      model.dispose();
    });

    it('say what does not fit', async () => {
      const model = compiled();
      const where = 'sequential.fit';
      const fitOn = (set: data.Dataset<unknown>, options: FitOptions = {}) =>
        model.fit(set, { ...options, ...quiet });
      await assert.rejects(
        fitOn(slices().batch(8), { batchSize: 4 }),
        says(where, 'has batches already', 'batchSize 4'),
      );
      await assert.rejects(
        fitOn(slices(), { validationSplit: 0.5 }),
        says(where, 'validationSplit', 'take() and skip()'),
      );
      await assert.rejects(
        fitOn(slices(), { sampleWeight: [1] }),
        says(where, 'sampleWeight', '[x, y, weight]'),
      );
      await assert.rejects(fitOn(slices().repeat()), says(where, 'no end', 'stepsPerEpoch'));
      await assert.rejects(fitOn(slices(), { stepsPerEpoch: 0 }), says(where, 'stepsPerEpoch', 'got 0'));
      await assert.rejects(fitOn(slices(), { validationSteps: 0 }), says(where, 'validationSteps', 'got 0'));
      await assert.rejects(fitOn(slices().take(0)), says(where, 'the data set is empty'));
      await assert.rejects(
        model.evaluate(slices().take(0)),
        says('sequential.evaluate', 'the data set is empty'),
      );
      await assert.rejects(
        model.predict(slices().take(0)),
        says('sequential.predict', 'the data set is empty'),
      );
      await assert.rejects(model.evaluate(slices().repeat()), says('sequential.evaluate', 'no end', 'steps'));
      await assert.rejects(model.predict(slices().repeat()), says('sequential.predict', 'no end', 'steps'));
      await assert.rejects(
        model.predict(slices().batch(2), { batchSize: 2 }),
        says('sequential.predict', 'batches already'),
      );
      const { x, y } = clusters(8);
      await assert.rejects(
        model.fit(x, y, { stepsPerEpoch: 2, ...quiet }),
        says(where, 'stepsPerEpoch is for data sets'),
      );
      const odd = (pair: readonly unknown[]) => data.fromArray([pair]).batch(1);
      await assert.rejects(
        fitOn(odd([new Float32Array(5), 0])),
        says(where, 'samples do not fit', '[5]', '[6]'),
      );
      await assert.rejects(fitOn(odd([new Float32Array(6), 0, 1, 2])), says(where, 'an element of 4 parts'));
      await assert.rejects(fitOn(odd(['text', 0])), says(where, 'x cannot be trained on'));
      await assert.rejects(
        fitOn(odd([new Float32Array(6), 0, new Float32Array(2)])),
        says(where, 'bad weights', 'one a sample'),
      );
      await assert.rejects(fitOn(odd([new Float32Array(6)])), says(where, 'y is missing'));
      const uneven = data.fromArray([[tensor([[1, 2, 3, 4, 5, 6]]), [0, 1]] as const]);
      const marked = new data.Dataset(uneven.open, { batched: true });
      await assert.rejects(fitOn(marked), says(where, 'same number of samples', '[1, 6] and [2]'));
      const changing = data.range(4).map((i) => [new Float32Array(i < 2 ? 6 : 7), 0]);
      await assert.rejects(
        fitOn(changing.batch(2)),
        says(where, 'batch 1 does not fit', 'float32[7]', 'float32[6]'),
      );
      await assert.rejects(
        model.fit(x, y, { validationData: bad(3), ...quiet }),
        says(where, 'bad validationData', 'got 3'),
      );
      model.dispose();
    });

    it('refuse a place in other data', async () => {
      const model = compiled();
      const controller = new AbortController();
      const callbacks = [{ onBatchEnd: () => controller.abort() }];
      const { x, y } = clusters(200);
      const { stopped } = await model.fit(x, y, {
        batchSize: 2,
        callbacks,
        signal: controller.signal,
        ...quiet,
      });
      const resume = (place: unknown) =>
        model.fit(slices().batch(8), { resume: place as FitPosition, ...quiet });
      const where = 'sequential.fit';
      await assert.rejects(
        resume({ ...stopped, step: 3 }),
        says(where, 'bad resume', 'no place in a data set'),
      );
      const odd = { seed: 1, iteration: 0, batches: -1 };
      await assert.rejects(
        resume({ ...stopped, step: 3, data: odd }),
        says(where, 'bad resume', 'place 1, 0, -1'),
      );
      model.dispose();
    });

    it('name the sample that turned the loss NaN', async () => {
      const model = compiled();
      const set = slices().map(([x, y], { index }) => [
        index === 37 ? new Float32Array(inputs).fill(Number.NaN) : x,
        y,
      ]);
      await assert.rejects(
        model.fit(set.batch(8), quiet),
        says('sequential.fit', 'turned NaN at step 4', 'sample 37 of x'),
      );
      model.dispose();
    });
  },
  oneBackend,
);
