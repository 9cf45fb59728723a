// Files as a place to save to: written under another name and renamed, so that a process that ends leaves the former file whole.
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NablaError } from '../errors.ts';
import { fileScheme, registerStore, type Store } from '../saving/stores.ts';

// Reads and writes are cut into pieces: systems limit one call to 2 GiB.
const pieceBytes = 1 << 28;

const host = hostname().replaceAll(/[^\w.-]/g, '_');
let count = 0;

function pathOf(name: string): string {
  return /^file:/i.test(name) ? fileURLToPath(name) : name;
}

function failure(path: string, what: string, error: unknown): NablaError {
  const { code, message } = error as NodeJS.ErrnoException;
  const remedy = code === 'ENOENT' ? '; is the path right?' : '';
  return new NablaError(path, `${what}: ${message}${remedy}`, { cause: error });
}

/** Removes what processes of this machine that no longer run began to write under this name. */
async function removeLeftovers(folder: string, base: string): Promise<void> {
  const prefix = `.${base}.${host}.`;
  for (const name of await readdir(folder)) {
    const owner = name.startsWith(prefix)
      ? /^(\d+)\.\d+\.tmp$/.exec(name.slice(prefix.length))?.[1]
      : undefined;
    if (owner === undefined || Number(owner) === process.pid || isAlive(Number(owner))) continue;
    await rm(join(folder, name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It runs, as another user's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Writes a file as a whole: to a new file beside it, to the disk, and then in its place. */
async function writeFile(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const folder = dirname(path);
  const base = basename(path);
  await mkdir(folder, { recursive: true });
  await removeLeftovers(folder, base);
  const temporary = join(folder, `.${base}.${host}.${process.pid}.${count++}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      for (const part of parts) {
        for (let at = 0; at < part.length; ) {
          const piece = part.subarray(at, at + pieceBytes);
          at += (await file.write(piece, 0, piece.length)).bytesWritten;
        }
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** The new name is safe on disk when its folder is; some systems cannot open folders, and need not. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
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
      await writeFile(path, parts);
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
