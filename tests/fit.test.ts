// fit and evaluate: losses, metrics and weights of Keras; the choice and order of samples; seeds; two models at one time.
import assert from 'node:assert/strict';
import {
  add,
  layers,
  type losses,
  memory,
  optimizers,
  type Sequential,
  samples,
  sequential,
  setSeed,
  sum,
  type Tensor,
  tensor,
} from '../src/api.ts';
import type { FitOptions } from '../src/model/fit-options.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, modelBackends, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, inputs, weightsOf } from './support/models.ts';

interface Fixture {
  x: number[][];
  y: number[];
  start: number[][];
  fits: { name: string; options: FitOptions; history: Record<string, number[]>; weights: number[][] }[];
  evaluations: { name: string; batchSize: number; loss: number; accuracy: number }[];
  splits: { name: string; count: number; share: number; kept: number }[];
}

const keras = fixture<Fixture>('training');
const near = { rtol: 1e-5, atol: 1e-5 };

function kerasModel(): Sequential {
  const model = sequential({ layers: [layers.dense({ units: 3, activation: 'softmax', inputShape: [4] })] });
  const optimizer = optimizers.sgd({ learningRate: 0.1 });
  model.compile({ optimizer, loss: 'sparse_categorical_crossentropy', metrics: ['accuracy'] });
  model.build([4]);
  model.setWeights(keras.start.map((weight) => Float32Array.from(weight)));
  return model;
}

/** The indices of samples that each step saw, told by a loss that is the sample's own number. */
function indexModel(): Sequential {
  const model = sequential({ layers: [layers.dense({ units: 1, useBias: false, inputShape: [1] })] });
  const optimizer = optimizers.sgd({ learningRate: 0 });
  model.compile({ optimizer, loss: (y: Tensor, p: Tensor) => sum(add(y, p), 1) });
  model.build([1]);
  model.setWeights([Float32Array.of(0)]);
  return model;
}

describeBackends(
  'training as in Keras',
  () => {
    for (const { name, options, history: expected, weights } of keras.fits) {
      it(name, async () => {
        const model = kerasModel();
        const y = tensor(Int32Array.from(keras.y));
        const history = await model.fit(tensor(keras.x), y, { ...options, shuffle: false, verbose: 0 });
        assert.deepEqual(Object.keys(history.history).sort(), Object.keys(expected).sort());
        for (const [key, values] of Object.entries(expected)) close(history.history[key]!, values, near, key);
        model.getWeights().forEach((weight, i) => {
          close(weight, weights[i]!, near, `weight ${i}`);
        });
        model.dispose();
      });
    }

    for (const { name, batchSize, loss, accuracy } of keras.evaluations) {
      it(`evaluates over ${name}`, async () => {
        const model = kerasModel();
        const logs = await model.evaluate(tensor(keras.x), tensor(Int32Array.from(keras.y)), { batchSize });
        close([logs.loss!, logs.accuracy!], [loss, accuracy], near);
        model.dispose();
      });
    }
  },
  modelBackends,
);

describeBackends(
  'fit',
  () => {
    for (const { name, count, share, kept } of keras.splits) {
      it(`trains on the first samples and validates on the last: ${name}`, async () => {
        const model = indexModel();
        const x = tensor(new Float32Array(count), [count, 1]);
        const y = tensor(
          Float32Array.from({ length: count }, (_, i) => i),
          [count, 1],
        );
        const seen: number[] = [];
        const callbacks = [
          { onBatchEnd: (_step: number, logs: Record<string, number>) => void seen.push(logs.loss!) },
        ];
        const options = { batchSize: 1, validationSplit: share, verbose: 0, callbacks } as const;
        const { history } = await model.fit(x, y, options);
        assert.deepEqual(
          seen.sort((a, b) => a - b),
          Array.from({ length: kept }, (_, i) => i),
        );
        const rest = Array.from({ length: count - kept }, (_, i) => kept + i);
        if (rest.length === 0) assert.equal(history.val_loss, undefined);
        else close(history.val_loss!, [rest.reduce((a, b) => a + b) / rest.length], near);
        model.dispose();
      });
    }

    it('takes the samples in order without shuffle, in another order each epoch with it, each once', async () => {
      const order = async (shuffle: boolean) => {
        const model = indexModel();
        const count = 50;
        const seen: number[] = [];
        const y = tensor(
          Float32Array.from({ length: count }, (_, i) => i),
          [count, 1],
        );
        const callbacks = [
          { onBatchEnd: (_step: number, logs: Record<string, number>) => void seen.push(logs.loss!) },
        ];
        await model.fit(tensor(new Float32Array(count), [count, 1]), y, {
          epochs: 2,
          batchSize: 1,
          shuffle,
          callbacks,
          verbose: 0,
        });
        model.dispose();
        return [seen.slice(0, count), seen.slice(count)] as const;
      };
      const ascending = Array.from({ length: 50 }, (_, i) => i);
      assert.deepEqual(await order(false), [ascending, ascending]);
      setSeed(4);
      const [first, second] = await order(true);
      assert.notDeepEqual(first, ascending);
      assert.notDeepEqual(first, second);
      for (const epoch of [first, second])
        assert.deepEqual(
          epoch.toSorted((a, b) => a - b),
          ascending,
        );
    });

    it('gives the same bits with the same seed, and others with another', async () => {
      const run = async (seed: number) => {
        setSeed(seed);
        const { x, y } = clusters(50);
        const model = compiled({ dropout: 0.3 });
        const { history } = await model.fit(x, y, { epochs: 3, batchSize: 8, verbose: 0 });
        const found = { history, weights: weightsOf(model) };
        model.dispose();
        return found;
      };
      const first = await run(7);
      assert.deepEqual(await run(7), first);
      assert.notDeepEqual((await run(8)).weights, first.weights);
    });

    it('reports the loss of validation data as evaluate does', async () => {
      const model = compiled();
      const [train, test] = [clusters(40), clusters(33, 2)];
      const { history } = await model.fit(train.x, train.y, {
        epochs: 2,
        validationData: [test.x, test.y],
        validationBatchSize: 10,
        verbose: 0,
      });
      assert.deepEqual(Object.keys(history), ['loss', 'accuracy', 'val_loss', 'val_accuracy']);
      const { loss, accuracy } = await model.evaluate(test.x, test.y);
      close([history.val_loss![1]!, history.val_accuracy![1]!], [loss!, accuracy!], near);
      model.dispose();
    });

    it('learns, resolves with a history, and counts steps and time', async () => {
      setSeed(1);
      const model = compiled({ optimizer: optimizers.adam({ learningRate: 0.02 }) });
      const { x, y } = clusters(200);
      const history = await model.fit(x, y, { epochs: 12, batchSize: 32, verbose: 0 });
      assert.deepEqual(history.epoch, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
      assert.equal(history.steps, 12 * 7);
      assert.equal(history.stopped, undefined);
      assert.ok(history.seconds > 0);
      assert.ok(history.history.accuracy!.at(-1)! > 0.75, `accuracy ${history.history.accuracy!.at(-1)}`);
      model.dispose();
    });

    it('keeps metrics of one name apart', async () => {
      const model = compiled({
        metrics: [
          'accuracy',
          (_y: Tensor, p: Tensor) => sum(p, 1),
          (_y: Tensor, p: Tensor) => sum(add(p, 1), 1),
        ],
      });
      const { x, y } = clusters(20);
      const { history } = await model.fit(x, y, { verbose: 0 });
      assert.deepEqual(Object.keys(history), ['loss', 'accuracy', 'metric', 'metric_1']);
      close([history.metric![0]!, history.metric_1![0]!], [1, 4], near);
      model.dispose();
    });

    it('weighs classes alike, whether labels are indices or one-hot rows', async () => {
      const { x, y, labels } = clusters(30);
      const loss = async (
        kind: losses.LossName,
        data: Parameters<Sequential['fit']>[1],
        options: FitOptions,
      ) => {
        setSeed(6);
        const model = compiled({ loss: kind });
        const { history } = await model.fit(x, data, { ...options, verbose: 0 });
        model.dispose();
        return history.loss![0]!;
      };
      const classWeight = { 0: 2, 2: 0.5 };
      const sampleWeight = [...labels].map((label) => [2, 1, 0.5][label]!);
      const expected = await loss('sparseCategoricalCrossentropy', y, { sampleWeight });
      assert.equal(await loss('sparseCategoricalCrossentropy', y, { classWeight }), expected);
      assert.equal(
        await loss('categoricalCrossentropy', samples(labels, { oneHot: 3 }), { classWeight }),
        expected,
      );
      const half = sampleWeight.map(() => 0.5);
      close(
        [await loss('sparseCategoricalCrossentropy', y, { classWeight, sampleWeight: half })],
        [expected / 2],
        { rtol: 1e-6, atol: 0 },
      );
    });

    it('counts epochs on from initialEpoch', async () => {
      const model = compiled();
      const { x, y } = clusters(20);
      const history = await model.fit(x, y, { epochs: 5, initialEpoch: 3, verbose: 0 });
      assert.deepEqual(history.epoch, [3, 4]);
      model.dispose();
    });

    it('takes plain arrays, typed arrays, and samples that are normalised as they are gathered', async () => {
      const { x, labels } = clusters(24);
      const rows = x.arraySync() as number[][];
      const run = async (...data: [Parameters<Sequential['fit']>[0], Parameters<Sequential['fit']>[1]]) => {
        setSeed(2);
        const model = compiled({ loss: 'sparseCategoricalCrossentropy' });
        await model.fit(...data, { epochs: 2, batchSize: 5, verbose: 0 });
        const weights = weightsOf(model);
        model.dispose();
        return weights;
      };
      const expected = await run(x, tensor(labels));
      assert.deepEqual(await run(rows, [...labels]), expected);
      assert.deepEqual(await run(x, Uint8Array.from(labels)), expected);
      const stretched = tensor(rows.map((row) => row.map((value) => (value - 0.5) * 4)));
      close(await run(samples(stretched, { scale: 0.25, shift: 0.5 }), labels), expected, {
        rtol: 1e-4,
        atol: 1e-4,
      });
    });

    it('takes class indices as one-hot rows through samples, for labels and for inputs', async () => {
      const { x, labels } = clusters(24);
      const hot = tensor([...labels].map((label) => [0, 1, 2].map((i) => Number(i === label))));
      const run = async (y: Parameters<Sequential['fit']>[1]) => {
        setSeed(2);
        const model = compiled({ loss: 'categoricalCrossentropy' });
        await model.fit(x, y, { verbose: 0 });
        const weights = weightsOf(model);
        model.dispose();
        return weights;
      };
      assert.deepEqual(await run(samples(labels, { oneHot: 3 })), await run(hot));
      const model = sequential({ layers: [layers.dense({ units: 2, inputShape: [3] })] });
      const byIndex = await model.predict(samples(labels, { oneHot: 3 }));
      assert.deepEqual(byIndex.arraySync(), (await model.predict(hot)).arraySync());
      model.dispose();
    });

    it('leaves the event loop free, and other ops at work', async () => {
      const model = compiled();
      const { x, y } = clusters(400);
      let ticks = 0;
      const timer = setInterval(() => {
        ticks++;
        assert.deepEqual(add(tensor([1, 2]), 1).arraySync(), [2, 3]);
      }, 1);
      const before = weightsOf(model);
      await model.fit(x, y, { epochs: 100, batchSize: 4, verbose: 0 });
      clearInterval(timer);
      assert.ok(ticks > 3, `${ticks} ticks`);
      assert.notDeepEqual(weightsOf(model), before);
      model.dispose();
    });

    it('trains two models at one time, each as if alone', async () => {
      const { x, y } = clusters(64);
      const make = () => {
        const model = compiled();
        model.build([inputs]);
        return model;
      };
      setSeed(3);
      const [a, b] = [make(), make()];
      const [startA, startB] = [a.getWeights(), b.getWeights()];
      const options = { epochs: 5, batchSize: 8, shuffle: false, verbose: 0 } as const;
      await Promise.all([a.fit(x, y, options), b.fit(x, y, { ...options, epochs: 7 })]);
      const together = [weightsOf(a), weightsOf(b)];
      assert.notDeepEqual(together[0], together[1]);
      const [aloneA, aloneB] = [make(), make()];
      aloneA.setWeights(startA);
      aloneB.setWeights(startB);
      await aloneA.fit(x, y, options);
      await aloneB.fit(x, y, { ...options, epochs: 7 });
      assert.deepEqual([weightsOf(aloneA), weightsOf(aloneB)], together);
      for (const model of [a, b, aloneA, aloneB]) model.dispose();
    });

    it('frees what it took', async () => {
      const { x, y } = clusters(40);
      const model = compiled({ dropout: 0.5 });
      const options = {
        epochs: 1,
        batchSize: 16,
        validationSplit: 0.2,
        sampleWeight: new Array(40).fill(1),
        verbose: 0,
      } as const;
      await model.fit(x, y, options);
      // What earlier tests left behind must not be collected between the counts.
      const settle = () => (globalThis as { gc?: () => void }).gc?.();
      settle();
      const { buffers, programs } = memory();
      for (let i = 0; i < 5; i++) {
        await model.fit(x, y, options);
        await model.evaluate(x, y);
        (await model.predict(x)).dispose();
      }
      // Evaluate and predict load a program each, once.
      settle();
      assert.ok(memory().buffers <= buffers, `${memory().buffers} buffers, ${buffers} before`);
      assert.ok(memory().programs <= programs + 3, `${memory().programs} programs, ${programs} before`);
      model.dispose();
    });
  },
  twoBackends,
);
