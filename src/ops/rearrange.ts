// More ops that move numbers: strided slices, rolled, repeated, triangles and diagonals, grids, padding with the tensor's own numbers.
import { record } from '../autodiff.ts';
import type { DType } from '../dtype.ts';
import { isFloating } from '../dtype.ts';
import { NablaError } from '../errors.ts';
import { floatBits } from '../program/graph.ts';
import { normalizeAxis, type Shape, showShape, sizeOf, stridesOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emitParts, placeName } from '../trace.ts';
import { tensor } from './creation.ts';
import { gather } from './gather.ts';
import { MapBuilder } from './map.ts';
import { sum } from './reduce.ts';
import {
  broadcastTo,
  concat,
  flatten,
  gatherStrided,
  reshape,
  split,
  squeeze,
  transpose,
  type Walk,
} from './shape.ts';

/** What surrounds a padded tensor: mirrored without its edge, mirrored with it, or the edge again and again. */
export type PadMode = 'reflect' | 'symmetric' | 'edge';

/** The elements on a walk through `x`, with the gradient. */
function walkOver(name: string, x: Tensor, walk: Walk): Tensor {
  const out = gatherStrided(name, x, walk);
  record(name, [out], [x], (dy) => [dy && placeOn(name, dy, x.shape, walk)]);
  return out;
}

/** The reverse: zeros of `shape` with the elements of `x` on a walk through them. */
function placeOn(name: string, x: Tensor, shape: Shape, walk: Walk): Tensor {
  const outputs = [{ shape, dtype: x.dtype }];
  const isFloat = isFloating(x.dtype);
  const zero = isFloat
    ? ({ op: 'constant', args: [floatBits(0)] } as const)
    : ({ op: 'constantInt', args: [0] } as const);
  const start = x.size === 0 ? 0 : walk.offset;
  const attributes = [walk.shape.length, start, 0, ...walk.shape, ...walk.strides, ...stridesOf(walk.shape)];
  const out = emitParts([
    { kernel: 'map', outputs, inputs: [], attributes: [], micro: [zero], where: name },
    { kernel: 'copy', outputs, inputs: [x], attributes, where: name },
  ]);
  record(name, [out], [x], (dy) => [dy && walkOver(name, dy, walk)]);
  return out;
}

/** A bound of a strided slice: counted from the end when negative, undefined for the end of the dimension. */
export type Bound = number | undefined;

/**
 * As Python's `x[begin:end:stride]` in each dimension; those left out at the end are taken whole. Negative strides run backwards. Bounds beyond
 * the tensor are those of the tensor.
 *
 * @example stridedSlice(range(0, 6), [undefined], [undefined], [-2]) // [5, 3, 1]
 */
export function stridedSlice(
  x: Tensor,
  begin: readonly Bound[],
  end: readonly Bound[],
  strides: readonly number[] = [],
): Tensor {
  const bad = strides.find((s) => !Number.isInteger(s) || s === 0);
  const fractions = [...begin, ...end].some((b) => b !== undefined && !Number.isInteger(b));
  if (bad !== undefined || fractions || Math.max(begin.length, end.length, strides.length) > x.rank) {
    throw new NablaError(
      'stridedSlice',
      `bad bounds, got begin [${begin}], end [${end}], strides [${strides}], ` +
        `expected at most ${x.rank} integers each, strides other than 0`,
    );
  }
  const from = stridesOf(x.shape);
  let offset = 0;
  const shape: number[] = [];
  const steps = x.shape.map((dim, i) => {
    const stride = strides[i] ?? 1;
    const [least, most] = stride > 0 ? [0, dim] : [-1, dim - 1];
    const limited = (at: number) => Math.min(Math.max(at < 0 ? at + dim : at, least), most);
    const [b, e] = [begin[i], end[i]];
    const start = b === undefined ? (stride > 0 ? least : most) : limited(b);
    const stop = e === undefined ? (stride > 0 ? most : least) : limited(e);
    shape.push(Math.max(0, Math.ceil((stop - start) / stride)));
    offset += start * from[i]!;
    return stride * from[i]!;
  });
  return walkOver('stridedSlice', x, { shape, strides: steps, offset });
}

/** Moved along `axis` by `shift` places, round the end; over the flattened tensor where no axis is given. */
export function roll(
  x: Tensor,
  shift: number | readonly number[],
  axis?: number | readonly number[],
): Tensor {
  if (axis === undefined) return reshape(roll(flatten(x), shift, 0), x.shape);
  const shifts = typeof shift === 'number' ? [shift] : shift;
  const axes = typeof axis === 'number' ? [axis] : axis;
  if (shifts.length !== axes.length || !shifts.every(Number.isInteger)) {
    throw new NablaError(
      'roll',
      `bad shift, got [${shifts}], expected an integer for each of axes [${axes}]`,
    );
  }
  return axes.reduce((rolled, a, i) => {
    const at = normalizeAxis('roll', a, x.rank);
    const dim = x.shape[at]!;
    const by = dim === 0 ? 0 : ((shifts[i]! % dim) + dim) % dim;
    return by === 0 ? rolled : concat(split(rolled, [dim - by, by], at).reverse(), at);
  }, x);
}

/** Each element `repeats` times along `axis`, or as many times as its number says; over the flattened tensor where no axis is given. */
export function repeat(x: Tensor, repeats: number | readonly number[], axis?: number): Tensor {
  if (axis === undefined) return repeat(flatten(x), repeats, 0);
  const at = normalizeAxis('repeat', axis, x.rank);
  const dim = x.shape[at]!;
  const times = typeof repeats === 'number' ? [repeats] : repeats;
  const counted = typeof repeats === 'number' || repeats.length === dim;
  if (!counted || !times.every((n) => Number.isInteger(n) && n >= 0)) {
    throw new NablaError(
      'repeat',
      `bad repeats, got [${times}], expected one integer >= 0, or one for each of ${dim} elements`,
    );
  }
  if (typeof repeats !== 'number') {
    const places = repeats.flatMap((n, i) => new Array<number>(n).fill(i));
    return gather(x, tensor(places, [places.length], 'int32'), at);
  }
  const [before, after] = [sizeOf(x.shape.slice(0, at + 1)), sizeOf(x.shape.slice(at + 1))];
  const wide = broadcastTo(reshape(x, [before, 1, after]), [before, repeats, after]);
  return reshape(wide, x.shape.with(at, dim * repeats));
}

/** The matrices' elements with `column <= row + k` (lower) or `>=` (upper); zeros elsewhere. */
function triangle(name: 'tril' | 'triu', x: Tensor, k: number): Tensor {
  const [rows, columns] = matrixDims(name, x);
  const b = new MapBuilder(name);
  const isFloat = isFloating(x.dtype);
  const as = isFloat ? 'float' : 'int';
  const value = b.load(x, as);
  const width = b.constant(columns, 'int');
  const row = b.op('modInt', b.op('floorDivInt', b.index(), width), b.constant(rows, 'int'));
  const edge = b.op('addInt', row, b.constant(k, 'int'));
  const column = b.op('modInt', b.index(), width);
  const kept = name === 'tril' ? b.op('lessEqualInt', column, edge) : b.op('lessEqualInt', edge, column);
  b.op(isFloat ? 'select' : 'selectInt', kept, value, b.constant(0, as));
  const out = b.build(x.dtype, x.shape);
  record(name, [out], [x], (dy) => [dy && triangle(name, dy, k)]);
  return out;
}

function matrixDims(name: string, x: Tensor): [number, number] {
  if (x.rank < 2) {
    throw new NablaError(placeName(name), `expected matrices [..., rows, columns], got ${x}; reshape() it`);
  }
  return x.shape.slice(-2) as [number, number];
}

/** The lower triangle of the matrices in the last two dimensions, up to diagonal `k` (default the main one); zeros above it. */
export function tril(x: Tensor, k = 0): Tensor {
  return triangle('tril', x, k);
}

/** The upper triangle, from diagonal `k` (default the main one) on; zeros below it. */
export function triu(x: Tensor, k = 0): Tensor {
  return triangle('triu', x, k);
}

/** The walk along diagonal `k` of matrices: those above the main one are positive. */
function diagonalWalk(shape: Shape, k: number): Walk {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const from = stridesOf(shape);
  const length = Math.max(0, Math.min(rows + Math.min(k, 0), columns - Math.max(k, 0)));
  const offset = k >= 0 ? k : -k * columns;
  return {
    shape: [...shape.slice(0, -2), length],
    strides: [...from.slice(0, -2), columns + 1],
    offset: length === 0 ? 0 : offset,
  };
}

/** The `k`-th diagonal of the matrices in the last two dimensions: `[..., rows, columns]` gives `[..., length]`. */
export function diagonal(x: Tensor, k = 0): Tensor {
  matrixDims('diagonal', x);
  return walkOver('diagonal', x, diagonalWalk(x.shape, k));
}

/** A square matrix with a vector on its `k`-th diagonal; of a matrix its diagonal, as NumPy's diag. */
export function diag(x: Tensor, k = 0): Tensor {
  if (x.rank === 2) return diagonal(x, k);
  if (x.rank !== 1) throw new NablaError('diag', `expected a vector or a matrix, got ${x}; use diagonal()`);
  const size = x.size + Math.abs(k);
  return placeOn('diag', x, [size, size], diagonalWalk([size, size], k));
}

/** The sum along the `k`-th diagonal of the matrices in the last two dimensions. */
export function trace(x: Tensor, k = 0): Tensor {
  return sum(diagonal(x, k), -1);
}

/**
 * The coordinates of a grid: for vectors of sizes n1, n2, ... tensors of shape `[n1, n2, ...]` ('ij'), or with the first two swapped ('xy', the
 * default, as NumPy).
 */
export function meshgrid(vectors: readonly Tensor[], indexing: 'xy' | 'ij' = 'xy'): Tensor[] {
  const swap = indexing === 'xy' && vectors.length > 1;
  const axes = vectors.map((_, i) => (swap && i < 2 ? 1 - i : i));
  const shape = vectors.map((_, i) => vectors[axes[i]!]!.size);
  return vectors.map((vector, i) => {
    const own = shape.map((_, a) => (a === axes[i] ? vector.size : 1));
    return broadcastTo(reshape(vector, own), shape);
  });
}

/** The dimension `from` at the place `to`; the others keep their order. */
export function moveAxis<D extends DType>(x: Tensor<D>, from: number, to: number): Tensor<D> {
  const source = normalizeAxis('moveAxis', from, x.rank);
  const order = x.shape.map((_, i) => i).filter((i) => i !== source);
  order.splice(normalizeAxis('moveAxis', to, x.rank), 0, source);
  return transpose(x, order);
}

/** Two dimensions exchanged. */
export function swapAxes<D extends DType>(x: Tensor<D>, a: number, b: number): Tensor<D> {
  const [i, j] = [normalizeAxis('swapAxes', a, x.rank), normalizeAxis('swapAxes', b, x.rank)];
  return transpose(
    x,
    x.shape.map((_, axis) => (axis === i ? j : axis === j ? i : axis)),
  );
}

/** The slices along `axis`, without that dimension: the reverse of stack(). */
export function unstack(x: Tensor, axis = 0): Tensor[] {
  const at = normalizeAxis('unstack', axis, x.rank);
  return split(x, x.shape[at]!, at).map((part) => squeeze(part, at));
}

/** Where in the dimension a padded position lies. */
function ownPlace(at: number, dim: number, mode: PadMode): number {
  if (mode === 'edge') return Math.min(Math.max(at, 0), dim - 1);
  const period = mode === 'reflect' ? 2 * (dim - 1) : 2 * dim;
  if (period === 0) return 0;
  const place = ((at % period) + period) % period;
  return place < dim ? place : period - place - (mode === 'reflect' ? 0 : 1);
}

/** {@link pad} with the tensor's own numbers. */
export function padWithOwn(
  x: Tensor,
  paddings: readonly (readonly [number, number])[],
  mode: PadMode,
): Tensor {
  const modes: readonly PadMode[] = ['reflect', 'symmetric', 'edge'];
  if (!modes.includes(mode)) {
    throw new NablaError(
      'pad',
      `unknown mode, got '${mode}', expected a number or one of ${modes.join(', ')}`,
    );
  }
  return paddings.reduce((padded, [before, after], axis) => {
    if (before + after === 0) return padded;
    const dim = x.shape[axis]!;
    if (dim === 0) {
      throw new NablaError('pad', `nothing to repeat, got ${showShape(x.shape)}; pad with a number`);
    }
    const places = Array.from({ length: before + dim + after }, (_, i) => ownPlace(i - before, dim, mode));
    return gather(padded, tensor(places, [places.length], 'int32'), axis);
  }, x);
}
