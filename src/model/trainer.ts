// The trainer: a compiled model's flat memory and programs, and the runs of steps that fit and evaluate ask for.
import type { Samples } from '../data/samples.ts';
import { type Bound, type Engine, type Executable, Storage } from '../engine.ts';
import { NablaError } from '../errors.ts';
import { type AnyMetric, isStreaming, ratio } from '../metrics/metric.ts';
import type { Tensor } from '../tensor.ts';
import { counterIndex, logRows, ParameterArena, TrainingMemory } from './arena.ts';
import type { EvaluateOptions } from './fit.ts';
import type { Logs } from './history.ts';
import { type Compiled, checkCount, type Model } from './model.ts';
import { type BatchSource, bindSource, type StepSpec, stepProgram } from './programs.ts';

/** Samples, labels and weights that steps read from. */
export interface StepData {
  readonly x: Samples;
  readonly y: Samples;
  /** float32 `[samples]`. */
  readonly weights: Tensor | undefined;
}

/** Which samples, in which order, in what batches. */
export interface Order {
  /** int32 indices of samples. */
  readonly storage: Storage;
  /** How many there are. */
  readonly count: number;
  readonly batchSize: number;
}

/** A stretch of steps that were run: the loss and the metrics of each. */
export interface Slice {
  /** Number of the first step in its epoch. */
  readonly first: number;
  readonly steps: number;
  /** `[column][step]`: the loss, then the metrics that give a number a step. */
  readonly columns: readonly Float32Array[];
  /** The sums of the streaming metrics over these steps, by their place among the metrics. */
  readonly sums: ReadonlyMap<number, Float32Array>;
}

// A slice of steps between two looks at the event loop, in milliseconds: about ten a second.
const sliceMs = 100;
// Programs of other shapes that are kept; the oldest go first.
const maxPrograms = 16;
// Evaluation keeps no gradients: larger batches than in training cost little memory and less time.
const evaluationBatch = 256;

/** A model's training state on one engine. */
export class Trainer {
  readonly engine: Engine;
  readonly names: readonly string[];
  readonly arena: ParameterArena;
  readonly memory: TrainingMemory;
  private readonly model: Model;
  private readonly compiled: Compiled;
  private readonly programs = new Map<string, Executable>();
  private readonly frozen: string;
  private readonly columns: number;
  private readonly zeroLog: Float32Array;
  private rate = Number.NaN;
  private busy = false;

  constructor(engine: Engine, model: Model, compiled: Compiled) {
    this.engine = engine;
    this.model = model;
    this.compiled = compiled;
    this.names = ['loss', ...compiled.metrics.map(({ name }) => name)];
    this.arena = new ParameterArena(engine, model.weights, (weight) => model.isTrained(weight));
    this.columns = 1 + compiled.metrics.filter((metric) => !isStreaming(metric)).length;
    this.memory = new TrainingMemory(engine, this.arena.trainedSize, compiled.optimizer, this.columns);
    this.frozen = this.trainedNames();
    this.zeroLog = new Float32Array(this.columns * logRows);
  }

  /** Must it be made anew: the backend changed, layers were frozen or thawed, or the weights have moved? */
  stale(current: Engine): boolean {
    return current !== this.engine || this.frozen !== this.trainedNames() || this.arena.left;
  }

  private trainedNames(): string {
    return this.model.weights.map((weight) => (this.model.isTrained(weight) ? '1' : '0')).join('');
  }

  /** Is a fit, evaluate or trainOnBatch under way? */
  get isBusy(): boolean {
    return this.busy;
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
    try {
      return await body();
    } finally {
      this.busy = false;
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
    let done = 0;
    let perSlice = 4;
    while (done < steps && !signal?.aborted) {
      const wanted = Math.min(perSlice, steps - done, logRows);
      if (train) this.writeRate(wanted);
      const began = performance.now();
      const run = program.start(inputs, [], wanted);
      const abort = () => run.stop();
      signal?.addEventListener('abort', abort);
      let ran: number;
      try {
        ran = (await run.done).steps;
      } catch (error) {
        this.clearLog();
        throw error;
      } finally {
        signal?.removeEventListener('abort', abort);
      }
      const elapsed = performance.now() - began;
      const slice = this.takeLog(from + done, ran);
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
    if (train) this.writeRate(1);
    this.writeCounters(0, 0);
    const inputs = this.inputsOf(data, order, full * order.batchSize);
    const program = this.program(train, data, rest, rest);
    try {
      await program.start(inputs, [], 1).done;
    } catch (error) {
      this.clearLog();
      throw error;
    }
    await onSlice(this.takeLog(full, 1));
    return 1;
  }

  /** The mean over an epoch that is to begin. */
  runningMean(): RunningMean {
    return new RunningMean(this.compiled.metrics);
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

  async evaluate(x: Samples, y: Samples, options: EvaluateOptions): Promise<Logs> {
    const where = `${this.model.name}.evaluate`;
    const { batchSize = evaluationBatch } = options;
    checkCount(where, 'batchSize', batchSize);
    checkPair(where, x, y);
    return await this.exclusively('evaluate', async () => {
      const order = this.orderOf(ascending(x.length), Math.min(batchSize, Math.max(1, x.length)));
      try {
        return await this.evaluateOver({ x, y, weights: undefined }, order);
      } finally {
        order.storage.release();
      }
    });
  }

  async trainOnBatch(x: Samples, y: Samples): Promise<Logs> {
    checkPair(`${this.model.name}.trainOnBatch`, x, y);
    return await this.exclusively('trainOnBatch', async () => {
      const order = this.orderOf(ascending(x.length), x.length);
      const mean = this.runningMean();
      try {
        const data = { x, y, weights: undefined };
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

  /** The training step's program, for listings and plans. */
  program(train: boolean, data: StepData, batchSize: number, orderLength = data.x.length): Executable {
    const { x, y, weights } = data;
    const shape = (s: Samples) => `${s.tensor.dtype}${s.tensor.shape}:${JSON.stringify(s.options)}`;
    const key = [train, batchSize, orderLength, shape(x), shape(y), weights !== undefined].join('|');
    let program = this.programs.get(key);
    if (program === undefined || program.stale) {
      program?.unload();
      const spec: StepSpec = {
        call: (batch, training) => this.model.call(batch, training),
        loss: this.compiled.loss,
        metrics: this.compiled.metrics,
        weights: this.arena.trained.map(({ variable }) => variable),
        batchSize,
        orderLength,
        x,
        y,
        weighted: weights !== undefined,
        memory: this.memory,
      };
      const update = { arena: this.arena, optimizer: this.compiled.optimizer };
      program = stepProgram(this.engine, spec, train ? update : undefined);
      if (this.programs.size >= maxPrograms) {
        const [oldest, former] = this.programs.entries().next().value!;
        former.unload();
        this.programs.delete(oldest);
      }
      this.programs.set(key, program);
    }
    return program;
  }

  private inputsOf(data: StepData, order: Order, firstSample: number): Bound[] {
    for (const { tensor } of [data.x, data.y]) checkHome(this.model.name, this.engine, tensor);
    const source: BatchSource = {
      x: data.x.tensor,
      y: data.y.tensor,
      order: { storage: order.storage, byteOffset: firstSample * 4 },
      weights: data.weights,
    };
    return bindSource(source);
  }

  private writeCounters(cursor: number, logRow: number): void {
    const { counters } = this.memory;
    this.engine.backend.write(counters.handle, counterIndex.cursor * 4, Int32Array.of(cursor, logRow));
  }

  /** Writes the learning rate, or with a schedule those of the next `steps` steps. */
  private writeRate(steps: number): void {
    const { optimizer } = this.compiled;
    const { schedule } = optimizer;
    if (schedule !== undefined) {
      const taken = new Int32Array(1);
      this.engine.backend.read(this.memory.counters.handle, counterIndex.step * 4, taken);
      const rates = Float32Array.from({ length: steps }, (_, i) => schedule.at(taken[0]! + i));
      this.engine.backend.write(this.memory.scalars.handle, 0, rates);
      optimizer.learningRate = rates[steps - 1]!;
      return;
    }
    const { learningRate } = optimizer;
    if (Object.is(learningRate, this.rate)) return;
    this.rate = learningRate;
    this.engine.backend.write(this.memory.scalars.handle, 0, Float32Array.of(learningRate));
  }

  /** Reads the log's rows since the last look and clears them. */
  private takeLog(first: number, steps: number): Slice {
    const { log, counters } = this.memory;
    const { backend } = this.engine;
    const columns = Array.from({ length: this.columns }, (_, column) => {
      const values = new Float32Array(steps);
      backend.read(log.handle, column * logRows * 4, values);
      backend.write(log.handle, column * logRows * 4, this.zeroLog.subarray(0, steps));
      return values;
    });
    backend.write(counters.handle, counterIndex.logRow * 4, Int32Array.of(0));
    return { first, steps, columns, sums: this.memory.takeSums() };
  }

  /** A run that failed leaves rows behind that nobody reads; steps add to what is there. */
  private clearLog(): void {
    if (this.memory.log.freed) return;
    this.engine.backend.write(this.memory.log.handle, 0, this.zeroLog);
    this.memory.takeSums();
  }

  dispose(): void {
    for (const program of this.programs.values()) program.unload();
    this.programs.clear();
    this.arena.dispose();
    this.memory.dispose();
  }
}

/** The loss and the metrics over the samples of an epoch, summed in double precision. */
export class RunningMean {
  private readonly metrics: readonly AnyMetric[];
  private readonly means: number[];
  private readonly states = new Map<number, Float64Array>();
  private samples = 0;

  constructor(metrics: readonly AnyMetric[]) {
    this.metrics = metrics;
    this.means = [0, ...metrics.flatMap((metric) => (isStreaming(metric) ? [] : [0]))];
  }

  add(slice: Slice, batchSize: number): boolean {
    slice.columns.forEach((column, i) => {
      for (const value of column) this.means[i]! += value * batchSize;
    });
    this.samples += slice.steps * batchSize;
    for (const [metric, sums] of slice.sums) {
      const state = this.states.get(metric) ?? new Float64Array(sums.length);
      sums.forEach((sum, i) => {
        state[i]! += sum;
      });
      this.states.set(metric, state);
    }
    return true;
  }

  /** The numbers so far, by name. */
  logs(): Logs {
    return this.named((column) => this.means[column]! / this.samples);
  }

  /** Those of one step of a slice that was added; streaming metrics give theirs of the epoch so far. */
  stepLogs(slice: Slice, step: number): Logs {
    return this.named((column) => slice.columns[column]![step]!);
  }

  private named(valueOf: (column: number) => number): Logs {
    const logs: Logs = { loss: valueOf(0) };
    let column = 1;
    this.metrics.forEach((metric, i) => {
      const state = this.states.get(i);
      if (!isStreaming(metric)) {
        const value = valueOf(column++);
        // Where steps were masked: the sum over the steps that count, and their number.
        logs[metric.name] = state === undefined ? value : ratio(state[0]!, state[1]!);
      } else logs[metric.name] = state === undefined ? Number.NaN : metric.result(state);
    });
    return logs;
  }
}

/** Throws unless the tensor lies in the memory of this engine: a handle means something else on another one. */
export function checkHome(where: string, engine: Engine, tensor: Tensor): void {
  const home = tensor.memory(where).storage.engine;
  if (home === engine) return;
  throw new NablaError(
    where,
    `data and model lie on two backends, got ${tensor} on ${home.backend.info.name}, expected it on ` +
      `${engine.backend.info.name}; make it anew after setBackend(), or copy it with tensor(await t.data(), t.shape)`,
  );
}

/** 0, 1, ... `count - 1`. */
export function ascending(count: number): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: count }, (_, i) => i);
}

/** Throws unless there are as many labels as samples, and some. */
export function checkPair(where: string, x: Samples, y: Samples): void {
  if (x.length !== y.length || x.length === 0) {
    throw new NablaError(
      where,
      `got ${x.length} samples and ${y.length} labels, expected the same number, at least one`,
    );
  }
}
