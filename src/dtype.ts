// The element types, their sizes and the typed arrays that hold them.

/** Element types of tensors. `bool` is stored as bytes that are 0 or 1. */
export type DType = 'float32' | 'int32' | 'uint8' | 'bool';

/** The typed array that `tensor.data()` gives for a dtype. */
export type DataOf<D extends DType> = D extends 'float32'
  ? Float32Array
  : D extends 'int32'
    ? Int32Array
    : Uint8Array;

/** Numbers of the dtypes in program words, as `DType` in native/program/kinds.h. */
export const dtypeCode = { float32: 0, int32: 1, uint8: 2, bool: 3 } as const satisfies Record<DType, number>;

/** Bytes an element. */
export const dtypeBytes = { float32: 4, int32: 4, uint8: 1, bool: 1 } as const satisfies Record<
  DType,
  number
>;

/** A new zeroed array for `size` elements. */
export function newArray<D extends DType>(dtype: D, size: number): DataOf<D> {
  const array =
    dtype === 'float32'
      ? new Float32Array(size)
      : dtype === 'int32'
        ? new Int32Array(size)
        : new Uint8Array(size);
  return array as DataOf<D>;
}

/** Is it one of the dtypes? */
export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(dtypeCode, value);
}
