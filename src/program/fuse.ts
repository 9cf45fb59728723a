// Fusion: dead nodes go, bias and activation move into the GEMM, chains of maps become one map.
import { sameShape } from '../shape.ts';
import type { Graph, MicroOp, Node, Value } from './graph.ts';
import { activations, kernels, type MicroName, maxMapInputs, maxMicro, micro } from './kernels.ts';

/** The graph's nodes, fused, in an order that can run. */
export function fuse(graph: Graph): Node[] {
  return fuseMaps(fuseEpilogues(removeDead(graph, graph.nodes), graph), graph);
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

const attribute = (name: string) => (kernels.gemm.attributes as readonly string[]).indexOf(name);
const gemmAttribute = {
  batch: attribute('batch'),
  n: attribute('n'),
  activation: attribute('activation'),
  accumulate: attribute('accumulate'),
};
const epilogues: Partial<Record<MicroName, number>> = {
  relu: activations.relu,
  sigmoid: activations.sigmoid,
  tanh: activations.tanh,
};

/** Lets a GEMM add the bias and apply the activation that follow it, while the tile is in registers. */
function fuseEpilogues(nodes: readonly Node[], graph: Graph): Node[] {
  const readers = countReaders(nodes);
  const keep = new Set([...kept(graph), ...writtenInParts(nodes)]);
  const out: Node[] = [];
  // Where each GEMM stands in `out`, by the value it makes.
  const gemms = new Map<Value, number>();
  for (const node of nodes) {
    const target = node.inputs.flatMap((v) => (v && gemms.has(v) ? [v] : []))[0];
    const gemm = target && gemms.get(target);
    const result = node.outputs[0];
    const alone = target && readers.get(target) === 1 && !keep.has(target);
    const shaped = target && result && sameShape(target.shape, result.shape) && result.source.kind === 'node';
    if (gemm !== undefined && alone && shaped && node.kernel === 'map' && !node.effect) {
      const fused = absorb(out[gemm]!, node, target);
      // The GEMM moves down to where its epilogue was: the bias may have been made in between.
      if (fused) {
        out[gemm] = fused;
        gemms.delete(target);
        out.push(...out.splice(gemm, 1));
        for (const [value, position] of gemms) if (position > gemm) gemms.set(value, position - 1);
        gemms.set(result, out.length - 1);
        continue;
      }
    }
    if (node.kernel === 'gemm' && node.attributes[gemmAttribute.accumulate] === 0 && result) {
      gemms.set(result, out.length);
    }
    // Nothing that reads memory outside the program may move past a node that writes it.
    if (node.effect) gemms.clear();
    out.push(node);
  }
  return out;
}

function absorb(gemm: Node, map: Node, target: Value): Node | undefined {
  const step = map.micro?.[0];
  if (map.micro?.length !== 1 || step === undefined) return undefined;
  const attributes = [...gemm.attributes];
  if (attributes[gemmAttribute.activation] !== activations.none) return undefined;
  const activation = epilogues[step.op];
  if (activation !== undefined) {
    attributes[gemmAttribute.activation] = activation;
    return { ...gemm, attributes, outputs: map.outputs, where: join(gemm.where, map.where) };
  }
  const bias = map.inputs.find((v) => v !== target);
  const n = attributes[gemmAttribute.n]!;
  const isBias =
    step.op === 'add' &&
    bias !== undefined &&
    gemm.inputs[2] === undefined &&
    bias.dtype === 'float32' &&
    bias.size === n &&
    (bias.shape.at(-1) === n || n === 1);
  if (!isBias) return undefined;
  return {
    ...gemm,
    inputs: [gemm.inputs[0], gemm.inputs[1], bias],
    outputs: map.outputs,
    where: join(gemm.where, map.where),
  };
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
  return { ...consumer, inputs, micro: steps, where: join(producer.where, consumer.where) };
}

/** The micro-operation with its registers and inputs renumbered; immediates stay. */
function remap(step: MicroOp, to: (register: number) => number): MicroOp {
  const kinds = micro[step.op].signature;
  return { op: step.op, args: step.args.map((arg, i) => (kinds[i] === '#' ? arg : to(arg))) };
}
