// The stages of data sets that hold elements back: shuffle, prefetch, cache, window.
import { type Open, salts, stageRandom } from './pass.ts';

/** Elements in random order, drawn from a buffer that is filled up from the source (as tf.data does). */
export function shuffled<T>(
  open: Open<T>,
  bufferSize: number,
  seed: number | undefined,
  reshuffle: boolean,
): Open<T> {
  let fixed = seed;
  return async function* (pass) {
    // Without reshuffling, what the first pass drew holds for all.
    fixed ??= reshuffle ? undefined : pass.seed;
    const random = stageRandom(fixed ?? pass.seed, reshuffle ? pass.iteration : 0, salts.shuffle);
    const buffer: T[] = [];
    for await (const element of open(pass)) {
      if (buffer.length < bufferSize) {
        buffer.push(element);
        continue;
      }
      const at = random.int(buffer.length);
      const chosen = buffer[at]!;
      buffer[at] = element;
      yield chosen;
    }
    while (buffer.length > 0) {
      const at = random.int(buffer.length);
      const chosen = buffer[at]!;
      buffer[at] = buffer[buffer.length - 1]!;
      buffer.pop();
      yield chosen;
    }
  };
}

/** Fetches up to `bufferSize` elements ahead of those that are asked for. */
export function prefetched<T>(open: Open<T>, bufferSize: number): Open<T> {
  return async function* (pass) {
    const inner = pass.child();
    const source = open(inner);
    const ready: T[] = [];
    let state: { done: boolean; error?: { reason: unknown } } = { done: false };
    let wakeReader = () => {};
    let wakeWriter = () => {};
    const fetch = async () => {
      try {
        for await (const element of source) {
          ready.push(element);
          wakeReader();
          while (ready.length >= bufferSize && !inner.ended) {
            await new Promise<void>((resolve) => {
              wakeWriter = resolve;
            });
          }
          if (inner.ended) break;
        }
        state = { done: true };
      } catch (reason) {
        state = { done: true, error: { reason } };
      }
      wakeReader();
    };
    const fetching = fetch();
    try {
      while (true) {
        if (ready.length > 0) {
          const element = ready.shift()!;
          wakeWriter();
          yield element;
        } else if (state.error !== undefined) throw state.error.reason;
        else if (state.done) return;
        else {
          const wake = new Promise<void>((resolve) => {
            wakeReader = resolve;
          });
          await pass.until(wake);
        }
      }
    } finally {
      inner.end();
      wakeWriter();
      await fetching;
    }
  };
}

/** Keeps the elements of the first whole pass in memory and gives those in later ones. */
export function cached<T>(open: Open<T>): Open<T> {
  let kept: readonly T[] | undefined;
  return async function* (pass) {
    if (kept !== undefined) {
      yield* kept;
      return;
    }
    const seen: T[] = [];
    for await (const element of open(pass)) {
      seen.push(element);
      yield element;
    }
    kept = seen;
  };
}

/** Lists of `size` elements that are `stride` apart; each begins `shift` after the one before it. */
export function windowed<T>(
  open: Open<T>,
  size: number,
  shift: number,
  stride: number,
  dropRemainder: boolean,
): Open<T[]> {
  return async function* (pass) {
    const span = (size - 1) * stride + 1;
    let recent: T[] = [];
    let skip = 0;
    const pick = () => recent.filter((_, i) => i % stride === 0).slice(0, size);
    for await (const element of open(pass)) {
      if (skip > 0) {
        skip--;
        continue;
      }
      recent.push(element);
      if (recent.length < span) continue;
      yield pick();
      skip = Math.max(0, shift - recent.length);
      recent = recent.slice(shift);
    }
    while (!dropRemainder && recent.length > 0) {
      yield pick();
      recent = recent.slice(shift);
    }
  };
}
