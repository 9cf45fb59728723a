// Functions that the tests of parallelMap run in worker threads.
import { threadId } from 'node:worker_threads';

export const square = (x) => x * x;

export async function describeElement({ name, rows }, { index, seed }) {
  return {
    name: `${name}!`,
    sum: rows.data.reduce((a, b) => a + b, 0),
    bytes: rows.data.buffer.byteLength,
    index,
    seed,
  };
}

export function failsAtFive(x) {
  if (x === 5) throw new RangeError('five is right out');
  return x;
}

export const thread = () => threadId;

export const notAFunction = 1;

export const endsThread = () => process.exit(3);

export const cannotCross = () => () => 1;

export function spins() {
  for (;;);
}
