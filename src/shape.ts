// Shape arithmetic: sizes, strides, broadcasting and the checks that word shape errors.
import { NablaError } from './errors.ts';
import { maxRank } from './program/kernels.ts';

/** A tensor's dimensions, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const dim of shape) size *= dim;
  return size;
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i]!;
  }
  return strides;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** `[2, 3]` as text. */
export function showShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** Throws unless every dimension is a nonnegative integer and the rank is one that programs can hold. */
export function checkShape(where: string, shape: unknown): asserts shape is number[] {
  const good = Array.isArray(shape) && shape.every((d) => Number.isInteger(d) && d >= 0 && d <= 0x7fffffff);
  if (!good) {
    throw new NablaError(
      where,
      `bad shape, got ${JSON.stringify(shape)}, expected an array of integers >= 0`,
    );
  }
  if (shape.length > maxRank) {
    throw new NablaError(
      where,
      `too many dimensions, got ${showShape(shape)}, expected at most ${maxRank}; merge some with reshape()`,
    );
  }
}

/** The shape that two shapes broadcast to by NumPy's rule: right-aligned, dimension 1 stretches. */
export function broadcastShapes(where: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new NablaError(
        where,
        `shapes do not broadcast, got ${showShape(a)} and ${showShape(b)}, ` +
          'expected equal dimensions or 1, aligned at the right; reshape() or expandDims() one of them',
      );
    }
    out[i] = x === 1 ? y : x;
  }
  return out;
}

/** An axis counted from the end when negative, checked. */
export function normalizeAxis(where: string, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(normal) || normal < 0 || normal >= rank) {
    throw new NablaError(where, `axis out of range, got ${axis}, expected an integer in [${-rank}, ${rank})`);
  }
  return normal;
}

/** Axes in ascending order without doubles; undefined means all of them. */
export function normalizeAxes(
  where: string,
  axis: number | readonly number[] | undefined,
  rank: number,
): number[] {
  if (axis === undefined) return Array.from({ length: rank }, (_, i) => i);
  const axes = typeof axis === 'number' ? [axis] : axis;
  return [...new Set(axes.map((a) => normalizeAxis(where, a, rank)))].sort((a, b) => a - b);
}
