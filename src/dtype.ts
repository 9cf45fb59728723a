// The element types, their sizes and the typed arrays that hold them.
import { toHalves } from './halves.ts';

/**
 * Element types of tensors. `bool` is stored as bytes that are 0 or 1, `bfloat16` as the upper half of a float32, `float16` as IEEE 754's
 * half precision.
 */
export type DType = 'float32' | 'int32' | 'uint8' | 'bool' | 'bfloat16' | 'float16';

/** @internal The floating-point dtypes of 16 bits. */
export type HalfDType = 'bfloat16' | 'float16';

/** @internal The floating-point dtypes. */
export type FloatDType = 'float32' | HalfDType;

/** The typed array that `tensor.data()` gives for a dtype; JavaScript has none for numbers of 16 bits, which come as float32. */
export type DataOf<D extends DType> = D extends FloatDType
  ? Float32Array
  : D extends 'int32'
    ? Int32Array
    : Uint8Array;

/** Numbers of the dtypes in program words, as `DType` in native/program/kinds.h. */
export const dtypeCode = {
  float32: 0,
  int32: 1,
  uint8: 2,
  bool: 3,
  bfloat16: 4,
  float16: 5,
} as const satisfies Record<DType, number>;

/** Bytes an element. */
export const dtypeBytes = {
  float32: 4,
  int32: 4,
  uint8: 1,
  bool: 1,
  bfloat16: 2,
  float16: 2,
} as const satisfies Record<DType, number>;

/** A new zeroed array for `size` elements. */
export function newArray<D extends DType>(dtype: D, size: number): DataOf<D> {
  const array = isFloating(dtype)
    ? new Float32Array(size)
    : dtype === 'int32'
      ? new Int32Array(size)
      : new Uint8Array(size);
  return array as DataOf<D>;
}

/** Does it hold floating-point numbers? */
export function isFloating(dtype: DType): dtype is FloatDType {
  return dtype === 'float32' || isHalf(dtype);
}

/** Does it hold floating-point numbers of 16 bits? */
export function isHalf(dtype: DType | undefined): dtype is HalfDType {
  return dtype === 'bfloat16' || dtype === 'float16';
}

/** Is it one of the dtypes? */
export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(dtypeCode, value);
}

/** Numbers as memory holds them. */
export function toStored<D extends DType>(values: DataOf<D>, dtype: D): DataOf<D> | Uint8Array<ArrayBuffer> {
  return isHalf(dtype) ? new Uint8Array(toHalves(values as Float32Array, dtype).buffer) : values;
}
