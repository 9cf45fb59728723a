// Bad names, layers, models and sizes: every error names the place, what it got, what it expected and what to do; and the model goes on to train.
import assert from 'node:assert/strict';
import {
  initializers,
  layers,
  losses,
  mean,
  NablaError,
  samples,
  sequential,
  sum,
  type Tensor,
  tensor,
} from '../src/api.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, inputs, learns, small } from './support/models.ts';

const quiet = { verbose: 0 } as const;

describeBackends(
  'names',
  () => {
    const compileWith = (options: Record<string, unknown>) => () =>
      small().compile(bad({ loss: 'mse', ...options }));

    it('that are unknown are answered with the nearest known one', () => {
      assert.throws(
        compileWith({ loss: 'categoricalCrosentropy' }),
        says(
          'sequential.compile',
          "unknown loss, got 'categoricalCrosentropy'",
          'expected one of',
          "did you mean 'categoricalCrossentropy'?",
        ),
      );
      assert.throws(
        compileWith({ optimizer: 'adma' }),
        says(
          'sequential.compile',
          "unknown optimizer, got 'adma'",
          'expected one of sgd, rmsprop, adam',
          "did you mean 'adam'?",
        ),
      );
      assert.throws(
        compileWith({ metrics: ['acuracy'] }),
        says('sequential.compile', "unknown metric, got 'acuracy'", "did you mean 'accuracy'?"),
      );
      assert.throws(
        () => layers.dense({ units: 3, activation: bad('rellu') }),
        says('dense', "unknown activation, got 'rellu'", "did you mean 'relu'?"),
      );
      assert.throws(
        () => layers.activation({ activation: bad('sofmax') }),
        says('activation', "unknown activation, got 'sofmax'", "did you mean 'softmax'?"),
      );
      assert.throws(
        () => layers.dense({ units: 3, inputShape: [2], kernelInitializer: bad('glorotUnifrm') }),
        says('dense', "unknown initializer, got 'glorotUnifrm'", "did you mean 'glorotUniform'?"),
      );
      // Nothing is near: no suggestion.
      assert.throws(
        compileWith({ loss: 'xyzzy' }),
        (error: Error) => !error.message.includes('did you mean'),
      );
    });

    it('of another type are refused', () => {
      for (const loss of [7, {}, []])
        assert.throws(compileWith({ loss }), says('sequential.compile', 'bad loss'));
      assert.throws(
        () => small().compile(bad({})),
        says('sequential.compile', 'loss is missing', "'meanSquaredError'"),
      );
      assert.throws(() => small().compile(bad(undefined)), says('sequential.compile', 'loss is missing'));
      for (const optimizer of [7, null, {}]) {
        assert.throws(
          compileWith({ optimizer }),
          says('sequential.compile', 'bad optimizer', 'optimizers.adam()'),
        );
      }
      assert.throws(
        compileWith({ metrics: 'accuracy' }),
        says('sequential.compile', 'bad metrics', "got 'accuracy'", "['accuracy']"),
      );
      assert.throws(compileWith({ metrics: [3] }), says('sequential.compile', 'bad metric', 'got 3'));
      assert.throws(
        () => layers.dense({ units: 2, activation: bad(3) }),
        says('dense', 'activation', 'got 3'),
      );
      assert.throws(
        () => layers.dense({ units: 2, kernelInitializer: bad(3) }),
        says('dense', 'initializer', 'got 3'),
      );
    });
  },
  oneBackend,
);

describeBackends(
  'models refuse',
  () => {
    it('to train before they are compiled', async () => {
      const model = small();
      const { x, y } = clusters(8);
      const remedy = "call model.compile({ optimizer: 'adam', loss: ... }) first";
      await assert.rejects(model.fit(x, y), says('sequential.fit', 'the model is not compiled', remedy));
      await assert.rejects(
        model.evaluate(x, y),
        says('sequential.evaluate', 'the model is not compiled', remedy),
      );
      await assert.rejects(
        model.trainOnBatch(x, y),
        says('sequential.trainOnBatch', 'the model is not compiled', remedy),
      );
      // Prediction needs none.
      assert.deepEqual((await model.predict(x)).shape, [8, 3]);
      model.compile({ loss: 'sparseCategoricalCrossentropy' });
      assert.ok(await learns(model));
      model.dispose();
    });

    it('losses and metrics that do not give one number a sample', async () => {
      const { x, y } = clusters(8);
      const model = compiled();
      const tooMany = (_y: Tensor, p: Tensor) => p;
      model.compile({ loss: tooMany });
      await assert.rejects(
        model.fit(x, y, quiet),
        says(
          'tooMany',
          'expected one number a sample, [8]',
          'got [8, 3]',
          'average over the other dimensions',
        ),
      );
      model.compile({ loss: (_y: Tensor, p: Tensor) => mean(p) });
      await assert.rejects(model.fit(x, y, quiet), says('loss', '[8]', 'got []'));
      model.compile({ loss: bad(() => 3) });
      await assert.rejects(model.fit(x, y, quiet), says('loss', 'got number'));
      model.compile({ loss: bad(async (_y: Tensor, p: Tensor) => sum(p, 1)) });
      await assert.rejects(model.fit(x, y, quiet), says('loss', 'expected one number a sample'));
      model.compile({ loss: 'sparseCategoricalCrossentropy', metrics: [tooMany] });
      await assert.rejects(model.fit(x, y, quiet), says('tooMany', 'got [8, 3]'));
      const failing = () => {
        throw new Error('my own');
      };
      model.compile({ loss: failing });
      await assert.rejects(model.fit(x, y, quiet), { message: 'my own' });
      model.compile({ loss: losses.sparseCategoricalCrossentropy() });
      assert.ok(await learns(model));
      model.dispose();
    });

    it('layers that make no sense', async () => {
      for (const units of [0, -1, 2.5, Number.NaN, '3']) {
        assert.throws(
          () => layers.dense({ units: bad(units) }),
          says('dense', 'bad units', 'expected an integer >= 1'),
        );
      }
      for (const rate of [-0.1, 1, Number.NaN, '0.5']) {
        assert.throws(
          () => layers.dropout({ rate: bad(rate) }),
          says('dropout', 'bad rate', 'expected a number in [0, 1)'),
        );
      }
      assert.throws(
        () => layers.reshape({ targetShape: [-1, -1] }),
        says('reshape', 'bad targetShape', 'at most one -1'),
      );
      for (const inputShape of [[-1], [2.5], 'x', 4]) {
        assert.throws(
          () => layers.dense({ units: 2, inputShape: bad(inputShape) }),
          says('dense', 'bad inputShape', 'integers >= 1, without the batch'),
        );
      }
      assert.throws(
        () => sequential({ layers: [bad({})] }),
        says('sequential', 'expected a layer, got Object', 'layers.dense()'),
      );
      await assert.rejects(
        sequential().predict(tensor([[1]])),
        says('sequential', 'the model has no layers'),
      );
      const built = small();
      built.build([inputs]);
      assert.throws(
        () => built.add(layers.dense({ units: 1 })),
        says('sequential', 'built', 'add them before'),
      );
      const late = sequential({ layers: [layers.dense({ units: 2, name: 'first' })] });
      await late.predict(tensor([[1, 2, 3]]));
      assert.throws(
        () => late.layers[0]!.apply(tensor([[[1, 2]]])),
        says('first', 'expected input with last dimension 3', 'got [1, 2]'),
      );
      const flat = sequential({ layers: [layers.dense({ units: 2, name: 'wide', inputShape: [784] })] });
      flat.build([784]);
      assert.throws(
        () => flat.layers[0]!.apply(tensor(new Float32Array(784), [1, 28, 28])),
        says(
          'wide',
          'expected input with last dimension 784, got [28, 28]',
          'add layers.flatten() before it',
        ),
      );
    });

    it('samples that hold none, and one-hot rows of what are no indices', () => {
      assert.throws(() => samples(tensor(3)), says('samples', 'a scalar holds no samples'));
      assert.throws(
        () => samples([0.5, 1], { oneHot: 2 }),
        says('samples', 'oneHot needs class indices', 'float32', 'uint8 or int32'),
      );
      assert.throws(() => samples(Uint8Array.of(1), { oneHot: 0 }), says('samples', 'oneHot 0'));
      assert.throws(
        () => samples(Uint8Array.of(1), { scale: Number.NaN }),
        says('samples', 'bad scale, got NaN', 'finite'),
      );
    });
  },
  oneBackend,
);

describeBackends(
  'memory that cannot be had',
  () => {
    it('is refused, and the process goes on', async () => {
      const huge = sequential({ layers: [layers.dense({ units: 1e9, inputShape: [1000] })] });
      huge.compile({ loss: 'mse' });
      await assert.rejects(huge.predict(tensor([new Array(1000).fill(1)])), (error: unknown) => {
        assert.ok(error instanceof NablaError, String(error));
        assert.match(error.message, /got|expected/);
        return true;
      });
      // Again: nothing half made is left behind.
      await assert.rejects(huge.fit(tensor([new Array(1000).fill(1)]), tensor([[1]]), quiet), NablaError);
      assert.equal(huge.weights.length, 0);
      assert.throws(() => initializers.zeros()([2 ** 31 - 1, 2 ** 20]), NablaError);
      const model = compiled();
      assert.ok(await learns(model));
      model.dispose();
    });

    it('is not needed for a batchSize beyond the samples: they are one batch', async () => {
      const { x, y } = clusters(20);
      const model = compiled();
      const history = await model.fit(x, y, { ...quiet, batchSize: 1e9 });
      assert.equal(history.steps, 1);
      assert.equal((await model.predict(x, { batchSize: 1e9 })).shape[0], 20);
      assert.ok(Number.isFinite((await model.evaluate(x, y, { batchSize: 1e9 })).loss));
      model.dispose();
    });
  },
  twoBackends,
);
