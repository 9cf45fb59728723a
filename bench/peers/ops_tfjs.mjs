// Single operations in TF.js on its WASM backend.
import { uniform } from './data.mjs';
import { serveTf, tf, use } from './tfjs.mjs';

const [elements, rows, columns] = [10_000_000, 4096, 1024];
const count = (shape) => shape.reduce((a, b) => a * b, 1);

const calls =
  (shapes, f, warm = 1) =>
  async () => {
    await use('wasm');
    const operands = shapes.map((shape, i) => tf.tensor(uniform(i + 1, count(shape)), shape));
    const run = async (n) => {
      for (let i = 0; i < n; i++) tf.tidy(() => void f(...operands));
      return { steps: n };
    };
    await run(warm);
    return run;
  };

function layerNorm(x, scale, offset) {
  const { mean, variance } = tf.moments(x, 1, true);
  return x
    .sub(mean)
    .mul(tf.rsqrt(variance.add(1e-5)))
    .mul(scale)
    .add(offset);
}

const square = (n) => [
  [n, n],
  [n, n],
];
await serveTf({
  ...Object.fromEntries(
    [512, 1024, 2048].map((n) => [`gemm${n}/wasm`, calls(square(n), (a, b) => tf.matMul(a, b))]),
  ),
  'mulAdd/wasm': calls([[elements], [elements], [elements]], (a, b, c) => a.mul(b).add(c)),
  'exp/wasm': calls([[elements]], (a) => tf.exp(a)),
  'sum/wasm': calls([[elements]], (a) => tf.sum(a)),
  'softmax/wasm': calls([[rows, columns]], (a) => tf.softmax(a)),
  'layerNorm/wasm': calls([[rows, columns], [columns], [columns]], layerNorm),
  'eager/wasm': calls([[4], [4]], (a, b) => tf.add(a, b), 2000),
});
