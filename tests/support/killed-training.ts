// A process that trains with a backup after every other step, goes on from the one it finds, and writes its weights when it is done.
import { writeFileSync } from 'node:fs';
import {
  backupAndRestore,
  type Callback,
  layers,
  sequential,
  setBackend,
  setSeed,
  tensor,
} from '../../src/index.ts';

const [backend, backup, result] = process.argv.slice(2) as ['native' | 'wasm', string, string];
await setBackend(backend, { threads: 1 });
setSeed(5);
const model = sequential({
  layers: [
    layers.dense({ units: 96, activation: 'relu', inputShape: [64] }),
    layers.dropout({ rate: 0.3 }),
    layers.dense({ units: 96, activation: 'tanh' }),
    layers.dense({ units: 1 }),
  ],
});
model.compile({ optimizer: 'adam', loss: 'mse' });
const x = tensor(
  Float32Array.from({ length: 100 * 64 }, (_, i) => Math.sin(i * i)),
  [100, 64],
);
const y = tensor(
  Float32Array.from({ length: 100 }, (_, i) => Math.cos(i)),
  [100, 1],
);
let told = false;
const tell: Callback = {
  onBatchEnd() {
    if (!told) process.stdout.write('training\n');
    told = true;
  },
};
await model.fit(x, y, {
  epochs: 12,
  batchSize: 8,
  verbose: 0,
  callbacks: [backupAndRestore({ path: backup, saveFreq: 2 }), tell],
});
writeFileSync(result, model.toBytes());
