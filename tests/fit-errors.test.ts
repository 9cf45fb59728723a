// Bad input to fit and evaluate: every error names the place, what it got, what it expected and what to do; and the model goes on to train.
import assert from 'node:assert/strict';
import { optimizers, type Sequential, samples, setSeed, type Tensor, tensor } from '../src/api.ts';
import { engine, useEngine } from '../src/engine.ts';
import type { FitOptions } from '../src/model/fit-options.ts';
import { describeBackends, reference } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';
import { modelBackends, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, inputs, learns } from './support/models.ts';

const quiet = { verbose: 0 } as const;

describeBackends(
  'fit refuses',
  () => {
    let model: Sequential;
    let x: Tensor;
    let y: Tensor;
    beforeEach(() => {
      ({ x, y } = clusters(20));
      model = compiled();
    });
    // Whatever was refused, the model can be used afterwards.
    afterEach(async () => {
      assert.ok(await learns(model), 'the model trains after the error');
      model.dispose();
    });
    const refused = (options: Record<string, unknown>, ...parts: (string | RegExp)[]) =>
      assert.rejects(
        model.fit(x, y, { ...quiet, ...bad<FitOptions>(options) }),
        says('sequential.fit', ...parts),
      );

    it('samples of another shape', async () => {
      await assert.rejects(
        model.fit(tensor([[1, 2, 3]]), tensor([0]), quiet),
        says('sequential.fit', 'got shape [3] a sample', 'expected [6]', 'reshape x or change inputShape'),
      );
      await assert.rejects(
        model.fit(tensor([1, 2, 3]), tensor([0, 0, 0]), quiet),
        says('sequential.fit', 'got shape []'),
      );
    });

    it('validation data of another shape, before it trains', async () => {
      model.build([inputs]);
      const start = model.getWeights();
      await assert.rejects(
        model.fit(x, y, { ...quiet, validationData: [tensor([[1, 2]]), tensor([0])] }),
        says('sequential.fit.validationData', 'got shape [2] a sample', 'expected [6]'),
      );
      assert.deepEqual(model.getWeights(), start);
    });

    it('samples of another dtype, or none at all', async () => {
      const booleans = tensor(new Uint8Array(12), [2, 6], 'bool');
      await assert.rejects(
        model.fit(booleans, tensor([0, 1]), quiet),
        says('fit', 'bool data are not supported', 'Samples(bool[2, 6])', "cast(x, 'float32')"),
      );
      for (const nothing of [undefined, null, 'x', 7n]) {
        await assert.rejects(
          model.fit(bad(nothing), y, quiet),
          says('sequential.fit', 'x is missing', `got ${nothing}`),
        );
        await assert.rejects(
          model.fit(x, bad(nothing), quiet),
          says('sequential.fit', 'y is missing', `got ${nothing}`),
        );
      }
      await assert.rejects(model.fit(bad([['a']]), y, quiet), says('tensor', "got 'a'", 'expected numbers'));
      await assert.rejects(
        model.fit([[1, 2], [3]], y, quiet),
        says('tensor', 'differ in length', 'got 1', 'expected 2'),
      );
      await assert.rejects(model.fit(5, y, quiet), says('sequential.fit', 'x is missing, got 5'));
    });

    it('samples and labels of different numbers, or none', async () => {
      await assert.rejects(
        model.fit(x, tensor([0, 1]), quiet),
        says('sequential.fit', 'got 20 samples and 2 labels', 'expected the same number'),
      );
      const none = tensor(new Float32Array(0), [0, inputs]);
      await assert.rejects(
        model.fit(none, tensor(new Int32Array(0)), quiet),
        says('sequential.fit', 'got 0 samples and 0 labels', 'at least one'),
      );
      await assert.rejects(
        model.evaluate(none, tensor(new Int32Array(0))),
        says('sequential.evaluate', 'got 0 samples'),
      );
      await assert.rejects(
        model.evaluate(x, tensor([0])),
        says('sequential.evaluate', 'got 20 samples and 1 labels'),
      );
      await assert.rejects(
        model.trainOnBatch(x, tensor([0])),
        says('sequential.trainOnBatch', 'got 20 samples and 1 labels'),
      );
      await assert.rejects(
        model.fit(x, y, { ...quiet, validationData: [x, tensor([1])] }),
        says('sequential.fit.validationData', 'got 20 samples and 1 labels'),
      );
    });

    it('batch sizes, epochs and shares that are no such numbers', async () => {
      for (const batchSize of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '8', null]) {
        await refused({ batchSize }, 'bad batchSize', /got ('8'|-?[\w.]+)/, 'expected an integer >= 1');
      }
      for (const epochs of [0, -2, 2.5, Number.NaN, '3'])
        await refused({ epochs }, 'bad epochs', 'expected an integer >= 1');
      for (const validationSplit of [-0.1, 1, 2, Number.NaN, '0.5']) {
        await refused({ validationSplit }, 'bad validationSplit', 'expected a number in [0, 1)');
      }
      await refused({ validationSplit: 0.99 }, 'leaves no samples to train on');
      await refused({ initialEpoch: -1 }, 'bad initialEpoch, got -1');
      await refused({ validationBatchSize: 0.5 }, 'bad validationBatchSize, got 0.5');
      await refused({ validationData: [x] }, 'bad validationData', 'expected [x, y]');
      await refused(
        { validationData: [x, y], validationSplit: 0.5 },
        'both validationData and validationSplit',
      );
      await refused({ verbose: 5 }, 'bad verbose, got 5', "expected 0, 1, 2 or 'auto'");
      await refused({ callbacks: {} }, 'bad callbacks', 'expected an array');
      await refused(
        { callbacks: [{}, 'earlyStopping'] },
        'bad callbacks',
        "got 'earlyStopping' at 1",
        'onEpochEnd',
      );
      await assert.rejects(
        model.evaluate(x, y, { batchSize: 0 }),
        says('sequential.evaluate', 'bad batchSize, got 0'),
      );
      await assert.rejects(
        model.predict(x, { batchSize: 2.5 }),
        says('sequential.predict', 'bad batchSize, got 2.5'),
      );
    });

    it('weights that are not one a sample, or not finite', async () => {
      await refused({ sampleWeight: [1, 2] }, 'bad sampleWeight', 'got 2 numbers', 'expected 20 finite ones');
      const infinite = new Float32Array(20).fill(Number.POSITIVE_INFINITY);
      await refused({ sampleWeight: infinite }, 'bad sampleWeight', 'finite');
      await refused({ classWeight: { a: 2 } }, 'bad classWeight, got a: 2', 'class indices');
      await refused({ classWeight: { 0: Number.NaN } }, 'bad classWeight, got 0: NaN');
    });

    it('labels out of range, at the step where they are met', async () => {
      const wrong = y.dataSync().slice();
      wrong[13] = 7;
      await assert.rejects(
        model.fit(x, tensor(wrong), { ...quiet, batchSize: 4, shuffle: false }),
        says(
          'sparseCategoricalCrossentropy',
          'label out of range',
          'got 7',
          'expected an integer in [0, 3)',
          'check the labels',
        ),
      );
      wrong[13] = -1;
      await assert.rejects(
        model.evaluate(x, tensor(wrong)),
        says('sparseCategoricalCrossentropy', 'got -1', 'expected an integer in [0, 3)'),
      );
      const floats = Float32Array.from(y.dataSync());
      for (const label of [Number.NaN, 1.5]) {
        floats[7] = label;
        await assert.rejects(
          model.fit(x, tensor(floats), quiet),
          says('sparseCategoricalCrossentropy', 'label out of range', 'expected an integer in [0, 3)'),
        );
      }
      const asBytes = samples(Uint8Array.of(0, 1, 2, 3), { oneHot: 3 });
      const other = compiled({ loss: 'categoricalCrossentropy' });
      await assert.rejects(
        other.fit(tensor(new Float32Array(4 * inputs), [4, inputs]), asBytes, quiet),
        says('y', 'label out of range', 'got 3', '[0, 3)'),
      );
      other.dispose();
    });

    it('labels whose shape does not fit the loss', async () => {
      const hot = tensor(new Float32Array(60), [20, 3]);
      await assert.rejects(
        model.fit(x, hot, quiet),
        says(
          'sparseCategoricalCrossentropy',
          'got [20, 3]',
          'expected class indices [20]',
          "'categoricalCrossentropy'",
        ),
      );
      const other = compiled({ loss: 'categoricalCrossentropy' });
      await assert.rejects(
        other.fit(x, y, quiet),
        says('categoricalCrossentropy', 'got [20]', 'expected [20, 3]', "'sparseCategoricalCrossentropy'"),
      );
      assert.ok(other.layers[0]!.weights.length > 0);
      other.dispose();
    });

    it('data that are not numbers, when the loss turns NaN, with the step and the sample', async () => {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const numbers = x.dataSync().slice();
        numbers[9 * inputs + 2] = value;
        model.build([inputs]);
        const start = model.getWeights();
        await assert.rejects(
          model.fit(tensor(numbers, [20, inputs]), y, { ...quiet, batchSize: 4, shuffle: false }),
          says(
            'sequential.fit',
            'the loss turned NaN at step 2 of epoch 1',
            `sample 9 of x holds ${value}`,
            'clean the data',
          ),
        );
        // NaN weights learn nothing more: the user puts the last good ones back.
        model.compile({ loss: 'sparseCategoricalCrossentropy' });
        model.setWeights(start);
      }
    });

    it('a learning rate that makes the loss NaN, with advice', async () => {
      const wild = compiled({ optimizer: optimizers.sgd({ learningRate: 1e30 }), loss: 'mse' });
      await assert.rejects(
        wild.fit(x, tensor(new Float32Array(60).fill(1e10), [20, 3]), { ...quiet, batchSize: 4, epochs: 9 }),
        says(
          'sequential.fit',
          'the loss turned NaN at step',
          'all data are finite',
          'lower the learning rate',
          'clipnorm',
        ),
      );
      wild.dispose();
    });

    it('to be called while it runs', async () => {
      const running = model.fit(x, y, { ...quiet, epochs: 50, batchSize: 1 });
      await assert.rejects(
        model.fit(x, y, quiet),
        says('sequential.fit', 'being trained', 'await the former call'),
      );
      await assert.rejects(model.trainOnBatch(x, y), says('sequential.trainOnBatch', 'being trained'));
      await assert.rejects(model.evaluate(x, y), says('sequential.evaluate', 'being trained'));
      assert.throws(
        () => model.compile({ loss: 'mse' }),
        says('sequential.compile', 'being trained', 'await'),
      );
      assert.equal((await running).epoch.length, 50);
    });

    it('data on another backend than the model', async () => {
      await learns(model);
      const here = engine();
      useEngine(modelBackends.find((backend) => backend.open() !== here)?.open() ?? reference());
      const elsewhere = clusters(20).x;
      useEngine(here);
      await assert.rejects(
        model.fit(elsewhere, y, quiet),
        says('sequential', 'two backends', 'got Tensor(float32[20, 6])', 'tensor(await t.data(), t.shape)'),
      );
      await assert.rejects(model.predict(elsewhere), says('sequential.predict', 'two backends'));
    });
  },
  twoBackends,
);

describeBackends(
  'after an error',
  () => {
    it('the losses that are reported are those of the steps that ran', async () => {
      const { x, y } = clusters(40);
      const wrong = y.dataSync().slice();
      wrong[38] = 9;
      setSeed(3);
      const model = compiled({ optimizer: optimizers.sgd({ learningRate: 0 }) });
      const { loss } = await model.evaluate(x, y);
      const options = { ...quiet, batchSize: 4, shuffle: false } as const;
      await assert.rejects(model.fit(x, tensor(wrong), options), /label out of range/);
      const { history } = await model.fit(x, y, options);
      close(history.loss!, [loss!], { rtol: 1e-5, atol: 0 }, 'loss after a fault in a full batch');
      // The last batch of 2 of 38 is a program of its own.
      const [some, few] = [
        tensor(x.dataSync().slice(0, 38 * inputs), [38, inputs]),
        y.dataSync().slice(0, 38),
      ];
      const before = await model.evaluate(some, tensor(few));
      const broken = few.slice();
      broken[37] = 9;
      await assert.rejects(model.fit(some, tensor(broken), options), /label out of range/);
      const again = await model.fit(some, tensor(few), options);
      close(again.history.loss!, [before.loss!], { rtol: 1e-5, atol: 0 }, 'loss after a fault in the rest');
      model.dispose();
    });
  },
  modelBackends,
);
