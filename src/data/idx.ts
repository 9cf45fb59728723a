// IDX, the file format of MNIST: a big-endian header with type and shape, then the elements; read and written in memory.

import { describe, NablaError } from '../errors.ts';

/** The typed array each IDX element type is read into. */
export interface IdxTypedArrays {
  /** Bytes from 0 to 255. */
  uint8: Uint8Array;
  /** Bytes from -128 to 127. */
  int8: Int8Array;
  /** Two bytes an element. */
  int16: Int16Array;
  /** Four bytes an element. */
  int32: Int32Array;
  /** Four bytes an element. */
  float32: Float32Array;
  /** Eight bytes an element. */
  float64: Float64Array;
}

/** The element types of the format. */
export type IdxType = keyof IdxTypedArrays;

/** An array as an IDX file holds it: row-major, in this machine's byte order. */
export type IdxArray = {
  [T in IdxType]: {
    /** The element type. */
    readonly dtype: T;
    /** The dimensions, the slowest first. */
    readonly shape: readonly number[];
    /** The elements, row-major. */
    readonly data: IdxTypedArrays[T];
  };
}[IdxType];

/** Most dimensions an array may have, as everywhere in the library. */
const MAX_RANK = 8;
const MAX_DIMENSION = 2 ** 32 - 1;

interface TypeFact {
  /** Third byte of the file. */
  readonly code: number;
  /** Bytes an element. */
  readonly size: number;
}

const types: { readonly [T in IdxType]: TypeFact } = {
  uint8: { code: 0x08, size: 1 },
  int8: { code: 0x09, size: 1 },
  int16: { code: 0x0b, size: 2 },
  int32: { code: 0x0c, size: 4 },
  float32: { code: 0x0d, size: 4 },
  float64: { code: 0x0e, size: 8 },
};

const typeNames = Object.keys(types) as IdxType[];

const hex = (value: number) => `0x${value.toString(16).padStart(2, '0')}`;

/** The error for bytes that are not the start of an IDX file. */
function notIdx(bytes: Uint8Array): NablaError {
  const start = Array.from(bytes.subarray(0, 4), hex).join(' ');
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    return new NablaError(
      'idx',
      `the bytes are gzip-compressed, got ${start}, expected 0x00 0x00; unpack them first`,
    );
  }
  return new NablaError(
    'idx',
    `not an IDX file, got ${start} at its start, expected 0x00 0x00; check the file`,
  );
}

/** Type and shape of a header that has been checked, and where its data begin. */
export function readHeader(bytes: Uint8Array): { dtype: IdxType; shape: number[]; headerBytes: number } {
  if (bytes.length < 4) {
    throw new NablaError(
      'idx',
      `cut short, got ${bytes.length} bytes, expected a header of at least 4; check the file`,
    );
  }
  if (bytes[0] !== 0 || bytes[1] !== 0) throw notIdx(bytes);
  const code = bytes[2]!;
  const dtype = typeNames.find((name) => types[name].code === code);
  if (dtype === undefined) {
    const known = typeNames.map((name) => `${hex(types[name].code)} (${name})`).join(', ');
    throw new NablaError(
      'idx',
      `unknown element type, got ${hex(code)}, expected one of ${known}; check the file`,
    );
  }
  const rank = bytes[3]!;
  if (rank < 1 || rank > MAX_RANK) {
    throw new NablaError('idx', `got ${rank} dimensions, expected 1 to ${MAX_RANK}; check the file`);
  }
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) {
    const wanted = `expected ${headerBytes} for a header of ${rank} dimensions`;
    throw new NablaError('idx', `cut short, got ${bytes.length} bytes, ${wanted}; fetch the file again`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  return { dtype, shape, headerBytes };
}

/** Bytes an element of a type takes in the file. */
export const idxElementBytes = (dtype: IdxType) => types[dtype].size;

/** Elements of a shape: inexact above 2^53, never infinite (8 dimensions below 2^32). */
const elements = (shape: readonly number[]) => shape.reduce((product, dimension) => product * dimension, 1);

/** Refuses zero dimensions and, before anything is allocated, a payload that is not exactly what the shape says. */
function checkPayload(shape: readonly number[], size: number, got: number): void {
  if (shape.includes(0)) {
    throw new NablaError(
      'idx',
      `a dimension is zero, got shape ${describe(shape)}, expected at least 1; check the file`,
    );
  }
  const expected = elements(shape) * size;
  if (got === expected) return;
  const what = got < expected ? 'cut short' : 'bytes after the end';
  const wanted = Number.isSafeInteger(expected) ? `${expected}` : 'more than 2^53';
  const remedy = got < expected ? 'fetch the file again' : 'check the file';
  throw new NablaError(
    'idx',
    `${what}, got ${got} bytes of data, expected ${wanted} for shape ${describe(shape)}; ${remedy}`,
  );
}

/**
 * Reads an IDX file. Nothing is allocated before the header has been checked against the length of `bytes`.
 *
 * @param bytes the whole file, unpacked (not gzip)
 * @returns element type, shape and the elements in a typed array of their own: uint8 `Uint8Array`, int8 `Int8Array`,
 *   int16 `Int16Array`, int32 `Int32Array`, float32 `Float32Array`, float64 `Float64Array`
 * @throws NablaError when the bytes are not IDX, end early, go on after the end, or have no or more than 8 dimensions
 *   or a dimension of zero
 *
 * Format: http://yann.lecun.com/exdb/mnist/ ("The IDX file format").
 */
export function parseIdx(bytes: Uint8Array): IdxArray {
  const { dtype, shape, headerBytes } = readHeader(bytes);
  checkPayload(shape, types[dtype].size, bytes.length - headerBytes);
  const count = elements(shape);
  const view = new DataView(bytes.buffer, bytes.byteOffset + headerBytes);
  switch (dtype) {
    case 'uint8':
      // The constructor copies; `slice` of a Node Buffer would not.
      return { dtype, shape, data: new Uint8Array(bytes.subarray(headerBytes)) };
    case 'int8':
      return { dtype, shape, data: new Int8Array(new Uint8Array(bytes.subarray(headerBytes)).buffer) };
    case 'int16': {
      const data = new Int16Array(count);
      for (let i = 0; i < count; i++) data[i] = view.getInt16(2 * i);
      return { dtype, shape, data };
    }
    case 'int32': {
      const data = new Int32Array(count);
      for (let i = 0; i < count; i++) data[i] = view.getInt32(4 * i);
      return { dtype, shape, data };
    }
    case 'float32': {
      const data = new Float32Array(count);
      for (let i = 0; i < count; i++) data[i] = view.getFloat32(4 * i);
      return { dtype, shape, data };
    }
    case 'float64': {
      const data = new Float64Array(count);
      for (let i = 0; i < count; i++) data[i] = view.getFloat64(8 * i);
      return { dtype, shape, data };
    }
  }
}

/**
 * Writes an IDX file into memory; {@link parseIdx} gives the same array back.
 *
 * @throws NablaError when the shape has no or more than 8 dimensions, a dimension that is no integer in [1, 2^32), or
 *   does not have as many elements as `data`
 */
export function encodeIdx(array: IdxArray): Uint8Array {
  const { dtype, shape, data } = array;
  const { code, size } = types[dtype];
  if (shape.length < 1 || shape.length > MAX_RANK) {
    throw new NablaError(
      'encodeIdx',
      `got ${shape.length} dimensions, expected 1 to ${MAX_RANK}; reshape the array`,
    );
  }
  if (!shape.every((n) => Number.isInteger(n) && n >= 1 && n <= MAX_DIMENSION)) {
    throw new NablaError(
      'encodeIdx',
      `got shape ${describe(shape)}, expected integers in [1, 2^32); check the shape`,
    );
  }
  if (elements(shape) !== data.length) {
    const wanted = `expected ${elements(shape)} for shape ${describe(shape)}`;
    throw new NablaError('encodeIdx', `got ${data.length} elements, ${wanted}; check the shape`);
  }
  const headerBytes = 4 + 4 * shape.length;
  const bytes = new Uint8Array(headerBytes + data.length * size);
  const view = new DataView(bytes.buffer);
  bytes[2] = code;
  bytes[3] = shape.length;
  shape.forEach((dimension, axis) => {
    view.setUint32(4 + 4 * axis, dimension);
  });
  switch (dtype) {
    case 'uint8':
    case 'int8':
      bytes.set(data, headerBytes);
      break;
    case 'int16':
      data.forEach((value, i) => {
        view.setInt16(headerBytes + 2 * i, value);
      });
      break;
    case 'int32':
      data.forEach((value, i) => {
        view.setInt32(headerBytes + 4 * i, value);
      });
      break;
    case 'float32':
      data.forEach((value, i) => {
        view.setFloat32(headerBytes + 4 * i, value);
      });
      break;
    case 'float64':
      data.forEach((value, i) => {
        view.setFloat64(headerBytes + 8 * i, value);
      });
      break;
  }
  return bytes;
}
