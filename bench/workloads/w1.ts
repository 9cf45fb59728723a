// Workload 1 in our own library: MLP 784-128-10, batch 32, Adam; and prediction.
import type { Entry } from '../peers/protocol.mjs';
import { batch, batches, inputs, targets } from '../peers/w1-data.mjs';
import { nabla, serveOwn, type Training, trainingEntries } from './own.ts';

function network() {
  const { sequential, layers } = nabla;
  return sequential({
    layers: [
      layers.flatten({ inputShape: [28, 28] }),
      layers.dense({ units: 128, activation: 'relu' }),
      layers.dense({ units: 10, activation: 'softmax' }),
    ],
  });
}

function compiled() {
  const model = network();
  model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
  return model;
}

function data() {
  const count = batches * batch;
  return [
    nabla.tensor(inputs(1, count)[0]!, [count, 28, 28]),
    nabla.tensor(targets(1, count)[0]!, [count, 10]),
  ] as const;
}

const predict =
  (rows: number): Entry =>
  async () => {
    const model = network();
    const xs = inputs(8, rows).map((x) => nabla.tensor(x, [rows, 28, 28]));
    const run = async (n: number) => {
      for (let i = 0; i < n; i++) {
        const y = await model.predict(xs[i % 8]!);
        y.dataSync();
        y.dispose();
      }
      return { steps: n };
    };
    await run(20);
    return run;
  };

const training: Training = { compiled, data, batch, batches };
await serveOwn(compiled(), {
  ...trainingEntries(training),
  'predict1/predict': predict(1),
  'predict1024/predict': predict(1024),
});
