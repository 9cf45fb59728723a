// The table of a data set: its batches are gathered in JavaScript's memory while steps run, then copied to the backend's for the steps to come: to one of
// two sides where the backend copies while steps run on the other.
import { asNdArray, type NdArray } from '../data/element.ts';
import type { SampleData } from '../data/samples.ts';
import { Samples } from '../data/samples.ts';
import { dtypeBytes, newArray } from '../dtype.ts';
import { type Engine, Storage } from '../engine.ts';
import { describe, NablaError } from '../errors.ts';
import { isRecord, type Nested } from '../nested.ts';
import { sameShape, showShape, sizeOf } from '../shape.ts';
import { empty } from '../trace.ts';
import { ascending } from './step-data.ts';

// A table holds so many bytes, so many steps, and always one batch.
const mostBytes = 8 << 20;
const mostSteps = 256;

/** One batch of a data set as arrays: nested as the element was. */
export interface HostBatch {
  readonly rows: number;
  readonly x: readonly Part[];
  readonly y: readonly Part[];
  readonly weights: readonly Part[];
}

/** An array of a batch, with its place in the element: nothing, a number or a name. */
export interface Part {
  readonly key: string | undefined;
  readonly array: NdArray;
}

/** The arrays in a part of an element: one, several in a tuple, several by name. */
function partsIn(where: string, name: string, value: unknown): Part[] {
  const isTuple =
    Array.isArray(value) && value.some((item) => typeof item === 'object' && !Array.isArray(item));
  const alone = isTuple ? undefined : asNdArray(where, value);
  if (alone !== undefined) return [{ key: undefined, array: alone }];
  if (!isTuple && !isRecord(value)) {
    throw new NablaError(
      where,
      `${name} cannot be trained on, got ${describe(value)}, expected arrays of numbers`,
    );
  }
  return Object.entries(value as object).map(([key, item]) => {
    const array = asNdArray(where, item);
    if (array !== undefined) return { key: isTuple ? String(key) : key, array };
    throw new NablaError(
      where,
      `${name}.${key} cannot be trained on, got ${describe(item)}, expected an array of numbers`,
    );
  });
}

/** The batch in an element: `[x]`, `[x, y]`, `[x, y, weight]`, or x alone. */
export function hostBatchOf(where: string, element: unknown): HostBatch {
  const tuple: readonly unknown[] = Array.isArray(element) ? element : [element];
  if (tuple.length < 1 || tuple.length > 3) {
    throw new NablaError(where, `got an element of ${tuple.length} parts, expected [x, y] or [x, y, weight]`);
  }
  const [x, y, weight] = tuple;
  const batch = {
    x: partsIn(where, 'x', x),
    y: y === undefined || y === null ? [] : partsIn(where, 'y', y),
    weights: weight === undefined || weight === null ? [] : partsIn(where, 'weight', weight),
  };
  const rows = batch.x[0]!.array.shape[0];
  for (const { array } of [...batch.x, ...batch.y, ...batch.weights]) {
    if (rows !== undefined && rows > 0 && array.shape[0] === rows) continue;
    throw new NablaError(
      where,
      `got a batch with arrays ${[...batch.x, ...batch.y].map((part) => showShape(part.array.shape)).join(' and ')}, ` +
        'expected the same number of samples in all, at least one; make batches with dataset.batch(32)',
    );
  }
  return { rows: rows!, ...batch };
}

/** What one array of each batch becomes: rows here, and rows in backend memory. */
class Column {
  readonly key: string | undefined;
  /** By side. */
  readonly samples: readonly Samples[];
  readonly host: NdArray['data'];
  readonly rowSize: number;
  private readonly sampleShape: readonly number[];

  constructor(engine: Engine, { key, array }: Part, rows: number, sides: number) {
    this.key = key;
    this.sampleShape = array.shape.slice(1);
    this.rowSize = sizeOf(this.sampleShape);
    this.host = newArray(array.dtype, rows * this.rowSize);
    const made = () => new Samples(empty(engine, [rows, ...this.sampleShape], array.dtype).keep());
    this.samples = Array.from({ length: sides }, made);
  }

  fits({ key, array }: Part): boolean {
    const { dtype } = this.samples[0]!.tensor;
    return key === this.key && array.dtype === dtype && sameShape(array.shape.slice(1), this.sampleShape);
  }

  toString(): string {
    return `${this.samples[0]!.tensor.dtype}${showShape(this.sampleShape)}`;
  }

  put(row: number, { data }: NdArray): void {
    this.host.set(data, row * this.rowSize);
  }

  /** Copies the first rows to a side, and moves those after them to the front. */
  hand(rows: number, left: number, side: number): void {
    const { storage, byteOffset } = this.samples[side]!.tensor.memory('fit');
    const end = rows * this.rowSize;
    storage.engine.backend.write(storage.handle, byteOffset, this.host.subarray(0, end));
    if (left > 0) this.host.copyWithin(0, end, end + left * this.rowSize);
  }
}

const bytesOf = ({ array }: Part) => (array.data.length / array.shape[0]!) * dtypeBytes[array.dtype];

/** Rows of batches of one form. */
export class Table {
  readonly rows: number;
  /** Places in backend memory for so many rows each. */
  readonly sides: number;
  readonly x: readonly Column[];
  readonly y: readonly Column[];
  readonly weights: readonly Column[];
  /** 0, 1, 2 ...: batches are trained on in the order that they came in. */
  readonly order: Storage;
  /** Batches that wait here, and the rows of each. */
  waiting = 0;
  batchRows = 0;

  constructor(engine: Engine, batch: HostBatch, steps: number | undefined) {
    const bytes = [...batch.x, ...batch.y, ...batch.weights].reduce((sum, part) => sum + bytesOf(part), 0);
    this.sides = engine.backend.copiesBeside ? 2 : 1;
    const room = Math.floor(mostBytes / (bytes * batch.rows * this.sides));
    this.rows = batch.rows * Math.max(1, Math.min(room, mostSteps, steps ?? mostSteps));
    const columns = (parts: readonly Part[]) =>
      parts.map((part) => new Column(engine, part, this.rows, this.sides));
    this.x = columns(batch.x);
    this.y = columns(batch.y);
    this.weights = columns(batch.weights);
    const numbers = ascending(this.rows);
    this.order = new Storage(engine, numbers.byteLength, 'order');
    this.order.retain();
    engine.backend.write(this.order.handle, 0, numbers);
  }

  /** Inputs or labels as fit takes them, over the memory of a side. */
  nested(columns: readonly Column[], side: number): Nested<SampleData> {
    return Table.nest(columns.map(({ key, samples }) => [key, samples[side]!]));
  }

  /** Parts put together as they were in the element. */
  static nest<T>(parts: readonly (readonly [key: string | undefined, part: T])[]): Nested<T> {
    const [first] = parts;
    if (first?.[0] === undefined) return first![1];
    return first[0] === '0' ? parts.map(([, part]) => part) : Object.fromEntries(parts);
  }

  /** Throws unless the batch is of the table's form. */
  check(where: string, batch: HostBatch, number: number): void {
    const pairs = [
      ['x', this.x, batch.x],
      ['y', this.y, batch.y],
      ['weight', this.weights, batch.weights],
    ] as const;
    for (const [name, columns, parts] of pairs) {
      const odd = parts.findIndex((part, i) => columns[i]?.fits(part) !== true);
      if (odd < 0 && parts.length === columns.length) continue;
      const part = parts[odd]?.array;
      const got =
        part === undefined ? `${parts.length} arrays` : `${part.dtype}${showShape(part.shape.slice(1))}`;
      const expected =
        part === undefined || columns[odd] === undefined ? `${columns.length}` : `${columns[odd]}`;
      throw new NablaError(
        where,
        `batch ${number} does not fit: ${name} got ${got}, expected ${expected} a sample, as in the batches before it`,
      );
    }
  }

  /** Is there room for a batch now? */
  takes({ rows }: HostBatch): boolean {
    return this.waiting === 0 || (rows === this.batchRows && (this.waiting + 1) * rows <= this.rows);
  }

  put(batch: HostBatch): void {
    const row = this.waiting * batch.rows;
    this.x.forEach((column, i) => {
      column.put(row, batch.x[i]!.array);
    });
    this.y.forEach((column, i) => {
      column.put(row, batch.y[i]!.array);
    });
    this.weights.forEach((column, i) => {
      column.put(row, batch.weights[i]!.array);
    });
    this.batchRows = batch.rows;
    this.waiting++;
  }

  /** Copies so many of the batches that wait to a side, on which no step runs. */
  hand(batches: number, side: number): void {
    this.waiting -= batches;
    const left = this.waiting * this.batchRows;
    for (const column of [...this.x, ...this.y, ...this.weights])
      column.hand(batches * this.batchRows, left, side);
  }

  dispose(): void {
    for (const { samples } of [...this.x, ...this.y, ...this.weights])
      for (const side of samples) side.dispose();
    this.order.release();
  }
}
