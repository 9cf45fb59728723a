// parallelMap: elements go to worker threads in small lists, and their results come back in order.
import { NablaError } from '../errors.ts';
import { derivedSeed, elementError, type Flow, type Open, type Pass, salts } from './pass.ts';
import { grouped, inOrder } from './stages.ts';

/** Options of {@link Dataset.parallelMap}. */
export interface ParallelMapOptions {
  /** Threads. Default: one less than the machine has cores, at least 1, at most 4. */
  workers?: number;
  /** Elements that are sent to a thread at a time. Default 8; 1 where each takes long. */
  chunkSize?: number;
  /** Seed of `info.seed`. Default: from `setSeed`. */
  seed?: number;
}

/** Elements for a worker: the number of the first one, and the seeds they are given. */
export interface WorkerTask {
  readonly first: number;
  readonly elements: readonly unknown[];
  readonly seeds: readonly number[];
}

/** What a worker made of them; with an error, what it made before it. */
export interface WorkerAnswer {
  readonly values: readonly unknown[];
  readonly error?: unknown;
}

/** Worker threads that hold one function. */
export interface WorkerPool {
  readonly workers: number;
  /** Says that a pass uses the pool. */
  retain(): void;
  /** Says that it no longer does; without users the threads end soon. */
  release(): void;
  run(task: WorkerTask): Promise<WorkerAnswer>;
}

/** Prepares threads that hold the export `name` of the module at `url`; they start with the first task. */
export type MakePool = (url: string, name: string, workers: number | undefined) => WorkerPool;

const platform: { makePool: MakePool | undefined } = { makePool: undefined };

/** Says how the platform starts worker threads. */
export function onParallel(makePool: MakePool): void {
  platform.makePool = makePool;
}

/** Threads for a function; they start when there is work. */
export function poolOf(where: string, url: URL | string, name: string, workers?: number): WorkerPool {
  if (platform.makePool !== undefined) return platform.makePool(String(url), name, workers);
  throw new NablaError(where, 'there are no worker threads on this platform, expected Node.js; use map()');
}

/** The results that a pool's function has for the elements, in order. */
export async function* throughPool<T, U>(
  where: string,
  source: Flow<T>,
  pool: WorkerPool,
  pass: Pass,
  { chunkSize, seed }: { readonly chunkSize: number; readonly seed: number },
): Flow<U> {
  const run = async (elements: readonly T[], chunk: number) => {
    const first = chunk * chunkSize;
    const seeds = elements.map((_, i) => derivedSeed(seed, first + i));
    try {
      return await pool.run({ first, elements, seeds });
    } catch (error) {
      throw elementError(where, first, error);
    }
  };
  pool.retain();
  try {
    const chunks = grouped(() => source, chunkSize, false)(pass);
    let index = 0;
    // Two tasks a worker: one that it works on, one that lies ready.
    for await (const { values, error } of inOrder(chunks, pass, 2 * pool.workers, run)) {
      for (const value of values) {
        yield value as U;
        index++;
      }
      if (error !== undefined) throw elementError(where, index, error);
    }
  } finally {
    pool.release();
  }
}

/** The results of a function that runs in worker threads, in order. */
export function parallelMapped<T, U>(
  open: Open<T>,
  url: URL | string,
  name: string,
  { workers, chunkSize = 8, seed }: ParallelMapOptions,
): Open<U> {
  const where = 'data.parallelMap';
  const pool = poolOf(where, url, name, workers);
  return (pass) => {
    const base = derivedSeed(seed ?? pass.seed, pass.iteration, salts.map);
    return throughPool(where, open(pass), pool, pass, { chunkSize, seed: base });
  };
}
