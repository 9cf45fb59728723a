// Pooling over channelsLast data in one to three dimensions, and its gradients.
import { record } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import { poolKinds } from '../program/kernels.ts';
import { showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, placeName } from '../trace.ts';
import { toFloats } from './compare.ts';
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
  // The gradient of averages is linear, with averages as its transpose. That of maxima goes to places which only x tells.
  const linear = attributes[0] === poolKinds.average;
  record(
    `${name} gradient`,
    [out],
    linear ? [dy] : [x, y, dy],
    linear ? (dx) => [dx && emitPool(dx, dy.shape, attributes, name)] : undefined,
  );
  return out;
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
