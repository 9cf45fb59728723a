// A process that imports the built package, makes the network of workload 1 and predicts one sample.
// By the package's own name: what its manifest gives to whoever installs it.
import { layers, sequential, zeros } from 'nabla';

const model = sequential({
  layers: [
    layers.dense({ units: 128, activation: 'relu', inputShape: [784] }),
    layers.dense({ units: 10, activation: 'softmax' }),
  ],
});
model.predictOnBatch(zeros([1, 784])).dataSync();
