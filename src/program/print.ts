// The readable listing of a program: one line an instruction, with shapes, sizes and where each value lies.
import { dtypeBytes } from '../dtype.ts';
import { showShape } from '../shape.ts';
import type { CompiledProgram, Slot } from './compile.ts';
import type { Node, Value } from './graph.ts';
import { kernels } from './kernels.ts';

/** The program as text. */
export function printProgram(
  program: CompiledProgram,
  nameOf: (storage: object) => string | undefined,
): string {
  const names = program.slots.map((slot, i) => slotName(slot, i, nameOf));
  const show = (value: Value | undefined) => {
    if (value === undefined) return '-';
    const { slot, byteOffset } = program.locate(value);
    return `${value.dtype}${showShape(value.shape)}@${names[slot]}+${byteOffset}`;
  };
  const lines = program.nodes.map((node, i) => {
    const outputs = node.outputs.map(show).join(', ');
    const inputs = node.inputs.map(show).join(', ');
    const name = `${node.kernel}${node.effect ? '!' : ''}`;
    return `${String(i).padStart(4)}  ${outputs} = ${name}(${inputs})${details(node)}  # ${node.where}`;
  });
  const bytes = new Set<string>();
  let written = 0;
  for (const node of program.nodes) {
    for (const out of node.outputs) {
      if (out === undefined) continue;
      const key = show(out);
      if (!bytes.has(key)) written += out.size * dtypeBytes[out.dtype];
      bytes.add(key);
    }
  }
  const head = [
    `program: ${program.nodes.length} instructions, ${program.words.length} words, ` +
      `workspace ${program.workspaceBytes} bytes, ${written} bytes written a step`,
    `slots: ${names.join(', ')}`,
  ];
  return [...head, ...lines].join('\n');
}

function slotName(slot: Slot, index: number, nameOf: (storage: object) => string | undefined): string {
  switch (slot.kind) {
    case 'workspace':
      return 'workspace';
    case 'input':
      return `in${slot.index}`;
    case 'output':
      return `out${slot.index}`;
    case 'storage':
      return nameOf(slot.storage) ?? `memory${index}`;
  }
}

function details(node: Node): string {
  if (node.micro !== undefined) {
    const first = node.inputs.length;
    const steps = node.micro.map(({ op, args }, i) => `r${first + i}=${op}(${args.join(' ')})`);
    return ` {${steps.join('; ')}}`;
  }
  const names: readonly string[] = kernels[node.kernel].attributes;
  const shown = node.attributes.map((word, i) => {
    const name = names[Math.min(i, names.length - 1)]!;
    return name.endsWith(':f')
      ? `${name.slice(0, -2)}=${showFloat(word)}`
      : `${name.replace('*', '')}=${word}`;
  });
  return ` {${shown.join(' ')}}`;
}

function showFloat(word: number): number {
  return new Float32Array(Int32Array.of(word).buffer)[0]!;
}
