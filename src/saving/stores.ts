// Where saved bytes go: files, a browser's storage, or what a program registers under a scheme of its own.
import { describe, NablaError } from '../errors.ts';
import type { ByteSource } from './safetensors.ts';

/** Bytes of a {@link Store} that are being read. */
export interface OpenedSource extends ByteSource {
  /** Ends the reading. */
  close(): Promise<void>;
}

/** A place that bytes are saved to under names. */
export interface Store {
  /** Opens what was saved under this name; rejects where there is nothing. */
  open(name: string): Promise<OpenedSource>;
  /** Saves, all or nothing: until it is done, what was there before stays. */
  write(name: string, parts: readonly Uint8Array[]): Promise<void>;
  /** Is anything saved under this name? */
  has(name: string): Promise<boolean>;
  /** Forgets what was saved, if anything. */
  remove(name: string): Promise<void>;
  /** Adds to the end of what was saved, for logs; `start` forgets the rest first. */
  append?(name: string, bytes: Uint8Array, start: boolean): Promise<void>;
}

const stores = new Map<string, Store>();

/** Names without a scheme, and `file:` addresses, mean files. */
export const fileScheme = 'file';

/**
 * Makes names that begin with `scheme://` mean a place of your own, for `save`, `loadModel` and callbacks.
 *
 * @example
 * const kept = new Map<string, Uint8Array>();
 * registerStore('memory', memoryStore(kept));
 * await model.save('memory://first');
 */
export function registerStore(scheme: string, store: Store): void {
  if (typeof scheme !== 'string' || !/^[a-z][a-z0-9+.-]+$/.test(scheme)) {
    throw new NablaError(
      'registerStore',
      `bad scheme, got ${describe(scheme)}, expected two or more small letters or digits`,
    );
  }
  stores.set(scheme, store);
}

/** A store that keeps bytes in a map. */
export function memoryStore(kept: Map<string, Uint8Array>): Store {
  const take = (name: string) => {
    const bytes = kept.get(name);
    if (bytes === undefined) throw new NablaError(name, 'nothing is saved under this name');
    return bytes;
  };
  return {
    open: async (name) => ({
      name,
      size: take(name).length,
      read: async (begin, end) => take(name).slice(begin, end),
      close: async () => {},
    }),
    write: async (name, parts) => void kept.set(name, joined(parts)),
    has: async (name) => kept.has(name),
    remove: async (name) => void kept.delete(name),
    append: async (name, bytes, start) => {
      const former = start ? undefined : kept.get(name);
      kept.set(name, joined(former === undefined ? [bytes] : [former, bytes]));
    },
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

/** The store that an address means, and the name in it. */
export function storeOf(where: string, address: string | URL): { store: Store; name: string } {
  if (!(address instanceof URL) && (typeof address !== 'string' || address === '')) {
    throw new NablaError(
      where,
      `bad path, got ${describe(address)}, expected a path such as 'model.safetensors'`,
    );
  }
  const text = String(address);
  // One letter is a drive.
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(text)?.[1]?.toLowerCase() ?? fileScheme;
  const store = stores.get(scheme);
  if (store === undefined) {
    const known = [...stores.keys()].map((name) => `${name}://`).join(', ') || 'none';
    const wanted =
      scheme === fileScheme ? 'there is no file system here' : `unknown scheme, got '${scheme}://'`;
    throw new NablaError(where, `${wanted}, expected one of ${known}; or use toBytes() and loadModel(bytes)`);
  }
  return { store, name: scheme === fileScheme ? text : text.slice(scheme.length + 3) };
}
