// Files as a place to save to.
import { mkdir, open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NablaError } from '../errors.ts';
import { fileScheme, registerStore, type Store } from '../saving/stores.ts';
import { pieceBytes, writeAtomically } from './atomic.ts';

function pathOf(name: string): string {
  return /^file:/i.test(name) ? fileURLToPath(name) : name;
}

function failure(path: string, what: string, error: unknown): NablaError {
  const { code, message } = error as NodeJS.ErrnoException;
  const remedy = code === 'ENOENT' ? '; is the path right?' : '';
  return new NablaError(path, `${what}: ${message}${remedy}`, { cause: error });
}

const files: Store = {
  async open(name) {
    const path = pathOf(name);
    try {
      const file = await open(path, 'r');
      const { size } = await file.stat();
      const read = async (begin: number, end: number) => {
        const bytes = new Uint8Array(end - begin);
        for (let at = 0; at < bytes.length; ) {
          const length = Math.min(pieceBytes, bytes.length - at);
          const { bytesRead } = await file.read(bytes, at, length, begin + at);
          if (bytesRead === 0)
            throw new NablaError(
              path,
              `got ${begin + at} bytes, expected ${end}; the file was cut while it was read`,
            );
          at += bytesRead;
        }
        return bytes;
      };
      return { name: path, size, read, close: () => file.close() };
    } catch (error) {
      throw failure(path, 'cannot be opened', error);
    }
  },
  async write(name, parts) {
    const path = pathOf(name);
    try {
      await writeAtomically(path, parts);
    } catch (error) {
      throw failure(path, 'cannot be saved', error);
    }
  },
  async has(name) {
    return await stat(pathOf(name)).then(
      () => true,
      () => false,
    );
  },
  async remove(name) {
    await rm(pathOf(name), { force: true });
  },
  async append(name, bytes, start) {
    const path = pathOf(name);
    try {
      await mkdir(dirname(path), { recursive: true });
      const file = await open(path, start ? 'w' : 'a');
      try {
        await file.appendFile(bytes);
      } finally {
        await file.close();
      }
    } catch (error) {
      throw failure(path, 'cannot be written', error);
    }
  },
};

registerStore(fileScheme, files);
