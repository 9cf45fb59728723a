// Random images, labels and weights for workload 1, kept in memory as the JavaScript peers take them.
import { generator } from './data.mjs';

export const batch = 32;
export const batches = 64;

/** `count` float32 arrays of [rows, 784] in [0, 1). */
export function inputs(count, rows) {
  const next = generator(1);
  return Array.from({ length: count }, () => Float32Array.from({ length: rows * 784 }, next));
}

/** `count` float32 arrays of [rows, 10], each row one-hot. */
export function targets(count, rows) {
  const next = generator(2);
  return Array.from({ length: count }, () => {
    const labels = new Float32Array(rows * 10);
    for (let row = 0; row < rows; row++) labels[row * 10 + Math.floor(next() * 10)] = 1;
    return labels;
  });
}

/** Glorot-uniform weights and zero biases: [784, 128], [128], [128, 10], [10]. */
export function weights() {
  const next = generator(3);
  const dense = (rows, columns) => {
    const limit = Math.sqrt(6 / (rows + columns));
    return [
      Float32Array.from({ length: rows * columns }, () => (2 * next() - 1) * limit),
      new Float32Array(columns),
    ];
  };
  return [...dense(784, 128), ...dense(128, 10)];
}
