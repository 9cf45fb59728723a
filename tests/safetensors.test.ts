// safetensors: files of the reference library, round trips, and files that are truncated, altered or hostile.
import assert from 'node:assert/strict';
import { crc32c } from '../src/saving/crc32c.ts';
import {
  encodeSafetensors,
  parseSafetensors,
  readSafetensors,
  toFloat32,
} from '../src/saving/safetensors.ts';
import { bad, says } from './support/errors.ts';
import { fixture } from './support/fixtures.ts';

interface Written {
  file: string;
  metadata: Record<string, string>;
  tensors: Record<string, { shape: number[]; values: string[] }>;
}

const ascii = (text: string) => new TextEncoder().encode(text);

/** A file with this header, its length told as `length`, and so many bytes of data. */
function fileOf(header: string | Uint8Array, dataBytes = 0, length?: bigint): Uint8Array {
  const text = typeof header === 'string' ? ascii(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = 'F32') =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

describe('safetensors', () => {
  it('reads what the reference library writes', () => {
    const { file, metadata, tensors } = fixture<Written>('safetensors');
    const parsed = parseSafetensors(Buffer.from(file, 'base64'));
    assert.deepEqual(Object.fromEntries(parsed.metadata), metadata);
    assert.deepEqual([...parsed.tensors.keys()].toSorted(), Object.keys(tensors).toSorted());
    for (const [name, { shape, values }] of Object.entries(tensors)) {
      const tensor = parsed.tensors.get(name)!;
      assert.deepEqual(tensor.shape, shape, name);
      const numbers = values.map((text) => Math.fround(Number(text.replace('inf', 'Infinity'))));
      assert.deepEqual([...toFloat32('test', tensor)], numbers, name);
    }
  });

  it('gives back what was written, whatever the names', async () => {
    const tensors = new Map([
      ['__proto__', { dtype: 'F32' as const, shape: [2, 2], data: Float32Array.of(1, -0, Number.NaN, 4) }],
      ['ein "Wort"\n\u{1f600}', { dtype: 'U8' as const, shape: [3], data: Uint8Array.of(1, 2, 3) }],
      ['long', { dtype: 'F64' as const, shape: [], data: Float64Array.of(Math.PI) }],
      ['', { dtype: 'I32' as const, shape: [0, 5], data: new Int32Array(0) }],
    ]);
    const bytes = encodeSafetensors(tensors, { note: 'x'.repeat(99), empty: '' });
    const source = {
      name: 'memory',
      size: bytes.length,
      read: async (begin: number, end: number) => bytes.slice(begin, end),
    };
    for (const parsed of [parseSafetensors(bytes), await readSafetensors(source)]) {
      assert.deepEqual(
        [...parsed.metadata],
        [
          ['note', 'x'.repeat(99)],
          ['empty', ''],
        ],
      );
      assert.equal(parsed.tensors.size, 4);
      for (const [name, { dtype, shape, data }] of tensors) {
        const got = parsed.tensors.get(name)!;
        assert.equal(got.dtype, dtype);
        assert.deepEqual(got.shape, shape);
        assert.deepEqual([...got.data], [...new Uint8Array(data.buffer)]);
      }
    }
  });

  it('is empty where nothing was written', () => {
    const { metadata, tensors } = parseSafetensors(encodeSafetensors({}));
    assert.equal(metadata.size + tensors.size, 0);
  });

  it('refuses to write data that do not fit', () => {
    const four = { dtype: 'F32' as const, shape: [4], data: new Float32Array(3) };
    assert.throws(
      () => encodeSafetensors({ w: four }),
      says('safetensors', "'w'", 'got 12 bytes, expected 16'),
    );
    const named = { ...four, shape: [3] };
    assert.throws(
      () => encodeSafetensors({ __metadata__: named }),
      says('safetensors', 'cannot be the name'),
    );
  });
});

describe('a safetensors file that is not whole', () => {
  const good = encodeSafetensors({
    a: { dtype: 'F32', shape: [3], data: Float32Array.of(1, 2, 3) },
    b: { dtype: 'U8', shape: [2], data: Uint8Array.of(4, 5) },
  });

  it('is refused at every length', () => {
    for (let length = 0; length < good.length; length++) {
      assert.throws(
        () => parseSafetensors(good.subarray(0, length)),
        says('safetensors'),
        `length ${length}`,
      );
    }
    assert.throws(() => parseSafetensors(bad<Uint8Array>('x')), says('safetensors', 'expected a Uint8Array'));
  });

  it('is refused or read, but never fails otherwise, whatever byte of the header is altered', () => {
    const header = 8 + Number(new DataView(good.buffer).getBigUint64(0, true));
    for (let at = 0; at < header; at++) {
      for (const value of [0, 0x22, 0x5b, 0x7b, 0x80, 0xff]) {
        const altered = good.slice();
        altered[at] = value;
        try {
          parseSafetensors(altered);
        } catch (error) {
          says('safetensors')(error);
        }
      }
    }
  });

  const hostile: [string, Uint8Array, ...string[]][] = [
    [
      'a huge header',
      fileOf('{}', 0, 2n ** 63n),
      'got a length of 9223372036854775808',
      'expected at most 2',
    ],
    ['a header as long as memory', fileOf('{}', 0, 100_000_001n), 'got a length of 100000001'],
    [
      'overlapping tensors',
      fileOf(`{"a":${entry(0, 8)},"b":${entry(4, 12)}}`, 12),
      "'b' overlaps",
      'got offset 4, expected 8',
    ],
    ['a tensor within another', fileOf(`{"a":${entry(0, 12)},"b":${entry(4, 8)}}`, 12), "'b' overlaps"],
    ['a hole', fileOf(`{"a":${entry(0, 4)},"b":${entry(8, 12)}}`, 12), "'b' leaves a hole"],
    ['bytes at the end', fileOf(`{"a":${entry(0, 4)}}`, 8), 'no tensor owns', 'got 8 of data, expected 4'],
    [
      'data beyond the file',
      fileOf(`{"a":${entry(0, 400)}}`, 8),
      'beyond the file',
      'got data up to byte 400',
    ],
    ['a huge shape', fileOf(`{"a":${entry(0, 4, [2 ** 40, 2 ** 40])}}`, 4), 'not that of its shape'],
    ['a shape that wraps to 0', fileOf(`{"a":${entry(0, 0, [2 ** 32, 2 ** 32])}}`), 'not that of its shape'],
    [
      'a shape beyond numbers',
      fileOf(`{"a":{"dtype":"F32","shape":[${'9'.repeat(400)}],"data_offsets":[0,4]}}`, 4),
      'expected one below 2^53',
    ],
    [
      'negative offsets',
      fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}', 0),
      'expected an integer >= 0',
    ],
    [
      'a fraction',
      fileOf('{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}', 4),
      'expected an integer >= 0',
    ],
    [
      'offsets that run backwards',
      fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', 4),
      'bad data_offsets',
    ],
    ['an unknown dtype', fileOf(`{"a":${entry(0, 4, [1], 'Q7')}}`, 4), "unknown dtype, got 'Q7'"],
    ['a dtype of the prototype', fileOf(`{"a":${entry(0, 4, [1], 'constructor')}}`, 4), 'unknown dtype'],
    ['a tensor twice', fileOf(`{"a":${entry(0, 4)},"a":${entry(4, 8)}}`, 8), "the key 'a' twice"],
    ['metadata twice', fileOf('{"__metadata__":{},"__metadata__":{}}'), "the key '__metadata__' twice"],
    ['metadata that are no strings', fileOf('{"__metadata__":{"a":1}}'), 'expected a string'],
    ['a missing field', fileOf('{"a":{"dtype":"F32","shape":[1]}}'), 'a field is missing'],
    ['a field too many', fileOf('{"a":{"dtype":"F32","path":"../x"}}'), "a field 'path'"],
    ['deep nesting', fileOf(`{"a":${'['.repeat(1_000_000)}`), "expected '{'"],
    ['deep objects', fileOf('{"a":'.repeat(100_000)), "a field 'a'"],
    ['no JSON', fileOf('hello'), "expected '{'"],
    ['a string that does not end', fileOf('{"a'), 'expected a string'],
    ['text behind the header', fileOf('{} {}'), 'expected the end of the header'],
    ['bytes that are no text', fileOf(Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)), 'no UTF-8'],
    ['another kind of file', ascii('%PDF-1.7 hello, this is no tensor'), 'no safetensors file'],
  ];
  for (const [what, bytes, ...parts] of hostile) {
    it(`with ${what}: says so, and takes no memory`, () => {
      const before = process.memoryUsage().arrayBuffers;
      assert.throws(() => parseSafetensors(bytes), says('safetensors', ...parts));
      assert.ok(process.memoryUsage().arrayBuffers - before < 1e6 + 2 * bytes.length);
    });
  }

  it('is not read where the header does not fit', async () => {
    const asked: number[] = [];
    const start = fileOf(`{"a":${entry(0, 4)}}`);
    const source = {
      name: 'huge.safetensors',
      size: 2 ** 50,
      read: async (begin: number, end: number) => {
        asked.push(end - begin);
        return start.slice(begin, end);
      },
    };
    await assert.rejects(readSafetensors(source), says('huge.safetensors', 'bytes that no tensor owns'));
    assert.ok(asked.every((bytes) => bytes <= start.length));
  });
});

describe('crc32c', () => {
  it('gives the sums of RFC 3720', () => {
    assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
    assert.equal(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
    assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
    assert.equal(crc32c(ascii('123456789')), 0xe3069283);
  });

  it('goes on from a former sum at any place', () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => (i * 37) % 251);
    for (let at = 0; at <= 100; at++) {
      assert.equal(crc32c(bytes.subarray(at), crc32c(bytes.subarray(0, at))), crc32c(bytes));
    }
  });
});
