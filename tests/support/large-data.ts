// A process that trains on more data than it may hold, twice from a file on disk, and says how much memory it came to need.
import { data, layers, sequential, setBackend } from '../../src/index.ts';

const [backend, file, batches] = process.argv.slice(2) as ['native' | 'wasm', string, string];
await setBackend(backend, { threads: 1 });
const width = 4096;
const rows = 64;
const model = sequential({ layers: [layers.dense({ units: 1, inputShape: [width] })] });
model.compile({ optimizer: 'adam', loss: 'mse' });
const set = data
  .range(Number(batches) * rows)
  .map((i) => [new Float32Array(width).fill((i % 7) / 7), Float32Array.of(i % 2)] as const)
  .cache(file)
  .shuffle(64)
  .batch(rows);
// What the library itself needs is there after a few steps.
await model.fit(set.take(8), { verbose: 0 });
const before = process.memoryUsage.rss();
let most = before;
const timer = setInterval(() => {
  most = Math.max(most, process.memoryUsage.rss());
}, 5);
const { steps } = await model.fit(set, { epochs: 2, verbose: 0 });
clearInterval(timer);
console.log(JSON.stringify({ steps, bytes: steps * rows * width * 4, grown: most - before }));
