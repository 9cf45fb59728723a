// Activation functions as one pass each way: a function and its slope, written once over an algebra of micro-operations.
import { grads, isRecording, record } from '../autodiff.ts';
import { isFloating } from '../dtype.ts';
import { repeated } from '../replay.ts';
import { Replayable } from '../replayable.ts';
import { Tensor } from '../tensor.ts';
import { placeName } from '../trace.ts';
import { add, div, maximum, minimum, mul, sub } from './arithmetic.ts';
import { less, where } from './compare.ts';
import { MapBuilder, type Register, type TensorLike } from './map.ts';
import { sum } from './reduce.ts';
import { abs, erf, exp, expm1, neg, sigmoid, softplus, sqrt, square, tanh } from './unary.ts';

/** What formulas are made of: registers of a map, or tensors where a gradient of a gradient is wanted. */
interface Algebra<T> {
  add(a: T | number, b: T | number): T;
  sub(a: T | number, b: T | number): T;
  mul(a: T | number, b: T | number): T;
  div(a: T | number, b: T | number): T;
  minimum(a: T, b: number): T;
  maximum(a: T, b: number): T;
  abs(a: T): T;
  neg(a: T): T;
  square(a: T): T;
  sqrt(a: T): T;
  exp(a: T): T;
  expm1(a: T): T;
  erf(a: T): T;
  tanh(a: T): T;
  sigmoid(a: T): T;
  softplus(a: T): T;
  /** `a P(X <= a)` for a standard normal X, and its derivative. */
  gelu(a: T): T;
  geluSlope(a: T): T;
  /** `a` where `x < limit`, else `b`. */
  below(x: T, limit: number, a: T | number, b: T | number): T;
}

const normalBelow = (x: Tensor): Tensor => mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);

const tensors: Algebra<Tensor> = {
  add,
  sub,
  mul,
  div,
  minimum,
  maximum,
  abs,
  neg,
  square,
  sqrt,
  exp,
  expm1,
  erf,
  tanh,
  sigmoid,
  softplus,
  gelu: (x) => mul(x, normalBelow(x)),
  geluSlope: (x) => add(normalBelow(x), mul(x, mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI)))),
  below: (x, limit, a, b) => where(less(x, limit), a, b),
};

const unaries = [
  'abs',
  'neg',
  'square',
  'sqrt',
  'exp',
  'expm1',
  'erf',
  'tanh',
  'sigmoid',
  'softplus',
  'gelu',
  'geluSlope',
] as const;

function registers(builder: MapBuilder): Algebra<Register> {
  const on = (value: Register | number) =>
    typeof value === 'number' ? builder.constant(value, 'float') : value;
  const binary =
    (name: 'add' | 'sub' | 'mul' | 'div' | 'minimum' | 'maximum') =>
    (a: Register | number, b: Register | number) =>
      builder.op(name, on(a), on(b));
  const unary = (name: (typeof unaries)[number]) => (a: Register) => builder.op(name, a);
  return {
    add: binary('add'),
    sub: binary('sub'),
    mul: binary('mul'),
    div: binary('div'),
    minimum: binary('minimum'),
    maximum: binary('maximum'),
    abs: unary('abs'),
    neg: unary('neg'),
    square: unary('square'),
    sqrt: unary('sqrt'),
    exp: unary('exp'),
    expm1: unary('expm1'),
    erf: unary('erf'),
    tanh: unary('tanh'),
    sigmoid: unary('sigmoid'),
    softplus: unary('softplus'),
    gelu: unary('gelu'),
    geluSlope: unary('geluSlope'),
    below: (x, limit, a, b) => builder.op('select', builder.op('less', x, on(limit)), on(a), on(b)),
  };
}

/** A function and its derivative, over any algebra. */
interface Formula {
  readonly name: string;
  value<T>(o: Algebra<T>, x: T): T;
  slope<T>(o: Algebra<T>, x: T): T;
  /** What is kept of its calls. */
  readonly calls?: Replayable;
}

/** A formula without parameters, whose calls are kept. */
function fixed(formula: Formula): Formula {
  return { ...formula, calls: new Replayable() };
}

function activate(formula: Formula, x: TensorLike): Tensor {
  const { calls } = formula;
  if (calls === undefined || isRecording() || !(x instanceof Tensor)) return makeActivation(formula, x);
  return repeated(calls, x, 0, () => makeActivation(formula, x));
}

function makeActivation(formula: Formula, x: TensorLike): Tensor {
  const builder = new MapBuilder(placeName(formula.name));
  formula.value(registers(builder), builder.load(x, 'float'));
  const out = builder.build('float32');
  if (typeof x === 'object') {
    const differentiable = isFloating(x.dtype);
    record(formula.name, [out], [x], (dy) => [dy && differentiable ? slopeTimes(formula, dy, x) : undefined]);
  }
  return out;
}

/** `dy * slope(x)` in one pass. */
function slopeTimes(formula: Formula, dy: Tensor, x: Tensor): Tensor {
  const builder = new MapBuilder(placeName(formula.name));
  const o = registers(builder);
  o.mul(formula.slope(o, builder.load(x, 'float')), builder.load(dy, 'float'));
  const out = builder.build('float32');
  record(`${formula.name} gradient`, [out], [dy, x], (g) => {
    if (g === undefined) return [];
    // Further derivatives are rare: they come from the same formula over tensors.
    const bent = grads((at) => sum(mul(formula.slope(tensors, at!), mul(g, dy))))(x)[0]!;
    return [slopeTimes(formula, g, x), bent];
  });
  return out;
}

const geluExact = fixed({
  name: 'gelu',
  value: (o, x) => o.gelu(x),
  slope: (o, x) => o.geluSlope(x),
});

const geluRate = Math.sqrt(2 / Math.PI);
const geluTanh = fixed({
  name: 'gelu',
  value: (o, x) => {
    // 0.5 * (1 + tanh(u)) is sigmoid(2 u).
    const bend = o.add(o.mul(o.square(x), 2 * geluRate * 0.044715), 2 * geluRate);
    return o.mul(x, o.sigmoid(o.mul(x, bend)));
  },
  slope: (o, x) => {
    const squared = o.square(x);
    const s = o.sigmoid(o.mul(x, o.add(o.mul(squared, 2 * geluRate * 0.044715), 2 * geluRate)));
    const rise = o.add(o.mul(squared, 6 * geluRate * 0.044715), 2 * geluRate);
    return o.mul(s, o.add(o.mul(o.mul(x, o.sub(1, s)), rise), 1));
  },
});

/** `x * P(X <= x)` for a standard normal X (Hendrycks and Gimpel 2016); `approximate` takes the tanh form. Default exact. */
export const gelu = (x: TensorLike, approximate = false): Tensor =>
  activate(approximate ? geluTanh : geluExact, x);

const siluFormula = fixed({
  name: 'silu',
  value: (o, x) => o.mul(x, o.sigmoid(x)),
  slope: (o, x) => {
    const s = o.sigmoid(x);
    return o.mul(s, o.add(o.mul(x, o.sub(1, s)), 1));
  },
});

/** `x * sigmoid(x)`, also called swish (Ramachandran et al. 2017). */
export const silu = (x: TensorLike): Tensor => activate(siluFormula, x);

const mishFormula = fixed({
  name: 'mish',
  value: (o, x) => o.mul(x, o.tanh(o.softplus(x))),
  slope: (o, x) => {
    const t = o.tanh(o.softplus(x));
    return o.add(t, o.mul(o.mul(x, o.sigmoid(x)), o.sub(1, o.square(t))));
  },
});

/** `x * tanh(softplus(x))` (Misra 2019). */
export const mish = (x: TensorLike): Tensor => activate(mishFormula, x);

const exponentialTail = (name: string, scale: number, alpha: number, width: number): Formula => ({
  name,
  value: (o, x) => o.below(x, 0, o.mul(o.expm1(o.mul(x, 1 / width)), scale * alpha), o.mul(x, scale)),
  slope: (o, x) => {
    const tail = o.mul(o.exp(o.mul(o.minimum(x, 0), 1 / width)), (scale * alpha) / width);
    return o.below(x, 0, tail, scale);
  },
});

/** x, below 0 `alpha * (exp(x) - 1)` (Clevert et al. 2016). Default alpha 1. */
export const elu = (x: TensorLike, alpha = 1): Tensor => activate(exponentialTail('elu', 1, alpha, 1), x);
/** x, below 0 `alpha * (exp(x / alpha) - 1)` (Barron 2017). Default alpha 1. */
export const celu = (x: TensorLike, alpha = 1): Tensor =>
  activate(exponentialTail('celu', 1, alpha, alpha), x);
const seluFormula = fixed(exponentialTail('selu', 1.0507009873554805, 1.6732632423543772, 1));
/** The scaled elu that keeps mean 0 and variance 1 from layer to layer (Klambauer et al. 2017). */
export const selu = (x: TensorLike): Tensor => activate(seluFormula, x);

/** x, below 0 `negativeSlope * x` (Maas et al. 2013). Default negativeSlope 0.2. */
export const leakyRelu = (x: TensorLike, negativeSlope = 0.2): Tensor =>
  activate(
    {
      name: 'leakyRelu',
      value: (o, v) => o.below(v, 0, o.mul(v, negativeSlope), v),
      slope: (o, v) => o.below(v, 0, negativeSlope, 1),
    },
    x,
  );

/** `x` limited to `[low, high]`, scaled: the value of the straight pieces between. */
const ramp = (name: string, low: number, high: number, rate: number, offset: number): Formula => ({
  name,
  value: (o, x) =>
    o.maximum(
      o.minimum(o.add(o.mul(x, rate), offset), low * rate + offset + (high - low) * rate),
      low * rate + offset,
    ),
  slope: (o, x) => o.below(x, high, o.below(o.neg(x), -low, rate, 0), 0),
});

const relu6Formula = fixed(ramp('relu6', 0, 6, 1, 0));
const hardSigmoidFormula = fixed(ramp('hardSigmoid', -3, 3, 1 / 6, 0.5));
const hardTanhFormula = fixed(ramp('hardTanh', -1, 1, 1, 0));
/** `min(max(x, 0), 6)`. */
export const relu6 = (x: TensorLike): Tensor => activate(relu6Formula, x);
/** `relu6(x + 3) / 6`. */
export const hardSigmoid = (x: TensorLike): Tensor => activate(hardSigmoidFormula, x);
/** x limited to [-1, 1]. */
export const hardTanh = (x: TensorLike): Tensor => activate(hardTanhFormula, x);

const hardSiluFormula = fixed({
  name: 'hardSilu',
  value: (o, x) => o.mul(x, hardSigmoidFormula.value(o, x)),
  slope: (o, x) => o.below(x, 3, o.below(o.neg(x), 3, o.add(o.mul(x, 1 / 3), 0.5), 0), 1),
});

/** `x * hardSigmoid(x)`, also called hardSwish (Howard et al. 2019). */
export const hardSilu = (x: TensorLike): Tensor => activate(hardSiluFormula, x);

const softsignFormula = fixed({
  name: 'softsign',
  value: (o, x) => o.div(x, o.add(o.abs(x), 1)),
  slope: (o, x) => o.div(1, o.square(o.add(o.abs(x), 1))),
});

/** `x / (1 + |x|)`. */
export const softsign = (x: TensorLike): Tensor => activate(softsignFormula, x);

const logSigmoidFormula = fixed({
  name: 'logSigmoid',
  value: (o, x) => o.neg(o.softplus(o.neg(x))),
  slope: (o, x) => o.sigmoid(o.neg(x)),
});

/** `log(sigmoid(x))`, accurate for all x. */
export const logSigmoid = (x: TensorLike): Tensor => activate(logSigmoidFormula, x);

const tanhShrinkFormula = fixed({
  name: 'tanhShrink',
  value: (o, x) => o.sub(x, o.tanh(x)),
  slope: (o, x) => o.square(o.tanh(x)),
});

/** `x - tanh(x)`. */
export const tanhShrink = (x: TensorLike): Tensor => activate(tanhShrinkFormula, x);

/** `(x + sqrt(x ** 2 + b)) / 2`, a smooth relu (Barron 2021). Default b 4. */
export const squareplus = (x: TensorLike, b = 4): Tensor =>
  activate(
    {
      name: 'squareplus',
      value: (o, v) => {
        // The square of what is far larger may overflow, and b is nothing beside it.
        const size = o.abs(v);
        const root = o.below(size, 1e9, o.sqrt(o.add(o.square(v), b)), size);
        return o.mul(o.add(v, root), 0.5);
      },
      slope: (o, v) => o.mul(o.add(o.div(v, o.sqrt(o.add(o.square(v), b))), 1), 0.5),
    },
    x,
  );

/** x moved toward 0 by `threshold`, 0 where it is nearer than that. Default threshold 0.5. */
export const softShrink = (x: TensorLike, threshold = 0.5): Tensor =>
  activate(
    {
      name: 'softShrink',
      value: (o, v) => o.add(o.maximum(o.sub(v, threshold), 0), o.minimum(o.add(v, threshold), 0)),
      slope: (o, v) => o.below(o.neg(o.abs(v)), -threshold, 1, 0),
    },
    x,
  );

/** x, but 0 where it is within `threshold` of 0. Default threshold 0.5. */
export const hardShrink = (x: TensorLike, threshold = 0.5): Tensor =>
  activate(
    {
      name: 'hardShrink',
      value: (o, v) => o.below(o.neg(o.abs(v)), -threshold, v, 0),
      slope: (o, v) => o.below(o.neg(o.abs(v)), -threshold, 1, 0),
    },
    x,
  );
