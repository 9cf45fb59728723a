// The store in a browser's database, over a small stand-in for IndexedDB.
import assert from 'node:assert/strict';
import { csvLogger, loadModel } from '../src/api.ts';
import '../src/platform/indexed-db.ts';
import { storeOf } from '../src/saving/stores.ts';
import { describeBackends } from './support/backends.ts';
import { says } from './support/errors.ts';
import { oneBackend } from './support/fixtures.ts';
import { clusters, compiled, weightsOf } from './support/models.ts';

interface Asked {
  result: unknown;
  error: unknown;
  onsuccess?: () => void;
  onerror?: () => void;
  onupgradeneeded?: () => void;
}

/** Databases in memory: requests succeed one after another, and a transaction completes when none is left. */
class StandIn {
  readonly kept = new Map<string, Uint8Array>();
  full = false;
  broken = false;
  private made = false;

  open(): Asked {
    const request: Asked = { result: this, error: new Error('no permission') };
    queueMicrotask(() => {
      if (this.broken) return request.onerror?.();
      if (!this.made) request.onupgradeneeded?.();
      this.made = true;
      request.onsuccess?.();
    });
    return request;
  }
  createObjectStore(): void {}
  close(): void {}

  transaction() {
    const before = new Map(this.kept);
    const queue: (() => void)[] = [];
    const ask = (work: () => unknown): Asked => {
      const request: Asked = { result: undefined, error: undefined };
      queue.push(() => {
        request.result = work();
        request.onsuccess?.();
      });
      return request;
    };
    const table = {
      get: (name: string) => ask(() => this.kept.get(name)),
      put: (bytes: Uint8Array, name: string) => ask(() => this.kept.set(name, bytes.slice())),
      delete: (name: string) => ask(() => this.kept.delete(name)),
    };
    const transaction = {
      error: new Error('the quota is used up'),
      objectStore: () => table,
      oncomplete: () => {},
      onabort: () => {},
    };
    queueMicrotask(() => {
      while (queue.length > 0) queue.shift()!();
      if (!this.full) return transaction.oncomplete();
      this.kept.clear();
      for (const [name, bytes] of before) this.kept.set(name, bytes);
      transaction.onabort();
    });
    return transaction;
  }
}

describeBackends(
  'indexeddb://',
  () => {
    let standIn: StandIn;
    beforeEach(() => {
      standIn = new StandIn();
      Object.assign(globalThis, { indexedDB: standIn });
    });
    afterEach(() => {
      Reflect.deleteProperty(globalThis, 'indexedDB');
    });

    it('keeps models and logs', async () => {
      const { x, y } = clusters(20);
      const model = compiled();
      await model.fit(x, y, {
        verbose: 0,
        epochs: 2,
        callbacks: [csvLogger({ filename: 'indexeddb://log.csv' })],
      });
      await model.save('indexeddb://a/b');
      const again = await loadModel('indexeddb://a/b');
      assert.deepEqual(weightsOf(again as typeof model), weightsOf(model));
      assert.deepEqual([...standIn.kept.keys()], ['log.csv', 'a/b']);
      assert.equal(new TextDecoder().decode(standIn.kept.get('log.csv')).split('\n').length, 4);
      const { store } = storeOf('test', 'indexeddb://a/b');
      assert.equal(await store.has('a/b'), true);
      await store.remove('a/b');
      assert.equal(await store.has('a/b'), false);
      await assert.rejects(loadModel('indexeddb://a/b'), says('indexeddb://a/b', 'nothing is saved'));
      again.dispose();
      model.dispose();
    });

    it('says what is wrong, and keeps what was there', async () => {
      const model = compiled();
      await model.save('indexeddb://a');
      const before = standIn.kept.get('a')!.slice();
      standIn.full = true;
      await assert.rejects(
        compiled().save('indexeddb://a'),
        says('indexeddb', 'the database refused', 'the quota is used up'),
      );
      assert.deepEqual(standIn.kept.get('a'), before);
      standIn.broken = true;
      await assert.rejects(
        loadModel('indexeddb://a'),
        says('indexeddb', 'cannot be opened', 'no permission'),
      );
      Reflect.deleteProperty(globalThis, 'indexedDB');
      await assert.rejects(
        model.save('indexeddb://a'),
        says('indexeddb', 'there is no IndexedDB here', 'toBytes()'),
      );
      model.dispose();
    });
  },
  oneBackend,
);
