// A process in which the addon refuses much while garbage is collected often: run with a small young generation.
import { register } from 'tsx/esm/api';

register();
const { add, setBackend, tensor } = await import('../../src/index.ts');
const { engine } = await import('../../src/engine.ts');

await setBackend('native', { threads: 1 });
const { backend } = engine();
let refused = 0;
for (let i = 0; i < 100_000; i++) {
  add(tensor([i, 1]), 1);
  try {
    backend.load(Int32Array.of(i, i + 1, i + 2));
  } catch {
    refused++;
  }
}
console.log(refused);
