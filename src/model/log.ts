// The log of steps: how a program writes its numbers, and the means over an epoch that are made of them.
import type { Storage } from '../engine.ts';
import { NablaError } from '../errors.ts';
import { countingOnly, sumsOf } from '../masks.ts';
import type { AnyMetric, StreamingMetric } from '../metrics/metric.ts';
import { isStreaming, ratio } from '../metrics/metric.ts';
import { exactly } from '../ops/nn.ts';
import { stack } from '../ops/shape.ts';
import type { Graph } from '../program/graph.ts';
import { sameShape, showShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { named, valueOf } from '../trace.ts';
import { counterIndex, logRows, type TrainingMemory } from './arena.ts';
import type { Logs } from './history.ts';

/** Something that steps report: a number a step, or the sums of a metric. */
export interface LogEntry {
  readonly name: string;
  readonly metric: StreamingMetric | undefined;
}

/** A stretch of steps that were run: what each reported. */
export interface Slice {
  /** Number of the first step in its epoch. */
  readonly first: number;
  readonly steps: number;
  readonly entries: readonly LogEntry[];
  /** Numbers a step, by name. */
  readonly columns: ReadonlyMap<string, Float32Array>;
  /** The sums of the streaming metrics over these steps, by name. */
  readonly sums: ReadonlyMap<string, Float32Array>;
}

/** Throws unless there is one number a sample. */
export function checkPerSample(name: string, values: Tensor, batchSize: number): void {
  if (values instanceof Tensor && sameShape(values.shape, [batchSize])) return;
  const got = values instanceof Tensor ? showShape(values.shape) : typeof values;
  throw new NablaError(
    name,
    `expected one number a sample, [${batchSize}], got ${got}; average over the other dimensions`,
  );
}

/** Gathers what a step reports while it is traced, and has the program write it. */
export class LogWriter {
  readonly entries: LogEntry[] = [];
  private readonly graph: Graph;
  private readonly memory: TrainingMemory;
  private readonly values: Tensor[] = [];
  private readonly columns: Storage[] = [];

  constructor(graph: Graph, memory: TrainingMemory) {
    this.graph = graph;
    this.memory = memory;
  }

  /** Reports a scalar. */
  value(name: string, value: Tensor): void {
    this.entries.push({ name, metric: undefined });
    this.values.push(value);
    this.columns.push(this.memory.column(name));
  }

  /** Reports a metric of labels and predictions. `weights`, `[batch]`: how much each sample counts. */
  metric(metric: AnyMetric, yTrue: Tensor, predictions: Tensor, batchSize: number, weights?: Tensor): void {
    const { name } = metric;
    const { mask } = predictions;
    const yPred = exactly(predictions);
    named(name, () => {
      if (isStreaming(metric)) {
        this.entries.push({ name, metric });
        const update = countingOnly(mask, () => metric.update(yTrue, yPred), weights);
        this.accumulate(name, update);
        return;
      }
      const call = () => {
        const perSample = metric.call(yTrue, yPred);
        checkPerSample(name, perSample, batchSize);
        return perSample;
      };
      const { sum, count, plain } = countingOnly(mask, () => sumsOf(call), weights);
      if (plain !== undefined) {
        this.value(name, plain);
        return;
      }
      // Batches differ in how much of them counts: the mean over an epoch weighs them by that.
      this.entries.push({
        name,
        metric: { name, update: metric.call, result: ([total, all]) => ratio(total!, all!) },
      });
      this.accumulate(name, stack([sum, count], 0));
    });
  }

  /** Adds what a step brings to a streaming metric to its sums. */
  private accumulate(name: string, update: Tensor): void {
    if (!(update instanceof Tensor) || update.rank !== 1 || update.dtype !== 'float32') {
      throw new NablaError(name, `expected update() to give float32 sums [n], got ${String(update)}`);
    }
    const storage = this.memory.accumulator(name, update.size);
    const sums = this.graph.external({ storage, byteOffset: 0 }, [update.size], 'float32');
    this.graph.addEffect({
      kernel: 'map',
      outputs: [sums],
      inputs: [sums, valueOf(this.graph, update, name)],
      attributes: [],
      micro: [{ op: 'add', args: [0, 1] }],
      where: name,
    });
  }

  /** Adds the step's numbers to the log, which is zero where it has not been written. */
  write(): void {
    const { graph, memory } = this;
    const place = { storage: memory.counters, byteOffset: counterIndex.logRow * 4 };
    const row = graph.external(place, [1], 'int32');
    this.values.forEach((value, i) => {
      graph.addEffect({
        kernel: 'scatterAdd',
        outputs: [graph.external({ storage: this.columns[i]!, byteOffset: 0 }, [logRows, 1], 'float32')],
        inputs: [valueOf(graph, value, 'log'), row],
        attributes: [1, logRows, 1, 1],
        where: 'log',
      });
    });
  }
}

/** What steps reported over the samples of an epoch, summed in double precision. */
export class RunningMean {
  private entries: readonly LogEntry[];
  private readonly means = new Map<string, number>();
  private readonly states = new Map<string, Float64Array>();
  private samples = 0;

  /** `entries`: what is to be reported, as far as it is known before the first step. */
  constructor(entries: readonly LogEntry[]) {
    this.entries = entries;
  }

  add(slice: Slice, batchSize: number): boolean {
    this.entries = slice.entries;
    for (const [name, column] of slice.columns) {
      let sum = this.means.get(name) ?? 0;
      for (const value of column) sum += value * batchSize;
      this.means.set(name, sum);
    }
    this.samples += slice.steps * batchSize;
    for (const [name, sums] of slice.sums) {
      const state = this.states.get(name) ?? new Float64Array(sums.length);
      sums.forEach((sum, i) => {
        state[i]! += sum;
      });
      this.states.set(name, state);
    }
    return true;
  }

  /** The numbers so far, by name. */
  logs(): Logs {
    return this.named((name) => (this.means.get(name) ?? 0) / this.samples);
  }

  /** Those of one step of a slice that was added; streaming metrics give theirs of the epoch so far. */
  stepLogs(slice: Slice, step: number): Logs {
    return this.named((name) => slice.columns.get(name)![step]!);
  }

  private named(valueOf: (name: string) => number): Logs {
    const logs: Logs = {};
    for (const { name, metric } of this.entries) {
      const state = this.states.get(name);
      if (metric === undefined) logs[name] = valueOf(name);
      else logs[name] = state === undefined ? Number.NaN : metric.result(state);
    }
    return logs;
  }
}
