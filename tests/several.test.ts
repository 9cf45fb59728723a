// Models of several inputs and outputs: as in Keras, given in order or by name, nested, and what is refused.
import assert from 'node:assert/strict';
import {
  input,
  layers,
  model,
  NablaError,
  optimizers,
  regularizers,
  samples,
  sequential,
  tensor,
} from '../src/index.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';
import { fixture, modelBackends, type Numbers, numbers, oneBackend } from './support/fixtures.ts';

interface Fixture {
  a: Numbers;
  b: Numbers;
  price: Numbers;
  kind: number[];
  start: number[][];
  fits: {
    name: string;
    options: { lossWeights?: Record<string, number>; sampleWeight?: number[] | Record<string, number[]> };
    history: Record<string, number[]>;
    weights: number[][];
    evaluated: Record<string, number>;
  }[];
}

const keras = fixture<Fixture>('models');
const near = { rtol: 2e-5, atol: 1e-5 };
const data = () => ({
  a: numbers(keras.a),
  b: numbers(keras.b),
  price: numbers(keras.price),
  kind: numbers(keras.kind, 'int32'),
});

/** The fixture's model: two branches through one encoder, two outputs. */
function kerasModel(options: { lossWeights?: Record<string, number> } = {}) {
  const [a, b] = [input({ shape: [3], name: 'a' }), input({ shape: [4], name: 'b' })];
  const encoder = sequential({
    name: 'encoder',
    layers: [
      layers.dense({
        units: 5,
        activation: 'tanh',
        inputShape: [5],
        kernelRegularizer: regularizers.l2({ l2: 0.02 }),
      }),
    ],
  });
  const branches = [5, 5].map((units) => layers.dense({ units, activation: 'relu' }));
  const both = layers
    .concatenate()
    .apply([encoder.apply(branches[0]!.apply(a)), encoder.apply(branches[1]!.apply(b))]);
  const price = layers.dense({ units: 2, name: 'price' });
  const kind = layers.dense({ units: 3, activation: 'softmax', name: 'kind' });
  const network = model({ inputs: [a, b], outputs: [price.apply(both), kind.apply(both)] });
  network.compile({
    optimizer: optimizers.adam({ learningRate: 0.05 }),
    loss: { price: 'mse', kind: 'sparseCategoricalCrossentropy' },
    metrics: { price: ['mae'], kind: ['accuracy'] },
    ...options,
  });
  network.build();
  const parts = [...branches, encoder, price, kind];
  const weights = () => parts.flatMap((part) => part.weights);
  weights().forEach((weight, i) => {
    weight.assign(tensor(Float32Array.from(keras.start[i]!), weight.shape));
  });
  return { network, encoder, branches, weights };
}

describeBackends(
  'two inputs and two outputs as in Keras',
  () => {
    for (const { name, options, history: expected, weights: trained, evaluated } of keras.fits) {
      it(name, async () => {
        const { lossWeights, sampleWeight } = options;
        const { network, weights } = kerasModel(lossWeights && { lossWeights });
        const { a, b, price, kind } = data();
        const settings = { batchSize: 4, shuffle: false, verbose: 0, sampleWeight } as const;
        const { history } = await network.fit({ b, a }, { kind, price }, settings);
        assert.deepEqual(Object.keys(history).toSorted(), Object.keys(expected).toSorted());
        for (const [key, values] of Object.entries(expected)) close(history[key]!, values, near, key);
        weights().forEach((weight, i) => {
          close(weight.dataSync(), trained[i]!, near, weight.name);
        });
        const logs = await network.evaluate([a, b], [price, kind], { batchSize: 5 });
        for (const [key, value] of Object.entries(evaluated)) close([logs[key]!], [value], near, key);
        network.dispose();
      });
    }
  },
  modelBackends,
);

describeBackends(
  'several inputs and outputs',
  () => {
    it('are told in order, by name, or held in samples, and validated', async () => {
      const { a, b, price, kind } = data();
      const runs = [
        { x: [a, b], y: [price, kind] },
        { x: { a, b }, y: { kind, price } },
        { x: [keras.a, keras.b], y: [keras.price, samples(kind)] },
      ];
      const histories = [];
      for (const { x, y } of runs) {
        const { network } = kerasModel();
        const validationData = [x, y] as const;
        const { history } = await network.fit(x, y, {
          epochs: 2,
          batchSize: 5,
          shuffle: false,
          verbose: 0,
          validationData,
        });
        histories.push(history);
        network.dispose();
      }
      assert.deepEqual(histories[1], histories[0]);
      assert.deepEqual(histories[2], histories[0]);
      const names = ['loss', 'price_loss', 'kind_loss', 'price_mae', 'kind_accuracy'];
      assert.deepEqual(Object.keys(histories[0]!), [...names, ...names.map((name) => `val_${name}`)]);
    });

    it('are predicted as they were put together', async () => {
      const { network } = kerasModel();
      const { a, b, price, kind } = data();
      const [p, k] = network.predictOnBatch({ a, b });
      assert.deepEqual([p.shape, k.shape], [price.shape, [12, 3]]);
      const [inBatches] = await network.predict([a, b], { batchSize: 5 });
      close(inBatches.dataSync(), p.dataSync(), near);
      const logs = await network.trainOnBatch([a, b], [price, kind]);
      assert.deepEqual(Object.keys(logs), ['loss', 'price_loss', 'kind_loss', 'price_mae', 'kind_accuracy']);

      const x = input({ shape: [3] });
      const doubled = layers.add().apply([x, x]);
      const named = model({ inputs: { x }, outputs: { twice: doubled, same: x } });
      const made = named.predictOnBatch({ x: [[1, 2, 3]] });
      assert.deepEqual([made.twice.arraySync(), made.same.arraySync()], [[[2, 4, 6]], [[1, 2, 3]]]);
      assert.deepEqual(Object.keys(made), ['twice', 'same']);
    });

    it('may be trained in part: null leaves an output out', async () => {
      const { network, weights } = kerasModel();
      network.compile({ optimizer: 'sgd', loss: { price: 'mse', kind: null } });
      const { a, b, price } = data();
      const before = weights().map((weight) => weight.dataSync());
      const { history } = await network.fit([a, b], price, { verbose: 0 });
      assert.deepEqual(Object.keys(history), ['loss']);
      const after = weights().map((weight) => weight.dataSync());
      assert.notDeepEqual(after[0], before[0]);
      assert.deepEqual(after.slice(8), before.slice(8));
    });

    it('have one loss for all, and metrics under names that differ', async () => {
      const x = input({ shape: [2] });
      const shared = layers.dense({ units: 2, name: 'same' });
      const network = model({ inputs: x, outputs: [shared.apply(x), shared.apply(shared.apply(x))] });
      network.compile({ optimizer: 'sgd', loss: 'mse', metrics: [['mae', 'mae'], 'mse'] });
      const y = tensor([[1, 2]]);
      const logs = await network.evaluate(tensor([[1, 2]]), [y, y]);
      assert.deepEqual(Object.keys(logs), [
        'loss',
        'same_loss',
        'same_1_loss',
        'same_mae',
        'same_mae_1',
        'same_1_mse',
      ]);
      close([logs.loss!], [logs.same_loss! + logs.same_1_loss!], near);
      close([logs.same_1_loss!], [logs.same_1_mse!], near);
    });
  },
  modelBackends,
);

describeBackends(
  'several inputs and outputs refuse',
  () => {
    it('data that do not fit them', async () => {
      const { network } = kerasModel();
      const { a, b, price, kind } = data();
      const refused: [Parameters<typeof network.fit>, ...(string | RegExp)[]][] = [
        [[[a], [price, kind]], 'wrong number of arrays in x, got 1, expected 2 (a, b)'],
        [[a, [price, kind]], 'wrong number of arrays in x, got 1, expected 2'],
        [[{ a, c: b }, [price, kind]], "unknown name in x, got 'c', expected one of a, b"],
        [[{ a }, [price, kind]], "x lacks 'b', got a, expected a, b"],
        [[[a, b], price], 'wrong number of arrays in y, got 1, expected 2 (price, kind)'],
        [[[a, b], { price, sort: kind }], "unknown name in y, got 'sort'"],
        [[[a, b], undefined], 'wrong number of arrays in y'],
        [
          [
            [b, a],
            [price, kind],
          ],
          "samples of 'a' do not fit, got shape [4] a sample, expected [3]",
        ],
        [
          [
            [a, tensor([[1, 2, 3, 4]])],
            [price, kind],
          ],
          'inputs differ in length, got 12 and 1',
        ],
        [
          [
            [a, b],
            [price, tensor([1], undefined, 'int32')],
          ],
          'got 12 samples and 1 labels',
        ],
        [
          [[a, b], [price, kind], { classWeight: { 1: 2 } }],
          'classWeight is for models of one output, got 2',
        ],
        [[[a, b], [price, kind], { sampleWeight: { price: [1] } }], "sampleWeight lacks 'kind'"],
      ];
      for (const [args, ...parts] of refused) {
        await assert.rejects(network.fit(...args), says('functional.fit', ...parts), String(parts[0]));
      }
      assert.throws(() => network.predictOnBatch([a]), says('functional.predictOnBatch', 'wrong number'));
      await assert.rejects(
        network.predict([a, tensor([[1, 2, 3, 4]])]),
        says('functional.predict', 'inputs differ in length'),
      );
    });

    it('losses and metrics that do not fit them', () => {
      const { network } = kerasModel();
      const compile = (options: object) => () => network.compile(bad(options));
      const refused: [object, string][] = [
        [{}, 'loss is missing'],
        [{ loss: { price: 'mse' } }, "loss of output 'kind' is missing, got price, expected price, kind"],
        [{ loss: { price: 'mse', kin: 'mse' } }, "unknown output in loss, got 'kin'"],
        [{ loss: ['mse'] }, 'bad loss, got an array of 1, expected 2, one an output: price, kind'],
        [{ loss: 'mse', lossWeights: [1] }, 'bad lossWeights, got an array of 1, expected 2'],
        [{ loss: 'mse', lossWeights: [1, 'x'] }, "bad lossWeights, got 'x', expected finite numbers"],
        [{ loss: 'mse', metrics: ['mae'] }, 'bad metrics, got an array of 1, expected 2'],
        [{ loss: 'mse', metrics: { cost: 'mae' } }, "unknown output in metrics, got 'cost'"],
      ];
      for (const [options, message] of refused)
        assert.throws(compile(options), says('functional.compile', message), message);
    });

    it('graphs that are none', () => {
      const x = input({ shape: [2] });
      const y = layers.dense({ units: 2 }).apply(x);
      const refused: [() => unknown, RegExp][] = [
        [() => model({ inputs: [x, x], outputs: y }), /bad inputs, got one of them twice/],
        [
          () => model({ inputs: [], outputs: y }),
          /bad inputs, got \[\], expected what input\(\) or a layer gives/,
        ],
        [
          () => model({ inputs: y, outputs: y }),
          /bad inputs, got what dense gives, expected what input\(\) gives/,
        ],
        [() => model({ inputs: x, outputs: [y, input({ shape: [1] })] }), /depends on another input/],
      ];
      for (const [call, message] of refused)
        assert.throws(call, (error: Error) => error instanceof NablaError && message.test(error.message));
    });
  },
  oneBackend,
);
