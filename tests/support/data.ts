// Arguments for tests from a seeded generator, and comparisons that say where numbers differ.
import assert from 'node:assert/strict';
import { type DType, newArray } from '../../src/dtype.ts';
import { reshape, slice, tensor } from '../../src/ops/index.ts';
import { Philox } from '../../src/random.ts';
import { type Shape, sizeOf } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';

/** An argument to be made: its numbers come from the case's seed. */
export interface Arg {
  readonly shape: Shape;
  readonly dtype: DType;
  /** Numbers are uniform in [low, high). */
  readonly low: number;
  readonly high: number;
  /** Numbers equally spaced in [low, high) in random order, so that none are near each other. */
  readonly distinct: boolean;
  /** Keeps this far from 0. */
  readonly gap: number;
  /** These numbers, in place of random ones. */
  readonly values: readonly number[] | undefined;
  /** Elements before it in the memory it lies in, so that it begins in the middle of a vector. */
  readonly offset: number;
  /** No gradient is taken with respect to it. */
  readonly fixed: boolean;
}

/** An argument of a shape; float32 in [-2, 2) unless said otherwise. */
export function arg(shape: Shape, options: Partial<Arg> = {}): Arg {
  const dtype = options.dtype ?? 'float32';
  const low = dtype === 'float32' ? -2 : dtype === 'int32' ? -9 : 0;
  const high = dtype === 'float32' ? 2 : dtype === 'bool' ? 2 : 10;
  const plain = { dtype, low, high, distinct: false, gap: 0, values: undefined, offset: 0 };
  return { ...plain, fixed: dtype !== 'float32', ...options, shape };
}

export type Numbers = Float32Array | Int32Array | Uint8Array;

/** The argument's numbers. */
export function numbersOf(spec: Arg, random: Philox): Numbers {
  const size = sizeOf(spec.shape);
  const order = spec.distinct ? random.permutation(size) : undefined;
  const draw = (i: number): number => {
    if (spec.values) return spec.values[i % spec.values.length]!;
    const u = order ? (order[i]! + 0.5) / size : random.uniform();
    const value = spec.low + u * (spec.high - spec.low);
    if (spec.dtype !== 'float32') return Math.floor(value);
    return Math.abs(value) < spec.gap ? value + Math.sign(value || 1) * spec.gap : value;
  };
  const numbers = newArray(spec.dtype, size);
  for (let i = 0; i < size; i++) numbers[i] = draw(i);
  return numbers;
}

/** The tensor of the argument's numbers, on the engine in use. */
export function place(spec: Arg, numbers: Numbers): Tensor {
  const { offset, dtype, shape } = spec;
  if (offset === 0) return tensor(numbers, shape, dtype);
  const padded = new (numbers.constructor as Float32ArrayConstructor)(numbers.length + offset + 3).fill(1);
  padded.set(numbers, offset);
  const flat = tensor(padded, [padded.length], dtype);
  return reshape(slice(flat, [offset], [numbers.length]), shape);
}

/** A generator for a test; the name makes it different from others. */
export function generator(name: string): Philox {
  let seed = 7;
  for (const letter of name) seed = (seed * 31 + letter.charCodeAt(0)) % 2 ** 40;
  return new Philox(seed);
}

/** How far numbers may be from what is expected: `atol + rtol * |expected|`. */
export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** Numbers equal within the tolerance; NaN equals NaN, infinities equal themselves, and with tolerance 0 the sign of 0 counts. */
export function close(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { rtol, atol }: Tolerance,
  what = '',
): void {
  assert.equal(actual.length, expected.length, `${what}: number of elements`);
  const exact = rtol === 0 && atol === 0;
  let worst = -1;
  let worstError = 0;
  for (let i = 0; i < actual.length; i++) {
    const [got, want] = [actual[i]!, expected[i]!];
    if (Object.is(got, want) || (!exact && got === want)) continue;
    const error = Math.abs(got - want) / (atol + rtol * Math.abs(want) || Number.MIN_VALUE);
    // NaN on one side, or infinity on one side, gives no number to compare.
    const far = Number.isFinite(got) && Number.isFinite(want) ? error : Number.POSITIVE_INFINITY;
    if ((exact || far > 1) && (worst < 0 || far > worstError)) [worst, worstError] = [i, far];
  }
  if (worst >= 0) {
    const show = (value: number) => (Object.is(value, -0) ? '-0' : String(value));
    assert.fail(
      `${what}: element ${worst} of ${actual.length}: got ${show(actual[worst]!)}, expected ${show(expected[worst]!)} ` +
        `(${worstError.toPrecision(3)} times the tolerance)`,
    );
  }
}

/** Frees tensors when a test is done with them. */
export function disposeAll(...tensors: readonly (Tensor | readonly Tensor[])[]): void {
  for (const tensor of tensors.flat()) tensor.dispose();
}
