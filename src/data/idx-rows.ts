// idx: rows of IDX files, such as those of MNIST, read piece by piece from disk.
import { NablaError } from '../errors.ts';
import { sizeOf } from '../shape.ts';
import { Dataset } from './dataset.ts';
import { asHeld, type NdArray, rowOf } from './element.ts';
import { idxElementBytes, parseIdx, readHeader } from './idx.ts';
import { zip } from './sources.ts';
import { drained } from './stages.ts';
import { type ByteSource, checkSource, nameOf, openChunks } from './text.ts';

const where = 'data.idx';
// Rows are read in blocks of about so many bytes.
const blockBytes = 1 << 18;
const longestHeader = 4 + 4 * 8;

/** Hands out bytes of a stream in lengths of the caller's choice. */
class ByteReader {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private rest = new Uint8Array(0);

  constructor(chunks: AsyncIterator<Uint8Array>) {
    this.chunks = chunks;
  }

  /** The next `length` bytes; fewer where the stream ends. */
  async read(length: number): Promise<Uint8Array> {
    const target = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      if (this.rest.length === 0) {
        const next = await this.chunks.next();
        if (next.done) break;
        this.rest = next.value as Uint8Array<ArrayBuffer>;
      }
      const part = this.rest.subarray(0, length - filled);
      target.set(part, filled);
      filled += part.length;
      this.rest = this.rest.subarray(part.length);
    }
    return target.subarray(0, filled);
  }

  /** Puts bytes back in front. */
  unread(bytes: Uint8Array): void {
    const joined = new Uint8Array(bytes.length + this.rest.length);
    joined.set(bytes);
    joined.set(this.rest, bytes.length);
    this.rest = joined;
  }
}

async function* bytesIn(source: ByteSource): AsyncGenerator<Uint8Array> {
  for await (const chunk of await openChunks(source)) {
    if (typeof chunk === 'string') throw new NablaError(where, 'got text, expected bytes');
    yield chunk;
  }
}

async function* rowsOf(source: ByteSource): AsyncGenerator<number | NdArray> {
  const chunks = bytesIn(source);
  try {
    const reader = new ByteReader(chunks);
    const start = await reader.read(longestHeader);
    const { dtype, shape, headerBytes } = readHeader(start);
    reader.unread(start.subarray(headerBytes));
    const [count = 0, ...rest] = shape;
    const rowBytes = sizeOf(rest) * idxElementBytes(dtype);
    if (rowBytes === 0)
      throw new NablaError(where, `a dimension is zero, got shape [${shape}], expected at least 1`);
    const rowsAtOnce = Math.max(1, Math.floor(blockBytes / rowBytes));
    for (let first = 0; first < count; first += rowsAtOnce) {
      const rows = Math.min(rowsAtOnce, count - first);
      const bytes = await reader.read(rows * rowBytes);
      const complete = Math.floor(bytes.length / rowBytes);
      // A block is a small file of its own: the same header with fewer rows.
      const block = new Uint8Array(headerBytes + complete * rowBytes);
      block.set(start.subarray(0, headerBytes));
      new DataView(block.buffer).setUint32(4, complete);
      block.set(bytes.subarray(0, complete * rowBytes), headerBytes);
      if (complete > 0) {
        const parsed = parseIdx(block);
        const data = asHeld(parsed.data);
        const held =
          data instanceof Float32Array ? 'float32' : data instanceof Int32Array ? 'int32' : 'uint8';
        const array: NdArray = { dtype: held, shape: parsed.shape, data };
        for (let i = 0; i < complete; i++) yield rowOf(array, i);
      }
      if (complete < rows) {
        throw new NablaError(
          where,
          `${nameOf(source)} is cut short, got ${first + complete} rows, expected ${count}; fetch the file again`,
        );
      }
    }
  } finally {
    await chunks.return(undefined);
  }
}

/**
 * The rows of an IDX file, or the pairs of rows of two: images and labels. Rows of vectors are numbers, others arrays of uint8, int32 or float32. Files
 * ending in `.gz` are unpacked as they are read.
 *
 * @throws {NablaError} in the pass: when a file is no IDX file or ends early, with the number of the row.
 * @example data.idx('train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz').shuffle(10_000).batch(32)
 */
export function idx(source: ByteSource): Dataset<number | NdArray>;
export function idx(images: ByteSource, labels: ByteSource): Dataset<[number | NdArray, number | NdArray]>;
export function idx(source: ByteSource, labels?: ByteSource): Dataset<unknown> {
  const [first, ...second] = (labels === undefined ? [source] : [source, labels]).map((one) => {
    checkSource(where, one);
    return new Dataset((pass) => drained(where, rowsOf(one), pass));
  });
  return second.length === 0 ? first! : zip([first!, second[0]!]);
}
