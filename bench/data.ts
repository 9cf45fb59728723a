// Training from a folder of small PNG files beside training from memory: how much of the speed is kept while a second core decodes.
//
//   npx tsx bench/data.ts [--images 20000] [--rounds 3] [--units 512] [--folder DIR]
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import {
  data,
  generateDigits,
  layers,
  samples,
  sequential,
  setBackend,
  setSeed,
  tensor,
} from '../src/index.ts';
import { encodePng } from '../tests/support/png.ts';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '3' },
    units: { type: 'string', default: '512' },
    folder: { type: 'string' },
  },
});
const count = Number(values.images);
const size = 28;
const batchSize = 32;
const folder = values.folder ?? join(tmpdir(), `nabla-bench-png-${count}`);

const digits = generateDigits({ count, seed: 1 });
if (!existsSync(join(folder, 'complete'))) {
  console.log(`writing ${count} PNG files to ${folder}`);
  for (let label = 0; label < 10; label++) mkdirSync(join(folder, String(label)), { recursive: true });
  for (let i = 0; i < count; i++) {
    const pixels = digits.images.subarray(i * size * size, (i + 1) * size * size);
    const file = encodePng({ width: size, height: size, colour: 0, samples: pixels, filter: 1 });
    writeFileSync(join(folder, String(digits.labels[i]), `${i}.png`), file);
  }
  writeFileSync(join(folder, 'complete'), '');
}

// One thread trains, so that a core of two is left for the files.
await setBackend('native', { threads: 1 });
const units = Number(values.units);

function makeModel() {
  setSeed(1);
  const model = sequential({
    layers: [
      layers.flatten({ inputShape: [size, size, 1] }),
      layers.dense({ units, activation: 'relu' }),
      layers.dense({ units, activation: 'relu' }),
      layers.dense({ units: 10, activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy' });
  return model;
}

const x = samples(tensor(digits.images, [count, size, size, 1], 'uint8'), { scale: 1 / 255 });
const y = tensor(digits.labels);
const files = await data.imageFolder(folder, { colorMode: 'grayscale', scale: 1 / 255, seed: 1 });
const cached = (await data.imageFolder(folder, { colorMode: 'grayscale', scale: 1 / 255, shuffle: false }))
  .cache()
  .shuffle(count, { seed: 1 });

const model = makeModel();
const options = { batchSize, verbose: 0 } as const;
/** What a second core at work costs the first by itself: heat, caches, and cores that are half of one. */
async function besideBusyThread() {
  const worker = new Worker('let n = 0; for (;;) n++;', { eval: true });
  await once(worker, 'online');
  try {
    return await model.fit(x, y, options);
  } finally {
    await worker.terminate();
  }
}

const ways = {
  memory: () => model.fit(x, y, options),
  'memory, a thread busy beside it': besideBusyThread,
  'PNG files': () => model.fit(files, options),
  'PNG files, cached': () => model.fit(cached, options),
};
const best = new Map<string, number>();
// Processor time of all threads: what a step costs, whatever else the machine does.
const cost = new Map<string, number>();
const round = async (keep: boolean) => {
  for (const [name, run] of Object.entries(ways)) {
    const before = process.cpuUsage();
    const { steps, seconds } = await run();
    const { user, system } = process.cpuUsage(before);
    if (!keep) continue;
    best.set(name, Math.max(best.get(name) ?? 0, steps / seconds));
    cost.set(name, Math.min(cost.get(name) ?? Number.POSITIVE_INFINITY, (user + system) / 1000 / steps));
  }
};
await round(false);
for (let i = 0; i < Number(values.rounds); i++) await round(true);
const memory = best.get('memory')!;
for (const [name, rate] of best) {
  const share = ((100 * rate) / memory).toFixed(1);
  const time = `${(1000 / rate).toFixed(3)} ms a step (${cost.get(name)!.toFixed(3)} ms of processors)`;
  console.log(`${name}: ${rate.toFixed(0)} steps/s, ${time}, ${share} % of memory`);
}
