// Limits between equal shares of many numbers, found from a short summary of them (the method of Keras' Discretization).

/** Values in ascending order and how many numbers each stands for. */
interface Points {
  readonly values: readonly number[];
  readonly weights: readonly number[];
}

/** `y` at each of `at`, on lines between the points `(x, y)`; constant beyond them. As NumPy's interp. */
function interpolate(at: readonly number[], x: readonly number[], y: readonly number[]): number[] {
  return at.map((value) => {
    const next = x.findIndex((limit) => limit > value);
    if (next === 0) return y[0]!;
    if (next < 0) return y.at(-1)!;
    const slope = (y[next]! - y[next - 1]!) / (x[next]! - x[next - 1]!);
    return slope * (value - x[next - 1]!) + y[next - 1]!;
  });
}

function sumsOf(weights: readonly number[]): number[] {
  let total = 0;
  return weights.map((weight) => {
    total += weight;
    return total;
  });
}

/** The points at equal steps of the total weight, if there are more than that. */
function compress(points: Points, epsilon: number): Points {
  if (points.values.length * epsilon < 1) return points;
  const percents = Array.from({ length: Math.ceil(1 / epsilon) }, (_, i) => epsilon + i * epsilon);
  const sums = sumsOf(points.weights);
  const total = sums.at(-1)!;
  const shares = sums.map((sum) => sum / total);
  const values = interpolate(percents, shares, points.values);
  const reached = interpolate(percents, shares, sums);
  const weights = reached.map((sum, i) => Math.fround(sum - (reached[i - 1] ?? 0)));
  return { values: values.map(Math.fround), weights };
}

/** A summary of all numbers that were added, within `epsilon` of their shares. */
export class Summary {
  private points: Points = { values: [], weights: [] };
  private readonly epsilon: number;

  constructor(epsilon: number) {
    this.epsilon = epsilon;
  }

  get empty(): boolean {
    return this.points.values.length === 0;
  }

  /** Takes a batch of numbers in. */
  add(numbers: Float32Array): void {
    const sorted = numbers.toSorted();
    const step = Math.max(sorted.length * this.epsilon, 1);
    const values: number[] = [];
    for (let i = Math.trunc(step - 1); i < sorted.length; i += Math.trunc(step)) values.push(sorted[i]!);
    const all = [
      ...values.map((value) => ({ value, weight: Math.fround(step) })),
      ...this.points.values.map((value, i) => ({ value, weight: this.points.weights[i]! })),
    ].sort((a, b) => a.value - b.value);
    const merged = { values: all.map(({ value }) => value), weights: all.map(({ weight }) => weight) };
    this.points = compress(merged, this.epsilon);
  }

  /** The limits between `bins` equal shares. */
  boundaries(bins: number): number[] {
    return compress(this.points, 1 / bins).values.slice(0, -1);
  }
}
