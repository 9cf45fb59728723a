// The store in a browser's private files, over a small stand-in for them.
import assert from 'node:assert/strict';
import { csvLogger, loadModel } from '../src/api.ts';
import '../src/platform/opfs.ts';
import { storeOf } from '../src/saving/stores.ts';
import { describeBackends } from './support/backends.ts';
import { says } from './support/errors.ts';
import { oneBackend } from './support/fixtures.ts';
import { clusters, compiled, weightsOf } from './support/models.ts';

/** Files in memory; what is written shows when it is closed. */
class StandIn {
  readonly kept = new Map<string, Uint8Array>();
  full = false;

  private missing(name: string) {
    return Object.assign(new Error(`no ${name}`), { name: 'NotFoundError' });
  }

  async getFileHandle(name: string, { create = false } = {}) {
    assert.match(name, /^[^/\\]+$/, 'one name, no path');
    if (!this.kept.has(name)) {
      if (!create) throw this.missing(name);
      this.kept.set(name, new Uint8Array());
    }
    return {
      getFile: async () => new Blob([this.kept.get(name)!.slice()]),
      createWritable: async ({ keepExistingData = false }) => {
        let bytes = keepExistingData ? [...this.kept.get(name)!] : [];
        let at = 0;
        return {
          seek: async (position: number) => {
            at = position;
          },
          write: async (part: Uint8Array) => {
            if (this.full) throw new Error('the quota is used up');
            bytes = [...bytes.slice(0, at), ...part];
            at += part.length;
          },
          close: async () => void this.kept.set(name, Uint8Array.from(bytes)),
          abort: async () => {},
        };
      },
    };
  }

  async removeEntry(name: string) {
    if (!this.kept.delete(name)) throw this.missing(name);
  }
}

describeBackends(
  'opfs://',
  () => {
    let standIn: StandIn;
    let own: PropertyDescriptor | undefined;
    const place = (storage: object | undefined) =>
      Object.defineProperty(globalThis, 'navigator', { value: { storage }, configurable: true });
    beforeEach(() => {
      standIn = new StandIn();
      own = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
      place({ getDirectory: async () => standIn });
    });
    afterEach(() => {
      if (own === undefined) Reflect.deleteProperty(globalThis, 'navigator');
      else Object.defineProperty(globalThis, 'navigator', own);
    });

    it('keeps models and logs', async () => {
      const { x, y } = clusters(20);
      const model = compiled();
      const callbacks = [csvLogger({ filename: 'opfs://log.csv' })];
      await model.fit(x, y, { verbose: 0, epochs: 2, callbacks });
      await model.save('opfs://a/../b');
      const again = await loadModel('opfs://a/../b');
      assert.deepEqual(weightsOf(again as typeof model), weightsOf(model));
      assert.equal(standIn.kept.size, 2);
      assert.equal(new TextDecoder().decode(standIn.kept.get('log.csv')).split('\n').length, 4);
      const { store } = storeOf('test', 'opfs://a/../b');
      assert.equal(await store.has('a/../b'), true);
      await store.remove('a/../b');
      await store.remove('a/../b');
      assert.equal(await store.has('a/../b'), false);
      await assert.rejects(loadModel('opfs://a/../b'), says('opfs://a/../b', 'nothing is saved'));
      again.dispose();
      model.dispose();
    });

    it('says what is wrong, and keeps what was there', async () => {
      const model = compiled();
      await model.save('opfs://a');
      const before = standIn.kept.get('a')!.slice();
      standIn.full = true;
      for (const name of ['a', 'b']) {
        await assert.rejects(
          compiled().save(`opfs://${name}`),
          says(`opfs://${name}`, 'cannot be written', 'the quota is used up'),
        );
      }
      assert.deepEqual([...standIn.kept.keys()], ['a']);
      assert.deepEqual(standIn.kept.get('a'), before);
      place(undefined);
      await assert.rejects(
        model.save('opfs://a'),
        says('opfs', 'there are no private files here', 'toBytes()'),
      );
      model.dispose();
    });
  },
  oneBackend,
);
