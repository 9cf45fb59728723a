// Order: sorting, the largest k, distinct values, places in a sorted list.
import { record } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import { normalizeAxis, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit } from '../trace.ts';
import { cast, greater, isFinite, less, lessEqual, logicalAnd } from './compare.ts';
import { fromArray } from './creation.ts';
import { sum } from './reduce.ts';
import { scatterAlongAxis, takeAlongAxis } from './scatter.ts';
import { expandDims, reshape, slice, transpose } from './shape.ts';

/** Values with the places they came from. */
export interface Sorted {
  /** In order along the axis. */
  readonly values: Tensor;
  /** Where along the axis they were. */
  readonly indices: Tensor<'int32'>;
}

/** The order of the axes with `axis` last, and the way back. */
function lastly(rank: number, axis: number): { order: number[]; back: number[] } {
  const order = Array.from({ length: rank }, (_, i) => i).filter((i) => i !== axis);
  order.push(axis);
  return { order, back: order.map((_, i) => order.indexOf(i)) };
}

/** Sorts along the last axis, and keeps the first `k` of each row. */
function sortRows(
  name: string,
  input: Tensor,
  descending: boolean,
  k: number,
  places: boolean,
): Partial<Sorted> {
  const x = input.dtype === 'bool' ? cast(input, 'uint8') : input;
  const columns = x.shape.at(-1)!;
  const rows = columns === 0 ? 0 : x.size / columns;
  const values = { shape: x.shape, dtype: x.dtype };
  // The gradient needs the places too.
  const [sorted, from] = emit({
    kernel: 'sort',
    outputs: [values, places ? { shape: x.shape, dtype: 'int32' } : undefined],
    inputs: [x],
    attributes: [rows, columns, Number(descending)],
    where: name,
  });
  const size = x.shape.with(-1, k);
  const first = (t: Tensor) => (k === columns ? t : slice(t, [], size));
  const indices = from && first(from);
  const out = first(sorted!);
  record(name, [out], [x], (dy) => [dy && indices && scatterAlongAxis(dy, indices, x.rank - 1, columns)]);
  if (indices) record(name, [indices], [x], () => [undefined]);
  return { values: cast(out, input.dtype), indices: indices as Tensor<'int32'> | undefined };
}

function along(name: string, x: Tensor, axis: number, descending: boolean): Sorted {
  if (x.rank === 0) throw new NablaError(name, 'a scalar has no axis, got shape []; reshape() it to [1]');
  const { order, back } = lastly(x.rank, normalizeAxis(name, axis, x.rank));
  const turned = transpose(x, order);
  const { values, indices } = sortRows(name, turned, descending, turned.shape.at(-1)!, true);
  return { values: transpose(values!, back), indices: transpose(indices!, back) };
}

/** The numbers in ascending (or `descending`) order along `axis` (default the last). Stable; NaN last in either order. */
export function sort(x: Tensor, axis = -1, descending = false): Tensor {
  return along('sort', x, axis, descending).values;
}

/** The indices that sort along `axis` (default the last), as {@link sort}; equals stay in their order. */
export function argsort(x: Tensor, axis = -1, descending = false): Tensor<'int32'> {
  return along('argsort', x, axis, descending).indices;
}

/** The `k` largest along the last axis, the largest first, with their indices; the first of equals. */
export function topK(x: Tensor, k = 1): Sorted {
  const most = x.shape.at(-1) ?? 0;
  if (!Number.isInteger(k) || k < 0 || k > most) {
    throw new NablaError(
      'topK',
      `bad k, got ${k}, expected an integer in [0, ${most}], the last dimension of ${showShape(x.shape)}`,
    );
  }
  return sortRows('topK', x, true, k, true) as Sorted;
}

/** What {@link unique} finds. */
export interface Unique {
  /** The distinct values, ascending. */
  readonly values: Tensor;
  /** For each element of the input, the index of its value, in the input's shape. */
  readonly indices: Tensor<'int32'>;
  /** How often each value is there. */
  readonly counts: Tensor<'int32'>;
}

/** The distinct values of a tensor. Their number depends on the data, so that it cannot be part of a jitted function. */
export function unique(x: Tensor): Unique {
  const flat = reshape(x, [x.size]);
  const { values, indices } = along('unique', flat, 0, false);
  const sorted = values.dataSync();
  const places = indices.dataSync();
  const distinct: number[] = [];
  const counts: number[] = [];
  const inverse = new Int32Array(x.size);
  sorted.forEach((value, i) => {
    // NaN is not equal to itself, but one value nevertheless, as in NumPy.
    if (i === 0 || (value !== sorted[i - 1] && !(Number.isNaN(value) && Number.isNaN(sorted[i - 1]!)))) {
      distinct.push(value);
      counts.push(0);
    }
    counts[counts.length - 1]!++;
    inverse[places[i]!] = distinct.length - 1;
  });
  values.dispose();
  indices.dispose();
  const array = new (sorted.constructor as Float32ArrayConstructor)(distinct);
  const out = fromArray(array, [distinct.length], x.dtype as 'float32') as Tensor;
  record('unique', [out], [x], undefined);
  return {
    values: out,
    indices: fromArray(inverse, x.shape, 'int32'),
    counts: fromArray(Int32Array.from(counts), [counts.length], 'int32'),
  };
}

/** Whether the prediction for the target class is among the `k` largest of its row: `[rows, classes]` and int32 `[rows]` give bool `[rows]`. */
export function inTopK(predictions: Tensor, targets: Tensor, k = 1): Tensor<'bool'> {
  const own = takeAlongAxis(predictions, expandDims(cast(targets, 'int32'), -1), -1);
  const above = sum(greater(predictions, own), -1);
  return logicalAnd(less(above, k), reshape(isFinite(own), above.shape));
}

/**
 * Where each value would be inserted into the ascending vector `sorted`, int32: before equals (`left`) or behind them (`right`). Every value is
 * compared with every element: meant for short lists such as the edges of bins.
 */
export function searchSorted(
  sorted: Tensor,
  values: Tensor,
  side: 'left' | 'right' = 'left',
): Tensor<'int32'> {
  if (sorted.rank !== 1) {
    throw new NablaError('searchSorted', `expected a sorted vector, got ${sorted}; reshape() it`);
  }
  const each = expandDims(values, -1);
  const before = side === 'left' ? less(sorted, each) : lessEqual(sorted, each);
  return sum(before, -1) as Tensor<'int32'>;
}
