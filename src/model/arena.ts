// Flat memory of training: weights side by side in arenas, and what training keeps beside them: counters, the log of steps, sums of metrics.
import { type Engine, Storage } from '../engine.ts';
import { NablaError } from '../errors.ts';
import type { Variable } from '../variable.ts';

// Every weight starts on a cache line: vectors never straddle two weights' lines.
const alignment = 16;

/** Positions in the counters. */
export const counterIndex = { step: 0, cursor: 1, logRow: 2 } as const;

/** Steps of which the log holds the numbers. */
export const logRows = 4096;

/** Memory that the caller releases. */
export function held(engine: Engine, bytes: number, label: string): Storage {
  const storage = new Storage(engine, bytes, label);
  storage.retain();
  return storage;
}

/** The elements that so many numbers take up in a flat range. */
export function roomFor(size: number): number {
  return Math.ceil(size / alignment) * alignment;
}

/** The elements that a weight takes up in an arena. */
export function roomOf(variable: Variable): number {
  return roomFor(variable.size);
}

const arenas = new WeakSet<Storage>();

/**
 * Gives weights a place in an arena of the engine: one range, those that are trained first, those that never are last, so that an optimizer's
 * weights lie in a row. Weights that have such a place stay where they are: another model may share them.
 */
export function settle(
  engine: Engine,
  weights: readonly Variable<'float32'>[],
  trained: ReadonlySet<Variable>,
  groupOf: (weight: Variable) => string = () => '',
): void {
  const homeless = weights.filter((weight) => {
    const { storage } = weight.memory('fit');
    return storage.engine !== engine || !arenas.has(storage);
  });
  if (homeless.length === 0) return;
  const rank = (weight: Variable) => (trained.has(weight) ? 0 : weight.trainable ? 1 : 2);
  // Weights that are updated alike lie side by side.
  const groups = [...new Set(homeless.map(groupOf))];
  const place = (weight: Variable) => rank(weight) * groups.length + groups.indexOf(groupOf(weight));
  const ordered = homeless.toSorted((a, b) => place(a) - place(b));
  const total = ordered.reduce((sum, weight) => sum + roomOf(weight), 0);
  const storage = held(engine, total * 4, 'parameters');
  arenas.add(storage);
  let offset = 0;
  for (const weight of ordered) {
    weight.moveTo(storage, offset * 4);
    offset += roomOf(weight);
  }
  // The weights hold it from now on.
  storage.release();
}

/** What training needs beside weights and optimizers: counters, the log of steps, sums of metrics. */
export class TrainingMemory {
  /** int32: steps taken, batch in the epoch, row of the log. */
  readonly counters: Storage;
  private readonly engine: Engine;
  private readonly columns = new Map<string, Storage>();
  private readonly sums = new Map<string, Storage>();
  private readonly zeros = new Float32Array(logRows);

  constructor(engine: Engine) {
    this.engine = engine;
    this.counters = held(engine, 16, 'counters');
  }

  /** float32 `[logRows]`: what each step says under this name; made when a step's program is first traced. */
  column(name: string): Storage {
    let storage = this.columns.get(name);
    if (storage === undefined) {
      storage = held(this.engine, logRows * 4, 'log');
      this.columns.set(name, storage);
    }
    return storage;
  }

  /** float32 sums of the streaming metric of this name; made when a step's program is first traced. */
  accumulator(name: string, size: number): Storage {
    let storage = this.sums.get(name);
    if (storage === undefined) {
      storage = held(this.engine, size * 4, 'metric');
      this.sums.set(name, storage);
    }
    if (storage.bytes !== size * 4) {
      throw new NablaError(
        'metrics',
        `a metric changed the size of its state, got ${size} numbers, expected ${storage.bytes / 4}`,
      );
    }
    return storage;
  }

  /** Reads what `steps` steps wrote under a name, and clears it. */
  takeColumn(name: string, steps: number): Float32Array {
    const { backend } = this.engine;
    const { handle } = this.column(name);
    const values = new Float32Array(steps);
    backend.read(handle, 0, values);
    backend.write(handle, 0, this.zeros.subarray(0, steps));
    return values;
  }

  /** Reads the sums of every streaming metric since the last look, and clears them. */
  takeSums(): ReadonlyMap<string, Float32Array> {
    const { backend } = this.engine;
    const taken = new Map<string, Float32Array>();
    for (const [name, storage] of this.sums) {
      const values = new Float32Array(storage.bytes / 4);
      backend.read(storage.handle, 0, values);
      backend.write(storage.handle, 0, new Float32Array(values.length));
      taken.set(name, values);
    }
    return taken;
  }

  /** Forgets what steps left behind that nobody read; steps add to what is there. */
  clear(): void {
    if (this.counters.freed) return;
    for (const name of this.columns.keys()) this.takeColumn(name, logRows);
    this.takeSums();
  }

  dispose(): void {
    for (const storage of [this.counters, ...this.columns.values(), ...this.sums.values()]) storage.release();
  }
}
