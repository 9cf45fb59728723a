// Philox in TypeScript: the published vectors, the stream's layout, unbiased integers, shuffling, saving and restoring.

import assert from 'node:assert/strict';
import { NablaError } from '../src/errors.ts';
import { Philox, philox4x32 } from '../src/random.ts';

type Four = readonly [number, number, number, number];

function block(counter: Four, key: readonly [number, number]): number[] {
  const out = new Uint32Array(4);
  philox4x32(...counter, ...key, out);
  return [...out];
}

/** The same function in big integers, written from the paper's definition. */
function reference(counter: Four, key: readonly [number, number]): number[] {
  const mask = 0xffffffffn;
  let c = counter.map(BigInt);
  let k = key.map(BigInt);
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c[0]!;
    const p1 = 0xcd9e8d57n * c[2]!;
    c = [(p1 >> 32n) ^ c[1]! ^ k[0]!, p1 & mask, (p0 >> 32n) ^ c[3]! ^ k[1]!, p0 & mask];
    k = [(k[0]! + 0x9e3779b9n) & mask, (k[1]! + 0xbb67ae85n) & mask];
  }
  return c.map(Number);
}

describe('philox4x32', () => {
  it("gives Random123's published vectors", () => {
    const all = 0xffffffff;
    assert.deepEqual(block([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    assert.deepEqual(
      block([all, all, all, all], [all, all]),
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    );
    assert.deepEqual(
      block([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    );
  });

  it('equals the definition in big integers on 500 counters and keys', () => {
    const random = new Philox(42);
    for (let i = 0; i < 500; i++) {
      const draw = () => random.uint32();
      const counter: Four = [draw(), draw(), draw(), draw()];
      const key = [draw(), draw()] as const;
      assert.deepEqual(block(counter, key), reference(counter, key));
    }
  });

  it('writes at the offset and nowhere else', () => {
    const out = new Uint32Array(6).fill(7);
    philox4x32(0, 0, 0, 0, 0, 0, out, 1);
    assert.deepEqual([...out], [7, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8, 7]);
  });
});

describe('Philox', () => {
  it('takes key and counter from seed, block and stream as the random kernels do', () => {
    const seed = 5 * 2 ** 32 + 9;
    const random = new Philox(seed, 77);
    const drawn = Array.from({ length: 8 }, () => random.uint32());
    assert.deepEqual(drawn, [...reference([0, 0, 0, 77], [9, 5]), ...reference([1, 0, 0, 77], [9, 5])]);
  });

  it('carries into the second word of the counter', () => {
    const random = new Philox(1);
    random.position = 4 * (2 ** 32 + 3) + 2;
    const expected = reference([3, 1, 0, 0], [1, 0]);
    assert.deepEqual([random.uint32(), random.uint32()], expected.slice(2));
  });

  it('gives different streams for different seeds, signs and stream numbers', () => {
    const firsts = [new Philox(0), new Philox(1), new Philox(-1), new Philox(2 ** 32), new Philox(0, 1)];
    assert.equal(new Set(firsts.map((random) => random.uint32())).size, firsts.length);
  });

  it('goes on exactly where a saved state stood, at every offset in a block', () => {
    for (let used = 0; used <= 9; used++) {
      const random = new Philox(11, 3);
      for (let i = 0; i < used; i++) random.uint32();
      assert.equal(random.position, used);
      const copy = Philox.restore(JSON.parse(JSON.stringify(random.state)));
      const expected = Array.from({ length: 9 }, () => random.uint32());
      assert.deepEqual(
        Array.from({ length: 9 }, () => copy.uint32()),
        expected,
      );
      assert.deepEqual(copy.state, random.state);
    }
  });

  it('draws uniform numbers in [0, 1) that float32 holds exactly, with the right mean', () => {
    const random = new Philox(3);
    let sum = 0;
    for (let i = 0; i < 40_000; i++) {
      const value = random.uniform();
      assert.ok(value >= 0 && value < 1 && Math.fround(value) === value);
      sum += value;
    }
    // Standard error 0.0014.
    assert.ok(Math.abs(sum / 40_000 - 0.5) < 0.008, `mean ${sum / 40_000}`);
  });

  it('takes the top 24 bits for a uniform number', () => {
    assert.equal(new Philox(0).uniform(), (0x6627e8d5 >>> 8) / 2 ** 24);
  });

  it('draws integers below n equally often', () => {
    for (const n of [1, 2, 3, 10, 7]) {
      const random = new Philox(n);
      const counts = new Array<number>(n).fill(0);
      for (let i = 0; i < 7000 * n; i++) counts[random.int(n)]!++;
      // Standard deviation at most 84.
      for (const count of counts) assert.ok(Math.abs(count - 7000) < 420, `${n}: ${counts}`);
    }
  });

  it('is not biased where 2^32 is far from a multiple of n', () => {
    // Four words share three values: without rejection every multiple of three would be hit twice as often.
    const n = 3 * 2 ** 30;
    const random = new Philox(8);
    let multiples = 0;
    for (let i = 0; i < 30_000; i++) {
      const value = random.int(n);
      assert.ok(Number.isInteger(value) && value >= 0 && value < n);
      if (value % 3 === 0) multiples++;
    }
    // Standard deviation 82.
    assert.ok(Math.abs(multiples - 10_000) < 410, `${multiples} multiples of three`);
  });

  it('reaches the whole range of 2^32', () => {
    assert.equal(new Philox(0).int(2 ** 32), 0x6627e8d5);
  });

  it('shuffles in place: the same elements, every order equally often', () => {
    const orders = new Map<string, number>();
    const random = new Philox(2);
    for (let i = 0; i < 12_000; i++) {
      const array = Int32Array.of(0, 1, 2, 3);
      assert.equal(random.shuffle(array), array);
      orders.set(array.join(), (orders.get(array.join()) ?? 0) + 1);
    }
    assert.equal(orders.size, 24);
    // Expected 500 each, standard deviation 22.
    for (const [order, count] of orders) assert.ok(Math.abs(count - 500) < 120, `${order}: ${count}`);
  });

  it('gives the same permutation for the same seed, and all of its numbers', () => {
    const first = new Philox(5).permutation(60_000);
    assert.deepEqual(first, new Philox(5).permutation(60_000));
    assert.notDeepEqual(first, new Philox(6).permutation(60_000));
    assert.deepEqual(
      first.toSorted(),
      Int32Array.from({ length: 60_000 }, (_, i) => i),
    );
  });

  it('shuffles empty and single arrays without drawing', () => {
    const random = new Philox(5);
    random.shuffle(new Int32Array(0));
    random.shuffle(Int32Array.of(4));
    assert.equal(random.position, 0);
  });

  it('shuffles 60,000 indices in a few milliseconds once warm', () => {
    const array = Int32Array.from({ length: 60_000 }, (_, i) => i);
    const random = new Philox(1);
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 12; i++) {
      const start = performance.now();
      random.shuffle(array);
      best = Math.min(best, performance.now() - start);
    }
    // About 2 ms; the bound leaves room for a busy machine and still catches arithmetic that left integer registers.
    assert.ok(best < 20, `${best} ms`);
  });

  it('refuses what is not a seed, stream, position or bound', () => {
    const refused = (act: () => unknown, text: RegExp) =>
      assert.throws(act, (error: unknown) => error instanceof NablaError && text.test(error.message));
    refused(() => new Philox(0.5), /\[Philox\] seed got 0\.5, expected an integer/);
    refused(() => new Philox(2 ** 60), /seed got/);
    refused(() => new Philox(Number.NaN), /seed got NaN/);
    refused(() => new Philox(0, -1), /stream got -1/);
    refused(() => new Philox(0, 2 ** 32), /stream got 4294967296/);
    refused(() => new Philox(0).int(0), /n got 0/);
    refused(() => new Philox(0).int(1.5), /n got 1\.5/);
    refused(() => new Philox(0).int(2 ** 32 + 1), /n got/);
    refused(() => Philox.restore({ seed: 0, stream: 0, position: -1 }), /position got -1/);
  });
});
