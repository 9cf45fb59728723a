// The user's cache folder for downloaded data, and files written so that no reader ever sees half of one. Node.js only.

import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * Where Nabla keeps what it downloads: `$XDG_CACHE_HOME/nabla` or `~/.cache/nabla`; `~/Library/Caches/nabla` on macOS;
 * `%LOCALAPPDATA%\nabla` on Windows. The folder need not exist.
 */
export function cacheFolder(
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
  home: string = homedir(),
): string {
  if (platform === 'win32') return join(env.LOCALAPPDATA || join(home, 'AppData', 'Local'), 'nabla');
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'nabla');
  const xdg = env.XDG_CACHE_HOME;
  // The XDG specification says that relative paths are to be ignored.
  return join(xdg && isAbsolute(xdg) ? xdg : join(home, '.cache'), 'nabla');
}

/** Writes a file whole or not at all: under a temporary name beside it, flushed to the disk, then renamed. */
export async function writeAtomically(folder: string, name: string, bytes: Uint8Array): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  const temporary = join(folder, `.${name}.${randomUUID()}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return path;
}

/** Renames a damaged file to `<path>.damaged`, over an earlier one; returns the new path. */
export async function moveAside(path: string): Promise<string> {
  const aside = `${path}.damaged`;
  await rename(path, aside);
  return aside;
}
