// Fusion: dead nodes go, bias and activation move into the GEMM or convolution, chains of maps become one map.
import { isFloating } from '../dtype.ts';
import { sameShape } from '../shape.ts';
import type { Graph, MicroOp, Node, Value } from './graph.ts';
import { settleHalves } from './halves.ts';
import {
  activations,
  type KernelName,
  kernels,
  type MicroName,
  maxMapInputs,
  maxMicro,
  micro,
} from './kernels.ts';
import { maskBeforePool } from './pool-mask.ts';

/** The graph's nodes, fused, in an order that can run. */
export function fuse(graph: Graph): Node[] {
  const live = removeDead(graph, graph.nodes);
  const settled = settleHalves(live, kept(graph), countReaders(live));
  const nodes = settled === live ? live : removeDead(graph, settled);
  const merged = fuseMaps(fuseEpilogues(nodes, graph), graph);
  const moved = maskBeforePool(merged, kept(graph), countReaders(merged));
  // What was moved may join the maps where it is now.
  return moved === merged ? merged : fuseMaps(moved, graph);
}

/** Values that must be in memory when the program ends. */
function kept(graph: Graph): Set<Value> {
  const values = [...graph.outputs, ...graph.placements.keys()];
  return new Set(values.map((value) => value.root().value));
}

function removeDead(graph: Graph, nodes: readonly Node[]): Node[] {
  const needed = kept(graph);
  const live: Node[] = [];
  for (const node of nodes.toReversed()) {
    const used = node.outputs.some((out) => out !== undefined && needed.has(out.root().value));
    if (!node.effect && !used) continue;
    for (const input of node.inputs) if (input) needed.add(input.root().value);
    // What an effect changes in place may have been computed here.
    if (node.effect) for (const out of node.outputs) if (out) needed.add(out.root().value);
    live.push(node);
  }
  return live.reverse();
}

/** How many nodes read each value, views counted for the value they are a part of. */
function countReaders(nodes: readonly Node[]): Map<Value, number> {
  const readers = new Map<Value, number>();
  for (const node of nodes) {
    const roots = new Set(node.inputs.flatMap((v) => (v ? [v.root().value] : [])));
    if (node.effect) for (const out of node.outputs) if (out) roots.add(out.root().value);
    for (const root of roots) readers.set(root, (readers.get(root) ?? 0) + 1);
  }
  return readers;
}

/** Values that several nodes write parts of: none of them has the whole to pass on. */
function writtenInParts(nodes: readonly Node[]): Set<Value> {
  const once = new Set<Value>();
  const parts = new Set<Value>();
  for (const { outputs } of nodes) {
    for (const out of outputs) {
      if (out === undefined) continue;
      const root = out.root().value;
      if (once.has(root)) parts.add(root);
      once.add(root);
    }
  }
  return parts;
}

/** A kernel that can add a bias and apply an activation to what it computes, and where its attributes and inputs say so. */
interface EpilogueKernel {
  readonly activation: number;
  /** Index of the bias among the inputs. */
  readonly bias: number;
  /** The attribute that says how many numbers the bias has. */
  readonly columns: number;
  /** An attribute that rules an epilogue out unless it is 0. */
  readonly accumulate: number | undefined;
}

function epilogueKernel(name: 'gemm' | 'conv', columns: string): EpilogueKernel {
  const operands: readonly string[] = kernels[name].operands;
  const attributes: readonly string[] = kernels[name].attributes;
  const accumulate = attributes.indexOf('accumulate');
  return {
    activation: attributes.indexOf('activation'),
    bias: operands.indexOf('bias?') - 1,
    columns: attributes.indexOf(columns),
    accumulate: accumulate < 0 ? undefined : accumulate,
  };
}

const epilogueKernels: { [name in KernelName]?: EpilogueKernel } = {
  gemm: epilogueKernel('gemm', 'n'),
  conv: epilogueKernel('conv', 'outC'),
};
const epilogues: Partial<Record<MicroName, number>> = {
  relu: activations.relu,
  sigmoid: activations.sigmoid,
  tanh: activations.tanh,
};

/** Lets a GEMM or a convolution add the bias and apply the activation that follow it, while the tile is in registers. */
function fuseEpilogues(nodes: readonly Node[], graph: Graph): Node[] {
  const readers = countReaders(nodes);
  const keep = new Set([...kept(graph), ...writtenInParts(nodes)]);
  const out: Node[] = [];
  // Where each such kernel stands in `out`, by the value it makes.
  const producers = new Map<Value, number>();
  for (const node of nodes) {
    const target = node.inputs.flatMap((v) => (v && producers.has(v) ? [v] : []))[0];
    const producer = target && producers.get(target);
    const result = node.outputs[0];
    const alone = target && readers.get(target) === 1 && !keep.has(target);
    const shaped = target && result && sameShape(target.shape, result.shape) && result.source.kind === 'node';
    if (producer !== undefined && alone && shaped && node.kernel === 'map' && !node.effect) {
      const fused = absorb(out[producer]!, node, target);
      // It moves down to where its epilogue was: the bias may have been made in between.
      if (fused) {
        out[producer] = fused;
        producers.delete(target);
        out.push(...out.splice(producer, 1));
        for (const [value, position] of producers)
          if (position > producer) producers.set(value, position - 1);
        producers.set(result, out.length - 1);
        continue;
      }
    }
    const kind = epilogueKernels[node.kernel];
    if (kind && result && (kind.accumulate === undefined || node.attributes[kind.accumulate] === 0)) {
      producers.set(result, out.length);
    }
    // Nothing that reads memory outside the program may move past a node that writes it.
    if (node.effect) producers.clear();
    out.push(node);
  }
  return out;
}

function absorb(producer: Node, map: Node, target: Value): Node | undefined {
  const kind = epilogueKernels[producer.kernel];
  const step = map.micro?.[0];
  if (kind === undefined || map.micro?.length !== 1 || step === undefined) return undefined;
  if (producer.attributes[kind.activation] !== activations.none) return undefined;
  const where = join(producer.where, map.where);
  const activation = epilogues[step.op];
  if (activation !== undefined) {
    const attributes = producer.attributes.with(kind.activation, activation);
    return { ...producer, attributes, outputs: map.outputs, where };
  }
  const bias = map.inputs.find((v) => v !== target);
  const n = producer.attributes[kind.columns]!;
  const isBias =
    step.op === 'add' &&
    bias !== undefined &&
    producer.inputs[kind.bias] === undefined &&
    isFloating(bias.dtype) &&
    bias.size === n &&
    (bias.shape.at(-1) === n || n === 1);
  if (!isBias) return undefined;
  return { ...producer, inputs: producer.inputs.with(kind.bias, bias), outputs: map.outputs, where };
}

function join(a: string, b: string): string {
  return a === b || a.split('+').includes(b) ? a : `${a}+${b}`;
}

/** Merges a map into the only map that reads it, when both have one shape. */
function fuseMaps(nodes: readonly Node[], graph: Graph): Node[] {
  const readers = countReaders(nodes);
  const keep = new Set([...kept(graph), ...writtenInParts(nodes)]);
  const out: (Node | undefined)[] = [];
  const maps = new Map<Value, number>();
  for (const original of nodes) {
    let node = original;
    if (node.kernel === 'map') {
      for (const input of original.inputs) {
        const position = input && maps.get(input);
        const result = node.outputs[0];
        if (position === undefined || input === undefined || result === undefined) continue;
        if (readers.get(input) !== 1 || keep.has(input) || !sameShape(input.shape, result.shape)) continue;
        const merged = merge(out[position]!, node, input);
        if (merged === undefined) continue;
        out[position] = undefined;
        maps.delete(input);
        node = merged;
      }
    }
    const result = node.outputs[0];
    if (node.effect) maps.clear();
    // A byte in a register is not cut to 8 bits as one in memory is.
    else if (node.kernel === 'map' && result && result.dtype !== 'uint8') maps.set(result, out.length);
    out.push(node);
  }
  return out.filter((node) => node !== undefined);
}

function merge(producer: Node, consumer: Node, link: Value): Node | undefined {
  // A random stream's place in its sequence is the element's index in the map's output: equal shapes keep it.
  const inputs: (Value | undefined)[] = [];
  const slot = (value: Value | undefined) => {
    const found = inputs.indexOf(value);
    return found >= 0 ? found : inputs.push(value) - 1;
  };
  for (const value of producer.inputs) slot(value);
  for (const value of consumer.inputs) if (value !== link) slot(value);
  const first = producer.micro ?? [];
  const second = consumer.micro ?? [];
  if (inputs.length > maxMapInputs || first.length + second.length > maxMicro) return undefined;

  const steps: MicroOp[] = first.map((step) =>
    remap(step, (register) =>
      register < producer.inputs.length
        ? slot(producer.inputs[register])
        : inputs.length + register - producer.inputs.length,
    ),
  );
  const linked = inputs.length + first.length - 1;
  for (const step of second) {
    steps.push(
      remap(step, (register) => {
        const value = consumer.inputs[register];
        if (register >= consumer.inputs.length) {
          return inputs.length + first.length + register - consumer.inputs.length;
        }
        return value === link ? linked : slot(value);
      }),
    );
  }
  return withoutIdentities({
    ...consumer,
    inputs,
    micro: steps,
    where: join(producer.where, consumer.where),
  });
}

/** The map without steps that only hand their operand on; the last one stays. */
function withoutIdentities(node: Node): Node {
  const before = node.micro ?? [];
  if (!before.slice(0, -1).some(({ op }) => op === 'identity')) return node;
  const first = node.inputs.length;
  const place = node.inputs.map((_, i) => i);
  const steps: MicroOp[] = [];
  before.forEach((step, i) => {
    const moved = remap(step, (register) => place[register]!);
    if (step.op === 'identity' && i + 1 < before.length) place.push(moved.args[0]!);
    else place.push(first + steps.push(moved) - 1);
  });
  return { ...node, micro: steps };
}

/** The micro-operation with its registers and inputs renumbered; immediates stay. */
function remap(step: MicroOp, to: (register: number) => number): MicroOp {
  const kinds = micro[step.op].signature;
  return { op: step.op, args: step.args.map((arg, i) => (kinds[i] === '#' ? arg : to(arg))) };
}
