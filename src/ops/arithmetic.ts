// Binary arithmetic with NumPy broadcasting, and its gradients.
import { isRecording, record, recording } from '../autodiff.ts';
import { type DType, isFloating } from '../dtype.ts';
import type { MicroName } from '../program/kernels.ts';
import { learn, replay } from '../replay.ts';
import { Replayable } from '../replayable.ts';
import { broadcastShapes, type Shape, sameShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { equal, less, where } from './compare.ts';
import { fill } from './creation.ts';
import { MapBuilder, type TensorLike } from './map.ts';
import { sum } from './reduce.ts';
import { broadcastTo, reshape } from './shape.ts';
import { log, neg, square } from './unary.ts';

/** float32 (in the sense of kernels' outputs) if an argument is floating-point or a fraction, else int32: what arithmetic on them gives. */
export function arithmeticType(...args: TensorLike[]): 'float32' | 'int32' {
  const isFloat = (arg: TensorLike) => {
    if (arg instanceof Tensor) return isFloating(arg.dtype);
    // A whole number takes the type of the tensor beside it.
    return typeof arg === 'number' && !Number.isInteger(arg);
  };
  const anyTensor = args.some((arg) => arg instanceof Tensor);
  return !anyTensor || args.some(isFloat) ? 'float32' : 'int32';
}

/** Sums a gradient over the dimensions that were stretched, so that it has the shape of what was stretched. */
export function sumTo(gradient: Tensor, shape: Shape): Tensor {
  if (sameShape(gradient.shape, shape)) return gradient;
  if (gradient.constant !== undefined) {
    const ratio =
      gradient.size /
      Math.max(
        1,
        shape.reduce((a, b) => a * b, 1),
      );
    return fill(shape, gradient.constant * ratio);
  }
  const lead = gradient.rank - shape.length;
  const axes = gradient.shape.flatMap((dim, i) =>
    i < lead || (shape[i - lead] === 1 && dim !== 1) ? [i] : [],
  );
  return reshape(sum(gradient, axes), shape);
}

type Partial = (dy: Tensor, a: TensorLike, b: TensorLike, y: Tensor) => Tensor;

const foldable: { [op in MicroName]?: (a: number, b: number) => number } = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
};

/** The result where both operands are known numbers while a program is traced, such as the first gradients of a mean. */
function foldConstants(op: MicroName, a: TensorLike, b: TensorLike, dtype: DType): Tensor | undefined {
  const fold = foldable[op];
  if (fold === undefined || dtype !== 'float32') return undefined;
  const numberOf = (arg: TensorLike) => (arg instanceof Tensor ? arg.constant : Number(arg));
  const [x, y] = [numberOf(a), numberOf(b)];
  const tensors = [a, b].filter((arg) => arg instanceof Tensor);
  if (x === undefined || y === undefined || tensors.length === 0 || recording(tensors)) return undefined;
  const shape = tensors.reduce<Shape>((known, arg) => broadcastShapes(op, known, arg.shape), []);
  return fill(shape, fold(x, y));
}

/** A binary op: its micro-operations for floats and integers, and its partial derivatives (none: not differentiable). */
class BinaryOp {
  readonly name: string;
  readonly dtype: (a: TensorLike, b: TensorLike) => 'float32' | 'int32';
  readonly float: MicroName;
  readonly int: MicroName;
  readonly partials: readonly [Partial, Partial];
  // With two tensors, with a number on the right, and on the left.
  private readonly calls = [new Replayable(), new Replayable(), new Replayable()] as const;

  constructor(name: MicroName, int: MicroName | undefined, partials: readonly [Partial, Partial]) {
    this.name = name;
    // Without an integer form the result is a float.
    this.dtype = int === undefined ? () => 'float32' : arithmeticType;
    this.float = name;
    this.int = int ?? name;
    this.partials = partials;
  }

  call(a: TensorLike, b: TensorLike): Tensor {
    const out = this.replay(a, b) ?? this.learn(a, b);
    if (isRecording()) this.record(a, b, out);
    return out;
  }

  private replay(a: TensorLike, b: TensorLike): Tensor | undefined {
    const [both, right, left] = this.calls;
    if (a instanceof Tensor) {
      if (typeof b === 'number') return replay(right, a, undefined, b);
      return b instanceof Tensor ? replay(both, a, b, 0) : undefined;
    }
    return typeof a === 'number' && b instanceof Tensor ? replay(left, b, undefined, a) : undefined;
  }

  private learn(a: TensorLike, b: TensorLike): Tensor {
    const [both, right, left] = this.calls;
    const make = () => this.make(a, b);
    if (a instanceof Tensor) {
      if (typeof b === 'number') return learn(right, a, undefined, b, make);
      return b instanceof Tensor ? learn(both, a, b, 0, make) : make();
    }
    return typeof a === 'number' && b instanceof Tensor ? learn(left, b, undefined, a, make) : make();
  }

  private make(a: TensorLike, b: TensorLike): Tensor {
    const dtype = this.dtype(a, b);
    const folded = foldConstants(this.float, a, b, dtype);
    if (folded !== undefined) return folded;
    const builder = new MapBuilder(this.name);
    const as = dtype === 'float32' ? 'float' : 'int';
    const x = builder.load(a, as);
    const y = builder.load(b, as);
    builder.op(as === 'float' ? this.float : this.int, x, y);
    return builder.build(dtype);
  }

  private record(a: TensorLike, b: TensorLike, out: Tensor): void {
    const inputs = [a, b].filter((arg) => arg instanceof Tensor);
    record(this.name, [out], inputs, (dy) => {
      const gradients: (Tensor | undefined)[] = [];
      [a, b].forEach((arg, i) => {
        if (!(arg instanceof Tensor)) return;
        const wanted = isFloating(arg.dtype) && dy !== undefined;
        gradients.push(wanted ? sumTo(this.partials[i]!(dy, a, b, out), arg.shape) : undefined);
      });
      return gradients;
    });
  }
}

const addOp = new BinaryOp('add', 'addInt', [(dy) => dy, (dy) => dy]);

/** `a + b`, elementwise. */
export function add(a: TensorLike, b: TensorLike): Tensor {
  return addOp.call(a, b);
}

const subOp = new BinaryOp('sub', 'subInt', [(dy) => dy, (dy) => neg(dy)]);

/** `a - b`, elementwise. */
export function sub(a: TensorLike, b: TensorLike): Tensor {
  return subOp.call(a, b);
}

const mulOp = new BinaryOp('mul', 'mulInt', [(dy, _a, y) => mul(dy, y), (dy, x) => mul(dy, x)]);

/** `a * b`, elementwise. */
export function mul(a: TensorLike, b: TensorLike): Tensor {
  return mulOp.call(a, b);
}

const divOp = new BinaryOp('div', undefined, [
  (dy, _a, y) => div(dy, y),
  (dy, _a, y, out) => neg(div(mul(dy, out), y)),
]);

/** `a / b`, elementwise; always float32, as NumPy's true division. */
export function div(a: TensorLike, b: TensorLike): Tensor {
  return divOp.call(a, b);
}

const maximumOp = new BinaryOp('maximum', 'maximumInt', [
  (dy, x, y) => where(less(x, y), 0, dy),
  (dy, x, y) => where(less(x, y), dy, 0),
]);

/** The larger of both (or of all), elementwise; NaN if either is. Where they are equal the gradient goes to `a`. */
export function maximum(a: TensorLike, b: TensorLike, ...more: TensorLike[]): Tensor {
  const [next, ...rest] = more;
  if (next !== undefined) return maximum(maximum(a, b), next, ...rest);
  return maximumOp.call(a, b);
}

const minimumOp = new BinaryOp('minimum', 'minimumInt', [
  (dy, x, y) => where(less(y, x), 0, dy),
  (dy, x, y) => where(less(y, x), dy, 0),
]);

/** The smaller of both (or of all), elementwise; NaN if either is. Where they are equal the gradient goes to `a`. */
export function minimum(a: TensorLike, b: TensorLike, ...more: TensorLike[]): Tensor {
  const [next, ...rest] = more;
  if (next !== undefined) return minimum(minimum(a, b), next, ...rest);
  return minimumOp.call(a, b);
}

const powOp = new BinaryOp('pow', undefined, [
  (dy, x, y) => {
    // x ** 0 is 1 everywhere, also at 0.
    const less1 =
      y instanceof Tensor ? where(equal(y, 0), 1, sub(y, 1)) : Number(y) === 0 ? 1 : Number(y) - 1;
    return mul(dy, mul(y, pow(x, less1)));
  },
  (dy, x, _b, out) => mul(dy, where(less(0, x), mul(out, log(where(less(0, x), x, 1))), 0)),
]);

/** `a ** b`, elementwise, float32. The gradient of the exponent is 0 where `a` is 0. */
export function pow(a: TensorLike, b: TensorLike): Tensor {
  return powOp.call(a, b);
}

const modOp = new BinaryOp('mod', 'modInt', [(dy) => dy, (dy, x, y) => neg(mul(dy, floorDiv(x, y)))]);

/** The remainder with the divisor's sign, as NumPy's mod. */
export function mod(a: TensorLike, b: TensorLike): Tensor {
  return modOp.call(a, b);
}

const zero: Partial = (dy) => fill(dy.shape, 0);
const floorDivOp = new BinaryOp('floorDiv', 'floorDivInt', [zero, zero]);

/** The quotient rounded down; its gradient is 0. */
export function floorDiv(a: TensorLike, b: TensorLike): Tensor {
  return floorDivOp.call(a, b);
}

const atan2Op = new BinaryOp('atan2', undefined, [
  (dy, y, x) => div(mul(dy, x), add(square(x), square(y))),
  (dy, y, x) => neg(div(mul(dy, y), add(square(x), square(y)))),
]);

/** The angle of the point `(b, a)` in radians. */
export function atan2(a: TensorLike, b: TensorLike): Tensor {
  return atan2Op.call(a, b);
}

/** `(a - b) ** 2`, elementwise. */
export function squaredDifference(a: TensorLike, b: TensorLike): Tensor {
  return square(sub(a, b));
}

/** A gradient spread back over the dimensions that a reduction removed. */
export function spread(gradient: Tensor, shape: Shape, axes: readonly number[]): Tensor {
  const kept = shape.map((dim, i) => (axes.includes(i) ? 1 : dim));
  return broadcastTo(reshape(gradient, kept), shape);
}
