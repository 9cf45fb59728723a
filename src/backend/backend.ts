// The contract that every backend fulfils: buffers, programs, and runs of steps.

/** A buffer in backend memory: a positive integer. */
export type BufferHandle = number;
/** A loaded program: a positive integer. */
export type ProgramHandle = number;

/** What a backend tells about itself; shown by `nabla doctor`. */
export interface BackendInfo {
  /** `'native'`, `'wasm'`, ... */
  readonly name: BackendName;
  /** Instruction set the kernels were taken from: `'avx3'`, `'avx2'`, `'sse4'`, `'neon'`, `'simd128'`, `'reference'`. */
  readonly instructionSet: string;
  /** Threads that work on one instruction, the caller counted. */
  readonly threads: number;
  /** Processor or device, in words. */
  readonly device: string;
}

/** Backends by name, fastest first. */
export type BackendName = 'cuda' | 'native' | 'wasm';

/** Memory held by a backend, in bytes. */
export interface BackendMemory {
  /** Live buffers. */
  readonly buffers: number;
  /** Bytes in live buffers. */
  readonly bufferBytes: number;
  /** Bytes of the workspace and the kernels' scratch, shared by all programs. */
  readonly workspaceBytes: number;
  /** The most that buffers, workspace and scratch have held together. */
  readonly peakBytes: number;
  /** Loaded programs. */
  readonly programs: number;
}

/** Array types that can be copied to and from backend memory. */
export type HostArray = Float32Array | Int32Array | Uint8Array;

/** How a run of steps ended. */
export interface RunResult {
  /** Steps completed; fewer than asked for when the run was stopped. */
  readonly steps: number;
}

/** A run of steps under way. */
export interface Run {
  /** Settles when the run has ended; rejects with a {@link ProgramFault} when a kernel refuses its data. */
  readonly done: Promise<RunResult>;
  /** Ends the run after the step it is in. `done` then resolves with the steps completed. */
  stop(): void;
}

/**
 * What bindings look like: for slots 1, 2, ... of the program a pair of numbers `buffer handle, byte offset`.
 * Slot 0, the workspace, is the backend's own.
 */
export type Bindings = Float64Array;

/** How many numbers a backend's `staging()` has room for. */
export const stagedNumbers = 64;

/**
 * A backend. Methods other than `start` are synchronous: they wait for the step that is being run, never for a whole run.
 * All of them throw {@link NablaError} on bad input; none of them ends the process.
 */
export interface Backend {
  readonly info: BackendInfo;
  memory(): BackendMemory;
  /** Reserves zeroed memory, 64-byte aligned. Throws when it cannot be had. */
  allocate(bytes: number): BufferHandle;
  free(buffer: BufferHandle): void;
  /**
   * Ties the buffer to a JavaScript object: the buffer is freed when the object is collected, if it was not before, and the
   * collector is told of its size. Optional: backends without it rely on a FinalizationRegistry of the caller.
   */
  own?(buffer: BufferHandle, bytes: number): object;
  /** Copies the array into the buffer. */
  write(buffer: BufferHandle, byteOffset: number, source: HostArray): void;
  /** Copies out of the buffer into the array. */
  read(buffer: BufferHandle, byteOffset: number, target: HostArray): void;
  /** Checks and loads program words. */
  load(words: Int32Array): ProgramHandle;
  unload(program: ProgramHandle): void;
  /** Runs one step on the calling thread. */
  run(program: ProgramHandle, bindings: Bindings): void;
  /** Room for the bindings of one call of `runStaged`, {@link stagedNumbers} numbers, where the backend reads them in place. */
  staging(): Bindings;
  /** As `run`, with the first `count` numbers of `staging()` as bindings; the cheapest way to run one step. */
  runStaged(program: ProgramHandle, count: number): void;
  /** Runs many steps off the event loop, in turn with other runs, step by step. */
  start(program: ProgramHandle, bindings: Bindings, steps: number): Run;
  /** Ends threads and frees everything. Further calls throw. */
  close(): void;
}

/** Numbers of {@link ProgramFault.code}, as `FaultCode` in native/program/kinds.h. */
export const faultCodes = ['none', 'indexOutOfRange', 'labelOutOfRange'] as const;
export type FaultCode = (typeof faultCodes)[number];

/** A kernel refused its data while a program ran. Worded for users where the program's names are known. */
export class ProgramFault extends Error {
  override readonly name = 'ProgramFault';
  readonly code: FaultCode;
  /** Index of the instruction in the program. */
  readonly instruction: number;
  /** What was met, e.g. the label. */
  readonly value: number;
  /** What it must be below. */
  readonly limit: number;
  /** Steps of the run that had completed before. */
  readonly step: number;
  constructor(code: FaultCode, instruction: number, value: number, limit: number, step: number) {
    super(
      `[program] instruction ${instruction}: ${code}, got ${value}, expected an integer in [0, ${limit})`,
    );
    this.code = code;
    this.instruction = instruction;
    this.value = value;
    this.limit = limit;
    this.step = step;
  }
}
