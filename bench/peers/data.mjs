// The data that workloads 2 to 4 train on, from a small seeded generator: data.py makes the very same for the peers in Python.

/** A generator (mulberry32, public domain) of numbers in [0, 1). */
export function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `count` float32 numbers in [0, 1). */
export function uniform(seed, count) {
  return Float32Array.from({ length: count }, generator(seed));
}

/** `count` integers in [0, below). */
export function integers(seed, count, below) {
  const next = generator(seed);
  return Int32Array.from({ length: count }, () => Math.floor(next() * below));
}

/** Ten classes of samples, each a pattern of `size` numbers half hidden in noise: `x` [count, size] in [0, 1), `y` [count] classes. */
export function patterns(count, size) {
  const shapes = uniform(1, 10 * size);
  const y = integers(2, count, 10);
  const x = uniform(3, count * size);
  for (let i = 0; i < x.length; i++) {
    x[i] = 0.5 * x[i] + 0.5 * shapes[y[Math.floor(i / size)] * size + (i % size)];
  }
  return { x, y };
}

/** Rows of `time` tokens below `vocabulary`; the one after each follows from it by a rule that can be learned. */
export function tokens(count, time, vocabulary) {
  const x = integers(1, count * time, vocabulary);
  return { x, y: x.map((token) => (7 * token + 3) % vocabulary) };
}

/** Classes as rows of ten numbers, one of them 1. */
export function oneHot(classes) {
  const rows = new Float32Array(classes.length * 10);
  classes.forEach((c, row) => {
    rows[row * 10 + c] = 1;
  });
  return rows;
}
