// Workload 1 in TF.js on its WASM and its plain JavaScript backend: MLP 784-128-10, batch 32, Adam; and prediction.
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { missing, need, serve, threads } from './protocol.mjs';
import { batch, batches, inputs, targets } from './w1-data.mjs';

const { default: tf } = await need('@tensorflow/tfjs');
const wasm = await need('@tensorflow/tfjs-backend-wasm');
// It has threads in browsers only; in Node its threaded module is not loaded.
if (threads > 1) missing('has no threads in Node');

const require = createRequire(import.meta.url);
wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
tf.enableProdMode();

async function network(backend) {
  if (!(await tf.setBackend(backend))) throw new Error(`the backend '${backend}' did not start`);
  const dense = tf.layers.dense;
  const hidden = dense({ units: 128, activation: 'relu', inputShape: [784] });
  return tf.sequential({ layers: [hidden, dense({ units: 10, activation: 'softmax' })] });
}

// Written with the core API: model.trainOnBatch takes a third longer.
const train = (backend) => async () => {
  const model = await network(backend);
  const optimizer = tf.train.adam(1e-3);
  const xs = inputs(batches, batch).map((x) => tf.tensor2d(x, [batch, 784]));
  const ys = targets(batches, batch).map((y) => tf.tensor2d(y, [batch, 10]));
  const [w1, b1, w2, b2] = model.getWeights().map((w) => tf.variable(w));
  const logits = (x) => tf.relu(x.matMul(w1).add(b1)).matMul(w2).add(b2);
  const run = async (n) => {
    await tf.setBackend(backend);
    let last;
    for (let i = 0; i < n; i++) {
      const loss = optimizer.minimize(
        () => tf.losses.softmaxCrossEntropy(ys[i % batches], logits(xs[i % batches])),
        true,
      );
      last = loss.dataSync()[0];
      loss.dispose();
    }
    return { steps: n, loss: last };
  };
  await run(10);
  return run;
};

const predict = (backend, rows) => async () => {
  const model = await network(backend);
  const xs = inputs(8, rows).map((x) => tf.tensor2d(x, [rows, 784]));
  const run = async (n) => {
    await tf.setBackend(backend);
    for (let i = 0; i < n; i++) {
      const y = model.predict(xs[i % 8]);
      y.dataSync();
      y.dispose();
    }
    return { steps: n };
  };
  await run(5);
  return run;
};

await serve(
  { name: 'TF.js', family: 'wasm', version: tf.version.tfjs },
  {
    'train/wasm': train('wasm'),
    'train/cpu': train('cpu'),
    'predict1/wasm': predict('wasm', 1),
    'predict1/cpu': predict('cpu', 1),
    'predict1024/wasm': predict('wasm', 1024),
    'predict1024/cpu': predict('cpu', 1024),
  },
);
