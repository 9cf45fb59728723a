// Parameter groups: the weights that one optimizer changes, with its state, its count of steps and its learning rates in backend memory.
import type { Bound, Engine, Storage } from '../engine.ts';
import { ComposedOptimizer } from '../optimizers/composed.ts';
import { LossScaleOptimizer, type LossScaleState } from '../optimizers/loss-scale.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { FlatOptimizer } from '../optimizers/optimizers.ts';
import { type Shape, sizeOf } from '../shape.ts';
import type { Variable } from '../variable.ts';
import { held, logRows, roomFor, roomOf } from './arena.ts';
import type { LossScaling } from './scaling.ts';

/** Where a weight's gradient and state lie in the flat ranges, in elements. */
export interface Segment {
  readonly variable: Variable<'float32'>;
  readonly offset: number;
}

/** Where a state of a weight lies in the range of a composed optimizer's states, in elements. */
export interface StatePlace {
  readonly name: string;
  readonly shape: Shape;
  readonly offset: number;
}

/** Weights that lie in a row and are updated alike, and where their gradients and states do, in elements. */
export interface Stretch {
  /** The first of them. */
  readonly variable: Variable<'float32'>;
  readonly storage: Storage;
  readonly start: number;
  readonly offset: number;
  readonly size: number;
}

/** An optimizer's state, weight by weight. */
export interface OptimizerState {
  /** Steps taken. */
  readonly step: number;
  /** What is kept for a weight, in one order always: states, gathered gradients, average. */
  readonly states: ReadonlyMap<Variable, readonly Float32Array[]>;
  /** Where the loss scale stands, if losses are scaled. */
  readonly lossScale?: LossScaleState;
}

/** The weights that an optimizer changes. They lie in arenas already; gradients and states are the group's own. */
export class ParameterGroup {
  /** What changes the weights: the inner optimizer, where losses are scaled. */
  readonly optimizer: Optimizer;
  /** The scale of the losses, where they are scaled. */
  readonly scaling: LossScaling | undefined;
  readonly segments: readonly Segment[];
  readonly stretches: readonly Stretch[];
  /** Elements of the gradients and of each state. */
  readonly size: number;
  /** Those of a flat optimizer: its three ranges; those of a composed one: all in one, by {@link stateLayout}. */
  readonly states: readonly (Storage | undefined)[];
  readonly stateLayout: ReadonlyMap<Variable, readonly StatePlace[]>;
  /** The sum of the gradients since the last step that changed the weights; that of the next one begins anew. */
  readonly accumulated: Storage | undefined;
  /** The exponential moving average of the weights. */
  readonly average: Storage | undefined;
  /** int32 `[1]`: steps taken. */
  readonly counter: Bound;
  private readonly engine: Engine;
  private readonly ownsCounter: boolean;
  private readonly gradientRanges: Storage[] = [];
  private readonly rateTables: Storage[] = [];
  private rate = Number.NaN;
  private swapped = false;

  /** `counter`: where steps are counted, if not in memory of its own. `scaling`: that of a loss-scale optimizer. */
  constructor(
    engine: Engine,
    given: Optimizer,
    variables: readonly Variable<'float32'>[],
    counter?: Bound,
    scaling?: LossScaling,
  ) {
    const optimizer = given instanceof LossScaleOptimizer ? given.innerOptimizer : given;
    this.engine = engine;
    this.optimizer = optimizer;
    this.scaling = scaling;
    ({ segments: this.segments, stretches: this.stretches, size: this.size } = layOut(variables, optimizer));
    const { size, segments } = this;
    const make = (label: string) => held(engine, size * 4, label);
    this.stateLayout = new Map();
    this.states = [];
    if (optimizer instanceof ComposedOptimizer) {
      const { places, initial } = layOutStates(optimizer, segments);
      this.stateLayout = places;
      this.states = [held(engine, initial.byteLength, 'states')];
      engine.backend.write(this.states[0]!.handle, 0, initial);
    } else if (optimizer instanceof FlatOptimizer) {
      const { states, initialState } = optimizer;
      this.states = states.map((used, i) => (used ? make(`state${i + 1}`) : undefined));
      if (initialState !== 0 && size > 0)
        engine.backend.write(this.states[0]!.handle, 0, new Float32Array(size).fill(initialState));
    }
    if (optimizer.gradientAccumulationSteps > 1) this.accumulated = make('accumulated');
    if (optimizer.averaging !== undefined) this.average = make('average');
    this.ownsCounter = counter === undefined;
    this.counter = counter ?? { storage: held(engine, 16, 'counters'), byteOffset: 0 };
  }

  /** The flat gradients; a step that applies the group several times has a range each time. */
  gradients(use: number): Storage {
    this.gradientRanges[use] ??= held(this.engine, this.size * 4, 'gradients');
    return this.gradientRanges[use];
  }

  /**
   * float32: the learning rate; with a schedule `[logRows]`, that of each step by its row of the log, for each time it is applied, or with
   * scaled losses one after the other.
   */
  rates(use: number): Storage {
    const { schedule } = this.optimizer;
    const at = schedule === undefined || this.scaling !== undefined ? 0 : use;
    this.rateTables[at] ??= held(this.engine, schedule === undefined ? 16 : logRows * 4, 'scalars');
    return this.rateTables[at];
  }

  /** Writes the learning rate, or with a schedule those of the next `steps` steps, in each of which the group is applied `uses` times. */
  writeRates(steps: number, uses: number): void {
    const { optimizer, engine } = this;
    const { schedule, learningRate } = optimizer;
    if (schedule !== undefined) {
      const taken = this.step;
      if (this.scaling !== undefined) {
        // Steps that are passed over take none of them.
        const rates = Float32Array.from({ length: steps * uses }, (_, i) => schedule.at(taken + i));
        engine.backend.write(this.rates(0).handle, 0, rates);
        this.scaling.writeBase(taken);
        optimizer.learningRate = rates.at(-1)!;
        return;
      }
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

  /** How many steps the table of learning rates is enough for, where each applies the group so often. */
  mostSteps(uses: number): number {
    const shared = this.scaling !== undefined && this.optimizer.schedule !== undefined;
    return shared ? Math.floor(logRows / uses) : logRows;
  }

  /** Steps taken. */
  get step(): number {
    const taken = new Int32Array(1);
    const { storage, byteOffset } = this.counter;
    storage.engine.backend.read(storage.handle, byteOffset, taken);
    return taken[0]!;
  }

  /** Where what is kept for a weight lies, in elements. */
  private placesOf({ variable, offset }: Segment): { storage: Storage; offset: number; size: number }[] {
    const { size } = variable;
    const flat = (storage: Storage | undefined) => (storage === undefined ? [] : [{ storage, offset, size }]);
    const composed = this.stateLayout.get(variable);
    const states = composed
      ? composed.map((place) => ({
          storage: this.states[0]!,
          offset: place.offset,
          size: sizeOf(place.shape),
        }))
      : this.states.flatMap(flat);
    return [...states, ...flat(this.accumulated), ...flat(this.average)];
  }

  private read(storage: Storage, offset: number, size: number): Float32Array<ArrayBuffer> {
    const values = new Float32Array(size);
    storage.engine.backend.read(storage.handle, offset * 4, values);
    return values;
  }

  /** The optimizer's state, copied. */
  readState(): OptimizerState {
    const states = new Map<Variable, Float32Array[]>();
    for (const segment of this.segments) {
      const copies = this.placesOf(segment).map(({ storage, offset, size }) =>
        this.read(storage, offset, size),
      );
      // Training that is taken up from averages goes on with them.
      if (this.swapped) copies[copies.length - 1] = segment.variable.dataSync().slice();
      states.set(segment.variable, copies);
    }
    const lossScale = this.scaling?.read();
    return { step: this.step, states, ...(lossScale && { lossScale }) };
  }

  /** Puts a state in place, of those weights that it tells of. */
  writeState({ step, states, lossScale }: OptimizerState): void {
    const { backend } = this.engine;
    if (lossScale !== undefined) this.scaling?.write(lossScale);
    backend.write(this.counter.storage.handle, this.counter.byteOffset, Int32Array.of(step));
    for (const segment of this.segments) {
      const values = states.get(segment.variable);
      if (values === undefined) continue;
      this.placesOf(segment).forEach(({ storage, offset }, i) => {
        backend.write(storage.handle, offset * 4, values[i]!);
      });
    }
  }

  /** The gradients of the last step, as the optimizer got them but for a global norm. */
  readGradients(): Map<Variable<'float32'>, Float32Array> {
    const { norm, value } = this.optimizer.clipping;
    const every = this.optimizer.gradientAccumulationSteps;
    const sums = this.accumulated !== undefined && norm === undefined && value === undefined;
    const flat = sums ? this.accumulated : this.gradients(0);
    const given = (values: Float32Array) => (sums ? values.map((each) => each / every) : values);
    return new Map(
      this.segments.map(({ variable, offset }) => [variable, given(this.read(flat!, offset, variable.size))]),
    );
  }

  /** Puts the average of the weights in their place, where the optimizer keeps one and a step has been taken. */
  useAverage(): void {
    // Both are then the average, which lies in the one or in the other.
    if (this.swapped) this.swapAverage();
    const { average } = this;
    if (average === undefined || this.step === 0) return;
    for (const { variable, offset } of this.segments) {
      const { storage, byteOffset } = variable.memory('average');
      this.engine.backend.write(storage.handle, byteOffset, this.read(average, offset, variable.size));
    }
  }

  /** Weights and their average change places, where the optimizer keeps one and a step has been taken. */
  swapAverage(): void {
    const { average } = this;
    if (average === undefined || this.step === 0) return;
    const { backend } = this.engine;
    for (const { variable, offset } of this.segments) {
      const { storage, byteOffset } = variable.memory('average');
      const averaged = this.read(average, offset, variable.size);
      backend.write(average.handle, offset * 4, variable.dataSync());
      backend.write(storage.handle, byteOffset, averaged);
    }
    this.swapped = !this.swapped;
  }

  dispose(): void {
    if (this.ownsCounter) this.counter.storage.release();
    const own = [...this.states, this.accumulated, this.average, ...this.gradientRanges, ...this.rateTables];
    for (const storage of own) storage?.release();
  }
}

/** Weights in the order of their places, and the stretches that they form. */
function layOut(variables: readonly Variable<'float32'>[], optimizer: Optimizer) {
  const storages = [...new Set(variables.map((variable) => variable.memory('fit').storage))];
  const placed = variables.map((variable) => {
    const { storage, byteOffset } = variable.memory('fit');
    return { variable, storage, start: byteOffset / 4, rank: storages.indexOf(storage) };
  });
  placed.sort((a, b) => a.rank - b.rank || a.start - b.start);
  const segments: Segment[] = [];
  const stretches: (Stretch & { size: number; alike: string })[] = [];
  let size = 0;
  for (const { variable, storage, start } of placed) {
    const room = roomOf(variable);
    const last = stretches.at(-1);
    const alike = optimizer.groupOf(variable);
    if (last?.storage === storage && last.start + last.size === start && last.alike === alike)
      last.size += room;
    else stretches.push({ variable, storage, start, offset: size, size: room, alike });
    segments.push({ variable, offset: size });
    size += room;
  }
  return { segments, stretches, size };
}

/** Gives each state of each weight its place, and the numbers that they begin with. */
function layOutStates(optimizer: ComposedOptimizer, segments: readonly Segment[]) {
  const places = new Map<Variable, readonly StatePlace[]>();
  const filled: { offset: number; size: number; value: number }[] = [];
  let end = 0;
  for (const { variable } of segments) {
    const specs = Object.entries(optimizer.states(variable));
    const own = specs.map(([name, { shape, initial = 0 }]) => {
      const offset = end;
      const size = sizeOf(shape);
      if (initial !== 0) filled.push({ offset, size, value: initial });
      end += roomFor(size);
      return { name, shape, offset };
    });
    places.set(variable, own);
  }
  const initial = new Float32Array(end);
  for (const { offset, size, value } of filled) initial.fill(value, offset, offset + size);
  return { places, initial };
}
