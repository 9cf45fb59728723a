// Convolutions over channelsLast data in one to three dimensions, and their gradients.
import { record, stopRecording } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import { activations } from '../program/kernels.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, placeName } from '../trace.ts';
import { toFloats } from './compare.ts';
import { matMul } from './linalg.ts';
import { reshape } from './shape.ts';
import {
  asThree,
  checkOutputPadding,
  checkPadding,
  type Padding,
  type PerDimension,
  perDimension,
  transposedWindows,
  type Windows,
  windowsOver,
} from './window.ts';

/** Options of {@link conv2d} and its like. */
export interface ConvOptions {
  /** Distance of neighbouring windows. Default 1. */
  strides?: PerDimension;
  /** Default `'valid'`. */
  padding?: Padding;
  /** Distance of the elements of a window. Default 1. */
  dilationRate?: PerDimension;
  /** Parts of the channels that are convolved apart from each other. Default 1. */
  groups?: number;
}

/** Options of {@link conv2dTranspose} and its like. */
export interface ConvTransposeOptions extends Omit<ConvOptions, 'groups'> {
  /** Elements more at the end of each dimension, fewer than the stride. Default: as Keras sizes the result without it. */
  outputPadding?: PerDimension | undefined;
}

/** A convolution in all its numbers. */
interface Geometry extends Windows {
  readonly batch: number;
  readonly inC: number;
  readonly outC: number;
  readonly groups: number;
}

function attributesOf(g: Geometry): number[] {
  const { batch, input, inC, output, outC, kernel, stride, dilation, pad, groups } = g;
  const sizes = [batch, ...asThree(input), inC, ...asThree(output), outC];
  return [...sizes, ...asThree(kernel), ...asThree(stride), ...asThree(dilation), ...asThree(pad, 0), groups];
}

const inputShape = (g: Geometry): Shape => [g.batch, ...g.input, g.inC];
const outputShape = (g: Geometry): Shape => [g.batch, ...g.output, g.outC];
const filterShape = (g: Geometry): Shape => [...g.kernel, g.inC / g.groups, g.outC];

/** Windows of one element that cover the input: a product of matrices. */
function isPointwise(g: Geometry): boolean {
  return g.groups === 1 && g.kernel.every((k) => k === 1) && g.stride.every((s) => s === 1);
}

const asRows = (x: Tensor): Tensor => reshape(x, [x.size / Math.max(1, x.shape.at(-1)!), x.shape.at(-1)!]);

function run(
  kernel: 'conv' | 'convInputGrad' | 'convFilterGrad',
  shape: Shape,
  inputs: (Tensor | undefined)[],
  attributes: number[],
): Tensor {
  const outputs = [{ shape, dtype: 'float32' as const }];
  return emit({ kernel, outputs, inputs, attributes, where: placeName(kernel) })[0]!;
}

// The three products are linear in both arguments, and each is the gradient of the others.

function forward(x: Tensor, filter: Tensor, g: Geometry): Tensor {
  const out = stopRecording(() =>
    isPointwise(g)
      ? matMul(x, reshape(filter, [g.inC, g.outC]))
      : run('conv', outputShape(g), [x, filter, undefined], [...attributesOf(g), activations.none]),
  );
  record('conv', [out], [x, filter], (dy) =>
    dy ? [inputGradient(dy, filter, g), filterGradient(x, dy, g)] : [],
  );
  return out;
}

function inputGradient(dy: Tensor, filter: Tensor, g: Geometry): Tensor {
  const out = stopRecording(() =>
    isPointwise(g)
      ? reshape(matMul(asRows(dy), reshape(filter, [g.inC, g.outC]), { transposeB: true }), inputShape(g))
      : run('convInputGrad', inputShape(g), [dy, filter], attributesOf(g)),
  );
  record('convInputGrad', [out], [dy, filter], (dx) =>
    dx ? [forward(dx, filter, g), filterGradient(dx, dy, g)] : [],
  );
  return out;
}

function filterGradient(x: Tensor, dy: Tensor, g: Geometry): Tensor {
  const out = stopRecording(() =>
    isPointwise(g)
      ? reshape(matMul(asRows(x), asRows(dy), { transposeA: true }), filterShape(g))
      : run('convFilterGrad', filterShape(g), [x, dy], attributesOf(g)),
  );
  record('convFilterGrad', [out], [x, dy], (dw) => (dw ? [inputGradient(dy, dw, g), forward(x, dw, g)] : []));
  return out;
}

function checkRanks(where: string, x: Tensor, filter: Tensor, rank: number): void {
  if (x.rank === rank + 2 && filter.rank === rank + 2) return;
  const space = ['width', 'height, width', 'depth, height, width'][rank - 1];
  throw new NablaError(
    where,
    `expected input [batch, ${space}, channels] and a filter [${space}, inputs, outputs], ` +
      `got ${showShape(x.shape)} and ${showShape(filter.shape)}; reshape() the input`,
  );
}

function conv(name: string, rank: number, input: Tensor, kernel: Tensor, options: ConvOptions): Tensor {
  const where = placeName(name);
  checkRanks(where, input, kernel, rank);
  const x = toFloats(input);
  const filter = toFloats(kernel);
  const inC = x.shape.at(-1)!;
  const outC = filter.shape.at(-1)!;
  const groups = options.groups ?? 1;
  const fits =
    Number.isInteger(groups) && groups >= 1 && filter.shape.at(-2)! * groups === inC && outC % groups === 0;
  if (!fits) {
    throw new NablaError(
      where,
      `channels do not fit, got input ${showShape(x.shape)}, filter ${showShape(filter.shape)} and groups ${groups}, ` +
        'expected inputs of the filter = channels / groups, and outputs a multiple of groups',
    );
  }
  const windows = windowsOver(where, x.shape.slice(1, -1), {
    kernel: filter.shape.slice(0, rank),
    stride: perDimension(where, 'strides', options.strides ?? 1, rank),
    dilation: perDimension(where, 'dilationRate', options.dilationRate ?? 1, rank),
    padding: checkPadding(where, options.padding ?? 'valid', rank),
  });
  return forward(x, filter, { ...windows, batch: x.shape[0]!, inC, outC, groups });
}

/** Convolution of `[batch, width, channels]` with a filter `[width, channels / groups, outputs]`. */
export function conv1d(x: Tensor, filter: Tensor, options: ConvOptions = {}): Tensor {
  return conv('conv1d', 1, x, filter, options);
}

/** Convolution of `[batch, height, width, channels]` with a filter `[height, width, channels / groups, outputs]`. */
export function conv2d(x: Tensor, filter: Tensor, options: ConvOptions = {}): Tensor {
  return conv('conv2d', 2, x, filter, options);
}

/** Convolution of `[batch, depth, height, width, channels]` with a filter `[depth, height, width, channels / groups, outputs]`. */
export function conv3d(x: Tensor, filter: Tensor, options: ConvOptions = {}): Tensor {
  return conv('conv3d', 3, x, filter, options);
}

function depthwise(
  name: string,
  rank: number,
  x: Tensor,
  filter: Tensor,
  options: ConvTransposeOptions,
): Tensor {
  const where = placeName(name);
  checkRanks(where, x, filter, rank);
  const channels = x.shape.at(-1)!;
  if (filter.shape.at(-2) !== channels) {
    throw new NablaError(
      where,
      `channels do not fit, got input ${showShape(x.shape)} and filter ${showShape(filter.shape)}, ` +
        `expected a filter of ${channels} channels`,
    );
  }
  // Output channel c * multiplier + j is channel c filtered by its j-th filter: the numbers lie in that order already.
  const grouped = reshape(filter, [...filter.shape.slice(0, rank), 1, channels * filter.shape.at(-1)!]);
  return conv(name, rank, x, grouped, { ...options, groups: channels });
}

/** Each channel of `[batch, width, channels]` with filters of its own, `[width, channels, multiplier]`. */
export function depthwiseConv1d(x: Tensor, filter: Tensor, options: ConvTransposeOptions = {}): Tensor {
  return depthwise('depthwiseConv1d', 1, x, filter, options);
}

/** Each channel of `[batch, height, width, channels]` with filters of its own, `[height, width, channels, multiplier]`. */
export function depthwiseConv2d(x: Tensor, filter: Tensor, options: ConvTransposeOptions = {}): Tensor {
  return depthwise('depthwiseConv2d', 2, x, filter, options);
}

function transposed(
  name: string,
  rank: number,
  input: Tensor,
  kernel: Tensor,
  options: ConvTransposeOptions,
): Tensor {
  const where = placeName(name);
  checkRanks(where, input, kernel, rank);
  const x = toFloats(input);
  const filter = toFloats(kernel);
  const outC = x.shape.at(-1)!;
  if (filter.shape.at(-1) !== outC) {
    throw new NablaError(
      where,
      `channels do not fit, got input ${showShape(x.shape)} and filter ${showShape(filter.shape)}, ` +
        `expected the filter's last dimension to be the input's ${outC} channels`,
    );
  }
  const padding = checkPadding(where, options.padding ?? 'valid', rank);
  if (padding === 'causal') {
    throw new NablaError(where, "bad padding, got 'causal', expected 'valid' or 'same'");
  }
  const windows = transposedWindows(x.shape.slice(1, -1), {
    kernel: filter.shape.slice(0, rank),
    stride: perDimension(where, 'strides', options.strides ?? 1, rank),
    dilation: perDimension(where, 'dilationRate', options.dilationRate ?? 1, rank),
    padding,
    outputPadding: checkOutputPadding(where, options.outputPadding, options.strides ?? 1, rank),
  });
  return inputGradient(x, filter, {
    ...windows,
    batch: x.shape[0]!,
    inC: filter.shape.at(-2)!,
    outC,
    groups: 1,
  });
}

/** The transpose of {@link conv1d}, which makes rows longer by the stride; filter `[width, outputs, channels]`. */
export function conv1dTranspose(x: Tensor, filter: Tensor, options: ConvTransposeOptions = {}): Tensor {
  return transposed('conv1dTranspose', 1, x, filter, options);
}

/** The transpose of {@link conv2d}, which makes images larger by the stride; filter `[height, width, outputs, channels]`. */
export function conv2dTranspose(x: Tensor, filter: Tensor, options: ConvTransposeOptions = {}): Tensor {
  return transposed('conv2dTranspose', 2, x, filter, options);
}

/** The transpose of {@link conv3d}; filter `[depth, height, width, outputs, channels]`. */
export function conv3dTranspose(x: Tensor, filter: Tensor, options: ConvTransposeOptions = {}): Tensor {
  return transposed('conv3dTranspose', 3, x, filter, options);
}
