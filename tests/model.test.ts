// Models: frozen and shared layers, dropout, prediction, summaries, weights, and what they free.
import assert from 'node:assert/strict';
import { layers, memory, sequential, setSeed, sum, type Tensor, tensor } from '../src/api.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { says } from './support/errors.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, inputs, small } from './support/models.ts';

const near = { rtol: 1e-5, atol: 1e-5 };

describeBackends(
  'layers in training',
  () => {
    it('keep their weights while frozen, and after compiling again', async () => {
      const { x, y } = clusters(40);
      const model = compiled();
      model.layers[0]!.trainable = false;
      await model.fit(x, y, { verbose: 0 });
      const [kernel, bias, second] = model.getWeights();
      assert.ok(model.summary({ printFn: () => {} }).includes('Trainable parameters: 27 '));
      await model.fit(x, y, { epochs: 3, verbose: 0 });
      assert.deepEqual(model.getWeights().slice(0, 2), [kernel, bias]);
      assert.notDeepEqual(model.getWeights()[2], second);
      const before = model.getWeights();
      model.compile({ optimizer: 'sgd', loss: 'sparseCategoricalCrossentropy' });
      assert.deepEqual(model.getWeights(), before);
      await model.fit(x, y, { verbose: 0 });
      assert.deepEqual(model.getWeights().slice(0, 2), [kernel, bias]);
      model.layers[0]!.trainable = true;
      await model.fit(x, y, { verbose: 0 });
      assert.notDeepEqual(model.getWeights()[0], kernel);
      model.dispose();
    });

    it('drop numbers in training only, as many as they are told', async () => {
      setSeed(1);
      const width = 4000;
      const model = sequential({ layers: [layers.dropout({ rate: 0.25, inputShape: [width] })] });
      const count = (_y: Tensor, p: Tensor) => sum(p, 1);
      model.compile({ optimizer: 'sgd', loss: count });
      const ones = tensor(new Float32Array(width).fill(1), [1, width]);
      const y = tensor([[0]]);
      const kept: number[] = [];
      for (let i = 0; i < 20; i++) kept.push((await model.trainOnBatch(ones, y)).loss! / width);
      const mean = kept.reduce((a, b) => a + b) / 20;
      // What is kept is scaled up, so that the mean stays 1.
      assert.ok(Math.abs(mean - 1) < 0.01, `mean ${mean}`);
      assert.ok(kept.every((value) => Math.abs(value - 1) < 0.05));
      assert.ok(new Set(kept).size > 10, 'the mask changes from step to step');
      assert.equal((await model.evaluate(ones, y)).loss, width);
      assert.ok((await model.predict(ones)).dataSync().every((value) => value === 1));
      model.dispose();
    });

    it('may be shared by two models that train in turn', async () => {
      const { x, y } = clusters(30);
      const shared = layers.dense({ units: 3, activation: 'softmax', inputShape: [inputs] });
      const models = [0, 1].map(() => {
        const model = sequential({ layers: [shared] });
        model.compile({ optimizer: 'sgd', loss: 'sparseCategoricalCrossentropy' });
        return model;
      });
      const alone = sequential({
        layers: [layers.dense({ units: 3, activation: 'softmax', inputShape: [inputs] })],
      });
      alone.compile({ optimizer: 'sgd', loss: 'sparseCategoricalCrossentropy' });
      alone.build([inputs]);
      models[0]!.build([inputs]);
      models[1]!.build([inputs]);
      alone.setWeights(models[0]!.getWeights());
      for (const model of [models[0]!, models[1]!, models[0]!]) {
        await model.trainOnBatch(x, y);
        await alone.trainOnBatch(x, y);
        assert.deepEqual(model.getWeights(), alone.getWeights());
      }
      alone.dispose();
    });
  },
  twoBackends,
);

describeBackends(
  'predict',
  () => {
    it('in batches of any size equals one batch', async () => {
      const model = small();
      const { x } = clusters(37);
      const whole = model.predictOnBatch(x).dataSync();
      assert.equal(whole.length, 37 * 3);
      for (const batchSize of [1, 5, 36, 37, 38, 1000]) {
        const batches = await model.predict(x, { batchSize });
        assert.deepEqual(batches.shape, [37, 3]);
        close(batches.dataSync(), whole, { rtol: 1e-6, atol: 1e-7 }, `batches of ${batchSize}`);
      }
      model.dispose();
    });

    it('takes many sizes in turn without keeping all their programs', async () => {
      const model = small();
      model.predictOnBatch(clusters(1).x);
      const { programs } = memory();
      for (let size = 2; size < 60; size++) model.predictOnBatch(clusters(size).x).dispose();
      assert.ok(memory().programs - programs <= 16, `${memory().programs - programs} more programs`);
      model.dispose();
    });

    it('of one sample, again and again, is the same while the model rests and while it is trained', async () => {
      const { x, y } = clusters(40);
      const one = tensor(new Float32Array(inputs).fill(0.5), [1, inputs]).keep();
      const model = compiled();
      await model.fit(x, y, { verbose: 0 });
      const wanted = model.predictOnBatch(one).dataSync();
      for (let i = 0; i < 5; i++) assert.deepEqual((await model.predict(one)).dataSync(), wanted);
      // Another model's steps: what a prediction finds under way.
      const fit = compiled().fit(x, y, { epochs: 5, verbose: 0 });
      for (let i = 0; i < 5; i++) assert.deepEqual((await model.predict(one)).dataSync(), wanted);
      await fit;
      assert.deepEqual((await model.predict(one)).dataSync(), wanted);
    });

    it('of no samples is empty', async () => {
      const model = small();
      assert.deepEqual((await model.predict(tensor(new Float32Array(0), [0, inputs]))).shape, [0, 3]);
      model.dispose();
    });

    it('follows the weights as they change', async () => {
      const model = compiled();
      const { x, y } = clusters(16);
      const before = (await model.predict(x)).dataSync();
      await model.fit(x, y, { epochs: 2, verbose: 0 });
      const after = (await model.predict(x)).dataSync();
      assert.notDeepEqual(after, before);
      const weights = model.getWeights();
      model.setWeights(weights.map((weight) => weight.map(() => 0)));
      assert.ok((await model.predict(x)).dataSync().every((p) => Math.abs(p - 1 / 3) < 1e-6));
      model.setWeights(weights);
      assert.deepEqual((await model.predict(x)).dataSync(), after);
      model.compile({ loss: 'sparseCategoricalCrossentropy' });
      await model.trainOnBatch(x, y);
      assert.notDeepEqual((await model.predict(x)).dataSync(), after);
      model.dispose();
    });
  },
  twoBackends,
);

describeBackends(
  'model',
  () => {
    it('shows layers, shapes, parameters and planned memory', () => {
      const model = sequential({
        name: 'digits',
        layers: [
          layers.flatten({ inputShape: [28, 28] }),
          layers.dense({ units: 128, activation: 'relu' }),
          layers.dense({ units: 10, activation: 'softmax', name: 'scores' }),
        ],
      });
      model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
      let shown = '';
      const text = model.summary({
        printFn: (line) => {
          shown = line;
        },
      });
      assert.equal(shown, text);
      for (const part of [
        /Model: "digits"/,
        /flatten \(Flatten\) +\[batch, 784\] +0/,
        /dense \(Dense\) +\[batch, 128\] +100,480/,
        /scores \(Dense\) +\[batch, 10\] +1,290/,
        /Total parameters: 101,770 \(397\.54 KB\)/,
        /Non-trainable parameters: 0/,
        /795\.08 KB adam state/,
      ]) {
        assert.match(text, part);
      }
      model.dispose();
    });

    it('reshapes and activates', async () => {
      const model = sequential({
        layers: [
          layers.reshape({ targetShape: [3, -1], inputShape: [6] }),
          layers.activation({ activation: 'tanh' }),
          layers.dense({ units: 4, useBias: false, kernelInitializer: 'ones' }),
        ],
      });
      assert.deepEqual(model.outputShape([6]), [3, 4]);
      const out = await model.predict(tensor([[0, 1, 2, 3, 4, 5]]));
      assert.deepEqual(out.shape, [1, 3, 4]);
      const sums = [0, 2, 4].map((i) => Math.tanh(i) + Math.tanh(i + 1));
      close(
        out.dataSync(),
        sums.flatMap((value) => [value, value, value, value]),
        near,
      );
      model.dispose();
    });

    it('prints a line an epoch with verbose 2, and nothing with 0', async () => {
      const model = compiled();
      const { x, y } = clusters(20);
      const lines: string[] = [];
      const log = console.log;
      console.log = (line: string) => void lines.push(line);
      try {
        await model.fit(x, y, { epochs: 2, verbose: 0 });
        assert.deepEqual(lines, []);
        await model.fit(x, y, { epochs: 2, verbose: 2, validationSplit: 0.2 });
      } finally {
        console.log = log;
      }
      const shape =
        /^Epoch \d\/2 - \d+\.\d\ds - \d+ steps\/s - loss: [\d.]+ - accuracy: [\d.]+ - val_loss: [\d.]+ - val_accuracy: [\d.]+$/;
      assert.equal(lines.length, 2);
      for (const line of lines) assert.match(line, shape);
      model.dispose();
    });

    it('takes weights back as it gave them, and refuses others', () => {
      const model = small();
      model.build([inputs]);
      const weights = model.getWeights();
      const other = weights.map((weight) => weight.map((w) => w + 1));
      model.setWeights(other);
      assert.deepEqual(model.getWeights(), other);
      assert.throws(
        () => model.setWeights(weights.slice(1)),
        /\[sequential.setWeights\] got 3 weights, expected 4/,
      );
      const wrong = [weights[0]!, new Float32Array(3), weights[2]!, weights[3]!];
      assert.throws(
        () => model.setWeights(wrong),
        /weight 1 \(dense\/bias\) does not fit, got .*3, expected 8/,
      );
      // Nothing is half set.
      assert.deepEqual(model.getWeights(), other);
      model.dispose();
    });

    it('names layers by their kind, and refuses two of one name', () => {
      const model = small();
      assert.deepEqual(
        model.layers.map(({ name }) => name),
        ['dense', 'dense_1'],
      );
      assert.throws(
        () => model.add(layers.dense({ units: 1, name: 'dense' })),
        /two layers have one name, got 'dense'/,
      );
      assert.equal(model.layers.length, 2);
      assert.throws(
        () => model.add(layers.reshape({ targetShape: [7] })),
        /\[reshape\] sizes differ, got samples \[3\]/,
      );
      assert.equal(model.layers.length, 2);
      model.dispose();
    });

    it('makes its weights for the shape that its first layer has, or says that it has none', () => {
      const model = sequential({ layers: [layers.dense({ units: 2, inputShape: [3] })] });
      model.build();
      assert.equal(model.countParams(), 8);
      const open = sequential({ layers: [layers.dense({ units: 2 })] });
      assert.throws(() => open.build(), says('sequential.build', 'the shape of a sample is not known'));
      open.build([4]);
      assert.equal(open.countParams(), 10);
      // A model's shape is that of its first layer, however deep.
      const outer = sequential({ layers: [model, layers.dense({ units: 1 })] });
      outer.build();
      assert.equal(outer.countParams(), 11);
      for (const each of [outer, open]) each.dispose();
    });

    it('frees everything when it is disposed of', async () => {
      const { buffers, programs } = memory();
      const model = compiled();
      const { x, y } = clusters(20);
      await model.fit(x, y, { verbose: 0 });
      (await model.predict(x)).dispose();
      model.dispose();
      x.dispose();
      y.dispose();
      // Ops of the initializers stay loaded; the random state may have been made here.
      assert.ok(memory().buffers <= buffers + 1, `${memory().buffers} buffers, ${buffers} before`);
      assert.ok(memory().programs <= programs + 8, `${memory().programs} programs, ${programs} before`);
    });
  },
  oneBackend,
);
