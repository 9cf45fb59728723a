// Weights of samples in the loss, given one by one or by class; and the weights of a model, out and in.
import type { Samples } from '../data/samples.ts';
import { describe, NablaError } from '../errors.ts';
import { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';

/** Copies of weights. */
export function readWeights(weights: readonly Variable<'float32'>[]): Float32Array[] {
  return weights.map((weight) => weight.dataSync());
}

/** Puts weights in place, all or none. */
export function writeWeights(
  where: string,
  weights: readonly Variable<'float32'>[],
  values: readonly (Float32Array | Tensor)[],
): void {
  if (values.length !== weights.length) {
    throw new NablaError(where, `got ${values.length} weights, expected ${weights.length}`);
  }
  const arrays = values.map((value) => (value instanceof Tensor ? value.dataSync() : value));
  weights.forEach((weight, i) => {
    const value = arrays[i]!;
    if (!(value instanceof Float32Array) || value.length !== weight.size) {
      throw new NablaError(
        where,
        `weight ${i} (${weight.name}) does not fit, got ${describe(value)} of ${value.length}, expected ${weight.size} float32 numbers`,
      );
    }
  });
  weights.forEach((weight, i) => {
    const { storage, byteOffset } = weight.memory(where);
    storage.engine.backend.write(storage.handle, byteOffset, arrays[i] as Float32Array);
  });
}

/** The weights as float32, one a sample. */
export function sampleWeights(
  where: string,
  given: Float32Array | readonly number[] | Tensor,
  count: number,
): Float32Array<ArrayBuffer> {
  const values = Float32Array.from(given instanceof Tensor ? given.dataSync() : given);
  if (values.length !== count || !values.every(Number.isFinite)) {
    throw new NablaError(
      where,
      `bad sampleWeight, got ${values.length} numbers, expected ${count} finite ones, one a sample`,
    );
  }
  return values;
}

/** The weight of each sample's class. Labels are class indices, or rows whose largest entry is the class. */
export function classWeights(
  where: string,
  weights: Readonly<Record<number, number>>,
  labels: Samples,
): Float32Array<ArrayBuffer> {
  return classWeightsOf(where, weights, labels.tensor.dataSync(), labels.length);
}

/** The same for labels in an array of `count` rows. */
export function classWeightsOf(
  where: string,
  weights: Readonly<Record<number, number>>,
  labels: Float32Array | Int32Array | Uint8Array,
  count: number,
): Float32Array<ArrayBuffer> {
  for (const [name, weight] of Object.entries(weights)) {
    if (!Number.isInteger(Number(name)) || !Number.isFinite(weight)) {
      throw new NablaError(
        where,
        `bad classWeight, got ${name}: ${weight}, expected class indices and finite numbers`,
      );
    }
  }
  const width = labels.length / Math.max(1, count);
  return Float32Array.from({ length: count }, (_, i) => {
    const row = labels.subarray(i * width, (i + 1) * width);
    const label = width === 1 ? row[0]! : row.indexOf(Math.max(...row));
    return weights[label] ?? 1;
  });
}
