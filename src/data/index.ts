// Data sets, for every platform: `data.fromArray(...)`, `data.csv(...)`.

export type { NumericArray } from '../ops/creation.ts';
export { type CsvColumn, type CsvOptions, type CsvRow, csv, type FeaturesOptions, features } from './csv.ts';
export {
  type BatchOptions,
  Dataset,
  type DatasetFacts,
  DatasetIterator,
  type InterleaveOptions,
  type MapOptions,
  type PaddedBatchOptions,
  type ShuffleOptions,
  type WindowOptions,
} from './dataset.ts';
export type { Batched, BatchedPart, NdArray, NestedNumbers } from './element.ts';
export { idx } from './idx-rows.ts';
export type { ParallelMapOptions } from './parallel.ts';
export type { ElementInfo } from './pass.ts';
export {
  type ElementOf,
  fromArray,
  fromAsyncIterator,
  fromGenerator,
  fromTensorSlices,
  fromTensors,
  type Row,
  type Rows,
  range,
  type Slices,
  zip,
} from './sources.ts';
export { type ByteSource, type Chunks, type TextLinesOptions, textLines } from './text.ts';
