// Rows by index: gather, its gradient, one-hot rows.
import { record } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import { floatBits } from '../program/graph.ts';
import { gatherModes } from '../program/kernels.ts';
import { normalizeAxis, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { computeDType, computeIn, emit, placeName } from '../trace.ts';
import { cast } from './compare.ts';
import { MapBuilder } from './map.ts';
import { reshape } from './shape.ts';

/** The rows of `table` (or slices along another `axis`) that `indices` (int32, any shape) name; they take the place of that axis. */
export function gather(table: Tensor, indices: Tensor, axis = 0): Tensor {
  if (table.rank === 0) throw new NablaError('gather', 'a scalar has no rows, got a table of shape []');
  const dtype = computeDType();
  // Rows are converted, not the whole table.
  if (dtype !== undefined && table.autocasts)
    return cast(
      computeIn(undefined, () => gather(table, indices, axis)),
      dtype,
    );
  const at = normalizeAxis('gather', axis, table.rank);
  if (at > 0) return gatherAlong(table, cast(indices, 'int32'), at);
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

/** Rows of `[outer, count]` rows: each of `outer` has the same indices. */
function gatherAlong(table: Tensor, indices: Tensor, axis: number): Tensor {
  const lead = table.shape.slice(0, axis);
  const outer = sizeOf(lead);
  const count = table.shape[axis]!;
  const b = new MapBuilder('gather');
  const index = b.load(reshape(indices, [1, indices.size]), 'int');
  const int = (value: number) => b.constant(value, 'int');
  const first = b.op('mulInt', b.op('floorDivInt', b.index(), int(indices.size)), int(count));
  // An index that is out of range must not land in the next row.
  const bad = b.op('orInt', b.op('lessInt', index, int(0)), b.op('lessEqualInt', int(count), index));
  b.op('selectInt', bad, int(-1), b.op('addInt', first, index));
  const rows = b.build('int32', [outer, indices.size]);
  const rest = table.shape.slice(axis + 1);
  return reshape(gather(reshape(table, [outer * count, ...rest]), rows), [
    ...lead,
    ...indices.shape,
    ...rest,
  ]);
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
