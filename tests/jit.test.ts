// jit: traced once for each combination of shapes and dtypes, replayed with the values of the moment.
import assert from 'node:assert/strict';
import { grad } from '../src/autodiff.ts';
import { useEngine } from '../src/engine.ts';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import { memory, scope, type Tensor } from '../src/tensor.ts';
import { Variable } from '../src/variable.ts';
import {
  backends,
  describeBackends,
  describeFastest,
  fastest,
  onFresh,
  reference,
} from './support/backends.ts';

const numbers = (t: Tensor) => [...t.dataSync()];
const vector = (...values: number[]) => ops.tensor(values);

const few = backends.filter(({ name }) => ['native', 'wasm simd', 'wasm threads'].includes(name));
describeBackends(
  'jit',
  () => {
    it('traces once and replays with new numbers', () => {
      let traces = 0;
      const f = jit((x: Tensor) => {
        traces++;
        return ops.add(ops.square(x), 1);
      });
      assert.deepEqual(numbers(f(vector(1, 2))), [2, 5]);
      assert.deepEqual(numbers(f(vector(3, 4))), [10, 17]);
      assert.equal(traces, 1);
    });

    it('traces anew for another shape or dtype, and keeps both', () => {
      let traces = 0;
      const f = jit((x: Tensor) => {
        traces++;
        return ops.sum(x);
      });
      assert.equal(f(vector(1, 2)).item(), 3);
      assert.equal(f(vector(1, 2, 3)).item(), 6);
      assert.equal(f(ops.tensor([[1, 2]])).item(), 3);
      assert.equal(f(ops.tensor([1, 2], [2], 'int32')).dtype, 'int32');
      assert.equal(traces, 4);
      assert.equal(f(vector(5, 6)).item(), 11);
      assert.equal(traces, 4);
    });

    it('reads the current numbers of variables, and assigns them', () => {
      const count = new Variable(ops.tensor(10), 'count');
      const f = jit((x: Tensor) => {
        const result = ops.mul(x, count);
        count.assign(ops.add(count, 1));
        return result;
      });
      assert.deepEqual(numbers(f(vector(1, 2))), [10, 20]);
      assert.deepEqual(numbers(f(vector(1, 2))), [11, 22]);
      assert.equal(count.item(), 12);
      count.assign(ops.tensor(100));
      assert.deepEqual(numbers(f(vector(1, 2))), [100, 200]);
      assert.equal(count.item(), 101);
    });

    it('sees in order what is assigned and read', () => {
      const v = new Variable(vector(1, 1), 'v');
      const f = jit((x: Tensor) => {
        const before = ops.add(v, 0);
        v.assign(ops.mul(v, x));
        const between = ops.add(v, 0);
        v.assign(ops.add(v, 1));
        return [before, between, ops.add(v, 0)];
      });
      assert.deepEqual(f(vector(2, 3)).map(numbers), [
        [1, 1],
        [2, 3],
        [3, 4],
      ]);
      assert.deepEqual(numbers(v), [3, 4]);
      assert.deepEqual(f(vector(2, 3)).map(numbers), [
        [3, 4],
        [6, 12],
        [7, 13],
      ]);
    });

    it('computes from what a variable was before it is assigned, also where ops are fused', () => {
      const v = new Variable(
        ops.tensor([
          [2, 0],
          [0, 3],
        ]),
        'v',
      );
      const f = jit((x: Tensor) => {
        const product = ops.matMul(x, v);
        const squares = ops.square(v);
        v.assign(ops.add(v, 1));
        return [ops.relu(product), ops.add(squares, 1)];
      });
      const [product, squares] = f(ops.tensor([[1, 1]]));
      assert.deepEqual(
        [numbers(product!), numbers(squares!), numbers(v)],
        [
          [2, 3],
          [5, 1, 1, 10],
          [3, 1, 1, 4],
        ],
      );
    });

    it('holds filled tensors as their dtype does', () => {
      const f = () => [
        ops.add(ops.fill([2], 300, 'uint8'), 0),
        ops.add(ops.fill([2], 1.5, 'int32'), 0),
        ops.add(ops.cast(ops.fill([2], 2, 'bool'), 'int32'), 0),
        ops.mul(ops.fill([2], 2 ** 24 + 1), 1),
      ];
      const expected = [
        [44, 44],
        [1, 1],
        [1, 1],
        [2 ** 24, 2 ** 24],
      ];
      assert.deepEqual(f().map(numbers), expected);
      assert.deepEqual(jit(f)().map(numbers), expected);
    });

    it('draws other random numbers at each call, and the same after the same seed', () => {
      const f = jit((x: Tensor) => [ops.add(x, ops.randomUniform([5])), ops.randomUniform([5])]);
      const zero = ops.zeros([5]);
      const run = () => f(zero).map(numbers);
      ops.setSeed(11);
      const [first, second] = [run(), run()];
      assert.notDeepEqual(first, second);
      assert.notDeepEqual(first[0], first[1]);
      ops.setSeed(11);
      assert.deepEqual([run(), run()], [first, second]);
      ops.setSeed(12);
      assert.notDeepEqual(run(), first);
    });
  },
  few,
);

describeFastest('jit', () => {
  it('takes and gives arrays and objects of tensors', () => {
    const f = jit(({ a, b }: { a: Tensor; b: Tensor[] }) => ({ sum: ops.add(a, b[0]!), parts: [b[1]!, a] }));
    const result = f({ a: vector(1), b: [vector(2), vector(3)] });
    assert.deepEqual(numbers(result.sum), [3]);
    assert.deepEqual(result.parts.map(numbers), [[3], [1]]);
  });

  it('gives tensors of their own for arguments, variables, views and values given twice', () => {
    const v = new Variable(vector(7, 8), 'v');
    const f = jit((x: Tensor) => {
      const y = ops.square(x);
      return [x, v, y, y, ops.reshape(y, [2, 1]), ops.slice(y, [1], [1]), ops.zeros([2])];
    });
    const x = vector(2, 3);
    const results = f(x);
    assert.deepEqual(results.map(numbers), [[2, 3], [7, 8], [4, 9], [4, 9], [4, 9], [9], [0, 0]]);
    assert.deepEqual(results[4]!.shape, [2, 1]);
    for (const result of results.slice(0, 3)) result.dispose();
    assert.deepEqual(
      [numbers(x), numbers(v), numbers(results[3]!)],
      [
        [2, 3],
        [7, 8],
        [4, 9],
      ],
    );
  });

  it('is a part of another trace when called in it', () => {
    const inner = jit((x: Tensor) => ops.mul(x, 2));
    const outer = jit((x: Tensor) => ops.add(inner(x), inner(ops.square(x))));
    assert.deepEqual(numbers(outer(vector(1, 3))), [4, 24]);
    assert.match(outer.print(vector(1, 3)), /^program: 1 instructions/);
  });

  it('holds gradients, and gradients go through it', () => {
    const f = (x: Tensor) => ops.sum(ops.exp(ops.mul(x, 2)));
    const expected = numbers(grad(f)(vector(0.1, 0.2)));
    assert.deepEqual(numbers(jit(grad(f))(vector(0.1, 0.2))), expected);
  });

  it('uses the memory of tensors that it closes over', () => {
    const weights = vector(10, 20);
    const f = jit((x: Tensor) => ops.mul(x, weights));
    assert.deepEqual(numbers(f(vector(1, 2))), [10, 40]);
    weights.dispose();
    assert.throws(() => f(vector(1, 2)), /disposed of/);
  });

  it('traces anew when memory it closed over was freed', () => {
    let weights = vector(10, 20);
    const f = jit((x: Tensor) => ops.mul(x, weights));
    f(vector(1, 2));
    weights.dispose();
    weights = vector(3, 4);
    assert.deepEqual(numbers(f(vector(1, 2))), [3, 8]);
  });

  it('refuses to read numbers while it traces', () => {
    const readers: ((x: Tensor) => unknown)[] = [
      (x) => x.dataSync(),
      (x) => x.arraySync(),
      (x) => ops.sum(x).item(),
    ];
    for (const read of readers) {
      const f = jit((x: Tensor) => {
        read(x);
        return x;
      });
      assert.throws(() => f(vector(1)), /not known while a function is traced.*outside of jit\(\)/s);
    }
    // The failed trace leaves nothing open.
    assert.deepEqual(numbers(ops.add(vector(1), 1)), [2]);
  });

  it('refuses tensors that escaped from a trace, promises, and results without a tensor', () => {
    const kept: Tensor[] = [];
    const leak = jit((x: Tensor) => {
      kept.push(ops.square(x));
      return x;
    });
    leak(vector(1));
    assert.throws(() => ops.add(kept[0]!, 1), /traced/);
    assert.throws(() => jit((x: Tensor) => ops.add(x, kept[0]!))(vector(1)), /another traced function/);
    assert.throws(
      () => jit((async (x: Tensor) => x) as unknown as (x: Tensor) => Tensor)(vector(1)),
      /async/,
    );
    assert.throws(() => jit((() => []) as unknown as () => Tensor)(), /gave no tensor/);
    assert.throws(() => jit((x: Tensor) => x)(5 as unknown as Tensor), /\[jit\] arguments must be tensors/);
  });

  it('refuses tensors of two backends', () => {
    const here = vector(1, 2);
    useEngine(reference());
    const there = vector(3, 4);
    useEngine(fastest());
    assert.throws(() => jit((a: Tensor, b: Tensor) => ops.add(a, b))(here, there), /two backends/);
    assert.throws(() => jit((a: Tensor) => ops.add(a, there))(here), /two backends/);
    there.dispose();
  });

  it('runs where its arguments are, also on two backends in turn', () => {
    const f = jit((x: Tensor) => ops.mul(x, 3));
    const here = vector(1, 2);
    useEngine(reference());
    const there = vector(5, 6);
    assert.deepEqual(numbers(f(there)), [15, 18]);
    useEngine(fastest());
    assert.deepEqual(numbers(f(here)), [3, 6]);
    assert.deepEqual(numbers(f(there)), [15, 18]);
  });

  it('names the op when its data are refused, and keeps nothing', () => {
    onFresh(() => {
      const f = jit((t: Tensor, i: Tensor) => ops.gather(t, i));
      const [table, bad] = [vector(1, 2), ops.tensor([0, 5], [2], 'int32')];
      const good = ops.tensor([1, 0], [2], 'int32');
      assert.throws(
        () => f(table, bad),
        /\[gather\] index out of range, got 5, expected an integer in \[0, 2\)/,
      );
      assert.equal(memory().buffers, 3);
      assert.deepEqual(numbers(f(table, good)), [2, 1]);
    });
  });

  it('holds no more memory after 1,000 calls', () => {
    onFresh(() => {
      const w = new Variable(ops.randomNormal([16, 16]), 'w');
      const f = jit((x: Tensor) => ops.dropout(ops.softmax(ops.matMul(ops.relu(ops.matMul(x, w)), w)), 0.5));
      const x = ops.randomNormal([4, 16]);
      f(x).dispose();
      const before = memory();
      for (let i = 0; i < 1000; i++) f(x).dispose();
      assert.deepEqual(memory(), before);
      // The generator's state, w and x.
      assert.equal(before.buffers, 3);
    });
  });

  it('gives its programs back when it is disposed of', () => {
    onFresh(() => {
      const f = jit((x: Tensor) => ops.square(x));
      const [a, b] = [vector(1), vector(1, 2)];
      f(a);
      f(b);
      assert.equal(memory().programs, 2);
      f.dispose();
      assert.equal(memory().programs, 0);
      assert.deepEqual(numbers(f(a)), [1]);
      f.dispose();
    });
  });

  it('works in a scope', () => {
    const f = jit((x: Tensor) => ops.add(x, vector(1, 1)));
    const x = vector(1, 2);
    const one = scope(() => f(x));
    const two = scope(() => f(x));
    assert.deepEqual(
      [numbers(one), numbers(two)],
      [
        [2, 3],
        [2, 3],
      ],
    );
  });
});

describeFastest('the listing of a program', () => {
  it('shows instructions with shapes, places, steps and the ops that they came from', () => {
    const w = new Variable(ops.ones([3, 2]), 'w');
    const f = jit((x: Tensor) => ops.sum(ops.exp(ops.neg(ops.matMul(x, w)))));
    const listing = f.print(ops.ones([4, 3]));
    const lines = listing.split('\n');
    assert.match(
      lines[0]!,
      /^program: 3 instructions, \d+ words, workspace \d+ bytes, \d+ bytes written a step$/,
    );
    assert.match(lines[1]!, /^slots: workspace, /);
    assert.match(
      lines[2]!,
      /float32\[4, 2\]@workspace\+0 = gemm\(float32\[4, 3\]@in0\+0, .*m=4 n=2 k=3.*# matMul/,
    );
    assert.match(lines[3]!, /map\(.*r1=neg\(0\); r2=exp\(1\).*# neg\+exp/);
    assert.match(lines[4]!, /float32\[\]@out0\+0 = reduce\(.*kind=0 outer=1 count=8 inner=1 scale=1.*# sum/);
  });
});
