// A backend that notes which kernels and micro-operations the programs hold that are loaded into it.
import type { Backend } from '../../src/backend/backend.ts';
import { kernels, micro } from '../../src/program/kernels.ts';

const kernelNames = new Map<number, string>(
  Object.entries(kernels).map(([name, { opcode }]) => [opcode, name]),
);
const microNames = new Map<number, string>(Object.entries(micro).map(([name, { code }]) => [code, name]));

/** Names of kernels, and of micro-operations as `map.name`, in a program's words (src/program/compile.ts). */
function namesIn(words: Int32Array): string[] {
  const names: string[] = [];
  const [slots, operands, instructions] = [words[2]!, words[3]!, words[4]!];
  let at = 8 + 2 * slots;
  for (let i = 0; i < operands; i++) at += 5 + words[at + 4]!;
  for (let i = 0; i < instructions; i++) {
    const name = kernelNames.get(words[at]!)!;
    names.push(name);
    const end = at + words[at + 1]!;
    if (name === 'map')
      for (let op = at + 3 + words[at + 2]!; op < end; op += 4)
        names.push(`map.${microNames.get(words[op]!)}`);
    at = end;
  }
  return names;
}

/** What there is to be seen. */
export const allNames: readonly string[] = [
  ...kernelNames.values(),
  ...[...microNames.values()].map((name) => `map.${name}`),
];

/** The same backend; `seen` grows with each program that is loaded. */
export function recordingLoads(backend: Backend, seen: Set<string>): Backend {
  const load = backend.load.bind(backend);
  backend.load = (words) => {
    for (const name of namesIn(words)) seen.add(name);
    return load(words);
  };
  return backend;
}
