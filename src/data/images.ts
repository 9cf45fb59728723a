// Images out of their files, with the size and the channels that are asked for. Worker threads load this module.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { NablaError } from '../errors.ts';
import type { NdArray } from './element.ts';
import { decodePng, endsPng, isPng, type Pixels } from './png.ts';

/** How images are presented. */
export interface ImageOptions {
  /** `[height, width]` that images are resized to, bilinearly. Default: each as it is. */
  imageSize?: readonly [number, number];
  /** Channels: 1, 3 or 4. Default `'rgb'`. */
  colorMode?: 'grayscale' | 'rgb' | 'rgba';
  /** Each number is multiplied by this; images are then float32. Default: bytes, uint8. */
  scale?: number;
  /** And this is added. Default 0. */
  shift?: number;
}

const channelsOf = { grayscale: 1, rgb: 3, rgba: 4 } as const;

/** The part of sharp's interface that is used here. */
interface Sharp {
  toColourspace(space: 'srgb'): Sharp;
  raw(): Sharp;
  toBuffer(options: { resolveWithObject: true }): Promise<{
    data: Uint8Array;
    info: { width: number; height: number; channels: number };
  }>;
}

const optional: { sharp: Promise<(bytes: Uint8Array) => Sharp> | undefined } = { sharp: undefined };

// As a variable, so that neither the compiler nor a bundler looks for a package that need not be there.
const decoderPackage = 'sharp';

async function loadSharp(): Promise<(bytes: Uint8Array) => Sharp> {
  try {
    const loaded = (await import(decoderPackage)) as { default: (bytes: Uint8Array) => Sharp };
    return loaded.default;
  } catch (cause) {
    throw new NablaError(
      'data.image',
      "only PNG is decoded without help, got another format, expected the package 'sharp' for JPEG; run `npm install sharp`",
      { cause },
    );
  }
}

async function decodeWithSharp(bytes: Uint8Array): Promise<Pixels> {
  optional.sharp ??= loadSharp();
  const sharp = await optional.sharp;
  const { data, info } = await sharp(bytes).toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  // A copy: memory of another package cannot be handed to another thread.
  return { width, height, channels, data: new Uint8Array(data) };
}

/** Grey by the weights of ITU-R 601, in the integers that Pillow uses. */
const luma = (r: number, g: number, b: number) => (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;

/** The same pixels with 1, 3 or 4 channels. */
export function withChannels({ width, height, channels: from, data }: Pixels, to: number): Pixels {
  if (from === to) return { width, height, channels: to, data };
  const pixels = width * height;
  const out = new Uint8Array(pixels * to);
  for (let i = 0; i < pixels; i++) {
    const at = i * from;
    const [r, g, b] =
      from < 3 ? [data[at]!, data[at]!, data[at]!] : [data[at]!, data[at + 1]!, data[at + 2]!];
    if (to === 1) out[i] = from < 3 ? r : luma(r, g, b);
    else {
      out[i * to] = r;
      out[i * to + 1] = g;
      out[i * to + 2] = b;
      if (to === 4) out[i * 4 + 3] = from === 2 || from === 4 ? data[at + from - 1]! : 255;
    }
  }
  return { width, height, channels: to, data: out };
}

/** Bilinear, with pixels' centres at halves, as tf.image.resize. */
export function resized(image: Pixels, height: number, width: number): Float32Array {
  const { channels, data } = image;
  const out = new Float32Array(height * width * channels);
  const along = (size: number, from: number) =>
    Array.from({ length: size }, (_, i) => {
      const at = Math.max(0, ((i + 0.5) * from) / size - 0.5);
      const low = Math.min(Math.floor(at), from - 1);
      return { low, high: Math.min(low + 1, from - 1), share: at - low };
    });
  const columns = along(width, image.width);
  along(height, image.height).forEach((row, y) => {
    columns.forEach((column, x) => {
      for (let c = 0; c < channels; c++) {
        const pixel = (r: number, col: number) => data[(r * image.width + col) * channels + c]!;
        const top =
          pixel(row.low, column.low) * (1 - column.share) + pixel(row.low, column.high) * column.share;
        const under =
          pixel(row.high, column.low) * (1 - column.share) + pixel(row.high, column.high) * column.share;
        out[(y * width + x) * channels + c] = top * (1 - row.share) + under * row.share;
      }
    });
  });
  return out;
}

/** What an image is once it is presented: its shape, and how its numbers are written to their place. */
interface Presented {
  readonly dtype: 'uint8' | 'float32';
  readonly shape: readonly [height: number, width: number, channels: number];
  readonly write: (to: Uint8Array | Float32Array, at: number) => void;
}

/** Each byte times `scale` plus `shift`. */
const scaledBytes = { scale: 1, shift: 0, values: Float32Array.from({ length: 256 }, (_, i) => i) };

/** The table of those numbers; the last one is kept, as images come with the same options one after the other. */
function tableFor(scale: number, shift: number): Float32Array {
  if (scaledBytes.scale !== scale || scaledBytes.shift !== shift) {
    scaledBytes.scale = scale;
    scaledBytes.shift = shift;
    scaledBytes.values = Float32Array.from({ length: 256 }, (_, i) => i * scale + shift);
  }
  return scaledBytes.values;
}

function presented(decoded: Pixels, options: ImageOptions): Presented {
  const { imageSize, colorMode = 'rgb', scale = 1, shift = 0 } = options;
  const channels = channelsOf[colorMode];
  const image = withChannels(decoded, channels);
  const [height, width] = imageSize ?? [image.height, image.width];
  const shape = [height, width, channels] as const;
  const same = height === image.height && width === image.width;
  const values = same ? image.data : resized(image, height, width);
  const { length } = values;
  if (options.scale === undefined && options.shift === undefined) {
    // Rounded: a typed array of bytes would cut off.
    const bytes = values instanceof Uint8Array ? values : Uint8Array.from(values, Math.round);
    return { dtype: 'uint8', shape, write: (to, at) => to.set(bytes, at) };
  }
  if (!(values instanceof Uint8Array)) {
    const write = (to: Uint8Array | Float32Array, at: number) => {
      for (let i = 0; i < length; i++) to[at + i] = values[i]! * scale + shift;
    };
    return { dtype: 'float32', shape, write };
  }
  const table = tableFor(scale, shift);
  const write = (to: Uint8Array | Float32Array, at: number) => {
    for (let i = 0; i < length; i++) to[at + i] = table[values[i]!]!;
  };
  return { dtype: 'float32', shape, write };
}

const numbersFor = (dtype: Presented['dtype'], size: number) =>
  dtype === 'uint8' ? new Uint8Array(size) : new Float32Array(size);

/** An image as an array of its own. */
function asArray({ dtype, shape, write }: Presented): NdArray {
  const data = numbersFor(dtype, shape[0] * shape[1] * shape[2]);
  write(data, 0);
  return { dtype, shape, data };
}

function decoded(bytes: Uint8Array, options: ImageOptions): Presented | Promise<Presented> {
  if (isPng(bytes)) return presented(decodePng(bytes), options);
  return decodeWithSharp(bytes).then((pixels) => presented(pixels, options));
}

/**
 * An image out of the bytes of its file: `[height, width, channels]`. PNG is decoded here; other formats by the package `sharp`, if it is installed.
 *
 * @throws {NablaError} when the file is damaged, or the package is missing.
 */
export function decodeImage(bytes: Uint8Array, options: ImageOptions): NdArray | Promise<NdArray> {
  const image = decoded(bytes, options);
  return image instanceof Promise ? image.then(asArray) : asArray(image);
}

/** Files for one task of a worker thread. */
export interface ImageTask {
  readonly paths: readonly string[];
  readonly options: ImageOptions;
}

/** Their images: one array of all where they have one shape, else a list. With an error, those before it. */
export interface ImageAnswer {
  readonly stacked?: NdArray;
  readonly images: readonly NdArray[];
  readonly error?: string;
}

/** Tells parallelMap's threads to hand results over instead of copying them: nothing here keeps an image that it has given. */
export const givesAwayResults = true;

// Numbers that are reserved for all images of a task once the first is known.
const mostStacked = 1 << 25;

/** Images as they come: in one array as long as they have one shape, which needs no copy; each by itself from the first that differs. */
class Collected {
  private readonly most: number;
  private first: Presented | undefined;
  private stacked: Uint8Array | Float32Array | undefined;
  private count = 0;
  private apart: NdArray[] | undefined;

  constructor(most: number) {
    this.most = most;
  }

  add(image: Presented): void {
    const { shape, dtype } = image;
    if (this.first === undefined) {
      this.first = image;
      // One huge picture is no reason to take memory for many.
      if (this.most * this.size > mostStacked) this.apart = [];
      else this.stacked = numbersFor(dtype, this.most * this.size);
    }
    if (this.apart === undefined && shape.every((n, i) => n === this.first!.shape[i])) {
      image.write(this.stacked!, this.count++ * this.size);
      return;
    }
    this.apart ??= Array.from({ length: this.count }, (_, i) => {
      return { dtype, shape: this.first!.shape, data: this.rows(i, i + 1).slice() };
    });
    this.apart.push(asArray(image));
  }

  answer(): ImageAnswer {
    if (this.apart !== undefined) return { images: this.apart };
    if (this.first === undefined) return { images: [] };
    const { dtype, shape } = this.first;
    // Cut off after an error only.
    const data = this.count === this.most ? this.stacked! : this.rows(0, this.count).slice();
    return { images: [], stacked: { dtype, shape: [this.count, ...shape], data } };
  }

  private get size(): number {
    const [height, width, channels] = this.first!.shape;
    return height * width * channels;
  }

  private rows(from: number, to: number): Uint8Array | Float32Array {
    return this.stacked!.subarray(from * this.size, to * this.size);
  }
}

// Files of up to so many bytes are read into memory that is used again and again.
const readAhead = new Uint8Array(1 << 16);

/** A file's bytes, which hold until the next file is read. Small files cost less than by `readFileSync`, which asks for the size and takes memory first. */
export function bytesOf(path: string): Uint8Array {
  const file = openSync(path, 'r');
  try {
    let count = 0;
    while (count < readAhead.length) {
      const more = readSync(file, readAhead, count, readAhead.length - count, null);
      count += more;
      if (more === 0 || endsPng(readAhead, count)) return readAhead.subarray(0, count);
    }
  } finally {
    closeSync(file);
  }
  return readFileSync(path);
}

/** What worker threads run: reads and decodes files. */
export async function decodeFiles({ paths, options }: ImageTask): Promise<ImageAnswer> {
  const collected = new Collected(paths.length);
  try {
    for (const path of paths) {
      const image = decoded(bytesOf(path), options);
      collected.add(image instanceof Promise ? await image : image);
    }
  } catch (error) {
    return { ...collected.answer(), error: error instanceof Error ? error.message : String(error) };
  }
  return collected.answer();
}
