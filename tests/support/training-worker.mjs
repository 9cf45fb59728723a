// A worker thread that trains natively: once, reporting its losses, or for ever, reporting when it has begun.
import { parentPort, workerData } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

// A worker thread does not inherit the loader that reads TypeScript.
register();
const { layers, sequential, setBackend, setSeed, tensor } = await import('../../src/index.ts');

await setBackend('native', { threads: 2 });
setSeed(1);
const model = sequential({
  layers: [layers.dense({ units: 256, inputShape: [256] }), layers.dense({ units: 8 })],
});
model.compile({ optimizer: 'adam', loss: 'mse' });
const x = tensor(
  Float32Array.from({ length: 512 * 256 }, (_, i) => Math.sin(i)),
  [512, 256],
);
const y = tensor(
  Float32Array.from({ length: 512 * 8 }, (_, i) => Math.cos(i)),
  [512, 8],
);
if (workerData.endless) {
  await model.fit(x, y, { epochs: 1, verbose: 0 });
  parentPort.postMessage('begun');
  await model.fit(x, y, { epochs: 1_000_000, verbose: 0 });
} else {
  const { history } = await model.fit(x, y, { epochs: 3, verbose: 0 });
  parentPort.postMessage(history.loss);
}
