// Worker threads of Node.js for parallelMap: each holds one function of a user's module.
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { onParallel, type WorkerAnswer, type WorkerPool, type WorkerTask } from '../data/parallel.ts';
import { NablaError } from '../errors.ts';
import { nodeWorkers } from './builtins.ts';

// How long threads outlive their last user: the next pass finds them started.
const graceMs = 1000;

// The thread's script, as text: it works the same from sources, from the package and from a bundle.
const script = `
const { parentPort, workerData } = require('node:worker_threads');
let gives = false;
const buffersIn = (value, found) => {
  if (ArrayBuffer.isView(value)) found.add(value.buffer);
  else if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) buffersIn(part, found);
  return found;
};
const loading = import(workerData.url).then((module) => {
  const found = module[workerData.name];
  gives = module.givesAwayResults === true;
  if (typeof found === 'function') return found;
  throw new Error('the module has no function ' + workerData.name + ', it exports ' + (Object.keys(module).join(', ') || 'nothing'));
});
loading.catch(() => {});
const wordsOf = (error) => error instanceof Error ? { name: error.name, message: error.message, stack: error.stack } : { message: String(error) };
const handle = async ({ id, first, elements, seeds }) => {
  const values = [];
  try {
    const run = await loading;
    for (let i = 0; i < elements.length; i++) values.push(await run(elements[i], { index: first + i, seed: seeds[i] }));
    parentPort.postMessage({ id, values }, gives ? [...buffersIn(values, new Set())] : []);
  } catch (error) {
    const told = wordsOf(error);
    // A result that cannot cross is as bad as none.
    if (error.name === 'DataCloneError') parentPort.postMessage({ id, values: [], error: told });
    else parentPort.postMessage({ id, values, error: told });
  }
};
// One after the other: calls of an async function do not meet in a thread.
let turn = Promise.resolve();
parentPort.on('message', (task) => {
  turn = turn.then(() => handle(task));
});
`;

interface Told {
  readonly id: number;
  readonly values: readonly unknown[];
  readonly error?: { readonly name?: string; readonly message: string; readonly stack?: string };
}

interface Waiting {
  readonly resolve: (answer: WorkerAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** One thread and what it has been asked for. */
class Thread {
  readonly waiting = new Map<number, Waiting>();
  private readonly worker: Worker;
  private nextId = 0;

  constructor(url: string, name: string, onEnd: (thread: Thread) => void) {
    this.worker = new (nodeWorkers().Worker)(script, {
      eval: true,
      workerData: { url, name },
      name: 'nabla-data',
    });
    this.worker.unref();
    this.worker.on('message', (told: Told) => this.answer(told));
    const ended = (error: unknown) => {
      onEnd(this);
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    };
    this.worker.on('error', ended);
    this.worker.on('exit', (code) => ended(new Error(`the worker thread ended with code ${code}`)));
  }

  run(task: WorkerTask): Promise<WorkerAnswer> {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      // Throws where an element cannot cross to another thread.
      this.worker.postMessage({ id, ...task, elements: task.elements.map(compact) });
      if (this.waiting.size === 0) this.worker.ref();
      this.waiting.set(id, { resolve, reject });
    });
  }

  end(): void {
    this.waiting.clear();
    void this.worker.terminate();
  }

  private answer({ id, values, error }: Told): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (this.waiting.size === 0) this.worker.unref();
    waiting?.resolve(error === undefined ? { values } : { values, error: revived(error) });
  }
}

function revived({ name, message, stack }: NonNullable<Told['error']>): Error {
  const error = new Error(message);
  if (name !== undefined) error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** Copies views of larger buffers: the whole buffer would cross with them. */
function compact(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) {
    const view = value as Uint8Array;
    if (view.byteLength === view.buffer.byteLength) return value;
    // The slice of a Node.js Buffer would be a view again.
    return Buffer.isBuffer(view) ? new Uint8Array(view) : view.slice();
  }
  if (Array.isArray(value)) return value.map(compact);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, compact(part)]));
}

/** Threads that start when there is work, and end when nobody has used them for a while. */
class NodePool implements WorkerPool {
  readonly workers: number;
  private readonly url: string;
  private readonly name: string;
  private threads: Thread[] = [];
  private users = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(url: string, name: string, workers: number | undefined) {
    this.url = url;
    this.name = name;
    this.workers = workers ?? Math.max(1, Math.min(4, availableParallelism() - 1));
  }

  retain(): void {
    this.users++;
    clearTimeout(this.timer);
  }

  release(): void {
    if (--this.users > 0) return;
    // A thread that is still at work for nobody may never come to an end.
    if (this.threads.some(({ waiting }) => waiting.size > 0)) this.end();
    else this.timer = setTimeout(() => this.end(), graceMs).unref();
  }

  async run(task: WorkerTask): Promise<WorkerAnswer> {
    const idle = this.threads.find(({ waiting }) => waiting.size === 0);
    let chosen = idle;
    if (chosen === undefined && this.threads.length < this.workers) {
      chosen = new Thread(this.url, this.name, (thread) => {
        this.threads = this.threads.filter((other) => other !== thread);
      });
      this.threads.push(chosen);
    }
    chosen ??= this.threads.reduce((a, b) => (b.waiting.size < a.waiting.size ? b : a));
    return await chosen.run(task);
  }

  private end(): void {
    for (const thread of this.threads) thread.end();
    this.threads = [];
  }
}

function addressOf(url: string): string {
  if (/^(file|data|node):/.test(url)) return url;
  throw new NablaError(
    'data.parallelMap',
    `bad module, got '${url}', expected a file URL; write new URL('./decode.js', import.meta.url)`,
  );
}

onParallel((url, name, workers) => new NodePool(addressOf(url), name, workers));
