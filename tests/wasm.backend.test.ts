// The WebAssembly backend, both variants: buffers, programs, runs in turn, refusals, and what happens at the end.
import assert from 'node:assert/strict';
import { type Backend, ProgramFault } from '../src/backend/backend.ts';
import { NablaError } from '../src/errors.ts';
import { openNodeWasm } from '../src/platform/node-wasm.ts';
import {
  addition,
  bind,
  delay,
  integers,
  nablaError,
  oneHot,
  product,
  put,
  reach,
  reference,
  skipUnlessBuilt,
  startCounting,
  take,
} from './wasm.programs.ts';

for (const variant of ['simd', 'threads'] as const) {
  describe(`wasm backend, ${variant}`, function () {
    this.timeout(20_000);
    let backend: Backend;
    before(skipUnlessBuilt);
    beforeEach(() => {
      backend = openNodeWasm({ variant });
    });
    afterEach(() => backend?.close());

    it('tells what it is', () => {
      assert.equal(backend.info.name, 'wasm');
      assert.equal(backend.info.instructionSet, 'simd128');
      assert.equal(backend.info.threads, 1);
    });

    it('gives back what was written, and zeros before', () => {
      const buffer = backend.allocate(1000);
      assert.deepEqual(take(backend, buffer, 250), new Float32Array(250));
      const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
      backend.write(buffer, 3, bytes);
      const got = new Uint8Array(102);
      backend.read(buffer, 2, got);
      assert.deepEqual([...got], [0, ...bytes, 0]);
      backend.free(buffer);
      assert.throws(() => backend.free(buffer), nablaError('wasm.free', /unknown buffer/));
    });

    it('keeps contents while memory grows', () => {
      const first = put(backend, integers(100_000, 1));
      const others = Array.from({ length: 6 }, () => backend.allocate(32 << 20));
      assert.deepEqual(take(backend, first, 100_000), integers(100_000, 1));
      for (const other of others) backend.free(other);
      assert.equal(backend.memory().buffers, 1);
      assert.equal(backend.memory().bufferBytes, 400_000);
      assert.ok(backend.memory().peakBytes >= 6 * (32 << 20));
    });

    it('adds', () => {
      for (const size of [0, 1, 3, 4, 1023]) {
        const [a, b, out] = [
          put(backend, integers(size, 1)),
          put(backend, integers(size, 2)),
          backend.allocate(4 * size),
        ];
        const add = addition(size);
        backend.run(backend.load(add.words), bind(add, [a, b], out));
        const sums = integers(size, 1).map((value, i) => value + integers(size, 2)[i]!);
        assert.deepEqual(take(backend, out, size), sums);
      }
    });

    it('multiplies matrices', () => {
      for (const [m, k, n] of [
        [1, 1, 1],
        [5, 7, 9],
        [33, 65, 31],
        [64, 128, 96],
      ] as const) {
        const [a, b] = [integers(m * k, 1), integers(k * n, 2)];
        const out = backend.allocate(4 * m * n);
        const gemm = product(m, k, n);
        backend.run(backend.load(gemm.words), bind(gemm, [put(backend, a), put(backend, b)], out));
        assert.deepEqual(take(backend, out, m * n), reference(a, b, m, k, n));
      }
    });

    it('runs many steps, and calls come between them', async () => {
      const { done, sum } = startCounting(backend, 1000, 1000);
      const other = put(backend, integers(10, 3));
      assert.deepEqual(take(backend, other, 10), integers(10, 3));
      assert.deepEqual(await done, { steps: 1000 });
      assert.deepEqual(take(backend, sum, 1000), new Float32Array(1000).fill(1000));
      assert.deepEqual(await startCounting(backend, 10, 0).done, { steps: 0 });
    });

    it('stops a run after a step', async () => {
      const { done, stop, sum } = startCounting(backend, 100_000, 1e9);
      await reach(backend, sum, 10);
      stop();
      const { steps } = await done;
      stop();
      assert.ok(steps >= 10 && steps < 1e9, `${steps} steps`);
      assert.equal(take(backend, sum, 1)[0], steps);
    });

    it('runs two runs in turn', async () => {
      const [first, second] = [startCounting(backend, 50_000, 1e9), startCounting(backend, 50_000, 1e9)];
      await reach(backend, first.sum, 10);
      const before = take(backend, first.sum, 1)[0]! - take(backend, second.sum, 1)[0]!;
      await reach(backend, first.sum, 200);
      const after = take(backend, first.sum, 1)[0]! - take(backend, second.sum, 1)[0]!;
      first.stop();
      second.stop();
      await Promise.all([first.done, second.done]);
      // Between the two reads the runs go on by a step or two.
      assert.ok(Math.abs(after - before) <= 10, `the first was ahead by ${before}, then by ${after} steps`);
    });

    it('lets calls through while a run is under way, and the run go on between them', async () => {
      const { done, stop, sum } = startCounting(backend, 200_000, 1e9);
      const add = addition(4);
      const program = backend.load(add.words);
      const [x, y, z] = [put(backend, integers(4, 1)), put(backend, integers(4, 2)), backend.allocate(16)];
      await reach(backend, sum, 1);
      for (let i = 0; i < 20; i++) {
        for (let j = 0; j < 50; j++) backend.run(program, bind(add, [x, y], z));
        await delay(1);
      }
      assert.equal(take(backend, z, 1)[0], integers(4, 1)[0]! + integers(4, 2)[0]!);
      stop();
      assert.ok((await done).steps > 5);
    });

    it('keeps what a run uses until it ends', async () => {
      const { done, sum, one, program } = startCounting(backend, 1000, 200);
      backend.free(one);
      backend.unload(program);
      assert.throws(() => take(backend, one, 1), nablaError('wasm.read', /unknown buffer/));
      assert.deepEqual(await done, { steps: 200 });
      assert.equal(take(backend, sum, 1)[0], 200);
      assert.equal(backend.memory().buffers, 1);
      assert.equal(backend.memory().programs, 0);
    });

    it('reports faults', async () => {
      const [labels, indices] = [put(backend, Int32Array.of(1, 3)), put(backend, Int32Array.of(0, 1))];
      const code = oneHot();
      const [out, program] = [backend.allocate(24), backend.load(code.words)];
      const bindings = bind(code, [labels, indices], out);
      const expected = {
        name: 'ProgramFault',
        code: 'labelOutOfRange',
        instruction: 0,
        value: 3,
        limit: 3,
        step: 0,
      };
      assert.throws(() => backend.run(program, bindings), expected);
      const run = backend.start(program, bindings, 5);
      await assert.rejects(run.done, (error) => error instanceof ProgramFault && error.value === 3);
      backend.write(labels, 0, Int32Array.of(1, 2));
      backend.run(program, bindings);
      assert.deepEqual([...take(backend, out, 6)], [0, 1, 0, 0, 0, 1]);
    });

    it('refuses what does not fit', () => {
      const buffer = backend.allocate(16);
      const add = addition(4);
      const program = backend.load(add.words);
      const bindings = bind(add, [buffer, buffer], buffer);
      assert.throws(
        () => backend.write(buffer, 8, new Float32Array(3)),
        nablaError('wasm.write', /got 12, expected at most 8/),
      );
      assert.throws(
        () => backend.read(buffer, -4, new Float32Array(1)),
        nablaError('wasm.read', /byte offset, got -4/),
      );
      assert.throws(
        () => backend.read(99, 0, new Float32Array(1)),
        nablaError('wasm.read', /unknown buffer/),
      );
      assert.throws(
        () => backend.run(program, bindings.slice(2)),
        nablaError('wasm.run', /numbers in the bindings, got 4, expected 6/),
      );
      assert.throws(() => backend.run(program + 1, bindings), nablaError('wasm.run', /unknown program/));
      assert.throws(
        () => backend.run(program, Float64Array.of(buffer, 0, buffer, 4, buffer, 0)),
        nablaError('wasm.run', /slot 2: byte offset, got 4/),
      );
      assert.throws(() => backend.start(program, bindings, -1), nablaError('wasm.start', /steps/));
      assert.throws(
        () => backend.write(buffer, 0, [1] as unknown as Float32Array),
        nablaError('wasm.write', /expected a Float32Array/),
      );
    });

    it('refuses memory that cannot be had, and goes on', () => {
      for (const bytes of [
        1e15,
        2 ** 32,
        2 ** 32 + 64,
        3.9e9,
        -1,
        0.5,
        Number.NaN,
        Number.POSITIVE_INFINITY,
      ]) {
        assert.throws(() => backend.allocate(bytes), nablaError('wasm.allocate', /got/), String(bytes));
      }
      const buffer = put(backend, integers(100, 1));
      assert.deepEqual(take(backend, buffer, 100), integers(100, 1));
    });

    it('survives hostile words', () => {
      const gemm = product(5, 7, 9);
      const good = gemm.words;
      assert.throws(() => backend.load(new Int32Array(0)), NablaError);
      assert.throws(() => backend.load(new Int32Array(8)), NablaError);
      const [a, b, c] = [backend.allocate(140), backend.allocate(252), backend.allocate(180)];
      const bindings = bind(gemm, [a, b], c);
      for (let i = 0; i < good.length; i++) {
        for (const value of [-1, 0, 1, 0x7fffffff, -0x80000000, good[i]! + 1, good[i]! ^ 0x40000000]) {
          const words = good.slice();
          words[i] = value;
          try {
            const program = backend.load(words);
            backend.run(program, bindings);
            backend.unload(program);
          } catch (error) {
            assert.ok(error instanceof NablaError, `word ${i} = ${value}: ${error}`);
            assert.doesNotMatch(error.message, /module failed/, `word ${i} = ${value}`);
          }
        }
      }
      backend.run(backend.load(good), bindings);
    });

    it('closes: runs end, calls are refused', async () => {
      const { done, stop, sum } = startCounting(backend, 1000, 1e9);
      await reach(backend, sum, 1);
      backend.close();
      backend.close();
      const { steps } = await done;
      assert.ok(steps > 0 && steps < 1e9);
      assert.throws(() => backend.allocate(4), nablaError('wasm.allocate', /closed/));
      stop();
    });
  });
}
