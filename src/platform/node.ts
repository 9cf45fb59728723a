// The choice of a backend in Node.js: CUDA, then native, then WebAssembly; by measure of what is there, or as asked for. Brings files and threads for data sets too.
import { availableParallelism } from 'node:os';
import type { Backend, BackendName } from '../backend/backend.ts';
import { type CudaPrecision, openCuda } from '../backend/cuda.ts';
import { openNative } from '../backend/native.ts';
import { Engine, engine, onFirstUse, useBackend, useEngine } from '../engine.ts';
import { NablaError, unknownName } from '../errors.ts';
import './files.ts';
import { openNodeWasm } from './node-wasm.ts';
import './node-cache.ts';
import './node-choice.ts';
import './node-files.ts';
import './node-trials.ts';
import './node-workers.ts';

/** What setBackend takes besides a name. */
export interface BackendOptions {
  /** Threads that work on one instruction. Default `NABLA_THREADS`, else as many as the machine has cores. */
  threads?: number;
  /** Instruction set of the native kernels. Default: the best that the processor has. */
  instructionSet?: string;
  /** Number of the GPU for `'cuda'`, as nvidia-smi counts. Default `NABLA_CUDA_DEVICE`, else 0. */
  device?: number;
  /** Precision of products for `'cuda'`: `'tf32'` or `'float32'`. Default `NABLA_CUDA_PRECISION`, else `'tf32'`. */
  precision?: CudaPrecision;
  /** For `'auto'`: whether fit times a model's steps on the processor too, where a GPU is taken, and trains where it is faster. Default: yes, unless `NABLA_AUTO` is `off`. */
  measure?: boolean;
}

/** What was tried for one backend. */
export interface BackendAttempt {
  readonly name: BackendName;
  readonly backend?: Backend;
  /** Why it was not taken. */
  readonly reason?: string;
}

const names = ['cuda', 'native', 'wasm'] as const satisfies readonly BackendName[];

function threadsFrom(options: BackendOptions): number {
  const text = process.env.NABLA_THREADS;
  const threads =
    options.threads ?? (text === undefined || text === '' ? availableParallelism() : Number(text));
  if (!Number.isInteger(threads) || threads < 1 || threads > 256) {
    throw new NablaError(
      'backend',
      `bad number of threads, got ${options.threads ?? `NABLA_THREADS=${text}`}, expected an integer from 1 to 256`,
    );
  }
  return threads;
}

function open(name: BackendName, options: BackendOptions): Backend {
  if (name === 'cuda') return openCuda({ device: options.device, precision: options.precision });
  const threads = threadsFrom(options);
  switch (name) {
    case 'native':
      return openNative({ threads, instructionSet: options.instructionSet });
    case 'wasm':
      return openNodeWasm({ threads });
  }
}

/** Tries a backend and keeps the reason where it fails. */
export function attempt(name: BackendName, options: BackendOptions = {}): BackendAttempt {
  try {
    return { name, backend: open(name, options) };
  } catch (error) {
    return { name, reason: error instanceof Error ? error.message : String(error) };
  }
}

// Whether it was said that there is a GPU which cannot be used.
const said = { gpu: false };

/** Says aloud, once, that a GPU is left aside; who has none, or no addon that could use one, is told nothing. */
function sayWithoutGpu(reason: string): void {
  if (said.gpu || /no NVIDIA (driver|GPU)|could not load the addon/.test(reason)) return;
  said.gpu = true;
  console.warn(`[backend] going on without the GPU: ${reason}`);
}

/** The engine on the backend that `NABLA_BACKEND` names, or on the fastest that opens. */
export function openDefault({ measure = process.env.NABLA_AUTO !== 'off' }: BackendOptions = {}): Engine {
  const wanted = process.env.NABLA_BACKEND;
  if (wanted !== undefined && wanted !== '' && wanted !== 'auto')
    return new Engine(open(checkName('NABLA_BACKEND', wanted), {}));
  const reasons: string[] = [];
  for (const name of names) {
    const { backend, reason } = attempt(name);
    if (backend !== undefined) return name === 'cuda' && measure ? withRival(backend) : new Engine(backend);
    if (name === 'cuda' && reason !== undefined) sayWithoutGpu(reason);
    reasons.push(`${name}: ${reason}`);
  }
  throw new NablaError('backend', `no backend could be opened:\n  ${reasons.join('\n  ')}`);
}

/** A GPU in use, which the processor may take the place of, and it that of the processor (src/model/choice.ts). */
function withRival(gpu: Backend): Engine {
  const engine = new Engine(gpu);
  let processor: Engine | undefined;
  engine.rivals = () => {
    if (processor === undefined) {
      const { backend } = attempt('native');
      if (backend === undefined) return [];
      processor = new Engine(backend);
      processor.rivals = () => [engine];
    }
    return [processor];
  };
  return engine;
}

function checkName(where: string, name: string): BackendName {
  const known = names.find((candidate) => candidate === name);
  if (known === undefined) throw unknownName(where, 'backend', name, ['auto', ...names]);
  return known;
}

/**
 * Takes a backend into use for the tensors and models made from now on: `'native'`, `'wasm'`, `'cuda'`, or `'auto'` for the fastest. Without this call the
 * first tensor opens the default: `NABLA_BACKEND`, or the fastest there is.
 */
export async function setBackend(name: BackendName | 'auto', options: BackendOptions = {}): Promise<Engine> {
  if (name === 'auto') {
    const chosen = openDefault(options);
    useEngine(chosen);
    return chosen;
  }
  return useBackend(open(checkName('setBackend', name), options));
}

/** What the library computes on: backend, instruction set, threads, device. */
export function backendInfo() {
  return engine().backend.info;
}

onFirstUse(openDefault);
