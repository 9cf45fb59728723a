// Numeric ops that are composed of others: logarithms to other bases, norms and clipping by them, counts, sums of several.
import { record } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';
import { add, div, maximum, mul, sub } from './arithmetic.ts';
import { equal, isFinite, isNaN, less, logicalAnd, notEqual, stopGradient, where } from './compare.ts';
import { MapBuilder, type TensorLike } from './map.ts';
import { type Axis, mean, sum, sumSquares } from './reduce.ts';
import { abs, exp, log, neg, sin, sqrt, square } from './unary.ts';

/** The logarithm to base 2. */
export const log2 = (x: TensorLike): Tensor => mul(log(x), Math.LOG2E);
/** The logarithm to base 10. */
export const log10 = (x: TensorLike): Tensor => mul(log(x), Math.LOG10E);
/** 2 to the x. */
export const exp2 = (x: TensorLike): Tensor => exp(mul(x, Math.LN2));
/** `sin(pi x) / (pi x)`, 1 at 0. */
export function sinc(x: TensorLike): Tensor {
  const angle = mul(x, Math.PI);
  const atZero = equal(angle, 0);
  // The division is kept away from 0, where its gradient would be NaN; the slope of sinc there is 0.
  const safe = where(atZero, 1, angle);
  return where(atZero, 1, div(sin(safe), safe));
}

// Coefficients of the Chebyshev fit of erfc in Press et al., "Numerical Recipes" (erfcc), relative error below 1.2e-7.
const erfcFit = [
  0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196,
  1.00002368, -1.26551223,
] as const;

/** `1 - erf(x)`, with its digits also where it is tiny. */
export function erfc(x: TensorLike): Tensor {
  const b = new MapBuilder('erfc');
  const value = b.load(x, 'float');
  const z = b.op('abs', value);
  const one = b.constant(1, 'float');
  const t = b.op('reciprocal', b.op('mulAdd', z, b.constant(0.5, 'float'), one));
  const fit = erfcFit
    .slice(1)
    .reduce(
      (sofar, coefficient) => b.op('mulAdd', sofar, t, b.constant(coefficient, 'float')),
      b.constant(erfcFit[0], 'float'),
    );
  b.op('mul', t, b.op('exp', b.op('sub', fit, b.op('square', z))));
  const upper = b.build('float32');
  if (typeof x !== 'number' && typeof x !== 'boolean') {
    record('erfc', [upper], [x], (dy) => {
      if (dy === undefined) return [undefined];
      // Of the branch above 0; where() turns the sign for the other one.
      const slope = mul(exp(neg(square(x))), -2 / Math.sqrt(Math.PI));
      return [mul(dy, where(less(x, 0), neg(slope), slope))];
    });
  }
  return where(less(x, 0), sub(2, upper), upper);
}

/** `sqrt(a * a + b * b)` without overflow. */
export function hypot(a: TensorLike, b: TensorLike): Tensor {
  const larger = stopGradient(maximum(abs(a), abs(b)));
  const scale = where(logicalAnd(isFinite(larger), less(0, larger)), larger, 1);
  return mul(sqrt(add(square(div(a, scale)), square(div(b, scale)))), scale);
}

/** `log(exp(a) + exp(b))` without overflow. */
export function logAddExp(a: TensorLike, b: TensorLike): Tensor {
  const larger = maximum(a, b);
  const high = stopGradient(where(isFinite(larger), larger, 0));
  return add(log(add(exp(sub(a, high)), exp(sub(b, high)))), high);
}

/** True where it is infinite, of either sign. */
export function isInf(x: Tensor): Tensor<'bool'> {
  return equal(abs(stopGradient(x)), Number.POSITIVE_INFINITY);
}

const largest = 3.4028234663852886e38;

/** NaN replaced by `nan`, infinities by the numbers given (default the largest of float32 and its negative). */
export function nanToNum(x: Tensor, nan = 0, positive = largest, negative = -largest): Tensor {
  const infinite = isInf(x);
  return where(isNaN(x), nan, where(infinite, where(less(0, x), positive, negative), x));
}

/** Scaled down so that the norm over `axis` (default all) is at most `most`. */
export function clipByNorm(x: Tensor, most: number, axis?: Axis): Tensor {
  const squares = sumSquares(x, axis, true);
  // The root is kept away from 0, where its gradient is infinite.
  const tooLong = less(most * most, squares);
  const length = sqrt(where(tooLong, squares, 1));
  return where(tooLong, mul(x, div(most, length)), x);
}

/** What {@link clipByGlobalNorm} gives. */
export interface ClippedTensors {
  /** The tensors, scaled alike. */
  readonly clipped: Tensor[];
  /** The norm of all of them together, before. */
  readonly globalNorm: Tensor;
}

/** Tensors scaled down together so that the norm of all their numbers is at most `most`; with that norm. */
export function clipByGlobalNorm(tensors: readonly Tensor[], most: number): ClippedTensors {
  if (tensors.length === 0) throw new NablaError('clipByGlobalNorm', 'nothing to clip, got no tensors');
  const globalNorm = sqrt(addN(tensors.map((x) => sumSquares(x))));
  const scale = div(most, maximum(globalNorm, most));
  return { clipped: tensors.map((x) => mul(x, scale)), globalNorm };
}

/** The sum of several tensors, elementwise. */
export function addN(tensors: readonly Tensor[]): Tensor {
  const [first, ...others] = tensors;
  if (first === undefined)
    throw new NablaError('addN', 'nothing to add, got no tensors, expected at least one');
  return others.reduce<Tensor>((total, x) => add(total, x), first);
}

/** What {@link moments} gives. */
export interface Moments {
  /** The mean over the axes. */
  readonly mean: Tensor;
  /** The population variance over the axes. */
  readonly variance: Tensor;
}

/** Mean and population variance over `axis`. */
export function moments(x: Tensor, axis?: Axis, keepDims = false): Moments {
  const centre = mean(x, axis, true);
  return { mean: mean(x, axis, keepDims), variance: mean(square(sub(x, centre)), axis, keepDims) };
}

/** How many numbers over `axis` are not 0, int32. */
export function countNonZero(x: Tensor, axis?: Axis, keepDims = false): Tensor<'int32'> {
  return sum(notEqual(x, 0), axis, keepDims) as Tensor<'int32'>;
}
