// A convolutional network for MNIST, as `npm run example:cnn`: Keras' mnist_convnet, 34,826 parameters, 0.99 and more in 15 epochs.
import { parseArgs } from 'node:util';
import { renderDigit } from '../src/cli/terminal.ts';
import {
  argMax,
  backendInfo,
  datasets,
  layers,
  max,
  memory,
  sequential,
  setBackend,
  setDtypePolicy,
  setSeed,
} from '../src/index.ts';
import { live, words } from './live.ts';

const { values: args } = parseArgs({
  args: words,
  options: {
    backend: { type: 'string' },
    epochs: { type: 'string', default: '15' },
    'batch-size': { type: 'string', default: '128' },
    seed: { type: 'string' },
    dtype: { type: 'string', default: 'float32' },
    threads: { type: 'string' },
    json: { type: 'boolean', default: false },
    dashboard: { type: 'string' },
  },
});

if (args.threads !== undefined) process.env.NABLA_THREADS = args.threads;
if (args.backend !== undefined) await setBackend(args.backend as 'native' | 'wasm' | 'auto');
if (args.seed !== undefined) setSeed(Number(args.seed));
// `--dtype mixed_bfloat16` or `mixed_float16` keeps activations in half the memory; the last layer stays as exact as it was.
setDtypePolicy(args.dtype as 'float32' | 'mixed_bfloat16' | 'mixed_float16');

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
    // Convolutions want a dimension for the channel: grey images have one.
    layers.reshape({ targetShape: [28, 28, 1], inputShape: [28, 28] }),
    layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu' }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
    layers.maxPooling2d({ poolSize: 2 }),
    layers.flatten(),
    layers.dropout({ rate: 0.5 }),
    layers.dense({ units: 10, activation: 'softmax', dtype: 'float32' }),
  ],
});
model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
model.summary();

const history = await model.fit(train.x, train.y, {
  epochs: Number(args.epochs),
  batchSize: Number(args['batch-size']),
  validationSplit: 0.1,
  callbacks: live(args.dashboard),
});
const { loss, accuracy } = await model.evaluate(test.x, test.y);
console.log(
  `test loss ${loss!.toFixed(4)}, test accuracy ${accuracy!.toFixed(4)}, ${history.seconds.toFixed(2)} s`,
);

const probabilities = await model.predict(test.x);
const predictions = argMax(probabilities).dataSync();
const certainties = max(probabilities, -1).dataSync();
const images = test.x.tensor.dataSync() as Uint8Array;
const labels = test.labels.tensor.dataSync();
for (let i = 0; i < 3; i++) {
  const certainty = (100 * certainties[i]!).toFixed(1);
  console.log(`\npredicted ${predictions[i]} (${certainty} %), labelled ${labels[i]}`);
  console.log(renderDigit(images.subarray(i * 784, (i + 1) * 784), 28, 28));
}

if (args.json) {
  const result = {
    backend: name,
    accuracy,
    loss,
    parameters: model.weights.reduce((total, weight) => total + weight.size, 0),
    seconds: history.seconds,
    stepsPerSecond: history.steps / history.seconds,
    peakMemoryBytes: memory().peakBytes,
    workspaceBytes: memory().workspaceBytes,
    data: source,
  };
  console.log(JSON.stringify(result));
}
