// A process that imports TF.js with its WASM backend, makes the network of workload 1 and predicts one sample.
import { tf, use } from './tfjs.mjs';

await use('wasm');
const { dense } = tf.layers;
const model = tf.sequential({
  layers: [
    dense({ units: 128, activation: 'relu', inputShape: [784] }),
    dense({ units: 10, activation: 'softmax' }),
  ],
});
model.predict(tf.zeros([1, 784])).dataSync();
