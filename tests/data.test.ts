// Data sets: what each operator gives, in what order, under which seed; errors with their element; passes that are broken off.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { data, Philox, samples, setSeed, tensor } from '../src/index.ts';
import { describeFastest } from './support/backends.ts';
import { bad, says } from './support/errors.ts';

type NdArray = data.NdArray;

const show = ({ dtype, shape, data: values }: NdArray) => `${dtype}[${shape}] ${[...values].join(' ')}`;

/** A source that never ends and says how far it was read, and that it was closed. */
function counter() {
  const seen = { read: 0, closed: 0 };
  const set = data.fromGenerator(async function* () {
    try {
      for (;;) yield seen.read++;
    } finally {
      seen.closed++;
    }
  });
  return { seen, set };
}

describeFastest('sources of data sets', () => {
  it('give the rows of tensors, arrays and samples', async () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    const pairs = await data.fromTensorSlices([x, Int32Array.of(7, 8)]).toArray();
    assert.deepEqual(
      pairs.map(([row, label]) => [show(row as NdArray), label]),
      [
        ['float32[2] 1 2', 7],
        ['float32[2] 3 4', 8],
      ],
    );
    assert.deepEqual(await data.fromTensorSlices([5, 6]).toArray(), [5, 6]);
    const bytes = samples(Uint8Array.of(0, 51), { scale: 1 / 51 });
    const hot = samples(Uint8Array.of(1, 0), { oneHot: 2 });
    const named = await data.fromTensorSlices({ x: bytes, y: hot }).toArray();
    assert.deepEqual(
      named.map(({ x: value, y }) => [value, show(y as NdArray)]),
      [
        [0, 'float32[2] 0 1'],
        [1, 'float32[2] 1 0'],
      ],
    );
    assert.throws(
      () => data.fromTensorSlices([tensor([1, 2]), tensor([1])]),
      says('data.fromTensorSlices', 'part 1 has 1 rows, expected 2'),
    );
    assert.throws(() => data.fromTensorSlices(tensor(1)), says('data.fromTensorSlices', 'one sample a row'));
    assert.throws(() => data.fromTensorSlices([]), says('data.fromTensorSlices', 'got nothing'));
  });

  it('give one element of tensors, and the items of an array', async () => {
    const [first, ...more] = await data.fromTensors([tensor([1, 2]), 3]).toArray();
    assert.deepEqual([first![0].arraySync(), first![1], more.length], [[1, 2], 3, 0]);
    const items = data.fromArray(['a', 'b']);
    assert.equal(items.size, 2);
    assert.deepEqual(await items.toArray(), ['a', 'b']);
    assert.throws(() => data.fromArray(bad<never>('ab')), says('data.fromArray', "got 'ab'"));
  });

  it('count', async () => {
    assert.deepEqual(await data.range(3).toArray(), [0, 1, 2]);
    assert.deepEqual(await data.range(2, 9, 3).toArray(), [2, 5, 8]);
    assert.equal(data.range(2, 9, 3).size, 3);
    assert.throws(() => data.range(0.5), says('data.range', 'stop', '0.5'));
    assert.throws(() => data.range(0, 1, 0), says('data.range', 'step'));
  });

  it('read generators anew in every pass, and iterators once', async () => {
    const squares = data.fromGenerator(function* () {
      for (let i = 0; i < 3; i++) yield i * i;
    });
    assert.deepEqual([...(await squares.toArray()), ...(await squares.toArray())], [0, 1, 4, 0, 1, 4]);
    assert.throws(
      () => data.fromGenerator(bad([1])),
      says('data.fromGenerator', 'expected a generator function'),
    );
    async function* stream() {
      yield 1;
      yield 2;
    }
    const once = data.fromAsyncIterator(stream());
    assert.deepEqual(await once.toArray(), [1, 2]);
    await assert.rejects(once.toArray(), says('data.fromAsyncIterator', 'read already'));
    const again = data.fromAsyncIterator(stream);
    assert.deepEqual([...(await again.toArray()), ...(await again.toArray())], [1, 2, 1, 2]);
    const iterator = { next: async () => ({ done: true, value: undefined }) as const };
    assert.deepEqual(await data.fromAsyncIterator(() => iterator).toArray(), []);
    assert.throws(
      () => data.fromAsyncIterator(bad<never>({})),
      says('data.fromAsyncIterator', 'to iterate over'),
    );
  });

  it('stand side by side', async () => {
    const [a, b] = [data.range(3), data.fromArray(['x', 'y'])];
    assert.equal(data.zip([a, b]).size, 2);
    assert.deepEqual(await data.zip([a, b]).toArray(), [
      [0, 'x'],
      [1, 'y'],
    ]);
    assert.deepEqual(await data.zip({ a, b }).take(1).toArray(), [{ a: 0, b: 'x' }]);
    assert.throws(
      () => data.zip(bad<never>([a, 3])),
      says('data.zip', 'expected a tuple or an object of data sets'),
    );
  });
});

describeFastest('batches of data sets', () => {
  it('stack numbers, arrays, tensors and text, in tuples and objects', async () => {
    const set = data.fromArray([
      { x: [[1, 2]], y: 3, name: 'a', flag: true, t: tensor([5]) },
      { x: [[4, 5]], y: 6, name: 'b', flag: false, t: tensor([6]) },
    ]);
    const [batch] = await set.batch(2).toArray();
    assert.equal(show(batch!.x), 'float32[2,1,2] 1 2 4 5');
    assert.equal(show(batch!.y), 'float32[2] 3 6');
    assert.equal(show(batch!.flag), 'bool[2] 1 0');
    assert.equal(show(batch!.t), 'float32[2,1] 5 6');
    assert.deepEqual(batch!.name, ['a', 'b']);
    const pairs = data.fromArray([
      [Uint8Array.of(1, 2), 0],
      [Uint8Array.of(3, 4), 1],
    ] as const);
    const [[x, y]] = (await pairs.batch(2).toArray()) as [readonly [NdArray, NdArray]];
    assert.deepEqual([show(x), show(y)], ['uint8[2,2] 1 2 3 4', 'float32[2] 0 1']);
  });

  it('leave out what does not fill a batch when told so', async () => {
    const set = data.range(5);
    assert.deepEqual((await set.batch(2).toArray()).map(show), [
      'float32[2] 0 1',
      'float32[2] 2 3',
      'float32[1] 4',
    ]);
    assert.equal(set.batch(2).size, 3);
    const even = set.batch(2, { dropRemainder: true });
    assert.deepEqual([(await even.toArray()).length, even.size, even.batched], [2, 2, true]);
    assert.throws(() => set.batch(0), says('data.batch', 'batchSize', 'got 0'));
  });

  it('name the element that does not fit', async () => {
    const odd = data.range(6).map((i) => ({ x: new Float32Array(i === 4 ? 3 : 2) }));
    await assert.rejects(
      odd.batch(3).toArray(),
      says('data.batch', 'element 4', 'part x', 'float32[3]', 'expected float32[2]', 'paddedBatch'),
    );
    const mixed = data.fromArray<unknown>([[1, 2], 3]);
    await assert.rejects(mixed.batch(2).toArray(), says('data.batch', 'differ in form', 'a tuple of 2'));
    const strange = data.fromArray<unknown>([{ x: new Date() }]);
    await assert.rejects(
      strange.batch(1).toArray(),
      says('data.batch', 'cannot be batched', 'Date', 'part x'),
    );
    const ragged = data.fromArray([{ x: [[1, 2], [3]] }]);
    await assert.rejects(ragged.batch(1).toArray(), says('data.batch', 'nested arrays differ in length'));
  });

  it('are padded to the longest, or to a shape', async () => {
    const set = data.fromArray([
      [Float32Array.of(1), 0],
      [Float32Array.of(2, 3, 4), 1],
    ] as const);
    const [[x]] = (await set.paddedBatch(2).toArray()) as [readonly [NdArray, NdArray]];
    assert.equal(show(x), 'float32[2,3] 1 0 0 2 3 4');
    const options = { paddedShapes: { 0: [4] }, paddingValues: { 0: -1 } };
    const [[wide, y]] = (await set.paddedBatch(2, options).toArray()) as [readonly [NdArray, NdArray]];
    assert.deepEqual([show(wide), show(y)], ['float32[2,4] 1 -1 -1 -1 2 3 4 -1', 'float32[2] 0 1']);
    const grids = data.fromArray([{ g: [[1, 2]] }, { g: [[3], [4]] }]);
    const [grid] = await grids.paddedBatch(2).toArray();
    assert.equal(show(grid!.g), 'float32[2,2,2] 1 2 0 0 3 0 4 0');
    await assert.rejects(
      set.paddedBatch(2, { paddedShapes: { 0: [2] } }).toArray(),
      says('data.paddedBatch', 'float32[3]', 'at most [2]'),
    );
  });

  it('come apart again', async () => {
    const set = data.fromArray([
      { x: [1, 2], name: 'a', y: 1 },
      { x: [3, 4], name: 'b', y: 0 },
      { x: [5, 6], name: 'c', y: 1 },
    ]);
    const apart = await set.batch(2).unbatch<{ x: NdArray; name: string; y: number }>().toArray();
    assert.deepEqual(
      apart.map(({ x, name, y }) => [show(x), name, y]),
      [
        ['float32[2] 1 2', 'a', 1],
        ['float32[2] 3 4', 'b', 0],
        ['float32[2] 5 6', 'c', 1],
      ],
    );
    await assert.rejects(data.range(1).unbatch().toArray(), says('data.unbatch', 'cannot be taken apart'));
  });
});

describeFastest('operators of data sets', () => {
  it('map, with the index and a seed of its own for each element', async () => {
    const set = data.fromArray([5, 6]).map((x, { index }) => [x, index]);
    assert.deepEqual(await set.toArray(), [
      [5, 0],
      [6, 1],
    ]);
    const noise = (seed: number | undefined, concurrency: number) =>
      data.range(20).map(async (_, info) => new Philox(info.seed).uniform(), { seed, concurrency });
    const first = await noise(3, 1).toArray();
    assert.equal(new Set(first).size, 20);
    assert.deepEqual(await noise(3, 4).toArray(), first);
    assert.notDeepEqual(await noise(4, 1).toArray(), first);
    const twice = noise(3, 1);
    assert.notDeepEqual(await twice.toArray(), await twice.toArray());
    setSeed(1);
    const drawn = await noise(undefined, 1).toArray();
    setSeed(1);
    assert.deepEqual(await noise(undefined, 3).toArray(), drawn);
  });

  it('map with several calls under way, in order', async () => {
    let [now, most] = [0, 0];
    const waits = [30, 1, 20, 1, 10, 1];
    const set = data.fromArray(waits).map(
      async (ms, { index }) => {
        most = Math.max(most, ++now);
        await sleep(ms);
        now--;
        return index;
      },
      { concurrency: 3 },
    );
    assert.deepEqual(await set.toArray(), [0, 1, 2, 3, 4, 5]);
    assert.equal(most, 3);
  });

  it('filter, take, skip, concatenate, enumerate, shard', async () => {
    const ten = data.range(10);
    assert.deepEqual(await ten.filter((i) => i % 3 === 0).toArray(), [0, 3, 6, 9]);
    assert.deepEqual(await ten.filter(async (i) => i > 8).toArray(), [9]);
    assert.equal(ten.filter(() => true).size, undefined);
    assert.deepEqual(await ten.take(2).toArray(), [0, 1]);
    assert.deepEqual(await ten.take(0).toArray(), []);
    assert.deepEqual(await ten.skip(8).toArray(), [8, 9]);
    assert.deepEqual([ten.take(20).size, ten.skip(20).size], [10, 0]);
    assert.deepEqual(await ten.take(1).concatenate(ten.skip(9)).toArray(), [0, 9]);
    assert.deepEqual(await ten.skip(8).enumerate().toArray(), [
      [0, 8],
      [1, 9],
    ]);
    assert.deepEqual(await ten.shard(3, 1).toArray(), [1, 4, 7]);
    assert.equal(ten.shard(3, 0).size, 4);
    assert.throws(() => ten.shard(2, 2), says('data.shard', 'index'));
    assert.throws(() => ten.take(-1), says('data.take', 'count', 'got -1'));
    assert.throws(() => ten.map(bad('x')), says('data.map', "got 'x'", 'function'));
  });

  it('shuffle: every element once, in an order that the seed and the pass determine', async () => {
    const set = () => data.range(100).shuffle(10, { seed: 5 });
    const first = set();
    const [one, two] = [await first.toArray(), await first.toArray()];
    assert.notDeepEqual(one, two);
    const again = set();
    assert.deepEqual([await again.toArray(), await again.toArray()], [one, two]);
    for (const order of [one, two])
      assert.deepEqual(
        order.toSorted((a, b) => a - b),
        await data.range(100).toArray(),
      );
    // A buffer of ten can bring nothing forward by more than ten places.
    assert.ok(one.every((value, place) => value < place + 10));
    assert.notDeepEqual(await data.range(100).shuffle(10, 6).toArray(), one);
    const fixed = data.range(100).shuffle(100, { reshuffleEachIteration: false });
    assert.deepEqual(await fixed.toArray(), await fixed.toArray());
    setSeed(2);
    const unseeded = await data.range(50).shuffle(50).toArray();
    setSeed(2);
    assert.deepEqual(await data.range(50).shuffle(50).toArray(), unseeded);
    const third = set().iterate({ iteration: 1 });
    assert.deepEqual(await data.fromAsyncIterator(third).toArray(), two);
  });

  it('shuffle without favour', async () => {
    const counts = [0, 0, 0];
    const set = data.range(3).shuffle(3, { seed: 1 });
    for (let i = 0; i < 600; i++) counts[(await set.toArray()).indexOf(0)]!++;
    for (const count of counts) assert.ok(count > 150 && count < 250, String(counts));
  });

  it('repeat, each time in another order', async () => {
    const set = data.range(8).shuffle(8, { seed: 1 }).repeat(3);
    assert.equal(set.size, 24);
    const all = await set.toArray();
    const orders = [all.slice(0, 8), all.slice(8, 16), all.slice(16)];
    assert.equal(new Set(orders.map(String)).size, 3);
    for (const order of orders) assert.deepEqual(order.toSorted(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(await data.range(2).repeat().take(5).toArray(), [0, 1, 0, 1, 0]);
    assert.equal(data.range(2).repeat().size, Number.POSITIVE_INFINITY);
    assert.deepEqual(await data.range(0).repeat().toArray(), []);
    assert.deepEqual(await data.range(3).repeat(0).toArray(), []);
  });

  it('cache what a whole pass has brought', async () => {
    let made = 0;
    const set = data
      .range(4)
      .map((i) => {
        made++;
        return i;
      })
      .cache();
    await set.take(2).toArray();
    assert.equal(made, 2);
    assert.deepEqual(await set.toArray(), [0, 1, 2, 3]);
    assert.deepEqual(await set.toArray(), [0, 1, 2, 3]);
    assert.equal(made, 6);
  });

  it('give windows', async () => {
    const windows = async (size: number, options: data.WindowOptions) => {
      const set = data.range(7).window(size, options);
      const lists = await set.flatMap((window) => window.batch(size)).toArray();
      assert.equal(set.size, lists.length);
      return lists.map(({ data: values }) => [...values].join());
    };
    assert.deepEqual(await windows(3, {}), ['0,1,2', '3,4,5', '6']);
    assert.deepEqual(await windows(3, { shift: 2, dropRemainder: true }), ['0,1,2', '2,3,4', '4,5,6']);
    assert.deepEqual(await windows(3, { shift: 1, stride: 2, dropRemainder: true }), [
      '0,2,4',
      '1,3,5',
      '2,4,6',
    ]);
    assert.deepEqual(await windows(2, { shift: 4, dropRemainder: true }), ['0,1', '4,5']);
  });

  it('interleave as tf.data does', async () => {
    const copies = (i: number) => data.fromArray([i]).repeat(6);
    const set = data.range(1, 6).interleave(copies, { cycleLength: 2, blockLength: 4 });
    // The example of tf.data.Dataset.interleave.
    const expected = [
      1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 3, 3, 4, 4, 5, 5, 5, 5, 5, 5,
    ];
    assert.deepEqual(await set.toArray(), expected);
    assert.deepEqual(
      await data
        .range(3)
        .flatMap((i) => data.range(i))
        .toArray(),
      [0, 0, 1],
    );
    await assert.rejects(
      data
        .range(1)
        .flatMap(bad(() => 1))
        .toArray(),
      says('data.interleave', 'gave 1', 'expected a data set'),
    );
  });

  it('prefetch ahead, no further than told, and give the same', async () => {
    const { seen, set } = counter();
    const pass = set.prefetch(3).iterate();
    assert.deepEqual(await pass.next(), { done: false, value: 0 });
    for (let i = 0; i < 20; i++) await Promise.resolve();
    await sleep(1);
    assert.ok(seen.read >= 3 && seen.read <= 5, `${seen.read} read`);
    await pass.return();
    assert.equal(seen.closed, 1);
    assert.deepEqual(await data.range(9).prefetch(2).toArray(), await data.range(9).toArray());
  });
});

describeFastest('errors in data sets', () => {
  const failing = () =>
    data.fromGenerator(function* () {
      yield* [0, 1, 2];
      throw new Error('disk on fire');
    });

  it('say once which element failed, after all before it', async () => {
    const stages: [string, data.Dataset<unknown>][] = [
      ['plain', failing()],
      ['mapped', failing().map((x) => x)],
      ['concurrent', failing().map(async (x) => x, { concurrency: 2 })],
      ['prefetched', failing().prefetch(10)],
      [
        'shuffled',
        failing()
          .prefetch(1)
          .map((x) => x),
      ],
    ];
    for (const [name, set] of stages) {
      const pass = set.iterate();
      for (const value of [0, 1, 2]) assert.deepEqual(await pass.next(), { done: false, value }, name);
      await assert.rejects(pass.next(), says('data.fromGenerator', 'element 3 failed: disk on fire'), name);
      assert.deepEqual(await pass.next(), { done: true, value: undefined }, name);
    }
    const error = await failing()
      .toArray()
      .catch((caught: Error) => caught);
    assert.ok((error as Error).cause instanceof Error);
  });

  it('name the stage and the element of a function that fails', async () => {
    const fails = (i: number) => {
      if (i === 2) throw new Error('too big');
      return true;
    };
    await assert.rejects(data.range(5).map(fails).toArray(), says('data.map', 'element 2 failed: too big'));
    await assert.rejects(
      data
        .range(5)
        .map(async (i) => fails(i))
        .batch(2)
        .toArray(),
      says('data.map', 'element 2'),
    );
    await assert.rejects(
      data.range(5).filter(fails).toArray(),
      says('data.filter', 'element 2 failed: too big'),
    );
    const concurrent = data.range(5).map(async (i) => fails(i), { concurrency: 4 });
    await assert.rejects(concurrent.prefetch().toArray(), says('data.map', 'element 2 failed: too big'));
  });

  it('close the source', async () => {
    const { seen, set } = counter();
    const broken = set.map((i) => {
      if (i === 3) throw new Error('no');
      return i;
    });
    await assert.rejects(broken.prefetch(2).batch(2).toArray());
    assert.equal(seen.closed, 1);
  });

  it('are not held up by another source that hangs', async () => {
    const hangs = data.fromAsyncIterator(() => ({
      next: () => new Promise<IteratorResult<number>>(() => {}),
    }));
    await assert.rejects(
      data.zip([failing().skip(3), hangs]).toArray(),
      says('data.fromGenerator', 'disk on fire'),
    );
  });
});

describeFastest('passes that are broken off', () => {
  it('close their sources, through every stage', async () => {
    const stages: ((set: data.Dataset<number>) => data.Dataset<unknown>)[] = [
      (set) => set.map((i) => i),
      (set) => set.map(async (i) => i, { concurrency: 3 }),
      (set) => set.filter(() => true).batch(2),
      (set) => set.prefetch(2),
      (set) => set.shuffle(4).batch(2).prefetch(1),
      (set) => data.zip([set, data.range(9)]),
      (set) => set.interleave((i) => data.range(i)),
      (set) => data.range(9).flatMap(() => set),
      (set) => set.repeat().skip(1).window(2).cache(),
    ];
    for (const [number, stage] of stages.entries()) {
      const { seen, set } = counter();
      let taken = 0;
      for await (const _ of stage(set)) if (++taken === 2) break;
      assert.equal(seen.closed, 1, `stage ${number}`);
      const whole = counter();
      await stage(whole.set).take(2).toArray();
      assert.equal(whole.seen.closed, 1, `stage ${number}, by take`);
    }
  });

  it('let go of a source that never answers', async () => {
    let closed = 0;
    const hanging = data.fromAsyncIterator(() => ({
      next: () => new Promise<IteratorResult<number>>(() => {}),
      return: async () => {
        closed++;
        return { done: true as const, value: undefined };
      },
    }));
    for (const set of [hanging, hanging.prefetch(2), hanging.map(async (x) => x, { concurrency: 2 })]) {
      closed = 0;
      const pass = set.iterate();
      const next = pass.next();
      await pass.return();
      assert.deepEqual(await next, { done: true, value: undefined });
      assert.equal(closed, 1);
    }
    const slow = data.range(3).map(() => new Promise<number>(() => {}));
    const pass = slow.iterate();
    const next = pass.next();
    await pass.return();
    assert.deepEqual(await next, { done: true, value: undefined });
  });
});
