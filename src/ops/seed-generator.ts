// Random numbers that follow from a seed of their own: the same, whatever else is drawn.
import { type Engine, engine, Storage } from '../engine.ts';
import { describe, NablaError } from '../errors.ts';
import { Tensor } from '../tensor.ts';

// Sets keys apart from those of the common generator, which may have the same seed.
const apart = 0x5eed5eed;

/** Throws unless it is an integer in [0, 2 ** 53). */
export function checkSeed(where: string, seed: unknown): asserts seed is number {
  if (Number.isSafeInteger(seed) && (seed as number) >= 0) return;
  throw new NablaError(where, `bad seed, got ${describe(seed)}, expected an integer in [0, 2 ** 53)`);
}

/** A generator whose state `[keyLo, keyHi, step, 0]` lies in backend memory, where programs that draw from it count it on. */
export class SeedGenerator {
  /** What its numbers follow from. */
  readonly seed: number;
  private readonly states = new WeakMap<Engine, Tensor<'int32'>>();
  private latest: Tensor<'int32'> | undefined;
  // Where the next state begins.
  private first = 0;

  /** `where` stands in the error of a bad seed. */
  constructor(where: string, seed: unknown) {
    checkSeed(where, seed);
    this.seed = seed;
  }

  /** The state on the backend that is used now; on another one it goes on from where it was. */
  get state(): Tensor<'int32'> {
    const home = engine();
    let state = this.states.get(home);
    if (state === undefined) {
      const first = this.step;
      const storage = new Storage(home, 16, 'random');
      state = new Tensor<'int32'>([4], 'int32', { kind: 'memory', storage, byteOffset: 0 }).keep();
      const high = Math.floor(this.seed / 2 ** 32);
      const words = Int32Array.of((this.seed | 0) ^ apart, high, first, 0);
      home.backend.write(storage.handle, 0, words);
      this.states.set(home, state);
      this.latest = state;
    }
    return state;
  }

  /** How often it was counted on: once a draw, in programs once a run. */
  get step(): number {
    const { latest } = this;
    if (latest === undefined || latest.memory('random').storage.engine.closed) return this.first;
    return latest.dataSync()[2]!;
  }

  /** Has it go on from there. */
  set step(step: number) {
    this.first = step;
    const { latest } = this;
    if (latest === undefined || latest.memory('random').storage.engine.closed) return;
    const { storage, byteOffset } = latest.memory('random');
    storage.engine.backend.write(storage.handle, byteOffset + 8, Int32Array.of(step));
  }
}
