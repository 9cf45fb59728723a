// What all optimizers have: a learning rate, limits on gradients, weight decay, accumulation of gradients and averages of weights.
import { describe, NablaError } from '../errors.ts';
import { recorded } from '../saving/recorded.ts';
import type { Variable } from '../variable.ts';
import type { Schedule } from './schedules.ts';

/** Some of a model's weights: those whose name (`dense_1/kernel`) contains a text or matches a pattern, or that a function says yes to. */
export type WeightFilter = string | RegExp | readonly (string | RegExp)[] | ((weight: Variable) => boolean);

/** Settings that every optimizer has. */
export interface OptimizerOptions {
  /** Step size: a number, or a schedule such as `optimizers.schedules.cosineDecay({ ... })`. */
  learningRate?: number | Schedule;
  /** Decoupled weight decay: weights shrink by this times the learning rate each step. Default 0. */
  weightDecay?: number;
  /** Weights that do not decay, such as `['bias', 'gamma', 'beta']`. Default: none. */
  excludeFromWeightDecay?: WeightFilter;
  /**
   * Factors of the learning rate: by what a weight's name contains, `{ embedding: 0.1 }`, the first that fits, or by a function; 1 where nothing
   * fits. Default: 1 for all.
   */
  learningRateMultiplier?: Readonly<Record<string, number>> | ((weight: Variable) => number);
  /** The gradient of each weight is scaled down to this norm. Default: not. */
  clipnorm?: number;
  /** Each element of the gradients is limited to this size. Default: not. */
  clipvalue?: number;
  /** All gradients together are scaled down to this norm. Default: not. */
  globalClipnorm?: number;
  /**
   * Weights change every so many steps only, by the mean of these steps' gradients; at least 2. Schedules count all steps, everything else counts the
   * changes. Default: every step.
   */
  gradientAccumulationSteps?: number;
  /** Keep an exponential moving average of the weights, which takes their place at the end of a fit. Default false. */
  useEma?: boolean;
  /** How slowly the average moves, in [0, 1]. Default 0.99. */
  emaMomentum?: number;
  /** The average takes the weights' place every so many steps too. Default: at the end only. */
  emaOverwriteFrequency?: number;
}

/** How gradients are limited before the step. */
export interface Clipping {
  /** The norm of each weight's gradient is limited to this. */
  readonly norm: number | undefined;
  /** The size of each element is limited to this. */
  readonly value: number | undefined;
  /** The norm of all gradients together is limited to this. */
  readonly globalNorm: number | undefined;
}

/** The exponential moving average of weights. */
export interface Averaging {
  /** How slowly it moves. */
  readonly momentum: number;
  /** Updates from one time that it takes the weights' place to the next. */
  readonly overwriteFrequency: number | undefined;
}

/** @internal Throws unless the value, where there is one, is a number in the range. */
export function checked(
  where: string,
  name: string,
  value: number | undefined,
  low: number,
  high: number,
): void {
  if (value === undefined || (typeof value === 'number' && value >= low && value <= high)) return;
  const range = high === Number.MAX_VALUE ? `a finite number >= ${low}` : `a number in [${low}, ${high}]`;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected ${range}`);
}

function checkedCount(where: string, name: string, value: number | undefined, low: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= low)) return;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected an integer >= ${low}`);
}

/** @internal The filter as a function; throws if it is none. */
export function weightFilter(
  where: string,
  name: string,
  filter: WeightFilter | undefined,
): (weight: Variable) => boolean {
  if (filter === undefined) return () => false;
  if (typeof filter === 'function') return filter;
  const parts: readonly unknown[] = Array.isArray(filter) ? filter : [filter];
  const wrong = parts.find((part) => typeof part !== 'string' && !(part instanceof RegExp));
  if (wrong !== undefined || parts.includes('')) {
    throw new NablaError(
      where,
      `bad ${name}, got ${describe(wrong ?? '')}, expected parts of names such as 'bias', patterns, or a function`,
    );
  }
  return (weight) =>
    parts.some((part) =>
      part instanceof RegExp ? weight.name.search(part) >= 0 : weight.name.includes(part as string),
    );
}

/** The base of all optimizers. The learning rate may be changed at any time, by a callback for instance. */
export abstract class Optimizer {
  /** What errors and summaries call it. */
  readonly name: string;
  /** Gives each step its rate. */
  readonly schedule: Schedule | undefined;
  /** How gradients are limited. */
  readonly clipping: Clipping;
  /** Steps whose gradients are gathered for one change of the weights; 1: each step changes them. */
  readonly gradientAccumulationSteps: number;
  /** The average of the weights that it keeps, if it does. */
  readonly averaging: Averaging | undefined;
  /** The decay of weights that are not excluded. */
  protected readonly weightDecay: number;
  /** Is the weight kept from decaying? */
  protected readonly isExcluded: (weight: Variable) => boolean;
  private readonly multiplier: OptimizerOptions['learningRateMultiplier'];
  private rate: number;

  /** `name` stands in errors; `defaultRate` is the learning rate where the options give none. */
  constructor(
    name: string,
    options: OptimizerOptions = {},
    defaultRate: NonNullable<OptimizerOptions['learningRate']> = 0.001,
  ) {
    const { weightDecay = 0, clipnorm, clipvalue, globalClipnorm, learningRateMultiplier } = options;
    const { gradientAccumulationSteps, useEma = false, emaMomentum = 0.99, emaOverwriteFrequency } = options;
    const given = options.learningRate ?? defaultRate;
    this.name = name;
    recorded('optimizers', name, [options], this);
    this.schedule = typeof given === 'object' && typeof given?.at === 'function' ? given : undefined;
    this.rate = this.schedule === undefined ? (given as number) : this.schedule.at(0);
    checked(name, 'learningRate', this.rate, 0, Number.MAX_VALUE);
    checked(name, 'weightDecay', weightDecay, 0, Number.MAX_VALUE);
    this.weightDecay = weightDecay;
    const clips = Object.entries({ clipnorm, clipvalue, globalClipnorm });
    for (const [clip, value] of clips) {
      if (value === undefined || (typeof value === 'number' && value > 0 && value <= Number.MAX_VALUE))
        continue;
      throw new NablaError(name, `bad ${clip}, got ${describe(value)}, expected a number above 0`);
    }
    if (clips.filter(([, value]) => value !== undefined).length > 1) {
      throw new NablaError(
        name,
        'several ways to clip, expected only one of clipnorm, clipvalue and globalClipnorm',
      );
    }
    this.clipping = { norm: clipnorm, value: clipvalue, globalNorm: globalClipnorm };
    checkedCount(name, 'gradientAccumulationSteps', gradientAccumulationSteps, 2);
    this.gradientAccumulationSteps = gradientAccumulationSteps ?? 1;
    checked(name, 'emaMomentum', emaMomentum, 0, 1);
    checkedCount(name, 'emaOverwriteFrequency', emaOverwriteFrequency, 1);
    if (typeof useEma !== 'boolean') {
      throw new NablaError(name, `bad useEma, got ${describe(useEma)}, expected true or false`);
    }
    if (useEma) this.averaging = { momentum: emaMomentum, overwriteFrequency: emaOverwriteFrequency };
    this.isExcluded = weightFilter(name, 'excludeFromWeightDecay', options.excludeFromWeightDecay);
    this.multiplier = learningRateMultiplier;
    const good = learningRateMultiplier === undefined || learningRateMultiplier instanceof Object;
    if (!good || Array.isArray(learningRateMultiplier)) {
      throw new NablaError(
        name,
        `bad learningRateMultiplier, got ${describe(learningRateMultiplier)}, expected factors by name such as { embedding: 0.1 }, or a function`,
      );
    }
  }

  /** The rate of the steps to come; with a schedule, that of the last steps. */
  get learningRate(): number {
    return this.rate;
  }

  /** For the steps to come; a schedule sets it anew. */
  set learningRate(rate: number) {
    this.rate = rate;
  }

  /** How many numbers of state it keeps for a weight. */
  abstract statesPerWeight(weight: Variable): number;

  /** The decay of a weight: 0 if it is excluded. */
  weightDecayOf(weight: Variable): number {
    return this.isExcluded(weight) ? 0 : this.weightDecay;
  }

  /** The factor of a weight's learning rate. */
  learningRateMultiplierOf(weight: Variable): number {
    const { multiplier } = this;
    if (multiplier === undefined) return 1;
    const found =
      typeof multiplier === 'function'
        ? multiplier(weight)
        : (Object.entries(multiplier).find(([part]) => weight.name.includes(part))?.[1] ?? 1);
    if (typeof found === 'number' && found >= 0 && Number.isFinite(found)) return found;
    throw new NablaError(
      this.name,
      `bad learningRateMultiplier of ${weight.name}, got ${describe(found)}, expected a finite number >= 0`,
    );
  }

  /** @internal What tells weights apart that one update cannot serve together. */
  groupOf(weight: Variable): string {
    return `${this.weightDecayOf(weight)} ${this.learningRateMultiplierOf(weight)}`;
  }
}
