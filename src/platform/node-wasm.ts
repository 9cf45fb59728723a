// WebAssembly in Node.js: reads the module from disk and starts worker threads for it.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backend } from '../backend/backend.ts';
import { openWasm } from '../backend/wasm.ts';
import type { SpawnWorker } from '../backend/wasm-workers.ts';
import { NablaError } from '../errors.ts';
import { nodeWorkers } from './builtins.ts';

/** Options of {@link openNodeWasm}. */
export interface NodeWasmOptions {
  /** Threads that work on one instruction, 1 to 256. Default 1. The `'simd'` variant has one. */
  readonly threads?: number;
  /**
   * `'threads'`: shared memory, runs of many steps on a worker thread; `'simd'`: no threads, runs in slices on the event loop.
   * Default: `'threads'` if its module is there.
   */
  readonly variant?: WasmVariant;
  /** `'reference'`: the plain double-precision kernels that the tests compare with. Default: the fastest. */
  readonly instructionSet?: string;
}

export type WasmVariant = 'simd' | 'threads';

// Compiled modules are kept: a second device in the process opens at once.
const compiled = new Map<WasmVariant, WebAssembly.Module>();

/** Where the build puts the module, seen from the sources and from the compiled package. */
function findModule(variant: WasmVariant): string | undefined {
  const here = dirname(fileURLToPath(import.meta.url));
  const folders = [join(here, '..', 'wasm'), join(here, '..', '..', 'dist', 'wasm')];
  return folders.map((folder) => join(folder, `nabla-${variant}.wasm`)).find((path) => existsSync(path));
}

function moduleOf(variant: WasmVariant): WebAssembly.Module | undefined {
  const known = compiled.get(variant);
  if (known !== undefined) return known;
  const path = findModule(variant);
  if (path === undefined) return undefined;
  const module = new WebAssembly.Module(readFileSync(path));
  compiled.set(variant, module);
  return module;
}

/** `eval` here only says that the worker's script is given as text. */
const spawnNodeWorker: SpawnWorker = (source, onReport, onError) => {
  // Without the process's own loader flags: they cost time, and the script needs none.
  const worker = new (nodeWorkers().Worker)(source, { eval: true, execArgv: [], name: 'nabla-wasm' });
  worker.on('message', onReport);
  worker.on('error', onError);
  worker.unref();
  return {
    post: (task) => worker.postMessage(task),
    terminate: () => void worker.terminate(),
    keepAlive: (keep) => (keep ? worker.ref() : worker.unref()),
  };
};

/**
 * Opens the WebAssembly backend from the package's own files, without waiting.
 *
 * @throws {NablaError} when the module was not built, or an option is out of range.
 */
export function openNodeWasm(options: NodeWasmOptions = {}): Backend {
  const { threads, instructionSet } = options;
  const variants: WasmVariant[] = options.variant === undefined ? ['threads', 'simd'] : [options.variant];
  for (const variant of variants) {
    const module = moduleOf(variant);
    if (module !== undefined) return openWasm({ module, threads, instructionSet, spawn: spawnNodeWorker });
  }
  throw new NablaError(
    'wasm',
    `no module, got no nabla-${variants.join('.wasm or nabla-')}.wasm in dist/wasm, expected one; run \`npm run build:wasm\``,
  );
}
