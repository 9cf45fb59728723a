// The user's cache folder for downloaded data. Node.js only.

import { rename } from 'node:fs/promises';
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

/** Renames a damaged file to `<path>.damaged`, over an earlier one; returns the new path. */
export async function moveAside(path: string): Promise<string> {
  const aside = `${path}.damaged`;
  await rename(path, aside);
  return aside;
}
