// Tensors: making them, reading them, what they refuse, and who frees their memory.
import assert from 'node:assert/strict';
import { useEngine } from '../src/engine.ts';
import { NablaError } from '../src/errors.ts';
import type { TensorData } from '../src/ops/index.ts';
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

const few = backends.filter(({ name }) => ['native', 'wasm simd', 'wasm threads'].includes(name));
describeBackends(
  'tensors',
  () => {
    it('come back as they were given, in every dtype', async () => {
      const given = {
        float32: [1.5, -2, 0],
        int32: [-7, 2 ** 31 - 1, 0],
        uint8: [0, 255, 7],
        bool: [1, 0, 1],
      } as const;
      for (const dtype of ['float32', 'int32', 'uint8', 'bool'] as const) {
        const t = ops.tensor(given[dtype], undefined, dtype);
        assert.deepEqual([t.dtype, t.shape, t.size, t.rank], [dtype, [3], 3, 1]);
        assert.deepEqual([...t.dataSync()], given[dtype]);
        assert.deepEqual([...(await t.data())], given[dtype]);
        assert.deepEqual(await t.array(), given[dtype]);
      }
    });

    it('keep odd bytes: 1, 3 and 5 of them, and none', () => {
      for (const n of [0, 1, 3, 5, 67]) {
        const bytes = Uint8Array.from({ length: n }, (_, i) => 255 - i);
        assert.deepEqual(ops.tensor(bytes).dataSync(), bytes);
      }
    });

    it('are freed by dispose', () => {
      const t = ops.tensor([1, 2]);
      t.dispose();
      assert.ok(t.isDisposed);
      assert.throws(() => t.dataSync(), /disposed of/);
    });
  },
  few,
);

describeFastest('tensor()', () => {
  it('takes the shape of the nesting', () => {
    const nested: [TensorData, number[]][] = [
      [5, []],
      [[], [0]],
      [
        [[], []],
        [2, 0],
      ],
      [[1, 2, 3], [3]],
      [
        [[1], [2]],
        [2, 1],
      ],
      [
        [[[1, 2]], [[3, 4]]],
        [2, 1, 2],
      ],
    ];
    for (const [data, shape] of nested) {
      const t = ops.tensor(data);
      assert.deepEqual(t.shape, shape);
      assert.deepEqual(t.arraySync(), data);
    }
  });

  it('takes the dtype of the data, or the one given', () => {
    const dtypes: [TensorData, string][] = [
      [[1, 2], 'float32'],
      [[true, false], 'bool'],
      [true, 'bool'],
      [new Float32Array(2), 'float32'],
      [new Float64Array(2), 'float32'],
      [new Int8Array(2), 'int32'],
      [new Int16Array(2), 'int32'],
      [new Uint16Array(2), 'int32'],
      [new Int32Array(2), 'int32'],
      [new Uint32Array(2), 'int32'],
      [new Uint8Array(2), 'uint8'],
      [new Uint8ClampedArray(2), 'uint8'],
    ];
    for (const [data, dtype] of dtypes) assert.equal(ops.tensor(data).dtype, dtype);
    assert.deepEqual([...ops.tensor([1.7, -1.7], undefined, 'int32').dataSync()], [1, -1]);
    assert.deepEqual([...ops.tensor([0, 2, -1, 0.5], undefined, 'bool').dataSync()], [0, 1, 1, 1]);
    assert.deepEqual([...ops.tensor(Uint8Array.of(0, 7), undefined, 'bool').dataSync()], [0, 1]);
  });

  it('takes a shape for flat data', () => {
    assert.deepEqual(ops.tensor([1, 2, 3, 4], [2, 2]).arraySync(), [
      [1, 2],
      [3, 4],
    ]);
    assert.deepEqual(ops.tensor(new Float32Array(0), [3, 0]).shape, [3, 0]);
  });

  it('copies: later changes of the array or the shape do not show', () => {
    const [data, shape] = [Float32Array.of(1, 2), [2]];
    const t = ops.tensor(data, shape);
    data[0] = 9;
    shape[0] = 7;
    assert.deepEqual([...t.dataSync()], [1, 2]);
    assert.deepEqual(t.shape, [2]);
  });

  it('takes a part of a larger buffer', () => {
    const whole = Float32Array.of(1, 2, 3, 4, 5);
    assert.deepEqual([...ops.tensor(whole.subarray(1, 4)).dataSync()], [2, 3, 4]);
  });

  const refused: [string, () => unknown, RegExp][] = [
    [
      'ragged arrays',
      () => ops.tensor([[1, 2], [3]]),
      /\[tensor\] nested arrays differ in length, got 1.*expected 2/,
    ],
    ['numbers beside arrays', () => ops.tensor([[1], 2]), /expected numbers at depth 2, got 2 at 1/],
    ['arrays beside numbers', () => ops.tensor([1, [2]]), /expected numbers at depth 1/],
    ['strings', () => ops.tensor(['1'] as unknown as TensorData), /expected numbers.*'1'/],
    ['undefined', () => ops.tensor(undefined as unknown as TensorData), /expected numbers.*undefined/],
    ['64-bit integers', () => ops.tensor(new BigInt64Array(1) as unknown as TensorData), /BigInt64Array/],
    ['too few numbers', () => ops.tensor([1, 2, 3], [2, 2]), /got 3 numbers, expected 4 for \[2, 2\]/],
    ['negative dimensions', () => ops.tensor([1], [-1]), /bad shape/],
    ['fractional dimensions', () => ops.zeros([1.5]), /bad shape/],
    ['nine dimensions', () => ops.zeros([1, 1, 1, 1, 1, 1, 1, 1, 1]), /at most 8/],
    ['unknown dtypes', () => ops.tensor([1], [1], 'float23' as 'float32'), /did you mean 'float32'/],
  ];
  for (const [what, make, message] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(make, (error) => error instanceof NablaError && message.test(error.message));
    });
  }
});

describeFastest('ops refuse with a reason', () => {
  const t = (shape: number[]) => ops.zeros(shape);
  const refused: [string, () => unknown, RegExp][] = [
    [
      'shapes that do not broadcast',
      () => ops.add(t([2, 3]), t([2])),
      /\[add\].*got \[2, 3\] and \[2\].*reshape\(\)/s,
    ],
    [
      'a thing that is no tensor',
      () => ops.add(t([2]), 'x' as unknown as Tensor),
      /\[add\] expected a tensor/,
    ],
    [
      'inner dimensions that differ',
      () => ops.matMul(t([2, 3]), t([4, 5])),
      /\[matMul\] inner dimensions differ/,
    ],
    ['a matrix product of scalars', () => ops.matMul(t([]), t([2])), /\[matMul\] scalars/],
    ['an axis out of range', () => ops.sum(t([2, 3]), 2), /\[sum\] axis out of range, got 2/],
    ['a bad order', () => ops.transpose(t([2, 3]), [0, 0]), /\[transpose\] bad order/],
    ['sizes that differ', () => ops.reshape(t([6]), [4, -1]), /\[reshape\] sizes differ/],
    ['dimensions that are not 1', () => ops.squeeze(t([2, 3]), 0), /\[squeeze\] dimension 0 is not 1/],
    ['a slice out of range', () => ops.slice(t([3]), [1], [3]), /\[slice\] out of range/],
    ['a slice of half an element', () => ops.slice(t([3]), [0.5], [1]), /\[slice\] out of range/],
    ['bad paddings', () => ops.pad(t([3]), [[-1, 0]]), /\[pad\] bad paddings/],
    ['nothing to join', () => ops.concat([]), /\[concat\] nothing to join/],
    ['parts that do not fit', () => ops.concat([t([2, 3]), t([2, 4])], 0), /\[concat\] tensors do not fit/],
    ['parts that do not add up', () => ops.split(t([5]), 2), /\[split\] sizes do not add up/],
    ['repeats of other rank', () => ops.tile(t([2, 3]), [2]), /\[tile\] bad repeats/],
    ['a choice from nothing', () => ops.argMax(t([2, 0])), /\[argMax\] nothing to choose from/],
    ['labels that do not fit', () => ops.softmaxCrossEntropy(t([2, 3]), t([2, 4])), /labels do not fit/],
    ['a softmax of integers', () => ops.softmax(ops.zeros([2], 'int32')), /\[softmax\] expected float32/],
    ['a label out of range', () => ops.oneHot(ops.tensor([3], [1], 'int32'), 3), /label out of range, got 3/],
    [
      'a negative index',
      () => ops.gather(t([2, 2]), ops.tensor([-1], [1], 'int32')),
      /index out of range, got -1/,
    ],
    ['a bad rate', () => ops.dropout(t([2]), 1), /\[dropout\] bad rate/],
    ['a bad step', () => ops.range(0, 3, 0), /\[range\] bad step/],
    ['fractions in a range of integers', () => ops.range(0, 1, 0.1), /\[range\] fractions do not fit int32/],
    ['a bad seed', () => ops.setSeed(-1), /\[setSeed\] bad seed/],
    ['an item of many', () => t([2]).item(), /\[item\] expected one element/],
    ['an unknown dtype', () => ops.cast(t([2]), 'int' as 'int32'), /\[cast\] unknown dtype/],
  ];
  for (const [what, call, message] of refused) {
    it(what, () => {
      assert.throws(call, (error) => error instanceof NablaError && message.test(error.message));
    });
  }

  it('tensors of two backends', () => {
    const here = ops.tensor([1, 2]);
    useEngine(reference());
    const there = ops.tensor([3, 4]);
    assert.throws(
      () => ops.add(here, there),
      /tensors of two backends are mixed.*tensor\(await t\.data\(\)/s,
    );
    assert.throws(() => ops.concat([here, there]), /two backends/);
    useEngine(fastest());
    assert.deepEqual(ops.add(there, 1).arraySync(), [4, 5]);
  });
});

describeFastest('integers', () => {
  it('keep infinite and fractional bounds of clip', () => {
    const x = ops.tensor([-5, 0, 5], [3], 'int32');
    assert.deepEqual(ops.clip(x, Number.NEGATIVE_INFINITY, 1).arraySync(), [-5, 0, 1]);
    assert.deepEqual(ops.clip(x, -1.5, Number.POSITIVE_INFINITY).arraySync(), [-1, 0, 5]);
  });
});

describeFastest('memory', () => {
  const used = () => [memory().buffers, memory().bufferBytes];

  it('returns to the start', () => {
    onFresh(() => {
      const start = used();
      const a = ops.tensor([1, 2, 3]);
      assert.equal(memory().buffers, 1);
      const b = ops.exp(a);
      const c = ops.concat([a, b]);
      assert.equal(memory().buffers, 3);
      for (const t of [a, b, c]) t.dispose();
      assert.deepEqual(used(), start);
    });
  });

  it('of views is that of what they view, until the last of them is disposed of', () => {
    onFresh(() => {
      const a = ops.tensor([1, 2, 3, 4]);
      const rows = ops.reshape(a, [2, 2]);
      const row = ops.slice(rows, [1], [1]);
      assert.equal(memory().buffers, 1);
      a.dispose();
      rows.dispose();
      assert.deepEqual(row.arraySync(), [[3, 4]]);
      assert.throws(() => ops.neg(rows), /disposed of/);
      row.dispose();
      row.dispose();
      assert.deepEqual(used(), [0, 0]);
    });
  });

  it('of random numbers is that of the result and the generator', () => {
    onFresh(() => {
      ops.randomUniform([3]).dispose();
      const before = used();
      const drawn = [
        ops.randomNormal([3]),
        ops.randomUniform([3]),
        ops.truncatedNormal([3]),
        ops.randomInt([3], 0, 9),
        ops.randomBernoulli([3]),
      ];
      for (const t of drawn) t.dispose();
      assert.deepEqual(used(), before);
    });
  });

  it('is not lost when an op refuses', () => {
    onFresh(() => {
      const table = ops.tensor([1, 2]);
      const bad = ops.tensor([7], [1], 'int32');
      assert.throws(() => ops.gather(table, bad), /index out of range/);
      assert.equal(memory().buffers, 2);
    });
  });

  it('is given back by the collector, in the end', async () => {
    const { gc } = globalThis as { gc?: () => void };
    assert.ok(gc, 'run with --expose-gc');
    const before = memory().buffers;
    for (let i = 0; i < 200; i++) ops.zeros([1000]);
    for (let turn = 0; turn < 20 && memory().buffers >= before + 100; turn++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.ok(memory().buffers < before + 100, `${memory().buffers - before} of 200 left`);
  });
});

describeFastest('scope', () => {
  it('frees what was made in it, and keeps what it gives', () => {
    onFresh(() => {
      const outside = ops.tensor([1, 2]);
      let inside: Tensor | undefined;
      const { kept } = scope(() => {
        inside = ops.neg(outside);
        return { kept: [ops.neg(inside), 'other'] };
      });
      assert.ok(inside?.isDisposed);
      assert.deepEqual((kept[0] as Tensor).arraySync(), [1, 2]);
      assert.ok(!outside.isDisposed);
      assert.equal(memory().buffers, 2);
    });
  });

  it('gives over to the scope around it', () => {
    onFresh(() => {
      let made: Tensor | undefined;
      scope(() => {
        made = scope(() => ops.tensor([1]));
        assert.ok(!made.isDisposed);
      });
      assert.ok(made?.isDisposed);
      assert.equal(memory().buffers, 0);
    });
  });

  it('frees all of it when its body throws', () => {
    onFresh(() => {
      assert.throws(
        () =>
          scope(() => {
            ops.tensor([1]);
            throw new Error('from inside');
          }),
        /from inside/,
      );
      assert.equal(memory().buffers, 0);
      const after = ops.tensor([1]);
      assert.ok(!after.isDisposed);
    });
  });

  it('leaves variables alone', () => {
    const v = scope(() => {
      const made = new Variable(ops.tensor([1, 2]), 'v');
      return () => made;
    })();
    assert.deepEqual(v.arraySync(), [1, 2]);
  });
});

describeFastest('Symbol.dispose', () => {
  it('disposes at the end of a block', () => {
    let seen: Tensor;
    {
      using t = ops.tensor([1, 2]);
      seen = t;
      assert.ok(!seen.isDisposed);
    }
    assert.ok(seen.isDisposed);
  });
});

describeFastest('variables', () => {
  it('take numbers of their own shape and dtype only', () => {
    const v = new Variable(ops.tensor([1, 2]), 'dense_1/kernel');
    v.assign(ops.tensor([3, 4]));
    assert.deepEqual(v.arraySync(), [3, 4]);
    assert.throws(
      () => v.assign(ops.tensor([1, 2, 3])),
      /\[dense_1\/kernel\] cannot assign, got .*\[3\].*expected float32\[2\]/,
    );
    assert.throws(() => v.assign(ops.tensor([1, 2], [2], 'int32')), /cannot assign/);
    assert.deepEqual(ops.mul(v, 2).arraySync(), [6, 8]);
  });
});
