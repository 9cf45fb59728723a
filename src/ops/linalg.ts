// Matrix products on the GEMM kernel, and their gradients.
import { isRecording, record } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import { floatBits } from '../program/graph.ts';
import { activations } from '../program/kernels.ts';
import { learn, replay } from '../replay.ts';
import { Replayable } from '../replayable.ts';
import { broadcastShapes, type Shape, sameShape, showShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, placeName } from '../trace.ts';
import { sumTo } from './arithmetic.ts';
import { toFloats } from './compare.ts';
import { broadcastTo, reshape } from './shape.ts';

/** Options of {@link matMul}. */
export interface MatMulOptions {
  /** The last two dimensions of `a` are swapped. Default false. */
  transposeA?: boolean;
  /** The last two dimensions of `b` are swapped. Default false. */
  transposeB?: boolean;
}

/**
 * The matrix product over the last two dimensions, float32 (bfloat16 where both are, with float32 sums); those before them broadcast. Vectors are taken as NumPy's matmul takes them.
 */
export function matMul(a: Tensor, b: Tensor, options: MatMulOptions = {}): Tensor {
  if (a.rank === 0 || b.rank === 0) {
    throw new NablaError('matMul', `scalars have no matrix product, got ${a} and ${b}; use mul()`);
  }
  if (a.rank === 1) {
    const out = matMul(reshape(a, [1, a.size]), b, { transposeB: options.transposeB });
    return reshape(out, out.shape.toSpliced(Math.max(0, out.rank - 2), 1));
  }
  if (b.rank === 1) {
    const out = matMul(a, reshape(b, [b.size, 1]), { transposeA: options.transposeA });
    return reshape(out, out.shape.slice(0, -1));
  }
  return product(toFloats(a), toFloats(b), options.transposeA ?? false, options.transposeB ?? false);
}

const products = new Replayable();

function product(a: Tensor, b: Tensor, transA: boolean, transB: boolean): Tensor {
  if (isRecording()) return makeProduct(a, b, transA, transB);
  const number = 2 * Number(transA) + Number(transB);
  return replay(products, a, b, number) ?? learnProduct(a, b, transA, transB, number);
}

function learnProduct(a: Tensor, b: Tensor, transA: boolean, transB: boolean, number: number): Tensor {
  return learn(products, a, b, number, () => makeProduct(a, b, transA, transB));
}

function makeProduct(a: Tensor, b: Tensor, transA: boolean, transB: boolean): Tensor {
  const [aRows, aColumns] = a.shape.slice(-2) as [number, number];
  const [bRows, bColumns] = b.shape.slice(-2) as [number, number];
  const [m, k] = transA ? [aColumns, aRows] : [aRows, aColumns];
  const [kB, n] = transB ? [bColumns, bRows] : [bRows, bColumns];
  const where = 'matMul';
  if (k !== kB) {
    const mark = (t: boolean) => (t ? ' transposed' : '');
    throw new NablaError(
      placeName(where),
      `inner dimensions differ, got ${showShape(a.shape)}${mark(transA)} and ${showShape(b.shape)}${mark(transB)}, ` +
        `expected ${k} = ${kB}; transpose or reshape one of them`,
    );
  }
  const lead = broadcastShapes(where, a.shape.slice(0, -2), b.shape.slice(0, -2));
  const out = batched(where, a, b, transA, transB, lead, m, n, k);
  record(where, [out], [a, b], (dy) => {
    if (dy === undefined) return [];
    if (b.rank === 2 && !transA && a.rank > 2) {
      // A tall product's matrix gets its gradient from one product as well, over all rows.
      const rows = (t: Tensor) => reshape(t, [sizeOf(lead) * m, t.shape.at(-1)!]);
      const [x, g] = [rows(a), rows(dy)];
      return [
        product(dy, b, false, !transB),
        transB ? product(g, x, true, false) : product(x, g, true, false),
      ];
    }
    const da = transA ? product(b, dy, transB, true) : product(dy, b, false, !transB);
    // Where one matrix serves all of a, its gradient is one tall product, not the sum of many.
    const [x, g] = b.rank === 2 && !transA && a.rank > 2 ? [asMatrix(a), asMatrix(dy)] : [a, dy];
    const db = transB ? product(g, x, true, transA) : product(x, g, !transA, false);
    return [sumTo(da, a.shape), sumTo(db, b.shape)];
  });
  return out;
}

/** All but the last dimension as one. */
function asMatrix(x: Tensor): Tensor {
  return reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!]);
}

function batched(
  where: string,
  a: Tensor,
  b: Tensor,
  transA: boolean,
  transB: boolean,
  lead: Shape,
  m: number,
  n: number,
  k: number,
): Tensor {
  const shape = [...lead, m, n];
  // [.., m, k] times one [k, n] is a single tall product.
  const tall = b.rank === 2 && !transA && a.rank > 2;
  const batch = tall ? 1 : sizeOf(lead);
  const rows = tall ? sizeOf(lead) * m : m;
  const operand = (t: Tensor, size: number): [Tensor, number] => {
    if (batch === 1 || t.size === size) return [t, 0];
    const full = [...lead, ...t.shape.slice(-2)];
    return [sameShape(t.shape, full) ? t : broadcastTo(t, full), size];
  };
  const [x, strideA] = operand(a, m * k);
  const [y, strideB] = operand(b, k * n);
  const attributes = [batch, rows, n, k, Number(transA), Number(transB), strideA, strideB];
  attributes.push(batch === 1 ? 0 : m * n, activations.none, 0, floatBits(1));
  const inputs = [x, y, undefined];
  return emit({ kernel: 'gemm', outputs: [{ shape, dtype: 'float32' }], inputs, attributes, where })[0]!;
}

/** The scalar product of vectors, or the matrix product. */
export function dot(a: Tensor, b: Tensor): Tensor {
  return matMul(a, b);
}

/** The outer product of two vectors: `[m]` and `[n]` give `[m, n]`. */
export function outer(a: Tensor, b: Tensor): Tensor {
  return matMul(reshape(a, [a.size, 1]), reshape(b, [1, b.size]));
}
