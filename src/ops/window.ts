// Arithmetic of sliding windows: padding, strides and dilation of convolutions and pooling, after Keras.
import { describe, NablaError } from '../errors.ts';
import { type Shape, showShape } from '../shape.ts';

/**
 * What lies around the input: `'valid'` nothing, `'same'` zeros so that the output has `ceil(input / stride)` positions, the odd one
 * at the end; `'causal'` (one dimension) zeros in front only, so that no output sees later input.
 */
export type Padding = 'valid' | 'same' | 'causal';

/** One number for all dimensions, or one for each. */
export type PerDimension = number | readonly number[];

/** Sizes along the spatial dimensions. */
export interface Windows {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  /** Before the first element. */
  readonly pad: readonly number[];
  readonly input: readonly number[];
  readonly output: readonly number[];
}

/** An option with a number for each of `rank` dimensions, checked. */
export function perDimension(where: string, name: string, value: PerDimension, rank: number): number[] {
  const list = typeof value === 'number' ? new Array<number>(rank).fill(value) : value;
  const good =
    Array.isArray(list) && list.length === rank && list.every((n) => Number.isInteger(n) && n >= 1);
  if (!good) {
    const expected = rank === 1 ? 'an integer >= 1' : `an integer >= 1 or ${rank} of them`;
    throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected ${expected}`);
  }
  return [...list];
}

/** A padding's name, checked. */
export function checkPadding(where: string, padding: unknown, rank: number): Padding {
  const known: readonly unknown[] = rank === 1 ? ['valid', 'same', 'causal'] : ['valid', 'same'];
  if (known.includes(padding)) return padding as Padding;
  throw new NablaError(
    where,
    `bad padding, got ${describe(padding)}, expected ${known.map((k) => `'${k}'`).join(' or ')}`,
  );
}

/** An output padding, checked: fewer elements than the stride in each dimension. */
export function checkOutputPadding(
  where: string,
  outputPadding: PerDimension | undefined,
  strides: PerDimension,
  rank: number,
): number[] | undefined {
  if (outputPadding === undefined) return undefined;
  const stride = perDimension(where, 'strides', strides, rank);
  const list =
    typeof outputPadding === 'number'
      ? new Array<number>(rank).fill(outputPadding)
      : Array.from(outputPadding);
  const good = list.length === rank && list.every((n, i) => Number.isInteger(n) && n >= 0 && n < stride[i]!);
  if (good) return list;
  throw new NablaError(
    where,
    `bad outputPadding, got ${describe(outputPadding)}, expected integers >= 0 and below the strides ${showShape(stride)}`,
  );
}

/** Output sizes and padding of windows over an input (its spatial dimensions). Throws where no window fits. */
export function windowsOver(
  where: string,
  input: Shape,
  options: {
    kernel: readonly number[];
    stride: readonly number[];
    dilation: readonly number[];
    padding: Padding;
  },
): Windows {
  const { kernel, stride, dilation, padding } = options;
  const pad: number[] = [];
  const output = input.map((size, i) => {
    const reach = (kernel[i]! - 1) * dilation[i]! + 1;
    if (padding === 'same') {
      const positions = Math.ceil(size / stride[i]!);
      const total = Math.max(0, (positions - 1) * stride[i]! + reach - size);
      pad.push(Math.floor(total / 2));
      return positions;
    }
    const before = padding === 'causal' ? reach - 1 : 0;
    pad.push(before);
    return Math.floor((size + before - reach) / stride[i]!) + 1;
  });
  if (output.some((positions) => positions < 1)) {
    throw new NablaError(
      where,
      `the window does not fit, got input ${showShape(input)} and window ${showShape(kernel)}` +
        `${dilation.some((d) => d > 1) ? ` dilated by ${showShape(dilation)}` : ''}, ` +
        "expected a window no larger than the input; use padding 'same' or a smaller window",
    );
  }
  return { kernel, stride, dilation, pad, input, output };
}

/** Windows of the convolution whose input gradient is a transposed convolution from `input`, as Keras sizes its result. */
export function transposedWindows(
  input: Shape,
  options: {
    kernel: readonly number[];
    stride: readonly number[];
    dilation: readonly number[];
    padding: Padding;
    /** Elements more at the end, one number a dimension; they say how the padding is divided too. */
    outputPadding?: readonly number[] | undefined;
  },
): Windows {
  const { kernel, stride, dilation, padding, outputPadding } = options;
  const pad: number[] = [];
  const larger = input.map((size, i) => {
    if (outputPadding !== undefined) {
      const [reach, more] = [(kernel[i]! - 1) * dilation[i]! + 1, outputPadding[i]!];
      const around = reach + (reach % 2) - 2 + more;
      pad.push(padding === 'same' ? reach - 1 - Math.min(Math.ceil(around / 2), reach - 1) : 0);
      return (size - 1) * stride[i]! + reach + more - (padding === 'same' ? 2 * Math.floor(reach / 2) : 0);
    }
    const excess = Math.max(0, (kernel[i]! - 1) * dilation[i]! + 1 - stride[i]!);
    pad.push(padding === 'same' ? Math.floor(excess / 2) : 0);
    return size * stride[i]! + (padding === 'same' ? 0 : excess);
  });
  return { kernel, stride, dilation, pad, input: larger, output: input };
}

/** Three dimensions from up to three: ones in front. */
export function asThree(sizes: readonly number[], fill = 1): number[] {
  return [...new Array<number>(3 - sizes.length).fill(fill), ...sizes];
}
