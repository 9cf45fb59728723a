// Workload 2 in our own library: a small convolutional network on 28x28 images, batch 64, Adam.
import { oneHot, patterns } from '../peers/data.mjs';
import { nabla, serveOwn, type Training, trainingEntries } from './own.ts';

const [batch, batches] = [64, 4];

function compiled() {
  const { layers } = nabla;
  const model = nabla.sequential({
    layers: [
      layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu', inputShape: [28, 28, 1] }),
      layers.conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
      layers.maxPooling2d({ poolSize: 2 }),
      layers.dropout({ rate: 0.25 }),
      layers.flatten(),
      layers.dense({ units: 128, activation: 'relu' }),
      layers.dense({ units: 10, activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
  return model;
}

function data() {
  const { x, y } = patterns(batches * batch, 28 * 28);
  return [
    nabla.tensor(x, [batches * batch, 28, 28, 1]),
    nabla.tensor(oneHot(y), [batches * batch, 10]),
  ] as const;
}

const training: Training = { compiled, data, batch, batches };
await serveOwn(compiled(), trainingEntries(training));
