// Pooling over channelsLast data in one to three dimensions, and its gradients.
import { record, stopRecording } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import { poolKinds } from '../program/kernels.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, placeName } from '../trace.ts';
import { greater, isNaN, logicalAnd, logicalNot, logicalOr, toFloats, where } from './compare.ts';
import { stridedSlice } from './rearrange.ts';
import { pad, reshape } from './shape.ts';
import {
  asThree,
  checkPadding,
  type Padding,
  type PerDimension,
  perDimension,
  windowsOver,
} from './window.ts';

/** Options of {@link maxPool2d} and its like. */
export interface PoolOptions {
  /** Size of the window. Default 2. */
  poolSize?: PerDimension;
  /** Distance of neighbouring windows. Default: the window's size, so that none overlap. */
  strides?: PerDimension;
  /** Default `'valid'`. */
  padding?: Exclude<Padding, 'causal'>;
}

function emitPool(x: Tensor, shape: readonly number[], attributes: readonly number[], name: string): Tensor {
  const where = placeName(name);
  const outputs = [{ shape, dtype: 'float32' as const }];
  const out = emit({ kernel: 'pool', outputs, inputs: [x], attributes, where })[0]!;
  record(name, [out], [x], (dy) => [dy && emitGradient(x, out, dy, attributes, name)]);
  return out;
}

function emitGradient(x: Tensor, y: Tensor, dy: Tensor, attributes: readonly number[], name: string): Tensor {
  const where = placeName(`${name} gradient`);
  const outputs = [{ shape: x.shape, dtype: 'float32' as const }];
  const out = emit({ kernel: 'poolGrad', outputs, inputs: [x, y, dy], attributes, where })[0]!;
  // Both gradients are linear. That of averages has averages as its transpose; that of maxima goes to places that do not move with x.
  const average = attributes[0] === poolKinds.average;
  record(`${name} gradient`, [out], [dy], (dx) => {
    if (dx === undefined) return [];
    return [average ? emitPool(dx, dy.shape, attributes, name) : atMaxima(x, dx, dy.shape, attributes)];
  });
  return out;
}

/** The numbers of `values` where `x` has the first maximum of each window. */
function atMaxima(x: Tensor, values: Tensor, shape: Shape, attributes: readonly number[]): Tensor {
  const three = (start: number) => attributes.slice(start, start + 3) as [number, number, number];
  const [batch, channels] = [attributes[1]!, attributes[5]!];
  const [size, out, kernel, stride, before] = [three(2), three(6), three(9), three(12), three(15)];
  const behind = out.map((n, i) => Math.max(0, (n - 1) * stride[i]! + kernel[i]! - before[i]! - size[i]!));
  const around = [[0, 0], ...before.map((n, i) => [n, behind[i]!] as const), [0, 0]] as [number, number][];
  const padded = (t: Tensor, constant: number) =>
    pad(reshape(t, [batch, ...size, channels]), around, constant);
  const [numbers, picked] = [stopRecording(() => padded(x, Number.NEGATIVE_INFINITY)), padded(values, 0)];
  let best: Tensor | undefined;
  let found: Tensor | undefined;
  for (let k = 0; k < kernel[0] * kernel[1] * kernel[2]; k++) {
    const at = [
      Math.floor(k / (kernel[1] * kernel[2])),
      Math.floor(k / kernel[2]) % kernel[1],
      k % kernel[2],
    ];
    const begin = [0, ...at, 0];
    const end = [batch, ...at.map((first, i) => first + (out[i]! - 1) * stride[i]! + 1), channels];
    const every = (t: Tensor) => stridedSlice(t, begin, end, [1, ...stride, 1]);
    const value = every(picked);
    if (found === undefined) {
      best = stopRecording(() => every(numbers));
      found = value;
      continue;
    }
    const former: Tensor = best!;
    const [larger, most] = stopRecording(() => {
      const number = every(numbers);
      // NaN is larger than all numbers, and not than NaN.
      const isLarger = logicalOr(
        greater(number, former),
        logicalAnd(isNaN(number), logicalNot(isNaN(former))),
      );
      return [isLarger, where(isLarger, number, former)] as const;
    });
    best = most;
    found = where(larger, value, found);
  }
  return reshape(found!, shape);
}

function pool(
  name: string,
  kind: keyof typeof poolKinds,
  rank: number,
  input: Tensor,
  options: PoolOptions,
): Tensor {
  const where = placeName(name);
  if (input.rank !== rank + 2) {
    const space = ['width', 'height, width', 'depth, height, width'][rank - 1];
    throw new NablaError(
      where,
      `expected input [batch, ${space}, channels], got ${showShape(input.shape)}; reshape() it`,
    );
  }
  const x = toFloats(input);
  const kernel = perDimension(where, 'poolSize', options.poolSize ?? 2, rank);
  const stride = perDimension(where, 'strides', options.strides ?? kernel, rank);
  // Pooling has no causal padding in any number of dimensions.
  const padding = checkPadding(where, options.padding ?? 'valid', 2);
  const dilation = kernel.map(() => 1);
  const windows = windowsOver(where, x.shape.slice(1, -1), { kernel, stride, dilation, padding });
  const [batch, channels] = [x.shape[0]!, x.shape.at(-1)!];
  const attributes = [
    poolKinds[kind],
    batch,
    ...asThree(windows.input),
    channels,
    ...asThree(windows.output),
  ];
  attributes.push(...asThree(kernel), ...asThree(stride), ...asThree(windows.pad, 0));
  return emitPool(x, [batch, ...windows.output, channels], attributes, name);
}

/** The largest number of each window of `[batch, width, channels]`, channel by channel. Its gradient goes to the first of equals. */
export function maxPool1d(x: Tensor, options: PoolOptions = {}): Tensor {
  return pool('maxPool1d', 'max', 1, x, options);
}

/** The largest number of each window of `[batch, height, width, channels]`. */
export function maxPool2d(x: Tensor, options: PoolOptions = {}): Tensor {
  return pool('maxPool2d', 'max', 2, x, options);
}

/** The largest number of each window of `[batch, depth, height, width, channels]`. */
export function maxPool3d(x: Tensor, options: PoolOptions = {}): Tensor {
  return pool('maxPool3d', 'max', 3, x, options);
}

/** The mean of each window of `[batch, width, channels]`, channel by channel; padding does not count. */
export function avgPool1d(x: Tensor, options: PoolOptions = {}): Tensor {
  return pool('avgPool1d', 'average', 1, x, options);
}

/** The mean of each window of `[batch, height, width, channels]`; padding does not count. */
export function avgPool2d(x: Tensor, options: PoolOptions = {}): Tensor {
  return pool('avgPool2d', 'average', 2, x, options);
}

/** The mean of each window of `[batch, depth, height, width, channels]`; padding does not count. */
export function avgPool3d(x: Tensor, options: PoolOptions = {}): Tensor {
  return pool('avgPool3d', 'average', 3, x, options);
}
