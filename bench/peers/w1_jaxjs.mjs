// Workload 1 in jax-js on its WASM backend: MLP 784-128-10, batch 32, Adam in one jitted step; and prediction.
import { readFileSync } from 'node:fs';
import { missing, need, serve, threads } from './protocol.mjs';
import { batch, batches, inputs, targets, weights } from './w1-data.mjs';

const jax = await need('@jax-js/jax');
// Its workers are Web Workers, which Node does not have.
if (threads > 1) missing('has no threads in Node');
const { numpy: np, nn } = jax;

const learningRate = 1e-3;
const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-7];
const shapes = [[784, 128], [128], [128, 10], [10]];

async function parameters() {
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  return weights().map((w, i) => np.array(w).reshape(shapes[i]));
}

// Arguments are owned: every use but the last takes a reference.
const logits = ([w1, b1, w2, b2], x) => np.matmul(nn.relu(np.matmul(x, w1).add(b1)), w2).add(b2);
const lossOf = (params, x, y) =>
  y
    .mul(nn.logSoftmax(logits(params, x), -1))
    .sum()
    .mul(-1 / batch);

function step(params, m, v, alpha, x, y) {
  const [loss, grads] = jax.valueAndGrad(lossOf)(
    params.map((p) => p.ref),
    x,
    y,
  );
  const m2 = m.map((old, i) => old.mul(beta1).add(grads[i].ref.mul(1 - beta1)));
  const v2 = v.map((old, i) => old.mul(beta2).add(grads[i].ref.mul(grads[i]).mul(1 - beta2)));
  const next = params.map((p, i) => p.sub(m2[i].ref.mul(alpha.ref).div(np.sqrt(v2[i].ref).add(epsilon))));
  alpha.dispose();
  return [next, m2, v2, loss];
}

async function train() {
  let params = await parameters();
  let m = shapes.map((shape) => np.zeros(shape));
  let v = shapes.map((shape) => np.zeros(shape));
  const xs = inputs(batches, batch).map((x) => np.array(x).reshape([batch, 784]));
  const ys = targets(batches, batch).map((y) => np.array(y).reshape([batch, 10]));
  const jitted = jax.jit(step);
  let t = 0;
  const run = async (n) => {
    let last;
    for (let i = 0; i < n; i++) {
      t++;
      const alpha = np.array((learningRate * Math.sqrt(1 - beta2 ** t)) / (1 - beta1 ** t));
      let loss;
      [params, m, v, loss] = jitted(params, m, v, alpha, xs[i % batches].ref, ys[i % batches].ref);
      // Read at every step: steps that nobody waits for pile up, and each makes the next slower.
      last = loss.js();
    }
    await jax.blockUntilReady(params);
    return { steps: n, loss: last };
  };
  await run(20);
  return run;
}

const predict = (rows) => async () => {
  const params = await parameters();
  const xs = inputs(8, rows).map((x) => np.array(x).reshape([rows, 784]));
  const jitted = jax.jit((params, x) => nn.softmax(logits(params, x), -1));
  const run = async (n) => {
    for (let i = 0; i < n; i++) {
      const y = jitted(
        params.map((p) => p.ref),
        xs[i % 8].ref,
      );
      y.dataSync();
    }
    return { steps: n };
  };
  await run(10);
  return run;
};

const manifest = new URL('./node_modules/@jax-js/jax/package.json', import.meta.url);
await serve(
  { name: 'jax-js', family: 'wasm', version: JSON.parse(readFileSync(manifest, 'utf8')).version },
  { 'train/jitted': train, 'predict1/jitted': predict(1), 'predict1024/jitted': predict(1024) },
);
