// What the live page costs a training: processor time with a page that somebody looks at, beside the same training without it.
//
//   npx tsx bench/dashboard.ts [--epochs 20] [--rounds 6]
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  type Callback,
  dashboard,
  generateDigits,
  layers,
  samples,
  sequential,
  setBackend,
  setSeed,
  tensor,
} from '../src/index.ts';

const { values } = parseArgs({
  options: { epochs: { type: 'string', default: '20' }, rounds: { type: 'string', default: '6' } },
});
const epochs = Number(values.epochs);
const count = 20_000;

await setBackend('native', { threads: 1 });
const digits = generateDigits({ count, seed: 1 });
const x = samples(tensor(digits.images, [count, 28, 28, 1], 'uint8'), { scale: 1 / 255 });
const y = tensor(digits.labels);
setSeed(1);
const model = sequential({
  layers: [
    layers.flatten({ inputShape: [28, 28, 1] }),
    layers.dense({ units: 128, activation: 'relu' }),
    layers.dense({ units: 10, activation: 'softmax' }),
  ],
});
model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });

// Nanoseconds for which JavaScript's thread was on a processor: what others run there does not count. Linux only.
const clock = `/proc/self/task/${process.pid}/schedstat`;
const mainThread = () =>
  existsSync(clock) ? Number(readFileSync(clock, 'utf8').split(' ')[0]) / 1e6 : Number.NaN;

/** Somebody who looks: a process of its own, so that its time is not ours. Counts what it is sent. */
const looker = `
  let events = 0, bytes = 0;
  require('node:http').get(process.argv[1] + 'events', (answer) => {
    process.stdout.write('looking\\n');
    answer.on('data', (piece) => { bytes += piece.length; events += piece.toString().split('data: ').length - 1; });
    answer.on('close', () => console.log(JSON.stringify({ events, bytes })));
  }).on('error', () => {});
`;

/** Milliseconds of JavaScript's thread, of all threads, and on the wall; what the page was sent. */
interface Cost {
  readonly main: number;
  readonly all: number;
  readonly wall: number;
  readonly events?: number;
  readonly bytes?: number;
}

async function withPage(): Promise<Cost> {
  const page = dashboard({ port: 0, onOpen: () => {} });
  let child: ChildProcess | undefined;
  let told = '';
  const looking: Callback = {
    async onTrainBegin() {
      child = spawn(process.execPath, ['-e', looker, page.url!], { stdio: ['ignore', 'pipe', 'inherit'] });
      child.stdout!.on('data', (piece: Buffer) => {
        told += piece;
      });
      await once(child.stdout!, 'data');
      begin();
    },
  };
  await model.fit(x, y, { epochs, batchSize: 32, verbose: 0, callbacks: [page, looking] });
  const found = finish();
  const ended = child!.exitCode === null ? once(child!, 'exit') : undefined;
  await page.close();
  await ended;
  return { ...found, ...(JSON.parse(told.split('\n')[1] || '{}') as { events?: number; bytes?: number }) };
}

async function withoutPage(): Promise<Cost> {
  const beginning: Callback = { onTrainBegin: begin };
  await model.fit(x, y, { epochs, batchSize: 32, verbose: 0, callbacks: [beginning] });
  return finish();
}

let began = { main: 0, all: 0, at: 0 };
const processors = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
function begin() {
  began = { main: mainThread(), all: processors(), at: performance.now() };
}
const finish = () => ({
  main: mainThread() - began.main,
  all: processors() - began.all,
  wall: performance.now() - began.at,
});

await withoutPage();
await withPage();
const least = {
  without: { main: Infinity, all: Infinity, wall: Infinity },
  with: { main: Infinity, all: Infinity, wall: Infinity },
};
let sent: Partial<Cost> = {};
for (let round = 0; round < Number(values.rounds); round++) {
  // In turn, so that neither has the quieter half of the time.
  for (const [name, run] of [
    ['without', withoutPage],
    ['with', withPage],
  ] as const) {
    const found: Cost = await run();
    for (const key of ['main', 'all', 'wall'] as const)
      least[name][key] = Math.min(least[name][key], found[key]);
    if (found.events !== undefined) sent = found;
  }
}
const steps = epochs * Math.ceil(count / 32);
for (const [name, { main, all, wall }] of Object.entries(least)) {
  console.log(
    `${name} a page: ${wall.toFixed(0)} ms, ${all.toFixed(0)} ms of processors, ${main.toFixed(1)} ms of them in JavaScript's thread (${steps} steps)`,
  );
}
console.log(`the page was sent ${sent.events} states, ${sent.bytes} bytes`);
const [without, beside] = [least.without, least.with];
const share = (part: number, whole: number) => `${((100 * part) / whole).toFixed(2)} %`;
// States are sent by the clock: on a machine that does other things, or more slowly, there are more of them for the same steps.
console.log(
  `the page takes ${((beside.main - without.main) / sent.events!).toFixed(2)} ms a state, ` +
    `${share(beside.main - without.main, sent.wall!)} of the time of JavaScript's thread, which does not compute`,
);
console.log(
  `processor time of all threads: ${share(beside.all - without.all, without.all)} more than without it`,
);
