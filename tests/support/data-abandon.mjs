// A process that breaks off passes over data sets and then has nothing left to do: it must end by itself.
import { register } from 'tsx/esm/api';

register();
const { data } = await import('../../src/index.ts');
const url = new URL('./data-worker.mjs', import.meta.url);

for await (const _ of data.range(100_000).parallelMap(url, 'square', { workers: 2 }).prefetch(4)) break;
// A worker that would never end, and a source that never answers.
const stuck = data.range(10).parallelMap(url, 'spins', { workers: 1 }).iterate();
const hanging = data.fromAsyncIterator(() => ({ next: () => new Promise(() => {}) })).iterate();
void stuck.next();
void hanging.next();
await new Promise((resolve) => setTimeout(resolve, 200));
await stuck.return();
await hanging.return();
for await (const _ of data.textLines(process.argv[1])) break;
console.log('done');
