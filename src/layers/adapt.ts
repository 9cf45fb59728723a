// The data that preprocessing layers learn from: tensors, arrays, or batches of them one after another.
import { isNdArray, type NdArray } from '../data/element.ts';
import { describe, NablaError } from '../errors.ts';
import { type TensorData, tensor } from '../ops/creation.ts';
import { scope, Tensor } from '../tensor.ts';

/** Numbers in one of their forms. */
export type AdaptNumbers = Tensor | TensorData | NdArray;

/** A batch; of a tuple or an object the part that is the input: the first, or `x`. */
export type AdaptBatch =
  | AdaptNumbers
  | readonly [AdaptNumbers, ...unknown[]]
  | {
      /** What is learned from. */
      readonly x: AdaptNumbers;
    };

/** What `adapt` takes at once: a tensor, numbers in arrays, or a list of batches that are tensors. */
export type AdaptData = AdaptNumbers | Iterable<Tensor>;

/** What `adapt` takes over time, such as a batched data set. */
export type AdaptStream = AsyncIterable<AdaptBatch>;

function isStream(data: unknown): data is AsyncIterable<unknown> {
  return typeof data === 'object' && data !== null && Symbol.asyncIterator in data;
}

/** Batches in an iterable that is no array of numbers; undefined for anything else. */
function tensorsIn(data: unknown): Iterable<Tensor> | undefined {
  if (typeof data !== 'object' || data === null || ArrayBuffer.isView(data)) return undefined;
  if (!(Symbol.iterator in data) || (Array.isArray(data) && !(data[0] instanceof Tensor))) return undefined;
  return data as Iterable<Tensor>;
}

function inputOf(batch: unknown): unknown {
  if (Array.isArray(batch) && typeof batch[0] === 'object') return Array.isArray(batch[0]) ? batch : batch[0];
  const part = typeof batch === 'object' && batch !== null && 'x' in batch ? batch.x : undefined;
  return part ?? batch;
}

function visitOne(where: string, value: unknown, visit: (batch: Tensor) => void): void {
  scope(() => {
    if (value instanceof Tensor) visit(value);
    else if (isNdArray(value)) visit(tensor(value.data, value.shape, value.dtype));
    else if (typeof value === 'number' || Array.isArray(value) || ArrayBuffer.isView(value)) {
      visit(tensor(value as TensorData));
    } else {
      throw new NablaError(
        where,
        `cannot learn from ${describe(value)}, expected a tensor, numbers in arrays, or batches of them`,
      );
    }
  });
}

/** Calls `visit` with each batch; gives a promise where the data come over time. */
export function eachBatch(
  where: string,
  data: unknown,
  visit: (batch: Tensor) => void,
): void | Promise<void> {
  if (isStream(data)) {
    return (async () => {
      for await (const batch of data) visitOne(where, inputOf(batch), visit);
    })();
  }
  const batches = data instanceof Tensor || isNdArray(data) ? undefined : tensorsIn(data);
  if (batches === undefined) visitOne(where, data, visit);
  else for (const batch of batches) visitOne(where, batch, visit);
  return undefined;
}

/** Runs `finish` after the data have been seen: now, or when the promise is kept. */
export function afterwards(seen: void | Promise<void>, finish: () => void): void | Promise<void> {
  if (seen instanceof Promise) return seen.then(finish);
  finish();
  return undefined;
}

/** Calls `visit` with lists of strings: one text, a list, or lists over time. */
export function eachText(
  where: string,
  data: unknown,
  visit: (texts: readonly unknown[]) => void,
): void | Promise<void> {
  const one = (value: unknown) => {
    if (typeof value === 'string' || typeof value === 'number') visit([value]);
    else if (Array.isArray(value)) visit(value);
    else throw new NablaError(where, `cannot learn from ${describe(value)}, expected texts in arrays`);
  };
  if (isStream(data)) {
    return (async () => {
      for await (const batch of data) one(batch);
    })();
  }
  one(data);
  return undefined;
}
