// The end of a training step: gradients become changes of the weights, as the optimizer and its options say.
import { add, div, floorDiv, maximum, minimum, mod, mul, sub } from '../ops/arithmetic.ts';
import { equal, where } from '../ops/compare.ts';
import { norm, sumSquares } from '../ops/reduce.ts';
import { sqrt } from '../ops/unary.ts';
import { ComposedOptimizer } from '../optimizers/composed.ts';
import type { Averaging, Clipping, Optimizer } from '../optimizers/optimizer.ts';
import { FlatOptimizer } from '../optimizers/optimizers.ts';
import { contiguousCopy } from '../program/compile.ts';
import { floatBits, type Graph, Value } from '../program/graph.ts';
import { gatherModes } from '../program/kernels.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { emit, named, valueOf } from '../trace.ts';
import { counterIndex, logRows, type ParameterArena, type Segment, type TrainingMemory } from './arena.ts';

/** What changes which weights. */
export interface UpdateSpec {
  readonly arena: ParameterArena;
  readonly optimizer: Optimizer;
}

/** What is known of a step when the weights are to be changed. */
interface Step {
  readonly graph: Graph;
  readonly memory: TrainingMemory;
  readonly arena: ParameterArena;
  /** float32, one number at least. */
  readonly rate: Value;
  /** Updates before this one: int32 scalar. */
  readonly updates: Tensor;
  /** Whether this step changes the weights; undefined: each does. */
  readonly changes: Tensor | undefined;
  readonly segments: readonly Segment[];
}

/** Traces the update of all trained weights from their gradients, which are in the order of `segments`. */
export function applyGradients(
  graph: Graph,
  memory: TrainingMemory,
  segments: readonly Segment[],
  gradients: readonly Tensor[],
  { arena, optimizer }: UpdateSpec,
): void {
  if (arena.trainedSize === 0) return;
  const { clipping, gradientAccumulationSteps: every, averaging } = optimizer;
  const gathers = every > 1;
  segments.forEach(({ variable, offset }, i) => {
    const given = gathers ? gradients[i]! : clipOne(gradients[i]!, clipping);
    placeGradient(graph, memory, valueOf(graph, given, variable.name), offset, variable.name);
  });
  const taken = stepsTaken(graph, memory);
  const step: Step = {
    graph,
    memory,
    arena,
    segments,
    rate: learningRate(graph, memory, optimizer),
    updates: gathers ? floorDiv(taken, every) : taken,
    changes: gathers ? equal(mod(add(taken, 1), every), 0) : undefined,
  };
  if (step.changes !== undefined) gather(step, step.changes, every, clipping);
  const clip = globalScale(graph, memory, arena.trainedSize, clipping);
  if (optimizer instanceof FlatOptimizer) updateFlat(step, optimizer, clip);
  else if (optimizer instanceof ComposedOptimizer) updateComposed(step, optimizer, clip);
  if (averaging !== undefined) average(step, averaging);
  for (const { variable } of segments) {
    const { name, constraint } = variable;
    if (constraint !== undefined) named(name, () => variable.assign(constraint(variable)));
  }
}

/** Memory as a tensor of the trace: ops on it read what is there when they run. */
function external(graph: Graph, storage: object, shape: Shape, offset = 0): Tensor {
  const value = graph.external({ storage, byteOffset: offset * 4 }, shape, 'float32');
  return new Tensor(shape, 'float32', { kind: 'traced', graph, value });
}

/** Writes a tensor over memory, once all that was traced so far has read it. */
function store(graph: Graph, storage: object, tensor: Tensor, where: string, offset = 0): void {
  graph.addEffect({
    kernel: 'copy',
    outputs: [graph.external({ storage, byteOffset: offset * 4 }, tensor.shape, 'float32')],
    inputs: [valueOf(graph, tensor, where)],
    attributes: contiguousCopy(tensor.size),
    where,
  });
}

/** The steps taken before this one, int32 scalar. */
function stepsTaken(graph: Graph, memory: TrainingMemory): Tensor {
  const place = { storage: memory.counters, byteOffset: counterIndex.step * 4 };
  const value = graph.external(place, [], 'int32');
  return new Tensor([], 'int32', { kind: 'traced', graph, value });
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

/** The learning rate of some weights, as a scalar. */
function rateTensor({ graph, rate }: Step, multiplier: number): Tensor {
  const value = new Value([], 'float32', { kind: 'view', of: rate, byteOffset: 0 });
  const scalar = new Tensor([], 'float32', { kind: 'traced', graph, value });
  return multiplier === 1 ? scalar : mul(scalar, multiplier);
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
function globalScale(
  graph: Graph,
  memory: TrainingMemory,
  size: number,
  { globalNorm }: Clipping,
): Tensor | undefined {
  if (globalNorm === undefined) return undefined;
  const total = sqrt(sumSquares(external(graph, memory.gradients, [size])));
  return div(globalNorm, maximum(total, globalNorm));
}

/** Adds the gradients to those of the steps since the last update, and leaves their mean in the gradients' place. */
function gather(
  { graph, memory, arena, segments }: Step,
  changes: Tensor,
  every: number,
  clipping: Clipping,
) {
  const shape = [arena.trainedSize];
  const kept = memory.accumulated!;
  const total = add(external(graph, memory.gradients, shape), external(graph, kept, shape));
  const mean = div(total, every);
  const left = where(changes, 0, total);
  store(graph, memory.gradients, mean, 'gradients');
  store(graph, kept, left, 'gradients');
  if (clipping.norm === undefined && clipping.value === undefined) return;
  for (const { variable, offset } of segments) {
    const clipped = clipOne(external(graph, memory.gradients, variable.shape, offset), clipping);
    store(graph, memory.gradients, clipped, variable.name, offset);
  }
}

/** One update instruction for each stretch of weights that share decay and rate: one for all of them, unless options set some apart. */
function updateFlat(step: Step, optimizer: FlatOptimizer, clip: Tensor | undefined): void {
  const { graph, memory, arena, updates, changes } = step;
  const ranges = [arena.storage, ...memory.states].filter((storage) => storage !== undefined);
  const whole = [arena.trainedSize];
  const before = changes && ranges.map((storage) => copyOf(external(graph, storage, whole)));
  for (const { variable, offset, size } of stretches(step, optimizer)) {
    const part = (storage: object) => graph.external({ storage, byteOffset: offset * 4 }, [size], 'float32');
    const multiplier = optimizer.learningRateMultiplierOf(variable);
    graph.addEffect({
      kernel: 'update',
      outputs: [part(arena.storage)],
      inputs: [
        part(memory.gradients),
        ...memory.states.map((state) => state && part(state)),
        multiplier === 1 ? step.rate : valueOf(graph, rateTensor(step, multiplier), optimizer.name),
        valueOf(graph, updates, optimizer.name),
        clip && valueOf(graph, clip, optimizer.name),
      ],
      attributes: optimizer.attributes(optimizer.weightDecayOf(variable)),
      where: optimizer.name,
    });
  }
  // Where gradients are only gathered, all is put back as it was.
  before?.forEach((former, i) => {
    const storage = ranges[i]!;
    store(graph, storage, where(changes!, external(graph, storage, whole), former), optimizer.name);
  });
}

function copyOf(tensor: Tensor): Tensor {
  const { shape, dtype } = tensor;
  const attributes = contiguousCopy(tensor.size);
  return emit({
    kernel: 'copy',
    outputs: [{ shape, dtype }],
    inputs: [tensor],
    attributes,
    where: 'update',
  })[0]!;
}

/** Neighbours in the arena that one instruction serves; `variable` is the first. */
function stretches({ arena, segments }: Step, optimizer: Optimizer) {
  const firsts = segments.filter(
    ({ variable }, i) =>
      i === 0 || optimizer.groupOf(variable) !== optimizer.groupOf(segments[i - 1]!.variable),
  );
  return firsts.map(({ variable, offset }, i) => ({
    variable,
    offset,
    size: (firsts[i + 1]?.offset ?? arena.trainedSize) - offset,
  }));
}

/** The update of each weight by the ops of the optimizer. */
function updateComposed(step: Step, optimizer: ComposedOptimizer, clip: Tensor | undefined): void {
  const { graph, memory, arena, changes } = step;
  const storage = memory.states[0]!;
  const states = memory.stateLayout;
  for (const { variable, offset } of step.segments) {
    const { shape } = variable;
    const places = states.get(variable)!;
    const learningRate = rateTensor(step, optimizer.learningRateMultiplierOf(variable));
    const decay = optimizer.weightDecayOf(variable);
    const raw = external(graph, memory.gradients, shape, offset);
    const former = external(graph, arena.storage, shape, offset);
    const formerStates = Object.fromEntries(
      places.map((place) => [place.name, external(graph, storage, place.shape, place.offset)]),
    );
    const result = optimizer.updated({
      gradient: clip === undefined ? raw : mul(raw, clip),
      weight: decay === 0 ? former : sub(former, mul(mul(former, decay), learningRate)),
      states: formerStates,
      step: step.updates,
      learningRate,
      variable,
    });
    const chosen = (now: Tensor, then: Tensor) => (changes === undefined ? now : where(changes, now, then));
    const weight = chosen(result.weight, former);
    // All is read before the first is written.
    const kept = places.map(({ name }) => chosen(result.states[name]!, formerStates[name]!));
    store(graph, arena.storage, weight, variable.name, offset);
    places.forEach((place, i) => {
      store(graph, storage, kept[i]!, variable.name, place.offset);
    });
  }
}

/** Moves the average toward the weights; the first time it is set to them. Puts it in their place when it is time to. */
function average({ graph, memory, arena, updates }: Step, { momentum, overwriteFrequency }: Averaging): void {
  const shape = [arena.trainedSize];
  const storage = memory.average!;
  const weights = external(graph, arena.storage, shape);
  const share = where(equal(updates, 0), 0, momentum);
  const moved = add(mul(external(graph, storage, shape), share), mul(weights, sub(1, share)));
  store(graph, storage, moved, 'average');
  if (overwriteFrequency === undefined) return;
  const due = equal(mod(add(updates, 1), overwriteFrequency), 0);
  store(graph, arena.storage, where(due, external(graph, storage, shape), weights), 'average');
}
