// A GPT that writes Shakespeare character by character, as `npm run example:transformer`: nanoGPT's CPU configuration, with
// rotary positions besides the learned ones.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  backendInfo,
  initializers,
  layers,
  losses,
  type Model,
  memory,
  optimizers,
  Philox,
  sequential,
  setBackend,
  setDtypePolicy,
  setSeed,
  tensor,
} from '../src/index.ts';
import { live, words } from './live.ts';

const { values: args } = parseArgs({
  args: words,
  options: {
    backend: { type: 'string' },
    iterations: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string' },
    dtype: { type: 'string', default: 'float32' },
    length: { type: 'string', default: '500' },
    temperature: { type: 'string', default: '0.8' },
    'top-k': { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
    dashboard: { type: 'string' },
  },
});

const time = 64; // characters that the model sees
const width = 128;
const blocks = 4;
const heads = 4;
const batchSize = 12;
const iterations = Number(args.iterations);
const seed = Number(args.seed);

if (args.threads !== undefined) process.env.NABLA_THREADS = args.threads;
if (args.backend !== undefined) await setBackend(args.backend as 'native' | 'wasm' | 'auto');
setSeed(seed);
// `--dtype mixed_bfloat16` or `mixed_float16` keeps activations in half the memory; the logits stay as exact as they were.
setDtypePolicy(args.dtype as 'float32' | 'mixed_bfloat16' | 'mixed_float16');
const random = new Philox(seed, 2);

// The text as numbers: nine tenths to train on, the rest to judge by.
const folder = process.env.NABLA_DATA_DIR;
if (folder === undefined) {
  console.error('Set NABLA_DATA_DIR to a folder that holds tinyshakespeare/input.txt.');
  process.exit(1);
}
const text = readFileSync(join(folder, 'tinyshakespeare/input.txt'), 'utf8');
const alphabet = [...new Set(text)].sort();
const numberOf = new Map(alphabet.map((letter, i) => [letter, i]));
const codes = Int32Array.from(text, (letter) => numberOf.get(letter)!);
const cut = Math.floor(codes.length * 0.9);
const [train, held] = [codes.subarray(0, cut), codes.subarray(cut)];

/** Windows of a text that begin at the given places, and the same a character later. */
function windows(source: Int32Array, starts: readonly number[]) {
  const take = (shift: number) => {
    const rows = new Int32Array(starts.length * time);
    starts.forEach((start, i) => {
      rows.set(source.subarray(start + shift, start + shift + time), i * time);
    });
    return tensor(rows, [starts.length, time]).keep();
  };
  return { x: take(0), y: take(1) };
}

const anywhere = (count: number) => Array.from({ length: count }, () => random.int(train.length - time));
const everywhere = Array.from({ length: Math.floor((held.length - 1) / time) }, (_, i) => i * time);

// GPT-2's initial values: products that end in a shortcut are smaller, so that the sum over the blocks is not.
const initializer = (stddev: number) => initializers.randomNormal(0, stddev);
const embedding = layers.tokenAndPositionEmbedding({
  vocabularySize: alphabet.length,
  sequenceLength: time,
  embeddingDim: width,
  embeddingsInitializer: initializer(0.02),
  inputShape: [time],
});
const block = () =>
  layers.transformerBlock({
    numHeads: heads,
    useCausalMask: true,
    useBias: false,
    rotary: true,
    kernelInitializer: initializer(0.02),
    outputInitializer: initializer(0.02 / Math.sqrt(2 * blocks)),
  });
const model = sequential({
  name: 'gpt',
  layers: [
    embedding,
    ...Array.from({ length: blocks }, block),
    layers.layerNormalization({ epsilon: 1e-5, center: false }),
    layers.tiedProjection({ embedding, dtype: 'float32' }),
  ],
});
const warmupSteps = Math.min(100, Math.ceil(iterations / 20));
model.compile({
  optimizer: optimizers.adamw({
    learningRate: optimizers.schedules.cosineDecay({
      initialLearningRate: 1e-5,
      warmupTarget: 1e-3,
      warmupSteps,
      decaySteps: Math.max(1, iterations - warmupSteps),
      alpha: 0.1,
    }),
    beta2: 0.99,
    weightDecay: 0.1,
    globalClipnorm: 1,
  }),
  loss: losses.sparseCategoricalCrossentropy({ fromLogits: true }),
});

const { name: backend, instructionSet, threads } = backendInfo();
console.log(`backend: ${backend} (${instructionSet}, ${threads} ${threads === 1 ? 'thread' : 'threads'})`);
console.log(`${text.length} characters, ${alphabet.length} different ones`);
model.summary();

// In rounds, each on fresh windows; between them a look at a part of the text that is held back.
const round = 250;
const glimpse = windows(
  held,
  everywhere.filter((_, i) => i % 10 === 0),
);
const curve: { iteration: number; loss: number; validationLoss: number }[] = [];
let seconds = 0;
const pages = live(args.dashboard);
for (let done = 0; done < iterations; ) {
  const steps = Math.min(round, iterations - done);
  const { x, y } = windows(train, anywhere(steps * batchSize));
  const onBatchEnd = (step: number, logs: { loss?: number }) => {
    if (!process.stdout.isTTY || (step + 1) % 10 !== 0) return;
    process.stdout.write(`\riteration ${done + step + 1}/${iterations}, loss ${logs.loss!.toFixed(3)} `);
  };
  const history = await model.fit(x, y, {
    batchSize,
    shuffle: false,
    verbose: 0,
    callbacks: [{ onBatchEnd }, ...pages],
  });
  x.dispose();
  y.dispose();
  if (pages.some(({ stopped }) => stopped)) break;
  done += steps;
  seconds += history.seconds;
  const loss = history.history.loss!.at(-1)!;
  const { loss: validationLoss } = await model.evaluate(glimpse.x, glimpse.y, { batchSize: 60 });
  curve.push({ iteration: done, loss, validationLoss: validationLoss! });
  const pace = ((history.seconds / steps) * 1000).toFixed(1);
  if (process.stdout.isTTY) process.stdout.write('\r');
  console.log(
    `iteration ${done}: loss ${loss.toFixed(3)}, on held-back text ${validationLoss!.toFixed(3)}, ${pace} ms an iteration`,
  );
}

const all = windows(held, everywhere);
const { loss: validationLoss } = await model.evaluate(all.x, all.y, { batchSize: 60 });
console.log(`validation loss ${validationLoss!.toFixed(4)} over all ${held.length} held-back characters`);
console.log(`\n${write(model, '\n', Number(args.length))}\n`);
if (args.json) {
  console.log(
    JSON.stringify({
      backend,
      iterations,
      validationLoss,
      seconds,
      workspaceBytes: memory().workspaceBytes,
      curve,
    }),
  );
}

/** Goes on from `start`, one character after another, each drawn from the likeliest few. */
function write(gpt: Model, start: string, length: number): string {
  const written = Array.from(start, (letter) => numberOf.get(letter)!);
  for (let i = 0; i < length; i++) {
    const seen = written.slice(-time);
    const input = tensor(
      Int32Array.from({ length: time }, (_, t) => seen[t] ?? 0),
      [1, time],
    );
    const output = gpt.predictOnBatch(input);
    const logits = output
      .dataSync()
      .subarray((seen.length - 1) * alphabet.length, seen.length * alphabet.length);
    written.push(draw(logits, Number(args.temperature), Number(args['top-k'])));
    input.dispose();
    output.dispose();
  }
  return written.map((code) => alphabet[code]).join('');
}

/** A class at random by its logit over the temperature, among the `top` likeliest. */
function draw(logits: Float32Array, temperature: number, top: number): number {
  const ranked = Array.from(logits, (logit, code) => ({ logit, code })).sort((a, b) => b.logit - a.logit);
  const kept = ranked.slice(0, top);
  const weights = kept.map(({ logit }) => Math.exp((logit - kept[0]!.logit) / temperature));
  let left = random.uniform() * weights.reduce((a, b) => a + b, 0);
  const chosen = weights.findIndex((weight) => {
    left -= weight;
    return left <= 0;
  });
  return kept[Math.max(0, chosen)]!.code;
}
