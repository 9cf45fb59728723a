// A tensor's numbers as text, for consoles: aligned rows, and the edges of what is large.
import type { DType } from './dtype.ts';
import type { Shape } from './shape.ts';
import { sizeOf } from './shape.ts';

/** Elements up to which all are shown. */
const most = 1000;
/** Of a long dimension, so many from each end. */
const edge = 3;

function showNumber(x: number, dtype: DType): string {
  if (dtype === 'bool') return x === 0 ? 'false' : 'true';
  if (Object.is(x, -0)) return '-0';
  // A float32 has seven digits that mean something.
  return Number.isInteger(x) || !Number.isFinite(x) ? String(x) : String(Number(x.toPrecision(7)));
}

/**
 * The numbers of an array in nested brackets, a row a line, as NumPy writes them: columns of one width; of more than 1,000 elements the first and last
 * three along each dimension.
 */
export function showArray(data: ArrayLike<number>, shape: Shape, dtype: DType): string {
  const cut = data.length > most;
  const indices = (count: number): (number | undefined)[] => {
    if (!cut || count <= 2 * edge) return Array.from({ length: count }, (_, i) => i);
    const from = (begin: number) => Array.from({ length: edge }, (_, i) => begin + i);
    return [...from(0), undefined, ...from(count - edge)];
  };
  const nest = (depth: number, offset: number, show: (x: number) => string): string => {
    if (depth === shape.length) return show(data[offset]!);
    const stride = sizeOf(shape.slice(depth + 1));
    const parts = indices(shape[depth]!).map((i) =>
      i === undefined ? '...' : nest(depth + 1, offset + i * stride, show),
    );
    const rowsBelow = shape.length - depth - 1;
    const separator = rowsBelow === 0 ? ', ' : `,${'\n'.repeat(rowsBelow)}${' '.repeat(depth + 1)}`;
    return `[${parts.join(separator)}]`;
  };
  let width = 0;
  nest(0, 0, (x) => {
    const text = showNumber(x, dtype);
    width = Math.max(width, text.length);
    return text;
  });
  return nest(0, 0, (x) => showNumber(x, dtype).padStart(width));
}
