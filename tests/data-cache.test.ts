// Elements kept in a file: what comes back is what went in, half a pass leaves nothing, and damage is told.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { data, setSeed, zeros } from '../src/index.ts';
import { describeBackends } from './support/backends.ts';
import { says } from './support/errors.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, weightsOf } from './support/models.ts';

describeBackends(
  'cache in a file',
  () => {
    let folder: string;
    let file: string;
    let made = 0;
    const elements = (count: number) =>
      data.range(count).map((i) => {
        made++;
        return {
          i,
          name: `é${i}`,
          pixels: new Uint8Array([i, 255]),
          none: null,
          deep: [[new Float32Array([i / 3])]],
        };
      });
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'nabla-cache-'));
      file = join(folder, 'sub', 'a.cache');
      made = 0;
    });
    afterEach(() => rmSync(folder, { recursive: true, force: true }));

    it('gives the same in later passes and later runs, and makes each element once', async () => {
      const set = elements(50).cache(file);
      assert.equal(set.size, 50);
      const first = await set.toArray();
      assert.deepEqual(await set.toArray(), first);
      assert.deepEqual(await elements(50).cache(pathToFileURL(file)).toArray(), first);
      assert.equal(made, 50);
      assert.deepEqual(readdirSync(join(folder, 'sub')), ['a.cache']);
      assert.deepEqual(await data.range(0).cache(join(folder, 'none')).toArray(), []);
      assert.deepEqual(await data.range(0).cache(join(folder, 'none')).toArray(), []);
    });

    it('leaves nothing behind when a pass does not come to its end', async () => {
      for await (const element of elements(9).cache(file)) if (element.i === 4) break;
      const failing = elements(9).map((element) => {
        if (element.i === 5) throw new Error('no more');
        return element;
      });
      await assert.rejects(failing.cache(file).toArray(), says('data.map', 'element 5 failed: no more'));
      assert.deepEqual(readdirSync(join(folder, 'sub')), []);
      assert.equal((await elements(9).cache(file).toArray()).length, 9);
    });

    it('says what cannot be kept, and what is damaged', async () => {
      const tensors = data.range(2).map(() => [zeros([2])]);
      await assert.rejects(
        tensors.cache(file).toArray(),
        says('data.cache', 'element 0 failed: a tensor cannot'),
      );
      const functions = data.range(2).map((i) => (i === 1 ? () => 1 : i));
      await assert.rejects(
        functions.cache(file).toArray(),
        says('data.cache', 'element 1 failed', 'could not be cloned'),
      );
      assert.ok(!existsSync(file));
      await elements(20).cache(file).toArray();
      const whole = readFileSync(file);
      const again = () => elements(20).cache(file).toArray();
      for (const length of [whole.length - 1, whole.length - 8, 200, 18]) {
        truncateSync(file, length);
        await assert.rejects(again(), says('data.cache', 'is damaged', 'delete it'), `${length}`);
        writeFileSync(file, whole);
      }
      const altered = Buffer.from(whole);
      // A length of 4 GB is refused before memory is taken for it.
      altered.writeUInt32LE(0xfffffffe, 17);
      writeFileSync(file, altered);
      await assert.rejects(again(), says('data.cache', 'is damaged: got', 'expected 4294967294'));
      whole.copy(altered);
      altered.fill(0, 21, 40);
      writeFileSync(file, altered);
      await assert.rejects(again(), says('data.cache', 'is damaged'));
      writeFileSync(file, 'something else');
      await assert.rejects(again(), says('data.cache', 'is no file of elements'));
      writeFileSync(join(folder, 'file'), '');
      await assert.rejects(
        elements(2)
          .cache(join(folder, 'file', 'x'))
          .toArray(),
        /ENOTDIR|EEXIST/,
      );
    });

    it('trains to the same weights as without it', async () => {
      const { x, y } = clusters(40);
      const rows = x.dataSync() as Float32Array;
      const labels = y.dataSync() as Int32Array;
      const source = data.range(40).map((i) => [rows.slice(i * 6, i * 6 + 6), labels[i]!] as const);
      const train = async (set: data.Dataset<readonly [Float32Array, number]>) => {
        setSeed(3);
        const model = compiled();
        await model.fit(set.batch(8), { epochs: 3, verbose: 0 });
        const weights = weightsOf(model);
        model.dispose();
        return weights;
      };
      assert.deepEqual(await train(source.cache(file)), await train(source));
    });
  },
  oneBackend,
);

describe('data of more than memory is to hold', () => {
  for (const { name } of twoBackends) {
    it(`train from a file in bounded memory, ${name}`, async function () {
      this.timeout(240_000);
      const folder = mkdtempSync(join(tmpdir(), 'nabla-large-'));
      try {
        const script = fileURLToPath(new URL('support/large-data.ts', import.meta.url));
        const words = [name === 'native' ? 'native' : 'wasm', join(folder, 'elements'), '200'];
        const { stdout } = await promisify(execFile)(process.execPath, ['--import=tsx', script, ...words]);
        const { steps, bytes, grown } = JSON.parse(stdout) as { steps: number; bytes: number; grown: number };
        assert.equal(steps, 400);
        assert.ok(bytes > 400e6 && grown < 160e6, `${grown} bytes more for ${bytes} bytes of data`);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }
});
