// The ops as methods of tensors, so that they chain. Import tensor.ts, not this file: the two need each other, this one first.
import type { DType } from './dtype.ts';
import type { Bound } from './ops/index.ts';
import * as ops from './ops/index.ts';
import type { Shape } from './shape.ts';
import type { Tensor } from './tensor.ts';

type Axis = ops.Axis;
type Like = ops.TensorLike;

/**
 * What {@link Tensor} inherits: `a.add(b)` is `add(a, b)`, and so on with the same arguments.
 *
 * @example tensor([1, 2, 3]).mul(2).add(1).sum()
 */
export abstract class TensorMethods {
  /** `this + b`. */
  add(this: Tensor, b: Like): Tensor {
    return ops.add(this, b);
  }
  /** `this - b`. */
  sub(this: Tensor, b: Like): Tensor {
    return ops.sub(this, b);
  }
  /** `this * b`. */
  mul(this: Tensor, b: Like): Tensor {
    return ops.mul(this, b);
  }
  /** `this / b`, float32. */
  div(this: Tensor, b: Like): Tensor {
    return ops.div(this, b);
  }
  /** The quotient rounded down. */
  floorDiv(this: Tensor, b: Like): Tensor {
    return ops.floorDiv(this, b);
  }
  /** The remainder with the divisor's sign. */
  mod(this: Tensor, b: Like): Tensor {
    return ops.mod(this, b);
  }
  /** `this ** b`, float32. */
  pow(this: Tensor, b: Like): Tensor {
    return ops.pow(this, b);
  }
  /** The larger of both. */
  maximum(this: Tensor, b: Like): Tensor {
    return ops.maximum(this, b);
  }
  /** The smaller of both. */
  minimum(this: Tensor, b: Like): Tensor {
    return ops.minimum(this, b);
  }
  /** The angle of the point `(b, this)`. */
  atan2(this: Tensor, b: Like): Tensor {
    return ops.atan2(this, b);
  }
  /** `(this - b) ** 2`. */
  squaredDifference(this: Tensor, b: Like): Tensor {
    return ops.squaredDifference(this, b);
  }
  /** `this == b`. */
  equal(this: Tensor, b: Like): Tensor<'bool'> {
    return ops.equal(this, b);
  }
  /** `this != b`. */
  notEqual(this: Tensor, b: Like): Tensor<'bool'> {
    return ops.notEqual(this, b);
  }
  /** `this < b`. */
  less(this: Tensor, b: Like): Tensor<'bool'> {
    return ops.less(this, b);
  }
  /** `this <= b`. */
  lessEqual(this: Tensor, b: Like): Tensor<'bool'> {
    return ops.lessEqual(this, b);
  }
  /** `this > b`. */
  greater(this: Tensor, b: Like): Tensor<'bool'> {
    return ops.greater(this, b);
  }
  /** `this >= b`. */
  greaterEqual(this: Tensor, b: Like): Tensor<'bool'> {
    return ops.greaterEqual(this, b);
  }
  /** Both are not 0. */
  logicalAnd(this: Tensor, b: Like): Tensor<'bool'> {
    return ops.logicalAnd(this, b);
  }
  /** One is not 0. */
  logicalOr(this: Tensor, b: Like): Tensor<'bool'> {
    return ops.logicalOr(this, b);
  }
  /** Exactly one is not 0. */
  logicalXor(this: Tensor, b: Like): Tensor<'bool'> {
    return ops.logicalXor(this, b);
  }
  /** It is 0. */
  logicalNot(this: Tensor): Tensor<'bool'> {
    return ops.logicalNot(this);
  }
  /** It is NaN. */
  isNaN(this: Tensor): Tensor<'bool'> {
    return ops.isNaN(this);
  }
  /** It is neither NaN nor infinite. */
  isFinite(this: Tensor): Tensor<'bool'> {
    return ops.isFinite(this);
  }
  /** It is infinite. */
  isInf(this: Tensor): Tensor<'bool'> {
    return ops.isInf(this);
  }
  /** `-this`. */
  neg(this: Tensor): Tensor {
    return ops.neg(this);
  }
  /** The absolute value. */
  abs(this: Tensor): Tensor {
    return ops.abs(this);
  }
  /** -1, 0 or 1. */
  sign(this: Tensor): Tensor {
    return ops.sign(this);
  }
  /** Rounded down. */
  floor(this: Tensor): Tensor {
    return ops.floor(this);
  }
  /** Rounded up. */
  ceil(this: Tensor): Tensor {
    return ops.ceil(this);
  }
  /** Rounded, halves to even. */
  round(this: Tensor): Tensor {
    return ops.round(this);
  }
  /** The whole part. */
  trunc(this: Tensor): Tensor {
    return ops.trunc(this);
  }
  /** `this * this`. */
  square(this: Tensor): Tensor {
    return ops.square(this);
  }
  /** The square root. */
  sqrt(this: Tensor): Tensor {
    return ops.sqrt(this);
  }
  /** `1 / sqrt(this)`. */
  rsqrt(this: Tensor): Tensor {
    return ops.rsqrt(this);
  }
  /** `1 / this`. */
  reciprocal(this: Tensor): Tensor {
    return ops.reciprocal(this);
  }
  /** e to the power. */
  exp(this: Tensor): Tensor {
    return ops.exp(this);
  }
  /** `exp(this) - 1`. */
  expm1(this: Tensor): Tensor {
    return ops.expm1(this);
  }
  /** The natural logarithm. */
  log(this: Tensor): Tensor {
    return ops.log(this);
  }
  /** `log(1 + this)`. */
  log1p(this: Tensor): Tensor {
    return ops.log1p(this);
  }
  /** The sine. */
  sin(this: Tensor): Tensor {
    return ops.sin(this);
  }
  /** The cosine. */
  cos(this: Tensor): Tensor {
    return ops.cos(this);
  }
  /** The tangent. */
  tan(this: Tensor): Tensor {
    return ops.tan(this);
  }
  /** The hyperbolic tangent. */
  tanh(this: Tensor): Tensor {
    return ops.tanh(this);
  }
  /** The error function. */
  erf(this: Tensor): Tensor {
    return ops.erf(this);
  }
  /** `1 / (1 + exp(-this))`. */
  sigmoid(this: Tensor): Tensor {
    return ops.sigmoid(this);
  }
  /** `log(1 + exp(this))`. */
  softplus(this: Tensor): Tensor {
    return ops.softplus(this);
  }
  /** `max(this, 0)`. */
  relu(this: Tensor): Tensor {
    return ops.relu(this);
  }
  /** Limited to `[low, high]`. */
  clip(this: Tensor, low: number, high: number): Tensor {
    return ops.clip(this, low, high);
  }
  /** The softmax along `axis` (default the last). */
  softmax(this: Tensor, axis?: number): Tensor {
    return ops.softmax(this, axis);
  }
  /** The logarithm of the softmax along `axis` (default the last). */
  logSoftmax(this: Tensor, axis?: number): Tensor {
    return ops.logSoftmax(this, axis);
  }
  /** In another dtype. */
  cast<T extends DType>(this: Tensor, dtype: T): Tensor<T> {
    return ops.cast(this, dtype);
  }
  /** Class indices as rows with a one. */
  oneHot(this: Tensor, classes: number): Tensor<'float32'> {
    return ops.oneHot(this, classes);
  }
  /** The sum over `axis` (default all). */
  sum(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor {
    return ops.sum(this, axis, keepDims);
  }
  /** The mean over `axis` (default all). */
  mean(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor {
    return ops.mean(this, axis, keepDims);
  }
  /** The product over `axis` (default all). */
  prod(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor {
    return ops.prod(this, axis, keepDims);
  }
  /** The largest over `axis` (default all). */
  max(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor {
    return ops.max(this, axis, keepDims);
  }
  /** The smallest over `axis` (default all). */
  min(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor {
    return ops.min(this, axis, keepDims);
  }
  /** Any is true over `axis` (default all). */
  any(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor<'bool'> {
    return ops.any(this, axis, keepDims);
  }
  /** All are true over `axis` (default all). */
  all(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor<'bool'> {
    return ops.all(this, axis, keepDims);
  }
  /** The population variance over `axis` (default all). */
  variance(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor {
    return ops.variance(this, axis, keepDims);
  }
  /** The population standard deviation over `axis` (default all). */
  std(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor {
    return ops.std(this, axis, keepDims);
  }
  /** The Euclidean norm over `axis` (default all). */
  norm(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor {
    return ops.norm(this, axis, keepDims);
  }
  /** `log(sum(exp(this)))` over `axis` (default all). */
  logSumExp(this: Tensor, axis?: Axis, keepDims?: boolean): Tensor {
    return ops.logSumExp(this, axis, keepDims);
  }
  /** The index of the largest along `axis` (default the last). */
  argMax(this: Tensor, axis?: number): Tensor<'int32'> {
    return ops.argMax(this, axis);
  }
  /** The index of the smallest along `axis` (default the last). */
  argMin(this: Tensor, axis?: number): Tensor<'int32'> {
    return ops.argMin(this, axis);
  }
  /** The running sum along `axis` (default 0). */
  cumsum(this: Tensor, axis?: number, exclusive?: boolean, reverse?: boolean): Tensor {
    return ops.cumsum(this, axis, exclusive, reverse);
  }
  /** The running product along `axis` (default 0). */
  cumprod(this: Tensor, axis?: number, exclusive?: boolean, reverse?: boolean): Tensor {
    return ops.cumprod(this, axis, exclusive, reverse);
  }
  /** In order along `axis` (default the last). */
  sort(this: Tensor, axis?: number, descending?: boolean): Tensor {
    return ops.sort(this, axis, descending);
  }
  /** The indices that sort along `axis` (default the last). */
  argsort(this: Tensor, axis?: number, descending?: boolean): Tensor<'int32'> {
    return ops.argsort(this, axis, descending);
  }
  /** The `k` largest along the last axis (default 1). */
  topK(this: Tensor, k?: number): ops.Sorted {
    return ops.topK(this, k);
  }
  /** The matrix product. */
  matMul(this: Tensor, b: Tensor, options?: ops.MatMulOptions): Tensor {
    return ops.matMul(this, b, options);
  }
  /** The scalar product of vectors, or the matrix product. */
  dot(this: Tensor, b: Tensor): Tensor {
    return ops.dot(this, b);
  }
  /** In another shape; one dimension may be -1. */
  reshape(this: Tensor, shape: Shape): Tensor {
    return ops.reshape(this, shape);
  }
  /** In one dimension. */
  flatten(this: Tensor): Tensor {
    return ops.flatten(this);
  }
  /** With a dimension of size 1 more, at `axis` (default 0). */
  expandDims(this: Tensor, axis?: number): Tensor {
    return ops.expandDims(this, axis);
  }
  /** Without dimensions of size 1. */
  squeeze(this: Tensor, axis?: number | readonly number[]): Tensor {
    return ops.squeeze(this, axis);
  }
  /** With the dimensions in another order (default reversed). */
  transpose(this: Tensor, order?: readonly number[]): Tensor {
    return ops.transpose(this, order);
  }
  /** Stretched to a shape. */
  broadcastTo(this: Tensor, shape: Shape): Tensor {
    return ops.broadcastTo(this, shape);
  }
  /** A block of it. */
  slice(this: Tensor, begin: readonly number[], size?: readonly number[]): Tensor {
    return ops.slice(this, begin, size);
  }
  /** Slices with strides, as in Python. */
  stridedSlice(
    this: Tensor,
    begin: readonly Bound[],
    end: readonly Bound[],
    strides?: readonly number[],
  ): Tensor {
    return ops.stridedSlice(this, begin, end, strides);
  }
  /** The slices along `axis` (default 0) that the indices name. */
  gather(this: Tensor, indices: Tensor, axis?: number): Tensor {
    return ops.gather(this, indices, axis);
  }
  /** Surrounded by a value (default 0). */
  pad(this: Tensor, paddings: readonly (readonly [number, number])[], value?: number | ops.PadMode): Tensor {
    return ops.pad(this, paddings, value);
  }
  /** Repeated as a whole. */
  tile(this: Tensor, repeats: readonly number[]): Tensor {
    return ops.tile(this, repeats);
  }
  /** Each element repeated. */
  repeat(this: Tensor, repeats: number | readonly number[], axis?: number): Tensor {
    return ops.repeat(this, repeats, axis);
  }
  /** In reverse along `axis` (default all). */
  flip(this: Tensor, axis?: number | readonly number[]): Tensor {
    return ops.flip(this, axis);
  }
  /** Cut along `axis` (default 0). */
  split(this: Tensor, parts: number | readonly number[], axis?: number): Tensor[] {
    return ops.split(this, parts, axis);
  }
  /** The slices along `axis` (default 0). */
  unstack(this: Tensor, axis?: number): Tensor[] {
    return ops.unstack(this, axis);
  }
}
