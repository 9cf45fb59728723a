// Workload 1 in onnxruntime-node: prediction of the MLP 784-128-10 (it does not train).
import { onnxMlp } from './onnx-mlp.mjs';
import { need, serve, threads } from './protocol.mjs';
import { inputs, weights } from './w1-data.mjs';

const imported = await need('onnxruntime-node');
const ort = imported.default ?? imported;
const [w1, b1, w2, b2] = weights();
const model = onnxMlp([
  { rows: 784, columns: 128, weights: w1, bias: b1 },
  { rows: 128, columns: 10, weights: w2, bias: b2 },
]);

const predict = (batch) => async () => {
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  const feeds = inputs(8, batch).map((x) => ({ x: new ort.Tensor('float32', x, [batch, 784]) }));
  // Results go into memory given beforehand: its fastest form.
  const fetches = { y: new ort.Tensor('float32', new Float32Array(batch * 10), [batch, 10]) };
  const run = async (n) => {
    for (let i = 0; i < n; i++) await session.run(feeds[i % 8], fetches);
    const total = fetches.y.data.subarray(0, 10).reduce((sum, p) => sum + p, 0);
    if (!(Math.abs(total - 1) < 1e-4)) throw new Error(`probabilities add up to ${total}, expected 1`);
    return { steps: n };
  };
  await run(20);
  return run;
};

await serve(
  { name: 'onnxruntime-node', version: ort.env.versions.node },
  { 'predict1/session.run': predict(1), 'predict1024/session.run': predict(1024) },
);
