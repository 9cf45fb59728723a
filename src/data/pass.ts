// One pass over a data set: its number and seed, the end that reaches every stage at once, and errors that name the element.
import { NablaError } from '../errors.ts';
import { Philox, philox4x32 } from '../random.ts';

/** What the functions of `map` and `parallelMap` are told beside the element. */
export interface ElementInfo {
  /** Number of the element in this pass, from 0. */
  readonly index: number;
  /** A number of its own for every element of every pass: `new Philox(seed)` for augmentation that repeats under one seed, whatever runs in parallel. */
  readonly seed: number;
}

/** The same, with a seed that is made where it is asked for. */
export class Info implements ElementInfo {
  readonly index: number;
  private readonly base: number;

  constructor(index: number, base: number) {
    this.index = index;
    this.base = base;
  }

  get seed(): number {
    return derivedSeed(this.base, this.index);
  }
}

/** The reason why things that were waited for never come: the pass has ended. */
export class PassEnded extends Error {
  override readonly name = 'PassEnded';
}

/** A pass over a data set. Everything random in it follows from `seed` and `iteration`. */
export class Pass {
  /** Which pass it is, from 0: seeded shuffles differ from pass to pass. */
  readonly iteration: number;
  /** For everything random that was given no seed of its own. */
  readonly seed: number;
  private readonly waiting = new Set<(reason: PassEnded) => void>();
  private readonly children = new Set<Pass>();
  private readonly parent: Pass | undefined;
  private hasEnded = false;

  constructor(iteration: number, seed: number, parent?: Pass) {
    this.iteration = iteration;
    this.seed = seed;
    this.parent = parent;
    parent?.children.add(this);
  }

  /** A part of this pass that can be ended by itself. */
  child(iteration = this.iteration, seed = this.seed): Pass {
    return new Pass(iteration, seed, this);
  }

  get ended(): boolean {
    return this.hasEnded;
  }

  /** Waits no longer for anything. Safe to call twice. */
  end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.parent?.children.delete(this);
    for (const child of [...this.children]) child.end();
    for (const refuse of this.waiting) refuse(new PassEnded());
    this.waiting.clear();
  }

  /** The promise, or {@link PassEnded} as soon as the pass ends: a source that hangs holds up nobody. */
  until<T>(promise: PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.hasEnded) {
        promise.then(undefined, () => {});
        reject(new PassEnded());
        return;
      }
      this.waiting.add(reject);
      promise.then(
        (value) => {
          this.waiting.delete(reject);
          resolve(value);
        },
        (error) => {
          this.waiting.delete(reject);
          reject(error);
        },
      );
    });
  }
}

const words = new Uint32Array(4);

/** A seed for `index` that follows from `seed`; all are different and unlike each other. */
export function derivedSeed(seed: number, index: number, salt = 0): number {
  const high = (value: number) => Math.floor(value / 2 ** 32);
  philox4x32(index | 0, high(index), salt, 0x5eed, seed | 0, high(seed) | 0, words);
  return words[0]! + (words[1]! & 0xfffff) * 2 ** 32;
}

/** The generator of one kind of stage in one pass. */
export function stageRandom(seed: number, iteration: number, salt: number): Philox {
  return new Philox(derivedSeed(seed, iteration, salt));
}

// Errors that say already which element they are about.
const placed = new WeakSet<object>();

/** The error of an element: says its number once, by the stage nearest to the cause. */
export function elementError(where: string, index: number, error: unknown): unknown {
  if (error instanceof PassEnded) return error;
  if (typeof error === 'object' && error !== null && placed.has(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  const worded = new NablaError(where, `element ${index} failed: ${text}`, { cause: error });
  placed.add(worded);
  return worded;
}

/** Marks an error as worded: stages further on leave it as it is. */
export function placedError(error: NablaError): NablaError {
  placed.add(error);
  return error;
}

/** The elements of one pass. */
export type Flow<T> = AsyncGenerator<T, void, undefined>;

/** How a stage gets the elements before it; each call begins a pass. */
export type Open<T> = (pass: Pass) => Flow<T>;

/** Makes the random numbers of different kinds of stages differ where they share a seed. */
export const salts = { map: 1, shuffle: 2, files: 3 } as const;
