// The library for browsers and edge runtimes: WebAssembly only, from a module that the program names.
import type { BackendInfo } from './backend/backend.ts';
import { compileWasm, openWasm, type SpawnWorker, type WasmSource } from './backend/wasm.ts';
import { type Engine, engine, useBackend } from './engine.ts';
import { unknownName } from './errors.ts';
import './platform/indexed-db.ts';
import './platform/opfs.ts';

export * from './api.ts';
export { compileWasm, type SpawnWorker, type WasmSource, type WorkerHandle } from './backend/wasm.ts';
export type { WorkerEnded, WorkerFailed, WorkerReport, WorkerTask } from './backend/wasm-worker.ts';

/** What setBackend takes where there is no file system. */
export interface WebBackendOptions {
  /** `nabla-simd.wasm` or `nabla-threads.wasm`: a compiled module (the only form that Cloudflare workerd allows), bytes, or an address to fetch. */
  wasm: WasmSource;
  /** Threads that work on one instruction; more than 1 needs `nabla-threads.wasm` and a page that is cross-origin isolated. Default 1. */
  threads?: number;
  /** How to start a worker where the global `Worker` is not what to use. */
  spawn?: SpawnWorker;
}

/**
 * Takes the WebAssembly backend into use; call it once before the first tensor.
 *
 * @example await setBackend('wasm', { wasm: new URL('nabla/wasm/nabla-simd.wasm', import.meta.url) });
 */
export async function setBackend(name: 'wasm', options: WebBackendOptions): Promise<Engine> {
  if (name !== 'wasm') throw unknownName('setBackend', 'backend', name, ['wasm']);
  const { wasm, threads, spawn } = options;
  return useBackend(openWasm({ module: await compileWasm(wasm), threads, spawn }));
}

/** What the library computes on: backend, instruction set, threads, device. */
export function backendInfo(): BackendInfo {
  return engine().backend.info;
}
