// The addon at its edges: refusals while garbage is collected, memory in synchronous loops, arguments of any kind.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Backend } from '../src/backend/backend.ts';
import { openNative } from '../src/backend/native.ts';
import { engine, useBackend, useEngine } from '../src/engine.ts';
import { add, memory, NablaError, zeros } from '../src/index.ts';

describe('the native backend', function () {
  this.timeout(120_000);
  let backend: Backend;
  before(() => {
    backend = openNative({ threads: 1 });
  });
  after(() => backend.close());

  it('lives through refusals that meet the garbage collector', () => {
    const script = fileURLToPath(new URL('./support/refusals.mjs', import.meta.url));
    const text = execFileSync(process.execPath, ['--max-semi-space-size=1', script], { encoding: 'utf8' });
    assert.equal(text.trim(), '100000');
  });

  it('keeps memory bounded in a synchronous loop that disposes of nothing', () => {
    const former = engine();
    useBackend(backend);
    try {
      let largest = 0;
      for (let i = 0; i < 2000; i++) {
        add(zeros([1 << 18]), i);
        largest = Math.max(largest, memory().bufferBytes);
      }
      // 2,000 rounds make 4 GB.
      assert.ok(largest < 1.5e9, `${largest} bytes were held at once`);
    } finally {
      useEngine(former);
    }
  });

  it('refuses what cannot be had or does not exist, and goes on', () => {
    const calls: [() => unknown, RegExp][] = [
      [() => backend.allocate(1e15), /\[native\.allocate\].*got/],
      [() => backend.allocate(-1), /\[native\.allocate\].*got/],
      [() => backend.allocate(Number.NaN), /\[native\.allocate\].*got/],
      [() => backend.allocate('1' as unknown as number), /size in bytes, got 1, expected a number/],
      [() => backend.free(12345), /unknown buffer, got 12345, expected a handle from allocate/],
      [() => backend.unload(99999), /\[native\.unload\].*got 99999/],
      [() => backend.load(new Int32Array(0)), /\[native\.load\]/],
      [
        () => backend.load(new Float32Array(8) as unknown as Int32Array),
        /got Float32Array, expected an Int32Array/,
      ],
      [() => backend.run(99999, new Float64Array(0)), /\[native\.run\].*got 99999/],
      [() => backend.start(99999, new Float64Array(0), 1), /\[native\.start\].*got 99999/],
    ];
    for (const [call, message] of calls) {
      assert.throws(
        call,
        (error: Error) => error instanceof Error && message.test(error.message),
        String(call),
      );
    }
    const buffer = backend.allocate(16);
    assert.throws(() => backend.write(buffer, 8, new Float32Array(4)), NablaError);
    assert.throws(() => backend.read(buffer, 1e12, new Float32Array(1)), NablaError);
    backend.write(buffer, 0, Float32Array.of(1, 2, 3, 4));
    const target = new Float32Array(4);
    backend.read(buffer, 0, target);
    assert.deepEqual([...target], [1, 2, 3, 4]);
    backend.free(buffer);
    assert.throws(() => backend.free(buffer), /unknown buffer/);
  });

  it('answers after close that it is closed', () => {
    const mine = openNative({ threads: 1 });
    mine.close();
    mine.close();
    assert.throws(() => mine.allocate(4), /backend is closed/);
  });
});
