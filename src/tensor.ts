// Tensors: arrays in backend memory, or values of a program that is being traced; one class for both.
import { type DataOf, type DType, dtypeBytes, fromHalves, newArray } from './dtype.ts';
import { engine, type Storage } from './engine.ts';
import { NablaError } from './errors.ts';
import type { Graph, Value } from './program/graph.ts';
import { type Shape, showShape, sizeOf } from './shape.ts';
import { showArray } from './show.ts';
import { TensorMethods } from './tensor-methods.ts';

/** Nested arrays as `array()` gives them. */
export type NestedArray = number | NestedArray[];

/** Where a tensor's numbers are: in memory, or made by a program that is being traced. */
export type TensorSource =
  | { readonly kind: 'memory'; storage: Storage; byteOffset: number }
  | { readonly kind: 'traced'; readonly graph: Graph; readonly value: Value };

/** Tensors made in each open scope, so that it can dispose of them. */
const scopes: Tensor[][] = [];

/**
 * An array of numbers of one dtype. Immutable: ops give new tensors. Its memory is freed by {@link Tensor.dispose}, at the end of a
 * {@link scope}, or some time after it is collected.
 */
export class Tensor<D extends DType = DType> extends TensorMethods implements Disposable {
  /** Its dimensions, the slowest first; `[]` of a scalar. */
  readonly shape: Shape;
  /** The type of its elements. */
  readonly dtype: D;
  /** Number of elements. */
  readonly size: number;
  /** @internal */
  readonly source: TensorSource;
  /** @internal The number that every element is known to be, for folding into the ops that read it. */
  readonly constant: number | undefined;
  /**
   * Which steps of a batch count, bool `[batch, time]`: false where a step is padding. Undefined where all do. Layers read it and hand it on to
   * their outputs, losses and metrics leave out what it says is padding; ops drop it.
   */
  mask: Tensor | undefined;
  private disposed = false;
  private kept = false;

  /** @internal Use `tensor()`, `zeros()` and their like. */
  constructor(shape: Shape, dtype: D, source: TensorSource, constant?: number) {
    super();
    this.shape = shape;
    this.dtype = dtype;
    this.size = sizeOf(shape);
    this.source = source;
    this.constant = constant;
    if (source.kind === 'memory') {
      source.storage.retain();
      if (scopes.length > 0) scopes[scopes.length - 1]!.push(this);
    }
  }

  /** @internal Whether layers that compute in another dtype read it in that one. */
  get autocasts(): boolean {
    return false;
  }

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /** @internal The memory it lies in; throws inside a trace and after dispose(). */
  memory(where: string): { storage: Storage; byteOffset: number } {
    if (this.source.kind === 'traced') {
      throw new NablaError(
        where,
        'the numbers of a tensor are not known while a function is traced; ' +
          'read them outside of jit(), or compute with where() and other ops instead of if',
      );
    }
    if (this.disposed) {
      throw new NablaError(
        where,
        'this tensor has been disposed of; keep it alive for as long as it is used',
      );
    }
    return this.source;
  }

  /** The numbers, row-major. */
  async data(): Promise<DataOf<D>> {
    return this.dataSync();
  }

  /** The numbers, row-major, waiting for the step that the backend is in. */
  dataSync(): DataOf<D> {
    const { storage, byteOffset } = this.memory('data');
    if (this.dtype === 'bfloat16') {
      const halves = new Uint16Array(this.size);
      storage.engine.backend.read(storage.handle, byteOffset, new Uint8Array(halves.buffer));
      return fromHalves(halves) as DataOf<D>;
    }
    const target = newArray(this.dtype, this.size);
    storage.engine.backend.read(storage.handle, byteOffset, target);
    return target;
  }

  /** The numbers as nested arrays; booleans as 0 and 1. */
  async array(): Promise<NestedArray> {
    return this.arraySync();
  }

  /** As {@link Tensor.array}, at once. */
  arraySync(): NestedArray {
    const data = this.dataSync();
    const nest = (depth: number, offset: number): NestedArray => {
      if (depth === this.rank) return data[offset]!;
      const stride = sizeOf(this.shape.slice(depth + 1));
      return Array.from({ length: this.shape[depth]! }, (_, i) => nest(depth + 1, offset + i * stride));
    };
    return nest(0, 0);
  }

  /** The only number of a tensor of one element. */
  item(): number {
    if (this.size !== 1) {
      throw new NablaError('item', `expected one element, got shape ${showShape(this.shape)}; use data()`);
    }
    return this.dataSync()[0]!;
  }

  /** Frees the memory, unless other tensors view it. Further use throws. Safe to call twice. */
  dispose(): void {
    if (this.source.kind !== 'memory' || this.disposed) return;
    this.disposed = true;
    this.source.storage.release();
  }

  /** Has {@link Tensor.dispose} been called? */
  get isDisposed(): boolean {
    return this.disposed;
  }

  /** Frees the memory, at the end of a block with `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal Keeps it beyond the scope that it was made in. */
  keep(): this {
    this.kept = true;
    return this;
  }

  /** @internal Whether it outlives the scope that it was made in. */
  get isKept(): boolean {
    return this.kept;
  }

  override toString(): string {
    return `Tensor(${this.dtype}${showShape(this.shape)})`;
  }

  /** Writes dtype, shape and numbers to the console; of more than 1,000 elements those at the edges. */
  print(): void {
    console.log(this.describe());
  }

  /** What Node.js shows in `console.log(tensor)`. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.describe();
  }

  private describe(): string {
    if (this.source.kind === 'traced') return `${this} (being traced)`;
    return this.disposed
      ? `${this} (disposed)`
      : `${this}\n${showArray(this.dataSync(), this.shape, this.dtype)}`;
  }
}

// Symbol.dispose is missing before Node 20.4 and in some edge runtimes; `using` needs it, and defining it is what compilers do.
if (Symbol.dispose === undefined) {
  Object.defineProperty(Symbol, 'dispose', { value: Symbol.for('Symbol.dispose') });
}

/** Any tensor or number in results that are arrays and objects of them. */
export function tensorsIn(value: unknown, found: Tensor[] = []): Tensor[] {
  if (value instanceof Tensor) found.push(value);
  else if (Array.isArray(value)) for (const item of value) tensorsIn(item, found);
  else if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) tensorsIn(item, found);
  }
  return found;
}

/**
 * Runs `body` and disposes of every tensor made in it, except those in its result (a tensor, or arrays and objects of tensors).
 * `body` is synchronous.
 */
export function scope<T>(body: () => T): T {
  const made: Tensor[] = [];
  scopes.push(made);
  let result: T;
  try {
    result = body();
  } catch (error) {
    scopes.pop();
    for (const tensor of made) if (!tensor.isKept) tensor.dispose();
    throw error;
  }
  scopes.pop();
  const given = new Set(tensorsIn(result));
  for (const { mask } of [...given]) if (mask !== undefined) given.add(mask);
  const outer = scopes.at(-1);
  for (const tensor of made) {
    if (tensor.isKept) continue;
    if (given.has(tensor)) outer?.push(tensor);
    else tensor.dispose();
  }
  return result;
}

/**
 * Bytes and counts of what the backend in use holds. Buffers that were let go by hand and are kept for the next results, 128 MiB at most, are not among
 * `buffers` and `bufferBytes`; `peakBytes` has them.
 */
export function memory() {
  return engine().blocks.memory();
}

/** Bytes of a tensor's numbers. */
export function bytesOf(tensor: Tensor): number {
  return tensor.size * dtypeBytes[tensor.dtype];
}
