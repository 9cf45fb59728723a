// Images out of their files, with the size and the channels that are asked for. Worker threads load this module.
import { readFileSync } from 'node:fs';
import { NablaError } from '../errors.ts';
import type { NdArray } from './element.ts';
import { decodePng, isPng, type Pixels } from './png.ts';

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

function presented(decoded: Pixels, options: ImageOptions): NdArray {
  const { imageSize, colorMode = 'rgb', scale, shift } = options;
  const channels = channelsOf[colorMode];
  const image = withChannels(decoded, channels);
  const [height, width] = imageSize ?? [image.height, image.width];
  const shape = [height, width, channels];
  const same = height === image.height && width === image.width;
  const values = same ? image.data : resized(image, height, width);
  if (scale !== undefined || shift !== undefined) {
    const [factor, added] = [scale ?? 1, shift ?? 0];
    const data = new Float32Array(values.length);
    for (let i = 0; i < data.length; i++) data[i] = values[i]! * factor + added;
    return { dtype: 'float32', shape, data };
  }
  if (values instanceof Uint8Array) return { dtype: 'uint8', shape, data: values };
  // Rounded: a typed array of bytes would cut off.
  return { dtype: 'uint8', shape, data: Uint8Array.from(values, Math.round) };
}

/**
 * An image out of the bytes of its file: `[height, width, channels]`. PNG is decoded here; other formats by the package `sharp`, if it is installed.
 *
 * @throws {NablaError} when the file is damaged, or the package is missing.
 */
export function decodeImage(bytes: Uint8Array, options: ImageOptions): NdArray | Promise<NdArray> {
  if (isPng(bytes)) return presented(decodePng(bytes), options);
  return decodeWithSharp(bytes).then((pixels) => presented(pixels, options));
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

/** What worker threads run: reads and decodes files. */
export async function decodeFiles({ paths, options }: ImageTask): Promise<ImageAnswer> {
  const images: NdArray[] = [];
  let failed: { error?: string } = {};
  try {
    for (const path of paths) {
      const image = decodeImage(readFileSync(path), options);
      images.push(image instanceof Promise ? await image : image);
    }
  } catch (error) {
    failed = { error: error instanceof Error ? error.message : String(error) };
  }
  const [first] = images;
  const alike =
    first !== undefined && images.every(({ shape }) => shape.every((n, i) => n === first.shape[i]));
  if (!alike) return { images, ...failed };
  const size = first.data.length;
  const data =
    first.dtype === 'uint8' ? new Uint8Array(size * images.length) : new Float32Array(size * images.length);
  images.forEach((image, i) => {
    data.set(image.data, i * size);
  });
  return {
    images: [],
    stacked: { dtype: first.dtype, shape: [images.length, ...first.shape], data },
    ...failed,
  };
}
