// fit, evaluate and predict over data sets: what they take, and how feeds serve them.
import { Dataset } from '../data/dataset.ts';
import { dtypeBytes, newArray } from '../dtype.ts';
import { describe, NablaError } from '../errors.ts';
import type { Nested } from '../nested.ts';
import { fromArray } from '../ops/creation.ts';
import { sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { Feed } from './feed.ts';
import type { EvaluateOptions, FitOptions } from './fit-options.ts';
import type { FitPosition, Logs } from './history.ts';
import { checkCount, type Model } from './model.ts';
import type { Predictor } from './predictor.ts';
import { type ModelData, Taken } from './slots.ts';
import { hostBatchOf, Table } from './table.ts';
import type { Trainer } from './trainer.ts';

type AnyModel = Model<Nested<Tensor>>;

// Samples a batch where nothing is said.
const trainBatch = 32;
const evaluateBatch = 256;

/** The feeds of a fit: undefined for data that are tensors. */
export interface Feeds {
  readonly train: Feed | undefined;
  readonly validation: Feed | undefined;
  close(): Promise<void>;
}

/** The feeds for the data sets that fit was given. Each has its first batch, and the model is built. */
export async function openFeeds(
  model: AnyModel,
  x: ModelData | Dataset<unknown>,
  options: FitOptions,
): Promise<Feeds> {
  const where = `${model.name}.fit`;
  const { validationData, stepsPerEpoch, validationSteps, batchSize, classWeight } = options;
  if (stepsPerEpoch !== undefined) checkCount(where, 'stepsPerEpoch', stepsPerEpoch);
  if (validationSteps !== undefined) checkCount(where, 'validationSteps', validationSteps);
  const opened: Feed[] = [];
  const close = async () => {
    for (const feed of opened) await feed.close();
  };
  const open = async (data: unknown, feedOptions: ConstructorParameters<typeof Feed>[2]) => {
    if (!(data instanceof Dataset)) return undefined;
    const feed = new Feed(model, data, feedOptions);
    opened.push(feed);
    await feed.prepare(options.initialEpoch ?? 0);
    return feed;
  };
  try {
    if (x instanceof Dataset) checkDatasetOptions(where, x, options);
    else if (stepsPerEpoch !== undefined) {
      throw new NablaError(where, `stepsPerEpoch is for data sets, got ${describe(x)}; leave it out`);
    }
    const goOn = stepsPerEpoch !== undefined;
    const train = await open(x, {
      where,
      train: true,
      batchSize,
      usualBatchSize: trainBatch,
      classWeight,
      goOn,
    });
    const size = options.validationBatchSize;
    const usualBatchSize = Math.max(evaluateBatch, batchSize ?? 0);
    const place = `${where}.validationData`;
    const validation = await open(validationData, {
      where: place,
      train: false,
      batchSize: size,
      usualBatchSize,
    });
    return { train, validation, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function checkDatasetOptions(where: string, dataset: Dataset<unknown>, options: FitOptions): void {
  const { validationSplit = 0, sampleWeight, stepsPerEpoch } = options;
  if (validationSplit > 0) {
    throw new NablaError(
      where,
      'validationSplit is for arrays, got a data set; split it with take() and skip()',
    );
  }
  refuseWeights(where, sampleWeight);
  if (dataset.size === Number.POSITIVE_INFINITY && stepsPerEpoch === undefined) {
    throw new NablaError(where, 'the data set has no end, expected stepsPerEpoch; or give repeat() a count');
  }
}

function refuseWeights(where: string, given: unknown): void {
  if (given === undefined) return;
  throw new NablaError(where, 'sampleWeight is for arrays, got a data set; give elements [x, y, weight]');
}

/** Throws unless a fit over a data set can go on from there. */
export function checkDataPosition(where: string, { step, data }: FitPosition): void {
  if (data === undefined && step === 0) return;
  const numbers = data === undefined ? [] : [data.seed, data.iteration, data.batches];
  if (numbers.length > 0 && numbers.every((n) => Number.isSafeInteger(n) && n >= 0)) return;
  throw new NablaError(
    where,
    `bad resume, got ${data === undefined ? 'no place in a data set' : `place ${numbers.join(', ')}`}, ` +
      'expected one; pass history.stopped of a fit over the same data set',
  );
}

/** Loss and metrics over a pass of a feed, or over its first steps. */
export async function evaluateFeed(
  trainer: Trainer,
  feed: Feed,
  iteration: number,
  steps = Number.POSITIVE_INFINITY,
): Promise<Logs> {
  await feed.next(iteration);
  const mean = trainer.runningMean();
  const ran = await feed.run(trainer, false, steps, 0, (rows) => (slice) => mean.add(slice, rows));
  if (ran === 0) throw feed.nothing();
  return mean.logs();
}

/** Loss and metrics over a data set. */
export async function evaluateDataset(
  model: AnyModel,
  dataset: Dataset<unknown>,
  options: EvaluateOptions,
): Promise<Logs> {
  const where = `${model.name}.evaluate`;
  model.compiled('evaluate');
  const { steps, batchSize } = options;
  refuseWeights(where, options.sampleWeight);
  if (steps !== undefined) checkCount(where, 'steps', steps);
  if (dataset.size === Number.POSITIVE_INFINITY && steps === undefined) {
    throw new NablaError(where, 'the data set has no end, expected steps');
  }
  const feed = new Feed(model, dataset, { where, train: false, batchSize, usualBatchSize: evaluateBatch });
  try {
    await feed.prepare(0);
    const trainer = model.trainer('evaluate');
    return await trainer.exclusively('evaluate', () => evaluateFeed(trainer, feed, 0, steps));
  } finally {
    await feed.close();
  }
}

/** Predictions for the x of a data set's elements, one tensor an output. */
export async function predictDataset(
  model: AnyModel,
  dataset: Dataset<unknown>,
  options: { batchSize?: number; steps?: number },
  predictorFor: (
    where: string,
    taken: Taken,
    x: ModelData,
  ) => { all(batchSize: number): ReturnType<Predictor['all']> },
): Promise<Tensor[]> {
  const where = `${model.name}.predict`;
  const { batchSize, steps } = options;
  if (steps !== undefined) checkCount(where, 'steps', steps);
  if (dataset.size === Number.POSITIVE_INFINITY && steps === undefined) {
    throw new NablaError(where, 'the data set has no end, expected steps');
  }
  if (dataset.batched && batchSize !== undefined) {
    throw new NablaError(where, `the data set has batches already, got batchSize ${batchSize}; leave it out`);
  }
  const batches = dataset.batched ? dataset : dataset.batch(batchSize ?? evaluateBatch);
  const parts: Tensor[][] = [];
  try {
    for await (const element of batches.take(steps ?? Number.MAX_SAFE_INTEGER).prefetch()) {
      const { x, rows } = hostBatchOf(where, element);
      const taken = new Taken(where);
      try {
        const data = Table.nest(
          x.map(({ key, array: { data, shape, dtype } }) => [
            key,
            taken.own(fromArray(data, shape, dtype).keep()),
          ]),
        );
        parts.push(await predictorFor(where, taken, data).all(rows));
      } finally {
        taken.dispose();
      }
    }
    if (parts.length === 0) throw new NablaError(where, 'the data set is empty, expected at least one batch');
    return parts[0]!.map((_, output) => joined(parts.map((tensors) => tensors[output]!)));
  } finally {
    for (const tensor of parts.flat()) tensor.dispose();
  }
}

/** Batches of predictions as one tensor. */
function joined(batches: readonly Tensor[]): Tensor {
  const { dtype, shape } = batches[0]!;
  const rows = batches.reduce((total, batch) => total + batch.shape[0]!, 0);
  const out = fromArray(
    newArray(dtype, rows * sizeOf(shape.slice(1))),
    [rows, ...shape.slice(1)],
    dtype,
  ).keep();
  const { storage, byteOffset } = out.memory('predict');
  let at = byteOffset;
  for (const batch of batches) {
    storage.engine.backend.write(storage.handle, at, batch.dataSync());
    at += batch.size * dtypeBytes[dtype];
  }
  return out;
}
