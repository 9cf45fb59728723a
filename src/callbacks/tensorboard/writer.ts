// Event files that TensorBoard reads: scalars, histograms, text and images as records with checksums.

import { encodePng, pixelsOf } from '../../data/png-writer.ts';
import { describe, NablaError } from '../../errors.ts';
import { crc32c } from '../../saving/crc32c.ts';
import { concatenate } from '../../saving/safetensors.ts';
import { storeOf } from '../../saving/stores.ts';
import { showShape } from '../../shape.ts';
import { Tensor } from '../../tensor.ts';
import { Message } from './protobuf.ts';

const where = 'summaryWriter';

// Field numbers of event.proto, summary.proto and tensor.proto.
const eventFields = { wallTime: 1, step: 2, fileVersion: 3, summary: 5 } as const;
const valueFields = { tag: 1, scalar: 2, image: 4, histogram: 5, tensor: 8, metadata: 9 } as const;
const stringType = 7;
const tensorClass = 2;

// Equal stretches between the least and the largest number.
const histogramBuckets = 30;

let count = 0;

/** Options of {@link summaryWriter}. */
export interface SummaryWriterOptions {
  /** The folder that a run's file is written to. */
  logDir: string;
}

/** Writes an event file. Nothing is on disk before `flush`. */
export class SummaryWriter {
  /** The file. */
  readonly path: string;
  private readonly pending: Uint8Array[] = [];
  private begun = false;

  constructor({ logDir }: SummaryWriterOptions) {
    if (typeof logDir !== 'string' || logDir === '') {
      throw new NablaError(where, `bad logDir, got ${describe(logDir)}, expected a folder such as 'logs'`);
    }
    const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, '0');
    const mark = Math.floor(Math.random() * 2 ** 32).toString(16);
    this.path = `${logDir.replace(/\/$/, '')}/events.out.tfevents.${seconds}.nabla.${mark}.${count++}`;
    // What every event file begins with.
    this.event(0, new Message().string(eventFields.fileVersion, 'brain.Event:2'));
  }

  /** A number. */
  scalar(tag: string, value: number, step: number): void {
    this.add(tag, step, new Message().float(valueFields.scalar, value));
  }

  /** How numbers are spread. NaN and infinite ones are left out. */
  histogram(tag: string, values: Tensor | ArrayLike<number>, step: number): void {
    const numbers = Float64Array.from(values instanceof Tensor ? values.dataSync() : values).filter(
      Number.isFinite,
    );
    const [least, most] = numbers.reduce(
      ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    );
    const message = new Message();
    if (numbers.length > 0) {
      const width = (most - least) / histogramBuckets;
      const counts = new Array<number>(width > 0 ? histogramBuckets : 1).fill(0);
      for (const value of numbers) {
        const bucket = width > 0 ? Math.min(counts.length - 1, Math.floor((value - least) / width)) : 0;
        counts[bucket]!++;
      }
      const limits = counts.map((_, i) => (i === counts.length - 1 ? most : least + (i + 1) * width));
      const sum = numbers.reduce((total, value) => total + value, 0);
      const squares = numbers.reduce((total, value) => total + value * value, 0);
      message.double(1, least).double(2, most).double(3, numbers.length).double(4, sum).double(5, squares);
      message.doubles(6, limits).doubles(7, counts);
    }
    this.add(tag, step, new Message().message(valueFields.histogram, message));
  }

  /** Text, shown as Markdown. */
  text(tag: string, value: string, step: number): void {
    const shape = new Message().message(2, new Message().varint(1, 1));
    const tensor = new Message().varint(1, stringType).message(2, shape).string(8, value);
    const metadata = new Message().message(1, new Message().string(1, 'text')).varint(4, tensorClass);
    this.add(
      tag,
      step,
      new Message().message(valueFields.tensor, tensor).message(valueFields.metadata, metadata),
    );
  }

  /** Pictures `[height, width, channels]` or `[count, height, width, channels]` of 1, 3 or 4 channels: uint8, or numbers from 0 to 1. */
  image(tag: string, images: Tensor, step: number): void {
    const shape = images instanceof Tensor && images.rank === 3 ? [1, ...images.shape] : images?.shape;
    const [number = 0, height = 0, width = 0, channels = 0] = shape?.length === 4 ? shape : [];
    if (![1, 3, 4].includes(channels) || height === 0 || width === 0) {
      const got = images instanceof Tensor ? showShape(images.shape) : describe(images);
      throw new NablaError(
        where,
        `bad image '${tag}', got ${got}, expected [height, width, 1, 3 or 4], with a count before it or not`,
      );
    }
    const pixels = pixelsOf(images);
    const size = height * width * channels;
    for (let i = 0; i < number; i++) {
      const png = encodePng(pixels.subarray(i * size, (i + 1) * size), height, width, channels);
      const picture = new Message().varint(1, height).varint(2, width).varint(3, channels).bytes(4, png);
      this.add(number === 1 ? tag : `${tag}/${i}`, step, new Message().message(valueFields.image, picture));
    }
  }

  /** Writes what was added. */
  async flush(): Promise<void> {
    const { store, name } = storeOf(where, this.path);
    if (store.append === undefined) {
      throw new NablaError(where, `this place takes no logs, got ${this.path}, expected a folder of files`);
    }
    const bytes = concatenate(this.pending.splice(0));
    if (bytes.length === 0) return;
    await store.append(name, bytes, !this.begun);
    this.begun = true;
  }

  private add(tag: string, step: number, value: Message): void {
    if (typeof tag !== 'string' || tag === '') {
      throw new NablaError(where, `bad tag, got ${describe(tag)}, expected a name such as 'loss'`);
    }
    if (!Number.isSafeInteger(step) || step < 0) {
      throw new NablaError(where, `bad step of '${tag}', got ${describe(step)}, expected an integer >= 0`);
    }
    const named = new Message().string(valueFields.tag, tag).encode();
    const summary = new Message().bytes(1, concatenate([named, value.encode()]));
    this.event(step, new Message().message(eventFields.summary, summary));
  }

  private event(step: number, content: Message): void {
    const head = new Message().double(eventFields.wallTime, Date.now() / 1000);
    // What is 0 is left out, as protocol buffers have it.
    if (step !== 0) head.varint(eventFields.step, step);
    this.pending.push(record(concatenate([head.encode(), content.encode()])));
  }
}

/** A TFRecord: length and data, each with its checksum. */
function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + data.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(crc32c(bytes.subarray(0, 8))), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return bytes;
}

/** Checksums of checksums are bad ones: TFRecord turns and shifts them. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/**
 * Writes a file that TensorBoard reads: scalars, histograms, text and images.
 *
 * @example
 * const writer = summaryWriter({ logDir: 'logs/run1' });
 * writer.scalar('loss', 0.5, 1);
 * writer.text('note', 'a first **try**', 1);
 * await writer.flush();
 */
export function summaryWriter(options: SummaryWriterOptions): SummaryWriter {
  return new SummaryWriter(options ?? {});
}
