// loadMnist from folders and the cache: missing, wrong and damaged files, the offline fallback, and the real data.

import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { cacheFolder } from '../src/data/cache.ts';
import { loadMnist, type MnistOptions } from '../src/data/mnist.ts';
import { writeAtomically } from '../src/platform/atomic.ts';
import {
  assertSmallSet,
  contents,
  fails,
  given,
  good,
  load,
  names,
  packed,
  small,
  state,
  useMnistFixture,
  writeSet,
} from './mnist-fixture.ts';

describe('loadMnist', function () {
  this.timeout(60_000);

  useMnistFixture();

  describe('from a folder', () => {
    it('reads dir itself or mnist below it, gzip or unpacked', async () => {
      for (const [below, gzip] of [
        ['a', true],
        ['b', false],
        ['c/mnist', true],
        ['d/mnist', false],
      ] as const) {
        await writeSet(join(state.folder, below), gzip);
        const { arrays } = await load({ dir: join(state.folder, below[0]!) });
        assertSmallSet(arrays);
        assert.equal(arrays.origin, join(state.folder, below));
      }
    });

    it('reads NABLA_DATA_DIR, but dir first', async () => {
      await writeSet(join(state.folder, 'variable', 'mnist'), true);
      await writeSet(join(state.folder, 'option'), true);
      process.env.NABLA_DATA_DIR = join(state.folder, 'variable');
      assert.equal((await load()).arrays.origin, join(state.folder, 'variable', 'mnist'));
      assert.equal(
        (await load({ dir: join(state.folder, 'option') })).arrays.origin,
        join(state.folder, 'option'),
      );
    });

    it('refuses a file with a wrong sum by name, leaves it alone and asks no mirror', async () => {
      const { url, requests } = await good();
      await writeSet(state.folder, false);
      const path = join(state.folder, names[1]!);
      const damaged = Buffer.from(contents.get(names[1]!)!);
      damaged[20]! ^= 1;
      await writeFile(path, damaged);
      process.env.NABLA_DATA_DIR = state.folder;
      const options: MnistOptions = { mirrors: [url], fallback: 'generated' };
      await fails(
        load(options),
        path,
        'wrong SHA-256, got ',
        `expected ${small[1].sha256}`,
        'replace the file',
      );
      delete process.env.NABLA_DATA_DIR;
      await fails(load({ ...options, dir: state.folder }), path, 'wrong SHA-256');
      assert.deepEqual(await readFile(path), damaged);
      assert.deepEqual(requests, []);
    });

    it('refuses files cut short, too large, not gzip inside, or that unpack to too much', async () => {
      const path = join(state.folder, `${names[3]}.gz`);
      const cases: [Buffer, string][] = [
        [packed(names[3]!).subarray(0, 30), 'unexpected end of file'],
        [Buffer.alloc(100_000), 'too large, got 100000 bytes'],
        [Buffer.from('hello'), 'got 5 bytes when unpacked, expected 28'],
        [gzipSync(Buffer.alloc(2_000_000)), 'larger than 28 bytes'],
      ];
      await writeSet(state.folder, true);
      for (const [bytes, text] of cases) {
        await writeFile(path, bytes);
        await fails(load({ dir: state.folder }), path, text);
      }
    });

    it('says which files are missing and looks elsewhere', async () => {
      const { url } = await good();
      await writeSet(join(state.folder, 'part'), true, names.slice(0, 2));
      const { arrays, said } = await load({ dir: join(state.folder, 'part'), mirrors: [url] });
      assertSmallSet(arrays);
      assert.equal(arrays.origin, url);
      assert.match(said, /dir is .*part, which does not hold the four files of MNIST; looking elsewhere/);
      const nowhere = load({ dir: join(state.folder, 'part'), cacheDir: join(state.folder, 'empty') });
      await fails(nowhere, `part: no ${names[2]}, ${names[3]}`, 'NABLA_DATA_DIR: not set');
    });
  });

  describe('the cache', () => {
    const cache = () => join(state.folder, 'cache', 'mnist');

    it('replaces a damaged file by download, says its name, and downloads nothing else', async () => {
      const { url, requests } = await good();
      await writeSet(cache(), true);
      const path = join(cache(), `${names[2]}.gz`);
      const half = packed(names[2]!).subarray(0, 500);
      await writeFile(path, half);
      const { arrays, said } = await load({ mirrors: [url] });
      assertSmallSet(arrays);
      assert.ok(
        said.includes(`damaged cache file ${path} (unexpected end of file); moved to ${path}.damaged`),
        said,
      );
      assert.deepEqual(requests, [`${names[2]}.gz`]);
      assert.deepEqual(gunzipSync(await readFile(path)), contents.get(names[2]!));
      assert.deepEqual(await readFile(`${path}.damaged`), half);
      assert.ok(arrays.origin.includes(cache()) && arrays.origin.includes(url));
    });

    it('takes the gzip file when the unpacked one beside it is damaged', async () => {
      await writeSet(cache(), true);
      await writeFile(join(cache(), names[0]!), 'damaged');
      const { arrays, said } = await load({ download: false });
      assertSmallSet(arrays);
      assert.match(said, /damaged cache file .*train-images-idx3-ubyte \(got 7 bytes/);
    });

    it('never uses a damaged file, also when nothing can replace it', async () => {
      await writeSet(cache(), false);
      await writeFile(join(cache(), names[0]!), Buffer.alloc(small[0].bytes));
      await fails(
        load({ download: false }),
        'damaged cache file',
        names[0]!,
        'wrong SHA-256',
        'switched off',
      );
    });

    it('is not needed: data that cannot be kept are still good', async () => {
      const { url } = await good();
      const file = join(state.folder, 'file');
      await writeFile(file, '');
      const { arrays, said } = await load({ mirrors: [url], cacheDir: file });
      assertSmallSet(arrays);
      assert.match(said, /train-images-idx3-ubyte could not be kept in /);
    });

    it('is written whole or not at all', async () => {
      await mkdir(join(state.folder, 'taken', 'inside'), { recursive: true });
      await assert.rejects(
        writeAtomically(join(state.folder, 'taken'), [Buffer.from('x')]),
        /EISDIR|ENOTEMPTY|EEXIST|EPERM/,
      );
      assert.deepEqual(await readdir(state.folder), ['taken']);
      const path = join(state.folder, 'new', 'file');
      await writeAtomically(path, [Buffer.from('first')]);
      await writeAtomically(path, [Buffer.from('second')]);
      assert.equal(await readFile(path, 'utf8'), 'second');
      assert.deepEqual(await readdir(join(state.folder, 'new')), ['file']);
    });

    it('lies where the platform keeps caches', () => {
      const home = join('/', 'home', 'me');
      const at = (platform: NodeJS.Platform, env: NodeJS.ProcessEnv) => cacheFolder(platform, env, home);
      assert.equal(at('linux', {}), join(home, '.cache', 'nabla'));
      assert.equal(at('linux', { XDG_CACHE_HOME: join('/', 'x') }), join('/', 'x', 'nabla'));
      assert.equal(at('linux', { XDG_CACHE_HOME: 'relative' }), join(home, '.cache', 'nabla'));
      assert.equal(
        at('darwin', { XDG_CACHE_HOME: join('/', 'x') }),
        join(home, 'Library', 'Caches', 'nabla'),
      );
      assert.equal(at('win32', { LOCALAPPDATA: join('/', 'local') }), join('/', 'local', 'nabla'));
      assert.equal(at('win32', {}), join(home, 'AppData', 'Local', 'nabla'));
    });
  });

  describe('without MNIST', () => {
    /** Nothing listens on this port: the server that had it is closed. */
    async function deadMirror(): Promise<string> {
      const { url } = await good();
      await new Promise((resolve) => state.servers.pop()!.close(resolve));
      return url;
    }

    it("tells the outcome of every step with fallback 'error'", async () => {
      const url = await deadMirror();
      process.env.NABLA_DATA_DIR = join(state.folder, 'nothing');
      await fails(
        load({ mirrors: [url], dir: join(state.folder, 'void') }),
        `${join(state.folder, 'void')}: no MNIST files`,
        `${join(state.folder, 'nothing', 'mnist')}: no MNIST files`,
        `cache: no ${names[0]} in ${join(state.folder, 'cache', 'mnist')}`,
        `${url}${names[0]}.gz: connect ECONNREFUSED 127.0.0.1`,
        'put the four files into a folder and name it in NABLA_DATA_DIR',
      );
    });

    it('draws 60,000 and 10,000 digits and warns loudly', async () => {
      const { arrays, said } = await load({ mirrors: [await deadMirror()], fallback: 'generated' });
      assert.equal(arrays.source, 'generated');
      assert.equal(arrays.origin, 'generateDigits');
      for (const [part, count] of [
        [arrays.train, 60_000],
        [arrays.test, 10_000],
      ] as const) {
        assert.equal(part.count, count);
        assert.equal(part.labels.length, count);
        assert.equal(part.images.length, count * 784);
      }
      assert.notDeepEqual(arrays.train.images.subarray(0, 7840), arrays.test.images.subarray(0, 7840));
      assert.match(
        said,
        /WARNING: MNIST could not be had \(.*ECONNREFUSED.*\); using GENERATED digits instead/,
      );
    });

    it('warns through Node.js when nobody listens to the progress', async () => {
      const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
      const { arrays } = await load({ download: false, fallback: 'generated', onProgress: undefined });
      assert.equal(arrays.source, 'generated');
      const warning = await warned;
      assert.equal(warning.name, 'NablaWarning');
      assert.match(warning.message, /GENERATED digits/);
    });
  });

  it('refuses options that make no sense', async () => {
    await fails(load({ fallback: 'generate' as 'generated' }), "got 'generate'", "did you mean 'generated'?");
    await fails(load({ timeoutMs: 0 }), 'timeoutMs got 0');
    await fails(load({ retries: -1 }), 'retries got -1');
    await fails(load({ retryDelayMs: Number.NaN }), 'retryDelayMs got NaN');
  });

  if (given !== undefined) {
    it('reads the real MNIST from NABLA_DATA_DIR', async () => {
      process.env.NABLA_DATA_DIR = given;
      const arrays = await loadMnist({ download: false, fallback: 'error' });
      assert.equal(arrays.source, 'mnist');
      assert.deepEqual([arrays.train.count, arrays.test.count], [60_000, 10_000]);
      assert.deepEqual([...arrays.train.labels.subarray(0, 10)], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
      assert.deepEqual([...arrays.test.labels.subarray(0, 10)], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
      // The mean that everybody normalises with: 0.1307.
      const sum = arrays.train.images.reduce((a, b) => a + b, 0);
      assert.equal((sum / arrays.train.images.length / 255).toFixed(4), '0.1307');
    });
  } else {
    it('NABLA_DATA_DIR is not set: refuses generated digits that pose as the real MNIST', async () => {
      await writeSet(state.folder, false);
      await fails(
        loadMnist({ dir: state.folder, download: false }),
        `${names[0]} is not MNIST's`,
        'expected 47040016',
      );
    });
  }
});
