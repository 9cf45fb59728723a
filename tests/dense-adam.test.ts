// Two Dense layers trained for 20 steps from given weights: losses, accuracies and weights of Keras after each step.
import assert from 'node:assert/strict';
import { layers, type losses, type optimizers, sequential, tensor } from '../src/api.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, flat, modelBackends, type Numbers } from './support/fixtures.ts';

interface Fixture {
  x: number[][];
  y: number[];
  start: number[][];
  cases: {
    name: string;
    loss: losses.LossName;
    optimizer: optimizers.OptimizerName;
    losses: number[];
    accuracies: number[];
    absoluteSums: number[][];
    weights: number[][];
    predictions: Numbers;
  }[];
}

const { x, y, start, cases } = fixture<Fixture>('dense-adam');
const near = { rtol: 1e-5, atol: 1e-5 };
const batch = 8;

function build(loss: losses.LossName, optimizer: optimizers.OptimizerName) {
  const model = sequential({
    layers: [
      layers.dense({ units: 16, activation: 'relu', inputShape: [12] }),
      layers.dense({ units: 5, activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer, loss, metrics: ['accuracy'] });
  model.build([12]);
  model.setWeights(start.map((weight) => Float32Array.from(weight)));
  return model;
}

const labelsFor = (loss: string, classes: readonly number[]) =>
  loss === 'categorical_crossentropy'
    ? tensor(classes.map((label) => Array.from({ length: 5 }, (_, i) => Number(i === label))))
    : tensor(Int32Array.from(classes));

describeBackends(
  'Dense and optimizer as in Keras',
  () => {
    for (const expected of cases) {
      const { name, loss, optimizer } = expected;

      it(`${name}: step by step`, async () => {
        const model = build(loss, optimizer);
        for (let step = 0; step < 20; step++) {
          const from = (step % 5) * batch;
          const labels = labelsFor(loss, y.slice(from, from + batch));
          const logs = await model.trainOnBatch(tensor(x.slice(from, from + batch)), labels);
          close([logs.loss!], [expected.losses[step]!], near, `loss of step ${step + 1}`);
          close([logs.accuracy!], [expected.accuracies[step]!], near, `accuracy of step ${step + 1}`);
          const sums = model.getWeights().map((weight) => weight.reduce((sum, w) => sum + Math.abs(w), 0));
          close(sums, expected.absoluteSums[step]!, near, `sums after step ${step + 1}`);
        }
        model.getWeights().forEach((weight, i) => {
          close(weight, expected.weights[i]!, near, model.weights[i]!.name);
        });
        const predictions = await model.predict(tensor(x.slice(0, 3)));
        close(predictions.dataSync(), flat(expected.predictions), near, 'predictions');
        model.dispose();
      });

      it(`${name}: in one fit`, async () => {
        const model = build(loss, optimizer);
        const seen: number[] = [];
        const options = { epochs: 4, batchSize: batch, shuffle: false, verbose: 0 } as const;
        const callbacks = [
          { onBatchEnd: (_step: number, logs: { loss?: number }) => void seen.push(logs.loss!) },
        ];
        const history = await model.fit(tensor(x), labelsFor(loss, y), { ...options, callbacks });
        close(seen, expected.losses, near, 'losses');
        for (let epoch = 0; epoch < 4; epoch++) {
          const mean = expected.losses.slice(epoch * 5, epoch * 5 + 5).reduce((a, b) => a + b) / 5;
          close([history.history.loss![epoch]!], [mean], near, 'mean of an epoch');
        }
        model.getWeights().forEach((weight, i) => {
          close(weight, expected.weights[i]!, near, model.weights[i]!.name);
        });
        assert.equal(history.steps, 20);
        model.dispose();
      });
    }
  },
  modelBackends,
);
