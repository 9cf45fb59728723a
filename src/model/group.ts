// Parameter groups: the weights that one optimizer changes, with its state, its count of steps and its learning rates in backend memory.
import type { Bound, Engine, Storage } from '../engine.ts';
import type { Optimizer } from '../optimizers/optimizers.ts';
import type { Variable } from '../variable.ts';
import { held, logRows, roomOf } from './arena.ts';

/** Where a weight's gradient and state lie in the flat ranges, in elements. */
export interface Segment {
  readonly variable: Variable<'float32'>;
  readonly offset: number;
}

/** Weights that lie in a row, and where their gradients and states do, in elements. */
export interface Stretch {
  readonly storage: Storage;
  readonly start: number;
  readonly offset: number;
  readonly size: number;
}

/** An optimizer's state, weight by weight. */
export interface OptimizerState {
  /** Steps taken. */
  readonly step: number;
  /** Its up to three numbers a weight's element; undefined where the optimizer does not use one. */
  readonly states: ReadonlyMap<Variable, readonly (Float32Array | undefined)[]>;
}

/** The weights that an optimizer changes. They lie in arenas already; gradients and states are the group's own. */
export class ParameterGroup {
  readonly optimizer: Optimizer;
  readonly segments: readonly Segment[];
  readonly stretches: readonly Stretch[];
  /** Elements of the gradients and of each state. */
  readonly size: number;
  readonly states: readonly (Storage | undefined)[];
  /** int32 `[1]`: steps taken. */
  readonly counter: Bound;
  private readonly engine: Engine;
  private readonly ownsCounter: boolean;
  private readonly gradientRanges: Storage[] = [];
  private readonly rateTables: Storage[] = [];
  private rate = Number.NaN;

  /** `counter`: where steps are counted, if not in memory of its own. */
  constructor(
    engine: Engine,
    optimizer: Optimizer,
    variables: readonly Variable<'float32'>[],
    counter?: Bound,
  ) {
    this.engine = engine;
    this.optimizer = optimizer;
    ({ segments: this.segments, stretches: this.stretches, size: this.size } = layOut(variables));
    this.states = optimizer.states.map((used, i) =>
      used ? held(engine, this.size * 4, `state${i + 1}`) : undefined,
    );
    const { initialState } = optimizer;
    if (initialState !== undefined && this.size > 0)
      engine.backend.write(this.states[0]!.handle, 0, new Float32Array(this.size).fill(initialState));
    this.ownsCounter = counter === undefined;
    this.counter = counter ?? { storage: held(engine, 16, 'counters'), byteOffset: 0 };
  }

  /** The flat gradients; a step that applies the group several times has a range each time. */
  gradients(use: number): Storage {
    this.gradientRanges[use] ??= held(this.engine, this.size * 4, 'gradients');
    return this.gradientRanges[use];
  }

  /** float32: the learning rate; with a schedule `[logRows]`, that of each step by its row of the log, for each time it is applied. */
  rates(use: number): Storage {
    const { schedule } = this.optimizer;
    const at = schedule === undefined ? 0 : use;
    this.rateTables[at] ??= held(this.engine, schedule === undefined ? 16 : logRows * 4, 'scalars');
    return this.rateTables[at];
  }

  /** Writes the learning rate, or with a schedule those of the next `steps` steps, in each of which the group is applied `uses` times. */
  writeRates(steps: number, uses: number): void {
    const { optimizer, engine } = this;
    const { schedule, learningRate } = optimizer;
    if (schedule !== undefined) {
      const taken = this.step;
      for (let use = 0; use < uses; use++) {
        const rates = Float32Array.from({ length: steps }, (_, i) => schedule.at(taken + i * uses + use));
        engine.backend.write(this.rates(use).handle, 0, rates);
        optimizer.learningRate = rates[steps - 1]!;
      }
      return;
    }
    if (Object.is(learningRate, this.rate)) return;
    this.rate = learningRate;
    engine.backend.write(this.rates(0).handle, 0, Float32Array.of(learningRate));
  }

  /** Steps taken. */
  get step(): number {
    const taken = new Int32Array(1);
    const { storage, byteOffset } = this.counter;
    this.engine.backend.read(storage.handle, byteOffset, taken);
    return taken[0]!;
  }

  /** The optimizer's state, copied. */
  readState(): OptimizerState {
    const states = new Map<Variable, (Float32Array | undefined)[]>();
    for (const { variable, offset } of this.segments) {
      const copies = this.states.map((state) => {
        if (state === undefined) return undefined;
        const values = new Float32Array(variable.size);
        this.engine.backend.read(state.handle, offset * 4, values);
        return values;
      });
      states.set(variable, copies);
    }
    return { step: this.step, states };
  }

  /** Puts a state in place, of those weights that it tells of. */
  writeState({ step, states }: OptimizerState): void {
    const { backend } = this.engine;
    backend.write(this.counter.storage.handle, this.counter.byteOffset, Int32Array.of(step));
    for (const { variable, offset } of this.segments) {
      states.get(variable)?.forEach((values, i) => {
        const state = this.states[i];
        if (values !== undefined && state !== undefined) backend.write(state.handle, offset * 4, values);
      });
    }
  }

  dispose(): void {
    if (this.ownsCounter) this.counter.storage.release();
    for (const storage of [...this.states, ...this.gradientRanges, ...this.rateTables]) storage?.release();
  }
}

/** Weights in the order of their places, and the stretches that they form. */
function layOut(variables: readonly Variable<'float32'>[]) {
  const storages = [...new Set(variables.map((variable) => variable.memory('fit').storage))];
  const placed = variables.map((variable) => {
    const { storage, byteOffset } = variable.memory('fit');
    return { variable, storage, start: byteOffset / 4, rank: storages.indexOf(storage) };
  });
  placed.sort((a, b) => a.rank - b.rank || a.start - b.start);
  const segments: Segment[] = [];
  const stretches: { storage: Storage; start: number; offset: number; size: number }[] = [];
  let size = 0;
  for (const { variable, storage, start } of placed) {
    const room = roomOf(variable);
    const last = stretches.at(-1);
    if (last?.storage === storage && last.start + last.size === start) last.size += room;
    else stretches.push({ storage, start, offset: size, size: room });
    segments.push({ variable, offset: size });
    size += room;
  }
  return { segments, stretches, size };
}
