// Ops outside of traces, called again: what is kept of the first call, when it is not used, and what becomes of memory.
import assert from 'node:assert/strict';
import type { Backend } from '../src/backend/backend.ts';
import { openNative } from '../src/backend/native.ts';
import { Engine, useEngine } from '../src/engine.ts';
import {
  add,
  argMax,
  cast,
  clip,
  div,
  equal,
  exp,
  gelu,
  grad,
  jit,
  leakyRelu,
  matMul,
  max,
  mean,
  memory,
  mul,
  relu,
  scope,
  softmax,
  sub,
  sum,
  type Tensor,
  tensor,
  transpose,
  where,
} from '../src/index.ts';
import { backends, describeBackends, fastest, onFresh } from './support/backends.ts';

const numbersOf = (t: Tensor) => [...t.dataSync()];

/** How often each method of the backend is called by `body`. */
function callsOf(backend: Backend, body: () => void): Record<string, number> {
  const counts: Record<string, number> = {};
  const watched = backend as unknown as Record<string, unknown>;
  const names = ['allocate', 'free', 'own', 'load', 'unload', 'run', 'runStaged', 'write', 'read'];
  for (const name of names) {
    const method = (watched[name] as ((...args: unknown[]) => unknown) | undefined)?.bind(backend);
    if (method === undefined) continue;
    watched[name] = (...args: unknown[]) => {
      counts[name] = (counts[name] ?? 0) + 1;
      return method(...args);
    };
  }
  try {
    body();
  } finally {
    for (const name of names) delete watched[name];
  }
  return counts;
}

const ops: Record<string, (a: Tensor, b: Tensor) => Tensor> = {
  add: (a, b) => add(a, b),
  'add to itself': (a) => add(a, a),
  'sub of a number': (a) => sub(1.5, a),
  'mul by a number': (a) => mul(a, 3),
  'div with broadcasting': (a, b) => div(a, b),
  exp: (a) => exp(a),
  relu: (a) => relu(a),
  equal: (a, b) => equal(a, b),
  cast: (a) => cast(a, 'int32'),
  matMul: (a, b) => matMul(a, b),
  'matMul, transposed': (a, b) => matMul(a, b, { transposeB: true }),
  'sum of all': (a) => sum(a),
  'mean over an axis': (a) => mean(a, 1, true),
  max: (a) => max(a, -1),
  argMax: (a) => argMax(a, 0),
  softmax: (a) => softmax(a),
  gelu: (a) => gelu(a),
  'leakyRelu with a parameter': (a) => leakyRelu(a, 0.3),
  where: (a, b) => where(b, a, 0.5),
  clip: (a) => clip(a, -3, 3),
  transpose: (a) => transpose(a),
  slice: (a) => a.slice([0, 1], [3, 2]),
};

describeBackends('an eager op called again', ({ open }) => {
  for (const [name, op] of Object.entries(ops)) {
    it(`is one call of the backend: ${name}`, () => {
      const a = tensor([1, -2, 3, -4, 5, -6, 7, -8, 9], [3, 3]);
      const b = name.includes('broadcasting')
        ? tensor([1, 2, 4])
        : tensor([2, 0, 1, 1, 3, 0, 0, 1, 9], [3, 3]);
      const first = op(a, b);
      const expected = numbersOf(first);
      const { shape, dtype } = first;
      first.dispose();
      op(a, b).dispose();
      const again: Tensor[] = [];
      const counts = callsOf(open().backend, () => {
        for (let i = 0; i < 3; i++) {
          const out = op(a, b);
          again.push(out);
          // The last one stays, for a look at it.
          if (i < 2) out.dispose();
        }
      });
      assert.deepEqual(counts, { runStaged: 3 });
      const out = again[2]!;
      assert.deepEqual([out.shape, out.dtype, numbersOf(out)], [shape, dtype, expected]);
      for (const each of [a, b, out]) each.dispose();
    });
  }

  it('is not taken for another one', () => {
    const [a, b] = [tensor([1, 2]), tensor([10, 20])];
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(numbersOf(add(a, a)), [2, 4]);
      assert.deepEqual(numbersOf(add(a, b)), [11, 22]);
      assert.deepEqual(numbersOf(add(b, a)), [11, 22]);
      assert.deepEqual(numbersOf(sub(b, a)), [9, 18]);
      assert.deepEqual(numbersOf(sub(a, b)), [-9, -18]);
      assert.deepEqual(numbersOf(sub(a, 1)), [0, 1]);
      assert.deepEqual(numbersOf(sub(1, a)), [0, -1]);
      assert.deepEqual(numbersOf(add(a, 0.5)), [1.5, 2.5]);
      assert.deepEqual(numbersOf(add(cast(a, 'int32'), b)), [11, 22]);
      assert.equal(add(cast(a, 'int32'), 1).dtype, 'int32');
      assert.equal(add(cast(a, 'int32'), 0.5).dtype, 'float32');
      assert.deepEqual(div(1, mul(a, 0)).dataSync()[0], Number.POSITIVE_INFINITY);
      assert.deepEqual(div(1, mul(a, -0)).dataSync()[0], Number.NEGATIVE_INFINITY);
      assert.ok(Number.isNaN(numbersOf(mul(a, Number.NaN))[0]));
      assert.deepEqual(add(a, tensor([[1], [2]])).shape, [2, 2]);
      assert.deepEqual(add(tensor([[1], [2]]), a).shape, [2, 2]);
      const square = tensor([1, 2, 3, 4], [2, 2]);
      assert.deepEqual(numbersOf(sum(square, 0)), [4, 6]);
      assert.deepEqual(numbersOf(sum(square, 1)), [3, 7]);
      assert.deepEqual(sum(square, 1, true).shape, [2, 1]);
      assert.deepEqual(numbersOf(mean(square)), [2.5]);
      assert.deepEqual(numbersOf(matMul(square, square)), [7, 10, 15, 22]);
      assert.deepEqual(numbersOf(matMul(square, square, { transposeA: true })), [10, 14, 14, 20]);
      assert.deepEqual(numbersOf(clip(a, 1.5, 9)), [1.5, 2]);
      assert.deepEqual(numbersOf(clip(a, 0, 1.5)), [1, 1.5]);
      assert.deepEqual(numbersOf(where(equal(a, 1), a, b)), [1, 20]);
      assert.deepEqual(numbersOf(where(equal(a, 1), b, a)), [10, 2]);
    }
  });

  it('reads views where they begin', () => {
    const whole = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(numbersOf(add(whole.reshape([3, 2]), whole.reshape([3, 2]))), [2, 4, 6, 8, 10, 12]);
      assert.deepEqual(numbersOf(mul(whole.reshape([6]), 2)), [2, 4, 6, 8, 10, 12]);
    }
  });

  it('has its gradient', () => {
    const x = tensor([1, 2]);
    for (let round = 0; round < 3; round++) {
      mul(x, x).dispose();
      assert.deepEqual(numbersOf(grad((v) => sum(mul(v, v)))(x)), [2, 4]);
      assert.deepEqual(numbersOf(grad((v) => sum(mul(v, 3)))(x)), [3, 3]);
      assert.deepEqual(numbersOf(grad((v) => sum(relu(sub(v, 1.5))))(x)), [0, 1]);
    }
  });

  it('is a part of a trace', () => {
    const x = tensor([1, 2]);
    add(x, 1).dispose();
    const f = jit((v: Tensor) => mul(add(v, 1), 2));
    assert.deepEqual(numbersOf(f(x)), [4, 6]);
    assert.match(f.print(x), /add/);
    f.dispose();
  });

  it('refuses tensors that were disposed of, as at first', () => {
    const [a, b] = [tensor([1, 2]), tensor([3, 4])];
    add(a, b).dispose();
    b.dispose();
    assert.throws(() => add(a, b), /\[add\] this tensor has been disposed of/);
    assert.throws(() => exp(b), /\[exp\] this tensor has been disposed of/);
  });

  it('refuses shapes that do not fit, as at first', () => {
    add(tensor([1, 2]), tensor([1, 2])).dispose();
    assert.throws(() => add(tensor([1, 2]), tensor([1, 2, 3])), /\[add\] shapes do not broadcast/);
    assert.throws(() => sum(tensor([1, 2]), 0.5), /\[sum\] axis out of range, got 0.5/);
    assert.throws(() => sum(tensor([1, 2]), 3), /\[sum\] axis out of range, got 3/);
  });

  it('holds no memory that is not told of, and the more often the same', () => {
    const a = tensor([1, 2, 3, 4]);
    const { buffers, bufferBytes } = memory();
    const sums = () => scope(() => add(mul(a, 2), exp(a)).sum());
    sums().dispose();
    const peak = memory().peakBytes;
    for (let i = 0; i < 100; i++) sums().dispose();
    assert.deepEqual([memory().buffers, memory().bufferBytes], [buffers, bufferBytes]);
    assert.equal(memory().peakBytes, peak);
    const out = sums();
    assert.deepEqual([memory().buffers, memory().bufferBytes], [buffers + 1, bufferBytes + 4]);
    out.dispose();
    a.dispose();
  });
});

describeBackends(
  'an eager op on two backends',
  ({ open }) => {
    it('is refused, however often each made it', () => {
      const here = [tensor([1, 2]), tensor([3, 4])] as const;
      add(...here).dispose();
      useEngine(fastest());
      const there = tensor([5, 6]);
      add(there, there).dispose();
      add(there, tensor([1, 2])).dispose();
      assert.throws(() => add(here[0], there), /tensors of two backends are mixed/);
      useEngine(open());
      assert.deepEqual(numbersOf(add(...here)), [4, 6]);
    });
  },
  backends.filter(({ name }) => name === 'wasm simd'),
);

describe('eager ops with ever other numbers', () => {
  it('stay right when their programs have been unloaded, and keep a bounded number', () => {
    onFresh(() => {
      const a = tensor([1, 2]);
      const { recipes } = engineOf(a);
      const check = (i: number) => {
        const out = add(a, i + 0.25);
        const bounded = clip(a, 0, i + 1.25);
        assert.deepEqual(
          [numbersOf(out), numbersOf(bounded)],
          [
            [i + 1.25, i + 2.25],
            [1, i === 0 ? 1.25 : 2],
          ],
        );
        out.dispose();
        bounded.dispose();
      };
      for (let i = 0; i < 1500; i++) check(i);
      assert.ok(memory().programs <= 2048, `${memory().programs} programs`);
      for (let i = 0; i < 50; i++) check(i);
      assert.ok(recipes.size <= 4096);
    });
  });
});

describe('buffers that are let go', () => {
  it('are given out again, unless a run under way may use them', async () => {
    const engine = new Engine(openNative({ threads: 1 }));
    useEngine(engine);
    try {
      const a = tensor([1, 2, 3]);
      add(a, 1).dispose();
      assert.deepEqual(
        callsOf(engine.backend, () => add(a, 1).dispose()),
        { runStaged: 1 },
      );
      engine.runs++;
      assert.deepEqual(
        callsOf(engine.backend, () => add(a, 1).dispose()),
        { runStaged: 1, free: 1 },
      );
      engine.runs--;
    } finally {
      engine.close();
      useEngine(fastest());
    }
  });

  it('are kept up to a limit', () => {
    onFresh(() => {
      // 40 MB each: three of them are kept at most.
      const big = Array.from({ length: 6 }, () =>
        scope(() => cast(tensor([1]).broadcastTo([10_000_000]), 'int32')),
      );
      for (const each of big) each.dispose();
      const { backend } = engineOf(big[0]!);
      assert.ok(backend.memory().bufferBytes < 200e6, `${backend.memory().bufferBytes} bytes`);
    });
  });

  it('make room when memory runs out', () => {
    onFresh(() => {
      const kept = tensor(new Float32Array(1000));
      const { backend } = engineOf(kept);
      kept.dispose();
      assert.equal(backend.memory().buffers, 1);
      assert.equal(memory().buffers, 0);
      const allocate = backend.allocate.bind(backend);
      let refusals = 0;
      backend.allocate = (bytes) => {
        if (refusals++ === 0) throw new Error('not enough memory');
        return allocate(bytes);
      };
      const other = tensor([1, 2]);
      assert.equal(refusals, 2);
      assert.deepEqual([backend.memory().buffers, memory().buffers], [1, 1]);
      other.dispose();
    });
  });

  it('keep nothing of what they held where memory is promised zeroed', () => {
    onFresh(() => {
      const old = tensor([1, 2, 3, 4]);
      const engine = engineOf(old);
      old.dispose();
      const fresh = engine.blocks.zeroed(16);
      const target = new Float32Array(4);
      engine.backend.read(fresh.handle, 0, target);
      assert.deepEqual([...target], [0, 0, 0, 0]);
    });
  });
});

function engineOf(t: Tensor): Engine {
  return (t.source as { storage: { engine: Engine } }).storage.engine;
}
