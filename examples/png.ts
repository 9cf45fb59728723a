// Grids of pictures as PNG files, for the examples.
import { encodePng } from '../src/data/png-writer.ts';

/** Square grey images in `[-1, 1]` side by side, `columns` in a row, as a PNG file. */
export function gridPng(images: Float32Array, size: number, columns: number, gap = 2): Uint8Array {
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
  return encodePng(pixels, height, width, 1);
}
