// Digits the library draws itself: an MNIST-like data set that needs no files, no network and is the same everywhere.

import { describe, NablaError } from '../errors.ts';
import { Philox } from '../random.ts';
import { type Glyph, glyphs } from './glyphs.ts';

/** What {@link generateDigits} draws. */
export interface DigitsOptions {
  /** How many images, at least 1. */
  readonly count: number;
  /** Any safe integer; the same seed gives the same bytes on every platform. */
  readonly seed: number;
  /** Height and width of an image in pixels, 8 to 256; default 28. */
  readonly size?: number;
}

/** Images and what they show. */
export interface Digits {
  /** `[count, size, size]`, row-major; 0 is paper, 255 is ink. */
  readonly images: Uint8Array;
  /** `[count]`, classes 0 to 9; each as often as the others (to within one), in random order. */
  readonly labels: Uint8Array;
}

const CLASSES = 10;
/** Straight pieces that a smooth curve is drawn with, per control point. */
const PIECES = 4;
/** Bytes one typed array may safely have on every engine. */
const MAX_BYTES = 2 ** 31 - 1;

/** What a hand varies from one digit to the next, in parts of the image's size or as plain ratios. */
const vary = {
  /** Height of a digit. */
  height: { from: 0.5, to: 0.76 },
  /** Width over height. */
  aspect: { from: 0.5, to: 0.9 },
  /** Tangent of half the turning angle: 0.14 is 16 degrees. */
  halfTurn: { from: -0.14, to: 0.14 },
  /** Sideways lean per unit of height. */
  slant: { from: -0.1, to: 0.4 },
  /** Distance of the digit's middle from the image's, each way. */
  shift: { from: -0.085, to: 0.085 },
  /** Half the width of the pen. */
  radius: { from: 0.022, to: 0.06 },
  /** Brightness of the ink. */
  ink: { from: 150, to: 255 },
  /** Amplitude of the grain of paper and ink, in grey levels. */
  grain: { from: 0, to: 44 },
} as const;
/** How far each control point strays, in parts of the unit box, each way. */
const WOBBLE = 0.07;
/** One image in this many carries a stray dash. */
const DASH_EVERY = 4;

/**
 * Draws images of handwritten-looking digits. Each is written with one of several stroke patterns whose control points are
 * moved at random, then scaled, slanted, turned, shifted, drawn anti-aliased with a pen of random width, and given grain.
 *
 * Only additions, multiplications, divisions and square roots are used, which IEEE 754 fixes to the last bit; hence the same
 * bytes on every platform.
 *
 * @throws NablaError when an option is out of its range or the images would not fit one array
 */
export function generateDigits({ count, seed, size = 28 }: DigitsOptions): Digits {
  if (!Number.isInteger(size) || size < 8 || size > 256) {
    throw new NablaError('generateDigits', `size got ${describe(size)}, expected an integer in [8, 256]`);
  }
  const most = Math.floor(MAX_BYTES / (size * size));
  if (!Number.isInteger(count) || count < 1 || count > most) {
    throw new NablaError(
      'generateDigits',
      `count got ${describe(count)}, expected an integer in [1, ${most}]`,
    );
  }
  const random = new Philox(seed);
  const images = new Uint8Array(count * size * size);
  const labels = Uint8Array.from(random.shuffle(Int32Array.from({ length: count }, (_, i) => i % CLASSES)));
  const canvas = new Canvas(size);
  for (let i = 0; i < count; i++) {
    canvas.clear();
    const ways = glyphs[labels[i]!]!;
    drawGlyph(canvas, ways[random.int(ways.length)]!, random);
    if (random.int(DASH_EVERY) === 0) drawDash(canvas, random);
    canvas.develop(images, i * size * size, random);
  }
  return { images, labels };
}

interface Range {
  readonly from: number;
  readonly to: number;
}

const within = (random: Philox, { from, to }: Range) => from + (to - from) * random.uniform();

/** Places one glyph at random on the canvas and draws its strokes. */
function drawGlyph(canvas: Canvas, glyph: Glyph, random: Philox): void {
  const { size } = canvas;
  const height = within(random, vary.height) * size;
  const width = within(random, vary.aspect) * height;
  const slant = within(random, vary.slant);
  const half = within(random, vary.halfTurn);
  // The rational form of sine and cosine, exact on every platform, which Math.sin and Math.cos need not be.
  const cosine = (1 - half * half) / (1 + half * half);
  const sine = (2 * half) / (1 + half * half);
  const middleX = (0.5 + within(random, vary.shift)) * size;
  const middleY = (0.5 + within(random, vary.shift)) * size;
  const radius = within(random, vary.radius) * size;
  for (const stroke of glyph) {
    const path: number[] = [];
    for (let p = 0; p < stroke.points.length; p += 2) {
      const u = stroke.points[p]! - 0.5 + WOBBLE * (2 * random.uniform() - 1);
      const v = stroke.points[p + 1]! - 0.5 + WOBBLE * (2 * random.uniform() - 1);
      const x = u * width - v * height * slant;
      const y = v * height;
      path.push(middleX + x * cosine - y * sine, middleY + x * sine + y * cosine);
    }
    if (stroke.smooth) drawCurve(canvas, path, radius);
    else drawLines(canvas, path, radius);
  }
}

/** A short dash anywhere: ink that means nothing. */
function drawDash(canvas: Canvas, random: Philox): void {
  const { size } = canvas;
  const x = random.uniform() * size;
  const y = random.uniform() * size;
  const dx = (random.uniform() - 0.5) * 0.3 * size;
  const dy = (random.uniform() - 0.5) * 0.3 * size;
  canvas.segment(x, y, x + dx, y + dy, within(random, vary.radius) * 0.6 * size);
}

function drawLines(canvas: Canvas, path: readonly number[], radius: number): void {
  for (let p = 2; p < path.length; p += 2) {
    canvas.segment(path[p - 2]!, path[p - 1]!, path[p]!, path[p + 1]!, radius);
  }
}

/** A Catmull-Rom spline through the points; its ends are mirrored so that it starts and stops straight. */
function drawCurve(canvas: Canvas, path: readonly number[], radius: number): void {
  const last = path.length / 2 - 1;
  const at = (point: number, axis: number): number => {
    if (point < 0) return 2 * path[axis]! - path[2 + axis]!;
    if (point > last) return 2 * path[2 * last + axis]! - path[2 * (last - 1) + axis]!;
    return path[2 * point + axis]!;
  };
  const spline = (point: number, axis: number, t: number): number => {
    const a = at(point - 1, axis);
    const b = at(point, axis);
    const c = at(point + 1, axis);
    const d = at(point + 2, axis);
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
  };
  let x = path[0]!;
  let y = path[1]!;
  for (let point = 0; point < last; point++) {
    for (let piece = 1; piece <= PIECES; piece++) {
      const nextX = spline(point, 0, piece / PIECES);
      const nextY = spline(point, 1, piece / PIECES);
      canvas.segment(x, y, nextX, nextY, radius);
      x = nextX;
      y = nextY;
    }
  }
}

/** A square of ink coverage, 0 to 1 a pixel, that strokes are drawn on. */
class Canvas {
  readonly size: number;
  private readonly coverage: Float64Array;

  constructor(size: number) {
    this.size = size;
    this.coverage = new Float64Array(size * size);
  }

  clear(): void {
    this.coverage.fill(0);
  }

  /** Draws a line with round ends; a pixel's coverage falls from 1 to 0 over one pixel at the rim. */
  segment(x0: number, y0: number, x1: number, y1: number, radius: number): void {
    const { size, coverage } = this;
    const reach = radius + 0.5;
    const left = Math.max(0, Math.floor(Math.min(x0, x1) - reach));
    const right = Math.min(size - 1, Math.floor(Math.max(x0, x1) + reach));
    const top = Math.max(0, Math.floor(Math.min(y0, y1) - reach));
    const bottom = Math.min(size - 1, Math.floor(Math.max(y0, y1) + reach));
    const dx = x1 - x0;
    const dy = y1 - y0;
    const squared = dx * dx + dy * dy;
    const scale = squared > 0 ? 1 / squared : 0;
    for (let row = top; row <= bottom; row++) {
      const py = row + 0.5 - y0;
      for (let column = left; column <= right; column++) {
        const px = column + 0.5 - x0;
        const along = Math.min(1, Math.max(0, (px * dx + py * dy) * scale));
        const ex = px - along * dx;
        const ey = py - along * dy;
        const away = ex * ex + ey * ey;
        if (away >= reach * reach) continue;
        const covered = Math.min(1, reach - Math.sqrt(away));
        const index = row * size + column;
        if (covered > coverage[index]!) coverage[index] = covered;
      }
    }
  }

  /** Turns coverage into grey levels with grain, from `out[offset]` on. */
  develop(out: Uint8Array, offset: number, random: Philox): void {
    const { coverage } = this;
    const ink = within(random, vary.ink);
    const grain = within(random, vary.grain) / 128;
    // Grain need not be good random numbers, but there are many: xorshift32 (Marsaglia 2003), seeded by the generator.
    let noise = random.uint32() | 1;
    for (let i = 0; i < coverage.length; i++) {
      noise ^= noise << 13;
      noise ^= noise >>> 17;
      noise ^= noise << 5;
      // Truncation after adding a half rounds to nearest, since negative levels become 0 anyway.
      const level = (coverage[i]! * ink + ((noise & 0xff) - 127.5) * grain + 0.5) | 0;
      // Negative levels become 0 by a mask: on paper every second one is, and a branch would be guessed wrong as often.
      const inked = level & ~(level >> 31);
      out[offset + i] = Math.min(inked, 255);
    }
  }
}
