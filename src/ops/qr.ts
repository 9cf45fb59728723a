// The QR decomposition, in double precision on the host: for initial weights and small systems, not for training through it.
import { record } from '../autodiff.ts';
import { isFloating } from '../dtype.ts';
import { NablaError } from '../errors.ts';
import { sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { fromArray } from './creation.ts';

/** Reflects `a` (rows x columns, row-major) to upper triangular form in place; gives the reflectors (Householder 1958). */
function reflect(a: Float64Array, rows: number, columns: number): Float64Array[] {
  return Array.from({ length: Math.min(rows, columns) }, (_, k) => {
    const v = new Float64Array(rows);
    let norm = 0;
    for (let i = k; i < rows; i++) {
      v[i] = a[i * columns + k]!;
      norm = Math.hypot(norm, v[i]!);
    }
    // Away from the column itself, so that nothing cancels.
    v[k]! += v[k]! < 0 ? -norm : norm;
    applyReflector(v, a, columns, k);
    return v;
  });
}

/** `a -= 2 v (v' a) / (v' v)`. */
function applyReflector(v: Float64Array, a: Float64Array, columns: number, from: number): void {
  let square = 0;
  for (let i = from; i < v.length; i++) square += v[i]! * v[i]!;
  if (square === 0) return;
  for (let j = 0; j < columns; j++) {
    let along = 0;
    for (let i = from; i < v.length; i++) along += v[i]! * a[i * columns + j]!;
    const scale = (2 * along) / square;
    for (let i = from; i < v.length; i++) a[i * columns + j]! -= scale * v[i]!;
  }
}

/** What {@link qr} gives. */
export interface QrFactors {
  /** Columns that are orthogonal and of norm 1. */
  readonly q: Tensor<'float32'>;
  /** An upper triangle. */
  readonly r: Tensor<'float32'>;
}

/**
 * `x = q r` with orthonormal columns in `q` and upper triangular `r`: `[..., m, n]` gives `[..., m, k]` and `[..., k, n]`, k the smaller of m and
 * n, or m where `fullMatrices` is true. Signs as LAPACK's. Computed on the host: not inside of jit(), not differentiable.
 */
export function qr(x: Tensor, fullMatrices = false): QrFactors {
  if (x.rank < 2 || !isFloating(x.dtype)) {
    throw new NablaError('qr', `expected float32 matrices [..., m, n], got ${x}; reshape() or cast() it`);
  }
  const [m, n] = x.shape.slice(-2) as [number, number];
  const k = fullMatrices ? m : Math.min(m, n);
  const lead = x.shape.slice(0, -2);
  const batch = sizeOf(lead);
  const numbers = x.dataSync();
  const q = new Float32Array(batch * m * k);
  const r = new Float32Array(batch * k * n);
  for (let i = 0; i < batch; i++) {
    const a = Float64Array.from(numbers.subarray(i * m * n, (i + 1) * m * n));
    const reflectors = reflect(a, m, n);
    for (let row = 0; row < k; row++) {
      for (let column = row; column < n; column++) r[(i * k + row) * n + column] = a[row * n + column]!;
    }
    // The first k columns of the product of the reflections.
    const basis = new Float64Array(m * k);
    for (let d = 0; d < k; d++) basis[d * k + d] = 1;
    for (let d = reflectors.length - 1; d >= 0; d--) applyReflector(reflectors[d]!, basis, k, d);
    q.set(basis, i * m * k);
  }
  const out = {
    q: fromArray(q, [...lead, m, k], 'float32'),
    r: fromArray(r, [...lead, k, n], 'float32'),
  };
  record('qr', [out.q, out.r], [x], undefined);
  return out;
}
