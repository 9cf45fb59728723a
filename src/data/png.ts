// PNG images: every colour type, bit depth and interlacing of the standard, unpacked with Node's zlib.

import { NablaError } from '../errors.ts';
import { nodeZlib } from '../platform/builtins.ts';

/** Pixels as bytes, row by row, `channels` to a pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. */
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

/** Is it the beginning of a PNG file? */
export function isPng(bytes: Uint8Array): boolean {
  return signature.every((byte, i) => bytes[i] === byte);
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
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (length > bytes.length - at - 12) throw wrong(`cut short in its part ${kind}`);
    const body = bytes.subarray(at + 8, at + 8 + length);
    at += 12 + length;
    if (header === undefined && kind !== 'IHDR') throw wrong(`begins with ${kind}, expected IHDR`);
    if (kind === 'IHDR') header = readHeader(body);
    else if (kind === 'PLTE') palette = body;
    else if (kind === 'tRNS') transparency = body;
    else if (kind === 'IDAT') packed.push(body);
    else if (kind === 'IEND') break;
  }
  const found = header!;
  const raw = unpack(found, packed.length === 1 ? packed[0]! : Buffer.concat(packed));
  const samples = found.interlaced ? deinterlaced(found, raw) : plain(found, raw);
  return coloured(found, samples, palette, transparency);
}

function readHeader(body: Uint8Array): Header {
  if (body.length !== 13) throw wrong(`a header of ${body.length} bytes, expected 13`);
  const view = new DataView(body.buffer, body.byteOffset, 13);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colour, compression, filter, interlace] = body.subarray(8) as unknown as number[];
  if (width === 0 || height === 0 || width * height > mostPixels) {
    throw wrong(`${width} by ${height} pixels, expected 1 to 2^28`);
  }
  const known = depthsOf[colour!]?.includes(depth!) && compression === 0 && filter === 0 && interlace! <= 1;
  if (!known) throw wrong(`unknown form: depth ${depth}, colour ${colour}, interlace ${interlace}`);
  return { width, height, depth: depth!, colour: colour!, interlaced: interlace === 1 };
}

/** Bytes of a row, without the one that names its filter. */
const rowBytes = (width: number, { depth, colour }: Header) =>
  Math.ceil((width * samplesOf[colour]! * depth) / 8);

/** Width and height of a pass of Adam7. */
function passSize({ width, height }: Header, [x, y, dx, dy]: (typeof adam7)[number]): [number, number] {
  const size = [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)] as const;
  return size[0] > 0 && size[1] > 0 ? [size[0], size[1]] : [0, 0];
}

function unpack(header: Header, packed: Uint8Array): Uint8Array {
  const sizes = header.interlaced
    ? adam7.map((pass) => passSize(header, pass))
    : [[header.width, header.height]];
  const expected = sizes.reduce((total, [w, h]) => total + (w! > 0 ? h! * (1 + rowBytes(w!, header)) : 0), 0);
  let raw: Uint8Array;
  try {
    // Room for all of it at once: small pictures are unpacked in one go.
    raw = nodeZlib().inflateSync(packed, {
      maxOutputLength: expected + 1,
      chunkSize: Math.min(Math.max(expected + 1, 64), 1 << 20),
    });
  } catch (error) {
    throw wrong(`its pixels cannot be unpacked (${error instanceof Error ? error.message : error})`);
  }
  if (raw.length !== expected) throw wrong(`got ${raw.length} bytes of pixels, expected ${expected}`);
  return raw;
}

/** Undoes the filters of `height` rows that begin at `from`; gives the rows without their filter bytes. */
function unfilter(raw: Uint8Array, from: number, width: number, height: number, header: Header): Uint8Array {
  const bytes = rowBytes(width, header);
  const step = Math.max(1, (samplesOf[header.colour]! * header.depth) >> 3);
  const out = new Uint8Array(bytes * height);
  for (let y = 0; y < height; y++) {
    const source = from + y * (bytes + 1) + 1;
    const filter = raw[source - 1]!;
    const row = y * bytes;
    const above = row - bytes;
    switch (filter) {
      case 0:
        out.set(raw.subarray(source, source + bytes), row);
        break;
      case 1:
        for (let i = 0; i < bytes; i++)
          out[row + i] = raw[source + i]! + (i >= step ? out[row + i - step]! : 0);
        break;
      case 2:
        for (let i = 0; i < bytes; i++) out[row + i] = raw[source + i]! + (y > 0 ? out[above + i]! : 0);
        break;
      case 3:
        for (let i = 0; i < bytes; i++) {
          const left = i >= step ? out[row + i - step]! : 0;
          out[row + i] = raw[source + i]! + ((left + (y > 0 ? out[above + i]! : 0)) >> 1);
        }
        break;
      case 4:
        for (let i = 0; i < bytes; i++) {
          const left = i >= step ? out[row + i - step]! : 0;
          const up = y > 0 ? out[above + i]! : 0;
          const corner = i >= step && y > 0 ? out[above + i - step]! : 0;
          out[row + i] = raw[source + i]! + paeth(left, up, corner);
        }
        break;
      default:
        throw wrong(`row ${y} has filter ${filter}, expected 0 to 4`);
    }
  }
  return out;
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
