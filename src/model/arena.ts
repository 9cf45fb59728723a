// The model's flat memory: parameters in one range, gradients in one, optimizer states in one each, counters beside them.
import { dtypeBytes } from '../dtype.ts';
import { type Engine, Storage } from '../engine.ts';
import type { Optimizer } from '../optimizers/optimizers.ts';
import { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';

// Every weight starts on a cache line: vectors never straddle two weights' lines.
const alignment = 16;

/** Where a weight lies in the flat ranges, in elements. */
export interface Segment {
  readonly variable: Variable<'float32'>;
  readonly offset: number;
}

/** Positions in the counters. */
export const counterIndex = { step: 0, cursor: 1, logRow: 2 } as const;

/** Steps of which the log holds the numbers. */
export const logRows = 4096;

/** A view of a storage as a tensor, for ops. */
export function viewOf<D extends 'float32' | 'int32'>(
  storage: Storage,
  dtype: D,
  size: number,
  offset = 0,
): Tensor<D> {
  const byteOffset = offset * dtypeBytes[dtype];
  return new Tensor<D>([size], dtype, { kind: 'memory', storage, byteOffset }).keep();
}

/** The flat memory of a model's weights. Frozen weights lie behind those that are trained. */
export class ParameterArena {
  readonly storage: Storage;
  readonly segments: readonly Segment[];
  /** Elements of the range that optimizers change. */
  readonly trainedSize: number;

  constructor(
    engine: Engine,
    weights: readonly Variable<'float32'>[],
    isTrained: (v: Variable<'float32'>) => boolean,
  ) {
    const ordered = [...weights.filter(isTrained), ...weights.filter((weight) => !isTrained(weight))];
    let offset = 0;
    let trained = 0;
    const segments: Segment[] = [];
    for (const variable of ordered) {
      segments.push({ variable, offset });
      offset += Math.ceil(variable.size / alignment) * alignment;
      if (isTrained(variable)) trained = offset;
    }
    this.segments = segments;
    this.trainedSize = trained;
    this.storage = new Storage(engine, offset * 4, 'parameters');
    this.storage.retain();
    for (const segment of segments) segment.variable.moveTo(this.storage, segment.offset * 4);
  }

  get trained(): readonly Segment[] {
    return this.segments.filter(({ offset }) => offset < this.trainedSize);
  }

  /** Has it been freed, or has a weight moved out, into another model that shares the layer? */
  get left(): boolean {
    const { storage } = this;
    return storage.freed || this.segments.some(({ variable }) => variable.memory('fit').storage !== storage);
  }

  dispose(): void {
    this.storage.release();
  }
}

/** What training needs beside the weights: gradients, optimizer states, counters, the learning rate and the log of steps. */
export class TrainingMemory {
  readonly gradients: Storage;
  readonly states: readonly (Storage | undefined)[];
  /** int32: steps taken, batch in the epoch, row of the log. */
  readonly counters: Storage;
  /** float32: the learning rate; with a schedule `[logRows]`, that of each step by its row of the log. */
  readonly scalars: Storage;
  /** float32 `[columns, logRows]`: the loss and the metrics of each step. */
  readonly log: Storage;
  readonly columns: number;

  constructor(engine: Engine, size: number, optimizer: Optimizer, columns: number) {
    const make = (bytes: number, label: string) => {
      const storage = new Storage(engine, bytes, label);
      storage.retain();
      return storage;
    };
    this.gradients = make(size * 4, 'gradients');
    this.states = optimizer.states.map((used, i) => (used ? make(size * 4, `state${i + 1}`) : undefined));
    this.counters = make(16, 'counters');
    this.scalars = make(optimizer.schedule === undefined ? 16 : logRows * 4, 'scalars');
    this.log = make(columns * logRows * 4, 'log');
    this.columns = columns;
  }

  /** Bytes of gradients and states. */
  get bytes(): number {
    return this.gradients.bytes + this.states.reduce((total, state) => total + (state?.bytes ?? 0), 0);
  }

  dispose(): void {
    for (const storage of [this.gradients, ...this.states, this.counters, this.scalars, this.log])
      storage?.release();
  }
}
