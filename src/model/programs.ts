// The model's programs: one training step, one evaluation step, one prediction, traced from its layers, loss and metrics.
import { gradientOf } from '../autodiff.ts';
import type { Samples } from '../data/samples.ts';
import { type Bound, type Engine, Executable } from '../engine.ts';
import { NablaError } from '../errors.ts';
import { advanceRandom } from '../jit.ts';
import type { Loss } from '../losses/losses.ts';
import { countingOnly, stepsIn } from '../masks.ts';
import { type AnyMetric, isStreaming } from '../metrics/metric.ts';
import { add, div, maximum, minimum, mul } from '../ops/arithmetic.ts';
import { cast } from '../ops/compare.ts';
import { oneHot } from '../ops/gather.ts';
import { mean, norm, sumSquares } from '../ops/reduce.ts';
import { stack } from '../ops/shape.ts';
import { sqrt } from '../ops/unary.ts';
import type { Clipping, Optimizer } from '../optimizers/optimizers.ts';
import { contiguousCopy } from '../program/compile.ts';
import { floatBits, Graph, Value } from '../program/graph.ts';
import { gatherModes } from '../program/kernels.ts';
import { collectPenalties, penaltyOf } from '../regularizers.ts';
import { sameShape, showShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { named, trace, valueOf } from '../trace.ts';
import type { Variable } from '../variable.ts';
import {
  counterIndex,
  logRows,
  type ParameterArena,
  type Segment,
  type TrainingMemory,
  viewOf,
} from './arena.ts';

/** What a program is made for. */
export interface StepSpec {
  /** The model's layers as one function. */
  readonly call: (x: Tensor, training: boolean) => Tensor;
  readonly loss: Loss;
  readonly metrics: readonly AnyMetric[];
  /** The weights that training changes: what is regularized among them adds to the loss. */
  readonly weights: readonly Variable<'float32'>[];
  readonly batchSize: number;
  /** Indices in the order that batches are taken from. */
  readonly orderLength: number;
  readonly x: Samples;
  readonly y: Samples;
  /** Whether each sample has a weight, `[samples]` float32. */
  readonly weighted: boolean;
  readonly memory: TrainingMemory;
}

/** What a training step needs besides. */
export interface UpdateSpec {
  readonly arena: ParameterArena;
  readonly optimizer: Optimizer;
}

/** Memory that a step reads its batch from, in the order that its program takes it. */
export interface BatchSource {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly order: Bound;
  readonly weights: Tensor | undefined;
}

/** The inputs of a step's program. */
export function bindSource(source: BatchSource): Bound[] {
  const at = (tensor: Tensor) => tensor.memory('fit');
  const inputs = [at(source.x), at(source.y), source.order];
  return source.weights === undefined ? inputs : [...inputs, at(source.weights)];
}

/** A step that evaluates, and trains where `update` is given. It advances the cursor and the log by one. */
export function stepProgram(engine: Engine, spec: StepSpec, update?: UpdateSpec): Executable {
  const graph = new Graph();
  trace(graph, () => {
    const batch = gatherBatch(graph, spec);
    const forward = () => {
      const { result: predictions, penalties } = collectPenalties(() =>
        spec.call(batch.x, update !== undefined),
      );
      for (const weight of spec.weights) {
        const { name, regularizer } = weight;
        if (regularizer !== undefined) penalties.push(penaltyOf(name, regularizer, weight));
      }
      const { result: losses } = countingOnly(predictions.mask, () =>
        named(spec.loss.name, () => spec.loss.call(batch.y, predictions)),
      );
      checkPerSample(spec.loss.name, losses, spec.batchSize);
      const weighted = batch.weights === undefined ? losses : mul(losses, batch.weights);
      return { loss: penalties.reduce(add, mean(weighted)), result: predictions };
    };
    let loss: Tensor;
    let predictions: Tensor;
    if (update === undefined) {
      ({ loss, result: predictions } = forward());
    } else {
      const { segments, gradients, ...computed } = differentiate(forward, update);
      ({ loss, predictions } = computed);
      applyGradients(graph, spec.memory, segments, gradients, update);
    }
    const values = [loss];
    spec.metrics.forEach((metric, i) => {
      named(metric.name, () => {
        if (isStreaming(metric)) {
          accumulate(graph, spec.memory, i, metric.name, metric.update(batch.y, predictions));
          return;
        }
        const { mask } = predictions;
        const { result: perSample, used } = countingOnly(mask, () => metric.call(batch.y, predictions));
        checkPerSample(metric.name, perSample, spec.batchSize);
        const value = mean(cast(perSample, 'float32'));
        values.push(value);
        // Batches differ in how many of their steps count: the mean over an epoch weighs them by that.
        if (mask === undefined || !used) return;
        const steps = stepsIn(mask);
        accumulate(graph, spec.memory, i, metric.name, stack([mul(value, steps), steps], 0));
      });
    });
    logValues(graph, spec.memory, values);
    if (update !== undefined) advanceRandom(graph);
    advanceCounters(graph, spec.memory, update !== undefined);
  });
  return new Executable(engine, graph);
}

function differentiate(forward: () => { loss: Tensor; result: Tensor }, { arena }: UpdateSpec) {
  const segments = arena.trained;
  let loss: Tensor | undefined;
  const computed = gradientOf(
    () => {
      const made = forward();
      loss = made.loss;
      return made;
    },
    segments.map(({ variable }) => variable),
  );
  return { segments, gradients: computed.gradients, loss: loss!, predictions: computed.result };
}

function checkPerSample(name: string, values: Tensor, batchSize: number): void {
  if (values instanceof Tensor && sameShape(values.shape, [batchSize])) return;
  const got = values instanceof Tensor ? showShape(values.shape) : typeof values;
  throw new NablaError(
    name,
    `expected one number a sample, [${batchSize}], got ${got}; average over the other dimensions`,
  );
}

/** The next batch: rows of the tables in the order given, from the cursor on. */
function gatherBatch(graph: Graph, spec: StepSpec): { x: Tensor; y: Tensor; weights: Tensor | undefined } {
  const { x, y, batchSize, weighted, memory } = spec;
  const xTable = graph.input(x.tensor.shape, x.tensor.dtype);
  const yTable = graph.input(y.tensor.shape, y.tensor.dtype);
  const order = graph.input([spec.orderLength], 'int32');
  const place = { storage: memory.counters, byteOffset: counterIndex.cursor * 4 };
  const cursor = graph.external(place, [1], 'int32');
  const fetch = (
    table: Value,
    samples: Samples,
    dtype: 'float32' | 'int32' | 'uint8',
    where: string,
  ): Tensor => {
    const { mode, rowSize, scale, shift } = samples.gatherAttributes(dtype);
    const out = new Value([batchSize, ...samples.sampleShape], dtype, { kind: 'node' });
    graph.add({
      kernel: 'gather',
      outputs: [out],
      inputs: [table, order, cursor],
      attributes: [batchSize, samples.length, rowSize, gatherModes[mode], floatBits(scale), floatBits(shift)],
      where,
    });
    return new Tensor(out.shape, dtype, { kind: 'traced', graph, value: out });
  };
  const weights = weighted ? graph.input([x.length], 'float32') : undefined;
  return {
    x: fetch(xTable, x, batchDType(x, 'float32'), 'x'),
    y: fetch(yTable, y, batchDType(y, y.sampleShape.length === 0 ? undefined : 'float32'), 'y'),
    weights: weights && gatherWeights(graph, weights, order, cursor, batchSize),
  };
}

/** Integer rows become float32, but class indices stay as they are. */
function batchDType(samples: Samples, wanted: 'float32' | undefined): 'float32' | 'int32' | 'uint8' {
  if (samples.dtype === 'bool') {
    throw new NablaError('fit', `bool data are not supported, got ${samples}; use cast(x, 'float32')`);
  }
  return wanted ?? samples.dtype;
}

function gatherWeights(graph: Graph, table: Value, order: Value, cursor: Value, batchSize: number): Tensor {
  const out = new Value([batchSize], 'float32', { kind: 'node' });
  graph.add({
    kernel: 'gather',
    outputs: [out],
    inputs: [table, order, cursor],
    attributes: [batchSize, table.shape[0]!, 1, gatherModes.copy, floatBits(1), floatBits(0)],
    where: 'sampleWeight',
  });
  return new Tensor(out.shape, 'float32', { kind: 'traced', graph, value: out });
}

function applyGradients(
  graph: Graph,
  memory: TrainingMemory,
  segments: readonly Segment[],
  gradients: readonly Tensor[],
  { arena, optimizer }: UpdateSpec,
): void {
  if (arena.trainedSize === 0) return;
  segments.forEach(({ variable, offset }, i) => {
    const clipped = clipOne(gradients[i]!, optimizer.clipping);
    placeGradient(graph, memory, valueOf(graph, clipped, variable.name), offset, variable.name);
  });
  const flat = (storage: object) =>
    graph.external({ storage, byteOffset: 0 }, [arena.trainedSize], 'float32');
  const clip = globalScale(memory, arena.trainedSize, optimizer.clipping);
  graph.addEffect({
    kernel: 'update',
    outputs: [flat(arena.storage)],
    inputs: [
      flat(memory.gradients),
      ...memory.states.map((state) => state && flat(state)),
      learningRate(graph, memory, optimizer),
      graph.external({ storage: memory.counters, byteOffset: counterIndex.step * 4 }, [1], 'int32'),
      clip && valueOf(graph, clip, optimizer.name),
    ],
    attributes: optimizer.attributes,
    where: optimizer.name,
  });
  for (const { variable } of segments) {
    const { name, constraint } = variable;
    if (constraint !== undefined) named(name, () => variable.assign(constraint(variable)));
  }
}

/** The step's learning rate: one number for all steps, or the log row's number in the table that a schedule filled. */
function learningRate(graph: Graph, memory: TrainingMemory, optimizer: Optimizer): Value {
  const place = { storage: memory.scalars, byteOffset: 0 };
  if (optimizer.schedule === undefined) return graph.external(place, [1], 'float32');
  const row = graph.external({ storage: memory.counters, byteOffset: counterIndex.logRow * 4 }, [1], 'int32');
  const out = new Value([1], 'float32', { kind: 'node' });
  graph.add({
    kernel: 'gather',
    outputs: [out],
    inputs: [graph.external(place, [logRows], 'float32'), row, undefined],
    attributes: [1, logRows, 1, gatherModes.copy, floatBits(1), floatBits(0)],
    where: optimizer.name,
  });
  return out;
}

/** Has the gradient computed straight into the flat range, where one op makes it for this weight alone; else copies it there. */
function placeGradient(
  graph: Graph,
  memory: TrainingMemory,
  value: Value,
  offset: number,
  where: string,
): void {
  const place = { storage: memory.gradients, byteOffset: offset * 4 };
  const { value: root } = value.root();
  if (root.source.kind === 'node' && root.size === value.size && !graph.placements.has(root)) {
    graph.placements.set(root, place);
    return;
  }
  graph.addEffect({
    kernel: 'copy',
    outputs: [graph.external(place, value.shape, 'float32')],
    inputs: [value],
    attributes: contiguousCopy(value.size),
    where,
  });
}

/** One weight's gradient, limited by value or by its own norm. */
function clipOne(gradient: Tensor, clipping: Clipping): Tensor {
  if (clipping.value !== undefined) return minimum(maximum(gradient, -clipping.value), clipping.value);
  if (clipping.norm !== undefined)
    return mul(gradient, div(clipping.norm, maximum(norm(gradient), clipping.norm)));
  return gradient;
}

/** The factor that brings all gradients together within their norm. */
function globalScale(memory: TrainingMemory, size: number, { globalNorm }: Clipping): Tensor | undefined {
  if (globalNorm === undefined) return undefined;
  const total = sqrt(sumSquares(viewOf(memory.gradients, 'float32', size)));
  return div(globalNorm, maximum(total, globalNorm));
}

/** Adds what a step brings to a streaming metric to its sums. */
function accumulate(
  graph: Graph,
  memory: TrainingMemory,
  metric: number,
  name: string,
  update: Tensor,
): void {
  if (!(update instanceof Tensor) || update.rank !== 1 || update.dtype !== 'float32') {
    throw new NablaError(name, `expected update() to give float32 sums [n], got ${String(update)}`);
  }
  const storage = memory.accumulator(metric, update.size);
  const sums = graph.external({ storage, byteOffset: 0 }, [update.size], 'float32');
  graph.addEffect({
    kernel: 'map',
    outputs: [sums],
    inputs: [sums, valueOf(graph, update, name)],
    attributes: [],
    micro: [{ op: 'add', args: [0, 1] }],
    where: name,
  });
}

/** Adds the step's numbers to the log, which is zero where it has not been written. */
function logValues(graph: Graph, memory: TrainingMemory, values: readonly Tensor[]): void {
  const place = { storage: memory.counters, byteOffset: counterIndex.logRow * 4 };
  const row = graph.external(place, [1], 'int32');
  values.forEach((value, column) => {
    const target = { storage: memory.log, byteOffset: column * logRows * 4 };
    graph.addEffect({
      kernel: 'scatterAdd',
      outputs: [graph.external(target, [logRows, 1], 'float32')],
      inputs: [valueOf(graph, value, 'log'), row],
      attributes: [1, logRows, 1, 1],
      where: 'log',
    });
  });
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

/** The predictions for `batchSize` rows, bound directly: no order, no cursor. */
export function predictProgram(
  engine: Engine,
  call: (x: Tensor, training: boolean) => Tensor,
  x: Samples,
  batchSize: number,
): { executable: Executable; sampleShape: readonly number[] } {
  const graph = new Graph();
  const output = trace(graph, () => {
    const rows = graph.input([batchSize, ...x.tensor.shape.slice(1)], x.tensor.dtype);
    const raw = new Tensor(rows.shape, rows.dtype, { kind: 'traced', graph, value: rows });
    const { scale = 1, shift = 0, oneHot: classes } = x.options;
    if (classes !== undefined) return call(oneHot(raw, classes), false);
    const numbers = cast(raw, 'float32');
    const scaled = scale === 1 ? numbers : mul(numbers, scale);
    const shifted = shift === 0 ? scaled : add(scaled, shift);
    return call(shifted, false);
  });
  graph.outputs.push(valueOf(graph, output, 'predict'));
  return { executable: new Executable(engine, graph), sampleShape: output.shape.slice(1) };
}
