// Single operations in our own library: matrix products, elementwise chains and rows bound by memory, and the cost of an eager call.
import type { Tensor } from '../../src/index.ts';
import { uniform } from '../peers/data.mjs';
import type { Entry } from '../peers/protocol.mjs';
import { nabla, serveOwn } from './own.ts';

const elements = 10_000_000;
const [rows, columns] = [4096, 1024];

/** One call a step, whose result is thrown away. `warm`: calls before the clock starts. */
const calls =
  (shapes: readonly number[][], f: (...operands: Tensor[]) => Tensor, warm = 2): Entry =>
  async () => {
    const operands = shapes.map((shape, i) =>
      nabla.tensor(
        uniform(
          i + 1,
          shape.reduce((a, b) => a * b, 1),
        ),
        shape,
      ),
    );
    const run = async (n: number) => {
      for (let i = 0; i < n; i++) f(...operands).dispose();
      return { steps: n };
    };
    await run(warm);
    return run;
  };

const { add, exp, jit, layerNormalize, matMul, mul, softmax, sum } = nabla;
const mulAdd = jit((a: Tensor, b: Tensor, c: Tensor) => add(mul(a, b), c));
const gemm = (n: number) =>
  calls(
    [
      [n, n],
      [n, n],
    ],
    (a, b) => matMul(a!, b!),
  );

await serveOwn(undefined, {
  'gemm512/matMul': gemm(512),
  'gemm1024/matMul': gemm(1024),
  'gemm2048/matMul': gemm(2048),
  'mulAdd/jit': calls([[elements], [elements], [elements]], (a, b, c) => mulAdd(a!, b!, c!)),
  'exp/exp': calls([[elements]], (a) => exp(a!)),
  'sum/sum': calls([[elements]], (a) => sum(a!)),
  'softmax/softmax': calls([[rows, columns]], (a) => softmax(a!)),
  'layerNorm/layerNormalize': calls([[rows, columns], [columns], [columns]], (a, scale, offset) =>
    layerNormalize(a!, { scale, offset, epsilon: 1e-5 }),
  ),
  'eager/add': calls([[4], [4]], (a, b) => add(a!, b!), 20_000),
});
