// The classic program: MNIST with a two-layer network, as `npm run mnist`.
import { parseArgs } from 'node:util';
import { renderDigit } from '../src/cli/terminal.ts';
import {
  argMax,
  backendInfo,
  datasets,
  layers,
  memory,
  sequential,
  setBackend,
  setSeed,
} from '../src/index.ts';
import { live, words } from './live.ts';

const { values: args } = parseArgs({
  args: words,
  options: {
    backend: { type: 'string' },
    epochs: { type: 'string', default: '5' },
    'batch-size': { type: 'string', default: '32' },
    seed: { type: 'string' },
    threads: { type: 'string' },
    json: { type: 'boolean', default: false },
    dashboard: { type: 'string' },
  },
});

if (args.threads !== undefined) process.env.NABLA_THREADS = args.threads;
if (args.backend !== undefined) await setBackend(args.backend as 'native' | 'wasm' | 'auto');
if (args.seed !== undefined) setSeed(Number(args.seed));

const { train, test, source, origin } = await datasets.mnist({
  onProgress: (message) => console.error(message),
});
const { name, instructionSet, threads } = backendInfo();
console.log(
  `backend: ${name} (${instructionSet}, ${threads} ${threads === 1 ? 'thread' : 'threads'}), data: ${origin}`,
);
if (source === 'generated') console.log('WARNING: these digits are generated, they are not MNIST.');

const model = sequential({
  layers: [
    layers.flatten({ inputShape: [28, 28] }),
    layers.dense({ units: 128, activation: 'relu' }),
    layers.dense({ units: 10, activation: 'softmax' }),
  ],
});
model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
model.summary();

const history = await model.fit(train.x, train.y, {
  epochs: Number(args.epochs),
  batchSize: Number(args['batch-size']),
  validationData: [test.x, test.y],
  callbacks: live(args.dashboard),
});
const { loss, accuracy } = await model.evaluate(test.x, test.y);
console.log(
  `test loss ${loss!.toFixed(4)}, test accuracy ${accuracy!.toFixed(4)}, ${history.seconds.toFixed(2)} s`,
);

const predictions = argMax(await model.predict(test.x)).dataSync();
const images = test.x.tensor.dataSync() as Uint8Array;
const labels = test.labels.tensor.dataSync();
for (let i = 0; i < 3; i++) {
  console.log(`\npredicted ${predictions[i]}, labelled ${labels[i]}`);
  console.log(renderDigit(images.subarray(i * 784, (i + 1) * 784), 28, 28));
}

if (args.json) {
  const result = {
    backend: name,
    accuracy,
    loss,
    seconds: history.seconds,
    stepsPerSecond: history.steps / history.seconds,
    peakMemoryBytes: memory().peakBytes,
    data: source,
  };
  console.log(JSON.stringify(result));
}
