// What the TF.js peers share: the library, and its WebAssembly files found.
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { missing, need, serve, threads } from './protocol.mjs';

export const { default: tf } = await need('@tensorflow/tfjs');
const wasm = await need('@tensorflow/tfjs-backend-wasm');
// It has threads in browsers only; in Node its threaded module is not loaded.
if (threads > 1) missing('has no threads in Node');

const require = createRequire(import.meta.url);
wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
tf.enableProdMode();

/** Makes a backend the one that is used. */
export async function use(backend) {
  if (!(await tf.setBackend(backend))) throw new Error(`the backend '${backend}' did not start`);
}

/** An entry that trains: `make()` gives variables, `lossOf(x, y)` and an optimizer; `data()` gives batches. */
export const training =
  (backend, { make, data, optimizer }) =>
  async () => {
    await use(backend);
    const lossOf = make();
    const step = optimizer();
    const [xs, ys] = data();
    let done = 0;
    const run = async (n) => {
      await use(backend);
      let last;
      for (let i = 0; i < n; i++, done++) {
        const loss = step.minimize(() => lossOf(xs[done % xs.length], ys[done % ys.length]), true);
        last = loss.dataSync()[0];
        loss.dispose();
      }
      return { steps: n, loss: last };
    };
    await run(1);
    return run;
  };

export const serveTf = (entries, parameters) =>
  serve({ name: 'TF.js', version: tf.version.tfjs, family: 'wasm', parameters }, entries);
