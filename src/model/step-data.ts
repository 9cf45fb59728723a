// What steps read from: samples, labels and weights, the order they are taken in, and the checks of both.
import type { Samples } from '../data/samples.ts';
import type { Engine, Storage } from '../engine.ts';
import { NablaError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';
import type { Slots } from './slots.ts';

/** Samples, labels and weights that steps read from. */
export interface StepData {
  /** One for each input. */
  readonly x: readonly Samples[];
  /** One for each output that has a loss or metrics. */
  readonly y: readonly Samples[];
  /** For each of the labels, float32 `[samples]` where its samples are weighted. */
  readonly weights: readonly (Tensor | undefined)[];
  /** How the samples and labels were put together. */
  readonly slots: { readonly x: Slots; readonly y: Slots };
}

/** Which samples, in which order, in what batches. */
export interface Order {
  /** int32 indices of samples. */
  readonly storage: Storage;
  /** How many there are. */
  readonly count: number;
  readonly batchSize: number;
}

/** Throws unless the tensor lies in the memory of this engine: a handle means something else on another one. */
export function checkHome(where: string, engine: Engine, tensor: Tensor): void {
  const home = tensor.memory(where).storage.engine;
  if (home === engine) return;
  throw new NablaError(
    where,
    `data and model lie on two backends, got ${tensor} on ${home.backend.info.name}, expected it on ` +
      `${engine.backend.info.name}; make it anew after setBackend(), or copy it with tensor(await t.data(), t.shape)`,
  );
}

/** 0, 1, ... `count - 1`. */
export function ascending(count: number): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: count }, (_, i) => i);
}

/** Throws unless there are as many labels as samples in all inputs and outputs, and some. */
export function checkCounts(where: string, x: readonly Samples[], y: readonly Samples[]): void {
  const { length } = x[0]!;
  const odd = x.find((each) => each.length !== length);
  if (odd !== undefined)
    throw new NablaError(where, `inputs differ in length, got ${length} and ${odd.length} samples`);
  const labels = y.find((each) => each.length !== length) ?? y[0];
  if (length > 0 && (labels === undefined || labels.length === length)) return;
  throw new NablaError(
    where,
    `got ${length} samples and ${labels?.length ?? 0} labels, expected the same number, at least one`,
  );
}
