// Batches: the rows of samples, labels and weights that a step gathers from their tables, as tensors of its program.
import type { Samples } from '../data/samples.ts';
import { isHalf } from '../dtype.ts';
import type { Bound } from '../engine.ts';
import { NablaError } from '../errors.ts';
import { floatBits, type Graph, Value } from '../program/graph.ts';
import { gatherModes } from '../program/kernels.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { counterIndex, type TrainingMemory } from './arena.ts';

/** What batches are gathered from. */
export interface BatchSpec {
  readonly batchSize: number;
  /** Indices in the order that batches are taken from. */
  readonly orderLength: number;
  readonly x: readonly Samples[];
  readonly y: readonly Samples[];
  /** For each of the labels, whether its samples have weights, `[samples]` float32. */
  readonly weighted: readonly boolean[];
  readonly memory: TrainingMemory;
}

/** A batch as tensors of the program. */
export interface BatchTensors {
  readonly x: readonly Tensor[];
  readonly y: readonly Tensor[];
  readonly weights: readonly (Tensor | undefined)[];
}

/** Memory that a step reads its batch from, in the order that its program takes it. */
export interface BatchSource {
  readonly x: readonly Tensor[];
  readonly y: readonly Tensor[];
  readonly order: Bound;
  readonly weights: readonly (Tensor | undefined)[];
}

/** The inputs of a step's program. */
export function bindSource({ x, y, order, weights }: BatchSource): Bound[] {
  const at = (tensor: Tensor) => tensor.memory('fit');
  return [...x.map(at), ...y.map(at), order, ...weights.flatMap((each) => (each ? [at(each)] : []))];
}

/** The next batch: rows of the tables in the order given, from the cursor on. */
export function gatherBatch(graph: Graph, spec: BatchSpec): BatchTensors {
  const { x, y, batchSize, weighted, memory } = spec;
  const tables = [...x, ...y].map(({ tensor }) => graph.input(tensor.shape, tensor.dtype));
  const order = graph.input([spec.orderLength], 'int32');
  const weightTables = weighted.map((given, i) =>
    given ? graph.input([y[i]!.length], 'float32') : undefined,
  );
  const place = { storage: memory.counters, byteOffset: counterIndex.cursor * 4 };
  const cursor = graph.external(place, [1], 'int32');
  const fetch = (
    table: Value,
    sampleShape: Shape,
    dtype: 'float32' | 'int32' | 'uint8',
    rows: ReturnType<Samples['gatherAttributes']>,
    where: string,
  ): Tensor => {
    const { mode, rowSize, scale, shift } = rows;
    const out = new Value([batchSize, ...sampleShape], dtype, { kind: 'node' });
    graph.add({
      kernel: 'gather',
      outputs: [out],
      inputs: [table, order, cursor],
      attributes: [
        batchSize,
        table.shape[0]!,
        rowSize,
        gatherModes[mode],
        floatBits(scale),
        floatBits(shift),
      ],
      where,
    });
    return new Tensor(out.shape, dtype, { kind: 'traced', graph, value: out });
  };
  const rowsOf = (samples: Samples, table: Value, dtype: 'float32' | 'int32' | 'uint8', where: string) =>
    fetch(table, samples.sampleShape, dtype, samples.gatherAttributes(dtype), where);
  const plain = { mode: 'copy', rowSize: 1, scale: 1, shift: 0 } as const;
  return {
    x: x.map((each, i) => rowsOf(each, tables[i]!, batchDType(each, 'float32'), 'x')),
    y: y.map((each, i) => {
      const dtype = batchDType(each, each.sampleShape.length === 0 ? undefined : 'float32');
      return rowsOf(each, tables[x.length + i]!, dtype, 'y');
    }),
    weights: weightTables.map((table) => table && fetch(table, [], 'float32', plain, 'sampleWeight')),
  };
}

/** The dtype of a batch's rows: integers become float32, but class indices stay as they are. */
export function batchDType(samples: Samples, wanted: 'float32' | undefined): 'float32' | 'int32' | 'uint8' {
  if (samples.dtype === 'bool') {
    throw new NablaError('fit', `bool data are not supported, got ${samples}; use cast(x, 'float32')`);
  }
  return wanted ?? (isHalf(samples.dtype) ? 'float32' : samples.dtype);
}
