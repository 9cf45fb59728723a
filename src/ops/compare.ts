// Comparison, logic, choice and conversion of dtypes.
import { isRecording, record } from '../autodiff.ts';
import { type DType, dtypeBytes, dtypeCode, isDType, isFloating } from '../dtype.ts';
import { unknownName } from '../errors.ts';
import type { MicroName } from '../program/kernels.ts';
import { learn, repeated, replay } from '../replay.ts';
import { Replayable } from '../replayable.ts';
import { Tensor } from '../tensor.ts';
import { computeDType } from '../trace.ts';
import { arithmeticType, sumTo } from './arithmetic.ts';
import { MapBuilder, type TensorLike } from './map.ts';

/** Comparison ops have no gradient to give: a change of their input does not change them. */
function constantFor(name: string, out: Tensor, inputs: readonly TensorLike[]): Tensor<'bool'> {
  const tensors = inputs.filter((input) => input instanceof Tensor);
  record(name, [out], tensors, () => tensors.map(() => undefined));
  return out as Tensor<'bool'>;
}

const comparisons = Object.fromEntries(
  ['equal', 'notEqual', 'less', 'lessEqual', 'greater', 'greaterEqual'].map((name) => [
    name,
    { both: new Replayable(), right: new Replayable() },
  ]),
);

function compare(
  name: string,
  a: TensorLike,
  b: TensorLike,
  float: MicroName,
  int: MicroName,
): Tensor<'bool'> {
  const { both, right } = comparisons[name]!;
  const make = () => makeComparison(name, a, b, float, int);
  if (isRecording() || !(a instanceof Tensor)) return make();
  if (typeof b === 'number') return repeated(right, a, b, make) as Tensor<'bool'>;
  if (!(b instanceof Tensor)) return make();
  return (replay(both, a, b, 0) ?? learn(both, a, b, 0, make)) as Tensor<'bool'>;
}

function makeComparison(
  name: string,
  a: TensorLike,
  b: TensorLike,
  float: MicroName,
  int: MicroName,
): Tensor<'bool'> {
  const builder = new MapBuilder(name);
  const as = arithmeticType(a, b) === 'float32' ? 'float' : 'int';
  const x = builder.load(a, as);
  builder.op(as === 'float' ? float : int, x, builder.load(b, as));
  return constantFor(name, builder.build('bool'), [a, b]);
}

/** `a == b`, elementwise. */
export function equal(a: TensorLike, b: TensorLike): Tensor<'bool'> {
  return compare('equal', a, b, 'equal', 'equalInt');
}

/** `a != b`, elementwise. */
export function notEqual(a: TensorLike, b: TensorLike): Tensor<'bool'> {
  return compare('notEqual', a, b, 'notEqual', 'notEqualInt');
}

/** `a < b`, elementwise. */
export function less(a: TensorLike, b: TensorLike): Tensor<'bool'> {
  return compare('less', a, b, 'less', 'lessInt');
}

/** `a <= b`, elementwise. */
export function lessEqual(a: TensorLike, b: TensorLike): Tensor<'bool'> {
  return compare('lessEqual', a, b, 'lessEqual', 'lessEqualInt');
}

/** `a > b`, elementwise. */
export function greater(a: TensorLike, b: TensorLike): Tensor<'bool'> {
  return compare('greater', b, a, 'less', 'lessInt');
}

/** `a >= b`, elementwise. */
export function greaterEqual(a: TensorLike, b: TensorLike): Tensor<'bool'> {
  return compare('greaterEqual', b, a, 'lessEqual', 'lessEqualInt');
}

/** The register as 0 or 1. */
function truth(builder: MapBuilder, arg: TensorLike) {
  const float = arg instanceof Tensor && isFloating(arg.dtype);
  if (float) return builder.op('notEqual', builder.load(arg, 'float'), builder.constant(0, 'float'));
  const loaded = builder.load(arg, 'int');
  return arg instanceof Tensor && arg.dtype === 'bool' ? loaded : builder.op('toBool', loaded);
}

function logic(name: string, op: MicroName, a: TensorLike, b: TensorLike): Tensor<'bool'> {
  const builder = new MapBuilder(name);
  const x = truth(builder, a);
  builder.op(op, x, truth(builder, b));
  return constantFor(name, builder.build('bool'), [a, b]);
}

/** True where both are not 0. */
export function logicalAnd(a: TensorLike, b: TensorLike): Tensor<'bool'> {
  return logic('logicalAnd', 'andInt', a, b);
}

/** True where one is not 0. */
export function logicalOr(a: TensorLike, b: TensorLike): Tensor<'bool'> {
  return logic('logicalOr', 'orInt', a, b);
}

/** True where exactly one is not 0. */
export function logicalXor(a: TensorLike, b: TensorLike): Tensor<'bool'> {
  return logic('logicalXor', 'xorInt', a, b);
}

/** True where it is 0. */
export function logicalNot(a: TensorLike): Tensor<'bool'> {
  const builder = new MapBuilder('logicalNot');
  builder.op('notBool', truth(builder, a));
  return constantFor('logicalNot', builder.build('bool'), [a]);
}

/** True where it is NaN. */
export function isNaN(x: Tensor): Tensor<'bool'> {
  const builder = new MapBuilder('isNaN');
  builder.op('isNaN', builder.load(x, 'float'));
  return constantFor('isNaN', builder.build('bool'), [x]);
}

/** True where it is neither NaN nor infinite. */
export function isFinite(x: Tensor): Tensor<'bool'> {
  const builder = new MapBuilder('isFinite');
  builder.op('isFinite', builder.load(x, 'float'));
  return constantFor('isFinite', builder.build('bool'), [x]);
}

/** `a` where the condition is true, else `b`, with broadcasting. */
export function where(condition: TensorLike, a: TensorLike, b: TensorLike): Tensor {
  const builder = new MapBuilder('where');
  const dtype = arithmeticType(a, b);
  const as = dtype === 'float32' ? 'float' : 'int';
  const c = truth(builder, condition);
  const x = builder.load(a, as);
  builder.op(as === 'float' ? 'select' : 'selectInt', c, x, builder.load(b, as));
  const out = builder.build(dtype);
  // By place, not by tensor: one tensor may stand in several places.
  const values = [a, b].flatMap((arg, place) => (arg instanceof Tensor ? [{ arg, place }] : []));
  const tensors = values.map(({ arg }) => arg);
  record('where', [out], tensors, (dy) =>
    values.map(({ arg, place }) => {
      if (dy === undefined || !isFloating(arg.dtype)) return undefined;
      return sumTo(place === 0 ? where(condition, dy, 0) : where(condition, 0, dy), arg.shape);
    }),
  );
  return out;
}

/**
 * The numbers in another dtype: to int32 toward zero, to uint8 the low 8 bits, to bool whether they are not 0, to bfloat16 to the nearest, halves
 * to even.
 */
export function cast<D extends DType>(x: Tensor, dtype: D): Tensor<D> {
  if (!isDType(dtype)) throw unknownName('cast', 'dtype', dtype, Object.keys(dtypeBytes));
  if ((x.dtype as DType) === dtype) return x as Tensor<D>;
  if (isRecording()) return makeCast(x, dtype);
  return repeated(casts, x, dtypeCode[dtype], () => makeCast(x, dtype)) as Tensor<D>;
}

const casts = new Replayable();

function makeCast<D extends DType>(x: Tensor, dtype: D): Tensor<D> {
  const builder = new MapBuilder('cast');
  if (dtype === 'bool') {
    const known = truth(builder, x);
    if (x.dtype === 'bool') builder.op('toBool', known);
  } else {
    const [from, to] = [isFloating(x.dtype), isFloating(dtype)];
    const loaded = builder.load(x, to ? 'float' : 'int');
    if (from && to) builder.op('identity', loaded);
    const isByteOut = !from && !to;
    if (isByteOut) builder.op('addInt', loaded, builder.constant(0, 'int'));
  }
  const out = builder.build(dtype, x.shape, true) as Tensor<D>;
  // Between floating-point dtypes gradients pass; the record brings them to the input's.
  const passes = isFloating(x.dtype) && isFloating(dtype);
  record('cast', [out], [x], (dy) => [passes ? dy : undefined]);
  return out;
}

/** Floating-point numbers as they are, others in the dtype that is computed in. */
export function toFloats(x: Tensor): Tensor {
  return isFloating(x.dtype) ? x : cast(x, computeDType() ?? 'float32');
}

/** The tensor itself, as a constant to every gradient. */
export function stopGradient<D extends DType>(x: Tensor<D>): Tensor<D> {
  return new Tensor(x.shape, x.dtype, x.source, x.constant);
}
