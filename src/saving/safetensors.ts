// The safetensors format: tensors by name in one file, after a JSON header; written, and read with every length checked first.
import { NablaError } from '../errors.ts';
import { fromHalves } from '../halves.ts';
import {
  elementBytes,
  type Header,
  type HeaderEntry,
  headerLength,
  maxHeaderBytes,
  parseHeader,
  type SafetensorsDType,
} from './header.ts';

export type { SafetensorsDType } from './header.ts';

/** A tensor of a safetensors file. */
export interface SafetensorsTensor {
  /** The type of its elements, as the format names it. */
  readonly dtype: SafetensorsDType;
  /** Its dimensions. */
  readonly shape: readonly number[];
  /** Its bytes, little-endian; a view of the file's where there is one. */
  readonly data: Uint8Array;
}

/** What a safetensors file holds. */
export interface Safetensors {
  /** Strings by name, as the writer left them. */
  readonly metadata: ReadonlyMap<string, string>;
  /** The tensors by name. */
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
}

/** Bytes that can be read in pieces, such as a file. */
export interface ByteSource {
  /** What messages call it. */
  readonly name: string;
  /** How many bytes there are. */
  readonly size: number;
  /** The bytes from `begin` up to `end`. */
  read(begin: number, end: number): Promise<Uint8Array>;
}

/**
 * The tensors of a safetensors file in memory. They are views of `bytes`.
 *
 * @throws {NablaError} when the bytes are truncated, altered or no such file.
 * @example
 * const { tensors } = parseSafetensors(encodeSafetensors({ w: { dtype: 'F32', shape: [2], data: new Float32Array([1, 2]) } }));
 * tensors.get('w')!.shape; // [2]
 */
export function parseSafetensors(bytes: Uint8Array, where = 'safetensors'): Safetensors {
  if (!(bytes instanceof Uint8Array)) {
    throw new NablaError(where, `got ${String(bytes)}, expected a Uint8Array with the bytes of the file`);
  }
  const length = headerLength(where, bytes, bytes.length);
  const header = parseHeader(where, bytes.subarray(8, 8 + length), bytes.length - 8 - length);
  return contents(header, bytes.subarray(8 + length));
}

/** The same from a source that is read in pieces: the header first, the data only when the header fits. */
export async function readSafetensors(source: ByteSource): Promise<Safetensors> {
  const { name, size } = source;
  const length = headerLength(name, await source.read(0, Math.min(8, size)), size);
  const header = parseHeader(name, await source.read(8, 8 + length), size - 8 - length);
  return contents(header, await source.read(8 + length, size));
}

function contents({ metadata, entries }: Header, data: Uint8Array): Safetensors {
  const view = ({ dtype, shape, begin, end }: HeaderEntry) => ({
    dtype,
    shape,
    data: data.subarray(begin, end),
  });
  return { metadata, tensors: new Map([...entries].map(([name, entry]) => [name, view(entry)])) };
}

/** A tensor to be written: its data are an array of any kind, the bytes of which are taken as they lie in memory. */
export interface SafetensorsInput {
  /** The type of its elements, as the format names it. */
  readonly dtype: SafetensorsDType;
  /** Its dimensions. */
  readonly shape: readonly number[];
  /** Its elements, in the machine's own form; their bytes are written as they are. */
  readonly data: ArrayBufferView;
}

/**
 * The bytes of a safetensors file with these tensors and strings, which Python's `safetensors` reads too.
 *
 * @throws {NablaError} when the data do not fit the shape.
 * @example
 * const bytes = encodeSafetensors({ w: { dtype: 'F32', shape: [2], data: new Float32Array([1, 2]) } }, { author: 'me' });
 */
export function encodeSafetensors(
  tensors: Readonly<Record<string, SafetensorsInput>> | ReadonlyMap<string, SafetensorsInput>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  return concatenate(safetensorsParts(entriesOf(tensors), metadata));
}

/** The file in parts that follow one another, so that large tensors need no second copy. */
export function safetensorsParts(
  tensors: readonly (readonly [string, SafetensorsInput])[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array[] {
  // Wide elements first, as the reference implementation does: every tensor is aligned to its elements then.
  const sorted = tensors.toSorted(([, a], [, b]) => elementBytes[b.dtype] - elementBytes[a.dtype]);
  const parts: Uint8Array[] = [];
  const fields: string[] = [];
  if (Object.keys(metadata).length > 0) fields.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let offset = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    const expected = shape.reduce((product, dim) => product * dim, elementBytes[dtype]);
    if (expected !== data.byteLength) {
      throw new NablaError(
        'safetensors',
        `tensor '${name}' does not fit its shape, got ${data.byteLength} bytes, expected ${expected} for ${dtype}[${shape.join(', ')}]`,
      );
    }
    if (name === '__metadata__')
      throw new NablaError('safetensors', `'${name}' cannot be the name of a tensor`);
    const end = offset + data.byteLength;
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`);
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    offset = end;
  }
  const text = new TextEncoder().encode(`{${fields.join(',')}}`);
  // Spaces up to a multiple of eight, so that the data are aligned in the file.
  const length = Math.ceil(text.length / 8) * 8;
  if (length > maxHeaderBytes) {
    throw new NablaError(
      'safetensors',
      `the header is too long, got ${length} bytes, expected at most ${maxHeaderBytes}`,
    );
  }
  const start = new Uint8Array(8 + length).fill(32, 8);
  new DataView(start.buffer).setBigUint64(0, BigInt(length), true);
  start.set(text, 8);
  return [start, ...parts];
}

function entriesOf(
  tensors: Readonly<Record<string, SafetensorsInput>> | ReadonlyMap<string, SafetensorsInput>,
): [string, SafetensorsInput][] {
  return tensors instanceof Map ? [...tensors] : Object.entries(tensors);
}

/** One array of the bytes of several. */
export function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** The numbers of a tensor of any floating-point or integer dtype as float32; a copy. */
export function toFloat32(where: string, { dtype, data }: SafetensorsTensor): Float32Array<ArrayBuffer> {
  // A copy of its own buffer; a Buffer's slice() would be none.
  const bytes = new Uint8Array(data);
  switch (dtype) {
    case 'F32':
      return new Float32Array(bytes.buffer);
    case 'F64':
      return Float32Array.from(new Float64Array(bytes.buffer));
    case 'BF16':
      return fromHalves(new Uint16Array(bytes.buffer), 'bfloat16');
    case 'F16':
      return fromHalves(new Uint16Array(bytes.buffer), 'float16');
    case 'I32':
      return Float32Array.from(new Int32Array(bytes.buffer));
    case 'U8':
    case 'BOOL':
      return Float32Array.from(bytes);
    default:
      throw new NablaError(
        where,
        `cannot make float32 of it, got ${dtype}, expected F32, F64, F16, BF16, I32, U8 or BOOL`,
      );
  }
}
