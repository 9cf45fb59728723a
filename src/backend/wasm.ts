// The WebAssembly backend: the native core's kernels in any JavaScript runtime, alone or with workers on shared memory.
import { describe, NablaError } from '../errors.ts';
import {
  type Backend,
  type BackendInfo,
  type BackendMemory,
  type Bindings,
  type BufferHandle,
  type HostArray,
  type ProgramHandle,
  type Run,
  stagedNumbers,
} from './backend.ts';
import { WasmInstance } from './wasm-module.ts';
import { faultOf, PendingRuns, Slices } from './wasm-runs.ts';
import { type SpawnWorker, Workers, webWorkers } from './wasm-workers.ts';

export { sharesMemory } from './wasm-module.ts';
export type { SpawnWorker, WorkerHandle } from './wasm-workers.ts';

/** Options of {@link openWasm}. */
export interface WasmOptions {
  /** `nabla-simd.wasm` or `nabla-threads.wasm`, compiled: from {@link compileWasm}, or as an edge runtime's import gives it. */
  readonly module: WebAssembly.Module;
  /**
   * Threads that work on one instruction, 1 to 256; default 1. More than 1 needs `nabla-threads.wasm` and workers, and is 1
   * without them.
   */
  readonly threads?: number;
  /** `'reference'`: the plain double-precision kernels that the tests compare with. Default: the fastest. */
  readonly instructionSet?: string;
  /** How to start a worker where the global `Worker` is not what to use. */
  readonly spawn?: SpawnWorker;
}

/** What {@link compileWasm} takes. */
export type WasmSource = WebAssembly.Module | BufferSource | URL | string | Response | Promise<Response>;

/**
 * Compiles the module from its bytes, its address or the answer of `fetch`. A module is given back as it is.
 *
 * @throws {NablaError} when it cannot be fetched or is not a module that the engine runs.
 */
export async function compileWasm(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  try {
    if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return await WebAssembly.compile(source);
    const response = await (typeof source === 'string' || source instanceof URL ? fetch(source) : source);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText} from ${response.url}`);
    // Not compileStreaming: servers that do not know the type application/wasm are common, and the module is small.
    return await WebAssembly.compile(await response.arrayBuffer());
  } catch (error) {
    throw new NablaError(
      'wasm.compile',
      `could not compile the module, got '${error instanceof Error ? error.message : String(error)}', expected nabla-simd.wasm ` +
        'or nabla-threads.wasm and an engine with WebAssembly SIMD; check the address',
      { cause: error },
    );
  }
}

function closedError(where: string): NablaError {
  return new NablaError(where, 'backend is closed, got a call after close, expected none; open a new one');
}

class WasmBackend implements Backend {
  readonly info: BackendInfo;
  private readonly instance: WasmInstance;
  private readonly runs: PendingRuns;
  private readonly slices: Slices;
  private readonly workers: Workers | undefined;
  private closed = false;

  constructor(options: WasmOptions) {
    const { module, instructionSet = '', spawn = webWorkers() } = options;
    const instance = new WasmInstance(module);
    this.instance = instance;
    this.runs = new PendingRuns(instance);
    this.slices = new Slices(instance, this.runs);
    if (instance.threadExports !== undefined && spawn !== undefined) {
      this.workers = new Workers(instance, instance.threadExports, module, this.runs, spawn);
      this.workers.onLost = (inStep, reason) => this.continueWithout(inStep, reason);
    }
    const name = new TextEncoder().encode(instructionSet);
    instance.stage('wasm.open', name);
    const threads = this.workers === undefined ? 1 : (options.threads ?? 1);
    if (instance.exports.open(threads, name.length) === 0) throw instance.refusal('wasm.open');
    this.info = {
      name: 'wasm',
      instructionSet: instance.text(instance.exports.instructionSet()),
      threads: instance.exports.threads(),
      device: this.workers === undefined ? 'WebAssembly' : 'WebAssembly with workers',
    };
  }

  memory(): BackendMemory {
    return this.turn('wasm.memory', ({ exports }) => {
      exports.memoryUse();
      const [buffers = 0, bufferBytes = 0, workspaceBytes = 0, peakBytes = 0, programs = 0] =
        this.instance.results(5);
      return { buffers, bufferBytes, workspaceBytes, peakBytes, programs };
    });
  }

  allocate(bytes: number): BufferHandle {
    return this.turn('wasm.allocate', ({ exports }) =>
      this.accepted('wasm.allocate', exports.allocate(bytes)),
    );
  }

  free(buffer: BufferHandle): void {
    this.turn('wasm.free', ({ exports }) => this.accepted('wasm.free', exports.release(buffer)));
  }

  write(buffer: BufferHandle, byteOffset: number, source: HostArray): void {
    const bytes = this.bytesOf('wasm.write', 'source', source);
    this.turn('wasm.write', () => {
      const at = this.locate('wasm.write', buffer, byteOffset, bytes.length);
      this.instance.bytes().set(bytes, at);
    });
  }

  read(buffer: BufferHandle, byteOffset: number, target: HostArray): void {
    const bytes = this.bytesOf('wasm.read', 'target', target);
    this.turn('wasm.read', () => {
      const at = this.locate('wasm.read', buffer, byteOffset, bytes.length);
      bytes.set(this.instance.bytes().subarray(at, at + bytes.length));
    });
  }

  load(words: Int32Array): ProgramHandle {
    this.check('wasm.load', 'program', words instanceof Int32Array, words, 'an Int32Array');
    return this.turn('wasm.load', ({ exports }) => {
      this.instance.stage('wasm.load', words);
      return this.accepted('wasm.load', exports.load(words.length));
    });
  }

  unload(program: ProgramHandle): void {
    this.turn('wasm.unload', ({ exports }) => this.accepted('wasm.unload', exports.unload(program)));
  }

  run(program: ProgramHandle, bindings: Bindings): void {
    this.check('wasm.run', 'bindings', bindings instanceof Float64Array, bindings, 'a Float64Array');
    const fault = this.turn('wasm.run', ({ exports }) => {
      this.workers?.noteRun();
      this.instance.stage('wasm.run', bindings);
      const answer = this.accepted('wasm.run', exports.run(program, bindings.length));
      return answer === 2 ? faultOf(this.instance.results(6)) : undefined;
    });
    if (fault !== undefined) throw fault;
  }

  staging(): Bindings {
    return this.instance.staged('wasm.run', stagedNumbers);
  }

  runStaged(program: ProgramHandle, count: number): void {
    if (this.closed) throw closedError('wasm.run');
    const { workers, instance } = this;
    workers?.enter();
    try {
      workers?.noteRun();
      const answer = instance.exports.run(program, count);
      if (answer === 1) return;
      this.accepted('wasm.run', answer);
      throw faultOf(instance.results(6));
    } catch (error) {
      throw instance.trapped('wasm.run', error);
    } finally {
      workers?.leave();
    }
  }

  start(program: ProgramHandle, bindings: Bindings, steps: number): Run {
    this.check('wasm.start', 'bindings', bindings instanceof Float64Array, bindings, 'a Float64Array');
    const run = this.turn('wasm.start', ({ exports }) => {
      this.workers?.startPool();
      this.instance.stage('wasm.start', bindings);
      return this.accepted('wasm.start', exports.begin(program, bindings.length, steps));
    });
    const done = this.runs.add(run);
    if (this.workers?.wake() !== true) this.slices.wake();
    return { done, stop: () => this.stop(run) };
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.instance.exports.abortStep();
    this.workers?.enter();
    this.instance.exports.endRuns();
    this.runs.collect();
    this.workers?.close();
  }

  private stop(run: number): void {
    if (!this.closed && this.runs.has(run)) this.instance.exports.stop(run);
  }

  /** Runs `body` with the device in hand. */
  private turn<T>(where: string, body: (instance: WasmInstance) => T): T {
    if (this.closed) throw closedError(where);
    this.workers?.enter();
    try {
      return body(this.instance);
    } catch (error) {
      throw this.instance.trapped(where, error);
    } finally {
      this.workers?.leave();
    }
  }

  private accepted(where: string, answer: number): number {
    if (answer === 0) throw this.instance.refusal(where);
    return answer;
  }

  private locate(where: string, buffer: number, byteOffset: number, bytes: number): number {
    return this.accepted(where, this.instance.exports.locate(buffer, byteOffset, bytes) >>> 0);
  }

  private check(where: string, what: string, ok: boolean, got: unknown, expected: string): void {
    if (!ok) throw new NablaError(where, `${what}, got ${describe(got)}, expected ${expected}`);
  }

  private bytesOf(where: string, what: string, array: HostArray): Uint8Array {
    const ok = array instanceof Float32Array || array instanceof Int32Array || array instanceof Uint8Array;
    this.check(where, what, ok, array, 'a Float32Array, Int32Array or Uint8Array');
    return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  }

  /** The coordinator is lost: what it had not begun goes on in slices. */
  private continueWithout(inStep: boolean, reason: string): void {
    if (this.closed) return;
    if (inStep) {
      this.instance.exports.endRuns();
      this.runs.rejectAll(
        new NablaError('wasm.start', `a worker failed, got '${reason}', expected no failure; start again`),
      );
      this.runs.collect();
    }
    this.slices.wake();
  }
}

/**
 * Opens a device in a compiled module. Works wherever WebAssembly SIMD does, without `eval` and without compiling at run time.
 *
 * With `nabla-simd.wasm`, or without workers, runs of many steps are run in slices of half a millisecond on the event loop. With
 * `nabla-threads.wasm` and workers they are run by a worker; browsers need cross-origin isolation for that.
 *
 * Buffers that are freed, and programs that are unloaded, while a run uses them stay alive until it ends; their handles are
 * invalid at once. `close` cuts runs off; their `done` then resolves with the steps completed.
 *
 * @throws {NablaError} when an option is out of range, the module is another one, or its memory cannot be had.
 */
export function openWasm(options: WasmOptions): Backend {
  return new WasmBackend(options);
}
