// Elementwise functions of one tensor, and their gradients.
import { isRecording, record } from '../autodiff.ts';
import { isFloating } from '../dtype.ts';
import { type MicroName, micro } from '../program/kernels.ts';
import { learn, replay } from '../replay.ts';
import { Replayable } from '../replayable.ts';
import { Tensor } from '../tensor.ts';
import { add, div, mul, sub } from './arithmetic.ts';
import { less, where } from './compare.ts';
import { fill } from './creation.ts';
import { MapBuilder, type TensorLike } from './map.ts';

/** The gradient of the input from that of the output, the input and the output. */
type Derivative = (dy: Tensor, x: TensorLike, y: Tensor) => Tensor;

// By micro-operation.
const calls = Object.fromEntries(Object.keys(micro).map((name) => [name, new Replayable()])) as Record<
  MicroName,
  Replayable
>;

/** A float function: integers are converted first. */
function floatOp(name: MicroName, x: TensorLike, derivative: Derivative): Tensor {
  const known = x instanceof Tensor ? replay(calls[name], x, undefined, 0) : undefined;
  const out = known ?? makeFloat(name, x);
  return isRecording() ? recordUnary(name, x, out, derivative) : out;
}

function makeFloat(name: MicroName, x: TensorLike): Tensor {
  const make = () => {
    const builder = new MapBuilder(name);
    builder.op(name, builder.load(x, 'float'));
    return builder.build('float32');
  };
  return x instanceof Tensor ? learn(calls[name], x, undefined, 0, make) : make();
}

/** A function that keeps integers integers. */
function keepingOp(
  name: MicroName,
  int: MicroName | undefined,
  x: TensorLike,
  derivative: Derivative,
): Tensor {
  if (!(x instanceof Tensor) || isFloating(x.dtype)) return floatOp(name, x, derivative);
  const builder = new MapBuilder(name);
  const loaded = builder.load(x, 'int');
  if (int !== undefined) builder.op(int, loaded);
  else builder.op('addInt', loaded, builder.constant(0, 'int'));
  return builder.build('int32');
}

function recordUnary(name: string, x: TensorLike, out: Tensor, derivative: Derivative): Tensor {
  if (x instanceof Tensor) {
    const differentiable = isFloating(x.dtype);
    record(name, [out], [x], (dy) => [dy && differentiable ? derivative(dy, x, out) : undefined]);
  }
  return out;
}

const flat: Derivative = (dy) => fill(dy.shape, 0);

/** `-x`. */
export const neg = (x: TensorLike): Tensor => keepingOp('neg', 'negInt', x, (dy) => neg(dy));
/** `|x|`; the gradient at 0 is 0. */
export const abs = (x: TensorLike): Tensor => keepingOp('abs', 'absInt', x, (dy, v) => mul(dy, sign(v)));
/** -1, 0 or 1. */
export const sign = (x: TensorLike): Tensor => keepingOp('sign', 'signInt', x, flat);
/** The largest whole number not above x. */
export const floor = (x: TensorLike): Tensor => keepingOp('floor', undefined, x, flat);
/** The smallest whole number not below x. */
export const ceil = (x: TensorLike): Tensor => keepingOp('ceil', undefined, x, flat);
/** The nearest whole number, halves to even. */
export const round = (x: TensorLike): Tensor => keepingOp('round', undefined, x, flat);
/** The whole part. */
export const trunc = (x: TensorLike): Tensor => keepingOp('trunc', undefined, x, flat);

/** `x * x`. */
export const square = (x: TensorLike): Tensor => floatOp('square', x, (dy, v) => mul(mul(dy, 2), v));
/** The square root; NaN below 0. */
export const sqrt = (x: TensorLike): Tensor => floatOp('sqrt', x, (dy, _, y) => div(mul(dy, 0.5), y));
/** `1 / sqrt(x)`. */
export const rsqrt = (x: TensorLike): Tensor =>
  floatOp('rsqrt', x, (dy, v, y) => div(mul(mul(dy, -0.5), y), v));
/** `1 / x`. */
export const reciprocal = (x: TensorLike): Tensor =>
  floatOp('reciprocal', x, (dy, _, y) => neg(mul(dy, square(y))));
/** e to the x. */
export const exp = (x: TensorLike): Tensor => floatOp('exp', x, (dy, _, y) => mul(dy, y));
/** `exp(x) - 1`, accurate near 0. */
export const expm1 = (x: TensorLike): Tensor => floatOp('expm1', x, (dy, _, y) => mul(dy, add(y, 1)));
/** The natural logarithm. */
export const log = (x: TensorLike): Tensor => floatOp('log', x, (dy, v) => div(dy, v));
/** `log(1 + x)`, accurate near 0. */
export const log1p = (x: TensorLike): Tensor => floatOp('log1p', x, (dy, v) => div(dy, add(v, 1)));
/** The sine, of radians. */
export const sin = (x: TensorLike): Tensor => floatOp('sin', x, (dy, v) => mul(dy, cos(v)));
/** The cosine, of radians. */
export const cos = (x: TensorLike): Tensor => floatOp('cos', x, (dy, v) => neg(mul(dy, sin(v))));
/** The tangent, of radians. */
export const tan = (x: TensorLike): Tensor => floatOp('tan', x, (dy, _, y) => mul(dy, add(square(y), 1)));
/** The inverse sine, in radians. */
export const asin = (x: TensorLike): Tensor =>
  floatOp('asin', x, (dy, v) => mul(dy, rsqrt(sub(1, square(v)))));
/** The inverse cosine, in radians. */
export const acos = (x: TensorLike): Tensor =>
  floatOp('acos', x, (dy, v) => neg(mul(dy, rsqrt(sub(1, square(v))))));
/** The inverse tangent, in radians. */
export const atan = (x: TensorLike): Tensor => floatOp('atan', x, (dy, v) => div(dy, add(square(v), 1)));
/** The hyperbolic sine. */
export const sinh = (x: TensorLike): Tensor => floatOp('sinh', x, (dy, v) => mul(dy, cosh(v)));
/** The hyperbolic cosine. */
export const cosh = (x: TensorLike): Tensor => floatOp('cosh', x, (dy, v) => mul(dy, sinh(v)));
/** The hyperbolic tangent. */
export const tanh = (x: TensorLike): Tensor => floatOp('tanh', x, (dy, _, y) => mul(dy, sub(1, square(y))));
/** The inverse hyperbolic sine. */
export const asinh = (x: TensorLike): Tensor =>
  floatOp('asinh', x, (dy, v) => mul(dy, rsqrt(add(square(v), 1))));
/** The inverse hyperbolic cosine. */
export const acosh = (x: TensorLike): Tensor =>
  floatOp('acosh', x, (dy, v) => mul(dy, rsqrt(sub(square(v), 1))));
/** The inverse hyperbolic tangent. */
export const atanh = (x: TensorLike): Tensor => floatOp('atanh', x, (dy, v) => div(dy, sub(1, square(v))));
/** The error function. */
export const erf = (x: TensorLike): Tensor =>
  floatOp('erf', x, (dy, v) => mul(mul(dy, 2 / Math.sqrt(Math.PI)), exp(neg(square(v)))));
/** The inverse of the error function on (-1, 1). */
export const erfinv = (x: TensorLike): Tensor =>
  floatOp('erfinv', x, (dy, _, y) => mul(mul(dy, Math.sqrt(Math.PI) / 2), exp(square(y))));
/** `1 / (1 + exp(-x))`. */
export const sigmoid = (x: TensorLike): Tensor =>
  floatOp('sigmoid', x, (dy, _, y) => mul(dy, mul(y, sub(1, y))));
/** `log(1 + exp(x))`. */
export const softplus = (x: TensorLike): Tensor => floatOp('softplus', x, (dy, v) => mul(dy, sigmoid(v)));
/** `max(x, 0)`; the gradient at 0 is 0. */
export const relu = (x: TensorLike): Tensor => floatOp('relu', x, (dy, _, y) => where(less(0, y), dy, 0));

/** The numbers limited to `[low, high]`; the gradient is 0 outside. */
export function clip(x: Tensor, low: number, high: number): Tensor {
  const builder = new MapBuilder('clip');
  const float = isFloating(x.dtype);
  const as = float ? 'float' : 'int';
  // Integers have whole bounds, infinite ones among them, that an int32 can hold.
  const saturate = (value: number) => Math.min(Math.max(value, -(2 ** 31)), 2 ** 31 - 1);
  const [lower, upper] = float ? [low, high] : [saturate(Math.ceil(low)), saturate(Math.floor(high))];
  const raised = builder.op(
    float ? 'maximum' : 'maximumInt',
    builder.load(x, as),
    builder.constant(lower, as),
  );
  builder.op(float ? 'minimum' : 'minimumInt', raised, builder.constant(upper, as));
  const out = builder.build(float ? 'float32' : 'int32');
  record('clip', [out], [x], (dy) => {
    if (dy === undefined || !float) return [undefined];
    return [where(less(x, low), 0, where(less(high, x), 0, dy))];
  });
  return out;
}
