// Curves of a run however long: neighbouring points are averaged when there are too many.

// Twice as many points as are left when neighbours are put together.
const mostPoints = 600;

/** Numbers by step: each point is the mean of as many of them as it takes to keep the points few. */
export class Curve {
  /** The last step of each point. */
  x: number[] = [];
  y: number[] = [];
  private width = 1;
  private sum = 0;
  private count = 0;

  push(step: number, value: number): void {
    this.sum += value;
    if (++this.count < this.width) return;
    this.x.push(step);
    this.y.push(this.sum / this.width);
    this.sum = 0;
    this.count = 0;
    if (this.x.length >= mostPoints) this.halve();
  }

  private halve(): void {
    const { x, y } = this;
    this.x = x.filter((_, i) => i % 2 === 1);
    this.y = this.x.map((_, i) => (y[2 * i]! + y[2 * i + 1]!) / 2);
    this.width *= 2;
  }
}

/** The numbers without most of their noise: means whose weights fall by a fifth from each to the one before it. */
export function smoothed(values: readonly number[]): number[] {
  const keep = 0.8;
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    sum = keep * sum + value;
    weight = keep * weight + 1;
    return sum / weight;
  });
}
