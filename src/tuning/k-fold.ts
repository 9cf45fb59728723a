// Cross-validation: a model for each share of the samples that is held back.

import { derivedSeed } from '../data/pass.ts';
import { asSamples, type SampleData, type Samples } from '../data/samples.ts';
import { NablaError } from '../errors.ts';
import type { FitOptions } from '../model/fit-options.ts';
import type { Logs } from '../model/history.ts';
import type { Model } from '../model/model.ts';
import { type ModelData, slotsOf, Taken } from '../model/slots.ts';
import { type Nested, nest } from '../nested.ts';
import { checkOptions } from '../options.ts';
import { Philox } from '../random.ts';
import type { Tensor } from '../tensor.ts';
import { builderHere, type ModelBuilder, Trials } from './parallel.ts';
import { checkLeast, classesOf, takeRows } from './rows.ts';

/** Options of {@link foldIndices}. */
export interface FoldOptions {
  /** How many folds, at least 2. Default 5. */
  folds?: number;
  /** Whether samples are put in random order first. Default true. */
  shuffle?: boolean;
  /** Of that order. Default 0. */
  seed?: number;
  /** Class indices or one-hot rows: every fold gets its share of each class. Default: folds do not look at classes. */
  stratify?: SampleData;
}

/** The rows of a fold. */
export interface Fold {
  /** Rows to train on. */
  readonly train: Int32Array;
  /** Rows that are held back; each row is in one fold. */
  readonly validation: Int32Array;
}

/**
 * Splits rows 0 to `count - 1` into folds of equal size, or one more.
 *
 * @throws NablaError when there are fewer samples than folds
 * @example for (const { train, validation } of foldIndices(100, { folds: 4 })) console.log(train.length, validation.length);
 */
export function foldIndices(count: number, options: FoldOptions = {}): Fold[] {
  const where = 'kFold';
  const { folds = 5, shuffle = true, seed = 0, stratify } = options;
  checkLeast(where, 'folds', folds, 2);
  if (count < folds)
    throw new NablaError(where, `got ${count} samples for ${folds} folds, expected at least one for each`);
  const order = shuffle
    ? new Philox(seed).permutation(count)
    : Int32Array.from({ length: count }, (_, i) => i);
  if (stratify !== undefined) groupByClass(where, order, stratify);
  // Dealt out like cards where samples lie class by class; in stretches where they are in order.
  const foldOf = (place: number) =>
    stratify === undefined ? Math.floor((place * folds) / count) : place % folds;
  const parts = Array.from({ length: folds }, (_, fold) =>
    order.filter((_row, place) => foldOf(place) === fold),
  );
  return parts.map((validation, fold) => ({
    validation,
    train: order.filter((_row, place) => foldOf(place) !== fold),
  }));
}

/** Puts rows of one class beside each other, in the order that they have. */
function groupByClass(where: string, order: Int32Array, stratify: SampleData): void {
  const { samples, made } = asSamples(where, 'stratify', stratify);
  try {
    if (samples.length !== order.length)
      throw new NablaError(where, `got ${samples.length} labels in stratify, expected ${order.length}`);
    const classes = classesOf(where, samples);
    const place = new Map([...order].map((row, i) => [row, i]));
    order.sort((a, b) => classes[a]! - classes[b]! || place.get(a)! - place.get(b)!);
  } finally {
    if (made) samples.dispose();
  }
}

/** Options of {@link kFold}: those of fit, and how folds are made. */
export interface KFoldOptions
  extends Omit<FitOptions, 'validationData' | 'validationSplit' | 'sampleWeight' | 'resume' | 'shuffle'>,
    FoldOptions {
  /**
   * Folds that are trained at a time, each on a worker thread of its own with one thread of the backend. `build` is then `{ module, name }`, or a function
   * that takes all it needs from its parameter, the library. Node.js only. Default: one after the other, here.
   */
  workers?: number;
}

/** What {@link kFold} gives. */
export interface KFoldResult {
  /** Loss and metrics of each fold, on the samples that were held back. */
  readonly folds: Logs[];
  /** Their mean. */
  readonly mean: Logs;
  /** Their standard deviation, of the sample (`n - 1`). */
  readonly std: Logs;
}

/**
 * Trains a new model for each fold on the other folds' samples and evaluates it on those held back. Models are disposed of.
 *
 * @param build makes a compiled model: a function, called once a fold, or `{ module, name }`
 * @throws NablaError when there are fewer samples than folds, or options make no sense
 * @example
 * const { mean, std } = await kFold(build, x, y, { folds: 5, stratify: y, epochs: 10, verbose: 0 });
 * console.log(`${mean.accuracy} ± ${std.accuracy}`);
 */
export async function kFold(
  build: ModelBuilder<[], Model<Nested<Tensor>>>,
  x: ModelData,
  y: ModelData,
  options: KFoldOptions = {},
): Promise<KFoldResult> {
  checkOptions('functions', 'kFold', options);
  const { folds: count, shuffle, seed, stratify, workers, ...fit } = options;
  const folds: Logs[] = [];
  const taken = new Taken('kFold');
  try {
    const [inputs, labels] = [split(taken, 'x', x), split(taken, 'y', y)];
    const { length } = inputs.parts[0]!;
    if (labels.parts[0]!.length !== length)
      throw new NablaError(
        'kFold',
        `got ${length} samples and ${labels.parts[0]!.length} labels, expected as many`,
      );
    const parts = foldIndices(length, { folds: count, shuffle, seed, stratify });
    const make = await builderHere('kFold', build);
    if (workers !== undefined) {
      const threads = new Trials('kFold', workers, build, x, y, fit);
      const tasks = parts.map((rows, i) => ({ settings: [], seed: derivedSeed(seed ?? 0, i), rows }));
      for (const { logs, failed } of await threads.run(tasks)) {
        if (failed !== undefined) throw new NablaError(failed.where, failed.message);
        folds.push(logs!);
      }
      parts.length = 0;
    }
    for (const { train, validation } of parts) {
      const held = new Taken('kFold');
      const model = await make();
      try {
        await model.fit(inputs.rows(held, train), labels.rows(held, train), fit);
        folds.push(await model.evaluate(inputs.rows(held, validation), labels.rows(held, validation)));
      } finally {
        model.dispose();
        held.dispose();
      }
    }
  } finally {
    taken.dispose();
  }
  const names = Object.keys(folds[0]!);
  const meanOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const mean = Object.fromEntries(names.map((name) => [name, meanOf(folds.map((logs) => logs[name]!))]));
  const spread = (name: string) =>
    Math.sqrt(folds.reduce((sum, logs) => sum + (logs[name]! - mean[name]!) ** 2, 0) / (folds.length - 1));
  return { folds, mean, std: Object.fromEntries(names.map((name) => [name, spread(name)])) };
}

/** Data as samples, and how some of their rows are put together as the data are. */
function split(taken: Taken, what: string, data: ModelData) {
  const { structure, names } = slotsOf(data, what);
  const parts = taken.samples(what, data, names);
  const rows = (held: Taken, which: Int32Array): ModelData =>
    nest<Samples>(
      structure,
      parts.map((part) => held.own(takeRows(part, which))),
    );
  return { parts, rows };
}
