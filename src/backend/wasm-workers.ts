// The workers of the shared-memory variant, and the turns that they and JavaScript's thread take on the device.

import type { WasmInstance, WasmThreadExports } from './wasm-module.ts';
import type { PendingRuns } from './wasm-runs.ts';
import { type WorkerReport, type WorkerTask, workerSource } from './wasm-worker.ts';

/** A worker, whatever the platform calls it. */
export interface WorkerHandle {
  /** Sends it its task. */
  post(task: WorkerTask): void;
  /** Ends it at once. */
  terminate(): void;
  /** Whether the worker keeps the process alive; browsers have no such thing. */
  keepAlive(keep: boolean): void;
}

/** Starts a worker that runs the source text as a script. It must not keep the process alive at first. */
export type SpawnWorker = (
  source: string,
  onReport: (report: WorkerReport) => void,
  onError: (error: unknown) => void,
) => WorkerHandle;

/**
 * Workers of browsers, Deno and Bun, from a Blob URL (a content security policy must allow `worker-src blob:`); undefined where
 * there are none or where memory cannot be shared with them.
 */
export function webWorkers(): SpawnWorker | undefined {
  const { crossOriginIsolated } = globalThis as { crossOriginIsolated?: boolean };
  if (
    typeof Worker === 'undefined' ||
    typeof SharedArrayBuffer === 'undefined' ||
    crossOriginIsolated === false
  ) {
    return undefined;
  }
  return (source, onReport, onError) => {
    const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
    const worker = new Worker(url, { name: 'nabla', type: 'module' });
    worker.onmessage = (event: MessageEvent<WorkerReport>) => onReport(event.data);
    worker.onerror = (event) => onError(event.message);
    return {
      post: (task) => worker.postMessage(task),
      terminate: () => {
        worker.terminate();
        URL.revokeObjectURL(url);
      },
      keepAlive: () => undefined,
    };
  };
}

/** A browser's main thread may not wait. */
function mayWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}

const stackBytes = 1 << 20;
// After so many milliseconds of calls, or as many as the first of them had to wait for a step, the runs have their next step.
const leastTurn = 0.1;
// Starting a thread takes longer than many a program runs.
const runsBeforePool = 16;

/** Runs steps on a worker of their own; worker threads share the parts of a step. */
export class Workers {
  private readonly instance: WasmInstance;
  private readonly exports: WasmThreadExports;
  private readonly module: WebAssembly.Module;
  private readonly runs: PendingRuns;
  private readonly spawn: SpawnWorker;
  private readonly maySleep = mayWait() ? 1 : 0;
  private readonly pool: WorkerHandle[] = [];
  private poolStarted = false;
  private runCount = 0;
  private coordinator: WorkerHandle | undefined;
  private lost = false;
  private entered = 0;
  private waited = 0;
  private had = 0;
  /** Called when the coordinator is lost: the runs that are left must be run otherwise. */
  onLost: (inStep: boolean, reason: string) => void = () => undefined;

  constructor(
    instance: WasmInstance,
    exports: WasmThreadExports,
    module: WebAssembly.Module,
    runs: PendingRuns,
    spawn: SpawnWorker,
  ) {
    this.instance = instance;
    this.exports = exports;
    this.module = module;
    this.runs = runs;
    this.spawn = spawn;
  }

  /** Takes the device: after the step that is being run, if one is. */
  enter(): void {
    if (this.coordinator === undefined) return;
    const begin = performance.now();
    if (this.had > Math.max(leastTurn, this.waited) && this.exports.wanted() !== 0) {
      this.exports.awaitTurn(this.maySleep);
      this.had = 0;
    }
    this.exports.enter(this.maySleep);
    this.entered = performance.now();
    if (this.had === 0) this.waited = this.entered - begin;
  }

  leave(): void {
    if (this.coordinator === undefined) return;
    this.exports.leave();
    this.had += performance.now() - this.entered;
  }

  /** Counts steps that JavaScript's thread runs: it is worth threads when there are many. */
  noteRun(): void {
    if (++this.runCount === runsBeforePool) this.startPool();
  }

  /** Starts the threads that share the parts of a step. Steps can be run before they are there. */
  startPool(): void {
    if (this.poolStarted) return;
    this.poolStarted = true;
    for (let i = this.instance.exports.threads(); i > 1; i--) {
      const handle = this.start('pool', () => undefined);
      if (handle !== undefined) this.pool.push(handle);
    }
  }

  /** Starts the coordinator if need be, and keeps the process alive until the runs have ended. False: there is none. */
  wake(): boolean {
    if (this.lost) return false;
    this.coordinator ??= this.start('coordinator', (report) => this.hear(report));
    this.coordinator?.keepAlive(true);
    return this.coordinator !== undefined;
  }

  /** Ends the threads. */
  close(): void {
    for (const worker of this.pool) worker.terminate();
    this.coordinator?.terminate();
    this.coordinator = undefined;
  }

  private start(
    role: WorkerTask['role'],
    onReport: (report: WorkerReport) => void,
  ): WorkerHandle | undefined {
    const stack = this.exports.workerStack(stackBytes) >>> 0;
    if (stack === 0) return undefined;
    const lost = (error: unknown) => {
      if (role === 'coordinator') this.lose(false, String(error));
    };
    try {
      const handle = this.spawn(workerSource, onReport, lost);
      handle.post({ module: this.module, memory: this.instance.memory, stack, role });
      return handle;
    } catch {
      return undefined;
    }
  }

  private hear(report: WorkerReport): void {
    if (this.coordinator === undefined) return;
    if (report.kind === 'failed') {
      this.lose(report.inStep, report.reason);
      return;
    }
    this.enter();
    try {
      this.runs.collect();
    } finally {
      this.leave();
    }
    if (this.runs.size === 0) this.coordinator.keepAlive(false);
  }

  private lose(inStep: boolean, reason: string): void {
    this.coordinator?.terminate();
    this.coordinator = undefined;
    this.lost = true;
    this.onLost(inStep, reason);
  }
}
