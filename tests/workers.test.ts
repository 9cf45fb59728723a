// The addon in worker threads: several at once, and threads that are ended in the middle of a step.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { tensor } from '../src/index.ts';

const script = fileURLToPath(new URL('./support/training-worker.mjs', import.meta.url));

function start(endless: boolean): Worker {
  return new Worker(script, { workerData: { endless }, execArgv: [] });
}

describe('worker threads', function () {
  this.timeout(120_000);

  it('train in several threads at once, each with its own memory', async () => {
    const workers = [start(false), start(false), start(false)];
    const results = await Promise.all(
      workers.map(async (worker) => (await once(worker, 'message'))[0] as number[]),
    );
    await Promise.all(workers.map((worker) => worker.terminate()));
    assert.ok(results[0]!.length > 0 && results[0]!.every(Number.isFinite));
    assert.deepEqual(results[1], results[0]);
    assert.deepEqual(results[2], results[0]);
  });

  it('survive being terminated in the middle of a run', async () => {
    for (let round = 0; round < 3; round++) {
      const workers = [start(true), start(true)];
      await Promise.all(workers.map((worker) => once(worker, 'message')));
      await sleep(20 * round);
      const codes = await Promise.all(workers.map((worker) => worker.terminate()));
      assert.deepEqual(codes, [1, 1]);
    }
    // This thread goes on computing.
    assert.deepEqual(tensor([1, 2]).arraySync(), [1, 2]);
  });
});
