// The native backend: puts one of the addon's devices, the CPU or a GPU, behind the Backend contract.

import { availableParallelism } from 'node:os';
import { describe, NablaError } from '../errors.ts';
import { type DeviceOptions, loadAddon, type NativeDevice, type NativeFault } from './addon.ts';
import {
  type Backend,
  type BackendInfo,
  type BackendMemory,
  type BackendName,
  type Bindings,
  type BufferHandle,
  faultCodes,
  type HostArray,
  ProgramFault,
  type ProgramHandle,
  type Run,
  type RunResult,
  stagedNumbers,
} from './backend.ts';

/** Options of {@link openNative}. */
export interface NativeOptions {
  /** Threads that work on one instruction, the calling one counted, 1 to 256. Default: one for each processor. */
  readonly threads?: number;
  /** Instruction set whose kernels to use, e.g. `'avx2'`; for tests. Default: the fastest that the processor runs. */
  readonly instructionSet?: string;
  /** The addon's file. Default: `NABLA_ADDON` of the environment, else the places where builds put it. */
  readonly addonPath?: string;
}

const mostThreads = 256;

/**
 * The addon's errors read `[native.method] message` already: the same as the library's class, for the backend that was called. Methods
 * return them (native/napi/arguments.h).
 */
function toNablaError(error: unknown, name: BackendName): unknown {
  if (!(error instanceof Error) || error instanceof NablaError) return error;
  const match = /^\[native([^\]]*)\] ([\s\S]*)$/.exec(error.message);
  return match ? new NablaError(`${name}${match[1] ?? ''}`, match[2] ?? '', { cause: error }) : error;
}

function guard<T>(name: BackendName, call: () => T): T {
  let result: T;
  try {
    result = call();
  } catch (error) {
    throw toNablaError(error, name);
  }
  if (result instanceof Error) throw toNablaError(result, name);
  return result;
}

function toError(name: BackendName, fault: NativeFault, step: number): Error {
  const [code, instruction, value, limit, error] = fault;
  if (error !== '') return new NablaError(`${name}.run`, error);
  return new ProgramFault(faultCodes[code] ?? 'none', instruction, value, limit, step);
}

/**
 * A few numbers on their way to the addon and back. V8 keeps arrays of up to 64 bytes in its heap, and moves each out, in microseconds,
 * when native code asks where it lies.
 */
class Staging {
  private static readonly bytes = 64;
  private readonly floats: Float32Array;
  private readonly ints: Int32Array;
  private readonly octets: Uint8Array;

  constructor() {
    const buffer = new ArrayBuffer(Staging.bytes);
    this.floats = new Float32Array(buffer);
    this.ints = new Int32Array(buffer);
    this.octets = new Uint8Array(buffer);
  }

  /** An array like this one to hand over in its place; undefined for arrays that are not small. */
  for(array: HostArray): HostArray | undefined {
    const { byteLength, length } = array;
    if (byteLength === 0 || byteLength > Staging.bytes) return undefined;
    if (array instanceof Float32Array) return this.floats.subarray(0, length);
    if (array instanceof Int32Array) return this.ints.subarray(0, length);
    return array instanceof Uint8Array ? this.octets.subarray(0, length) : undefined;
  }
}

class NativeBackend implements Backend {
  readonly info: BackendInfo;
  readonly copiesBeside: boolean;
  readonly #device: NativeDevice;
  readonly #staging = new Staging();
  // A program, a number of bindings, and the bindings, in a buffer of its own: the addon keeps its address.
  readonly #staged = new Float64Array(new ArrayBuffer(8 * (2 + stagedNumbers)));
  readonly #bindings = this.#staged.subarray(2);
  readonly #runStaged: () => NativeFault | Error | undefined;

  readonly #name: BackendName;

  constructor(name: BackendName, device: NativeDevice) {
    this.#name = name;
    this.#device = device;
    this.info = { name, ...device.info() };
    this.copiesBeside = name === 'cuda';
    this.#runStaged = device.stagedRun(this.#staged);
  }

  memory(): BackendMemory {
    return guard(this.#name, () => this.#device.memory());
  }

  allocate(bytes: number): BufferHandle {
    return guard(this.#name, () => this.#device.allocate(bytes));
  }

  free(buffer: BufferHandle): void {
    guard(this.#name, () => this.#device.free(buffer));
  }

  own(buffer: BufferHandle, bytes: number): object {
    return guard(this.#name, () => this.#device.own(buffer, bytes));
  }

  write(buffer: BufferHandle, byteOffset: number, source: HostArray): void {
    const staged = this.#staging.for(source);
    staged?.set(source);
    guard(this.#name, () => this.#device.write(buffer, byteOffset, staged ?? source));
  }

  read(buffer: BufferHandle, byteOffset: number, target: HostArray): void {
    const staged = this.#staging.for(target);
    guard(this.#name, () => this.#device.read(buffer, byteOffset, staged ?? target));
    if (staged) target.set(staged);
  }

  load(words: Int32Array): ProgramHandle {
    return guard(this.#name, () => this.#device.load(words));
  }

  unload(program: ProgramHandle): void {
    guard(this.#name, () => this.#device.unload(program));
  }

  run(program: ProgramHandle, bindings: Bindings): void {
    const fault = guard(this.#name, () => this.#device.run(program, bindings));
    if (fault !== undefined) throw toError(this.#name, fault, 0);
  }

  staging(): Bindings {
    return this.#bindings;
  }

  runStaged(program: ProgramHandle, count: number): void {
    this.#staged[0] = program;
    this.#staged[1] = count;
    const answer = this.#runStaged();
    if (answer === undefined) return;
    throw answer instanceof Error ? toNablaError(answer, this.#name) : toError(this.#name, answer, 0);
  }

  start(program: ProgramHandle, bindings: Bindings, steps: number): Run {
    let end: (fault: NativeFault | null, completed: number) => void = () => {};
    const done = new Promise<RunResult>((settle, reject) => {
      end = (fault, completed) => {
        if (fault === null) settle({ steps: completed });
        else reject(toError(this.#name, fault, completed));
      };
    });
    // Not inside the promise: bad input is thrown at once.
    const run = guard(this.#name, () => this.#device.start(program, bindings, steps, end));
    return { done, stop: () => this.#device.stop(run) };
  }

  close(): void {
    this.#device.close();
  }
}

/**
 * Opens a device of the native addon. Node only.
 *
 * Buffers that are freed, and programs that are unloaded, while a run uses them stay alive until it ends; their handles are
 * invalid at once. `close` cuts runs off; their `done` then resolves with the steps completed.
 *
 * @throws {NablaError} when no addon can be loaded (it lists what was tried), or an option is out of range.
 */
export function openNative(options: NativeOptions = {}): Backend {
  const { threads = Math.min(availableParallelism(), mostThreads), instructionSet } = options;
  if (!Number.isInteger(threads) || threads < 1 || threads > mostThreads) {
    throw new NablaError(
      'native.open',
      `number of threads, got ${describe(threads)}, expected an integer from 1 to ${mostThreads}`,
    );
  }
  return openDevice('native', { threads, instructionSet }, options.addonPath);
}

/** Opens one of the addon's devices. */
export function openDevice(name: BackendName, options: DeviceOptions, addonPath?: string): Backend {
  const addon = loadAddon(addonPath);
  return guard(name, () => new NativeBackend(name, new addon.Device(options)));
}
