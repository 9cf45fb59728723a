// Philox4x32-10 for JavaScript-side use: shuffling, generated data; the same stream the backends' random kernels give.

import { describe, NablaError } from './errors.ts';

// Multipliers and Weyl key increments of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;
const M0_LOW = M0 & 0xffff;
const M0_HIGH = M0 >>> 16;
const M1_LOW = M1 & 0xffff;
const M1_HIGH = M1 >>> 16;

const TWO_32 = 2 ** 32;

/**
 * High word of a 32x32-bit product whose first factor is `aHigh * 2^16 + aLow`. Done in 16-bit halves: every partial sum
 * stays below 2^32, so that engines keep to integer registers.
 */
function mulHigh(aLow: number, aHigh: number, b: number): number {
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const first = Math.imul(aLow, bLow) >>> 16;
  const middle = (Math.imul(aHigh, bLow) + first) | 0;
  const other = (Math.imul(aLow, bHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (other >>> 16)) | 0;
}

/** One block: ten rounds of Philox over counter `c0..c3` and key `k0, k1`; writes four words to `out[offset...]`. */
export function philox4x32(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
  out: Uint32Array,
  offset = 0,
): void {
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0_LOW, M0_HIGH, c0);
    const high1 = mulHigh(M1_LOW, M1_HIGH, c2);
    const low0 = Math.imul(M0, c0);
    const low1 = Math.imul(M1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + W0) | 0;
    k1 = (k1 + W1) | 0;
  }
  out[offset] = c0;
  out[offset + 1] = c1;
  out[offset + 2] = c2;
  out[offset + 3] = c3;
}

/** Everything that determines what a {@link Philox} draws next; plain JSON. */
export interface PhiloxState {
  /** What the numbers follow from. */
  readonly seed: number;
  /** Which of the streams of the seed it is, from 0. */
  readonly stream: number;
  /** Words drawn so far. */
  readonly position: number;
}

/**
 * A counter-based generator: word `i` of a stream is a function of seed, stream and `i` alone. It equals word `i` of the
 * random kernels at step 0: key = seed (low word, high word), counter = `(block low, block high, 0, stream)`.
 *
 * @param seed any safe integer
 * @param stream which of 2^32 independent streams of the seed; default 0
 * @throws NablaError when `seed` or `stream` is not such an integer
 */
export class Philox {
  /** What the numbers follow from. */
  readonly seed: number;
  /** Which of the streams of the seed it is, from 0. */
  readonly stream: number;
  private readonly keyLow: number;
  private readonly keyHigh: number;
  private readonly words = new Uint32Array(4);
  /** Block to be made next; `words` holds the one before it. */
  private block = 0;
  /** Next of `words` to hand out; 4 when they are used up. */
  private next = 4;

  constructor(seed: number, stream = 0) {
    if (!Number.isSafeInteger(seed)) {
      throw new NablaError('Philox', `seed got ${describe(seed)}, expected an integer of at most 53 bits`);
    }
    if (!Number.isInteger(stream) || stream < 0 || stream >= TWO_32) {
      throw new NablaError('Philox', `stream got ${describe(stream)}, expected an integer in [0, 2^32)`);
    }
    this.seed = seed;
    this.stream = stream;
    this.keyLow = seed | 0;
    this.keyHigh = Math.floor(seed / TWO_32) | 0;
  }

  /** A generator that goes on exactly where the saved one stood. */
  static restore(state: PhiloxState): Philox {
    const generator = new Philox(state.seed, state.stream);
    generator.position = state.position;
    return generator;
  }

  /** Seed, stream and position, for {@link Philox.restore}. */
  get state(): PhiloxState {
    return { seed: this.seed, stream: this.stream, position: this.position };
  }

  /** Words drawn so far. May be set: to go back, or to skip ahead at no cost. */
  get position(): number {
    return this.block * 4 - 4 + this.next;
  }

  /** Goes to another place of the stream. */
  set position(position: number) {
    if (!Number.isSafeInteger(position) || position < 0) {
      throw new NablaError('Philox', `position got ${describe(position)}, expected an integer of at least 0`);
    }
    this.block = Math.floor(position / 4);
    this.next = position % 4;
    this.refill();
  }

  /** The next 32 random bits, an integer in [0, 2^32). */
  uint32(): number {
    if (this.next === 4) {
      this.refill();
      this.next = 0;
    }
    return this.words[this.next++]!;
  }

  /** The next number in [0, 1), a multiple of 2^-24 (exact in float32), as the random kernel's. */
  uniform(): number {
    return (this.uint32() >>> 8) * 2 ** -24;
  }

  /**
   * An integer in [0, n), every one exactly as likely (Lemire, "Fast random integer generation in an interval", 2019).
   *
   * @param n an integer in [1, 2^32]
   */
  int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > TWO_32) {
      throw new NablaError('Philox.int', `n got ${describe(n)}, expected an integer in [1, 2^32]`);
    }
    return n === TWO_32 ? this.uint32() : this.below(n);
  }

  /** Puts the elements in random order, in place (Fisher-Yates); returns the array. At most 2^32 elements. */
  shuffle(array: Int32Array): Int32Array {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const moved = array[i]!;
      array[i] = array[j]!;
      array[j] = moved;
    }
    return array;
  }

  /** The integers 0 to n - 1 in random order. */
  permutation(n: number): Int32Array {
    const array = new Int32Array(n);
    for (let i = 0; i < n; i++) array[i] = i;
    return this.shuffle(array);
  }

  /** {@link int} for n known to be an integer in [1, 2^32). */
  private below(n: number): number {
    const nLow = n & 0xffff;
    const nHigh = n >>> 16;
    let word = this.uint32();
    let low = Math.imul(word, n) >>> 0;
    if (low < n) {
      // Of the 2^32 words the first 2^32 mod n of each interval are refused, so that all intervals are equally long.
      const refused = (TWO_32 - n) % n;
      while (low < refused) {
        word = this.uint32();
        low = Math.imul(word, n) >>> 0;
      }
    }
    return mulHigh(nLow, nHigh, word) >>> 0;
  }

  private refill(): void {
    const high = Math.floor(this.block / TWO_32);
    philox4x32(this.block | 0, high, 0, this.stream, this.keyLow, this.keyHigh, this.words);
    this.block++;
  }
}
