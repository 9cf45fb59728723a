// Workload 3 in our own library: an LSTM of 128 units over 100 steps of 64 features, batch 32, Adam.
import { oneHot, patterns } from '../peers/data.mjs';
import { nabla, serveOwn, type Training, trainingEntries } from './own.ts';

const [batch, batches, time, features] = [32, 4, 100, 64];

function compiled() {
  const { layers } = nabla;
  const model = nabla.sequential({
    layers: [
      layers.lstm({ units: 128, inputShape: [time, features] }),
      layers.dense({ units: 10, activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
  return model;
}

function data() {
  const { x, y } = patterns(batches * batch, time * features);
  return [
    nabla.tensor(x, [batches * batch, time, features]),
    nabla.tensor(oneHot(y), [batches * batch, 10]),
  ] as const;
}

const training: Training = { compiled, data, batch, batches };
await serveOwn(compiled(), trainingEntries(training));
