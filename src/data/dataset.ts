// Dataset: elements that flow from a source through map, shuffle, batch and their like, anew in every pass.
import { describe, NablaError } from '../errors.ts';
import { hostRandom } from '../ops/random.ts';
import { cached, prefetched, shuffled, windowed } from './buffers.ts';
import { cachedOnDisk } from './disk-cache.ts';
import type { Batched, Padding } from './element.ts';
import { type ParallelMapOptions, parallelMapped } from './parallel.ts';
import { type ElementInfo, type Flow, type Open, Pass } from './pass.ts';
import {
  batched,
  filtered,
  grouped,
  interleaved,
  mapped,
  repeated,
  skipped,
  taken,
  unbatched,
} from './stages.ts';

/** What is known of a data set beforehand. */
export interface DatasetFacts {
  /** Number of elements; `Infinity` without end, undefined if it is not known. */
  readonly size?: number | undefined;
  /** Are its elements batches: arrays with a batch dimension in front? */
  readonly batched?: boolean;
}

/** Options of {@link Dataset.map}. */
export interface MapOptions {
  /** So many calls of an async function are under way at a time; the order is kept. Default 1. */
  concurrency?: number;
  /** Seed of `info.seed`. Default: from `setSeed`. */
  seed?: number;
}

/** Options of {@link Dataset.shuffle}. */
export interface ShuffleOptions {
  /** Default: from `setSeed`. */
  seed?: number;
  /** Another order in every pass. Default true. */
  reshuffleEachIteration?: boolean;
}

/** Options of {@link Dataset.batch}. */
export interface BatchOptions {
  /** Leave the last batch out if it is not full. Default false. */
  dropRemainder?: boolean;
}

/** Options of {@link Dataset.paddedBatch}. A value for all parts, or by the part's name in the element: `'0'` and `'1'` in `[x, y]`, `'x'` in `{ x }`. */
export interface PaddedBatchOptions extends BatchOptions {
  /** Shape to pad to; `undefined` for a dimension's longest. Default: the longest of the batch in every dimension. */
  paddedShapes?: readonly (number | undefined)[] | Readonly<Record<string, readonly (number | undefined)[]>>;
  /** What is filled in. Default 0. */
  paddingValues?: number | Readonly<Record<string, number>>;
}

/** Options of {@link Dataset.window}. */
export interface WindowOptions {
  /** Elements from the start of one window to the start of the next. Default: the size. */
  shift?: number;
  /** Elements from one element of a window to the next. Default 1. */
  stride?: number;
  /** Leave out windows at the end that are not full. Default false. */
  dropRemainder?: boolean;
}

/** Options of {@link Dataset.interleave}. */
export interface InterleaveOptions {
  /** Data sets that are read in turn. Default 4. */
  cycleLength?: number;
  /** Elements taken from one before it is the next one's turn. Default 1. */
  blockLength?: number;
}

/** @internal Throws unless the number is an integer of at least `least`. */
export function checkInteger(where: string, name: string, value: unknown, least = 1): void {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected an integer >= ${least}`);
}

function checkFunction(where: string, value: unknown): void {
  if (typeof value === 'function') return;
  throw new NablaError(where, `got ${describe(value)}, expected a function of an element`);
}

/** How a source gives its elements stacked: the same batches as `batched(grouped(...))`. */
export type OpenBatches = (batchSize: number, dropRemainder: boolean) => Open<unknown>;

/** One pass over a data set, as `for await` and fit walk it. After an error or `return()` it is at its end. */
export class DatasetIterator<T> implements AsyncIterableIterator<T, void, undefined> {
  private readonly pass: Pass;
  private readonly flow: Flow<T>;

  /** @internal Made by data sets. */
  constructor(open: Open<T>, pass: Pass) {
    this.pass = pass;
    this.flow = open(pass);
  }

  /** The next element; rejects once with the error of a source or a function. */
  async next(): Promise<IteratorResult<T, void>> {
    try {
      const next = await this.flow.next();
      if (next.done) this.pass.end();
      return next;
    } catch (error) {
      const given = this.pass.ended;
      this.pass.end();
      // Whoever ended the pass while it was waiting wants no more elements, and no error.
      if (given) return { done: true, value: undefined };
      throw error;
    }
  }

  /** Ends the pass: files are closed, workers stopped, whatever is being waited for is let go. */
  async return(): Promise<IteratorResult<T, void>> {
    this.pass.end();
    await this.flow.return();
    return { done: true, value: undefined };
  }

  /** It walks itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }
}

/**
 * Elements that are loaded, changed and put together while they are used: tuples such as `[x, y]`, objects, arrays, numbers, text. Every pass begins anew
 * at the source. What it does is determined by the seeds, or by `setSeed`. A data set does nothing until it is iterated, and each method gives a new one.
 *
 * The outermost JavaScript array of an element is a tuple, as in `[x, y]`; arrays of numbers further in are numbers, as in `[[0.5, 1], 0]`.
 *
 * @example
 * const set = data.fromArray([[[0, 0], 0], [[0, 1], 1], [[1, 0], 1], [[1, 1], 0]]).shuffle(4, { seed: 1 }).batch(2);
 * for await (const [x, y] of set) console.log(x.shape, y.data); // [2, 2] and two labels
 */
export class Dataset<T> implements AsyncIterable<T> {
  /** Number of elements; `Infinity` without end, undefined if it is not known before they are counted. */
  readonly size: number | undefined;
  /** Are the elements batches? fit makes batches of those that are not. */
  readonly batched: boolean;
  /** @internal */
  readonly open: Open<T>;
  private readonly openBatches: OpenBatches | undefined;
  private passes = 0;

  /** @internal Made by the functions of `data`, and by operators. A source that has its elements in batches anyway says so by `openBatches`. */
  constructor(open: Open<T>, facts: DatasetFacts = {}, openBatches?: OpenBatches) {
    this.open = open;
    this.openBatches = openBatches;
    this.size = facts.size;
    this.batched = facts.batched ?? false;
  }

  /** A new pass, as `for await` takes it. */
  [Symbol.asyncIterator](): DatasetIterator<T> {
    return this.iterate();
  }

  /** Begins a pass. `iteration` is its number, from which seeded shuffles follow; by default passes are counted. */
  iterate(options: { iteration?: number } = {}): DatasetIterator<T> {
    const iteration = options.iteration ?? this.passes++;
    const random = hostRandom();
    const seed = random.uint32() + (random.uint32() & 0xfffff) * 2 ** 32;
    return new DatasetIterator(this.open, new Pass(iteration, seed));
  }

  /**
   * Each element changed by a function, which may be async. `info` has the element's index and a seed of its own for augmentation. An error names the element.
   *
   * @example set.map(([x, y]) => [x.map((v) => v / 255), y])
   */
  map<const U>(fn: (element: T, info: ElementInfo) => U | Promise<U>, options: MapOptions = {}): Dataset<U> {
    checkFunction('data.map', fn);
    const { concurrency = 1, seed } = options;
    checkInteger('data.map', 'concurrency', concurrency);
    if (seed !== undefined) checkInteger('data.map', 'seed', seed, 0);
    return this.next(mapped(this.open, fn, concurrency, seed));
  }

  /**
   * Each element changed by a function that runs in worker threads: the export `name` of the module at `url`, a function of element and info. The order is
   * kept. Elements and results are copied between threads: numbers, text, typed arrays, plain objects. Results are handed over without a copy where the
   * module has `export const givesAwayResults = true`; it must not use their arrays again. Node.js only.
   *
   * @example set.parallelMap(new URL('./decode.js', import.meta.url), 'decode', { workers: 2 })
   */
  parallelMap<U>(url: URL | string, name: string, options: ParallelMapOptions = {}): Dataset<U> {
    for (const key of ['workers', 'chunkSize'] as const)
      if (options[key] !== undefined) checkInteger('data.parallelMap', key, options[key]);
    if (options.seed !== undefined) checkInteger('data.parallelMap', 'seed', options.seed, 0);
    return this.next(parallelMapped<T, U>(this.open, url, name, options));
  }

  /** The elements for which the function holds. */
  filter(keep: (element: T, index: number) => boolean | Promise<boolean>): Dataset<T> {
    checkFunction('data.filter', keep);
    return new Dataset(filtered(this.open, keep), { batched: this.batched });
  }

  /** `batchSize` elements each as one, with a batch dimension in front. All must have the same shapes. */
  batch(batchSize: number, options: BatchOptions = {}): Dataset<Batched<T>> {
    return this.batches('data.batch', batchSize, options, undefined);
  }

  /**
   * As {@link Dataset.batch}, of elements whose shapes differ: they are padded at the end of their dimensions.
   *
   * @example sentences.paddedBatch(32, { paddedShapes: { 0: [40] }, paddingValues: { 0: -1 } })
   */
  paddedBatch(batchSize: number, options: PaddedBatchOptions = {}): Dataset<Batched<T>> {
    const { paddedShapes, paddingValues = 0 } = options;
    return this.batches('data.paddedBatch', batchSize, options, {
      shapeOf: (name) =>
        Array.isArray(paddedShapes) ? paddedShapes : (paddedShapes as Record<string, []>)?.[name],
      valueOf: (name) => (typeof paddingValues === 'number' ? paddingValues : (paddingValues[name] ?? 0)),
    });
  }

  private batches(where: string, batchSize: number, options: BatchOptions, padding: Padding | undefined) {
    checkInteger(where, 'batchSize', batchSize);
    const { dropRemainder = false } = options;
    const size = this.sized((n) => (dropRemainder ? Math.floor(n / batchSize) : Math.ceil(n / batchSize)));
    const direct = padding === undefined ? this.openBatches?.(batchSize, dropRemainder) : undefined;
    const open = direct ?? batched(grouped(this.open, batchSize, dropRemainder), padding);
    return new Dataset(open as Open<Batched<T>>, { size, batched: true });
  }

  /** The elements of batches, one by one. */
  unbatch<U = unknown>(): Dataset<U> {
    return new Dataset(unbatched(this.open) as Open<U>);
  }

  /**
   * Elements in random order. `bufferSize` of them are held, and one of those is drawn each time: with fewer than all elements the order is only random
   * within their reach. The second argument may be the seed.
   */
  shuffle(bufferSize: number, options: ShuffleOptions | number = {}): Dataset<T> {
    checkInteger('data.shuffle', 'bufferSize', bufferSize);
    const { seed, reshuffleEachIteration = true } = typeof options === 'number' ? { seed: options } : options;
    if (seed !== undefined) checkInteger('data.shuffle', 'seed', seed, 0);
    return this.next(shuffled(this.open, bufferSize, seed, reshuffleEachIteration));
  }

  /** The elements `count` times over; without a count for ever. */
  repeat(count = Number.POSITIVE_INFINITY): Dataset<T> {
    if (count !== Number.POSITIVE_INFINITY) checkInteger('data.repeat', 'count', count, 0);
    // Nothing, however often, is nothing.
    return this.next(
      repeated(this.open, count),
      this.sized((n) => (n === 0 ? 0 : n * count)),
    );
  }

  /** Fetches up to `bufferSize` elements ahead of those that are asked for. Default 2. */
  prefetch(bufferSize = 2): Dataset<T> {
    checkInteger('data.prefetch', 'bufferSize', bufferSize);
    return this.next(prefetched(this.open, bufferSize));
  }

  /** The first `count` elements. */
  take(count: number): Dataset<T> {
    checkInteger('data.take', 'count', count, 0);
    return this.next(
      taken(this.open, count),
      this.sized((n) => Math.min(n, count)),
    );
  }

  /** All but the first `count` elements. */
  skip(count: number): Dataset<T> {
    checkInteger('data.skip', 'count', count, 0);
    return this.next(
      skipped(this.open, count),
      this.sized((n) => Math.max(0, n - count)),
    );
  }

  /**
   * Keeps the elements once a pass has come to its end, and gives those from then on: in memory, or in a file that later runs find too. Shuffle and augment
   * after it, not before. Delete the file when the data change.
   *
   * @param file where they are kept; Node.js only. Default: in memory
   * @throws {NablaError} in the pass, where the file is damaged or no such file, cannot be written, or elements are tensors
   * @example const photos = (await data.imageFolder('photos', { shuffle: false })).cache('photos.cache').shuffle(1000);
   */
  cache(file?: string | URL): Dataset<T> {
    return this.next(file === undefined ? cached(this.open) : cachedOnDisk(this.open, String(file)));
  }

  /** Every `shards`th element, from number `index` on: the share of one of several processes. */
  shard(shards: number, index: number): Dataset<T> {
    checkInteger('data.shard', 'shards', shards);
    checkInteger('data.shard', 'index', index, 0);
    if (index >= shards)
      throw new NablaError('data.shard', `bad index, got ${index}, expected less than ${shards} shards`);
    const open = filtered(this.open, (_, i) => i % shards === index);
    return this.next(
      open,
      this.sized((n) => Math.ceil((n - index) / shards)),
    );
  }

  /**
   * Windows of neighbouring elements, each a data set of `size` elements.
   *
   * @example series.window(12, { shift: 1, dropRemainder: true }).flatMap((window) => window.batch(12))
   */
  window(size: number, options: WindowOptions = {}): Dataset<Dataset<T>> {
    const { shift = size, stride = 1, dropRemainder = false } = options;
    for (const [name, value] of Object.entries({ size, shift, stride }))
      checkInteger('data.window', name, value);
    const lists = windowed(this.open, size, shift, stride, dropRemainder);
    const facts = { batched: this.batched };
    const asSet = (elements: T[]) => new Dataset(listed(elements), { ...facts, size: elements.length });
    const span = (size - 1) * stride + 1;
    const count = this.sized((n) =>
      dropRemainder ? Math.max(0, Math.floor((n - span) / shift) + 1) : Math.ceil(n / shift),
    );
    return new Dataset(mapped(lists, asSet, 1, undefined), { size: count });
  }

  /** The elements of the data sets that the function makes of elements, one after the other. */
  flatMap<U>(fn: (element: T) => Dataset<U>): Dataset<U> {
    return this.interleave(fn, { cycleLength: 1 });
  }

  /** The elements of the data sets that the function makes of elements, several of them in turn. The order is determined. */
  interleave<U>(fn: (element: T) => Dataset<U>, options: InterleaveOptions = {}): Dataset<U> {
    checkFunction('data.interleave', fn);
    const { cycleLength = 4, blockLength = 1 } = options;
    checkInteger('data.interleave', 'cycleLength', cycleLength);
    checkInteger('data.interleave', 'blockLength', blockLength);
    const inner = (element: T, pass: Pass) => {
      const made: unknown = fn(element);
      if (made instanceof Dataset) return (made as Dataset<U>).open(pass);
      throw new NablaError('data.interleave', `the function gave ${describe(made)}, expected a data set`);
    };
    return new Dataset(interleaved(this.open, inner, cycleLength, blockLength), { batched: this.batched });
  }

  /** The elements of this data set, then those of another. */
  concatenate(other: Dataset<T>): Dataset<T> {
    const opens = [this.open, other.open];
    const size = this.size === undefined || other.size === undefined ? undefined : this.size + other.size;
    const open: Open<T> = async function* (pass) {
      for (const one of opens) yield* one(pass);
    };
    return this.next(open, size);
  }

  /** Each element with its number: `[index, element]`. */
  enumerate(start = 0): Dataset<[number, T]> {
    return this.next(
      mapped(this.open, (element, { index }): [number, T] => [start + index, element], 1, undefined),
    );
  }

  /** All elements as an array. */
  async toArray(): Promise<T[]> {
    const elements: T[] = [];
    for await (const element of this) elements.push(element);
    return elements;
  }

  private sized(change: (size: number) => number): number | undefined {
    return this.size === undefined ? undefined : change(this.size);
  }

  private next<U>(open: Open<U>, size: number | undefined = this.size): Dataset<U> {
    return new Dataset(open, { size, batched: this.batched });
  }
}

/** The source over a list. */
export function listed<T>(elements: readonly T[]): Open<T> {
  return async function* () {
    yield* elements;
  };
}
