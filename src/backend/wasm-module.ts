// The WebAssembly module as TypeScript sees it: its exports, its memory, and what is thrown when it refuses or fails.
import { NablaError } from '../errors.ts';

/**
 * The exports of wasm/entry.cpp, where they are explained. Pointers are 32 bits and come back signed: `>>> 0` before use.
 * Functions that can fail return 0 and leave a text at `error()`.
 */
export interface WasmExports {
  readonly memory?: WebAssembly.Memory;
  _initialize(): void;
  stackSave(): number;
  stackRestore(pointer: number): void;
  stage(bytes: number): number;
  error(): number;
  errorBytes(): number;
  result(): number;
  open(threads: number, nameBytes: number): number;
  instructionSet(): number;
  threads(): number;
  memoryUse(): void;
  allocate(bytes: number): number;
  release(buffer: number): number;
  locate(buffer: number, byteOffset: number, bytes: number): number;
  load(words: number): number;
  unload(program: number): number;
  run(program: number, bindings: number): number;
  begin(program: number, bindings: number, steps: number): number;
  stop(run: number): void;
  advance(): number;
  collect(): number;
  abortStep(): void;
  endRuns(): void;
}

/** What the shared-memory variant exports beyond that. */
export interface WasmThreadExports {
  enter(maySleep: number): void;
  leave(): void;
  wanted(): number;
  awaitTurn(maySleep: number): void;
  workerStack(bytes: number): number;
}

/** Anything with bytes behind it. */
export interface Bytes {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
}

const pageBytes = 65536;
// As scripts/build-wasm.mjs links the shared variant (-sINITIAL_MEMORY).
const initialPages = (4 << 20) / pageBytes;
// Address space is reserved for the most, which small machines refuse: 4, 2 and 1 GiB, and a quarter.
const mostPages = [65536, 32768, 16384, 4096];

/** Whether the module works on memory that it shares with workers. */
export function sharesMemory(module: WebAssembly.Module): boolean {
  return WebAssembly.Module.imports(module).some(({ kind }) => kind === 'memory');
}

function sharedMemory(): WebAssembly.Memory {
  let cause: unknown;
  for (const maximum of mostPages) {
    try {
      return new WebAssembly.Memory({ initial: initialPages, maximum, shared: true });
    } catch (error) {
      cause = error;
    }
  }
  const message = `shared memory, got '${String(cause)}', expected a SharedArrayBuffer; use the nabla-simd module`;
  throw new NablaError('wasm.open', message, { cause });
}

function instantiate(
  module: WebAssembly.Module,
  shared: WebAssembly.Memory | undefined,
): WebAssembly.Instance {
  try {
    return new WebAssembly.Instance(module, shared === undefined ? {} : { env: { memory: shared } });
  } catch (cause) {
    throw new NablaError(
      'wasm.open',
      `the module could not be started, got '${String(cause)}', expected memory for it and a module of this version; ` +
        'raise the limit on address space, or close other instances',
      { cause },
    );
  }
}

/** An instance with its memory. */
export class WasmInstance {
  readonly exports: WasmExports;
  readonly memory: WebAssembly.Memory;
  /** Present in the shared-memory variant. */
  readonly threadExports: WasmThreadExports | undefined;
  private readonly stack: number;
  private staging = 0;
  private stagingBytes = -1;
  private view: Uint8Array;
  private stagedView = new Float64Array(0);

  constructor(module: WebAssembly.Module) {
    const shared = sharesMemory(module) ? sharedMemory() : undefined;
    const instance = instantiate(module, shared);
    this.exports = instance.exports as unknown as WasmExports;
    this.threadExports = shared && (instance.exports as unknown as WasmThreadExports);
    const memory = shared ?? this.exports.memory;
    if (memory === undefined || typeof this.exports.stage !== 'function') {
      throw new NablaError(
        'wasm.open',
        'module without the exports of this library, expected nabla-simd.wasm or nabla-threads.wasm; give the file of this version',
      );
    }
    this.memory = memory;
    this.view = new Uint8Array(memory.buffer);
    this.exports._initialize();
    this.stack = this.exports.stackSave();
  }

  /** The whole memory. Growing it replaces the object, so the view must not be kept. */
  bytes(): Uint8Array {
    const { buffer } = this.memory;
    if (this.view.buffer !== buffer) this.view = new Uint8Array(buffer);
    return this.view;
  }

  /** Copies arguments to where the exports look for them. */
  stage(where: string, source: Bytes): void {
    const { buffer, byteOffset, byteLength } = source;
    this.reserve(where, byteLength);
    this.bytes().set(new Uint8Array(buffer, byteOffset, byteLength), this.staging);
  }

  /** The first numbers of where the exports look for arguments, in place. As {@link bytes}, not to be kept. */
  staged(where: string, count: number): Float64Array {
    const { buffer } = this.memory;
    if (this.stagedView.buffer !== buffer || this.stagedView.byteOffset !== this.staging) {
      this.reserve(where, 8 * count);
      this.stagedView = new Float64Array(this.memory.buffer, this.staging, count);
    }
    return this.stagedView;
  }

  /** The numbers of an answer. */
  results(count: number): Float64Array {
    const pointer = this.exports.result() >>> 0;
    return new Float64Array(this.memory.buffer, pointer, count).slice();
  }

  /** A text in memory, of so many bytes or up to a zero. ASCII. */
  text(pointer: number, length?: number): string {
    const bytes = this.bytes();
    const begin = pointer >>> 0;
    const end = length === undefined ? bytes.indexOf(0, begin) : begin + length;
    // Copied first: decoders refuse shared memory.
    return new TextDecoder().decode(bytes.slice(begin, end));
  }

  /** Room for so many bytes of arguments. */
  private reserve(where: string, bytes: number): void {
    if (bytes <= this.stagingBytes) return;
    const pointer = this.exports.stage(bytes) >>> 0;
    if (pointer === 0) {
      const message = `not enough memory for the arguments, got ${bytes} bytes, expected fewer; free buffers`;
      throw new NablaError(where, message);
    }
    this.staging = pointer;
    this.stagingBytes = bytes;
  }

  /** The error that the last export left. */
  refusal(where: string): NablaError {
    return new NablaError(where, this.text(this.exports.error(), this.exports.errorBytes()));
  }

  /** What to throw for `error`, which came out of a call: traps become errors of the library, and the stack is put back. */
  trapped(where: string, error: unknown): unknown {
    if (!(error instanceof WebAssembly.RuntimeError) && !(error instanceof RangeError)) return error;
    this.exports.stackRestore(this.stack);
    const message = `the module failed, got '${error.message}', expected no failure; most often memory has run out: free buffers`;
    return new NablaError(where, message, { cause: error });
  }
}
