// A browser's private files as a place to save to, for pages and workers: `opfs://name`. Larger models than in its database, read in parts.
import { NablaError } from '../errors.ts';
import { registerStore, type Store } from '../saving/stores.ts';

// As much of the file system's interface as is used: the library's types are not those of a browser.
interface Writable {
  seek(position: number): Promise<void>;
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}
interface FileHandle {
  getFile(): Promise<Blob>;
  createWritable(options: { keepExistingData: boolean }): Promise<Writable>;
}
interface Folder {
  getFileHandle(name: string, options?: { create: boolean }): Promise<FileHandle>;
  removeEntry(name: string): Promise<void>;
}

async function root(): Promise<Folder> {
  const { navigator } = globalThis as { navigator?: { storage?: { getDirectory?(): Promise<Folder> } } };
  const storage = navigator?.storage;
  if (storage?.getDirectory === undefined)
    throw new NablaError(
      'opfs',
      'there are no private files here, expected a browser; use indexeddb:// or toBytes()',
    );
  return await storage.getDirectory();
}

/** Slashes and the like are part of the name: there are no folders. */
const fileNameOf = (name: string) => encodeURIComponent(name);

const isMissing = (error: unknown) => (error as Error | undefined)?.name === 'NotFoundError';

/** The file, or undefined where there is none. */
async function find(name: string): Promise<Blob | undefined> {
  try {
    return await (await (await root()).getFileHandle(fileNameOf(name))).getFile();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Writes to a copy that takes the file's place when it is closed. */
async function change(name: string, keep: boolean, parts: readonly Uint8Array[]): Promise<void> {
  const handle = await (await root()).getFileHandle(fileNameOf(name), { create: true });
  const { size } = await handle.getFile();
  const file = await handle.createWritable({ keepExistingData: keep });
  try {
    if (keep) await file.seek(size);
    for (const part of parts) await file.write(part);
    await file.close();
  } catch (error) {
    await file.abort().catch(() => {});
    // What was not there before is not there now.
    if (size === 0) await (await root()).removeEntry(fileNameOf(name)).catch(() => {});
    throw new NablaError(
      `opfs://${name}`,
      `cannot be written: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  }
}

const store: Store = {
  async open(name) {
    const file = await find(name);
    if (file === undefined) throw new NablaError(`opfs://${name}`, 'nothing is saved under this name');
    return {
      name: `opfs://${name}`,
      size: file.size,
      read: async (begin, end) => new Uint8Array(await file.slice(begin, end).arrayBuffer()),
      close: async () => {},
    };
  },
  write: (name, parts) => change(name, false, parts),
  async has(name) {
    return (await find(name)) !== undefined;
  },
  async remove(name) {
    try {
      await (await root()).removeEntry(fileNameOf(name));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  },
  append: (name, bytes, start) => change(name, !start, [bytes]),
};

registerStore('opfs', store);
