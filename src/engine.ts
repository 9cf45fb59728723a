// The engine: one backend with the memory, the programs and the random state that tensors on it share.
import { type Backend, type Bindings, ProgramFault, type Run, stagedNumbers } from './backend/backend.ts';
import { type Block, Blocks } from './blocks.ts';
import { NablaError } from './errors.ts';
import { KeptCalls } from './kept-calls.ts';
import { type CompiledProgram, compile } from './program/compile.ts';
import type { Graph } from './program/graph.ts';
import { printProgram } from './program/print.ts';
import type { Recipes } from './replay.ts';

/** Memory of the backend, shared by the tensors that view it; freed with the last of them, or when it is collected. */
export class Storage {
  readonly engine: Engine;
  readonly bytes: number;
  /** What it holds, for listings: 'parameters', 'gradients'. */
  readonly label: string | undefined;
  private block: Block | undefined;
  private holders = 0;

  /** Zeroed, or over a block of the engine. */
  constructor(engine: Engine, bytes: number, label?: string, block: Block = engine.blocks.zeroed(bytes)) {
    this.engine = engine;
    this.bytes = bytes;
    this.label = label;
    this.block = block;
  }

  /** The buffer's handle; throws once it is freed. */
  get handle(): number {
    if (this.block === undefined) {
      throw new NablaError(
        'tensor',
        'this tensor has been disposed of; keep it alive for as long as it is used',
      );
    }
    return this.block.handle;
  }

  get freed(): boolean {
    return this.block === undefined;
  }

  retain(): void {
    this.holders++;
  }

  release(): void {
    if (--this.holders > 0 || this.block === undefined) return;
    const { blocks, runs } = this.engine;
    // A run under way may hold it until it ends.
    if (runs === 0) blocks.keep(this.block);
    else blocks.free(this.block);
    this.block = undefined;
  }
}

/** Memory that is bound to a slot: a storage and where in it. */
export interface Bound {
  readonly storage: Storage;
  readonly byteOffset: number;
}

/** Room for a program's bindings. In a buffer of its own: engines move small arrays out of their heap when native code asks for them. */
function newBindings(slots: number): Bindings {
  return new Float64Array(new ArrayBuffer(16 * (slots - 1)));
}

/** A program that is loaded into the backend and can be run again and again. */
export class Executable {
  readonly compiled: CompiledProgram;
  readonly engine: Engine;
  /** Memory that the program was traced over, beyond its inputs and outputs. */
  readonly captured: readonly Storage[];
  private readonly handle: number;
  // How many numbers bind it; and room for them in calls that end before the next one begins, where the backend has too little.
  private readonly count: number;
  private readonly bindings: Bindings | undefined;
  private isUnloaded = false;

  constructor(engine: Engine, graph: Graph) {
    this.engine = engine;
    this.compiled = compile(graph);
    const { slots, words } = this.compiled;
    this.captured = slots.flatMap((slot) => (slot.kind === 'storage' ? [slot.storage as Storage] : []));
    this.count = 2 * (slots.length - 1);
    this.bindings = this.count <= stagedNumbers ? undefined : newBindings(slots.length);
    this.handle = engine.backend.load(words);
  }

  /** Has some of that memory been freed, so that the program must be traced anew? */
  get stale(): boolean {
    return this.captured.some((storage) => storage.freed);
  }

  /** Has it been unloaded? */
  get unloaded(): boolean {
    return this.isUnloaded;
  }

  /** Runs it once, on this thread. */
  run(inputs: readonly Bound[], outputs: readonly Bound[]): void {
    if (this.bindings === undefined) {
      this.bind(this.engine.backend.staging(), inputs, outputs);
      this.runStaged();
      return;
    }
    try {
      this.engine.backend.run(this.handle, this.bind(this.bindings, inputs, outputs));
    } catch (error) {
      throw this.worded(error);
    }
  }

  /** As {@link Executable.run}, with bindings that the caller has put into the backend's `staging()`. */
  runStaged(): void {
    try {
      this.engine.backend.runStaged(this.handle, this.count);
    } catch (error) {
      throw this.worded(error);
    }
  }

  /** Runs it `steps` times off the event loop. */
  start(inputs: readonly Bound[], outputs: readonly Bound[], steps: number): Run {
    const bindings = newBindings(this.compiled.slots.length);
    const run = this.engine.backend.start(this.handle, this.bind(bindings, inputs, outputs), steps);
    this.engine.runs++;
    const done = run.done
      .catch((error: unknown) => {
        throw this.worded(error);
      })
      .finally(() => this.engine.runs--);
    return { done, stop: () => run.stop() };
  }

  /** The readable listing. */
  print(): string {
    return printProgram(this.compiled, (storage) => (storage as Storage).label);
  }

  unload(): void {
    if (this.isUnloaded) return;
    this.isUnloaded = true;
    this.engine.backend.unload(this.handle);
  }

  private bind(bindings: Bindings, inputs: readonly Bound[], outputs: readonly Bound[]): Bindings {
    const { slots } = this.compiled;
    for (let i = 1; i < slots.length; i++) {
      const slot = slots[i]!;
      const at = 2 * (i - 1);
      if (slot.kind === 'storage') {
        bindings[at] = (slot.storage as Storage).handle;
        bindings[at + 1] = 0;
      } else if (slot.kind !== 'workspace') {
        const bound = (slot.kind === 'input' ? inputs : outputs)[slot.index]!;
        bindings[at] = bound.storage.handle;
        bindings[at + 1] = bound.byteOffset;
      }
    }
    return bindings;
  }

  /** A kernel's fault in the words of the op or layer that asked for it. */
  private worded(error: unknown): unknown {
    if (!(error instanceof ProgramFault)) return error;
    const where = this.compiled.nodes[error.instruction]?.where ?? 'program';
    const [what, remedy] =
      error.code === 'labelOutOfRange'
        ? ['label out of range', 'check the labels against the number of classes']
        : ['index out of range', 'check the indices against the number of rows'];
    return new NablaError(
      where,
      `${what}, got ${error.value}, expected an integer in [0, ${error.limit}); ${remedy}`,
      { cause: error },
    );
  }
}

// Programs of single ops that are kept loaded; the oldest go first.
const maxCachedPrograms = 2048;

/** A backend in use. */
export class Engine {
  /** @internal */
  readonly backend: Backend;
  /** Runs that have not ended. While there is one, a call on this thread may have to wait for its step. */
  runs = 0;
  /** @internal Its buffers. */
  readonly blocks: Blocks;
  /** @internal Programs of kernel calls that were made at once. */
  readonly calls = new KeptCalls();
  /** @internal What ops came to, to be repeated. */
  readonly recipes: Recipes = new Map();
  private readonly programs = new Map<string, Executable>();
  private isClosed = false;

  /** @internal Made by `setBackend`. */
  constructor(backend: Backend) {
    this.backend = backend;
    this.blocks = new Blocks(backend);
  }

  /** Has it been closed? */
  get closed(): boolean {
    return this.isClosed;
  }

  /** @internal The program kept under `key`, made on first use. */
  cached(key: string, make: () => Graph): Executable {
    let program = this.programs.get(key);
    if (program === undefined) {
      program = new Executable(this, make());
      if (this.programs.size >= maxCachedPrograms) {
        const [oldest, stale] = this.programs.entries().next().value!;
        stale.unload();
        this.programs.delete(oldest);
      }
      this.programs.set(key, program);
    }
    return program;
  }

  /** Ends the backend; its tensors cannot be used any more. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.recipes.clear();
    this.calls.clear();
    this.blocks.close();
    this.backend.close();
  }
}

// What the library computes on. One a JavaScript environment; worker threads have their own.
const current: { engine: Engine | undefined; open: (() => Backend) | undefined } = {
  engine: undefined,
  open: undefined,
};

/** The engine in use; opened on first need where the platform can do that without waiting. */
export function engine(): Engine {
  if (current.engine === undefined) {
    if (current.open === undefined) {
      throw new NablaError('backend', "no backend is ready; call `await setBackend('wasm', { wasm })` first");
    }
    current.engine = new Engine(current.open());
  }
  return current.engine;
}

/** Takes a backend into use for all that follows. The former stays open for the tensors that live on it. */
export function useBackend(backend: Backend): Engine {
  current.engine = new Engine(backend);
  return current.engine;
}

/** Takes a former engine into use again. */
export function useEngine(former: Engine): void {
  current.engine = former;
}

/** Says how the platform opens its fastest backend when the first tensor is made. */
export function onFirstUse(open: () => Backend): void {
  current.open = open;
}
