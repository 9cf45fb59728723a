// Data sets from files: lines, CSV with all its oddities, IDX; read in pieces of any size, with errors that name the place.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { data, encodeIdx } from '../src/index.ts';
import { bad, says } from './support/errors.ts';

/** The text's bytes in pieces of `size`, so that characters and line ends are torn apart. */
const pieces = (text: string, size: number) => () => {
  const bytes = new TextEncoder().encode(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
};

const rows = (text: string, options?: data.CsvOptions) => data.csv({ text }, options).toArray();

describe('data sets from files', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'nabla-data-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string, content: string | Uint8Array) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };

  describe('textLines', () => {
    it('ends lines at \\n, \\r\\n and \\r, wherever pieces are torn', async () => {
      const text = '\ufeffone\r\ntwö\n\nthree\rfour';
      for (const size of [1, 2, 3, 5, 100]) {
        assert.deepEqual(
          await data.textLines(pieces(text, size)).toArray(),
          ['one', 'twö', '', 'three', 'four'],
          `${size}`,
        );
      }
      assert.deepEqual(await data.textLines({ text: 'a\n' }).toArray(), ['a']);
      assert.deepEqual(await data.textLines({ text: 'a\r' }).toArray(), ['a']);
      assert.deepEqual(await data.textLines({ text: '' }).toArray(), []);
    });

    it('reads files, packed ones too, one after the other', async () => {
      const first = file('a.txt', 'a\n \nb\n');
      const second = file('b.txt.gz', gzipSync('c\nd'));
      const set = data.textLines([first, pathToFileURL(second)], { skipEmpty: true });
      assert.deepEqual(await set.toArray(), ['a', 'b', 'c', 'd']);
      assert.deepEqual(await set.toArray(), ['a', 'b', 'c', 'd']);
    });

    it('says what cannot be read', async () => {
      const missing = data.textLines(join(folder, 'missing.txt'));
      await assert.rejects(
        missing.toArray(),
        says('data.textLines', 'element 0 failed', 'ENOENT', 'missing.txt'),
      );
      const torn = file('torn.gz', gzipSync('x'.repeat(1000)).subarray(0, 20));
      await assert.rejects(data.textLines(torn).toArray(), says('data.textLines', 'element 0 failed'));
      assert.throws(() => data.textLines(bad(3)), says('data.textLines', 'got 3', 'expected a path'));
    });
  });

  describe('csv', () => {
    it('guesses types from the first rows', async () => {
      const text = 'name,age,score\nAnn,41,0.5\nBob,7,1e-3\n';
      assert.deepEqual(await rows(text), [
        { name: 'Ann', age: 41, score: 0.5 },
        { name: 'Bob', age: 7, score: 0.001 },
      ]);
    });

    it('reads quoted fields with delimiters, quotes and line ends, in pieces of any size', async () => {
      const text = 'id,text\r\n1,"a, ""b""\r\nc"\r\n2,""\r\n\r\n3,5" pipe\r\n4,"ü"';
      const expected = ['a, "b"\r\nc', '', '5" pipe', 'ü'].map((value, i) => ({ id: i + 1, text: value }));
      for (const size of [1, 2, 3, 7, 1000]) {
        assert.deepEqual(await data.csv(pieces(text, size)).toArray(), expected, `pieces of ${size}`);
      }
      assert.deepEqual(await rows('a\n"x""y"'), [{ a: 'x"y' }]);
      assert.deepEqual(await rows('a,b\r1,2\r3,4\r'), [
        { a: 1, b: 2 },
        { a: 3, b: 4 },
      ]);
    });

    it('takes names, delimiters and files without a header', async () => {
      assert.deepEqual(await rows('1;2\n3;4', { hasHeader: false, delimiter: ';' }), [
        { 0: 1, 1: 2 },
        { 0: 3, 1: 4 },
      ]);
      assert.deepEqual(await rows('a\tb\n1\t2', { columnNames: ['x', 'y'], delimiter: '\t' }), [
        { x: 1, y: 2 },
      ]);
      assert.deepEqual(await rows(''), []);
      assert.deepEqual(await rows('a,b\n'), []);
      const path = file('t.csv', 'a,b\n1,x\n');
      assert.deepEqual(await data.csv(path).toArray(), [{ a: 1, b: 'x' }]);
    });

    it('gives the columns and types that it is told to', async () => {
      const columnConfigs = {
        id: { dtype: 'string' },
        on: { dtype: 'bool' },
        n: { dtype: 'int32' },
      } as const;
      const text = 'id,on,n,more\n007,true,-5,1\n8,0,6,2\n';
      assert.deepEqual(await rows(text, { columnConfigs, configuredColumnsOnly: true }), [
        { id: '007', on: true, n: -5 },
        { id: '8', on: false, n: 6 },
      ]);
    });

    it('fills in missing values, leaves their rows out, or says that they are missing', async () => {
      const text = 'a,b,c\n1,x,\nNA,,2\n3,z,4\n';
      assert.deepEqual(await rows(text), [
        { a: 1, b: 'x', c: Number.NaN },
        { a: Number.NaN, b: '', c: 2 },
        { a: 3, b: 'z', c: 4 },
      ]);
      assert.deepEqual(await rows(text, { missing: 'drop' }), [{ a: 3, b: 'z', c: 4 }]);
      const filled = await rows(text, { columnConfigs: { a: { default: -1 }, b: { default: '?' } } });
      assert.deepEqual(filled[1], { a: -1, b: '?', c: 2 });
      const required = rows(text, { columnConfigs: { a: { required: true } }, missing: 'drop' });
      await assert.rejects(required, says('data.csv', "line 3: column 'a' has no value, it is required"));
      const whole = rows(text, { columnConfigs: { a: { dtype: 'int32' } } });
      await assert.rejects(whole, says('data.csv', 'line 3', 'give a default'));
      assert.deepEqual(await rows('a\n-\n2', { missingValues: ['-'] }), [{ a: Number.NaN }, { a: 2 }]);
    });

    it('names the line and the column of what is wrong', async () => {
      const many = `a\n${'1\n'.repeat(150)}x\n`;
      await assert.rejects(
        rows(many),
        says('data.csv', 'element 150', "line 152: column 'a' got 'x'", "dtype: 'string'"),
      );
      await assert.rejects(rows('a,b\n1,2\n3\n'), says('data.csv', 'line 3: got 1 fields, expected 2'));
      await assert.rejects(
        rows('a\n"x\ny"\n"b"c\n'),
        says('data.csv', 'line 4: text after a closing quote', "'c'"),
      );
      await assert.rejects(rows('a\n1\n"never'), says('data.csv', 'line 3: a quote is opened here'));
      await assert.rejects(rows('a,a\n1,2'), says('data.csv', "two columns are named 'a'"));
      await assert.rejects(
        rows('a\n1', { columnNames: ['a', 'b'] }),
        says('data.csv', 'got 1 columns, expected 2'),
      );
      const age = { columnConfigs: { age: { dtype: 'int32' } } } as const;
      await assert.rejects(
        rows('agee\n1', age),
        says('data.csv', "unknown column, got 'age'", "did you mean 'agee'"),
      );
      await assert.rejects(
        rows('age\n1.5', age),
        says('data.csv', "line 2: column 'age' got '1.5'", 'an integer'),
      );
      const path = file('bad.csv', 'a,b\n1\n');
      await assert.rejects(data.csv(path).toArray(), says('data.csv', 'bad.csv, line 2'));
      assert.throws(() => data.csv('x', { delimiter: ',,' }), says('data.csv', 'delimiter', "',,'"));
      assert.throws(() => data.csv('x', { missing: bad('skip') }), says('data.csv', 'unknown missing'));
      assert.throws(
        () => data.csv('x', { columnConfigs: { a: { dtype: bad('int') } } }),
        says('data.csv', "got 'int'", 'int32'),
      );
    });

    it('makes training samples of rows', async () => {
      const set = data.csv({ text: 'l,w,kind\n1,2,no\n3,4,yes\n' });
      const [first, second] = await set
        .map(data.features(['w', 'l'], 'kind', { classes: ['no', 'yes'] }))
        .toArray();
      assert.deepEqual(
        [first, second],
        [
          [Float32Array.of(2, 1), 0],
          [Float32Array.of(4, 3), 1],
        ],
      );
      assert.deepEqual(
        await set
          .map(data.features(['l']))
          .take(1)
          .toArray(),
        [Float32Array.of(1)],
      );
      const fails = (fn: (row: data.CsvRow) => unknown) => set.map(fn).toArray();
      await assert.rejects(
        fails(data.features(['kind'])),
        says('data.map', 'element 0', "column 'kind' holds text"),
      );
      await assert.rejects(fails(data.features(['ll'])), says('data.map', "unknown column, got 'll'"));
      const classes = data.features(['l'], 'kind', { classes: ['no', 'maybe'] });
      await assert.rejects(
        fails(classes),
        says('data.map', 'element 1', "class in column 'kind'", "got 'yes'"),
      );
    });
  });

  describe('idx', () => {
    it('gives rows of any type, and pairs of two files', async () => {
      const images = encodeIdx({
        dtype: 'uint8',
        shape: [3, 2, 2],
        data: Uint8Array.from({ length: 12 }, (_, i) => i),
      });
      const labels = encodeIdx({ dtype: 'uint8', shape: [3], data: Uint8Array.of(7, 8, 9) });
      const set = data.idx(file('images', images), file('labels.gz', gzipSync(labels)));
      const pairs = await set.toArray();
      assert.deepEqual(pairs[2], [{ dtype: 'uint8', shape: [2, 2], data: Uint8Array.of(8, 9, 10, 11) }, 9]);
      assert.equal(pairs.length, 3);
      const wide = encodeIdx({ dtype: 'int16', shape: [2, 2], data: Int16Array.of(-1, 2, 300, 4) });
      const found = await data.idx(() => [wide.subarray(0, 5), wide.subarray(5)]).toArray();
      assert.deepEqual(found[1], { dtype: 'int32', shape: [2], data: Int32Array.of(300, 4) });
      const doubles = encodeIdx({ dtype: 'float64', shape: [1], data: Float64Array.of(0.1) });
      assert.deepEqual(await data.idx(() => [doubles]).toArray(), [Math.fround(0.1)]);
    });

    it('reads files larger than a block', async () => {
      const values = Int32Array.from({ length: 200_000 }, (_, i) => i);
      const path = file('large', encodeIdx({ dtype: 'int32', shape: [100_000, 2], data: values }));
      let next = 0;
      for await (const row of data.idx(path)) {
        const { data: pair } = row as data.NdArray;
        assert.ok(pair[0] === next && pair[1] === next + 1);
        next += 2;
      }
      assert.equal(next, 200_000);
    });

    it('names the row where a file ends early, and refuses other files', async () => {
      const bytes = encodeIdx({ dtype: 'uint8', shape: [3, 2], data: new Uint8Array(6) });
      const short = data.idx(() => [bytes.subarray(0, bytes.length - 1)]);
      await assert.rejects(short.toArray(), says('data.idx', 'element 2 failed', 'got 2 rows, expected 3'));
      await assert.rejects(data.idx({ text: 'hello' }).toArray(), says('data.idx', 'got text'));
      await assert.rejects(
        data.idx(() => [Uint8Array.of(1, 2, 3, 4)]).toArray(),
        says('data.idx', 'not an IDX file'),
      );
    });
  });
});
