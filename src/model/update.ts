// The end of a training step: gradients become changes of the weights, as the optimizer and its options say.

import type { Storage } from '../engine.ts';
import { add, div, floorDiv, maximum, minimum, mod, mul, sub } from '../ops/arithmetic.ts';
import { cast, equal, logicalAnd, where } from '../ops/compare.ts';
import { fill } from '../ops/creation.ts';
import { norm, sumSquares } from '../ops/reduce.ts';
import { sqrt } from '../ops/unary.ts';
import { ComposedOptimizer } from '../optimizers/composed.ts';
import type { Averaging, Clipping } from '../optimizers/optimizer.ts';
import { FlatOptimizer } from '../optimizers/optimizers.ts';
import { contiguousCopy } from '../program/compile.ts';
import { floatBits, type Graph, Value } from '../program/graph.ts';
import { gatherModes } from '../program/kernels.ts';
import { Tensor } from '../tensor.ts';
import { named, valueOf } from '../trace.ts';
import { counterIndex, logRows, type TrainingMemory } from './arena.ts';
import type { ParameterGroup } from './group.ts';
import { external, store } from './outside.ts';

/** What is known of a step when the weights are to be changed. */
interface Step {
  readonly graph: Graph;
  readonly group: ParameterGroup;
  /** The flat gradients, or the sum of those that were gathered. */
  readonly gradients: Storage;
  /** float32, one number at least. */
  readonly rate: Value;
  /** Updates before this one: int32 scalar. */
  readonly updates: Tensor;
  /** Whether this step changes the weights; undefined: each does. */
  readonly changes: Tensor | undefined;
  /** Whether its gradients are finite, and what follows from them is kept; undefined: it is, whatever they are. */
  readonly finite: Tensor | undefined;
}

/** Where gradients are gathered, and whether this step is the first since an update. */
interface Gathering extends Pick<Step, 'graph' | 'group' | 'gradients' | 'finite'> {
  readonly begins: Tensor;
}

/** Changes a group's weights by their gradients, in the order of its segments. `use`: how often the step did so before. */
export function applyGradients(
  graph: Graph,
  memory: TrainingMemory,
  group: ParameterGroup,
  gradients: readonly Tensor[],
  use = 0,
): void {
  const { optimizer, segments, size, scaling } = group;
  if (size === 0) return;
  const { clipping, gradientAccumulationSteps: every, averaging } = optimizer;
  const gathers = every > 1;
  const flat = group.gradients(use);
  // Infinite ones would not show once they are limited.
  const clipsLater = gathers || scaling !== undefined;
  segments.forEach(({ variable, offset }, i) => {
    const given = clipsLater ? gradients[i]! : clipOne(gradients[i]!, clipping);
    const place = { storage: flat, byteOffset: offset * 4 };
    placeGradient(graph, place, valueOf(graph, given, variable.name), variable.name);
  });
  const counter = graph.external(group.counter, [], 'int32');
  const taken = new Tensor([], 'int32', { kind: 'traced', graph, value: counter });
  const clipsEach = clipping.norm !== undefined || clipping.value !== undefined;
  const finite = scaling?.isFinite(external(graph, flat, [size]));
  if (gathers) gather({ graph, group, gradients: flat, finite, begins: equal(mod(taken, every), 0) }, every);
  else if (clipsLater) clipEach(graph, group, flat, flat, 1);
  // What was gathered is divided where it is multiplied anyway, in the update.
  const sums = gathers && !clipsEach;
  const step: Step = {
    graph,
    group,
    gradients: sums ? group.accumulated! : flat,
    rate: learningRate(graph, memory, group, use),
    updates: gathers ? floorDiv(taken, every) : taken,
    changes: both(gathers ? equal(mod(add(taken, 1), every), 0) : undefined, finite),
    finite,
  };
  const scale = globalScale(external(graph, step.gradients, [size]), clipping, sums ? every : 1);
  if (optimizer instanceof FlatOptimizer) updateFlat(step, optimizer, scale);
  else if (optimizer instanceof ComposedOptimizer) updateComposed(step, optimizer, scale);
  if (averaging !== undefined) average(step, averaging);
  for (const { variable } of segments) {
    const { name, constraint } = variable;
    if (constraint === undefined) continue;
    named(name, () => variable.assign(keptWhere(finite, constraint(variable), variable)));
  }
  if (scaling === undefined || finite === undefined) return;
  const counted = add(taken, cast(finite, 'int32'));
  const { storage, byteOffset } = group.counter;
  store(graph, storage, counted, optimizer.name, byteOffset / 4);
  scaling.adjust(graph, finite);
}

/** Both of two conditions; undefined holds always. */
function both(a: Tensor | undefined, b: Tensor | undefined): Tensor | undefined {
  return a && b ? logicalAnd(a, b) : (a ?? b);
}

/** What is now where the condition holds, else what was. */
function keptWhere(condition: Tensor | undefined, now: Tensor, then: Tensor): Tensor {
  return condition === undefined ? now : where(condition, now, then);
}

/** Counts that a group was applied, where that is not counted with the batches, and not by what the gradients were. */
export function countStep(graph: Graph, group: ParameterGroup): void {
  if (group.scaling !== undefined) return;
  const counter = graph.external(group.counter, [1], 'int32');
  graph.addEffect({
    kernel: 'map',
    outputs: [counter],
    inputs: [counter],
    attributes: [],
    micro: [
      { op: 'constantInt', args: [1] },
      { op: 'addInt', args: [0, 1] },
    ],
    where: group.optimizer.name,
  });
}

/** The step's learning rate: one number for all steps, or the log row's number in the table that a schedule filled. */
function learningRate(graph: Graph, memory: TrainingMemory, group: ParameterGroup, use: number): Value {
  const { name, schedule } = group.optimizer;
  const place = { storage: group.rates(use), byteOffset: 0 };
  if (schedule === undefined) return graph.external(place, [1], 'float32');
  const row = rateRow(graph, memory, group);
  const out = new Value([1], 'float32', { kind: 'node' });
  graph.add({
    kernel: 'gather',
    outputs: [out],
    inputs: [graph.external(place, [logRows], 'float32'), row, undefined],
    attributes: [1, logRows, 1, gatherModes.copy, floatBits(1), floatBits(0)],
    where: name,
  });
  return out;
}

/** Where the step's rate lies in the table: with the log's row, or so far behind the first as steps were counted since. */
function rateRow(graph: Graph, memory: TrainingMemory, group: ParameterGroup): Value {
  const { scaling, counter, optimizer } = group;
  if (scaling === undefined)
    return graph.external({ storage: memory.counters, byteOffset: counterIndex.logRow * 4 }, [1], 'int32');
  const taken = external(graph, counter.storage, [1], counter.byteOffset / 4, 'int32');
  return valueOf(graph, sub(taken, scaling.base(graph)), optimizer.name);
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
  place: { storage: object; byteOffset: number },
  value: Value,
  where: string,
): void {
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

/** The factor that makes the mean of gradients that are the sum of `count`, and brings it within the norm of all together. */
function globalScale(gradients: Tensor, { globalNorm }: Clipping, count: number): Tensor | undefined {
  if (globalNorm === undefined) return count === 1 ? undefined : fill([], 1 / count);
  return div(globalNorm, maximum(sqrt(sumSquares(gradients)), globalNorm * count));
}

/**
 * Adds the gradients to those of the steps since the last update, in one pass; the first step after it begins anew. Limits of single gradients are those
 * of the mean, which then takes the gradients' place.
 */
function gather({ graph, group, gradients, begins, finite }: Gathering, every: number): void {
  const kept = graph.external({ storage: group.accumulated!, byteOffset: 0 }, [group.size], 'float32');
  const given = graph.external({ storage: gradients, byteOffset: 0 }, [group.size], 'float32');
  const counts = finite === undefined ? [] : [valueOf(graph, finite, 'gradients')];
  // The registers of the inputs come before that of the constant.
  const zero = 3 + counts.length;
  graph.addEffect({
    kernel: 'map',
    outputs: [kept],
    inputs: [kept, given, valueOf(graph, begins, 'gradients'), ...counts],
    attributes: [],
    micro: [
      { op: 'constant', args: [0] },
      { op: 'select', args: [2, zero, 0] },
      { op: 'add', args: [zero + 1, 1] },
      ...(finite === undefined ? [] : [{ op: 'select', args: [3, zero + 2, 0] } as const]),
    ],
    where: 'gradients',
  });
  clipEach(graph, group, group.accumulated!, gradients, every);
}

/** Limits each gradient of a flat range that holds sums of so many, where the optimizer does, and writes them into another one. */
function clipEach(graph: Graph, group: ParameterGroup, from: Storage, to: Storage, count: number): void {
  const { clipping } = group.optimizer;
  if (clipping.norm === undefined && clipping.value === undefined) return;
  for (const { variable, offset } of group.segments) {
    const sum = external(graph, from, variable.shape, offset);
    const mean = count === 1 ? sum : div(sum, count);
    store(graph, to, clipOne(mean, clipping), variable.name, offset);
  }
}

/** One update instruction for each stretch of weights: one for all of them, unless options or other models set some apart. */
function updateFlat(step: Step, optimizer: FlatOptimizer, clip: Tensor | undefined): void {
  const { graph, group, updates, changes } = step;
  // A negative step is passed over.
  const taken = changes === undefined ? updates : where(changes, updates, -1);
  for (const { variable, storage, start, offset, size } of group.stretches) {
    const part = (of: object, from: number) =>
      graph.external({ storage: of, byteOffset: from * 4 }, [size], 'float32');
    const multiplier = optimizer.learningRateMultiplierOf(variable);
    graph.addEffect({
      kernel: 'update',
      outputs: [part(storage, start)],
      inputs: [
        part(step.gradients, offset),
        ...group.states.map((state) => state && part(state, offset)),
        multiplier === 1 ? step.rate : valueOf(graph, rateTensor(step, multiplier), optimizer.name),
        valueOf(graph, taken, optimizer.name),
        clip && valueOf(graph, clip, optimizer.name),
      ],
      attributes: optimizer.attributes(optimizer.weightDecayOf(variable)),
      where: optimizer.name,
    });
  }
}

/** The update of each weight by the ops of the optimizer. */
function updateComposed(step: Step, optimizer: ComposedOptimizer, clip: Tensor | undefined): void {
  const { graph, group, changes } = step;
  const storage = group.states[0]!;
  for (const { variable, offset } of group.segments) {
    const { shape, name } = variable;
    const places = group.stateLayout.get(variable)!;
    const learningRate = rateTensor(step, optimizer.learningRateMultiplierOf(variable));
    const decay = optimizer.weightDecayOf(variable);
    const raw = external(graph, step.gradients, shape, offset);
    const former: Tensor = new Tensor(shape, 'float32', {
      kind: 'traced',
      graph,
      value: valueOf(graph, variable, name),
    });
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
    const weight = keptWhere(changes, result.weight, former);
    // All is read before the first is written.
    const kept = places.map((place) =>
      keptWhere(changes, result.states[place.name]!, formerStates[place.name]!),
    );
    variable.assign(weight);
    places.forEach((place, i) => {
      store(graph, storage, kept[i]!, name, place.offset);
    });
  }
}

/** Moves the average toward the weights; the first time it is set to them. Puts it in their place when it is time to. */
function average({ graph, group, updates, finite }: Step, { momentum, overwriteFrequency }: Averaging): void {
  const kept = group.average!;
  const share = keptWhere(finite, where(equal(updates, 0), 0, momentum), fill([], 1));
  const due =
    overwriteFrequency === undefined
      ? undefined
      : both(equal(mod(add(updates, 1), overwriteFrequency), 0), finite);
  for (const { storage, start, offset, size } of group.stretches) {
    const weights = external(graph, storage, [size], start);
    const moved = add(mul(external(graph, kept, [size], offset), share), mul(weights, sub(1, share)));
    store(graph, kept, moved, 'average', offset);
    if (due === undefined) continue;
    const overwritten = where(due, external(graph, kept, [size], offset), weights);
    store(graph, storage, overwritten, 'average', start);
  }
}
