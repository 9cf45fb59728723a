// Rows by index: gather, its gradient, one-hot rows.
import { record } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import { floatBits } from '../program/graph.ts';
import { gatherModes } from '../program/kernels.ts';
import { sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, placeName } from '../trace.ts';
import { cast } from './compare.ts';
import { reshape } from './shape.ts';

/** The rows of `table` (its first dimension) that `indices` (int32, any shape) name. */
export function gather(table: Tensor, indices: Tensor): Tensor {
  if (table.rank === 0) throw new NablaError('gather', 'a scalar has no rows, got a table of shape []');
  const rowShape = table.shape.slice(1);
  const rowSize = sizeOf(rowShape);
  const wanted = cast(indices, 'int32');
  const attributes = [wanted.size, table.shape[0]!, rowSize, gatherModes.copy, floatBits(1), floatBits(0)];
  const out = emit({
    kernel: 'gather',
    outputs: [{ shape: [...wanted.shape, ...rowShape], dtype: table.dtype }],
    inputs: [table, wanted, undefined],
    attributes,
    where: placeName('gather'),
  })[0]!;
  record('gather', [out], [table], (dy) => [
    dy && reshape(scatterAdd(dy, wanted, table.shape[0]!, rowSize), table.shape),
  ]);
  return out;
}

/** A float32 table `[rows, rowSize]` of zeros, with the rows of `source` added where `indices` say, in their order. */
export function scatterAdd(source: Tensor, indices: Tensor, rows: number, rowSize: number): Tensor {
  const out = emit({
    kernel: 'scatterAdd',
    outputs: [{ shape: [rows, rowSize], dtype: 'float32' }],
    inputs: [source, indices],
    attributes: [indices.size, rows, rowSize, 0],
    where: placeName('scatterAdd'),
  })[0]!;
  record('scatterAdd', [out], [source], (dy) => [dy && reshape(gather(dy, indices), source.shape)]);
  return out;
}

/** Rows of zeros with a one where the class is: class indices `[...]` give float32 `[..., classes]`. */
export function oneHot(labels: Tensor, classes: number): Tensor<'float32'> {
  if (!Number.isInteger(classes) || classes < 1) {
    throw new NablaError('oneHot', `bad number of classes, got ${classes}, expected an integer >= 1`);
  }
  const table = labels.dtype === 'uint8' ? labels : cast(labels, 'int32');
  // Every label once, in order.
  const order = countUp(labels.size);
  const out = emit({
    kernel: 'gather',
    outputs: [{ shape: [...labels.shape, classes], dtype: 'float32' }],
    inputs: [table, order, undefined],
    attributes: [labels.size, labels.size, classes, gatherModes.oneHot, floatBits(1), floatBits(0)],
    where: placeName('oneHot'),
  })[0]!;
  record('oneHot', [out], [labels], () => [undefined]);
  return out as Tensor<'float32'>;
}

function countUp(size: number): Tensor {
  const micro = [{ op: 'index' as const, args: [] }];
  const outputs = [{ shape: [size], dtype: 'int32' as const }];
  return emit({ kernel: 'map', outputs, inputs: [], attributes: [], micro, where: 'oneHot' })[0]!;
}
