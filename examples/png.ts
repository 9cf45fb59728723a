// A small PNG writer for the examples: grey images, and grids of them (PNG specification, third edition; one IDAT, filter 0).
import { deflateSync } from 'node:zlib';

const table = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function crcOf(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) crc = table[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crcOf(body), body.length + 4);
  return framed;
}

/** A grey image, one byte a pixel, row by row, as a PNG file. */
export function encodePng(pixels: Uint8Array, width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // Eight bits, grey; deflate, no interlacing.
  header.set([8, 0, 0, 0, 0], 8);
  // Every row begins with the filter that it went through: none.
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Square grey images in `[-1, 1]` side by side, `columns` in a row, as a PNG file. */
export function gridPng(images: Float32Array, size: number, columns: number, gap = 2): Buffer {
  const count = images.length / size ** 2;
  const step = size + gap;
  const width = columns * step + gap;
  const height = Math.ceil(count / columns) * step + gap;
  const pixels = new Uint8Array(width * height).fill(64);
  for (let i = 0; i < count; i++) {
    const [left, top] = [gap + (i % columns) * step, gap + Math.floor(i / columns) * step];
    for (let p = 0; p < size ** 2; p++) {
      const grey = Math.round((images[i * size ** 2 + p]! + 1) * 127.5);
      pixels[(top + Math.floor(p / size)) * width + left + (p % size)] = Math.min(255, Math.max(0, grey));
    }
  }
  return encodePng(pixels, width, height);
}
