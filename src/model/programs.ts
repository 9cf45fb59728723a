// The model's step: one training or evaluation step, traced from its layers, losses and metrics, or from its own trainStep, into one program.
import { collect } from '../collect.ts';
import { type Engine, Executable } from '../engine.ts';
import { advanceRandom } from '../jit.ts';
import { Graph } from '../program/graph.ts';
import type { Tensor } from '../tensor.ts';
import { trace } from '../trace.ts';
import type { Variable } from '../variable.ts';
import { counterIndex, type TrainingMemory } from './arena.ts';
import { type BatchSpec, type BatchTensors, gatherBatch } from './batch.ts';
import type { ParameterGroup } from './group.ts';
import type { Head } from './heads.ts';
import { type LogEntry, LogWriter } from './log.ts';
import { lossOf, weightPenalties } from './losses.ts';
import { scaledGradientOf } from './scaling.ts';
import { applyGradients } from './update.ts';

/** What a program is made for. */
export interface StepSpec extends BatchSpec {
  /** The model's layers as one function of its inputs in order, which gives its outputs in order. */
  readonly call: (inputs: readonly Tensor[], training: boolean) => readonly Tensor[];
  readonly heads: readonly Head[];
  /** The weights that training changes: what is regularized among them adds to the loss. */
  readonly weights: readonly Variable<'float32'>[];
}

/** A step's program, and what it reports. */
export interface StepProgram {
  readonly executable: Executable;
  readonly entries: readonly LogEntry[];
  /** How often a step changes each group's weights. */
  readonly uses: ReadonlyMap<ParameterGroup, number>;
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
      const body = () => {
        const result = forward();
        return { loss: result.loss, result };
      };
      const { result, gradients } = scaledGradientOf(group.scaling, body, variables);
      computed = result;
      applyGradients(graph, spec.memory, group, gradients);
    }
    log.value('loss', computed.loss);
    for (const [name, value] of computed.reported) log.value(name, value);
    for (const { metrics, label, index } of spec.heads) {
      for (const { metric, weighted } of metrics) {
        const weights = weighted ? batch.weights[label!] : undefined;
        log.metric(metric, batch.y[label!]!, computed.predictions[index]!, spec.batchSize, weights);
      }
    }
    for (const [name, value] of computed.metrics) log.value(name, value);
    log.write();
    if (group !== undefined) advanceRandom(graph);
    // Where losses are scaled, the update counts the steps that are taken.
    const counts = group !== undefined && group.scaling === undefined;
    advanceCounters(graph, spec.memory, counts ? counterIndex.step : counterIndex.cursor);
  });
  const uses = new Map(group === undefined ? [] : [[group, 1]]);
  return { executable: new Executable(engine, graph), entries: log.entries, uses };
}

interface Forward {
  /** The sum of the outputs' losses with their weights, and of penalties. */
  readonly loss: Tensor;
  readonly predictions: readonly Tensor[];
  /** The losses of single outputs, under their names. */
  readonly reported: ReadonlyMap<string, Tensor>;
  /** What layers report. */
  readonly metrics: ReadonlyMap<string, Tensor>;
}

function forwardOf(spec: StepSpec, batch: BatchTensors, training: boolean): Forward {
  const { result: predictions, losses, metrics } = collect(() => spec.call(batch.x, training));
  const penalties = [...losses, ...weightPenalties(spec.weights)];
  return { ...lossOf(spec.heads, batch, predictions, penalties), predictions, metrics };
}

/** A step of the model's own: `body` is traced and says what it reports, and how often it changes which group's weights. */
export function customProgram(
  engine: Engine,
  spec: BatchSpec,
  body: (graph: Graph, batch: BatchTensors, log: LogWriter) => ReadonlyMap<ParameterGroup, number>,
): StepProgram {
  const graph = new Graph();
  const log = new LogWriter(graph, spec.memory);
  const uses = trace(graph, () => {
    const made = body(graph, gatherBatch(graph, spec), log);
    log.write();
    advanceRandom(graph);
    advanceCounters(graph, spec.memory, counterIndex.cursor);
    return made;
  });
  return { executable: new Executable(engine, graph), entries: log.entries, uses };
}

/** Counts the cursor and the log's row on, and what is counted before them from `first`. */
function advanceCounters(graph: Graph, memory: TrainingMemory, first: number): void {
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
