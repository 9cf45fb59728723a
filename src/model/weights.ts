// Weights of samples in the loss: given one by one, or by class.
import type { Samples } from '../data/samples.ts';
import { NablaError } from '../errors.ts';
import { Tensor } from '../tensor.ts';

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
  for (const [name, weight] of Object.entries(weights)) {
    if (!Number.isInteger(Number(name)) || !Number.isFinite(weight)) {
      throw new NablaError(
        where,
        `bad classWeight, got ${name}: ${weight}, expected class indices and finite numbers`,
      );
    }
  }
  const values = labels.tensor.dataSync();
  const width = values.length / Math.max(1, labels.length);
  return Float32Array.from({ length: labels.length }, (_, i) => {
    const row = values.subarray(i * width, (i + 1) * width);
    const label = width === 1 ? row[0]! : row.indexOf(Math.max(...row));
    return weights[label] ?? 1;
  });
}
