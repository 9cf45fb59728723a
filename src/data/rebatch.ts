// Batches out of arrays of rows as they come from a source, without a step for every element.
import { newArray } from '../dtype.ts';
import { sameShape, sizeOf } from '../shape.ts';
import { type NdArray, rowOf, stack } from './element.ts';
import { elementError, type Flow } from './pass.ts';

const rowsIn = ({ shape }: NdArray) => shape[0]!;

/** Some of an array's rows, over the same memory. */
function rowsOf({ dtype, shape, data }: NdArray, from: number, to: number): NdArray {
  const rest = shape.slice(1);
  const size = sizeOf(rest);
  return { dtype, shape: [to - from, ...rest], data: data.subarray(from * size, to * size) };
}

/** Arrays one below the other; undefined where their rows differ in form. */
function joined(parts: readonly NdArray[]): NdArray | undefined {
  const [first] = parts as readonly [NdArray];
  if (parts.length === 1) return first;
  const { dtype } = first;
  const shape = first.shape.slice(1);
  const alike = parts.every((part) => part.dtype === dtype && sameShape(part.shape.slice(1), shape));
  if (!alike) return undefined;
  const rows = parts.reduce((sum, part) => sum + rowsIn(part), 0);
  const data = newArray(dtype, rows * sizeOf(shape));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { dtype, shape: [rows, ...shape], data };
}

/** Rows of a batch, and the number of the first one in the pass. */
export interface Rows {
  readonly first: number;
  readonly rows: NdArray;
}

/**
 * Rows in the batches that `batched(grouped(...))` would make of them. Arrays of a whole number of batches are not copied. Rows that differ in form are an
 * error, worded as there: `element` gives the elements that they belong to.
 */
export async function* rebatched(
  chunks: Flow<NdArray>,
  batchSize: number,
  dropRemainder: boolean,
  element: (row: NdArray, index: number) => unknown,
): Flow<Rows> {
  let parts: NdArray[] = [];
  let held = 0;
  let first = 0;
  const batch = (): Rows => {
    const rows = joined(parts);
    if (rows !== undefined) return { first, rows };
    const each = parts.flatMap((part) => Array.from({ length: rowsIn(part) }, (_, i) => rowOf(part, i)));
    const elements = each.map((row, i) => element(row as NdArray, first + i));
    try {
      return { first, rows: stack('data.batch', elements, first) as NdArray };
    } catch (error) {
      throw elementError('data.batch', first, error);
    }
  };
  for await (const chunk of chunks) {
    for (let from = 0; from < rowsIn(chunk); ) {
      const to = Math.min(rowsIn(chunk), from + batchSize - held);
      parts.push(rowsOf(chunk, from, to));
      held += to - from;
      from = to;
      if (held < batchSize) continue;
      yield batch();
      first += held;
      parts = [];
      held = 0;
    }
  }
  if (held > 0 && !dropRemainder) yield batch();
}
