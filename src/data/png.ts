// PNG images: every colour type, bit depth and interlacing of the standard, unpacked with Node's zlib.

import { NablaError } from '../errors.ts';
import { inflateExactly } from '../platform/inflate.ts';

/** Pixels as bytes, row by row, `channels` to a pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. `data` may be part of a larger buffer. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
// More than any training image; a header that asks for more is refused before memory is.
const mostPixels = 1 << 28;
/** Samples a pixel by colour type: grey, RGB, palette, grey and alpha, RGBA. */
const samplesOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const depthsOf: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};
/** First column and row, and steps, of the seven passes of Adam7. */
const adam7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

interface Header {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly colour: number;
  readonly interlaced: boolean;
}

const wrong = (text: string) => new NablaError('png', `${text}; the file is damaged`);

/** The names of the parts that are read, as the numbers that stand for them in a file. */
const kinds = { IHDR: 0x49484452, PLTE: 0x504c5445, tRNS: 0x74524e53, IDAT: 0x49444154, IEND: 0x49454e44 };

/** Is it the beginning of a PNG file? */
export function isPng(bytes: Uint8Array): boolean {
  for (let i = 0; i < signature.length; i++) if (bytes[i] !== signature[i]) return false;
  return true;
}

/** Do the bytes up to `end` close with the part that ends every PNG file? Then there is nothing more to read. */
export function endsPng(bytes: Uint8Array, end: number): boolean {
  const at = end - 8;
  return (
    at >= 8 &&
    bytes[at] === 0x49 &&
    bytes[at + 1] === 0x45 &&
    bytes[at + 2] === 0x4e &&
    bytes[at + 3] === 0x44
  );
}

/**
 * Decodes a PNG file. 16-bit samples lose their lower bytes; a palette becomes RGB, transparency an alpha channel.
 *
 * @throws {NablaError} when it is no PNG file, damaged, or of more than 2^28 pixels.
 *
 * Format: W3C Recommendation "Portable Network Graphics", second edition.
 */
export function decodePng(bytes: Uint8Array): Pixels {
  if (!isPng(bytes)) throw new NablaError('png', `got ${bytes.length} bytes that are no PNG file`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let header: Header | undefined;
  let palette: Uint8Array | undefined;
  let transparency: Uint8Array | undefined;
  const packed: Uint8Array[] = [];
  for (let at = 8; ; ) {
    if (at + 12 > bytes.length) throw wrong(`cut short, got ${bytes.length} bytes without an end`);
    const length = view.getUint32(at);
    const kind = view.getUint32(at + 4);
    const name = () => String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (length > bytes.length - at - 12) throw wrong(`cut short in its part ${name()}`);
    if (header === undefined && kind !== kinds.IHDR) throw wrong(`begins with ${name()}, expected IHDR`);
    if (kind === kinds.IEND) break;
    const body = bytes.subarray(at + 8, at + 8 + length);
    at += 12 + length;
    if (kind === kinds.IDAT) packed.push(body);
    else if (kind === kinds.IHDR) header = readHeader(body);
    else if (kind === kinds.PLTE) palette = body;
    else if (kind === kinds.tRNS) transparency = body;
  }
  const found = header!;
  const raw = unpack(found, packed.length === 1 ? packed[0]! : Buffer.concat(packed));
  const samples = found.interlaced ? deinterlaced(found, raw) : plain(found, raw);
  return coloured(found, samples, palette, transparency);
}

function readHeader(body: Uint8Array): Header {
  if (body.length !== 13) throw wrong(`a header of ${body.length} bytes, expected 13`);
  const view = new DataView(body.buffer, body.byteOffset, 13);
  const width = view.getUint32(0);
  const height = view.getUint32(4);
  const [depth, colour] = [body[8]!, body[9]!];
  const [compression, filter, interlace] = [body[10]!, body[11]!, body[12]!];
  if (width === 0 || height === 0 || width * height > mostPixels) {
    throw wrong(`${width} by ${height} pixels, expected 1 to 2^28`);
  }
  const known =
    depthsOf[colour]?.includes(depth) === true && compression === 0 && filter === 0 && interlace <= 1;
  if (!known) throw wrong(`unknown form: depth ${depth}, colour ${colour}, interlace ${interlace}`);
  return { width, height, depth, colour, interlaced: interlace === 1 };
}

/** Bytes of a row, without the one that names its filter. */
const rowBytes = (width: number, { depth, colour }: Header) =>
  Math.ceil((width * samplesOf[colour]! * depth) / 8);

/** Width and height of a pass of Adam7. */
function passSize({ width, height }: Header, [x, y, dx, dy]: (typeof adam7)[number]): [number, number] {
  const size = [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)] as const;
  return size[0] > 0 && size[1] > 0 ? [size[0], size[1]] : [0, 0];
}

/** Bytes of `height` rows of `width` pixels with those that name their filters. */
const bytesOf = (width: number, height: number, header: Header) =>
  width > 0 ? height * (1 + rowBytes(width, header)) : 0;

function unpack(header: Header, packed: Uint8Array): Uint8Array {
  const expected = header.interlaced
    ? adam7.reduce((total, pass) => total + bytesOf(...passSize(header, pass), header), 0)
    : bytesOf(header.width, header.height, header);
  let raw: Uint8Array;
  try {
    raw = inflateExactly(packed, expected);
  } catch (error) {
    throw wrong(`its pixels cannot be unpacked (${error instanceof Error ? error.message : error})`);
  }
  if (raw.length !== expected) throw wrong(`got ${raw.length} bytes of pixels, expected ${expected}`);
  return raw;
}

/** Undoes the filters of `height` rows that begin at `from`, in place; gives the rows without their filter bytes, which moves each to the front. */
function unfilter(raw: Uint8Array, from: number, width: number, height: number, header: Header): Uint8Array {
  const bytes = rowBytes(width, header);
  const step = Math.max(1, (samplesOf[header.colour]! * header.depth) >> 3);
  for (let y = 0; y < height; y++) {
    const filter = raw[from + y * (bytes + 1)]!;
    if (filter > 4) throw wrong(`row ${y} has filter ${filter}, expected 0 to 4`);
    const source = from + y * (bytes + 1) + 1;
    unfilterRow(raw, source, from + y * bytes, bytes, step, y > 0 ? filter : firstRow[filter]!, y > 0);
  }
  return raw.subarray(from, from + bytes * height);
}

/** What filters come to in the first row, which has nothing above it. */
const firstRow = [0, 1, 0, 3, 1];

function unfilterRow(
  raw: Uint8Array,
  source: number,
  row: number,
  bytes: number,
  step: number,
  filter: number,
  hasAbove: boolean,
): void {
  const above = row - bytes;
  if (filter === 0) {
    raw.copyWithin(row, source, source + bytes);
  } else if (filter === 1) {
    for (let i = 0; i < step; i++) raw[row + i] = raw[source + i]!;
    for (let i = step; i < bytes; i++) raw[row + i] = raw[source + i]! + raw[row + i - step]!;
  } else if (filter === 2) {
    for (let i = 0; i < bytes; i++) raw[row + i] = raw[source + i]! + raw[above + i]!;
  } else if (filter === 3) {
    for (let i = 0; i < bytes; i++) {
      const left = i >= step ? raw[row + i - step]! : 0;
      raw[row + i] = raw[source + i]! + ((left + (hasAbove ? raw[above + i]! : 0)) >> 1);
    }
  } else {
    for (let i = 0; i < bytes; i++) {
      const left = i >= step ? raw[row + i - step]! : 0;
      const corner = i >= step ? raw[above + i - step]! : 0;
      raw[row + i] = raw[source + i]! + paeth(left, raw[above + i]!, corner);
    }
  }
}

/** The neighbour nearest to left + up - corner. */
function paeth(left: number, up: number, corner: number): number {
  const toLeft = Math.abs(up - corner);
  const toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/** Samples of 8 bits out of rows of any depth; those of fewer bits keep their values. */
function samplesIn(rows: Uint8Array, width: number, height: number, header: Header): Uint8Array {
  const { depth, colour } = header;
  if (depth === 8) return rows;
  const perRow = width * samplesOf[colour]!;
  const bytes = rowBytes(width, header);
  const out = new Uint8Array(perRow * height);
  const mask = (1 << depth) - 1;
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < perRow; i++) {
      if (depth === 16) out[y * perRow + i] = rows[y * bytes + 2 * i]!;
      else {
        const bit = i * depth;
        out[y * perRow + i] = (rows[y * bytes + (bit >> 3)]! >> (8 - depth - (bit & 7))) & mask;
      }
    }
  }
  return out;
}

function plain(header: Header, raw: Uint8Array): Uint8Array {
  const { width, height } = header;
  return samplesIn(unfilter(raw, 0, width, height, header), width, height, header);
}

function deinterlaced(header: Header, raw: Uint8Array): Uint8Array {
  const perPixel = samplesOf[header.colour]!;
  const out = new Uint8Array(header.width * header.height * perPixel);
  let from = 0;
  for (const pass of adam7) {
    const [x0, y0, dx, dy] = pass;
    const [width, height] = passSize(header, pass);
    if (width === 0) continue;
    const samples = samplesIn(unfilter(raw, from, width, height, header), width, height, header);
    from += height * (1 + rowBytes(width, header));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const to = ((y0 + y * dy) * header.width + x0 + x * dx) * perPixel;
        for (let i = 0; i < perPixel; i++) out[to + i] = samples[(y * width + x) * perPixel + i]!;
      }
    }
  }
  return out;
}

function coloured(
  { width, height, depth, colour }: Header,
  samples: Uint8Array,
  palette: Uint8Array | undefined,
  transparency: Uint8Array | undefined,
): Pixels {
  const pixels = width * height;
  if (colour === 3) {
    if (palette === undefined) throw wrong('a palette is missing');
    const channels = transparency === undefined ? 3 : 4;
    const data = new Uint8Array(pixels * channels);
    for (let i = 0; i < pixels; i++) {
      const entry = samples[i]!;
      if (entry * 3 + 3 > palette.length) throw wrong(`colour ${entry} is not in the palette`);
      data.set(palette.subarray(entry * 3, entry * 3 + 3), i * channels);
      if (channels === 4) data[i * 4 + 3] = transparency![entry] ?? 255;
    }
    return { width, height, channels, data };
  }
  // Below 8 bits only grey is left: its values are spread over the bytes.
  if (depth < 8) {
    const factor = 255 / ((1 << depth) - 1);
    for (let i = 0; i < samples.length; i++) samples[i] = samples[i]! * factor;
  }
  return { width, height, channels: samplesOf[colour]!, data: samples };
}
