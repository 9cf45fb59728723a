// Unpacking small zlib streams: by the addon and by node:zlib alike, damaged ones and those of another length too.
import assert from 'node:assert/strict';
import { deflateSync } from 'node:zlib';
import { loadAddon } from '../src/backend/addon.ts';
import { Philox } from '../src/index.ts';
import { inflateExactly } from '../src/platform/inflate.ts';

const random = new Philox(5);
const bytesOf = (count: number, below: number) => Uint8Array.from({ length: count }, () => random.int(below));

describe('unpacking', () => {
  const inflate = loadAddon(undefined).makeInflate();

  it('is done by the zlib of this Node.js', () => assert.equal(typeof inflate, 'function'));

  it('gives what was packed, whatever came before', () => {
    for (let round = 0; round < 200; round++) {
      const raw = bytesOf(random.int(3000), 1 + random.int(256));
      const packed = deflateSync(raw, { level: random.int(10) });
      const target = new Uint8Array(raw.length);
      // A damaged stream leaves nothing behind.
      if (round % 3 === 0) inflate!(packed.subarray(0, packed.length - 2), target);
      if (round % 3 === 1) inflate!(bytesOf(packed.length, 256), target);
      assert.equal(inflate!(packed, target), raw.length);
      assert.deepEqual(target, raw);
      assert.deepEqual(new Uint8Array(inflateExactly(packed, raw.length)), raw);
    }
  });

  it('says how long a shorter stream is, and refuses longer, damaged and cut ones', () => {
    const raw = bytesOf(500, 7);
    const packed = deflateSync(raw);
    assert.equal(inflate!(packed, new Uint8Array(501)), 500);
    assert.equal(inflate!(packed, new Uint8Array(499)), -1);
    assert.equal(inflate!(packed, new Uint8Array(0)), -1);
    assert.equal(inflate!(packed.subarray(0, 60), new Uint8Array(500)), -1);
    assert.equal(inflate!(new Uint8Array(0), new Uint8Array(500)), -1);
    const altered = Uint8Array.from(packed);
    altered[altered.length - 1]! ^= 1;
    assert.equal(inflate!(altered, new Uint8Array(500)), -1);
  });

  it('gives the words of node:zlib for what it cannot unpack', () => {
    const packed = deflateSync(bytesOf(500, 7));
    assert.equal(inflateExactly(packed, 600).length, 500);
    assert.throws(() => inflateExactly(packed, 400), /larger than 401 bytes/);
    assert.throws(() => inflateExactly(packed.subarray(0, 60), 500), /unexpected end of file/);
    assert.throws(() => inflateExactly(Uint8Array.of(1, 2, 3), 500), /incorrect header check/);
  });

  it('refuses what is no Uint8Array', () => {
    const loose = inflate as unknown as (...args: unknown[]) => unknown;
    for (const args of [[], [1, 2], [new Uint8Array(1)], [new Uint8Array(1), new Float32Array(1)]]) {
      const refused = loose(...args);
      assert.ok(refused instanceof Error, String(refused));
      assert.match(refused.message, /^\[native\.inflate\] (packed|target), got .*, expected a Uint8Array$/);
    }
  });
});
