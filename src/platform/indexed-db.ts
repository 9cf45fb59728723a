// A browser's database as a place to save to, for pages and workers: `indexeddb://name`.
import { NablaError } from '../errors.ts';
import { concatenate } from '../saving/safetensors.ts';
import { registerStore, type Store } from '../saving/stores.ts';

// As much of IndexedDB as is used: the library's types are not those of a browser.
interface Request<T> {
  readonly result: T;
  readonly error: unknown;
  onsuccess: (() => void) | null;
  onerror: (() => void) | null;
}
interface Table {
  get(name: string): Request<unknown>;
  put(bytes: Uint8Array, name: string): Request<unknown>;
  delete(name: string): Request<unknown>;
}
interface Transaction {
  readonly error: unknown;
  objectStore(name: string): Table;
  oncomplete: (() => void) | null;
  onabort: (() => void) | null;
}
interface Database {
  createObjectStore(name: string): unknown;
  transaction(name: string, mode: 'readonly' | 'readwrite', options?: { durability: 'strict' }): Transaction;
  close(): void;
}
interface Factory {
  open(name: string, version: number): Request<Database> & { onupgradeneeded: (() => void) | null };
}

const database = 'nabla';
const table = 'models';

function failure(what: string, error: unknown): NablaError {
  const reason = error instanceof Error ? error.message : String(error);
  return new NablaError('indexeddb', `${what}: ${reason}`, { cause: error });
}

function opened(): Promise<Database> {
  const factory = (globalThis as { indexedDB?: Factory }).indexedDB;
  if (factory === undefined)
    throw new NablaError('indexeddb', 'there is no IndexedDB here, expected a browser; use toBytes()');
  return new Promise((resolve, reject) => {
    const request = factory.open(database, 1);
    request.onupgradeneeded = () => void request.result.createObjectStore(table);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(failure('the database cannot be opened', request.error));
  });
}

/** One transaction: what `body` asks for is done as a whole, or not at all. */
async function transact<T>(
  mode: 'readonly' | 'readwrite',
  body: (models: Table, give: (value: T) => void) => void,
): Promise<T | undefined> {
  const db = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = db.transaction(table, mode, { durability: 'strict' });
      let given: T | undefined;
      transaction.oncomplete = () => resolve(given);
      transaction.onabort = () => reject(failure('the database refused', transaction.error));
      body(transaction.objectStore(table), (value) => {
        given = value;
      });
    });
  } finally {
    db.close();
  }
}

async function find(name: string): Promise<Uint8Array | undefined> {
  return await transact<Uint8Array>('readonly', (models, give) => {
    const request = models.get(name);
    request.onsuccess = () => {
      if (request.result instanceof Uint8Array) give(request.result);
    };
  });
}

const store: Store = {
  async open(name) {
    const bytes = await find(name);
    if (bytes === undefined) throw new NablaError(`indexeddb://${name}`, 'nothing is saved under this name');
    return {
      name: `indexeddb://${name}`,
      size: bytes.length,
      read: async (begin, end) => bytes.slice(begin, end),
      close: async () => {},
    };
  },
  async write(name, parts) {
    await transact('readwrite', (models) => void models.put(concatenate(parts), name));
  },
  async has(name) {
    return (await find(name)) !== undefined;
  },
  async remove(name) {
    await transact('readwrite', (models) => void models.delete(name));
  },
  async append(name, bytes, start) {
    await transact('readwrite', (models) => {
      const request = models.get(name);
      request.onsuccess = () => {
        const former = !start && request.result instanceof Uint8Array ? [request.result] : [];
        models.put(concatenate([...former, bytes]), name);
      };
    });
  },
};

registerStore('indexeddb', store);
