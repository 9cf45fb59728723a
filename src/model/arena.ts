// The model's flat memory: parameters in one range, gradients in one, optimizer states in one each, counters beside them.
import { type Engine, Storage } from '../engine.ts';
import { NablaError } from '../errors.ts';
import { ComposedOptimizer } from '../optimizers/composed.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { FlatOptimizer } from '../optimizers/optimizers.ts';
import { type Shape, sizeOf } from '../shape.ts';
import type { Variable } from '../variable.ts';

// Every weight starts on a cache line: vectors never straddle two weights' lines.
const alignment = 16;

function aligned(size: number): number {
  return Math.ceil(size / alignment) * alignment;
}

/** Where a weight lies in the flat ranges, in elements. */
export interface Segment {
  readonly variable: Variable<'float32'>;
  readonly offset: number;
}

/** Positions in the counters. */
export const counterIndex = { step: 0, cursor: 1, logRow: 2 } as const;

/** Steps of which the log holds the numbers. */
export const logRows = 4096;

/** Where a state of a weight lies, in elements. */
export interface StatePlace {
  readonly name: string;
  readonly shape: Shape;
  readonly offset: number;
  readonly initial: number;
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
    groupOf: (v: Variable<'float32'>) => string = () => '',
  ) {
    // Weights that are updated alike lie side by side.
    const groups = [...new Set(weights.filter(isTrained).map(groupOf))];
    const inGroup = (group: string) =>
      weights.filter((weight) => isTrained(weight) && groupOf(weight) === group);
    const ordered = [...groups.flatMap(inGroup), ...weights.filter((weight) => !isTrained(weight))];
    let offset = 0;
    let trained = 0;
    const segments: Segment[] = [];
    for (const variable of ordered) {
      segments.push({ variable, offset });
      offset += aligned(variable.size);
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
  /** Those of a flat optimizer: its three ranges; those of a composed one: all in one, by {@link stateLayout}. */
  readonly states: readonly (Storage | undefined)[];
  readonly stateLayout: ReadonlyMap<Variable, readonly StatePlace[]>;
  /** The gradients of steps that have not changed the weights yet. */
  readonly accumulated: Storage | undefined;
  /** The exponential moving average of the weights. */
  readonly average: Storage | undefined;
  /** int32: steps taken, batch in the epoch, row of the log. */
  readonly counters: Storage;
  /** float32: the learning rate; with a schedule `[logRows]`, that of each step by its row of the log. */
  readonly scalars: Storage;
  /** float32 `[columns, logRows]`: the loss and the metrics of each step. */
  readonly log: Storage;
  readonly columns: number;
  private readonly engine: Engine;
  private readonly sums = new Map<number, Storage>();

  constructor(engine: Engine, arena: ParameterArena, optimizer: Optimizer, columns: number) {
    const make = (bytes: number, label: string, initial?: Float32Array) => {
      const storage = new Storage(engine, bytes, label);
      storage.retain();
      if (initial !== undefined) engine.backend.write(storage.handle, 0, initial);
      return storage;
    };
    const { trainedSize: size } = arena;
    this.gradients = make(size * 4, 'gradients');
    const composed = optimizer instanceof ComposedOptimizer ? layOut(optimizer, arena) : undefined;
    this.stateLayout = composed?.places ?? new Map();
    if (composed !== undefined) {
      this.states = [make(composed.initial.byteLength, 'states', composed.initial)];
    } else if (optimizer instanceof FlatOptimizer) {
      const { states, initialState } = optimizer;
      const first = initialState === 0 ? undefined : new Float32Array(size).fill(initialState);
      this.states = states.map((used, i) =>
        used ? make(size * 4, `state${i + 1}`, i === 0 ? first : undefined) : undefined,
      );
    } else {
      this.states = [];
    }
    if (optimizer.gradientAccumulationSteps > 1) this.accumulated = make(size * 4, 'accumulated');
    if (optimizer.averaging !== undefined) this.average = make(size * 4, 'average');
    this.counters = make(16, 'counters');
    this.scalars = make(optimizer.schedule === undefined ? 16 : logRows * 4, 'scalars');
    this.log = make(columns * logRows * 4, 'log');
    this.columns = columns;
    this.engine = engine;
  }

  /** float32 sums of the streaming metric at this place among the metrics; made when a step's program is first traced. */
  accumulator(metric: number, size: number): Storage {
    let storage = this.sums.get(metric);
    if (storage === undefined) {
      storage = new Storage(this.engine, size * 4, 'metric');
      storage.retain();
      this.sums.set(metric, storage);
    }
    if (storage.bytes !== size * 4) {
      throw new NablaError(
        'metrics',
        `a metric changed the size of its state, got ${size} numbers, expected ${storage.bytes / 4}`,
      );
    }
    return storage;
  }

  /** Reads the sums of every streaming metric since the last look, and clears them. */
  takeSums(): ReadonlyMap<number, Float32Array> {
    const { backend } = this.engine;
    const taken = new Map<number, Float32Array>();
    for (const [metric, storage] of this.sums) {
      const values = new Float32Array(storage.bytes / 4);
      backend.read(storage.handle, 0, values);
      backend.write(storage.handle, 0, new Float32Array(values.length));
      taken.set(metric, values);
    }
    return taken;
  }

  /** Bytes of gradients and states. */
  get bytes(): number {
    const own = [this.gradients, ...this.states, this.accumulated, this.average];
    return own.reduce((total, storage) => total + (storage?.bytes ?? 0), 0);
  }

  dispose(): void {
    const own = [this.gradients, ...this.states, this.accumulated, this.average];
    own.push(this.counters, this.scalars, this.log);
    for (const storage of [...own, ...this.sums.values()]) storage?.release();
  }
}

/** Gives each state of each weight its place, and the numbers they begin with. */
function layOut(optimizer: ComposedOptimizer, arena: ParameterArena) {
  const places = new Map<Variable, readonly StatePlace[]>();
  let end = 0;
  for (const { variable } of arena.trained) {
    const specs = Object.entries(optimizer.states(variable));
    const own = specs.map(([name, { shape, initial = 0 }]) => {
      const offset = end;
      end += aligned(sizeOf(shape));
      return { name, shape, offset, initial };
    });
    places.set(variable, own);
  }
  const initial = new Float32Array(end);
  for (const { shape, offset, initial: value } of [...places.values()].flat())
    initial.fill(value, offset, offset + sizeOf(shape));
  return { places, initial };
}
