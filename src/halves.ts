// Floating-point numbers of 16 bits as memory holds them: bfloat16 and float16, which JavaScript has no arrays for.
import type { HalfDType } from './dtype.ts';

// The bits of a power of two as float32.
const power = (exponent: number) => (127 + exponent) << 23;

/** The bits of bfloat16 that are nearest to a float32's, halves to even. */
function roundToBfloat16(word: number): number {
  // The upper half alone of a NaN may be an infinity.
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

/** The bits of float16 that are nearest to a float32's, halves to even: from 65520 on infinite, below 2^-14 a multiple of 2^-24. */
function roundToFloat16(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= power(16)) return sign | 0x7c00;
  if (magnitude >= power(-14))
    return sign | ((magnitude - power(-15) + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // So many times 2^-24; what is smaller than half of that is gone.
  const digits = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  const whole = digits >>> shift;
  const rest = digits & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (whole + (rest > half || (rest === half && whole % 2 === 1) ? 1 : 0));
}

/** The number that the bits of float16 mean. */
function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Numbers as a dtype of 16 bits is stored: rounded to nearest, halves to even. */
export function toHalves(values: Float32Array, dtype: HalfDType): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, dtype === 'bfloat16' ? roundToBfloat16 : roundToFloat16);
}

/** Numbers from how a dtype of 16 bits is stored. */
export function fromHalves(halves: Uint16Array, dtype: HalfDType): Float32Array<ArrayBuffer> {
  if (dtype === 'float16') return Float32Array.from(halves, fromFloat16);
  const words = Uint32Array.from(halves, (half) => half << 16);
  return new Float32Array(words.buffer);
}
