// The learning rate finder: a short training whose rate rises until the loss does.
import type { Samples } from '../data/samples.ts';
import { describe, NablaError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import { type ModelData, Taken } from '../model/slots.ts';
import { type Nested, nest } from '../nested.ts';
import { checkOptions } from '../options.ts';
import { Philox } from '../random.ts';
import type { Tensor } from '../tensor.ts';
import { checkLeast, takeRows } from './rows.ts';

/** Options of {@link findLearningRate}. */
export interface FindLearningRateOptions {
  /** The first rate. Default 1e-6. */
  from?: number;
  /** The last rate. Default 1. */
  to?: number;
  /** Steps from the first to the last rate, at least 10. Default 100. */
  steps?: number;
  /** Samples a step. Default 32. */
  batchSize?: number;
  /** How much of the former losses is kept in the smoothed one, in [0, 1). Default 0.9. */
  smoothing?: number;
  /** It ends where the smoothed loss is so many times the lowest. Default 4. */
  divergence?: number;
  /** Of the order of samples. Default 0. */
  seed?: number;
}

/** What {@link findLearningRate} gives. */
export interface LearningRates {
  /** The rates that were tried, rising. */
  readonly rates: number[];
  /** The loss at each, smoothed. */
  readonly losses: number[];
  /** The rate where the loss fell steepest; undefined if it never fell. */
  readonly suggestion: number | undefined;
}

/**
 * Tries learning rates from small to large, one a step, and suggests the one where the loss falls steepest (Smith 2017). The model's weights are put
 * back as they were; its optimizer begins anew.
 *
 * @param model a compiled model whose optimizer has no schedule
 * @throws NablaError when options make no sense, or the optimizer has a schedule
 * @example
 * const { suggestion } = await findLearningRate(model, x, y);
 * model.compile({ optimizer: optimizers.adam({ learningRate: suggestion }), loss: 'meanSquaredError' });
 */
export async function findLearningRate(
  model: Model<Nested<Tensor>>,
  x: ModelData,
  y: ModelData | null | undefined,
  options: FindLearningRateOptions = {},
): Promise<LearningRates> {
  const where = 'findLearningRate';
  checkOptions('functions', 'findLearningRate', options);
  const { from = 1e-6, to = 1, steps = 100, batchSize = 32, seed = 0 } = options;
  const { smoothing = 0.9, divergence = 4 } = options;
  if (!(from > 0 && from < to && Number.isFinite(to))) {
    throw new NablaError(where, `bad from and to, got ${from} and ${to}, expected 0 < from < to`);
  }
  checkLeast(where, 'steps', steps, 10);
  checkLeast(where, 'batchSize', batchSize, 1);
  if (!(smoothing >= 0 && smoothing < 1))
    throw new NablaError(where, `bad smoothing, got ${describe(smoothing)}, expected a number in [0, 1)`);
  if (!(divergence > 1))
    throw new NablaError(where, `bad divergence, got ${describe(divergence)}, expected a number above 1`);
  const { optimizer } = model.compiled(where);
  if (optimizer.schedule !== undefined) {
    throw new NablaError(
      where,
      `the optimizer follows the schedule ${optimizer.schedule.name}, expected a learning rate that is a number`,
    );
  }
  const taken = new Taken(where);
  const before = optimizer.learningRate;
  let start: Float32Array[] | undefined;
  try {
    const data = model.takeData(where, taken, { x, y }, true);
    const { slots } = data;
    const { length } = data.x[0]!;
    if (length === 0) throw new NablaError(where, 'got no samples, expected at least one');
    start = model.getWeights();
    model.resetTraining();
    const batches = rowsOf(length, Math.min(batchSize, length), new Philox(seed));
    const rates: number[] = [];
    const losses: number[] = [];
    let [mean, lowest] = [0, Number.POSITIVE_INFINITY];
    for (let step = 0; step < steps; step++) {
      const rate = from * (to / from) ** (step / (steps - 1));
      const rows = batches.next().value;
      const part = (list: readonly Samples[]) => list.map((samples) => takeRows(samples, rows));
      const [inputs, labels] = [part(data.x), part(data.y)];
      optimizer.learningRate = rate;
      let loss: number;
      try {
        loss = (await model.trainOnBatch(nest(slots.x.structure, inputs), nest(slots.y.structure, labels)))
          .loss!;
      } finally {
        for (const samples of [...inputs, ...labels]) samples.dispose();
      }
      mean = smoothing * mean + (1 - smoothing) * loss;
      const smoothed = mean / (1 - smoothing ** (step + 1));
      if (!Number.isFinite(smoothed) || smoothed > divergence * lowest) break;
      lowest = Math.min(lowest, smoothed);
      rates.push(rate);
      losses.push(smoothed);
    }
    return { rates, losses, suggestion: steepest(rates, losses) };
  } finally {
    optimizer.learningRate = before;
    if (start !== undefined) {
      model.setWeights(start);
      model.resetTraining();
    }
    taken.dispose();
  }
}

/** Batches of rows without end, in a new order every time all have been taken. */
function* rowsOf(count: number, size: number, random: Philox): Generator<Int32Array, never> {
  for (;;) {
    const order = random.permutation(count);
    for (let at = 0; at + size <= count; at += size) yield order.subarray(at, at + size);
  }
}

/** The rate where the loss falls most for a step, before it is lowest. Rates are spaced evenly by their logarithms. */
function steepest(rates: readonly number[], losses: readonly number[]): number | undefined {
  const end = losses.indexOf(Math.min(...losses));
  let best: number | undefined;
  let fall = 0;
  for (let i = 1; i < end; i++) {
    const slope = losses[i + 1]! - losses[i - 1]!;
    if (slope >= fall) continue;
    fall = slope;
    best = rates[i];
  }
  return best;
}
