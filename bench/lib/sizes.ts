// What is downloaded and what it takes on disk: our package, packed, and the peers' folders.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';

/** One thing with its size, and what it must stay under. */
export interface Size {
  readonly name: string;
  readonly bytes: number;
  readonly under?: number;
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const megabyte = 1e6;

function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((total, entry) => total + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** The sizes of what is built and installed here; what is not there is left out. */
export function sizes(): Size[] {
  const found: Size[] = [];
  const addon = join(root, 'build/Release/nabla.node');
  const wasm = join(root, 'dist/wasm/nabla-simd.wasm');
  if (existsSync(addon) && existsSync(wasm)) {
    const npm = (...args: string[]) =>
      execFileSync('npm', args, {
        cwd: root,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        shell: process.platform === 'win32',
      });
    const [packed] = JSON.parse(npm('pack', '--dry-run', '--json', '--ignore-scripts')) as [{ size: number }];
    const native = gzipSync(readFileSync(addon), { level: 9 }).length;
    found.push(
      {
        name: 'our package and its addon for one platform, packed',
        bytes: packed.size + native,
        under: 6 * megabyte,
      },
      { name: 'of these, the addon', bytes: native },
      {
        name: 'WebAssembly module, brotli',
        bytes: brotliCompressSync(readFileSync(wasm)).length,
        under: 400e3,
      },
      { name: 'WebAssembly module, gzip', bytes: gzipSync(readFileSync(wasm), { level: 9 }).length },
    );
  }
  for (const name of [
    '@tensorflow/tfjs',
    '@tensorflow/tfjs-backend-wasm',
    '@jax-js/jax',
    'onnxruntime-node',
  ]) {
    const folder = join(root, 'bench/peers/node_modules', name);
    if (existsSync(folder))
      found.push({ name: `${name}, installed, without what it depends on`, bytes: folderBytes(folder) });
  }
  return found;
}
