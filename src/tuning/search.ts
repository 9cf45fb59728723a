// Searches for good settings: every combination of a grid, or random ones.
import { Dataset } from '../data/dataset.ts';
import { derivedSeed } from '../data/pass.ts';
import { describe, NablaError } from '../errors.ts';
import type { FitOptions } from '../model/fit-options.ts';
import type { Logs } from '../model/history.ts';
import type { Model } from '../model/model.ts';
import { type ModelData, slotsOf, Taken } from '../model/slots.ts';
import { type Nested, nest, partsOf } from '../nested.ts';
import { setSeed } from '../ops/random.ts';
import { checkOptions } from '../options.ts';
import { Philox } from '../random.ts';
import { Tensor } from '../tensor.ts';
import { builderHere, type ModelBuilder, Trials } from './parallel.ts';
import { checkLeast, takeRows } from './rows.ts';

/** Values of each setting, by name. */
export type Grid<P> = { readonly [K in keyof P]: readonly P[K][] };

/** A range of numbers that random search draws from. */
export interface Range {
  /** The least. */
  readonly min: number;
  /** The most. */
  readonly max: number;
  /** Draw its logarithm evenly: for rates and decays. Default false. */
  readonly log?: boolean;
  /** Whole numbers only, `max` among them. Default false. */
  readonly integer?: boolean;
}

/** Where random search draws each setting from: some values, a range of numbers, or a function. */
export type Space<P> = {
  readonly [K in keyof P]: readonly P[K][] | Range | ((random: Philox) => P[K]);
};

/** Options of {@link gridSearch}: those of fit, and what is looked at. */
export interface SearchOptions extends FitOptions {
  /** What is compared: the best value of any epoch. Default `'val_loss'`. */
  monitor?: string;
  /** Whether less or more is better; `'auto'`: more for names with accuracy and its like in them. Default `'auto'`. */
  mode?: 'auto' | 'min' | 'max';
  /** The seed that is set before each trial, so that all begin alike. Default: none is set; with `workers`, one for each. */
  trialSeed?: number;
  /**
   * Trials that run at a time, each on a worker thread of its own with one thread of the backend: for models so small that one does not keep all cores
   * busy. `build` is then `{ module, name }`, or a function that takes all it needs from its parameters; the best model gets its weights, and a new optimizer.
   * Node.js only. Default: one after the other, here.
   */
  workers?: number;
}

/** Options of {@link randomSearch}. */
export interface RandomSearchOptions extends SearchOptions {
  /** How many combinations are tried. Default 10. */
  trials?: number;
  /** Of the combinations. Default 0. */
  seed?: number;
}

/** One combination and how it did. */
export interface Trial<P> {
  /** What the model was built from. */
  readonly settings: P;
  /** The best value of what was monitored; NaN if the trial failed. */
  readonly score: number;
  /** The epoch of that value, from 0; -1 if the trial failed. */
  readonly epoch: number;
  /** Loss and metrics of that epoch. */
  readonly logs: Logs;
  /** Why it failed, such as a loss that turned NaN. */
  readonly error?: Error;
}

/** What a search gives. */
export interface SearchResult<P, M extends Model<Nested<Tensor>>> {
  /** In the order in which they were tried. */
  readonly trials: Trial<P>[];
  /** The one with the best score. */
  readonly best: Trial<P>;
  /** The best trial's model, as it was after its last epoch. The caller disposes of it; those of other trials are gone. */
  readonly model: M;
}

/**
 * Trains a model for every combination of settings. A trial whose training fails, with a loss of NaN for instance, is noted and left behind.
 *
 * @param build makes a compiled model from settings: a function, or `{ module, name }`
 * @param x samples, or a data set that has its labels; `y` is undefined then
 * @throws NablaError when there is nothing to search, nothing to monitor, or all trials fail
 * @example
 * const { best, model } = await gridSearch(
 *   ({ units, rate }) => build(units, rate), { units: [16, 64], rate: [1e-2, 1e-3] }, x, y, { validationSplit: 0.2, epochs: 10 },
 * );
 */
export async function gridSearch<P extends object, M extends Model<Nested<Tensor>>>(
  build: ModelBuilder<[settings: P], M>,
  grid: Grid<P>,
  x: ModelData | Dataset<unknown>,
  y: ModelData | null | undefined,
  options: SearchOptions = {},
): Promise<SearchResult<P, M>> {
  checkOptions('functions', 'gridSearch', options);
  const names = Object.keys(grid) as (keyof P & string)[];
  let combinations: Partial<P>[] = [{}];
  for (const name of names) {
    const values: unknown = grid[name];
    if (!Array.isArray(values) || values.length === 0) {
      throw new NablaError('gridSearch', `bad ${name}, got ${describe(values)}, expected an array of values`);
    }
    combinations = combinations.flatMap((some) => grid[name].map((value) => ({ ...some, [name]: value })));
  }
  return await search('gridSearch', build, combinations as P[], x, y, options);
}

/**
 * Trains a model for random settings (Bergstra and Bengio 2012). A trial whose training fails is noted and left behind.
 *
 * @param build makes a compiled model from settings: a function, or `{ module, name }`
 * @param x samples, or a data set that has its labels; `y` is undefined then
 * @throws NablaError when a setting has nothing to draw from, nothing is monitored, or all trials fail
 * @example
 * const space = { units: { min: 8, max: 128, integer: true }, rate: { min: 1e-4, max: 1e-1, log: true } };
 * const { best } = await randomSearch(({ units, rate }) => build(units, rate), space, x, y, { trials: 20, validationSplit: 0.2, epochs: 10 });
 */
export async function randomSearch<P extends object, M extends Model<Nested<Tensor>>>(
  build: ModelBuilder<[settings: P], M>,
  space: Space<P>,
  x: ModelData | Dataset<unknown>,
  y: ModelData | null | undefined,
  options: RandomSearchOptions = {},
): Promise<SearchResult<P, M>> {
  checkOptions('functions', 'randomSearch', options);
  const { trials = 10, seed = 0, ...rest } = options;
  checkLeast('randomSearch', 'trials', trials, 1);
  const random = new Philox(seed);
  const drawn = Array.from({ length: trials }, () => {
    const names = Object.keys(space) as (keyof P & string)[];
    return Object.fromEntries(names.map((name) => [name, draw(name, space[name], random)])) as P;
  });
  return await search('randomSearch', build, drawn, x, y, rest);
}

function draw(name: string, from: unknown, random: Philox): unknown {
  if (typeof from === 'function') return from(random);
  if (Array.isArray(from) && from.length > 0) return from[random.int(from.length)];
  const { min, max, log = false, integer = false } = (from ?? {}) as Partial<Range>;
  const isRange = typeof min === 'number' && typeof max === 'number' && min <= max;
  const whole = !integer || (Number.isInteger(min) && Number.isInteger(max));
  if (Array.isArray(from) || !isRange || (log && min <= 0) || !whole) {
    const what = describe(isRange ? `${min} to ${max}` : from);
    throw new NablaError(
      'randomSearch',
      `bad ${name}, got ${what}, expected values, a function, or { min, max } with min <= max, above 0 for log, whole for integer`,
    );
  }
  // Whole numbers are rounded from a range that is half a number longer at both ends, so that the ends are as likely as the rest.
  const [low, high] = integer && !log ? [min - 0.5, max + 0.5] : [min, max];
  const u = random.uniform();
  const value = log ? Math.exp(Math.log(low) + u * Math.log(high / low)) : low + u * (high - low);
  return Math.min(max, Math.max(min, integer ? Math.round(value) : value));
}

async function search<P extends object, M extends Model<Nested<Tensor>>>(
  where: string,
  build: ModelBuilder<[settings: P], M>,
  combinations: readonly P[],
  x: ModelData | Dataset<unknown>,
  y: ModelData | null | undefined,
  options: SearchOptions,
): Promise<SearchResult<P, M>> {
  const { monitor = 'val_loss', mode = 'auto', trialSeed, workers, ...fit } = options;
  if (!['auto', 'min', 'max'].includes(mode)) {
    throw new NablaError(where, `bad mode, got ${describe(mode)}, expected 'auto', 'min' or 'max'`);
  }
  const sign =
    mode === 'max' || (mode === 'auto' && /acc|auc|precision|recall|f1|r2|iou/i.test(monitor)) ? -1 : 1;
  const make = await builderHere(where, build);
  const judge = (settings: P, history: Record<string, number[]>) => ({
    settings,
    ...bestEpoch(where, history, monitor, sign),
  });
  const isBest = (trial: Trial<P>, best: Trial<P> | undefined) =>
    best === undefined || isBetter(sign * trial.score, sign * best.score);
  if (workers !== undefined) {
    const threads = new Trials(where, workers, build, x, y, fit);
    const tasks = combinations.map((settings, i) => ({
      settings: [settings],
      seed: trialSeed ?? derivedSeed(0, i),
    }));
    const answers = await threads.run(tasks);
    const trials = answers.map(({ history, failed }, i): Trial<P> => {
      const settings = combinations[i]!;
      return history === undefined
        ? failure(settings, new NablaError(failed!.where, failed!.message))
        : judge(settings, history);
    });
    let at = -1;
    trials.forEach((trial, i) => {
      if (trial.error === undefined && isBest(trial, trials[at])) at = i;
    });
    if (at < 0) throw allFailed(where, trials);
    const model = await make(combinations[at]!);
    await withWeights(where, model, x as ModelData, answers[at]!.weights!);
    return { trials, best: trials[at]!, model };
  }
  const trials: Trial<P>[] = [];
  let best: { trial: Trial<P>; model: M } | undefined;
  for (const settings of combinations) {
    if (trialSeed !== undefined) setSeed(trialSeed);
    const model = await make(settings);
    let trial: Trial<P>;
    try {
      const { history } = await (x instanceof Dataset ? model.fit(x, fit) : model.fit(x, y, fit));
      trial = judge(settings, history);
    } catch (error) {
      model.dispose();
      // What is wrong with the search itself is not the trial's fault.
      if (!(error instanceof NablaError) || error.where === where) throw error;
      trials.push(failure(settings, error));
      continue;
    }
    trials.push(trial);
    if (isBest(trial, best?.trial)) {
      best?.model.dispose();
      best = { trial, model };
    } else {
      model.dispose();
    }
  }
  if (best === undefined) throw allFailed(where, trials);
  return { trials, best: best.trial, model: best.model };
}

const failure = <P>(settings: P, error: Error): Trial<P> => ({
  settings,
  score: Number.NaN,
  epoch: -1,
  logs: {},
  error,
});

function allFailed(where: string, trials: readonly Trial<unknown>[]): NablaError {
  const [first] = trials;
  return new NablaError(
    where,
    `all ${trials.length} trials failed, the first with: ${first?.error?.message}`,
    { cause: first?.error },
  );
}

/** Gives a model the weights that it had elsewhere; one that waits for its first samples is shown one. */
async function withWeights(
  where: string,
  model: Model<Nested<Tensor>>,
  x: ModelData,
  weights: readonly Float32Array[],
): Promise<void> {
  const taken = new Taken(where);
  try {
    const { structure, names } = slotsOf(x, 'x');
    const first = taken
      .samples('x', x, names)
      .map((samples) => taken.own(takeRows(samples, Int32Array.of(0))));
    const output: Nested<Tensor> = await model.predict(nest(structure, first));
    for (const part of partsOf(output, (each) => each instanceof Tensor)) part.dispose();
    model.setWeights(weights);
  } catch (error) {
    model.dispose();
    throw error;
  } finally {
    taken.dispose();
  }
}

/** Is it lower? Anything is better than NaN. */
function isBetter(value: number, best: number): boolean {
  return Number.isNaN(best) ? !Number.isNaN(value) : value < best;
}

function bestEpoch(where: string, history: Record<string, number[]>, monitor: string, sign: number) {
  const values = history[monitor];
  if (values === undefined) {
    throw new NablaError(
      where,
      `nothing to compare, got monitor '${monitor}', expected one of ${Object.keys(history).join(', ')}; ` +
        'give validationData or validationSplit for those that begin with val_',
    );
  }
  let epoch = 0;
  values.forEach((value, i) => {
    if (isBetter(sign * value, sign * values[epoch]!)) epoch = i;
  });
  const logs = Object.fromEntries(Object.entries(history).map(([name, column]) => [name, column[epoch]!]));
  return { score: values[epoch]!, epoch, logs };
}
