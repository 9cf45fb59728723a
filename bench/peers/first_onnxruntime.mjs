// A process that imports onnxruntime-node, loads the network of workload 1 and predicts one sample.
import { createRequire } from 'node:module';
import { onnxMlp } from './onnx-mlp.mjs';

const ort = createRequire(import.meta.url)('onnxruntime-node');
const layer = (rows, columns) => {
  return { rows, columns, weights: new Float32Array(rows * columns), bias: new Float32Array(columns) };
};
const session = await ort.InferenceSession.create(onnxMlp([layer(784, 128), layer(128, 10)]));
await session.run({ x: new ort.Tensor('float32', new Float32Array(784), [1, 784]) });
