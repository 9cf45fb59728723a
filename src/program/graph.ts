// The graph that tracing builds: values and the kernel calls that make them, before they are fused, planned and encoded.
import type { DType } from '../dtype.ts';
import { type Shape, sizeOf } from '../shape.ts';
import type { KernelName, MicroName } from './kernels.ts';

/** Memory outside the program: where an external value lives. Tensors and variables are such places. */
export interface Place {
  /** What identifies the buffer; two places of one buffer share a slot. */
  readonly storage: object;
  readonly byteOffset: number;
}

/** Where a value comes from: made by a node, bound at each call, in memory that exists already, or a part of another value. */
export type Source =
  | { readonly kind: 'node' }
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'place'; readonly place: Place }
  | { readonly kind: 'view'; readonly of: Value; readonly byteOffset: number };

/** An array in a program: contiguous, row-major. */
export class Value {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly size: number;
  readonly source: Source;

  constructor(shape: Shape, dtype: DType, source: Source) {
    this.shape = shape;
    this.dtype = dtype;
    this.size = sizeOf(shape);
    this.source = source;
  }

  /** The value whose memory this one is or is a part of, and where in it. */
  root(): { value: Value; byteOffset: number } {
    let value: Value = this;
    let byteOffset = 0;
    while (value.source.kind === 'view') {
      byteOffset += value.source.byteOffset;
      value = value.source.of;
    }
    return { value, byteOffset };
  }
}

/** One micro-operation of a map: registers are numbered inputs first, then micro-operations in order. */
export interface MicroOp {
  readonly op: MicroName;
  /** Registers, immediates or input indices, as the micro-operation's signature says. */
  readonly args: readonly number[];
}

/** One kernel call. */
export interface Node {
  readonly kernel: KernelName;
  /** What it writes; undefined where an optional output is absent. Effects write values that live outside the program. */
  readonly outputs: readonly (Value | undefined)[];
  readonly inputs: readonly (Value | undefined)[];
  /** Attribute words in the order of the kernel list; a map has `micro` instead. */
  readonly attributes: readonly number[];
  readonly micro?: readonly MicroOp[];
  /** The op or layer that made it, for listings and errors. */
  readonly where: string;
  /** Writes memory outside the program, so that it runs even if nobody reads its outputs, and in its place. */
  readonly effect: boolean;
}

/** A traced computation. */
export class Graph {
  readonly nodes: Node[] = [];
  readonly inputs: Value[] = [];
  /** Values that the caller gets, each in memory bound at the call. */
  readonly outputs: Value[] = [];
  /** Values that are computed straight into memory outside the program, nothing else of which is read before. */
  readonly placements = new Map<Value, Place>();
  private readonly places = new Map<object, Map<string, Value>>();
  private streams = 0;

  input(shape: Shape, dtype: DType): Value {
    const value = new Value(shape, dtype, { kind: 'input', index: this.inputs.length });
    this.inputs.push(value);
    return value;
  }

  /** The value of memory that exists already; the same place, shape and dtype give the same value. */
  external(place: Place, shape: Shape, dtype: DType): Value {
    let known = this.places.get(place.storage);
    if (known === undefined) {
      known = new Map();
      this.places.set(place.storage, known);
    }
    const key = `${place.byteOffset}:${dtype}:${shape.join()}`;
    let value = known.get(key);
    if (value === undefined) {
      value = new Value(shape, dtype, { kind: 'place', place });
      known.set(key, value);
    }
    return value;
  }

  /** Adds a kernel call whose results are new values. */
  add(node: Omit<Node, 'effect'>): void {
    this.nodes.push({ ...node, effect: false });
  }

  /** Adds a kernel call that writes memory outside the program. */
  addEffect(node: Omit<Node, 'effect'>): void {
    this.nodes.push({ ...node, effect: true });
  }

  /** A random stream's number, different for each caller. */
  nextStream(): number {
    return this.streams++;
  }
}

/** The 32 bits of a float32, as an attribute word. */
export function floatBits(value: number): number {
  converter[0] = value;
  return bits[0]!;
}
const converter = new Float32Array(1);
const bits = new Int32Array(converter.buffer);
