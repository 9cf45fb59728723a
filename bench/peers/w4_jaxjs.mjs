// Workload 4 in jax-js on its WASM backend: nanoGPT's character model for CPUs, batch 12, AdamW.
import { tokens } from './data.mjs';
import { jax, np, serveJax, training, weight } from './jaxjs.mjs';

const { nn } = jax;
const [batch, batches] = [12, 4];
const [blocks, heads, width, time, vocabulary] = [4, 4, 128, 64, 65];

function make() {
  const last = 0.02 / Math.sqrt(2 * blocks);
  const params = { letters: weight([vocabulary, width], 0.02), positions: weight([time, width], 0.02) };
  for (let i = 0; i < blocks; i++) {
    params[`${i}norm1`] = np.ones([width]);
    for (const name of ['queries', 'keys', 'values']) params[`${i}${name}`] = weight([width, width], 0.02);
    params[`${i}projection`] = weight([width, width], last);
    params[`${i}norm2`] = np.ones([width]);
    params[`${i}widen`] = weight([width, 4 * width], 0.02);
    params[`${i}narrow`] = weight([4 * width, width], last);
  }
  params.norm = np.ones([width]);
  return params;
}

function norm(x, scale) {
  const centered = x.ref.sub(x.mean(-1, { keepdims: true }));
  const variance = np.square(centered.ref).mean(-1, { keepdims: true });
  return centered.div(np.sqrt(variance.add(1e-5))).mul(scale);
}

function lossOf(params, x, y) {
  // The letters' rows as a product: x is one-hot, as y is. The gradient of a gather is slower.
  let hidden = np.matmul(x, params.letters.ref).add(params.positions);
  for (let i = 0; i < blocks; i++) {
    const of = (name) => params[`${i}${name}`];
    const normed = norm(hidden.ref, of('norm1'));
    const head = (name) => {
      const made = np.matmul(normed.ref, of(name)).reshape([batch, time, heads, width / heads]);
      return np.transpose(made, [0, 2, 1, 3]);
    };
    // Written out: its own attention is an einsum, which needs Node 22.
    const scores = np.matmul(head('queries'), np.swapaxes(head('keys'), 2, 3)).mul((width / heads) ** -0.5);
    const masked = np.where(np.tri(time).astype(np.bool), scores, -1e9);
    const mixed = np.transpose(np.matmul(nn.softmax(masked, -1), head('values')), [0, 2, 1, 3]);
    normed.dispose();
    hidden = hidden.add(np.matmul(mixed.reshape([batch, time, width]), of('projection')));
    const middle = nn.gelu(np.matmul(norm(hidden.ref, of('norm2')), of('widen')), { approximate: false });
    hidden = hidden.add(np.matmul(middle, of('narrow')));
  }
  const logits = np.matmul(norm(hidden, params.norm), np.transpose(params.letters));
  return y
    .mul(nn.logSoftmax(logits, -1))
    .sum()
    .mul(-1 / (batch * time));
}

function data() {
  const { x, y } = tokens(batches * batch, time, vocabulary);
  const rows = (all, i) => {
    const hot = new Float32Array(batch * time * vocabulary);
    for (let j = 0; j < batch * time; j++) hot[j * vocabulary + all[i * batch * time + j]] = 1;
    return np.array(hot).reshape([batch, time, vocabulary]);
  };
  const each = (all) => Array.from({ length: batches }, (_, i) => rows(all, i));
  return [each(x), each(y)];
}

await serveJax({ 'train/jitted': training(make, lossOf, data, { beta2: 0.99, decay: 0.1 }) }, 804_096);
