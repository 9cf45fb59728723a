// Workload 2 in jax-js on its WASM backend: a small convolutional network, batch 64, Adam. Channels first: its convolution knows no other layout.
import { oneHot, patterns } from './data.mjs';
import { jax, np, serveJax, training, weight } from './jaxjs.mjs';

const { nn, lax, random } = jax;
const [batch, batches] = [64, 4];

const make = () => ({
  k1: weight([32, 1, 3, 3], Math.sqrt(2 / (9 * 33))),
  b1: np.zeros([32, 1, 1]),
  k2: weight([64, 32, 3, 3], Math.sqrt(2 / (9 * 96))),
  b2: np.zeros([64, 1, 1]),
  w3: weight([9216, 128], Math.sqrt(2 / 9344)),
  b3: np.zeros([128]),
  w4: weight([128, 10], Math.sqrt(2 / 138)),
  b4: np.zeros([10]),
});

function lossOf({ k1, b1, k2, b2, w3, b3, w4, b4 }, x, y) {
  const first = nn.relu(lax.conv(x, k1, [1, 1], 'VALID').add(b1));
  const second = nn.relu(lax.conv(first, k2, [1, 1], 'VALID').add(b2));
  const pooled = lax.reduceWindow(second, np.max, [2, 2], [2, 2]);
  // One mask for all steps: to draw another one in each would only cost it more.
  const kept = random.bernoulli(random.key(1), 0.75, [batch, 64, 12, 12]);
  const dropped = np.where(kept, pooled.mul(1 / 0.75), 0);
  const hidden = nn.relu(np.matmul(dropped.reshape([batch, 9216]), w3).add(b3));
  const logits = np.matmul(hidden, w4).add(b4);
  return y
    .mul(nn.logSoftmax(logits, -1))
    .sum()
    .mul(-1 / batch);
}

function data() {
  const { x, y } = patterns(batches * batch, 784);
  const labels = oneHot(y);
  const part = (all, i, size, shape) => np.array(all.slice(i * size, (i + 1) * size)).reshape(shape);
  const each = (f) => Array.from({ length: batches }, (_, i) => f(i));
  return [
    each((i) => part(x, i, batch * 784, [batch, 1, 28, 28])),
    each((i) => part(labels, i, batch * 10, [batch, 10])),
  ];
}

await serveJax({ 'train/jitted': training(make, lossOf, data) }, 1_199_882);
