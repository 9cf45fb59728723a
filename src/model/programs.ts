// The model's step: one training or evaluation step, traced from its layers, losses and metrics into one program.
import { gradientOf } from '../autodiff.ts';
import type { Samples } from '../data/samples.ts';
import { type Bound, type Engine, Executable } from '../engine.ts';
import { NablaError } from '../errors.ts';
import { advanceRandom } from '../jit.ts';
import { add, mul } from '../ops/arithmetic.ts';
import { mean } from '../ops/reduce.ts';
import { floatBits, Graph, Value } from '../program/graph.ts';
import { gatherModes } from '../program/kernels.ts';
import { collectPenalties, penaltyOf } from '../regularizers.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { named, trace } from '../trace.ts';
import type { Variable } from '../variable.ts';
import { counterIndex, type TrainingMemory } from './arena.ts';
import type { ParameterGroup } from './group.ts';
import type { Head } from './heads.ts';
import { checkPerSample, type LogEntry, LogWriter } from './log.ts';
import { applyGradients } from './update.ts';

/** What a program is made for. */
export interface StepSpec {
  /** The model's layers as one function of its inputs in order, which gives its outputs in order. */
  readonly call: (inputs: readonly Tensor[], training: boolean) => readonly Tensor[];
  readonly heads: readonly Head[];
  /** The weights that training changes: what is regularized among them adds to the loss. */
  readonly weights: readonly Variable<'float32'>[];
  readonly batchSize: number;
  /** Indices in the order that batches are taken from. */
  readonly orderLength: number;
  readonly x: readonly Samples[];
  readonly y: readonly Samples[];
  /** For each of the labels, whether its samples have weights, `[samples]` float32. */
  readonly weighted: readonly boolean[];
  readonly memory: TrainingMemory;
}

/** A step's program, and what it reports. */
export interface StepProgram {
  readonly executable: Executable;
  readonly entries: readonly LogEntry[];
}

/** Memory that a step reads its batch from, in the order that its program takes it. */
export interface BatchSource {
  readonly x: readonly Tensor[];
  readonly y: readonly Tensor[];
  readonly order: Bound;
  readonly weights: readonly (Tensor | undefined)[];
}

/** The inputs of a step's program. */
export function bindSource({ x, y, order, weights }: BatchSource): Bound[] {
  const at = (tensor: Tensor) => tensor.memory('fit');
  return [...x.map(at), ...y.map(at), order, ...weights.flatMap((each) => (each ? [at(each)] : []))];
}

/** A step that evaluates, and trains where a group is given. It advances the cursor and the log by one. */
export function stepProgram(engine: Engine, spec: StepSpec, group?: ParameterGroup): StepProgram {
  const graph = new Graph();
  const log = new LogWriter(graph, spec.memory);
  trace(graph, () => {
    const batch = gatherBatch(graph, spec);
    const forward = () => forwardOf(spec, batch, group !== undefined);
    let computed: Forward;
    if (group === undefined) {
      computed = forward();
    } else {
      const variables = group.segments.map(({ variable }) => variable);
      const { result, gradients } = gradientOf(() => {
        const result = forward();
        return { loss: result.loss, result };
      }, variables);
      computed = result;
      applyGradients(graph, spec.memory, group, gradients);
    }
    log.value('loss', computed.loss);
    for (const [name, value] of computed.reported) log.value(name, value);
    for (const { metrics, label, index } of spec.heads) {
      for (const metric of metrics)
        log.metric(metric, batch.y[label!]!, computed.predictions[index]!, spec.batchSize);
    }
    log.write();
    if (group !== undefined) advanceRandom(graph);
    advanceCounters(graph, spec.memory, group !== undefined);
  });
  return { executable: new Executable(engine, graph), entries: log.entries };
}

/** A batch as tensors of the program. */
interface Batch {
  readonly x: readonly Tensor[];
  readonly y: readonly Tensor[];
  readonly weights: readonly (Tensor | undefined)[];
}

interface Forward {
  /** The sum of the outputs' losses with their weights, and of penalties. */
  readonly loss: Tensor;
  readonly predictions: readonly Tensor[];
  /** The losses of single outputs, under their names. */
  readonly reported: readonly (readonly [string, Tensor])[];
}

function forwardOf(spec: StepSpec, batch: Batch, training: boolean): Forward {
  const { result: predictions, penalties } = collectPenalties(() => spec.call(batch.x, training));
  for (const weight of spec.weights) {
    const { name, regularizer } = weight;
    if (regularizer !== undefined) penalties.push(penaltyOf(name, regularizer, weight));
  }
  const reported: [string, Tensor][] = [];
  const terms: Tensor[] = [];
  for (const { index, label, loss, lossName, lossWeight } of spec.heads) {
    if (loss === undefined) continue;
    const losses = named(loss.name, () => loss.call(batch.y[label!]!, predictions[index]!));
    checkPerSample(loss.name, losses, spec.batchSize);
    const weights = batch.weights[label!];
    const value = mean(weights === undefined ? losses : mul(losses, weights));
    if (lossName !== undefined) reported.push([lossName, value]);
    terms.push(lossWeight === 1 ? value : mul(value, lossWeight));
  }
  const [first, ...others] = [...terms, ...penalties];
  if (first === undefined)
    throw new NablaError(
      'loss',
      'there is nothing to minimise; compile with a loss, or addLoss() in a layer',
    );
  return { loss: others.reduce(add, first), predictions, reported };
}

/** The next batch: rows of the tables in the order given, from the cursor on. */
function gatherBatch(graph: Graph, spec: StepSpec): Batch {
  const { x, y, batchSize, weighted, memory } = spec;
  const tables = [...x, ...y].map(({ tensor }) => graph.input(tensor.shape, tensor.dtype));
  const order = graph.input([spec.orderLength], 'int32');
  const weightTables = weighted.map((given, i) =>
    given ? graph.input([y[i]!.length], 'float32') : undefined,
  );
  const place = { storage: memory.counters, byteOffset: counterIndex.cursor * 4 };
  const cursor = graph.external(place, [1], 'int32');
  const fetch = (
    table: Value,
    sampleShape: Shape,
    dtype: 'float32' | 'int32' | 'uint8',
    rows: ReturnType<Samples['gatherAttributes']>,
    where: string,
  ): Tensor => {
    const { mode, rowSize, scale, shift } = rows;
    const out = new Value([batchSize, ...sampleShape], dtype, { kind: 'node' });
    graph.add({
      kernel: 'gather',
      outputs: [out],
      inputs: [table, order, cursor],
      attributes: [
        batchSize,
        table.shape[0]!,
        rowSize,
        gatherModes[mode],
        floatBits(scale),
        floatBits(shift),
      ],
      where,
    });
    return new Tensor(out.shape, dtype, { kind: 'traced', graph, value: out });
  };
  const rowsOf = (samples: Samples, table: Value, dtype: 'float32' | 'int32' | 'uint8', where: string) =>
    fetch(table, samples.sampleShape, dtype, samples.gatherAttributes(dtype), where);
  const plain = { mode: 'copy', rowSize: 1, scale: 1, shift: 0 } as const;
  return {
    x: x.map((each, i) => rowsOf(each, tables[i]!, batchDType(each, 'float32'), 'x')),
    y: y.map((each, i) => {
      const dtype = batchDType(each, each.sampleShape.length === 0 ? undefined : 'float32');
      return rowsOf(each, tables[x.length + i]!, dtype, 'y');
    }),
    weights: weightTables.map((table) => table && fetch(table, [], 'float32', plain, 'sampleWeight')),
  };
}

/** Integer rows become float32, but class indices stay as they are. */
function batchDType(samples: Samples, wanted: 'float32' | undefined): 'float32' | 'int32' | 'uint8' {
  if (samples.dtype === 'bool') {
    throw new NablaError('fit', `bool data are not supported, got ${samples}; use cast(x, 'float32')`);
  }
  return wanted ?? samples.dtype;
}

/** Counts the step, where it trained, the cursor and the log's row. */
function advanceCounters(graph: Graph, memory: TrainingMemory, trained: boolean): void {
  const first = trained ? counterIndex.step : counterIndex.cursor;
  const counters = graph.external(
    { storage: memory.counters, byteOffset: first * 4 },
    [counterIndex.logRow + 1 - first],
    'int32',
  );
  graph.addEffect({
    kernel: 'map',
    outputs: [counters],
    inputs: [counters],
    attributes: [],
    micro: [
      { op: 'constantInt', args: [1] },
      { op: 'addInt', args: [0, 1] },
    ],
    where: 'counters',
  });
}
