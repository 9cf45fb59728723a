// PNG files for tests, of every form that the standard knows, written with Node's zlib.
import { deflateSync } from 'node:zlib';

/** What a file is to hold; `samples` are values of the given depth, row by row. */
export interface PngSpec {
  readonly width: number;
  readonly height: number;
  /** 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA. */
  readonly colour: number;
  readonly depth?: number;
  readonly samples: ArrayLike<number>;
  readonly palette?: Uint8Array;
  readonly transparency?: Uint8Array;
  /** Filter of every row, 0 to 4. Default 0. */
  readonly filter?: number;
  readonly interlaced?: boolean;
}

const perPixelOf: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const passes = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** A part of a file. */
export function part(kind: string, body: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + body.length);
  out.writeUInt32BE(body.length);
  out.write(kind, 4, 'latin1');
  out.set(body, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
  return out;
}

function packedRow(samples: readonly number[], depth: number): Uint8Array {
  const out = new Uint8Array(Math.ceil((samples.length * depth) / 8));
  samples.forEach((sample, i) => {
    if (depth === 16) out.set([sample >> 8, sample & 255], 2 * i);
    else out[(i * depth) >> 3]! |= sample << (8 - depth - ((i * depth) & 7));
  });
  return out;
}

function filtered(row: Uint8Array, above: Uint8Array | undefined, filter: number, step: number): Uint8Array {
  return Uint8Array.from(row, (value, i) => {
    const left = i >= step ? row[i - step]! : 0;
    const up = above?.[i] ?? 0;
    const corner = i >= step ? (above?.[i - step] ?? 0) : 0;
    const guess = left + up - corner;
    const distances = [left, up, corner].map((near) => Math.abs(guess - near));
    const paeth = [left, up, corner][distances.indexOf(Math.min(...distances))]!;
    return value - [0, left, up, (left + up) >> 1, paeth][filter]!;
  });
}

/** The file. */
export function encodePng(spec: PngSpec): Buffer {
  const { width, height, colour, depth = 8, samples, filter = 0, interlaced = false } = spec;
  const perPixel = perPixelOf[colour]!;
  const step = Math.max(1, (perPixel * depth) >> 3);
  const rows: Uint8Array[] = [];
  for (const [x0, y0, dx, dy] of interlaced ? passes : [[0, 0, 1, 1] as const]) {
    let above: Uint8Array | undefined;
    if (x0 >= width) continue;
    for (let y = y0; y < height; y += dy) {
      const values: number[] = [];
      for (let x = x0; x < width; x += dx)
        for (let c = 0; c < perPixel; c++) values.push(samples[(y * width + x) * perPixel + c]!);
      const row = packedRow(values, depth);
      rows.push(Uint8Array.of(filter), filtered(row, above, filter, step));
      above = row;
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour, 0, 0, interlaced ? 1 : 0], 8);
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    part('IHDR', header),
    ...(spec.palette ? [part('PLTE', spec.palette)] : []),
    ...(spec.transparency ? [part('tRNS', spec.transparency)] : []),
    part('IDAT', deflateSync(Buffer.concat(rows))),
    part('IEND', new Uint8Array(0)),
  ]);
}
