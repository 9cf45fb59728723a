// Workload 1 in our own library: MLP 784-128-10, batch 32, Adam; and prediction. Speaks the peers' line protocol.
import manifest from '../../package.json' with { type: 'json' };
import { missing, serve, threads } from '../peers/protocol.mjs';
import { batch, batches, inputs, targets } from '../peers/w1-data.mjs';

const backend = process.argv[2] ?? 'native';
process.env.NABLA_BACKEND = backend;
process.env.NABLA_THREADS = String(threads);

const nabla = await import('../../src/index.ts').catch((error: unknown) => missing(error));

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

/** Whole epochs of `fit` over the same 64 batches as the peers take, shuffled anew each epoch. */
async function fit() {
  const model = compiled();
  const x = nabla.tensor(inputs(1, batches * batch)[0]!, [batches * batch, 28, 28]);
  const y = nabla.tensor(targets(1, batches * batch)[0]!, [batches * batch, 10]);
  const run = async (n: number) => {
    const epochs = Math.ceil(n / batches);
    const { history } = await model.fit(x, y, { epochs, batchSize: batch, verbose: 0 });
    return { steps: epochs * batches, loss: history.loss?.at(-1) };
  };
  await run(batches);
  return run;
}

/** One call from JavaScript a step. */
async function trainOnBatch() {
  const model = compiled();
  const xs = inputs(batches, batch).map((x) => nabla.tensor(x, [batch, 28, 28]));
  const ys = targets(batches, batch).map((y) => nabla.tensor(y, [batch, 10]));
  const run = async (n: number) => {
    let loss: number | undefined;
    for (let i = 0; i < n; i++) {
      ({ loss } = await model.trainOnBatch(xs[i % batches]!, ys[i % batches]!));
    }
    return { steps: n, loss };
  };
  await run(50);
  return run;
}

const predict = (rows: number) => async () => {
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

await serve(
  { name: `Nabla ${backend}`, version: manifest.version },
  {
    'train/fit': fit,
    'train/trainOnBatch': trainOnBatch,
    'predict1/predict': predict(1),
    'predict1024/predict': predict(1024),
  },
);
