// What the operators of data sets do with the elements that flow through them, one function a stage.
import { type Batched, type Padding, padStack, stack, unstack } from './element.ts';
import {
  derivedSeed,
  type ElementInfo,
  elementError,
  type Flow,
  Info,
  type Open,
  type Pass,
  PassEnded,
  salts,
} from './pass.ts';

/** The function's results, up to `concurrency` of them under way at a time, in order. */
export function mapped<T, U>(
  open: Open<T>,
  fn: (element: T, info: ElementInfo) => U | Promise<U>,
  concurrency: number,
  seed: number | undefined,
): Open<U> {
  return async function* (pass) {
    const base = derivedSeed(seed ?? pass.seed, pass.iteration, salts.map);
    const begin = async (element: T, index: number): Promise<U> => {
      try {
        return await fn(element, new Info(index, base));
      } catch (error) {
        throw elementError('data.map', index, error);
      }
    };
    if (concurrency > 1) {
      yield* inOrder(open(pass), pass, concurrency, begin);
      return;
    }
    let index = 0;
    for await (const element of open(pass)) {
      let result: U | Promise<U>;
      try {
        result = fn(element, new Info(index, base));
        if (result instanceof Promise) result = await pass.until(result);
      } catch (error) {
        throw elementError('data.map', index, error);
      }
      index++;
      yield result;
    }
  };
}

/** Begins work on elements ahead of those that are asked for, and gives the results in order. */
export async function* inOrder<T, U>(
  source: Flow<T>,
  pass: Pass,
  concurrency: number,
  begin: (element: T, index: number) => Promise<U>,
): Flow<U> {
  const underWay: Promise<U>[] = [];
  let index = 0;
  let more = true;
  try {
    while (more || underWay.length > 0) {
      while (more && underWay.length < concurrency) {
        let next: IteratorResult<T, void>;
        try {
          next = await source.next();
        } catch (error) {
          // What comes before the failure is still given, in its order.
          more = false;
          underWay.push(Promise.reject(error));
          break;
        }
        if (next.done) more = false;
        else underWay.push(begin(next.value, index++));
      }
      // A failure further on is met in its turn.
      for (const promise of underWay) promise.catch(() => {});
      const [first] = underWay;
      if (first === undefined) return;
      const value = await pass.until(first);
      underWay.shift();
      yield value;
    }
  } finally {
    await source.return();
  }
}

/** Only the elements for which the function holds. */
export function filtered<T>(
  open: Open<T>,
  keep: (element: T, index: number) => boolean | Promise<boolean>,
): Open<T> {
  return async function* (pass) {
    let index = 0;
    for await (const element of open(pass)) {
      let kept: boolean | Promise<boolean>;
      try {
        kept = keep(element, index);
        if (kept instanceof Promise) kept = await pass.until(kept);
      } catch (error) {
        throw elementError('data.filter', index, error);
      }
      index++;
      if (kept) yield element;
    }
  };
}

/** Lists of `size` elements; the last may be shorter, unless it is dropped. */
export function grouped<T>(open: Open<T>, size: number, dropRemainder: boolean): Open<T[]> {
  return async function* (pass) {
    let group: T[] = [];
    for await (const element of open(pass)) {
      group.push(element);
      if (group.length < size) continue;
      yield group;
      group = [];
    }
    if (group.length > 0 && !dropRemainder) yield group;
  };
}

/** Groups joined to batches, padded where told how. */
export function batched<T>(open: Open<T[]>, padding: Padding | undefined): Open<Batched<T>> {
  return async function* (pass) {
    let first = 0;
    for await (const group of open(pass)) {
      try {
        yield padding === undefined
          ? stack('data.batch', group, first)
          : padStack('data.paddedBatch', group, padding);
      } catch (error) {
        throw elementError(padding === undefined ? 'data.batch' : 'data.paddedBatch', first, error);
      }
      first += group.length;
    }
  };
}

/** The elements of batches. */
export function unbatched<T>(open: Open<T>): Open<unknown> {
  return async function* (pass) {
    for await (const batch of open(pass)) yield* unstack('data.unbatch', batch);
  };
}

// Passes of an endless repeat are numbered within this many.
const manyPasses = 2 ** 20;

/** The elements `count` times over, or for ever. Ends by itself when a pass has no elements. */
export function repeated<T>(open: Open<T>, count: number): Open<T> {
  return async function* (pass) {
    const stride = Number.isFinite(count) ? count : manyPasses;
    for (let i = 0; i < count; i++) {
      let any = false;
      const seed = i === 0 ? pass.seed : derivedSeed(pass.seed, i);
      const inner = pass.child(pass.iteration * stride + i, seed);
      try {
        for await (const element of open(inner)) {
          any = true;
          yield element;
        }
      } finally {
        inner.end();
      }
      if (!any) return;
    }
  };
}

/** At most the first `count` elements. */
export function taken<T>(open: Open<T>, count: number): Open<T> {
  return async function* (pass) {
    if (count === 0) return;
    let left = count;
    for await (const element of open(pass)) {
      yield element;
      if (--left === 0) return;
    }
  };
}

/** All but the first `count` elements. */
export function skipped<T>(open: Open<T>, count: number): Open<T> {
  return async function* (pass) {
    let left = count;
    for await (const element of open(pass)) {
      if (left > 0) left--;
      else yield element;
    }
  };
}

/** The elements of the data sets made from elements: `cycle` of them in turn, `block` elements at a time. */
export function interleaved<T, U>(
  open: Open<T>,
  inner: (element: T, pass: Pass) => Flow<U>,
  cycle: number,
  block: number,
): Open<U> {
  return async function* (pass) {
    const source = open(pass);
    const flows: Flow<U>[] = [];
    let more = true;
    let at = 0;
    try {
      while (true) {
        while (more && flows.length < cycle) {
          const next = await source.next();
          if (next.done) more = false;
          else flows.push(inner(next.value, pass));
        }
        if (flows.length === 0) return;
        at %= flows.length;
        const flow = flows[at]!;
        let ended = false;
        for (let i = 0; i < block && !ended; i++) {
          const next = await flow.next();
          if (next.done) ended = true;
          else yield next.value;
        }
        if (!ended) at++;
        else {
          // As in tf.data, the next data set takes the place of the one that has ended.
          const next: IteratorResult<T, void> = more ? await source.next() : { done: true, value: undefined };
          if (next.done) {
            more = false;
            flows.splice(at, 1);
          } else {
            flows[at] = inner(next.value, pass);
            at++;
          }
        }
      }
    } finally {
      for (const flow of flows) await flow.return();
      await source.return();
    }
  };
}

/** Elements of several data sets side by side, until the shortest ends. */
export function zipped(opens: readonly Open<unknown>[], join: (values: unknown[]) => unknown): Open<unknown> {
  return async function* (pass) {
    // One that fails must not wait for another that hangs.
    const inner = pass.child();
    const flows = opens.map((open) => open(inner));
    try {
      while (true) {
        const next = await Promise.all(flows.map((flow) => flow.next()));
        if (next.some(({ done }) => done)) return;
        yield join(next.map(({ value }) => value));
      }
    } finally {
      inner.end();
      await Promise.all(flows.map((flow) => flow.return()));
    }
  };
}

/** An iterator's elements, each waited for no longer than the pass lasts; the iterator is told when no more are wanted. */
export async function* drained<T>(
  where: string,
  source: AsyncIterable<T> | Iterable<T>,
  pass: Pass,
): Flow<T> {
  const iterator =
    Symbol.asyncIterator in source
      ? source[Symbol.asyncIterator]()
      : (source as Iterable<T>)[Symbol.iterator]();
  let index = 0;
  let finished = false;
  try {
    while (true) {
      let next: IteratorResult<T>;
      try {
        const result = iterator.next();
        next = result instanceof Promise ? await pass.until(result) : (result as IteratorResult<T>);
      } catch (error) {
        // An iterator that has thrown is done; one that is still waiting is told to stop.
        finished = !(error instanceof PassEnded);
        throw elementError(where, index, error);
      }
      if (next.done) {
        finished = true;
        return;
      }
      yield next.value;
      index++;
    }
  } finally {
    if (!finished) {
      const closing = Promise.resolve(iterator.return?.()).catch(() => {});
      // A generator that hangs never answers; it is let go.
      if (!pass.ended) await pass.until(closing).catch(() => {});
    }
  }
}
