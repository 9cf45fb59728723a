// Hashes of text as TensorFlow computes them: FarmHash64, and SipHash64 under a key; they put unknown tokens into buckets.

const mask = (1n << 64n) - 1n;
const k0 = 0xc3a5c85c97cb3127n;
const k1 = 0xb492b66fbe98f273n;
const k2 = 0x9ae16a3b2f90404fn;

const rotate = (x: bigint, by: bigint) => (by === 0n ? x : ((x >> by) | (x << (64n - by))) & mask);
const shiftMix = (x: bigint) => x ^ (x >> 47n);
const times = (a: bigint, b: bigint) => (a * b) & mask;
const plus = (...terms: bigint[]) => terms.reduce((sum, term) => sum + term) & mask;

function hash16(u: bigint, v: bigint, factor: bigint): bigint {
  const a = shiftMix(times(u ^ v, factor));
  const b = shiftMix(times(v ^ a, factor));
  return times(b, factor);
}

/** Little-endian words of bytes. */
class Words {
  readonly length: number;
  private readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.length = bytes.length;
  }

  at64(offset: number): bigint {
    return this.view.getBigUint64(offset, true);
  }

  at32(offset: number): bigint {
    return BigInt(this.view.getUint32(offset, true));
  }

  at8(offset: number): number {
    return this.view.getUint8(offset);
  }
}

function upTo16(s: Words): bigint {
  const { length } = s;
  const size = BigInt(length);
  if (length >= 8) {
    const factor = plus(k2, size * 2n);
    const a = plus(s.at64(0), k2);
    const b = s.at64(length - 8);
    const c = plus(times(rotate(b, 37n), factor), a);
    const d = times(plus(rotate(a, 25n), b), factor);
    return hash16(c, d, factor);
  }
  if (length >= 4) {
    return hash16(plus(size, s.at32(0) << 3n), s.at32(length - 4), plus(k2, size * 2n));
  }
  if (length > 0) {
    const y = BigInt(s.at8(0) + (s.at8(length >> 1) << 8));
    const z = BigInt(length + (s.at8(length - 1) << 2));
    return times(shiftMix(times(y, k2) ^ times(z, k0)), k2);
  }
  return k2;
}

function upTo32(s: Words): bigint {
  const factor = plus(k2, BigInt(s.length) * 2n);
  const a = times(s.at64(0), k1);
  const b = s.at64(8);
  const c = times(s.at64(s.length - 8), factor);
  const d = times(s.at64(s.length - 16), k2);
  return hash16(
    plus(rotate(plus(a, b), 43n), rotate(c, 30n), d),
    plus(a, rotate(plus(b, k2), 18n), c),
    factor,
  );
}

function upTo64(s: Words): bigint {
  const factor = plus(k2, BigInt(s.length) * 2n);
  const a = times(s.at64(0), k2);
  const b = s.at64(8);
  const c = times(s.at64(s.length - 8), factor);
  const d = times(s.at64(s.length - 16), k2);
  const y = plus(rotate(plus(a, b), 43n), rotate(c, 30n), d);
  const z = hash16(y, plus(a, rotate(plus(b, k2), 18n), c), factor);
  const e = times(s.at64(16), factor);
  const f = s.at64(24);
  const g = times(plus(y, s.at64(s.length - 32)), factor);
  const h = times(plus(z, s.at64(s.length - 24)), factor);
  return hash16(
    plus(rotate(plus(e, f), 43n), rotate(g, 30n), h),
    plus(e, rotate(plus(f, a), 18n), g),
    factor,
  );
}

function weak32(s: Words, offset: number, a: bigint, b: bigint): [bigint, bigint] {
  const [w, x, y, z] = [0, 8, 16, 24].map((step) => s.at64(offset + step)) as [
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  const first = plus(a, w);
  const second = rotate(plus(b, first, z), 21n);
  const third = plus(first, x, y);
  return [plus(third, z), plus(second, rotate(third, 44n), first)];
}

function beyond64(s: Words): bigint {
  const seed = 81n;
  let x = seed;
  let y = plus(times(seed, k1), 113n);
  let z = times(shiftMix(plus(times(y, k2), 113n)), k2);
  let v: [bigint, bigint] = [0n, 0n];
  let w: [bigint, bigint] = [0n, 0n];
  x = plus(times(x, k2), s.at64(0));
  const end = Math.floor((s.length - 1) / 64) * 64;
  const last = end + ((s.length - 1) & 63) - 63;
  for (let at = 0; at !== end; at += 64) {
    x = times(rotate(plus(x, y, v[0], s.at64(at + 8)), 37n), k1);
    y = times(rotate(plus(y, v[1], s.at64(at + 48)), 42n), k1);
    x ^= w[1];
    y = plus(y, v[0], s.at64(at + 40));
    z = times(rotate(plus(z, w[0]), 33n), k1);
    v = weak32(s, at, times(v[1], k1), plus(x, w[0]));
    w = weak32(s, at + 32, plus(z, w[1]), plus(y, s.at64(at + 16)));
    [z, x] = [x, z];
  }
  const factor = plus(k1, (z & 0xffn) << 1n);
  w[0] = plus(w[0], BigInt((s.length - 1) & 63));
  v[0] = plus(v[0], w[0]);
  w[0] = plus(w[0], v[0]);
  x = times(rotate(plus(x, y, v[0], s.at64(last + 8)), 37n), factor);
  y = times(rotate(plus(y, v[1], s.at64(last + 48)), 42n), factor);
  x ^= times(w[1], 9n);
  y = plus(y, times(v[0], 9n), s.at64(last + 40));
  z = times(rotate(plus(z, w[0]), 33n), factor);
  v = weak32(s, last, times(v[1], factor), plus(x, w[0]));
  w = weak32(s, last + 32, plus(z, w[1]), plus(y, s.at64(last + 16)));
  [z, x] = [x, z];
  return hash16(
    plus(hash16(v[0], w[0], factor), times(shiftMix(y), k0), z),
    plus(hash16(v[1], w[1], factor), x),
    factor,
  );
}

/** FarmHash Fingerprint64 of a text's UTF-8 bytes (Pike 2014). */
export function farmHash64(text: string): bigint {
  const words = new Words(new TextEncoder().encode(text));
  if (words.length <= 16) return upTo16(words);
  if (words.length <= 32) return upTo32(words);
  return words.length <= 64 ? upTo64(words) : beyond64(words);
}

/** SipHash-2-4 of a text's UTF-8 bytes under a key of two words (Aumasson and Bernstein 2012). */
export function sipHash64(text: string, key: readonly [bigint, bigint]): bigint {
  const bytes = new TextEncoder().encode(text);
  const words = new Words(bytes);
  let v0 = key[0] ^ 0x736f6d6570736575n;
  let v1 = key[1] ^ 0x646f72616e646f6dn;
  let v2 = key[0] ^ 0x6c7967656e657261n;
  let v3 = key[1] ^ 0x7465646279746573n;
  const round = () => {
    v0 = plus(v0, v1);
    v1 = rotate(v1, 51n) ^ v0;
    v0 = rotate(v0, 32n);
    v2 = plus(v2, v3);
    v3 = rotate(v3, 48n) ^ v2;
    v0 = plus(v0, v3);
    v3 = rotate(v3, 43n) ^ v0;
    v2 = plus(v2, v1);
    v1 = rotate(v1, 47n) ^ v2;
    v2 = rotate(v2, 32n);
  };
  const take = (word: bigint) => {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  };
  const whole = bytes.length & ~7;
  for (let at = 0; at < whole; at += 8) take(words.at64(at));
  let rest = BigInt(bytes.length & 0xff) << 56n;
  for (let at = whole; at < bytes.length; at++) rest |= BigInt(bytes[at]!) << BigInt(8 * (at - whole));
  take(rest);
  v2 ^= 0xffn;
  for (let i = 0; i < 4; i++) round();
  return v0 ^ v1 ^ v2 ^ v3;
}

/** Which of `buckets` a text falls in: by FarmHash, or by SipHash under a salt. */
export function bucketOf(text: string, buckets: number, salt?: readonly [number, number]): number {
  const hash =
    salt === undefined
      ? farmHash64(text)
      : sipHash64(text, [BigInt.asUintN(64, BigInt(salt[0])), BigInt.asUintN(64, BigInt(salt[1]))]);
  return Number(hash % BigInt(buckets));
}

/** The fingerprint of two (as TensorFlow's FingerprintCat64, after MurmurHash2). */
function joined(a: bigint, b: bigint): bigint {
  const factor = 0xc6a4a7935bd1e995n;
  const first = a ^ factor ^ times(shiftMix(times(b, factor)), factor);
  return shiftMix(times(shiftMix(times(first, factor)), factor));
}

/** Which of `buckets` values that go together fall in: texts by FarmHash, whole numbers as they are. */
export function crossedBucketOf(values: readonly (string | number)[], buckets: number): number {
  // TensorFlow's own key.
  const key = 0xdecafcaffen;
  const hash = values.reduce<bigint>((fingerprint, value) => {
    const own = typeof value === 'string' ? farmHash64(value) : BigInt.asUintN(64, BigInt(value));
    return joined(fingerprint, own);
  }, key);
  return Number(hash % BigInt(buckets));
}
