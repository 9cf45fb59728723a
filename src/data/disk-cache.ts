// The stage of data sets that keeps elements in a file: for what is slow to make and larger than memory.
import { NablaError } from '../errors.ts';
import { Tensor } from '../tensor.ts';
import { elementError, type Open } from './pass.ts';

const where = 'data.cache';

/** A file of elements, as the platform writes and reads it. */
export interface ElementFile {
  exists(): Promise<boolean>;
  read(): AsyncIterable<unknown>;
  /** Begins to write it; there is a file when it is finished, and none when it is abandoned. */
  begin(): Promise<{
    write(element: unknown): Promise<void>;
    finish(): Promise<void>;
    abandon(): Promise<void>;
  }>;
}

const platform: { open: ((path: string) => ElementFile) | undefined } = { open: undefined };

/** Says how the platform keeps elements in files. */
export function onElementFile(open: (path: string) => ElementFile): void {
  platform.open = open;
}

/** Writes the elements of the first whole pass to a file, and reads them from it in later passes and later runs. */
export function cachedOnDisk<T>(open: Open<T>, path: string): Open<T> {
  if (platform.open === undefined)
    throw new NablaError(
      where,
      `there are no files on this platform, got ${path}, expected Node.js; leave it out`,
    );
  const file = platform.open(path);
  return async function* (pass) {
    if (await file.exists()) {
      yield* file.read() as AsyncIterable<T>;
      return;
    }
    const making = await file.begin();
    let finished = false;
    try {
      let index = 0;
      for await (const element of open(pass)) {
        try {
          checkPlain(element);
          await making.write(element);
        } catch (error) {
          throw elementError(where, index, error);
        }
        index++;
        yield element;
      }
      await making.finish();
      finished = true;
    } finally {
      if (!finished) await making.abandon();
    }
  };
}

/** Throws at tensors, which lie in a backend's memory. */
function checkPlain(value: unknown): void {
  if (value instanceof Tensor)
    throw new Error('a tensor cannot be kept in a file, expected arrays; map it to its data() before');
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  for (const part of Object.values(value)) checkPlain(part);
}
