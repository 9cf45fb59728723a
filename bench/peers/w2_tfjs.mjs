// Workload 2 in TF.js: a small convolutional network, batch 64, Adam.
import { oneHot, patterns } from './data.mjs';
import { serveTf, tf, training } from './tfjs.mjs';

const [batch, batches] = [64, 4];

function make() {
  const { conv2d, maxPooling2d, dropout, flatten, dense } = tf.layers;
  const model = tf.sequential({
    layers: [
      conv2d({ filters: 32, kernelSize: 3, activation: 'relu', inputShape: [28, 28, 1] }),
      conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
      maxPooling2d({ poolSize: 2 }),
      dropout({ rate: 0.25 }),
      flatten(),
      dense({ units: 128, activation: 'relu' }),
      dense({ units: 10 }),
    ],
  });
  return (x, y) => tf.losses.softmaxCrossEntropy(y, model.apply(x, { training: true }));
}

function data() {
  const { x, y } = patterns(batches * batch, 28 * 28);
  const [rows, targets] = [
    tf.tensor(x, [batches * batch, 28, 28, 1]),
    tf.tensor(oneHot(y), [batches * batch, 10]),
  ];
  return [tf.split(rows, batches), tf.split(targets, batches)];
}

const optimizer = () => tf.train.adam(1e-3);
await serveTf({ 'train/wasm': training('wasm', { make, data, optimizer }) });
