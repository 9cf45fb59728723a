// Memory planning: every value that a program makes gets an offset in the workspace, reused once nobody reads it again.
import { dtypeBytes } from '../dtype.ts';
import { sameShape } from '../shape.ts';
import type { Graph, Node, Value } from './graph.ts';

/** Where the program's own values lie. */
export interface Plan {
  /** Byte offsets in the workspace. */
  readonly offsets: ReadonlyMap<Value, number>;
  /** Size of the workspace. */
  readonly bytes: number;
}

/** A stretch of memory and the span of instructions during which it is in use. */
interface Block {
  bytes: number;
  first: number;
  last: number;
  offset: number;
  values: Value[];
}

// A cache line and the widest vector: no value shares one with another.
const alignment = 64;

/** Plans the values that nodes make and that have no place of their own (`placed`). */
export function planMemory(nodes: readonly Node[], graph: Graph, placed: ReadonlySet<Value>): Plan {
  const blocks = new Map<Value, Block>();
  const touch = (value: Value | undefined, at: number) => {
    const block = value && blocks.get(value.root().value);
    if (block) block.last = Math.max(block.last, at);
  };
  const lastReads = lastReadOf(nodes, graph);
  nodes.forEach((node, at) => {
    for (const out of node.outputs) {
      if (out === undefined || out.source.kind !== 'node' || placed.has(out)) continue;
      if (blocks.has(out)) {
        touch(out, at);
        continue;
      }
      const shared = inPlaceInput(node, out, at, blocks, lastReads);
      const bytes = out.size * dtypeBytes[out.dtype];
      const block = shared ?? { bytes, first: at, last: at, offset: 0, values: [] };
      block.values.push(out);
      block.last = Math.max(block.last, at);
      blocks.set(out, block);
    }
    for (const input of node.inputs) touch(input, at);
    if (node.effect) for (const out of node.outputs) touch(out, at);
  });
  for (const output of [...graph.outputs, ...graph.placements.keys()]) touch(output, nodes.length);

  const bytes = place([...new Set(blocks.values())]);
  const offsets = new Map<Value, number>();
  for (const [value, block] of blocks) offsets.set(value, block.offset);
  return { offsets, bytes };
}

function lastReadOf(nodes: readonly Node[], graph: Graph): Map<Value, number> {
  const last = new Map<Value, number>();
  nodes.forEach((node, at) => {
    for (const value of [...node.inputs, ...(node.effect ? node.outputs : [])]) {
      if (value) last.set(value.root().value, at);
    }
  });
  for (const value of [...graph.outputs, ...graph.placements.keys()])
    last.set(value.root().value, nodes.length);
  return last;
}

/** The block of an input that a map may overwrite: same shape and width, and never read again. */
function inPlaceInput(
  node: Node,
  out: Value,
  at: number,
  blocks: ReadonlyMap<Value, Block>,
  lastReads: ReadonlyMap<Value, number>,
): Block | undefined {
  if (node.kernel !== 'map') return undefined;
  for (const input of node.inputs) {
    if (input === undefined) continue;
    const { value: root, byteOffset } = input.root();
    const block = blocks.get(root);
    const fits =
      block !== undefined &&
      byteOffset === 0 &&
      root.size === out.size &&
      dtypeBytes[root.dtype] === dtypeBytes[out.dtype] &&
      sameShape(input.shape, out.shape) &&
      lastReads.get(root) === at &&
      block.last < at + 1;
    // Another view of the same memory, broadcast, would be read after it was overwritten.
    const single = node.inputs.every((other) => other === input || other?.root().value !== root);
    if (fits && single) return block;
  }
  return undefined;
}

/** Gives offsets by first fit, the largest blocks first; blocks that live at the same time never overlap. */
function place(blocks: Block[]): number {
  const done: Block[] = [];
  let total = 0;
  for (const block of blocks.sort((a, b) => b.bytes - a.bytes || a.first - b.first)) {
    const rivals = done
      .filter((other) => other.first <= block.last && block.first <= other.last)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const rival of rivals) {
      if (offset + block.bytes <= rival.offset) break;
      offset = Math.max(offset, roundUp(rival.offset + rival.bytes));
    }
    block.offset = offset;
    total = Math.max(total, roundUp(offset + block.bytes));
    done.push(block);
  }
  return total;
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}
