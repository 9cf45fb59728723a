// The element types, their sizes and the typed arrays that hold them.

/** Element types of tensors. `bool` is stored as bytes that are 0 or 1, `bfloat16` as the upper half of a float32. */
export type DType = 'float32' | 'int32' | 'uint8' | 'bool' | 'bfloat16';

/** The typed array that `tensor.data()` gives for a dtype; JavaScript has none for bfloat16, whose numbers come as float32. */
export type DataOf<D extends DType> = D extends 'float32' | 'bfloat16'
  ? Float32Array
  : D extends 'int32'
    ? Int32Array
    : Uint8Array;

/** Numbers of the dtypes in program words, as `DType` in native/program/kinds.h. */
export const dtypeCode = { float32: 0, int32: 1, uint8: 2, bool: 3, bfloat16: 4 } as const satisfies Record<
  DType,
  number
>;

/** Bytes an element. */
export const dtypeBytes = { float32: 4, int32: 4, uint8: 1, bool: 1, bfloat16: 2 } as const satisfies Record<
  DType,
  number
>;

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
export function isFloating(dtype: DType): dtype is 'float32' | 'bfloat16' {
  return dtype === 'float32' || dtype === 'bfloat16';
}

/** Is it one of the dtypes? */
export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(dtypeCode, value);
}

/** Numbers as bfloat16 is stored: the upper halves of float32, rounded to nearest, halves to even. */
export function toHalves(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word) =>
    // The upper half alone of a NaN may be an infinity.
    (word & 0x7fffffff) > 0x7f800000 ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16,
  );
}

/** Numbers as memory holds them. */
export function toStored<D extends DType>(values: DataOf<D>, dtype: D): DataOf<D> | Uint8Array<ArrayBuffer> {
  return dtype === 'bfloat16' ? new Uint8Array(toHalves(values as Float32Array).buffer) : values;
}

/** Numbers from how bfloat16 is stored. */
export function fromHalves(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const words = Uint32Array.from(halves, (half) => half << 16);
  return new Float32Array(words.buffer);
}
