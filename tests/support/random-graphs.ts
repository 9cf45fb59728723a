// Random functions of tensors for property tests: they build a computation of many ops with views, broadcasts and shared values.
import * as ops from '../../src/ops/index.ts';
import { Philox } from '../../src/random.ts';
import type { Tensor } from '../../src/tensor.ts';

/** A function of a [4, 6] matrix, a [6] vector and a [6, 6] matrix that gives a few tensors. */
export type RandomFunction = (x: Tensor, row: Tensor, square: Tensor) => Tensor[];

const rows = 4;
const columns = 6;

/** The shapes of its arguments. */
export const shapesOfRandom = [[rows, columns], [columns], [columns, columns]];

type Step = (pick: () => Tensor, row: Tensor, square: Tensor) => Tensor;

// Each gives float32 [4, 6] of moderate size.
const steps: readonly Step[] = [
  (pick) => ops.add(pick(), pick()),
  (pick) => ops.mul(ops.tanh(pick()), pick()),
  (pick) => ops.sub(1, pick()),
  (pick) => ops.maximum(pick(), pick()),
  (pick) => ops.relu(pick()),
  (pick) => ops.sin(pick()),
  (pick, row) => ops.add(pick(), row),
  (pick) => ops.tanh(pick()),
  (pick, row, square) => ops.tanh(ops.add(ops.matMul(pick(), square), row)),
  (pick, _row, square) => ops.sigmoid(ops.matMul(pick(), square, { transposeB: true })),
  (pick, row, square) => ops.relu(ops.mul(ops.add(ops.matMul(pick(), square), row), 0.2)),
  (pick) => ops.softmax(pick()),
  (pick) => ops.sub(pick(), ops.mean(pick(), 1, true)),
  (pick) => ops.tanh(ops.add(ops.mul(ops.sum(pick(), 0), 0.25), pick())),
  (pick) => ops.reshape(ops.flip(ops.reshape(pick(), [rows * columns])), [rows, columns]),
  (pick) => ops.transpose(ops.neg(ops.transpose(pick()))),
  (pick) => ops.concat([ops.slice(pick(), [1]), ops.slice(pick(), [0], [1])]),
  (pick) =>
    ops.concat([ops.slice(pick(), [0, 2]), ops.exp(ops.tanh(ops.slice(pick(), [0, 0], [rows, 2])))], 1),
  (pick) =>
    ops.slice(
      ops.pad(
        pick(),
        [
          [1, 0],
          [0, 2],
        ],
        0.5,
      ),
      [0, 1],
      [rows, columns],
    ),
  (pick) => ops.where(ops.less(pick(), pick()), pick(), pick()),
  (pick) => ops.cast(ops.cast(ops.mul(ops.tanh(pick()), 100), 'uint8'), 'float32'),
  (pick) => ops.div(ops.cast(ops.add(ops.cast(ops.mul(ops.tanh(pick()), 9), 'int32'), 3), 'float32'), 7),
  (pick) => ops.cast(ops.logicalOr(ops.less(pick(), 0), ops.less(0.5, pick())), 'float32'),
  (pick) => ops.add(ops.fill([rows, columns], 0.5), ops.mul(ops.ones([columns]), pick())),
  (pick) => ops.gather(pick(), ops.tensor([3, 0, 0, 2], [4], 'int32')),
  (pick) =>
    ops.reshape(ops.tanh(ops.reshape(ops.add(ops.reshape(pick(), [3, 8]), 0.5), [2, 12])), [rows, columns]),
  (pick) => ops.broadcastTo(ops.max(pick(), 0, true), [rows, columns]),
  (pick) => ops.stopGradient(ops.square(ops.tanh(pick()))),
  // A long chain, longer than one map holds.
  (pick) =>
    Array.from({ length: 40 }).reduce<Tensor>(
      (y, _, i) => (i % 2 === 0 ? ops.add(y, 0.125) : ops.mul(y, 0.75)),
      pick(),
    ),
  // Many inputs, more than one map takes.
  (pick) =>
    ops.tanh(Array.from({ length: 15 }).reduce<Tensor>((y) => ops.add(y, ops.mul(pick(), 0.3)), pick())),
];

/** The function of a seed, with so many ops. */
export function randomFunction(seed: number, length: number): RandomFunction {
  return (x, row, square) => {
    const choice = new Philox(seed);
    const made: Tensor[] = [x];
    // The latest are picked more often, so that chains form.
    const pick = () =>
      made[Math.max(0, made.length - 1 - Math.min(choice.int(made.length), choice.int(made.length)))]!;
    for (let i = 0; i < length; i++) made.push(steps[choice.int(steps.length)]!(pick, row, square));
    const outputs = Array.from({ length: 1 + choice.int(4) }, () => made[choice.int(made.length)]!);
    return [made.at(-1)!, ...outputs, ops.slice(made.at(-2) ?? x, [1], [2])];
  };
}
