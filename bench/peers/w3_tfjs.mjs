// Workload 3 in TF.js: an LSTM of 128 units over 100 steps of 64 features, batch 32, Adam.
import { oneHot, patterns } from './data.mjs';
import { serveTf, tf, training } from './tfjs.mjs';

const [batch, batches, time, features] = [32, 4, 100, 64];

function make() {
  const { lstm, dense } = tf.layers;
  const model = tf.sequential({
    layers: [
      lstm({ units: 128, inputShape: [time, features], recurrentInitializer: 'glorotUniform' }),
      dense({ units: 10 }),
    ],
  });
  return (x, y) => tf.losses.softmaxCrossEntropy(y, model.apply(x, { training: true }));
}

function data() {
  const { x, y } = patterns(batches * batch, time * features);
  const rows = tf.tensor(x, [batches * batch, time, features]);
  return [tf.split(rows, batches), tf.split(tf.tensor(oneHot(y), [batches * batch, 10]), batches)];
}

const optimizer = () => tf.train.adam(1e-3);
await serveTf({
  'train/wasm': training('wasm', { make, data, optimizer }),
  'train/cpu': training('cpu', { make, data, optimizer }),
});
