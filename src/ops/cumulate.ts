// Running sums, products, maxima and log-sum-exps along an axis, and their gradients.
import { record } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import { cumulateKinds } from '../program/kernels.ts';
import { normalizeAxis, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit } from '../trace.ts';
import { add, div, mul, sub } from './arithmetic.ts';
import { cast, equal, isFinite, less, toFloats, where } from './compare.ts';
import { countAlong, scatterAlongAxis } from './scatter.ts';
import { exp, log, neg } from './unary.ts';

type CumulateKind = keyof typeof cumulateKinds;

/** The axis, and which elements are joined with which. */
interface Walk {
  readonly axis: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

function cumulate(name: string, kind: CumulateKind, x: Tensor, { axis, exclusive, reverse }: Walk): Tensor {
  const outer = sizeOf(x.shape.slice(0, axis));
  const inner = sizeOf(x.shape.slice(axis + 1));
  const attributes = [cumulateKinds[kind], outer, x.shape[axis]!, inner, Number(exclusive), Number(reverse)];
  const outputs = [{ shape: x.shape, dtype: x.dtype }];
  return emit({ kernel: 'cumulate', outputs, inputs: [x], attributes, where: name })[0]!;
}

function walkOf(name: string, x: Tensor, axis: number, exclusive: boolean, reverse: boolean): Walk {
  if (x.rank === 0) throw new NablaError(name, 'a scalar has no axis, got shape []; reshape() it to [1]');
  return { axis: normalizeAxis(name, axis, x.rank), exclusive, reverse };
}

/** Bytes as int32, which is what sums of them are. */
const widened = (x: Tensor) => (x.dtype === 'uint8' || x.dtype === 'bool' ? cast(x, 'int32') : x);

/**
 * The running sum along `axis` (default 0). `exclusive` leaves each element out of its own sum, `reverse` runs from the end.
 *
 * @example cumsum(tensor([1, 2, 3])) // [1, 3, 6]
 */
export function cumsum(input: Tensor, axis = 0, exclusive = false, reverse = false): Tensor {
  const x = widened(input);
  const walk = walkOf('cumsum', x, axis, exclusive, reverse);
  const out = cumulate('cumsum', 'sum', x, walk);
  record('cumsum', [out], [x], (dy) => [dy && cumsum(dy, walk.axis, exclusive, !reverse)]);
  return out;
}

/**
 * The running product along `axis` (default 0), with the options of {@link cumsum}. Its gradient divides by the factors: it is NaN where one
 * of them is 0.
 */
export function cumprod(input: Tensor, axis = 0, exclusive = false, reverse = false): Tensor {
  const x = widened(input);
  const walk = walkOf('cumprod', x, axis, exclusive, reverse);
  const out = cumulate('cumprod', 'prod', x, walk);
  record('cumprod', [out], [x], (dy) => [dy && div(cumsum(mul(dy, out), walk.axis, exclusive, !reverse), x)]);
  return out;
}

/** The running maximum along `axis` (default 0); NaN from the first one on. Of equals the latest has the gradient. */
export function cummax(input: Tensor, axis = 0, reverse = false): Tensor {
  const x = widened(input);
  const walk = walkOf('cummax', x, axis, false, reverse);
  const out = cumulate('cummax', 'max', x, walk);
  record('cummax', [out], [x], (dy) => {
    if (dy === undefined) return [undefined];
    // The place of each running maximum, counted in the direction of the walk.
    const count = x.shape[walk.axis]!;
    const along = countAlong(x.shape, walk.axis);
    const steps = reverse ? sub(count - 1, along) : along;
    const latest = cumulate('cummax', 'max', where(equal(x, out), steps, 0), walk);
    const places = reverse ? sub(count - 1, latest) : latest;
    return [scatterAlongAxis(dy, places, walk.axis, count)];
  });
  return out;
}

/** `log(cumsum(exp(x)))` along `axis` (default 0) without overflow, float32, with the options of {@link cumsum}. */
export function logCumsumExp(input: Tensor, axis = 0, exclusive = false, reverse = false): Tensor {
  const x = toFloats(input);
  const walk = walkOf('logCumsumExp', x, axis, exclusive, reverse);
  const out = cumulate('logCumsumExp', 'logSumExp', x, walk);
  record('logCumsumExp', [out], [x], (dy) => {
    if (dy === undefined) return [undefined];
    // dx[i] = sum over j of dy[j] * exp(x[i] - y[j]), summed as logarithms for each sign of dy, so that nothing overflows.
    const y = where(isFinite(out), out, 0);
    const part = (positive: Tensor) => {
      const some = less(0, positive);
      const logs = where(some, sub(log(where(some, positive, 1)), y), Number.NEGATIVE_INFINITY);
      return exp(add(logCumsumExp(logs, walk.axis, exclusive, !reverse), x));
    };
    return [sub(part(dy), part(neg(dy)))];
  });
  return out;
}
