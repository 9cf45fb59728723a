// The update: what a step's program does with gradients, from clipping to the optimizer's kernel and the weights' constraints.
import { div, maximum, minimum, mul } from '../ops/arithmetic.ts';
import { norm, sumSquares } from '../ops/reduce.ts';
import { sqrt } from '../ops/unary.ts';
import type { Clipping } from '../optimizers/optimizers.ts';
import { contiguousCopy } from '../program/compile.ts';
import { floatBits, type Graph, Value } from '../program/graph.ts';
import { gatherModes } from '../program/kernels.ts';
import type { Tensor } from '../tensor.ts';
import { named, valueOf } from '../trace.ts';
import { counterIndex, logRows, type TrainingMemory, viewOf } from './arena.ts';
import type { ParameterGroup } from './group.ts';

/** Changes a group's weights by their gradients, in the order of its segments. `use`: how often the step did so before. */
export function applyGradients(
  graph: Graph,
  memory: TrainingMemory,
  group: ParameterGroup,
  gradients: readonly Tensor[],
  use = 0,
): void {
  const { optimizer, segments, stretches, size } = group;
  if (size === 0) return;
  const flat = group.gradients(use);
  segments.forEach(({ variable, offset }, i) => {
    const clipped = clipOne(gradients[i]!, optimizer.clipping);
    const place = { storage: flat, byteOffset: offset * 4 };
    placeGradient(graph, place, valueOf(graph, clipped, variable.name), variable.name);
  });
  const clip = globalScale(viewOf(flat, 'float32', size), optimizer.clipping);
  const rate = learningRate(graph, memory, group, use);
  for (const { storage, start, offset, size: length } of stretches) {
    const part = (of: object, from: number) =>
      graph.external({ storage: of, byteOffset: from * 4 }, [length], 'float32');
    graph.addEffect({
      kernel: 'update',
      outputs: [part(storage, start)],
      inputs: [
        part(flat, offset),
        ...group.states.map((state) => state && part(state, offset)),
        rate,
        graph.external(group.counter, [1], 'int32'),
        clip && valueOf(graph, clip, optimizer.name),
      ],
      attributes: optimizer.attributes,
      where: optimizer.name,
    });
  }
  for (const { variable } of segments) {
    const { name, constraint } = variable;
    if (constraint !== undefined) named(name, () => variable.assign(constraint(variable)));
  }
}

/** Counts that a group was applied, where that is not counted with the batches. */
export function countStep(graph: Graph, group: ParameterGroup): void {
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
  const row = graph.external({ storage: memory.counters, byteOffset: counterIndex.logRow * 4 }, [1], 'int32');
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

/** The factor that brings all gradients together within their norm. */
function globalScale(gradients: Tensor, { globalNorm }: Clipping): Tensor | undefined {
  if (globalNorm === undefined) return undefined;
  return div(globalNorm, maximum(sqrt(sumSquares(gradients)), globalNorm));
}
