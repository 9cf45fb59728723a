// Reductions over any axes, and their gradients.
import { isRecording, record } from '../autodiff.ts';
import type { DType } from '../dtype.ts';
import { NablaError } from '../errors.ts';
import { floatBits } from '../program/graph.ts';
import { reduceKinds } from '../program/kernels.ts';
import { repeated } from '../replay.ts';
import { Replayable } from '../replayable.ts';
import { normalizeAxes, normalizeAxis, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit } from '../trace.ts';
import { add, div, mul, spread, sub } from './arithmetic.ts';
import { cast, equal, isFinite, stopGradient, toFloats, where } from './compare.ts';
import { reshape, transpose } from './shape.ts';
import { exp, log, sqrt, square } from './unary.ts';

type ReduceKind = keyof typeof reduceKinds;

/** Axes to reduce: one, several, or all of them where none is given. Negative ones count from the end. */
export type Axis = number | readonly number[];

/** Runs the reduce kernel over axes that are moved together first where they are apart. */
function reduceKernel(
  where: string,
  kind: ReduceKind,
  x: Tensor,
  axes: readonly number[],
  dtype: DType,
  scale = 1,
): Tensor {
  const kept = x.shape.flatMap((_, i) => (axes.includes(i) ? [] : [i]));
  const shape = kept.map((i) => x.shape[i]!);
  const first = axes[0] ?? x.rank;
  const adjacent = axes.every((axis, i) => axis === first + i);
  const source = adjacent ? x : transpose(x, [...kept, ...axes]);
  const outer = adjacent ? sizeOf(x.shape.slice(0, first)) : sizeOf(shape);
  const count = sizeOf(axes.map((axis) => x.shape[axis]!));
  const inner = adjacent ? sizeOf(x.shape.slice(first + axes.length)) : 1;
  const attributes = [reduceKinds[kind], outer, count, inner, floatBits(scale)];
  return emit({ kernel: 'reduce', outputs: [{ shape, dtype }], inputs: [source], attributes, where })[0]!;
}

const calls = Object.fromEntries(
  [...Object.keys(reduceKinds), 'mean'].map((name) => [name, new Replayable()]),
) as Record<ReduceKind | 'mean', Replayable>;

/** Makes a reduction, or repeats it where it is of one axis or of all. */
function reduction<D extends DType>(
  name: ReduceKind | 'mean',
  x: Tensor,
  axis: Axis | undefined,
  keepDims: boolean,
  make: () => Tensor<D>,
): Tensor<D> {
  if (isRecording() || !(axis === undefined || Number.isInteger(axis))) return make();
  // All axes lie between those that there are.
  const number = 4 * ((axis as number | undefined) ?? 0.25) + Number(keepDims) * 2;
  return repeated(calls[name], x, number, make) as Tensor<D>;
}

function keep(out: Tensor, x: Tensor, axes: readonly number[], keepDims: boolean): Tensor {
  return keepDims ? reshape(out, keptShape(x.shape, axes)) : out;
}

function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((dim, i) => (axes.includes(i) ? 1 : dim));
}

/** Integers as int32, which is what sums and products of them are. */
function widened(x: Tensor): Tensor {
  return x.dtype === 'uint8' || x.dtype === 'bool' ? cast(x, 'int32') : x;
}

function total(
  where: 'sum' | 'mean',
  input: Tensor,
  axis: Axis | undefined,
  keepDims: boolean,
  scaled: boolean,
): Tensor {
  return reduction(where, input, axis, keepDims, () => {
    const axes = normalizeAxes(where, axis, input.rank);
    const x = scaled ? toFloats(input) : widened(input);
    const count = sizeOf(axes.map((a) => x.shape[a]!));
    const scale = scaled ? 1 / count : 1;
    const out = reduceKernel(where, 'sum', x, axes, x.dtype, scale);
    record(where, [out], [x], (dy) => [dy && spread(scaled ? mul(dy, scale) : dy, x.shape, axes)]);
    return keep(out, x, axes, keepDims);
  });
}

/** The sum over `axis`. */
export function sum(x: Tensor, axis?: Axis, keepDims = false): Tensor {
  return total('sum', x, axis, keepDims, false);
}

/** The mean over `axis`, floating-point. */
export function mean(x: Tensor, axis?: Axis, keepDims = false): Tensor {
  return total('mean', x, axis, keepDims, true);
}

/** The product over `axis`. Its gradient divides by the factors: it is NaN where one of them is 0. */
export function prod(input: Tensor, axis?: Axis, keepDims = false): Tensor {
  const x = widened(input);
  const axes = normalizeAxes('prod', axis, x.rank);
  const out = reduceKernel('prod', 'prod', x, axes, x.dtype);
  record('prod', [out], [x], (dy) => [dy && div(spread(mul(dy, out), x.shape, axes), x)]);
  return keep(out, x, axes, keepDims);
}

function extreme(kind: 'max' | 'min', x: Tensor, axis: Axis | undefined, keepDims: boolean): Tensor {
  return reduction(kind, x, axis, keepDims, () => makeExtreme(kind, x, axis, keepDims));
}

function makeExtreme(kind: 'max' | 'min', x: Tensor, axis: Axis | undefined, keepDims: boolean): Tensor {
  const axes = normalizeAxes(kind, axis, x.rank);
  const out = reduceKernel(kind, kind, x, axes, x.dtype);
  record(kind, [out], [x], (dy) => {
    if (dy === undefined) return [undefined];
    // Equal extremes share the gradient, as in TensorFlow.
    const hits = cast(equal(x, spread(out, x.shape, axes)), 'float32');
    const share = div(dy, sum(hits, axes));
    return [mul(hits, spread(share, x.shape, axes))];
  });
  return keep(out, x, axes, keepDims);
}

/** The largest over `axis`; NaN if one is met. */
export function max(x: Tensor, axis?: Axis, keepDims = false): Tensor {
  return extreme('max', x, axis, keepDims);
}

/** The smallest over `axis`; NaN if one is met. */
export function min(x: Tensor, axis?: Axis, keepDims = false): Tensor {
  return extreme('min', x, axis, keepDims);
}

function arg(kind: 'argMax' | 'argMin', x: Tensor, axis: number): Tensor<'int32'> {
  return reduction(kind, x, axis, false, () => {
    const axes = [normalizeAxis(kind, axis, x.rank)];
    if (x.shape[axes[0]!] === 0)
      throw new NablaError(kind, 'nothing to choose from, the axis has no elements');
    const source = x.dtype === 'bool' ? cast(x, 'int32') : x;
    const out = reduceKernel(kind, kind, source, axes, 'int32');
    record(kind, [out], [source], () => [undefined]);
    return out as Tensor<'int32'>;
  });
}

/** The index of the largest along `axis` (default the last); the first of equals. */
export function argMax(x: Tensor, axis = -1): Tensor<'int32'> {
  return arg('argMax', x, axis);
}

/** The index of the smallest along `axis` (default the last); the first of equals. */
export function argMin(x: Tensor, axis = -1): Tensor<'int32'> {
  return arg('argMin', x, axis);
}

function truth(kind: 'any' | 'all', x: Tensor, axis: Axis | undefined, keepDims: boolean): Tensor<'bool'> {
  const axes = normalizeAxes(kind, axis, x.rank);
  const source = cast(x, 'bool');
  const out = reduceKernel(kind, kind, source, axes, 'bool');
  record(kind, [out], [source], () => [undefined]);
  return keep(out, x, axes, keepDims) as Tensor<'bool'>;
}

/** Whether any is true over `axis`. */
export function any(x: Tensor, axis?: Axis, keepDims = false): Tensor<'bool'> {
  return truth('any', x, axis, keepDims);
}

/** Whether all are true over `axis`. */
export function all(x: Tensor, axis?: Axis, keepDims = false): Tensor<'bool'> {
  return truth('all', x, axis, keepDims);
}

/** The sum of squares over `axis`, floating-point. */
export function sumSquares(input: Tensor, axis?: Axis, keepDims = false): Tensor {
  const x = toFloats(input);
  const axes = normalizeAxes('sumSquares', axis, x.rank);
  const out = reduceKernel('sumSquares', 'sumSquares', x, axes, 'float32');
  record('sumSquares', [out], [x], (dy) => [dy && mul(spread(mul(dy, 2), x.shape, axes), x)]);
  return keep(out, x, axes, keepDims);
}

/** The population variance over `axis`. */
export function variance(x: Tensor, axis?: Axis, keepDims = false): Tensor {
  return mean(square(sub(x, mean(x, axis, true))), axis, keepDims);
}

/** The population standard deviation over `axis`. */
export function std(x: Tensor, axis?: Axis, keepDims = false): Tensor {
  return sqrt(variance(x, axis, keepDims));
}

/** The Euclidean norm over `axis`. */
export function norm(x: Tensor, axis?: Axis, keepDims = false): Tensor {
  return sqrt(sumSquares(x, axis, keepDims));
}

/** `log(sum(exp(x)))` over `axis`, without overflow. */
export function logSumExp(x: Tensor, axis?: Axis, keepDims = false): Tensor {
  const largest = max(x, axis, true);
  // Infinities are not subtracted from themselves. Any constant will do: the result does not depend on it.
  const highest = stopGradient(where(isFinite(largest), largest, 0));
  const out = add(log(sum(exp(sub(x, highest)), axis, true)), highest);
  return keepDims ? out : reshape(out, sumShape(x, axis));
}

function sumShape(x: Tensor, axis: Axis | undefined): number[] {
  const axes = normalizeAxes('logSumExp', axis, x.rank);
  return x.shape.filter((_, i) => !axes.includes(i));
}
