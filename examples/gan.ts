// A DCGAN that learns to draw digits, as `npm run example:gan`: a training step of its own with two optimizers, a PNG of digits an epoch,
// and a classifier trained on real digits that says how good they are. (Radford et al. 2016; Salimans et al. 2016 for the score.)
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { renderDigit } from '../src/cli/terminal.ts';
import {
  type Batch,
  backendInfo,
  type CallContext,
  datasets,
  fill,
  initializers,
  layers,
  losses,
  Model,
  mean,
  optimizers,
  randomNormal,
  type Step,
  samples,
  sequential,
  setBackend,
  setSeed,
  sigmoid,
  type Tensor,
  tensor,
} from '../src/index.ts';
import { live, words } from './live.ts';
import { gridPng } from './png.ts';

const { values: args } = parseArgs({
  args: words,
  options: {
    backend: { type: 'string' },
    epochs: { type: 'string', default: '8' },
    images: { type: 'string', default: '60000' },
    'batch-size': { type: 'string', default: '64' },
    'classifier-epochs': { type: 'string', default: '2' },
    offline: { type: 'boolean', default: false },
    out: { type: 'string', default: join(tmpdir(), 'nabla-gan') },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string' },
    json: { type: 'boolean', default: false },
    dashboard: { type: 'string' },
  },
});

if (args.threads !== undefined) process.env.NABLA_THREADS = args.threads;
if (args.backend !== undefined) await setBackend(args.backend as 'native' | 'wasm' | 'auto');
setSeed(Number(args.seed));

const { train, test, source, origin } = await datasets.mnist({
  download: !args.offline,
  onProgress: (message) => console.error(message),
});
const { name, instructionSet, threads } = backendInfo();
console.log(`backend: ${name} (${instructionSet}, threads: ${threads}), data: ${origin}`);
if (source === 'generated') console.log('WARNING: these digits are generated, they are not MNIST.');

/** The first images as `[count, 28, 28, 1]`, presented in [-1, 1], where the generator's tanh ends. */
function images(of: typeof train, most: number) {
  const pixels = of.x.tensor.dataSync() as Uint8Array;
  const count = Math.min(most, of.x.length);
  const table = tensor(pixels.subarray(0, count * 784), [count, 28, 28, 1]).keep();
  return samples(table, { scale: 2 / 255, shift: -1 });
}

// Numbers that a digit is drawn from.
const latent = 64;
const kernelInitializer = initializers.randomNormal(0, 0.02);
const leaky = () => layers.leakyReLU({ negativeSlope: 0.2 });

/** Noise to digits: `[latent]` gives `[28, 28, 1]` in [-1, 1]. */
function makeGenerator() {
  const shared = { kernelSize: 4, strides: 2, padding: 'same', useBias: false, kernelInitializer } as const;
  return sequential({
    name: 'generator',
    layers: [
      layers.dense({ units: 7 * 7 * 64, useBias: false, kernelInitializer, inputShape: [latent] }),
      layers.batchNormalization(),
      leaky(),
      layers.reshape({ targetShape: [7, 7, 64] }),
      layers.conv2dTranspose({ ...shared, filters: 32 }),
      layers.batchNormalization(),
      leaky(),
      layers.conv2dTranspose({ ...shared, filters: 1, useBias: true, activation: 'tanh' }),
    ],
  });
}

/** Digits to one number: above 0 real, below drawn. */
function makeDiscriminator() {
  const shared = { kernelSize: 4, strides: 2, padding: 'same', kernelInitializer } as const;
  return sequential({
    name: 'discriminator',
    layers: [
      layers.conv2d({ ...shared, filters: 32, inputShape: [28, 28, 1] }),
      leaky(),
      layers.conv2d({ ...shared, filters: 64, useBias: false }),
      layers.batchNormalization(),
      leaky(),
      layers.flatten(),
      layers.dropout({ rate: 0.3 }),
      layers.dense({ units: 1, kernelInitializer }),
    ],
  });
}

const { call: crossentropy } = losses.binaryCrossentropy({ fromLogits: true });

/** Both, training against each other. */
class Gan extends Model {
  readonly generator = makeGenerator();
  readonly discriminator = makeDiscriminator();
  readonly drawing = optimizers.adam({ learningRate: 2e-4, beta1: 0.5 });
  readonly judging = optimizers.adam({ learningRate: 2e-4, beta1: 0.5 });

  override call(noise: Tensor, context: CallContext): Tensor {
    return this.generator.apply(noise, context);
  }

  override trainStep({ x, size }: Batch, step: Step) {
    const judge = (digits: Tensor) => this.discriminator.apply(digits, step);
    const against = (scores: Tensor, label: number) => mean(crossentropy(fill([size, 1], label), scores));
    const noise = randomNormal([size, latent]);
    let drawn = x;
    const generatorLoss = step.minimize(
      () => {
        drawn = this.generator.apply(noise, step);
        return against(judge(drawn), 1);
      },
      { of: this.generator, optimizer: this.drawing },
    );
    // The same digits again, which are only numbers here. Real ones count as 0.9: the discriminator is not to be too sure.
    let real = x;
    const discriminatorLoss = step.minimize(
      () => {
        real = judge(x);
        return against(real, 0.9).add(against(judge(drawn), 0));
      },
      { of: this.discriminator, optimizer: this.judging },
    );
    return { generatorLoss, discriminatorLoss, certainty: mean(sigmoid(real)) };
  }
}

/** A classifier of real digits in [-1, 1]. */
function makeClassifier() {
  const model = sequential({
    name: 'classifier',
    layers: [
      layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu', inputShape: [28, 28, 1] }),
      layers.maxPooling2d({ poolSize: 2 }),
      layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu' }),
      layers.maxPooling2d({ poolSize: 2 }),
      layers.flatten(),
      layers.dense({ units: 10, activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

/** What a classifier's probabilities `[count, 10]` say of digits. */
function judgement(probabilities: Tensor) {
  const p = probabilities.dataSync();
  const count = probabilities.shape[0]!;
  const share = new Float64Array(10);
  const found = new Float64Array(10);
  let confidence = 0;
  for (let i = 0; i < count; i++) {
    const row = p.subarray(i * 10, (i + 1) * 10);
    const best = row.indexOf(Math.max(...row));
    confidence += row[best]! / count;
    found[best]! += 1 / count;
    for (let k = 0; k < 10; k++) share[k]! += row[k]! / count;
  }
  let divergence = 0;
  for (let i = 0; i < p.length; i++) {
    if (p[i]! > 0) divergence += (p[i]! * Math.log(p[i]! / share[i % 10]!)) / count;
  }
  return {
    /** Mean of the largest probability. */
    confidence,
    /** Classes that at least one digit in fifty is of. */
    classes: found.filter((part) => part >= 0.02).length,
    /** Inception score with this classifier: sure of each, and all classes alike, is 10; all the same, or noise, is 1. */
    score: Math.exp(divergence),
  };
}

const batchSize = Number(args['batch-size']);
const most = Number(args.images);
const real = images(train, most - (most % batchSize));
const classifier = makeClassifier();
await classifier.fit(real, tensor((train.labels.tensor.dataSync() as Uint8Array).subarray(0, real.length)), {
  epochs: Number(args['classifier-epochs']),
  batchSize: 128,
});
const held = images(test, 2000);
const onReal = judgement(await classifier.predict(held));
const show = ({ confidence, classes, score }: typeof onReal) =>
  `confidence ${confidence.toFixed(4)}, classes ${classes} of 10, score ${score.toFixed(3)}`;
console.log(`real digits: ${show(onReal)}`);

mkdirSync(args.out, { recursive: true });
const gan = new Gan();
gan.compile({});
gan.generator.summary();
gan.discriminator.summary();
const columns = 10;
const shown = randomNormal([columns * columns, latent]).keep();
const many = randomNormal([2000, latent]).keep();
let drawn: Float32Array = new Float32Array(0);
let onDrawn = onReal;
const onEpochEnd = async (epoch: number) => {
  drawn = (await gan.predict(shown)).dataSync();
  const file = join(args.out, `epoch-${String(epoch + 1).padStart(2, '0')}.png`);
  writeFileSync(file, gridPng(drawn, 28, columns));
  onDrawn = judgement(await classifier.predict(await gan.predict(many)));
  console.log(`drawn digits: ${show(onDrawn)}; ${file}`);
};
const { seconds, steps, history } = await gan.fit(real, null, {
  epochs: Number(args.epochs),
  batchSize,
  callbacks: [{ onEpochEnd }, ...live(args.dashboard)],
});

for (let i = 0; i < 3; i++) {
  const pixels = Uint8Array.from(drawn.subarray(i * 784, (i + 1) * 784), (v) => (v + 1) * 127.5);
  console.log(renderDigit(pixels, 28, 28));
}
console.log(`score ${onDrawn.score.toFixed(3)} of 10, ${onReal.score.toFixed(3)} on real digits`);
if (args.json) {
  const result = { backend: name, data: source, steps, seconds, history, real: onReal, drawn: onDrawn };
  console.log(JSON.stringify(result));
}
