// The trainer: a compiled model's training memory and programs, and the runs of steps that fit and evaluate ask for.
import type { Samples } from '../data/samples.ts';
import { type Bound, type Engine, Storage } from '../engine.ts';
import { NablaError } from '../errors.ts';
import { isStreaming } from '../metrics/metric.ts';
import type { Nested } from '../nested.ts';
import { drawFrom } from '../ops/random.ts';
import { LossScaleOptimizer } from '../optimizers/loss-scale.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import type { SavedOptimizer } from '../saving/progress.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { counterIndex, logRows, settle, TrainingMemory } from './arena.ts';
import { type BatchSpec, bindSource } from './batch.ts';
import type { EvaluateOptions } from './fit-options.ts';
import { type OptimizerState, ParameterGroup } from './group.ts';
import type { Head } from './heads.ts';
import type { Logs } from './history.ts';
import { type LogEntry, RunningMean, type Slice } from './log.ts';
import { type Compiled, checkCount, type Model } from './model.ts';
import { customProgram, type StepProgram, type StepSpec, stepProgram } from './programs.ts';
import { LossScaling } from './scaling.ts';
import { ascending, checkHome, type Order, type StepData } from './step-data.ts';
import { runOwnStep } from './take.ts';
import { applyGradients, countStep } from './update.ts';

// A slice of steps between two looks at the event loop, in milliseconds: about ten a second.
const sliceMs = 100;
// Programs of other shapes that are kept; the oldest go first.
const maxPrograms = 16;
// Evaluation keeps no gradients: larger batches than in training cost little memory and less time.
const evaluationBatch = 256;

/** A model's training state on one engine. */
export class Trainer {
  readonly engine: Engine;
  /** What is reported of every step. */
  readonly entries: readonly LogEntry[];
  readonly memory: TrainingMemory;
  /** The optimizers that were used, with their weights. */
  readonly groups = new Map<Optimizer, ParameterGroup>();
  private readonly scalings = new Map<Optimizer, LossScaling>();
  /** Is given an optimizer that is used for the first time, to put a saved state in place. */
  onFirstUse: ((optimizer: Optimizer, group: ParameterGroup) => void) | undefined;
  /** Saved states of optimizers that were not used yet. */
  awaited: SavedOptimizer[] = [];
  // The states of optimizers in the trainer that this one took the place of.
  private readonly inherited: ReadonlyMap<Optimizer, OptimizerState>;
  private readonly compiled: Compiled;
  private readonly model: Model<Nested<Tensor>>;
  private readonly heads: readonly Head[];
  private readonly programs = new Map<string, StepProgram>();
  private readonly weights: readonly Variable[];
  private readonly places: readonly Storage[];
  private readonly trained: readonly Variable[];
  private busy = false;
  private stepping = false;

  /** `former`: the trainer that it takes the place of, whose optimizer goes on. */
  constructor(
    engine: Engine,
    model: Model<Nested<Tensor>>,
    compiled: Compiled,
    heads: readonly Head[],
    former?: Trainer,
  ) {
    this.engine = engine;
    this.model = model;
    this.compiled = compiled;
    this.heads = heads;
    this.entries = entriesOf(heads);
    const { weights } = model;
    this.trained = model.trainableWeights;
    this.inherited = former?.engine.closed === false ? former.optimizerState() : new Map();
    settle(engine, weights, new Set(this.trained), (weight) => compiled.optimizer.groupOf(weight));
    this.weights = weights;
    this.places = weights.map((weight) => weight.memory('fit').storage);
    this.memory = new TrainingMemory(engine);
  }

  /** Bytes that the largest step traced so far plans for what it computes. */
  get workspaceBytes(): number {
    return Math.max(0, ...[...this.programs.values()].map((made) => made.executable.compiled.workspaceBytes));
  }

  /** The weights that are trained, and the state of the optimizer that the model was compiled with. */
  get group(): ParameterGroup {
    const { optimizer } = this.compiled;
    return this.groups.get(optimizer) ?? this.groupOf(optimizer, this.model.trainableWeights);
  }

  /** The state of each optimizer that was used, copied; of weights that are frozen now, what it was when they were trained. */
  optimizerState(): ReadonlyMap<Optimizer, OptimizerState> {
    const all = new Map(this.inherited);
    for (const [optimizer, group] of this.groups) {
      const { states, ...rest } = group.readState();
      all.set(optimizer, { ...rest, states: new Map([...(all.get(optimizer)?.states ?? []), ...states]) });
    }
    return all;
  }

  /** The scale of an optimizer's losses, where they are scaled, made when it is first used. */
  private scalingOf(optimizer: Optimizer): LossScaling | undefined {
    if (!(optimizer instanceof LossScaleOptimizer)) return undefined;
    const known = this.scalings.get(optimizer) ?? new LossScaling(this.engine, optimizer);
    this.scalings.set(optimizer, known);
    return known;
  }

  /** An optimizer's weights and state, made when it is first used. */
  private groupOf(optimizer: Optimizer, variables: readonly Variable<'float32'>[]): ParameterGroup {
    const where = `${this.model.name}.trainStep`;
    const known = this.groups.get(optimizer);
    if (known !== undefined) {
      const same = new Set<Variable>(known.segments.map(({ variable }) => variable));
      if (same.size === variables.length && variables.every((variable) => same.has(variable))) return known;
      throw new NablaError(
        where,
        `${optimizer.name} changed other weights before, got ${variables.length}, expected the same ${same.size}; ` +
          'make an optimizer for each set of weights',
      );
    }
    const mine = new Set<Variable>(this.weights);
    const strange = variables.find((variable) => !mine.has(variable));
    if (strange !== undefined) {
      throw new NablaError(
        where,
        `${strange.name} is no weight of the model, expected one of a layer or variable in its fields; keep it in a field`,
      );
    }
    // Of the model's own optimizer steps are counted with the batches.
    const counter = { storage: this.memory.counters, byteOffset: counterIndex.step * 4 };
    const own = optimizer === this.compiled.optimizer ? counter : undefined;
    const group = new ParameterGroup(this.engine, optimizer, variables, own, this.scalingOf(optimizer));
    const state = this.inherited.get(optimizer);
    if (state !== undefined) group.writeState(state);
    else this.onFirstUse?.(optimizer, group);
    this.groups.set(optimizer, group);
    return group;
  }

  /** Must it be made anew: the backend changed, layers were frozen or thawed, or weights came, went or moved? */
  stale(current: Engine): boolean {
    const { weights, trainableWeights } = this.model;
    return (
      current !== this.engine ||
      weights.length !== this.weights.length ||
      trainableWeights.length !== this.trained.length ||
      trainableWeights.some((weight, i) => weight !== this.trained[i]) ||
      weights.some(
        (weight, i) => weight !== this.weights[i] || weight.memory('fit').storage !== this.places[i],
      )
    );
  }

  /** Is a fit, evaluate or trainOnBatch under way? */
  get isBusy(): boolean {
    return this.busy;
  }

  /** Are steps running just now? Not while callbacks are called. */
  get isStepping(): boolean {
    return this.stepping;
  }

  /** One fit, evaluate or trainOnBatch at a time. */
  async exclusively<T>(where: string, body: () => Promise<T>): Promise<T> {
    if (this.busy) {
      throw new NablaError(
        `${this.model.name}.${where}`,
        'the model is being trained or evaluated already; await the former call first',
      );
    }
    this.busy = true;
    this.engine.users++;
    this.model.random.begin();
    try {
      return await body();
    } finally {
      this.busy = false;
      this.engine.users--;
    }
  }

  /** Runs `steps` steps from step `from` of the order on, in slices; stops where `onSlice` gives false. Gives the steps that ran. */
  async run(
    train: boolean,
    data: StepData,
    order: Order,
    from: number,
    steps: number,
    onSlice: (slice: Slice) => Promise<boolean> | boolean,
    signal?: AbortSignal,
  ): Promise<number> {
    const program = this.program(train, data, order.batchSize, order.count);
    const inputs = this.inputsOf(data, order, 0);
    this.writeCounters(from, 0);
    const most = Math.min(logRows, ...[...program.uses].map(([group, uses]) => group.mostSteps(uses)));
    let done = 0;
    let perSlice = 4;
    while (done < steps && !signal?.aborted) {
      const wanted = Math.min(perSlice, steps - done, most);
      for (const [group, uses] of program.uses) group.writeRates(wanted, uses);
      const began = performance.now();
      const run = program.executable.start(inputs, [], wanted);
      const abort = () => run.stop();
      signal?.addEventListener('abort', abort);
      let ran: number;
      this.stepping = true;
      try {
        ran = (await run.done).steps;
      } catch (error) {
        this.memory.clear();
        throw error;
      } finally {
        this.stepping = false;
        signal?.removeEventListener('abort', abort);
      }
      const elapsed = performance.now() - began;
      const slice = this.takeLog(program, from + done, ran);
      done += ran;
      perSlice = Math.max(1, Math.round((ran * sliceMs) / Math.max(elapsed, 0.5)));
      if (!(await onSlice(slice)) || ran < wanted) break;
    }
    return done;
  }

  /** One step over the samples that are left after the full batches, if any. */
  async runRest(
    train: boolean,
    data: StepData,
    order: Order,
    onSlice: (slice: Slice) => Promise<boolean> | boolean,
  ): Promise<number> {
    const full = Math.floor(order.count / order.batchSize);
    const rest = order.count - full * order.batchSize;
    if (rest === 0) return 0;
    const program = this.program(train, data, rest, rest);
    for (const [group, uses] of program.uses) group.writeRates(1, uses);
    this.writeCounters(0, 0);
    const inputs = this.inputsOf(data, order, full * order.batchSize);
    try {
      await program.executable.start(inputs, [], 1).done;
    } catch (error) {
      this.memory.clear();
      throw error;
    }
    await onSlice(this.takeLog(program, full, 1));
    return 1;
  }

  /** The mean over an epoch that is to begin. */
  runningMean(): RunningMean {
    return new RunningMean(this.entries);
  }

  /** Loss and metrics over all of an order's samples. */
  async evaluateOver(data: StepData, order: Order): Promise<Logs> {
    const mean = this.runningMean();
    const full = Math.floor(order.count / order.batchSize);
    if (full > 0) await this.run(false, data, order, 0, full, (slice) => mean.add(slice, order.batchSize));
    const rest = order.count - full * order.batchSize;
    await this.runRest(false, data, order, (slice) => mean.add(slice, rest));
    return mean.logs();
  }

  async evaluate(data: StepData, options: EvaluateOptions): Promise<Logs> {
    const { batchSize = evaluationBatch } = options;
    checkCount(`${this.model.name}.evaluate`, 'batchSize', batchSize);
    return await this.exclusively('evaluate', async () => {
      const { length } = data.x[0]!;
      const order = this.orderOf(ascending(length), Math.min(batchSize, Math.max(1, length)));
      try {
        return await this.evaluateOver(data, order);
      } finally {
        order.storage.release();
      }
    });
  }

  async trainOnBatch(data: StepData): Promise<Logs> {
    return await this.exclusively('trainOnBatch', async () => {
      const { length } = data.x[0]!;
      const order = this.orderOf(ascending(length), length);
      const mean = this.runningMean();
      try {
        await this.run(true, data, order, 0, 1, (slice) => mean.add(slice, 1));
        return mean.logs();
      } finally {
        order.storage.release();
      }
    });
  }

  /** An order of samples in backend memory. The caller releases it. */
  orderOf(indices: Int32Array, batchSize: number): Order {
    const storage = new Storage(this.engine, Math.max(4, indices.byteLength), 'order');
    storage.retain();
    this.engine.backend.write(storage.handle, 0, indices);
    return { storage, count: indices.length, batchSize };
  }

  /** The program of a training or evaluation step. */
  program(train: boolean, data: StepData, batchSize: number, orderLength = data.x[0]!.length): StepProgram {
    const { x, y, weights } = data;
    const shape = (s: Samples) => `${s.tensor.dtype}${s.tensor.shape}:${JSON.stringify(s.options)}`;
    const weighted = weights.map((each) => each !== undefined);
    const key = [train, batchSize, orderLength, ...x.map(shape), ...y.map(shape), ...weighted].join('|');
    let program = this.programs.get(key);
    if (program === undefined || program.executable.stale) {
      program?.executable.unload();
      const source = { batchSize, orderLength, x, y, weighted, memory: this.memory };
      program = drawFrom(this.model.random.state, () =>
        this.model.customStep(train)
          ? this.customProgram(train, source, data)
          : this.builtInProgram(train, source),
      );
      if (this.programs.size >= maxPrograms) {
        const [oldest, former] = this.programs.entries().next().value!;
        former.executable.unload();
        this.programs.delete(oldest);
      }
      this.programs.set(key, program);
    }
    return program;
  }

  private builtInProgram(train: boolean, source: BatchSpec): StepProgram {
    const spec: StepSpec = {
      ...source,
      call: (inputs, training) => this.model.outputsOf(inputs, training),
      heads: this.heads,
      weights: this.model.trainableWeights,
    };
    return stepProgram(this.engine, spec, train ? this.group : undefined);
  }

  private customProgram(train: boolean, source: BatchSpec, data: StepData): StepProgram {
    return customProgram(this.engine, source, (graph, batch, log) => {
      const uses = new Map<ParameterGroup, number>();
      const update = (optimizer: Optimizer, gradients: ReadonlyMap<Variable<'float32'>, Tensor>) => {
        const group = this.groupOf(optimizer, [...gradients.keys()]);
        const use = uses.get(group) ?? 0;
        uses.set(group, use + 1);
        const ordered = group.segments.map(({ variable }) => gradients.get(variable)!);
        applyGradients(graph, this.memory, group, ordered, use);
        countStep(graph, group);
      };
      const scaling = (optimizer: Optimizer) => this.scalingOf(optimizer);
      runOwnStep(this.model, train, data, batch, source.batchSize, { log, update, scaling });
      return uses;
    });
  }

  /** The memory that a step's program is given. */
  inputsOf(data: StepData, order: Order, firstSample: number): Bound[] {
    const [x, y] = [data.x, data.y].map((list) => list.map(({ tensor }) => tensor)) as [Tensor[], Tensor[]];
    for (const tensor of [...x, ...y]) checkHome(this.model.name, this.engine, tensor);
    const bound = { storage: order.storage, byteOffset: firstSample * 4 };
    return bindSource({ x, y, order: bound, weights: data.weights });
  }

  /** The gradients of the last step, as the optimizers got them but for a global norm. */
  readGradients(): Map<Variable<'float32'>, Float32Array> {
    return new Map([...this.groups.values()].flatMap((group) => [...group.readGradients()]));
  }

  /** Puts the averages of weights in their place, where optimizers keep them. */
  useAverage(): void {
    for (const group of this.groups.values()) group.useAverage();
  }

  /** Weights and their averages change places, where optimizers keep them. */
  swapAverage(): void {
    for (const group of this.groups.values()) group.swapAverage();
  }

  private writeCounters(cursor: number, logRow: number): void {
    const { counters } = this.memory;
    this.engine.backend.write(counters.handle, counterIndex.cursor * 4, Int32Array.of(cursor, logRow));
  }

  /** Reads the log's rows since the last look and clears them. */
  private takeLog({ entries }: StepProgram, first: number, steps: number): Slice {
    const numbers = entries.filter(({ metric }) => metric === undefined);
    const columns = new Map(numbers.map(({ name }) => [name, this.memory.takeColumn(name, steps)]));
    const { counters } = this.memory;
    this.engine.backend.write(counters.handle, counterIndex.logRow * 4, Int32Array.of(0));
    return { first, steps, entries, columns, sums: this.memory.takeSums() };
  }

  dispose(): void {
    for (const { executable } of this.programs.values()) executable.unload();
    this.programs.clear();
    for (const group of this.groups.values()) group.dispose();
    for (const scaling of this.scalings.values()) scaling.dispose();
    this.memory.dispose();
  }
}

/** What a model with these heads reports. */
function entriesOf(heads: readonly Head[]): LogEntry[] {
  const losses = heads.flatMap(({ lossName }) => (lossName === undefined ? [] : [lossName]));
  const numbers = ['loss', ...losses].map((name) => ({ name, metric: undefined }));
  const metrics = heads.flatMap(({ metrics }) => metrics);
  return [
    ...numbers,
    ...metrics.map(({ metric }) => ({ name: metric.name, metric: isStreaming(metric) ? metric : undefined })),
  ];
}
