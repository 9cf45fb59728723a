// Elements of data sets: numbers, text and arrays in JavaScript's memory, in tuples and objects; and how they are stacked into batches.
import { type DType, isDType, isHalf, newArray } from '../dtype.ts';
import { describe, NablaError } from '../errors.ts';
import type { NumericArray } from '../ops/creation.ts';
import { sameShape, showShape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';

/** An array in JavaScript's memory: what data sets hold, batch and hand to models. A plain object, so that it crosses to worker threads. */
export interface NdArray {
  /** The type of its elements. */
  readonly dtype: DType;
  /** Its dimensions, the slowest first. */
  readonly shape: readonly number[];
  /** Row-major; `Float32Array` for float32, `Int32Array` for int32, `Uint8Array` for uint8 and bool. */
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** Numbers in nested arrays of one length each. */
export type NestedNumbers = number | boolean | readonly NestedNumbers[];

/** What a part of an element becomes in a batch. */
export type BatchedPart<T> = T extends number | boolean | NumericArray | NdArray | Tensor
  ? NdArray
  : T extends string
    ? string[]
    : T extends readonly NestedNumbers[]
      ? NdArray
      : Batched<T>;

/** What elements become in a batch: arrays with one more dimension in front, texts a list; tuples and objects keep their form. */
export type Batched<T> = T extends number | boolean | NumericArray | NdArray | Tensor
  ? NdArray
  : T extends string
    ? string[]
    : { [K in keyof T]: BatchedPart<T[K]> };

// JavaScript has no array whose bytes are bfloat16 or float16.
const isHostDType = (dtype: string) => isDType(dtype) && !isHalf(dtype);

/** Is it an array as data sets hold them? */
export function isNdArray(value: unknown): value is NdArray {
  if (typeof value !== 'object' || value === null) return false;
  const { data, shape, dtype } = value as Partial<NdArray>;
  return Array.isArray(shape) && typeof dtype === 'string' && isHostDType(dtype) && ArrayBuffer.isView(data);
}

/** An array over `data`, which is not copied. Throws when it does not fill the shape. */
export function ndArray(
  where: string,
  data: NdArray['data'],
  shape: readonly number[],
  dtype?: DType,
): NdArray {
  if (sizeOf(shape) !== data.length) {
    throw new NablaError(
      where,
      `the data do not fill the shape, got ${data.length} numbers, expected ${sizeOf(shape)} for ${showShape(shape)}`,
    );
  }
  return { dtype: dtype ?? dtypeOf(data), shape, data };
}

function dtypeOf(data: NdArray['data']): DType {
  if (data instanceof Float32Array) return 'float32';
  return data instanceof Int32Array ? 'int32' : 'uint8';
}

/** A typed array in one of the forms that backends hold. */
export function asHeld(values: NumericArray): NdArray['data'] {
  if (values instanceof Float32Array || values instanceof Int32Array) return values;
  // Also makes plain bytes of a Node.js Buffer.
  if (values instanceof Uint8Array || values instanceof Uint8ClampedArray)
    return new Uint8Array(values.buffer, values.byteOffset, values.length);
  return values instanceof Float64Array ? Float32Array.from(values) : Int32Array.from(values);
}

/** Are all items, however deep, numbers or booleans? An empty array is. */
function isNumeric(items: readonly unknown[]): items is readonly NestedNumbers[] {
  return items.every((item) =>
    Array.isArray(item) ? isNumeric(item) : typeof item === 'number' || typeof item === 'boolean',
  );
}

function fromNested(where: string, items: readonly NestedNumbers[]): NdArray {
  const shape: number[] = [];
  for (let level: NestedNumbers = items; Array.isArray(level); level = level[0] as NestedNumbers) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  const flat = (items as readonly unknown[]).flat(shape.length - 1) as (number | boolean)[];
  const even = (item: NestedNumbers, depth: number): boolean =>
    Array.isArray(item)
      ? item.length === shape[depth] && item.every((inner) => even(inner, depth + 1))
      : depth === shape.length;
  if (!even(items, 0)) throw new NablaError(where, 'nested arrays differ in length, expected one shape');
  const dtype = flat.length > 0 && typeof flat[0] === 'boolean' ? 'bool' : 'float32';
  const data = newArray(dtype, flat.length);
  for (let i = 0; i < flat.length; i++) data[i] = Number(flat[i]);
  return { dtype, shape, data };
}

/**
 * A part of an element as an array: numbers and booleans are scalars, typed arrays vectors, nested arrays of numbers what they look like; tensors are
 * copied out of backend memory. Undefined for anything else.
 */
export function asNdArray(where: string, value: unknown): NdArray | undefined {
  if (typeof value === 'number') return { dtype: 'float32', shape: [], data: Float32Array.of(value) };
  if (typeof value === 'boolean') return { dtype: 'bool', shape: [], data: Uint8Array.of(Number(value)) };
  if (isNdArray(value)) return value;
  if (value instanceof Tensor) {
    return { dtype: value.dtype, shape: value.shape, data: value.dataSync() };
  }
  if (ArrayBuffer.isView(value)) {
    if (value instanceof DataView || value instanceof BigInt64Array || value instanceof BigUint64Array) {
      throw new NablaError(
        where,
        `unsupported array, got ${describe(value)}, expected float, int or byte arrays`,
      );
    }
    return ndArray(where, asHeld(value as NumericArray), [(value as NumericArray).length]);
  }
  if (Array.isArray(value) && isNumeric(value)) return fromNested(where, value);
  return undefined;
}

/** A plain object: one that holds parts by name, not an array. */
function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || isNdArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * Walks elements of one form side by side and joins their parts. The outermost JavaScript array is always a tuple; further in, arrays of nothing but
 * numbers are numbers.
 */
function combine(
  where: string,
  elements: readonly unknown[],
  join: (parts: readonly unknown[], name: string) => unknown,
  name = '',
): unknown {
  const [first] = elements;
  const same = (ok: (value: unknown) => boolean, expected: string) => {
    const odd = elements.findIndex((element) => !ok(element));
    if (odd < 0) return;
    const part = name === '' ? '' : ` of its part ${name}`;
    throw new NablaError(
      where,
      `elements of a batch differ in form, got ${describe(elements[odd])}${part}, expected ${expected} as before it`,
    );
  };
  const at = (key: string | number) => (name === '' ? String(key) : `${name}.${key}`);
  if (Array.isArray(first) && (name === '' || !isNumeric(first))) {
    const { length } = first;
    same((value) => Array.isArray(value) && value.length === length, `a tuple of ${length}`);
    return first.map((_, i) =>
      combine(
        where,
        elements.map((element) => (element as unknown[])[i]),
        join,
        at(i),
      ),
    );
  }
  if (isRecord(first)) {
    const keys = Object.keys(first);
    const named = `an object with ${keys.join(', ')}`;
    same((value) => isRecord(value) && keys.every((key) => Object.hasOwn(value, key)), named);
    return Object.fromEntries(
      keys.map((key) => [
        key,
        combine(
          where,
          elements.map((element) => (element as Record<string, unknown>)[key]),
          join,
          at(key),
        ),
      ]),
    );
  }
  return join(elements, name);
}

const partName = (name: string) => (name === '' ? '' : ` (part ${name})`);

function arraysOf(where: string, parts: readonly unknown[], name: string): NdArray[] {
  return parts.map((part) => {
    const array = asNdArray(where, part);
    if (array !== undefined) return array;
    throw new NablaError(
      where,
      `cannot be batched, got ${describe(part)}${partName(name)}, expected numbers, arrays or text; map() it to those`,
    );
  });
}

function stackNumbers(parts: readonly unknown[]): NdArray | undefined {
  const data = new Float32Array(parts.length);
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (typeof part !== 'number') return undefined;
    data[i] = part;
  }
  return { dtype: 'float32', shape: [parts.length], data };
}

function stackParts(where: string, parts: readonly unknown[], name: string, first: number): unknown {
  if (typeof parts[0] === 'string' && parts.every((part) => typeof part === 'string')) return [...parts];
  const numbers = stackNumbers(parts);
  if (numbers !== undefined) return numbers;
  const arrays = arraysOf(where, parts, name);
  const { dtype, shape } = arrays[0]!;
  const size = sizeOf(shape);
  const data = newArray(dtype, size * arrays.length);
  arrays.forEach((array, i) => {
    if (!sameShape(array.shape, shape) || array.dtype !== dtype) {
      throw new NablaError(
        where,
        `element ${first + i} does not fit into its batch${partName(name)}, got ${array.dtype}${showShape(array.shape)}, ` +
          `expected ${dtype}${showShape(shape)}; use paddedBatch(), or map() all to one shape`,
      );
    }
    data.set(array.data, i * size);
  });
  return { dtype, shape: [arrays.length, ...shape], data } satisfies NdArray;
}

/** Elements stacked into a batch; `first` is the number of the first one, for messages. */
export function stack<T>(where: string, elements: readonly T[], first: number): Batched<T> {
  return combine(where, elements, (parts, name) => stackParts(where, parts, name, first)) as Batched<T>;
}

function padParts(
  where: string,
  parts: readonly unknown[],
  name: string,
  wanted: readonly (number | undefined)[] | undefined,
  value: number,
): unknown {
  if (typeof parts[0] === 'string') return stackParts(where, parts, name, 0);
  const arrays = arraysOf(where, parts, name);
  const { dtype, shape } = arrays[0]!;
  const longest = shape.map((_, axis) => Math.max(...arrays.map((array) => array.shape[axis] ?? 0)));
  const target = wanted === undefined ? longest : wanted.map((n, axis) => n ?? longest[axis]!);
  const data = newArray(dtype, sizeOf(target) * arrays.length).fill(value);
  arrays.forEach((array, i) => {
    const fits = array.shape.length === target.length && array.shape.every((n, axis) => n <= target[axis]!);
    if (!fits || array.dtype !== dtype) {
      throw new NablaError(
        where,
        `an element does not fit${partName(name)}, got ${array.dtype}${showShape(array.shape)}, ` +
          `expected ${dtype} of at most ${showShape(target)}`,
      );
    }
    copyInto(data, i * sizeOf(target), target, array);
  });
  return { dtype, shape: [arrays.length, ...target], data } satisfies NdArray;
}

/** Copies a smaller array into the corner of a larger one, row by row. */
function copyInto(data: NdArray['data'], offset: number, target: readonly number[], array: NdArray): void {
  const walk = (axis: number, from: number, to: number): void => {
    if (axis >= target.length - 1) {
      const length = array.shape[axis] ?? 1;
      data.set(array.data.subarray(from, from + length), to);
      return;
    }
    const fromStride = sizeOf(array.shape.slice(axis + 1));
    const toStride = sizeOf(target.slice(axis + 1));
    for (let i = 0; i < array.shape[axis]!; i++) walk(axis + 1, from + i * fromStride, to + i * toStride);
  };
  walk(0, 0, offset);
}

/** How {@link padStack} pads: shapes and values by the part's name in the element (`'0'`, `'1'`, `'x'`), or for all parts. */
export interface Padding {
  readonly shapeOf: (name: string) => readonly (number | undefined)[] | undefined;
  readonly valueOf: (name: string) => number;
}

/** Elements padded at the end of each dimension to one shape, and stacked. */
export function padStack<T>(where: string, elements: readonly T[], padding: Padding): Batched<T> {
  return combine(where, elements, (parts, name) =>
    padParts(where, parts, name, padding.shapeOf(name), padding.valueOf(name)),
  ) as Batched<T>;
}

/** Row `index` of an array: a number for a vector, a view of the same memory otherwise. */
export function rowOf({ dtype, shape, data }: NdArray, index: number): NdArray | number {
  if (shape.length === 1) return data[index]!;
  const rest = shape.slice(1);
  const size = sizeOf(rest);
  return { dtype, shape: rest, data: data.subarray(index * size, (index + 1) * size) };
}

/** The elements of a batch, one after another. */
export function unstack(where: string, batch: unknown): unknown[] {
  let rows: number | undefined;
  const count = (n: number) => {
    if (rows !== undefined && rows !== n) {
      throw new NablaError(where, `parts differ in their first dimension, got ${n}, expected ${rows}`);
    }
    rows = n;
  };
  const rowsOf = (part: unknown, top: boolean): ((index: number) => unknown) => {
    if (Array.isArray(part) && part.length > 0 && part.every((item) => typeof item === 'string')) {
      count(part.length);
      return (i) => part[i];
    }
    if (Array.isArray(part) && (top || !isNumeric(part))) {
      const inner = part.map((item) => rowsOf(item, false));
      return (i) => inner.map((row) => row(i));
    }
    if (isRecord(part)) {
      const inner = Object.entries(part).map(([key, item]) => [key, rowsOf(item, false)] as const);
      return (i) => Object.fromEntries(inner.map(([key, row]) => [key, row(i)]));
    }
    const array = asNdArray(where, part);
    if (array === undefined || array.shape.length === 0) {
      throw new NablaError(
        where,
        `cannot be taken apart, got ${describe(part)}, expected arrays with a batch dimension`,
      );
    }
    count(array.shape[0]!);
    return (i) => rowOf(array, i);
  };
  const row = rowsOf(batch, true);
  return Array.from({ length: rows ?? 0 }, (_, i) => row(i));
}
