// Runs of many steps without workers: time slices on the event loop, short enough that timers and input stay on time.
import { type FaultCode, faultCodes, ProgramFault, type RunResult } from './backend.ts';
import type { WasmInstance } from './wasm-module.ts';

/** The fault that an answer of six numbers carries, if any. */
export function faultOf(result: Float64Array): ProgramFault | undefined {
  const [, steps, code, instruction, value, limit] = result;
  const name: FaultCode = faultCodes[code!] ?? 'none';
  return name === 'none' ? undefined : new ProgramFault(name, instruction!, value!, limit!, steps!);
}

interface Waiting {
  readonly resolve: (result: RunResult) => void;
  readonly reject: (error: unknown) => void;
}

/** The promises of the runs under way. */
export class PendingRuns {
  private readonly instance: WasmInstance;
  private readonly waiting = new Map<number, Waiting>();

  constructor(instance: WasmInstance) {
    this.instance = instance;
  }

  get size(): number {
    return this.waiting.size;
  }

  add(run: number): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      this.waiting.set(run, { resolve, reject });
    });
  }

  has(run: number): boolean {
    return this.waiting.has(run);
  }

  /** Settles the runs that have ended. The caller has the device. */
  collect(): void {
    while (this.instance.exports.collect() !== 0) {
      const result = this.instance.results(6);
      const run = result[0]!;
      const waiting = this.waiting.get(run);
      this.waiting.delete(run);
      const fault = faultOf(result);
      if (fault === undefined) waiting?.resolve({ steps: result[1]! });
      else waiting?.reject(fault);
    }
  }

  rejectAll(error: unknown): void {
    const all = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of all) reject(error);
  }
}

// A slice ends after the step in which its time is over. A 5 ms timer is then late by a slice at most.
const sliceMilliseconds = 0.5;
// Some runtimes stop the clock while code runs: a slice in which it stands still ends after so many steps.
const mostTimelessSteps = 16;

/** Calls `next` once the event loop has looked at everything else. */
function scheduler(next: () => void): () => void {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };
  if (setImmediate !== undefined) return () => void setImmediate(next);
  if (typeof MessageChannel === 'undefined') return () => void setTimeout(next, 0);
  const channel = new MessageChannel();
  channel.port1.onmessage = next;
  return () => channel.port2.postMessage(undefined);
}

/** Runs slices for as long as there are runs. */
export class Slices {
  private readonly instance: WasmInstance;
  private readonly runs: PendingRuns;
  private readonly schedule: () => void;
  private scheduled = false;

  constructor(instance: WasmInstance, runs: PendingRuns) {
    this.instance = instance;
    this.runs = runs;
    this.schedule = scheduler(() => this.slice());
  }

  wake(): void {
    if (this.scheduled || this.runs.size === 0) return;
    this.scheduled = true;
    this.schedule();
  }

  private slice(): void {
    this.scheduled = false;
    const begin = performance.now();
    try {
      let elapsed = 0;
      for (let steps = 0; this.runs.size > 0 && elapsed < sliceMilliseconds; steps++) {
        if (elapsed === 0 && steps >= mostTimelessSteps) break;
        if (this.instance.exports.advance() !== 0) this.runs.collect();
        elapsed = performance.now() - begin;
      }
    } catch (error) {
      const reason = this.instance.trapped('wasm.start', error);
      this.instance.exports.endRuns();
      this.runs.rejectAll(reason);
      this.runs.collect();
    }
    this.wake();
  }
}
