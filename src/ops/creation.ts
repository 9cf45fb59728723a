// Making tensors: from numbers, filled, counted.
import {
  type DataOf,
  type DType,
  dtypeBytes,
  fromHalves,
  isDType,
  isFloating,
  newArray,
  toHalves,
  toStored,
} from '../dtype.ts';
import { engine, Storage } from '../engine.ts';
import { describe, NablaError, unknownName } from '../errors.ts';
import { checkShape, type Shape, showShape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { MapBuilder } from './map.ts';

/** What `tensor()` takes: numbers, nested arrays of them, or typed arrays. */
export type TensorData = number | boolean | readonly TensorData[] | NumericArray;

/** Arrays that are taken for numbers. */
export type NumericArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Uint8Array
  | Uint8ClampedArray;

/**
 * A tensor from numbers. The shape is that of the nesting, or `shape`; the dtype is float32 for numbers and float arrays, int32 for the
 * wider integer arrays, uint8 for byte arrays, bool for booleans, or `dtype`.
 *
 * @example tensor([[1, 2], [3, 4]]) // float32 [2, 2]
 */
export function tensor<D extends DType = DType>(
  data: TensorData,
  shape?: Shape,
  dtype?: D,
): Tensor<NoInfer<D>> {
  const where = 'tensor';
  if (dtype !== undefined && !isDType(dtype))
    throw unknownName(where, 'dtype', dtype, Object.keys(dtypeBytes));
  const { values, nesting } = flatten(where, data);
  const target = shape ?? nesting;
  checkShape(where, target);
  if (sizeOf(target) !== values.length) {
    throw new NablaError(
      where,
      `the data do not fill the shape, got ${values.length} numbers, expected ${sizeOf(target)} for ${showShape(target)}`,
    );
  }
  const type = (dtype ?? defaultDType(data, values)) as D;
  return fromArray(convert(values, type), target, type);
}

/** A tensor over a copy of an array that has the dtype's own form. */
export function fromArray<D extends DType>(values: DataOf<D>, shape: Shape, dtype: D): Tensor<D> {
  const stored = toStored(values, dtype);
  const home = engine();
  const storage = new Storage(home, stored.byteLength, undefined, home.blocks.unset(stored.byteLength));
  home.backend.write(storage.handle, 0, stored);
  return new Tensor([...shape], dtype, { kind: 'memory', storage, byteOffset: 0 });
}

function flatten(
  where: string,
  data: TensorData,
): { values: ArrayLike<number | boolean>; nesting: number[] } {
  if (ArrayBuffer.isView(data)) {
    if (data instanceof BigInt64Array || data instanceof BigUint64Array || data instanceof DataView) {
      throw new NablaError(
        where,
        `unsupported array, got ${describe(data)}, expected float, int or byte arrays`,
      );
    }
    return { values: data as NumericArray, nesting: [(data as NumericArray).length] };
  }
  const nesting: number[] = [];
  for (let level: TensorData = data; Array.isArray(level); level = level[0] as TensorData) {
    nesting.push(level.length);
    if (level.length === 0) break;
  }
  const values: (number | boolean)[] = [];
  const walk = (item: TensorData, depth: number): void => {
    if (Array.isArray(item) && depth < nesting.length) {
      if (item.length !== nesting[depth]) {
        throw new NablaError(
          where,
          `nested arrays differ in length, got ${item.length} at depth ${depth}, expected ${nesting[depth]}`,
        );
      }
      for (const inner of item) walk(inner as TensorData, depth + 1);
    } else if ((typeof item === 'number' || typeof item === 'boolean') && depth === nesting.length) {
      values.push(item);
    } else {
      throw new NablaError(
        where,
        `expected numbers at depth ${nesting.length}, got ${describe(item)} at ${depth}`,
      );
    }
  };
  walk(data, 0);
  return { values, nesting };
}

function defaultDType(data: TensorData, values: ArrayLike<number | boolean>): DType {
  if (data instanceof Uint8Array || data instanceof Uint8ClampedArray) return 'uint8';
  const wide = [Int8Array, Int16Array, Uint16Array, Int32Array, Uint32Array];
  if (wide.some((type) => data instanceof type)) return 'int32';
  return values.length > 0 && typeof values[0] === 'boolean' ? 'bool' : 'float32';
}

function convert<D extends DType>(values: ArrayLike<number | boolean>, dtype: D): DataOf<D> {
  if (isFloating(dtype) && values instanceof Float32Array) return values as DataOf<D>;
  if (dtype === 'int32' && values instanceof Int32Array) return values as DataOf<D>;
  if (dtype === 'uint8' && values instanceof Uint8Array) return values as DataOf<D>;
  const target = newArray(dtype, values.length);
  if (dtype === 'bool') for (let i = 0; i < values.length; i++) target[i] = values[i] ? 1 : 0;
  else target.set(values as ArrayLike<number>);
  return target;
}

/** A tensor whose every element is `value`. Default dtype float32. */
export function fill<D extends DType = 'float32'>(
  shape: Shape,
  value: number,
  dtype?: D,
): Tensor<NoInfer<D>> {
  checkShape('fill', shape);
  const type = (dtype ?? 'float32') as D;
  // The number as the dtype holds it.
  const held = newArray(type, 1).fill(type === 'bool' ? Number(value !== 0) : value);
  const stored = (type === 'bfloat16' ? fromHalves(toHalves(held as Float32Array)) : held)[0]!;
  const builder = new MapBuilder('fill');
  builder.constant(stored, isFloating(type) ? 'float' : 'int');
  const made = builder.build(type, shape) as Tensor<D>;
  // Inside a trace the number itself travels to the ops that read it; nothing is stored unless something needs the memory.
  return tracing() === undefined ? made : new Tensor<D>(made.shape, type, made.source, stored);
}

/** Zeros, float32 unless given. */
export function zeros<D extends DType = 'float32'>(shape: Shape, dtype?: D): Tensor<NoInfer<D>> {
  return fill(shape, 0, dtype);
}

/** Ones, float32 unless given. */
export function ones<D extends DType = 'float32'>(shape: Shape, dtype?: D): Tensor<NoInfer<D>> {
  return fill(shape, 1, dtype);
}

/** Zeros of another tensor's shape and dtype. */
export function zerosLike<D extends DType>(x: Tensor<D>): Tensor<D> {
  return fill(x.shape, 0, x.dtype);
}

/** Ones of another tensor's shape and dtype. */
export function onesLike<D extends DType>(x: Tensor<D>): Tensor<D> {
  return fill(x.shape, 1, x.dtype);
}

/** Evenly spaced numbers from `start` up to but without `stop`, as NumPy's arange. Default step 1, dtype int32. */
export function range<D extends DType = 'int32'>(
  start: number,
  stop: number,
  step = 1,
  dtype?: D,
): Tensor<NoInfer<D>> {
  if (step === 0 || !Number.isFinite(step)) {
    throw new NablaError('range', `bad step, got ${step}, expected a finite number other than 0`);
  }
  const type = (dtype ?? 'int32') as D;
  if (!isFloating(type) && !(Number.isInteger(start) && Number.isInteger(step))) {
    throw new NablaError(
      'range',
      `fractions do not fit ${type}, got start ${start} and step ${step}; pass the dtype 'float32'`,
    );
  }
  const size = Math.max(0, Math.ceil((stop - start) / step));
  const b = new MapBuilder('range');
  if (isFloating(type)) {
    b.op('mulAdd', b.op('toFloat', b.index()), b.constant(step, 'float'), b.constant(start, 'float'));
  } else {
    b.op('addInt', b.op('mulInt', b.index(), b.constant(step, 'int')), b.constant(start, 'int'));
  }
  return b.build(type, [size]) as Tensor<D>;
}

/** `count` evenly spaced float32 numbers from `start` to `stop`, both included. */
export function linspace(start: number, stop: number, count: number): Tensor<'float32'> {
  const b = new MapBuilder('linspace');
  const step = count > 1 ? (stop - start) / (count - 1) : 0;
  b.op('mulAdd', b.op('toFloat', b.index()), b.constant(step, 'float'), b.constant(start, 'float'));
  return b.build('float32', [count]) as Tensor<'float32'>;
}

/** The identity matrix, or a rectangle of it. */
export function eye(rows: number, columns = rows): Tensor<'float32'> {
  const b = new MapBuilder('eye');
  const width = b.constant(columns, 'int');
  const index = b.index();
  const same = b.op('equalInt', b.op('floorDivInt', index, width), b.op('modInt', index, width));
  b.op('toFloat', same);
  return b.build('float32', [rows, columns]) as Tensor<'float32'>;
}
