// parallelMap: order, errors, seeds, and worker threads that end with their work.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { data } from '../src/index.ts';
import { describeFastest } from './support/backends.ts';
import { says } from './support/errors.ts';

const url = new URL('./support/data-worker.mjs', import.meta.url);

describeFastest('parallelMap', () => {
  it('keeps the order, whatever the number of threads and the lists they are sent', async () => {
    const expected = await data
      .range(50)
      .map((x) => x * x)
      .toArray();
    for (const options of [{ workers: 1 }, { workers: 3, chunkSize: 1 }, { workers: 2, chunkSize: 7 }, {}]) {
      const set = data.range(50).parallelMap<number>(url, 'square', options);
      assert.equal(set.size, 50);
      assert.deepEqual(await set.toArray(), expected);
    }
  });

  it('uses the threads that it is given, and keeps them from pass to pass', async () => {
    const set = data.range(40).parallelMap<number>(url, 'thread', { workers: 2, chunkSize: 1 });
    const first = new Set(await set.toArray());
    assert.equal(first.size, 2);
    for (const id of await set.toArray()) assert.ok(first.has(id));
  });

  it('sends objects and arrays, only the part of a buffer that is theirs, and the seed of map', async () => {
    const big = new Float32Array(1000).fill(1);
    const rows = { dtype: 'float32' as const, shape: [4], data: big.subarray(8, 12) };
    const set = data.fromArray([
      { name: 'a', rows },
      { name: 'b', rows },
    ]);
    const found = await set.parallelMap(url, 'describeElement', { seed: 4, workers: 1 }).toArray();
    const seeds = await set.map((_, { seed }) => seed, { seed: 4 }).toArray();
    assert.deepEqual(found, [
      { name: 'a!', sum: 4, bytes: 16, index: 0, seed: seeds[0] },
      { name: 'b!', sum: 4, bytes: 16, index: 1, seed: seeds[1] },
    ]);
  });

  it('takes results over without a copy from a module that gives them away', async () => {
    const giver = new URL('./support/data-giver.mjs', import.meta.url);
    const set = data.range(1, 4).parallelMap(giver, 'fill', { workers: 1, chunkSize: 1 });
    assert.deepEqual(await set.toArray(), [
      { numbers: new Float32Array(4).fill(1), left: 4 },
      { numbers: new Float32Array(4).fill(2), left: 0 },
      { numbers: new Float32Array(4).fill(3), left: 0 },
    ]);
  });

  it('gives what comes before an error, then the error with its element, once', async () => {
    const pass = data.range(9).parallelMap(url, 'failsAtFive', { workers: 2, chunkSize: 2 }).iterate();
    for (const value of [0, 1, 2, 3, 4]) assert.deepEqual(await pass.next(), { done: false, value });
    const error = await pass.next().catch((caught: Error) => caught);
    says('data.parallelMap', 'element 5 failed: five is right out')(error);
    assert.equal(((error as Error).cause as Error).name, 'RangeError');
    assert.deepEqual(await pass.next(), { done: true, value: undefined });
  });

  it('says what is wrong with the module, the function, the result or the thread', async () => {
    const run = (address: URL | string, name: string, element: unknown = 1) =>
      data.fromArray([element]).parallelMap(address, name, { workers: 1 }).toArray();
    const where = 'data.parallelMap';
    await assert.rejects(run(url, 'notAFunction'), says(where, 'no function notAFunction', 'square'));
    await assert.rejects(
      run(new URL('./nowhere.mjs', url), 'f'),
      says(where, 'element 0 failed', 'nowhere.mjs'),
    );
    await assert.rejects(run(url, 'cannotCross'), says(where, 'element 0 failed', 'could not be cloned'));
    await assert.rejects(
      run(url, 'square', () => 1),
      says(where, 'element 0 failed', 'could not be cloned'),
    );
    await assert.rejects(run(url, 'endsThread'), says(where, 'element 0 failed', 'ended with code 3'));
    assert.throws(() => data.range(1).parallelMap('./a.js', 'f'), says(where, "got './a.js'", 'file URL'));
    assert.throws(() => data.range(1).parallelMap(url, 'f', { workers: 0 }), says(where, 'workers', 'got 0'));
  });

  it('leaves nothing behind that keeps a process alive', () => {
    const script = fileURLToPath(new URL('./support/data-abandon.mjs', import.meta.url));
    const output = execFileSync(process.execPath, [script], { encoding: 'utf8', timeout: 50_000 });
    assert.equal(output.trim(), 'done');
  });
});
