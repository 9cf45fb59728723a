// Feed: steps over the batches of a data set, which are loaded while the steps before them run, and copied then too where the backend can.
import { type Dataset, DatasetIterator } from '../data/dataset.ts';
import { derivedSeed, Pass } from '../data/pass.ts';
import { engine } from '../engine.ts';
import { NablaError } from '../errors.ts';
import type { Nested } from '../nested.ts';
import type { Tensor } from '../tensor.ts';
import type { DataPosition } from './history.ts';
import type { Slice } from './log.ts';
import type { Model } from './model.ts';
import { inOrder, Taken } from './slots.ts';
import type { StepData } from './step-data.ts';
import { type HostBatch, hostBatchOf, Table } from './table.ts';
import type { Trainer } from './trainer.ts';
import { classWeightsOf } from './weights.ts';

/** What a feed is told of the call that it serves. */
export interface FeedOptions {
  /** `'model.fit'`, for messages. */
  readonly where: string;
  readonly train: boolean;
  /** Samples a batch, for data sets that are not batched. */
  readonly batchSize: number | undefined;
  /** Used where `batchSize` is undefined. */
  readonly usualBatchSize: number;
  readonly classWeight?: Readonly<Record<number, number>> | undefined;
  /** Does a pass go on in the next epoch? Default: each epoch is a pass. */
  readonly goOn?: boolean;
}

/** Called with the rows of a batch, gives what is called with slices of steps. */
export type OnSlice = (rows: number) => (slice: Slice) => Promise<boolean> | boolean;

// Steps are begun when there are batches for about so many milliseconds, or none has come for so long.
const worthwhileMs = 8;
const patienceMs = 50;

/** Batches that lie in a side of the table for steps to come. */
interface Handed {
  readonly side: number;
  /** Samples a batch. */
  readonly rows: number;
  /** Those that were trained on, and all. */
  readonly done: number;
  readonly batches: number;
}

/** Batches for fit and evaluate. */
export class Feed {
  private readonly model: Model<Nested<Tensor>>;
  private readonly dataset: Dataset<unknown>;
  private readonly options: FeedOptions;
  private readonly taken: Taken;
  private seed: number;
  private iteration = 0;
  private iterator: DatasetIterator<unknown> | undefined;
  /** Batches of this pass that were loaded, and that were trained on. */
  private loaded = 0;
  private done = 0;
  /** Samples of those, and samples before the first one that was handed to the backend last. */
  private samples = 0;
  private handed = 0;
  private table: Table | undefined;
  private readonly retired: Table[] = [];
  /** By side of the table. */
  private stepData: readonly StepData[] = [];
  /** What steps run on, and what was copied meanwhile. */
  private front: Handed | undefined;
  private back: Handed | undefined;
  private running = false;
  private end: { readonly error?: { readonly reason: unknown } } | undefined;
  private wake = () => {};
  private more = () => {};
  private stepMs = Number.NaN;

  constructor(model: Model<Nested<Tensor>>, dataset: Dataset<unknown>, options: FeedOptions) {
    const { where, batchSize, usualBatchSize } = options;
    if (dataset.batched && batchSize !== undefined) {
      throw new NablaError(
        where,
        `the data set has batches already, got batchSize ${batchSize}; leave it out, or leave out dataset.batch()`,
      );
    }
    this.model = model;
    this.dataset = dataset.batched ? dataset : dataset.batch(batchSize ?? usualBatchSize);
    this.options = options;
    this.taken = new Taken(where);
    const { shuffle: random } = model.random;
    this.seed = random.uint32() + (random.uint32() & 0xfffff) * 2 ** 32;
  }

  /** Batches that no step has been run on, here and on the backend. */
  private get left(): number {
    const handed = [this.front, this.back].map((each) => (each === undefined ? 0 : each.batches - each.done));
    return (this.table?.waiting ?? 0) + handed[0]! + handed[1]!;
  }

  /** Batches that are worth a run. */
  private get worthwhile(): number {
    return Number.isNaN(this.stepMs) ? 1 : Math.ceil(worthwhileMs / this.stepMs);
  }

  /** Batches that a side of the table holds. */
  private get capacity(): number {
    return this.table === undefined ? 1 : Math.max(1, Math.floor(this.table.rows / this.table.batchRows));
  }

  /** The batches to run on: those that are left of the last, those that were copied ahead, or those that wait. */
  private take(table: Table): Handed {
    if (this.front !== undefined && this.front.done < this.front.batches) return this.front;
    this.front = this.back ?? this.hand(table, this.front === undefined ? 0 : this.front.side);
    this.back = undefined;
    this.handed = this.samples;
    return this.front;
  }

  private hand(table: Table, side: number): Handed {
    const { batchRows: rows, waiting: batches } = table;
    table.hand(batches, side);
    return { side, rows, done: 0, batches };
  }

  /** While steps run: copies what waits to the other side, once that is worth a run. */
  private handAhead(): void {
    const { table, front, running } = this;
    if (!running || table?.sides !== 2 || front === undefined || this.back !== undefined) return;
    if (table.waiting === 0 || table.waiting < Math.min(this.worthwhile, this.capacity)) return;
    this.back = this.hand(table, 1 - front.side);
    this.more();
  }

  /** Batches a pass; undefined if that is not known. */
  get size(): number | undefined {
    return this.dataset.size;
  }

  /** The table that steps read from; there is one once `prepare` has resolved. */
  get data(): StepData {
    return this.stepData[this.front?.side ?? 0]!;
  }

  /** Where the pass stands, to go on from with {@link seek}. */
  get position(): DataPosition {
    return { seed: this.seed, iteration: this.iteration, batches: this.done };
  }

  /** Samples of this pass that came before the table's first, for messages. */
  get firstSample(): number {
    return this.handed;
  }

  /** Begins a pass and waits for its first batch, which builds the model if need be. */
  async prepare(iteration: number): Promise<void> {
    await this.seek({ seed: this.seed, iteration, batches: 0 });
    await this.available(1, undefined);
    if (this.table === undefined) throw this.nothing();
  }

  /** Why a pass has brought nothing: the data set's error, or that it is empty. */
  nothing(): unknown {
    if (this.end?.error !== undefined) return this.end.error.reason;
    return new NablaError(this.options.where, 'the data set is empty, expected at least one batch');
  }

  /** Goes to a place in the data set, where it is not there. Batches before it are loaded and passed over. */
  async seek({ seed, iteration, batches }: DataPosition): Promise<void> {
    const there = seed === this.seed && iteration === this.iteration && batches === this.done;
    if (this.iterator !== undefined && there) return;
    await this.stop();
    this.seed = seed;
    this.iteration = iteration;
    this.done = batches;
    this.loaded = 0;
    this.samples = 0;
    this.end = undefined;
    if (this.table !== undefined) this.table.waiting = 0;
    this.front = this.back = undefined;
    this.iterator = new DatasetIterator(this.dataset.open, new Pass(iteration, derivedSeed(seed, iteration)));
    void this.load(this.iterator, batches);
  }

  /** Makes ready for an epoch: begins its pass, or goes on with one that has batches left. */
  async next(epoch: number): Promise<void> {
    if (this.options.goOn && ((await this.available(1, undefined)) > 0 || this.end?.error !== undefined))
      return;
    await this.seek(this.positionAt(epoch));
  }

  /** Where an epoch that follows begins. */
  positionAt(epoch: number): DataPosition {
    const over = this.end !== undefined && this.left === 0;
    if (this.options.goOn && !over) return this.position;
    return { seed: this.seed, iteration: epoch, batches: 0 };
  }

  /** Loads batches until the pass ends, as fast as the table takes them. */
  private async load(iterator: DatasetIterator<unknown>, skip: number): Promise<void> {
    const current = () => this.iterator === iterator;
    let end: Feed['end'] = {};
    try {
      for await (const element of iterator) {
        if (!current()) return;
        const read = hostBatchOf(this.options.where, element);
        if (this.loaded++ < skip) {
          this.samples += read.rows;
          continue;
        }
        const batch = this.weighted(read);
        this.table?.check(this.options.where, batch, this.loaded - 1);
        if (this.table === undefined || batch.rows > this.table.rows) await this.newTable(batch, current);
        while (current() && !this.table!.takes(batch)) await this.room();
        if (!current()) return;
        this.table!.put(batch);
        this.handAhead();
        this.wake();
      }
    } catch (reason) {
      end = { error: { reason } };
    }
    if (!current()) return;
    this.end = end;
    this.wake();
  }

  /** Resolves when batches have left the table, or the pass was given up. */
  private room(): Promise<void> {
    return new Promise((resolve) => {
      this.more = resolve;
    });
  }

  /** A table for batches of this size, once the former one is empty. */
  private async newTable(batch: HostBatch, current: () => boolean): Promise<void> {
    while (current() && this.left > 0) await this.room();
    if (!current()) return;
    // Steps may be running on it.
    if (this.table !== undefined) this.retired.push(this.table);
    this.table = undefined;
    const table = new Table(engine(), batch, this.size);
    try {
      const { where, train } = this.options;
      this.stepData = Array.from({ length: table.sides }, (_, side) => {
        const y = table.y.length === 0 ? undefined : table.nested(table.y, side);
        const data = this.model.takeData(where, this.taken, { x: table.nested(table.x, side), y }, train);
        return { ...data, weights: this.weightsOf(table, data, side) };
      });
    } catch (error) {
      table.dispose();
      throw error;
    }
    this.table = table;
  }

  /** The weights for each of the labels: one for all, or one for each. */
  private weightsOf(table: Table, { y, slots }: StepData, side: number): StepData['weights'] {
    const { weights } = table;
    if (weights.length === 0) return y.map(() => undefined);
    if (weights[0]!.key === undefined) return y.map(() => weights[0]!.samples[side]!.tensor);
    const given = Table.nest(weights.map(({ key, samples }) => [key, samples[side]!.tensor]));
    return inOrder<Tensor>(this.options.where, 'weight', given, slots.y.names);
  }

  /** The batch with the weights of its samples as float32, times those of their classes. */
  private weighted(batch: HostBatch): HostBatch {
    const { where, classWeight } = this.options;
    for (const { array } of batch.weights) {
      if (array.shape.length === 1 && array.dtype === 'float32') continue;
      throw new NablaError(
        where,
        `bad weights, got ${array.dtype}[${array.shape}], expected float32 numbers, one a sample`,
      );
    }
    if (classWeight === undefined) return batch;
    if (batch.y.length !== 1 || batch.weights.length > 1) {
      throw new NablaError(
        where,
        `classWeight is for one output, got ${batch.y.length}; give weights in the data set`,
      );
    }
    const data = classWeightsOf(where, classWeight, batch.y[0]!.array.data, batch.rows);
    const given = batch.weights[0]?.array.data;
    if (given !== undefined) for (let i = 0; i < data.length; i++) data[i]! *= given[i]!;
    return {
      ...batch,
      weights: [{ key: undefined, array: { dtype: 'float32', shape: [batch.rows], data } }],
    };
  }

  /** Waits for batches: `wanted`, or fewer where no more come or they come slowly. Gives their number, 0 at the end. */
  private async available(wanted: number, signal: AbortSignal | undefined): Promise<number> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let patient = true;
    const waiting = () => this.left;
    const onAbort = () => this.wake();
    signal?.addEventListener('abort', onAbort);
    try {
      while (this.end === undefined && waiting() < (patient ? wanted : 1) && signal?.aborted !== true) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
          timer ??= setTimeout(() => {
            patient = false;
            this.wake();
          }, patienceMs);
        });
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
    return signal?.aborted === true ? 0 : waiting();
  }

  /**
   * Runs up to `limit` steps of this pass; stops where `onSlice` gives false. Gives the steps that ran, fewer than `limit` where the pass ended. Rejects
   * with the error of the data set, after the steps before it.
   */
  async run(
    trainer: Trainer,
    train: boolean,
    limit: number,
    first: number,
    onSlice: OnSlice,
    signal?: AbortSignal,
  ): Promise<number> {
    let ran = 0;
    while (ran < limit) {
      const waiting = await this.available(Math.min(this.worthwhile, this.capacity, limit - ran), signal);
      if (waiting === 0) {
        if (signal?.aborted !== true && this.end?.error !== undefined) throw this.end.error.reason;
        break;
      }
      for (const table of this.retired.splice(0)) table.dispose();
      const table = this.table!;
      const { side, rows, done, batches } = this.take(table);
      const steps = Math.min(batches - done, limit - ran);
      this.more();
      const order = { storage: table.order, count: table.rows, batchSize: rows };
      const began = performance.now();
      const base = first + ran - done;
      const shown = onSlice(rows);
      const progressed = async (slice: Slice) => {
        this.done += slice.steps;
        this.samples += slice.steps * rows;
        return await shown({ ...slice, first: base + slice.first });
      };
      this.running = true;
      let stepsRan: number;
      try {
        this.handAhead();
        stepsRan = await trainer.run(train, this.stepData[side]!, order, done, steps, progressed, signal);
      } finally {
        this.running = false;
      }
      this.front = { side, rows, done: done + stepsRan, batches };
      this.more();
      this.stepMs = Math.max((performance.now() - began) / Math.max(1, stepsRan), 0.01);
      ran += stepsRan;
      if (stepsRan < steps) break;
    }
    return ran;
  }

  private async stop(): Promise<void> {
    const { iterator } = this;
    this.iterator = undefined;
    this.more();
    await iterator?.return();
  }

  /** Ends the pass and frees the tables. */
  async close(): Promise<void> {
    await this.stop();
    this.table?.dispose();
    for (const table of this.retired.splice(0)) table.dispose();
    this.taken.dispose();
  }
}
