// What a worker of the shared-memory variant runs, as source text: it needs no file that a bundler would have to find.

/** The message that starts a worker. */
export interface WorkerTask {
  /** What it instantiates. */
  readonly module: WebAssembly.Module;
  /** The memory that all workers share. */
  readonly memory: WebAssembly.Memory;
  /** Upper end of the worker's stack. */
  readonly stack: number;
  /** The coordinator runs steps; the others help it with parts of a step. */
  readonly role: 'coordinator' | 'pool';
}

/** A run has ended. */
export interface WorkerEnded {
  /** Tells it apart. */
  readonly kind: 'ended';
}

/** A worker cannot go on. */
export interface WorkerFailed {
  /** Tells it apart. */
  readonly kind: 'failed';
  /** Why. */
  readonly reason: string;
  /** Whether a step is half done. */
  readonly inStep: boolean;
}

/** What a worker says. */
export type WorkerReport = WorkerEnded | WorkerFailed;

/**
 * A script for browsers' workers and, given to `new Worker(workerSource, { eval: true })`, for Node's. It takes one
 * {@link WorkerTask} and never returns to its event loop; messages leave a busy worker all the same.
 */
export const workerSource = `'use strict';
const web = typeof self !== 'undefined' && typeof self.postMessage === 'function';
const port = web ? self : require('node:worker_threads').parentPort;
const report = (message) => port.postMessage(message);
const work = ({ module, memory, stack, role }) => {
  let inStep = false;
  let exports;
  try {
    exports = new WebAssembly.Instance(module, { env: { memory } }).exports;
    exports.stackRestore(stack);
    if (role === 'pool') exports.serve();
    inStep = true;
    for (;;) {
      exports.coordinate();
      report({ kind: 'ended' });
    }
  } catch (error) {
    if (inStep) exports.abandon();
    report({ kind: 'failed', reason: String(error), inStep });
  }
};
if (web) self.onmessage = (event) => work(event.data);
else port.once('message', work);
`;
