// What a worker of the shared-memory variant runs, as source text: it needs no file that a bundler would have to find.

/** The message that starts a worker. */
export interface WorkerTask {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Upper end of the worker's stack. */
  readonly stack: number;
  /** The coordinator runs steps; the others help it with parts of a step. */
  readonly role: 'coordinator' | 'pool';
}

/** What a worker says: a run has ended, or it cannot go on (`inStep`: a step is half done). */
export type WorkerReport =
  | { readonly kind: 'ended' }
  | { readonly kind: 'failed'; readonly reason: string; readonly inStep: boolean };

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
