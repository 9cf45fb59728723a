// What the jax-js peers of workloads 2 and 4 share: Adam in one jitted step on its WASM backend.
import { readFileSync } from 'node:fs';
import { generator } from './data.mjs';
import { missing, need, serve, threads } from './protocol.mjs';

export const jax = await need('@jax-js/jax');
// Its workers are Web Workers, which Node does not have.
if (threads > 1) missing('has no threads in Node');
export const { numpy: np } = jax;

const next = generator(4);
/** A weight of uniform numbers with this standard deviation. */
export function weight(shape, deviation) {
  const limit = deviation * Math.sqrt(3);
  const numbers = Float32Array.from(
    { length: shape.reduce((a, b) => a * b, 1) },
    () => (2 * next() - 1) * limit,
  );
  return np.array(numbers).reshape(shape);
}

/** An entry that trains `make()`'s weights, an object of arrays, by `lossOf(weights, x, y)`. Arguments are owned: all but the last use takes a reference. */
export const training =
  (make, lossOf, data, { beta2 = 0.999, decay = 0 } = {}) =>
  async () => {
    await jax.init('wasm');
    jax.defaultDevice('wasm');
    const [rate, beta1, epsilon] = [1e-3, 0.9, 1e-7];
    let params = make();
    const names = Object.keys(params);
    const each = (f) => Object.fromEntries(names.map((name) => [name, f(name)]));
    let m = each((name) => np.zeros(params[name].shape));
    let v = each((name) => np.zeros(params[name].shape));
    const step = jax.jit((p, m, v, alpha, x, y) => {
      const references = each((name) => p[name].ref);
      const [loss, grads] = jax.valueAndGrad(lossOf)(references, x, y);
      const m2 = each((name) => m[name].mul(beta1).add(grads[name].ref.mul(1 - beta1)));
      const v2 = each((name) => v[name].mul(beta2).add(grads[name].ref.mul(grads[name]).mul(1 - beta2)));
      const p2 = each((name) =>
        p[name]
          .mul(1 - rate * decay)
          .sub(m2[name].ref.mul(alpha.ref).div(np.sqrt(v2[name].ref).add(epsilon))),
      );
      alpha.dispose();
      return [p2, m2, v2, loss];
    });
    const [xs, ys] = data();
    let t = 0;
    const run = async (n) => {
      let last;
      for (let i = 0; i < n; i++) {
        t++;
        const alpha = np.array((rate * Math.sqrt(1 - beta2 ** t)) / (1 - beta1 ** t));
        let loss;
        [params, m, v, loss] = step(params, m, v, alpha, xs[t % xs.length].ref, ys[t % ys.length].ref);
        // Read at every step: steps that nobody waits for pile up, and each makes the next slower.
        last = loss.js();
      }
      await jax.blockUntilReady(params);
      return { steps: n, loss: last };
    };
    await run(1);
    return run;
  };

const manifest = new URL('./node_modules/@jax-js/jax/package.json', import.meta.url);
export const serveJax = (entries, parameters) => {
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
  return serve({ name: 'jax-js', version, family: 'wasm', parameters }, entries);
};
