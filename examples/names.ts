// Character by character: a SimpleRNN and a GRU learn given names and make up new ones, as `npm run example:rnn`.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  backendInfo,
  layers,
  optimizers,
  Philox,
  type Sequential,
  samples,
  sequential,
  setBackend,
  setSeed,
  tensor,
} from '../src/index.ts';
import { live, words } from './live.ts';

const { values: args } = parseArgs({
  args: words,
  options: {
    backend: { type: 'string' },
    epochs: { type: 'string', default: '8' },
    examples: { type: 'string' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    dashboard: { type: 'string' },
  },
});

if (args.backend !== undefined) await setBackend(args.backend as 'native' | 'wasm' | 'auto');
setSeed(Number(args.seed));

const file = join(process.env.NABLA_DATA_DIR ?? 'data', 'names', 'names.txt');
if (!existsSync(file)) {
  console.error(
    `[names] no names found, looked for ${file}; set NABLA_DATA_DIR to a folder with names/names.txt, one name a line`,
  );
  process.exit(1);
}
const names = readFileSync(file, 'utf8').trim().split(/\s+/);
const random = new Philox(Number(args.seed));
const order = random.permutation(names.length).subarray(0, Number(args.examples ?? names.length));
const shuffled = Array.from(order, (i) => names[i]!);
const held = shuffled.slice(Math.floor(0.9 * shuffled.length));
const train = shuffled.slice(0, shuffled.length - held.length);

// Class 0 begins and ends a name. Exact bigram counts of all names reach this many nats a character.
const alphabet = ['.', ...new Set(names.join(''))].sort();
const bigram = 2.454;
const length = 1 + Math.max(...names.map((text) => text.length));

/** Each name's characters after one begin mark, and as one-hot rows the characters to come: none, and so no loss, after the end. */
function encode(texts: readonly string[]) {
  const x = new Int32Array(texts.length * length);
  const y = new Uint8Array(texts.length * length * alphabet.length);
  let count = 0;
  texts.forEach((text, i) => {
    const classes = [...text].map((character) => alphabet.indexOf(character));
    x.set(classes.slice(0, length - 1), i * length + 1);
    for (const [t, next] of [...classes, 0].entries()) y[(i * length + t) * alphabet.length + next] = 1;
    count += classes.length + 1;
  });
  return {
    x: tensor(x, [texts.length, length]).keep(),
    y: samples(tensor(y, [texts.length, length, alphabet.length]).keep(), { scale: 1 }),
    /** What the loss, a mean over all steps, is multiplied by to give nats a character. */
    factor: (texts.length * length) / count,
  };
}

/** Makes up names, a character at a time from the model's probabilities. */
function invent(model: Sequential, count: number): string[] {
  const x = new Int32Array(count * length);
  const made = new Array<string>(count).fill('');
  const open = new Set(made.keys());
  for (let t = 0; t < length && open.size > 0; t++) {
    const probabilities = model.predictOnBatch(tensor(x, [count, length])).dataSync();
    for (const i of open) {
      let rest = random.uniform();
      let next = 0;
      const row = probabilities.subarray((i * length + t) * alphabet.length);
      while (next < alphabet.length - 1 && rest >= row[next]!) rest -= row[next++]!;
      if (next === 0) open.delete(i);
      else made[i] = `${made[i]}${alphabet[next]}`;
      if (t + 1 < length) x[i * length + t + 1] = next;
    }
  }
  return made;
}

const { name, instructionSet, threads } = backendInfo();
console.log(
  `backend: ${name} (${instructionSet}, threads: ${threads}); ${train.length} names, ${held.length} held out`,
);
const trainData = encode(train);
const testData = encode(held);
const results: Record<string, { nats: number; seconds: number; stepsPerSecond: number; names: string[] }> =
  {};

const pages = live(args.dashboard);
for (const kind of ['simpleRNN', 'gru'] as const) {
  const model = sequential({
    layers: [
      layers.embedding({ inputDim: alphabet.length, outputDim: 32, inputShape: [length] }),
      layers[kind]({ units: 128, returnSequences: true }),
      layers.dense({ units: alphabet.length, activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: optimizers.adam({ learningRate: 2e-3 }), loss: 'categoricalCrossentropy' });
  console.log(`\n${kind}, ${model.countParams()} parameters`);
  const history = await model.fit(trainData.x, trainData.y, {
    epochs: Number(args.epochs),
    batchSize: 64,
    validationData: [testData.x, testData.y],
    callbacks: pages,
  });
  const nats = (history.history.val_loss?.at(-1) ?? Number.NaN) * testData.factor;
  const known = new Set(names);
  const invented = invent(model, 20).filter((text) => text !== '' && !known.has(text));
  console.log(
    `${nats.toFixed(4)} nats a character on held-out names (bigram counts: ${bigram}), ${history.seconds.toFixed(1)} s`,
  );
  console.log(`new names: ${invented.join(', ')}`);
  const stepsPerSecond = history.steps / history.seconds;
  results[kind] = { nats, seconds: history.seconds, stepsPerSecond, names: invented };
  model.dispose();
}

if (args.json) console.log(JSON.stringify({ backend: name, bigram, ...results }));
