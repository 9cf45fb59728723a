// Files written whole or not at all: under another name beside it, flushed, and renamed, so that a process that ends leaves the former file whole.
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Reads and writes are cut into pieces of so many bytes: systems limit one call to 2 GiB. */
export const pieceBytes = 1 << 28;

const host = hostname().replaceAll(/[^\w.-]/g, '_');
let count = 0;

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

/** A file that is being written beside the one whose place it will take. */
export interface FileInMaking {
  write(part: Uint8Array): Promise<void>;
  /** To the disk, and then in its place. */
  finish(): Promise<void>;
  /** Removes it; nothing has changed. */
  abandon(): Promise<void>;
}

/** Begins a file that will take a place as a whole, or not at all. */
export async function beginFile(path: string): Promise<FileInMaking> {
  const folder = dirname(path);
  const base = basename(path);
  await mkdir(folder, { recursive: true });
  await removeLeftovers(folder, base);
  const temporary = join(folder, `.${base}.${host}.${process.pid}.${count++}.tmp`);
  const file = await open(temporary, 'wx');
  return {
    async write(part) {
      for (let at = 0; at < part.length; ) {
        const piece = part.subarray(at, at + pieceBytes);
        at += (await file.write(piece, 0, piece.length)).bytesWritten;
      }
    },
    async finish() {
      await file.sync();
      await file.close();
      await rename(temporary, path);
      await syncFolder(folder);
    },
    async abandon() {
      await file.close().catch(() => {});
      await rm(temporary, { force: true });
    },
  };
}

/** Writes a file as a whole: to a new file beside it, to the disk, and then in its place. */
export async function writeAtomically(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const file = await beginFile(path);
  try {
    for (const part of parts) await file.write(part);
    await file.finish();
  } catch (error) {
    await file.abandon();
    throw error;
  }
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
