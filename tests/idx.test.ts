// IDX files: every element type by hand-written bytes, round trips, and refusal of everything that is not IDX.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { encodeIdx, type IdxArray, parseIdx } from '../src/data/idx.ts';
import { NablaError } from '../src/errors.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);

/** A header: type code and big-endian dimensions. */
function header(code: number, ...shape: number[]): number[] {
  const dimensions = shape.flatMap((n) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);
  return [0, 0, code, shape.length, ...dimensions];
}

function refuses(act: () => unknown, ...texts: string[]): void {
  assert.throws(act, (error: unknown) => {
    assert.ok(error instanceof NablaError, String(error));
    for (const text of texts) assert.ok(error.message.includes(text), `${error.message} lacks "${text}"`);
    return true;
  });
}

const arrays: readonly IdxArray[] = [
  { dtype: 'uint8', shape: [2, 3], data: Uint8Array.of(0, 1, 127, 128, 254, 255) },
  { dtype: 'int8', shape: [5], data: Int8Array.of(-128, -1, 0, 1, 127) },
  { dtype: 'int16', shape: [3, 1], data: Int16Array.of(-32768, 258, 32767) },
  { dtype: 'int32', shape: [1, 1, 3], data: Int32Array.of(-(2 ** 31), 0x01020304, 2 ** 31 - 1) },
  { dtype: 'float32', shape: [4], data: Float32Array.of(Math.fround(0.1), -0, Number.NaN, Infinity) },
  { dtype: 'float64', shape: [2, 2], data: Float64Array.of(0.1, -0, Number.NaN, -Infinity) },
];

describe('parseIdx', () => {
  it('reads every element type, big-endian', () => {
    const cases: [number[], IdxArray['dtype'], number[]][] = [
      [[...header(0x08, 2), 1, 255], 'uint8', [1, 255]],
      [[...header(0x09, 2), 1, 255], 'int8', [1, -1]],
      [[...header(0x0b, 2), 1, 2, 255, 254], 'int16', [258, -2]],
      [[...header(0x0c, 2), 1, 2, 3, 4, 255, 255, 255, 254], 'int32', [0x01020304, -2]],
      [[...header(0x0d, 2), 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0], 'float32', [1, -2]],
      [[...header(0x0e, 1), 0x40, 0x09, 0x21, 0xfb, 0x54, 0x44, 0x2d, 0x18], 'float64', [Math.PI]],
    ];
    for (const [file, dtype, values] of cases) {
      const array = parseIdx(bytes(...file));
      assert.equal(array.dtype, dtype);
      assert.deepEqual(array.shape, [values.length]);
      assert.equal(array.data.constructor.name.toLowerCase(), `${dtype}array`);
      assert.deepEqual([...array.data], values);
    }
  });

  it('reads the shape in order', () => {
    const array = parseIdx(bytes(...header(0x08, 2, 3, 1), 1, 2, 3, 4, 5, 6));
    assert.deepEqual(array.shape, [2, 3, 1]);
    assert.deepEqual([...array.data], [1, 2, 3, 4, 5, 6]);
  });

  it('reads from the middle of a larger buffer, also at odd offsets', () => {
    for (const array of arrays) {
      const file = encodeIdx(array);
      const larger = new Uint8Array(file.length + 12).fill(99);
      larger.set(file, 5);
      assert.deepEqual(parseIdx(larger.subarray(5, 5 + file.length)), array);
    }
  });

  it('gives elements of their own, also for a Node Buffer', () => {
    for (const code of [0x08, 0x09]) {
      const file = Buffer.from(header(code, 2).concat(1, 2));
      const { data } = parseIdx(file);
      file.fill(77);
      assert.deepEqual([...data], [1, 2]);
    }
  });

  it('refuses what is not IDX', () => {
    refuses(() => parseIdx(bytes()), '[idx] cut short, got 0 bytes, expected a header of at least 4');
    refuses(() => parseIdx(bytes(0, 0, 8)), 'got 3 bytes');
    refuses(() => parseIdx(bytes(0x89, 0x50, 0x4e, 0x47, 0)), '[idx] not an IDX file', '0x89 0x50 0x4e 0x47');
    refuses(() => parseIdx(bytes(0, 1, 8, 1, 0, 0, 0, 1, 5)), 'not an IDX file');
    refuses(() => parseIdx(bytes(...header(0x0a, 1), 0)), 'unknown element type, got 0x0a', '0x0d (float32)');
  });

  it('says so when the file is still gzip', () => {
    const packed = gzipSync(bytes(...header(0x08, 1), 1));
    refuses(() => parseIdx(packed), 'gzip-compressed', 'unpack them first');
  });

  it('refuses files cut short anywhere', () => {
    for (const array of arrays) {
      const file = encodeIdx(array);
      for (let length = 0; length < file.length; length++) {
        refuses(() => parseIdx(file.subarray(0, length)), 'cut short');
      }
    }
  });

  it('refuses bytes after the end', () => {
    for (const array of arrays) {
      const file = encodeIdx(array);
      refuses(() => parseIdx(Uint8Array.of(...file, 0)), 'bytes after the end');
    }
  });

  it('refuses no dimensions, more than eight, and dimensions of zero', () => {
    refuses(() => parseIdx(bytes(...header(0x08))), 'got 0 dimensions, expected 1 to 8');
    const nine = header(0x08, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    refuses(() => parseIdx(bytes(...nine, 1)), 'got 9 dimensions');
    refuses(() => parseIdx(bytes(0, 0, 8, 255)), 'got 255 dimensions');
    refuses(() => parseIdx(bytes(...header(0x08, 3, 0))), 'a dimension is zero, got shape [3, 0]');
    refuses(() => parseIdx(bytes(...header(0x08, 0, 2 ** 32 - 1))), 'a dimension is zero');
  });

  it('refuses sizes that overflow, before it allocates', () => {
    const most = 2 ** 32 - 1;
    const before = process.memoryUsage().arrayBuffers;
    for (const code of [0x08, 0x0e]) {
      refuses(() => parseIdx(bytes(...header(code, most), 1)), 'cut short', `[${most}]`);
      refuses(() => parseIdx(bytes(...header(code, most, most), 1)), 'expected more than 2^53');
      // The products of these are 2^32 and 2^64: zero in 32-bit and 64-bit arithmetic.
      refuses(() => parseIdx(bytes(...header(code, 2 ** 16, 2 ** 16))), 'cut short');
      refuses(() => parseIdx(bytes(...header(code, 2 ** 31, 2 ** 31, 4))), 'more than 2^53');
      const eight = new Array<number>(8).fill(most);
      refuses(() => parseIdx(bytes(...header(code, ...eight), 1, 2)), 'more than 2^53');
    }
    assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 20);
  });

  it('survives random damage: an array or a NablaError, nothing else', () => {
    const file = encodeIdx(arrays[3]!);
    let refused = 0;
    for (let at = 0; at < 16; at++) {
      for (let value = 0; value < 256; value++) {
        const damaged = file.slice();
        damaged[at] = value;
        try {
          parseIdx(damaged);
        } catch (error) {
          assert.ok(error instanceof NablaError, String(error));
          refused++;
        }
      }
    }
    assert.ok(refused > 4000, `${refused}`);
  });
});

describe('encodeIdx', () => {
  it('writes the header and big-endian elements', () => {
    const file = encodeIdx({ dtype: 'int16', shape: [1, 2], data: Int16Array.of(258, -2) });
    assert.deepEqual([...file], [...header(0x0b, 1, 2), 1, 2, 255, 254]);
  });

  it('is undone by parseIdx for every type', () => {
    for (const array of arrays) assert.deepEqual(parseIdx(encodeIdx(array)), array);
  });

  it('takes eight dimensions', () => {
    const array: IdxArray = { dtype: 'uint8', shape: [1, 1, 2, 1, 1, 1, 1, 1], data: Uint8Array.of(3, 4) };
    assert.deepEqual(parseIdx(encodeIdx(array)), array);
  });

  it('refuses shapes that do not fit', () => {
    const data = Uint8Array.of(1, 2);
    refuses(() => encodeIdx({ dtype: 'uint8', shape: [3], data }), '[encodeIdx] got 2 elements, expected 3');
    refuses(() => encodeIdx({ dtype: 'uint8', shape: [], data }), 'got 0 dimensions');
    refuses(() => encodeIdx({ dtype: 'uint8', shape: new Array(9).fill(1), data }), 'got 9 dimensions');
    refuses(() => encodeIdx({ dtype: 'uint8', shape: [0], data: new Uint8Array(0) }), 'got shape [0]');
    refuses(() => encodeIdx({ dtype: 'uint8', shape: [0.5, 4], data }), 'got shape [0.5, 4]');
    refuses(() => encodeIdx({ dtype: 'uint8', shape: [2 ** 32], data }), 'expected integers in [1, 2^32)');
  });
});
