// Ops that move numbers without computing: reshape, transpose, slice, concatenate, pad, tile and their like.
import { record } from '../autodiff.ts';
import { type DType, isFloating, isHalf } from '../dtype.ts';
import { NablaError } from '../errors.ts';
import { floatBits, type MicroOp } from '../program/graph.ts';
import {
  broadcastShapes,
  checkShape,
  normalizeAxes,
  normalizeAxis,
  type Shape,
  sameShape,
  showShape,
  sizeOf,
  stridesOf,
} from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, emitParts, type KernelCall, view } from '../trace.ts';
import { sumTo } from './arithmetic.ts';
import { fill } from './creation.ts';
import { type PadMode, padWithOwn } from './rearrange.ts';

/** The same numbers in another shape; one dimension may be -1 and is worked out. No copy. */
export function reshape<D extends DType>(x: Tensor<D>, shape: Shape): Tensor<D> {
  const open = shape.indexOf(-1);
  const rest = sizeOf(shape.filter((_, i) => i !== open));
  const target = shape.map((dim, i) => (i === open ? (rest === 0 ? 0 : x.size / rest) : dim));
  const whole = target.every(Number.isInteger);
  if (!whole || sizeOf(target) !== x.size) {
    throw new NablaError(
      'reshape',
      `sizes differ, got ${showShape(x.shape)} (${x.size} numbers), expected to fill ${showShape(shape)}`,
    );
  }
  checkShape('reshape', target);
  const out = view(x, target);
  record('reshape', [out], [x], (dy) => [dy && reshape(dy, x.shape)]);
  return out;
}

/** All numbers in one dimension. */
export function flatten<D extends DType>(x: Tensor<D>): Tensor<D> {
  return reshape(x, [x.size]);
}

/** A dimension of size 1 more, at `axis`. */
export function expandDims<D extends DType>(x: Tensor<D>, axis = 0): Tensor<D> {
  const at = normalizeAxis('expandDims', axis, x.rank + 1);
  return reshape(x, x.shape.toSpliced(at, 0, 1));
}

/** Without the dimensions of size 1, or without those named. */
export function squeeze<D extends DType>(x: Tensor<D>, axis?: number | readonly number[]): Tensor<D> {
  const axes =
    axis === undefined
      ? x.shape.flatMap((d, i) => (d === 1 ? [i] : []))
      : normalizeAxes('squeeze', axis, x.rank);
  const wide = axes.find((a) => x.shape[a] !== 1);
  if (wide !== undefined) {
    throw new NablaError('squeeze', `dimension ${wide} is not 1, got ${showShape(x.shape)}; use reshape()`);
  }
  return reshape(
    x,
    x.shape.filter((_, i) => !axes.includes(i)),
  );
}

/** A strided walk over a tensor: the general form of the copy kernel's reading side. */
export interface Walk {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
}

/** The elements on a walk. Without a gradient: the ops that use it record theirs. */
export function gatherStrided<D extends DType>(where: string, x: Tensor<D>, walk: Walk): Tensor<D> {
  const { shape, strides, offset } = walk;
  // The rule looks at both ends of the walk, which an empty one does not have.
  const start = sizeOf(shape) === 0 ? 0 : offset;
  const attributes = [shape.length, 0, start, ...shape, ...stridesOf(shape), ...strides];
  return emit({
    kernel: 'copy',
    outputs: [{ shape, dtype: x.dtype }],
    inputs: [x],
    attributes,
    where,
  })[0] as Tensor<D>;
}

/** The dimensions in another order; reversed where none is given. */
export function transpose<D extends DType>(x: Tensor<D>, order?: readonly number[]): Tensor<D> {
  const axes = (order ?? x.shape.map((_, i) => x.rank - 1 - i)).map((a) =>
    normalizeAxis('transpose', a, x.rank),
  );
  if (axes.length !== x.rank || new Set(axes).size !== x.rank) {
    throw new NablaError('transpose', `bad order, got [${order}], expected each of the ${x.rank} axes once`);
  }
  const shape = axes.map((a) => x.shape[a]!);
  const strides = stridesOf(x.shape);
  // Where only dimensions of size 1 move, the numbers stay where they are.
  const moving = axes.filter((a) => x.shape[a] !== 1);
  const still = moving.every((a, i) => i === 0 || moving[i - 1]! < a);
  const out = still
    ? view(x, shape)
    : gatherStrided('transpose', x, { shape, strides: axes.map((a) => strides[a]!), offset: 0 });
  const back = axes.map((_, i) => axes.indexOf(i));
  record('transpose', [out], [x], (dy) => [dy && transpose(dy, back)]);
  return out;
}

/** Stretched to a shape by NumPy's rule. */
export function broadcastTo<D extends DType>(x: Tensor<D>, shape: Shape): Tensor<D> {
  if (sameShape(x.shape, shape)) return x;
  if (!sameShape(broadcastShapes('broadcastTo', x.shape, shape), shape)) {
    throw new NablaError('broadcastTo', `cannot stretch ${showShape(x.shape)} to ${showShape(shape)}`);
  }
  if (x.constant !== undefined) return fill(shape, x.constant, x.dtype);
  const lead = shape.length - x.rank;
  const from = stridesOf(x.shape);
  const strides = shape.map((_, i) => (i < lead || x.shape[i - lead] === 1 ? 0 : from[i - lead]!));
  const out = gatherStrided('broadcastTo', x, { shape, strides, offset: 0 });
  record('broadcastTo', [out], [x], (dy) => [dy && sumTo(dy, x.shape)]);
  return out;
}

/** A block of the tensor: `size[i]` elements from `begin[i]` on along each dimension; size -1 takes the rest. */
export function slice<D extends DType>(
  x: Tensor<D>,
  begin: readonly number[],
  size?: readonly number[],
): Tensor<D> {
  const starts = x.shape.map((dim, i) => {
    const at = begin[i] ?? 0;
    return at < 0 ? at + dim : at;
  });
  const shape = x.shape.map((dim, i) => {
    const wanted = size?.[i] ?? -1;
    return wanted === -1 ? dim - starts[i]! : wanted;
  });
  const bad = x.shape.findIndex(
    (dim, i) =>
      !Number.isInteger(starts[i]) ||
      !Number.isInteger(shape[i]) ||
      !(starts[i]! >= 0 && shape[i]! >= 0 && starts[i]! + shape[i]! <= dim),
  );
  if (begin.length > x.rank || (size?.length ?? 0) > x.rank || bad >= 0) {
    throw new NablaError(
      'slice',
      `out of range, got begin [${begin}] and size [${size ?? 'rest'}], expected to lie within ${showShape(x.shape)}`,
    );
  }
  const strides = stridesOf(x.shape);
  const offset = starts.reduce((sum, start, i) => sum + start * strides[i]!, 0);
  // A stretch of the first dimension is contiguous: a view will do.
  const contiguous = shape.every((dim, i) => i === 0 || dim === x.shape[i]);
  const out = contiguous ? view(x, shape, offset) : gatherStrided('slice', x, { shape, strides, offset });
  record('slice', [out], [x], (dy) => {
    const paddings = x.shape.map((dim, i): [number, number] => [starts[i]!, dim - starts[i]! - shape[i]!]);
    return [dy && pad(dy, paddings)];
  });
  return out;
}

/** Surrounded by `value` (default 0), or by numbers of its own: `[before, after]` for each dimension. */
export function pad(
  x: Tensor,
  paddings: readonly (readonly [number, number])[],
  value: number | PadMode = 0,
): Tensor {
  const good =
    paddings.length === x.rank && paddings.every((p) => p.every((n) => Number.isInteger(n) && n >= 0));
  if (!good) {
    throw new NablaError(
      'pad',
      `bad paddings, got ${JSON.stringify(paddings)}, expected ${x.rank} pairs of integers >= 0`,
    );
  }
  if (typeof value === 'string') return padWithOwn(x, paddings, value);
  const shape = x.shape.map((dim, i) => dim + paddings[i]![0] + paddings[i]![1]);
  const out = assemble('pad', shape, value, [{ part: x, begin: paddings.map(([before]) => before) }]);
  record('pad', [out], [x], (dy) => [
    dy &&
      slice(
        dy,
        paddings.map(([before]) => before),
        x.shape,
      ),
  ]);
  return out;
}

/** Joined along `axis`; all other dimensions are equal. */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const first = tensors[0];
  if (first === undefined)
    throw new NablaError('concat', 'nothing to join, got no tensors, expected at least one');
  const at = normalizeAxis('concat', axis, first.rank);
  for (const t of tensors) {
    const fits = t.rank === first.rank && t.shape.every((dim, i) => i === at || dim === first.shape[i]);
    const alike = t.dtype === first.dtype || (isFloating(t.dtype) && isFloating(first.dtype));
    if (!fits || !alike) {
      throw new NablaError(
        'concat',
        `tensors do not fit, got ${first} and ${t}, expected one dtype and equal dimensions but for axis ${at}`,
      );
    }
  }
  let along = 0;
  const parts = tensors.map((part) => {
    const begin = part.shape.map((_, i) => (i === at ? along : 0));
    along += part.shape[at]!;
    return { part, begin };
  });
  const shape = first.shape.map((dim, i) => (i === at ? along : dim));
  const out = assemble('concat', shape, undefined, parts);
  record('concat', [out], tensors, (dy) =>
    parts.map(({ part, begin }) => dy && slice(dy, begin, part.shape)),
  );
  return out;
}

/** A new tensor with parts copied into it, over `value` where one is given. */
function assemble(
  where: string,
  shape: Shape,
  value: number | undefined,
  parts: readonly { part: Tensor; begin: readonly number[] }[],
): Tensor {
  const strides = stridesOf(shape);
  const first = parts[0]!.part.dtype;
  const mixed = isHalf(first) && parts.some(({ part }) => part.dtype !== first);
  const dtype: DType = mixed ? 'float32' : first;
  const outputs = [{ shape, dtype }];
  const calls: KernelCall[] = [];
  if (value !== undefined) {
    const micro: MicroOp[] = isFloating(dtype)
      ? [{ op: 'constant', args: [floatBits(value)] }]
      : [{ op: 'constantInt', args: [value | 0] }];
    calls.push({ kernel: 'map', outputs, inputs: [], attributes: [], micro, where });
  }
  for (const { part, begin } of parts) {
    const offset = part.size === 0 ? 0 : begin.reduce((total, b, i) => total + b * strides[i]!, 0);
    const attributes = [shape.length, offset, 0, ...part.shape, ...strides, ...stridesOf(part.shape)];
    calls.push({ kernel: 'copy', outputs, inputs: [part], attributes, where });
  }
  return emitParts(calls);
}

/** Joined along a new axis; all of one shape. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  return concat(
    tensors.map((t) => expandDims(t, axis)),
    tensors[0] && axis < 0 ? axis + tensors[0].rank + 1 : axis,
  );
}

/** Cut along `axis` into `parts` equal pieces, or into pieces of the sizes given. */
export function split(x: Tensor, parts: number | readonly number[], axis = 0): Tensor[] {
  const at = normalizeAxis('split', axis, x.rank);
  const dim = x.shape[at]!;
  const sizes = typeof parts === 'number' ? new Array<number>(parts).fill(dim / parts) : parts;
  if (!sizes.every(Number.isInteger) || sizes.reduce((a, b) => a + b, 0) !== dim) {
    throw new NablaError(
      'split',
      `sizes do not add up, got ${JSON.stringify(parts)}, expected parts of ${dim}`,
    );
  }
  let from = 0;
  return sizes.map((size) => {
    const begin = x.shape.map((_, i) => (i === at ? from : 0));
    from += size;
    return slice(
      x,
      begin,
      x.shape.map((d, i) => (i === at ? size : d)),
    );
  });
}

/** Repeated as a whole `repeats[i]` times along each dimension. */
export function tile(x: Tensor, repeats: readonly number[]): Tensor {
  if (repeats.length !== x.rank) {
    throw new NablaError(
      'tile',
      `bad repeats, got [${repeats}], expected one number for each of ${x.rank} dimensions`,
    );
  }
  // An axis at a time, seen as [before, dim and after]: the rank stays low whatever that of x is.
  return repeats.reduce((tiled, count, axis) => {
    if (count === 1) return tiled;
    const before = sizeOf(tiled.shape.slice(0, axis));
    const rest = sizeOf(tiled.shape.slice(axis));
    const stretched = broadcastTo(reshape(tiled, [before, 1, rest]), [before, count, rest]);
    return reshape(stretched, tiled.shape.with(axis, tiled.shape[axis]! * count));
  }, x);
}

/** In reverse along `axis`, all of them where none is given. */
export function flip<D extends DType>(x: Tensor<D>, axis?: number | readonly number[]): Tensor<D> {
  const axes = normalizeAxes('flip', axis, x.rank);
  const strides = stridesOf(x.shape);
  const offset = axes.reduce((total, a) => total + (x.shape[a]! - 1) * strides[a]!, 0);
  const walk = { shape: [...x.shape], strides: strides.map((s, i) => (axes.includes(i) ? -s : s)), offset };
  const out = gatherStrided('flip', x, walk);
  record('flip', [out], [x], (dy) => [dy && flip(dy, axes)]);
  return out;
}
