// Elements by index along an axis or in several dimensions: picked (take, gatherND) and added (scatter).
import { record } from '../autodiff.ts';
import { isFloating } from '../dtype.ts';
import { NablaError } from '../errors.ts';
import { normalizeAxis, type Shape, sameShape, showShape, sizeOf, stridesOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { placeName } from '../trace.ts';
import { add, mul } from './arithmetic.ts';
import { cast, greaterEqual, less, logicalAnd, where } from './compare.ts';
import { fill, tensor } from './creation.ts';
import { gather, scatterAdd } from './gather.ts';
import { MapBuilder, type Register } from './map.ts';
import { all, sum } from './reduce.ts';
import { reshape } from './shape.ts';

/** A register that is -1, which every kernel refuses, where the index is not in `[0, limit)`. */
function refused(b: MapBuilder, index: Register, limit: number, flat: Register): Register {
  const tooLow = b.op('lessInt', index, b.constant(0, 'int'));
  const tooHigh = b.op('lessEqualInt', b.constant(limit, 'int'), index);
  return b.op('selectInt', b.op('orInt', tooLow, tooHigh), b.constant(-1, 'int'), flat);
}

/** The index along `axis` of every element of a shape, int32. */
export function countAlong(shape: Shape, axis: number): Tensor {
  const b = new MapBuilder('index');
  const inner = b.op('floorDivInt', b.index(), b.constant(sizeOf(shape.slice(axis + 1)), 'int'));
  b.op('modInt', inner, b.constant(shape[axis]!, 'int'));
  return b.build('int32', shape);
}

/**
 * Indices along `axis`, one for each element of `[outer, k, inner]`, as indices into the flattened `[outer, count, inner]`.
 */
function flatAlong(name: string, indices: Tensor, axis: number, count: number): Tensor {
  const inner = sizeOf(indices.shape.slice(axis + 1));
  const b = new MapBuilder(name);
  const index = b.load(indices, 'int');
  const at = b.index();
  const int = (value: number) => b.constant(value, 'int');
  const outer = b.op('floorDivInt', at, int(inner * indices.shape[axis]!));
  const row = b.op('addInt', b.op('mulInt', outer, int(count)), index);
  const flat = b.op('addInt', b.op('mulInt', row, int(inner)), b.op('modInt', at, int(inner)));
  refused(b, index, count, flat);
  const out = b.build('int32', indices.shape);
  record(name, [out], [indices], () => [undefined]);
  return out;
}

/**
 * One element for each index along `axis`, as NumPy's take_along_axis: `indices` has the shape of `x` but for that axis. Indices are not
 * negative.
 *
 * @example takeAlongAxis(tensor([[3, 1], [2, 5]]), tensor([[1], [0]], undefined, 'int32'), 1) // [[1], [2]]
 */
export function takeAlongAxis(x: Tensor, indices: Tensor, axis = -1): Tensor {
  const at = normalizeAxis('takeAlongAxis', axis, x.rank);
  const fits = indices.rank === x.rank && x.shape.every((dim, i) => i === at || dim === indices.shape[i]);
  if (!fits) {
    throw new NablaError(
      placeName('takeAlongAxis'),
      `indices do not fit, got ${showShape(indices.shape)}, expected ${showShape(x.shape)} but for axis ${at}`,
    );
  }
  const flat = flatAlong('takeAlongAxis', cast(indices, 'int32'), at, x.shape[at]!);
  return gather(reshape(x, [x.size]), flat);
}

/** The reverse of {@link takeAlongAxis}: zeros of `count` along the axis, with the elements of `x` added where the indices say. */
export function scatterAlongAxis(x: Tensor, indices: Tensor, axis: number, count: number): Tensor {
  const shape = x.shape.with(axis, count);
  const flat = flatAlong('scatterAlongAxis', indices, axis, count);
  return reshape(scatterAdd(x, flat, sizeOf(shape), 1), shape);
}

/** Rows of indices `[..., d]` into the first `d` dimensions of a shape, as indices of rows of the rest. */
function flatND(name: string, indices: Tensor, shape: Shape): { flat: Tensor; rest: Shape; lead: Shape } {
  const depth = indices.shape.at(-1);
  if (depth === undefined || depth > shape.length) {
    throw new NablaError(
      placeName(name),
      `bad indices, got shape ${showShape(indices.shape)} for ${showShape(shape)}, ` +
        `expected a last dimension of at most ${shape.length}`,
    );
  }
  const wanted = cast(indices, 'int32');
  const dims = shape.slice(0, depth);
  const strides = stridesOf(dims);
  const inside = logicalAnd(greaterEqual(wanted, 0), less(wanted, tensor(dims, [depth], 'int32')));
  const rows = sum(mul(wanted, tensor(strides, [depth], 'int32')), -1);
  const flat = where(all(inside, -1), rows, -1);
  return { flat, rest: shape.slice(depth), lead: indices.shape.slice(0, -1) };
}

/**
 * Elements or slices by indices in several dimensions: `indices` `[..., d]` int32 name places in the first `d` dimensions of `x`; gives
 * `[..., the other dimensions]`.
 */
export function gatherND(x: Tensor, indices: Tensor): Tensor {
  const { flat, rest, lead } = flatND('gatherND', indices, x.shape);
  const rows = sizeOf(x.shape.slice(0, x.rank - rest.length));
  return reshape(gather(reshape(x, [rows, ...rest]), flat), [...lead, ...rest]);
}

/** Zeros of `shape`, float32, with `updates` added at `indices` (as {@link gatherND} takes them); those that meet are summed. */
export function scatterND(indices: Tensor, updates: Tensor, shape: Shape): Tensor {
  const { flat, rest, lead } = flatND('scatterND', indices, shape);
  const expected = [...lead, ...rest];
  if (!sameShape(updates.shape, expected) || !isFloating(updates.dtype)) {
    throw new NablaError(
      placeName('scatterND'),
      `updates do not fit, got ${updates}, expected float32${showShape(expected)}`,
    );
  }
  const rows = sizeOf(shape.slice(0, shape.length - rest.length));
  return reshape(scatterAdd(updates, flat, rows, sizeOf(rest)), shape);
}

/** `x` with `updates` added at `indices`, as {@link scatterND}. */
export function tensorScatterAdd(x: Tensor, indices: Tensor, updates: Tensor): Tensor {
  return add(x, scatterND(indices, updates, x.shape));
}

/** How often each of the integers `0 .. size - 1` is in `x`, int32; with `weights` of the shape of `x` their sums, float32. */
export function bincount(x: Tensor, size: number, weights?: Tensor): Tensor {
  if (!Number.isInteger(size) || size < 0) {
    throw new NablaError('bincount', `bad size, got ${size}, expected an integer >= 0`);
  }
  if (weights !== undefined && !sameShape(weights.shape, x.shape)) {
    throw new NablaError('bincount', `weights do not fit, got ${weights}, expected ${showShape(x.shape)}`);
  }
  const indices = cast(x, 'int32');
  const each = weights ?? fill(x.shape, 1);
  const sums = reshape(scatterAdd(cast(each, 'float32'), indices, size, 1), [size]);
  return weights === undefined ? cast(sums, 'int32') : sums;
}
