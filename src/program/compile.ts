// Compilation: a graph becomes a program, fused, planned and encoded to the words that every backend runs.
import { dtypeBytes, dtypeCode } from '../dtype.ts';
import { stridesOf } from '../shape.ts';
import { fuse } from './fuse.ts';
import { type Graph, type Node, type Place, Value } from './graph.ts';
import { kernels, micro, programMagic, programVersion } from './kernels.ts';
import { type Plan, planMemory } from './plan.ts';

/** What a slot is bound to when the program runs. */
export type Slot =
  | { readonly kind: 'workspace' }
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'output'; readonly index: number }
  | { readonly kind: 'storage'; readonly storage: object };

/** An encoded program and what is needed to bind, name and print it. */
export interface CompiledProgram {
  readonly words: Int32Array<ArrayBuffer>;
  readonly slots: readonly Slot[];
  readonly nodes: readonly Node[];
  readonly workspaceBytes: number;
  /** Slot and byte offset of a value. */
  readonly locate: (value: Value) => Location;
}

export interface Location {
  readonly slot: number;
  readonly byteOffset: number;
}

export function compile(graph: Graph): CompiledProgram {
  // Before fusion: a copy that follows a value counts as its reader.
  const direct = placeOutputs(graph);
  const nodes = fuse(graph);
  const plan = planMemory(nodes, graph, new Set([...direct.keys(), ...graph.placements.keys()]));
  return encode(graph, nodes, plan, direct);
}

/**
 * Decides which outputs are computed straight into the memory that the caller binds. One that is an input, a variable, a part of
 * another value or that is given back twice gets a copy.
 */
function placeOutputs(graph: Graph): Map<Value, number> {
  const direct = new Map<Value, number>();
  graph.outputs.forEach((output, index) => {
    const { value: root, byteOffset } = output.root();
    const whole = byteOffset === 0 && root.size === output.size && root.source.kind === 'node';
    if (whole && !direct.has(root) && !graph.placements.has(root)) {
      direct.set(root, index);
      return;
    }
    const copy = new Value(output.shape, output.dtype, { kind: 'node' });
    graph.add({
      kernel: 'copy',
      outputs: [copy],
      inputs: [output],
      attributes: contiguousCopy(output.size),
      where: 'output',
    });
    graph.outputs[index] = copy;
    direct.set(copy, index);
  });
  return direct;
}

/** Attributes of a copy kernel that copies `size` elements in a row. */
export function contiguousCopy(size: number): number[] {
  return [1, 0, 0, size, ...stridesOf([size]), ...stridesOf([size])];
}

function encode(
  graph: Graph,
  nodes: readonly Node[],
  plan: Plan,
  direct: ReadonlyMap<Value, number>,
): CompiledProgram {
  const slots: Slot[] = [{ kind: 'workspace' }];
  const slotBytes = [plan.bytes];
  const slotOf = new Map<unknown, number>();
  const slot = (key: unknown, make: () => Slot) => {
    let index = slotOf.get(key);
    if (index === undefined) {
      index = slots.push(make()) - 1;
      slotBytes.push(0);
      slotOf.set(key, index);
    }
    return index;
  };
  const atPlace = (place: Place): Location => ({
    slot: slot(place.storage, () => ({ kind: 'storage', storage: place.storage })),
    byteOffset: place.byteOffset,
  });
  const locateRoot = (root: Value): Location => {
    const output = direct.get(root);
    if (output !== undefined) {
      return { slot: slot(`out${output}`, () => ({ kind: 'output', index: output })), byteOffset: 0 };
    }
    const placement = graph.placements.get(root);
    if (placement !== undefined) return atPlace(placement);
    if (root.source.kind === 'place') return atPlace(root.source.place);
    if (root.source.kind === 'input') {
      const { index } = root.source;
      return { slot: slot(`in${index}`, () => ({ kind: 'input', index })), byteOffset: 0 };
    }
    return { slot: 0, byteOffset: plan.offsets.get(root) ?? 0 };
  };
  const locate = (value: Value): Location => {
    const { value: root, byteOffset } = value.root();
    const at = locateRoot(root);
    return { slot: at.slot, byteOffset: at.byteOffset + byteOffset };
  };

  const operandWords: number[] = [];
  const operandIds = new Map<string, number>();
  const operand = (value: Value | undefined): number => {
    if (value === undefined) return -1;
    const at = locate(value);
    const end = at.byteOffset + value.size * dtypeBytes[value.dtype];
    slotBytes[at.slot] = Math.max(slotBytes[at.slot]!, end);
    const [lo, hi] = split(at.byteOffset);
    const words = [at.slot, lo, hi, dtypeCode[value.dtype], value.shape.length, ...value.shape];
    const key = words.join();
    let id = operandIds.get(key);
    if (id === undefined) {
      id = operandIds.size;
      operandIds.set(key, id);
      operandWords.push(...words);
    }
    return id;
  };

  const code: number[] = [];
  for (const node of nodes) {
    const ids = [...node.outputs, ...node.inputs].map(operand);
    const attributes = attributeWords(node);
    code.push(
      kernels[node.kernel].opcode,
      3 + ids.length + attributes.length,
      ids.length,
      ...ids,
      ...attributes,
    );
  }
  const header = [
    programMagic,
    programVersion,
    slots.length,
    operandIds.size,
    nodes.length,
    code.length,
    ...split(plan.bytes),
  ];
  const words = Int32Array.from([...header, ...slotBytes.flatMap(split), ...operandWords, ...code]);
  return { words, slots, nodes, workspaceBytes: plan.bytes, locate };
}

function attributeWords(node: Node): readonly number[] {
  if (node.micro === undefined) return node.attributes;
  return node.micro.flatMap(({ op, args }) => [micro[op].code, args[0] ?? 0, args[1] ?? 0, args[2] ?? 0]);
}

/** A number of bytes as its low and high words. */
function split(bytes: number): [number, number] {
  return [bytes | 0, Math.floor(bytes / 2 ** 32)];
}
