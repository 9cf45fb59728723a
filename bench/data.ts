// Training from a folder of small PNG files beside training from memory: how much of the speed is kept while a second core decodes.
//
// For a model of about 1 ms a step (two layers of 400 units) and the usual small one (128), and file by file what the worker thread does.
//
//   npx tsx bench/data.ts [--images 20000] [--rounds 3] [--units 400,128] [--folder DIR]
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { bytesOf, decodeFiles } from '../src/data/images.ts';
import { decodePng } from '../src/data/png.ts';
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
    units: { type: 'string', default: '400,128' },
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

function makeModel(units: number) {
  setSeed(1);
  const hidden = () => layers.dense({ units, activation: 'relu' });
  const model = sequential({
    layers: [
      // Pixels stay bytes on their way, a quarter of what float32 takes.
      layers.rescaling({ scale: 1 / 255, inputShape: [size, size, 1] }),
      layers.flatten(),
      hidden(),
      ...(units > 128 ? [hidden()] : []),
      layers.dense({ units: 10, activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy' });
  return model;
}

const x = samples(tensor(digits.images, [count, size, size, 1], 'uint8'));
const y = tensor(digits.labels);
const files = await data.imageFolder(folder, { colorMode: 'grayscale', seed: 1 });
const cached = (await data.imageFolder(folder, { colorMode: 'grayscale', shuffle: false }))
  .cache()
  .shuffle(count, { seed: 1 });

const options = { batchSize, verbose: 0 } as const;

/** What a second core at work costs the first by itself: heat, caches, and cores that are half of one. */
async function besideBusyThread<T>(run: () => Promise<T>): Promise<T> {
  const worker = new Worker('let n = 0; for (;;) n++;', { eval: true });
  await once(worker, 'online');
  try {
    return await run();
  } finally {
    await worker.terminate();
  }
}

/** Least times of the parts of a worker's work on one file, in microseconds: a part is timed over as many files as a batch has. */
async function fileTimes(): Promise<Map<string, number>> {
  const presentation = { colorMode: 'grayscale' } as const;
  const tasks = Array.from({ length: 64 }, (_, i) =>
    files.files.slice(i * batchSize, (i + 1) * batchSize),
  ).filter(({ length }) => length === batchSize);
  const bytes = tasks.map((paths) => paths.map((path) => new Uint8Array(readFileSync(path))));
  const parts: Record<string, (task: number) => unknown> = {
    'open, read, close': (task) => tasks[task]!.map(bytesOf),
    'unpack and undo filters': (task) => bytes[task]!.map(decodePng),
    'all, into a batch': (task) => decodeFiles({ paths: tasks[task]!, options: presentation }),
  };
  const least = new Map<string, number>();
  for (const [name, run] of Object.entries(parts)) {
    const best = new Float64Array(tasks.length).fill(Number.POSITIVE_INFINITY);
    for (let round = 0; round < 20; round++)
      for (let task = 0; task < tasks.length; task++) {
        const began = performance.now();
        await run(task);
        best[task] = Math.min(best[task]!, performance.now() - began);
      }
    least.set(name, (1000 * best.reduce((a, b) => a + b, 0)) / best.length / batchSize);
  }
  return least;
}

console.log('one file, microseconds in the worker thread:');
for (const [name, time] of await fileTimes()) console.log(`  ${name}: ${time.toFixed(2)}`);

for (const units of values.units.split(',').map(Number)) {
  const model = makeModel(units);
  const ways = {
    memory: () => model.fit(x, y, options),
    'memory, a thread busy beside it': () => besideBusyThread(() => model.fit(x, y, options)),
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
  console.log(`${units} units, the best of ${values.rounds} rounds:`);
  for (const [name, rate] of best) {
    const share = ((100 * rate) / memory).toFixed(1);
    const time = `${(1000 / rate).toFixed(3)} ms a step (${cost.get(name)!.toFixed(3)} ms of processors)`;
    console.log(`  ${name}: ${rate.toFixed(0)} steps/s, ${time}, ${share} % of memory`);
  }
}
