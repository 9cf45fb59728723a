// Sources of data sets that need no files: tensors, arrays, generators, iterators, ranges; and zip.
import { describe, NablaError } from '../errors.ts';
import type { NumericArray } from '../ops/creation.ts';
import { Tensor } from '../tensor.ts';
import { checkInteger, Dataset, type DatasetFacts, listed } from './dataset.ts';
import { asNdArray, type NdArray, type NestedNumbers, rowOf } from './element.ts';
import { Samples } from './samples.ts';
import { drained, zipped } from './stages.ts';

/** Arrays whose first dimension counts samples. */
export type Slices = Tensor | Samples | NdArray | NumericArray | readonly NestedNumbers[];

/** What a row of them is. */
export type Row = number | NdArray;

/** What the rows of arrays, tuples and objects of arrays are. */
export type Rows<T> = T extends Tensor | Samples | NdArray | NumericArray | readonly (number | boolean)[]
  ? Row
  : { -readonly [K in keyof T]: Row };

function rowsOf(where: string, source: unknown): { count: number; row: (index: number) => Row } {
  const array = source instanceof Samples ? presented(source) : asNdArray(where, source);
  if (array === undefined || array.shape.length === 0) {
    throw new NablaError(where, `got ${describe(source)}, expected tensors or arrays with one sample a row`);
  }
  return { count: array.shape[0]!, row: (index) => rowOf(array, index) };
}

/** Samples as a model sees them, in JavaScript's memory. */
function presented(source: Samples): NdArray {
  const { scale, shift, oneHot } = source.options;
  const numbers = source.tensor.dataSync();
  if (oneHot !== undefined) {
    const data = new Float32Array(numbers.length * oneHot);
    numbers.forEach((label, i) => {
      if (label >= 0 && label < oneHot) data[i * oneHot + label] = 1;
    });
    return { dtype: 'float32', shape: source.shape, data };
  }
  if (scale === undefined && shift === undefined) {
    return { dtype: source.dtype, shape: source.shape, data: numbers };
  }
  const factor = Math.fround(scale ?? 1);
  const data = Float32Array.from(numbers, (value) => Math.fround(value * factor) + (shift ?? 0));
  return { dtype: 'float32', shape: source.shape, data };
}

/**
 * The rows of tensors or arrays, one element each: of one array its rows, of a tuple `[x, y]` pairs of rows, of an object `{ a, b }` objects. Rows of vectors
 * are numbers, others arrays. Data of tensors is copied at once.
 *
 * @throws {NablaError} when the arrays differ in their first dimension.
 * @example data.fromTensorSlices([tensor([[1, 2], [3, 4]]), [0, 1]]) // two elements [x, y]
 */
export function fromTensorSlices<
  const T extends Slices | readonly Slices[] | Readonly<Record<string, Slices>>,
>(source: T): Dataset<Rows<T>> {
  const where = 'data.fromTensorSlices';
  const names = partsOf(source);
  if (names === undefined) {
    const { count, row } = rowsOf(where, source);
    return rows(count, row) as Dataset<Rows<T>>;
  }
  const parts = names.map(
    (name) => [name, rowsOf(where, (source as Record<string, unknown>)[name])] as const,
  );
  const [first] = parts;
  if (first === undefined) throw new NablaError(where, 'got nothing, expected at least one array');
  for (const [name, { count }] of parts) {
    if (count === first[1].count) continue;
    throw new NablaError(
      where,
      `part ${name} has ${count} rows, expected ${first[1].count} as part ${first[0]}`,
    );
  }
  const tuple = Array.isArray(source);
  return rows(first[1].count, (i) => {
    const row = parts.map(([name, part]) => [name, part.row(i)] as const);
    return (tuple ? row.map(([, value]) => value) : Object.fromEntries(row)) as Rows<T>;
  });
}

function rows<T>(count: number, row: (index: number) => T): Dataset<T> {
  const open = async function* () {
    for (let i = 0; i < count; i++) yield row(i);
  };
  return new Dataset(open, { size: count });
}

/** Names of the parts of a tuple or an object; undefined where it is one array. */
function partsOf(source: unknown): string[] | undefined {
  if (source instanceof Tensor || source instanceof Samples) return undefined;
  if (!Array.isArray(source))
    return asNdArray('data', source) === undefined ? Object.keys(Object(source)) : undefined;
  // `[x, y]` of nested arrays looks like numbers too: it is a tuple, as everywhere at the outermost place.
  return source.every((part) => typeof part === 'object' && part !== null) ? Object.keys(source) : undefined;
}

/**
 * One element: the tensors or arrays themselves, as in tf.data. For their rows see {@link fromTensorSlices}.
 *
 * @example data.fromTensors([x, y]).repeat(10)
 */
export function fromTensors<const T>(element: T): Dataset<T> {
  return new Dataset(listed([element]), { size: 1 });
}

/**
 * The items of an array, one element each.
 *
 * @example data.fromArray([{ text: 'good', label: 1 }, { text: 'bad', label: 0 }])
 */
export function fromArray<T extends readonly [unknown, ...unknown[]]>(items: readonly T[]): Dataset<T>;
export function fromArray<T>(items: readonly T[]): Dataset<T>;
export function fromArray<T>(items: readonly T[]): Dataset<T> {
  if (Array.isArray(items)) return new Dataset(listed(items), { size: items.length });
  throw new NablaError('data.fromArray', `got ${describe(items)}, expected an array of elements`);
}

/** The integers from `start` up to but without `stop`. With one argument, from 0. */
export function range(start: number, stop?: number, step = 1): Dataset<number> {
  const [first, end] = stop === undefined ? [0, start] : [start, stop];
  for (const [name, value] of Object.entries({ start: first, stop: end }))
    checkInteger('data.range', name, value, Number.MIN_SAFE_INTEGER);
  checkInteger('data.range', 'step', step);
  return rows(Math.max(0, Math.ceil((end - first) / step)), (i) => first + i * step);
}

/**
 * What a generator yields; the function is called anew for every pass, and may be async.
 *
 * @param facts `batched: true` where it yields batches; `size` where the number of elements is known
 * @example data.fromGenerator(function* () { for (let i = 0; i < 100; i++) yield [[i], 2 * i] as const; })
 */
export function fromGenerator<T>(
  generator: () => Iterable<T> | AsyncIterable<T>,
  facts: DatasetFacts = {},
): Dataset<T> {
  const where = 'data.fromGenerator';
  if (typeof generator !== 'function') {
    throw new NablaError(
      where,
      `got ${describe(generator)}, expected a generator function, not what it gives`,
    );
  }
  return new Dataset((pass) => drained(where, iterableOf(where, generator()), pass), facts);
}

/**
 * What an async iterator gives: a stream, a queue, rows of a database. It can be passed over once; give a function that opens it for more passes.
 *
 * @param facts `batched: true` where it gives batches; `size` where the number of elements is known
 * @example data.fromAsyncIterator(() => database.rows('select * from flowers'))
 */
export function fromAsyncIterator<T>(
  source: AsyncIterable<T> | AsyncIterator<T> | (() => AsyncIterable<T> | AsyncIterator<T>),
  facts: DatasetFacts = {},
): Dataset<T> {
  const where = 'data.fromAsyncIterator';
  if (typeof source === 'function') {
    return new Dataset((pass) => drained(where, iterableOf<T>(where, source()), pass), facts);
  }
  const once = iterableOf<T>(where, source);
  let used = false;
  return new Dataset((pass) => {
    if (used) {
      throw new NablaError(
        where,
        'the iterator has been read already, expected one pass; give a function that opens it, or cache() its elements',
      );
    }
    used = true;
    return drained(where, once, pass);
  }, facts);
}

function iterableOf<T>(where: string, source: unknown): Iterable<T> | AsyncIterable<T> {
  if (typeof source === 'object' && source !== null) {
    if (Symbol.asyncIterator in source || Symbol.iterator in source) return source as AsyncIterable<T>;
    const iterator = source as AsyncIterator<T>;
    if (typeof iterator.next === 'function') return { [Symbol.asyncIterator]: () => iterator };
  }
  throw new NablaError(where, `got ${describe(source)}, expected something to iterate over`);
}

/** What the elements of a data set are. */
export type ElementOf<D> = D extends Dataset<infer T> ? T : never;

/**
 * Elements of several data sets side by side, until the shortest ends: of a tuple of sets tuples, of an object of sets objects.
 *
 * @example data.zip([data.range(3), data.fromArray(['a', 'b', 'c'])]) // elements [0, 'a'] and so on
 */
export function zip<const D extends readonly Dataset<unknown>[] | Readonly<Record<string, Dataset<unknown>>>>(
  sets: D,
): Dataset<{ -readonly [K in keyof D]: ElementOf<D[K]> }> {
  const parts: Dataset<unknown>[] = Object.values(Object(sets));
  const names = Object.keys(Object(sets));
  const wrong = parts.find((part) => !(part instanceof Dataset));
  if (wrong !== undefined || parts.length === 0) {
    throw new NablaError('data.zip', `got ${describe(wrong)}, expected a tuple or an object of data sets`);
  }
  const join = Array.isArray(sets)
    ? (values: unknown[]) => values
    : (values: unknown[]) => Object.fromEntries(values.map((value, i) => [names[i], value]));
  const sizes = parts.map(({ size }) => size);
  const known = sizes.every((size) => size !== undefined) ? Math.min(...(sizes as number[])) : undefined;
  const opens = parts.map(({ open }) => open);
  const facts = { size: known, batched: parts.every(({ batched }) => batched) };
  return new Dataset(zipped(opens, join), facts) as never;
}
