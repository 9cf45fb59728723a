// Learning rate schedules: the rate as a function of the step, as data; formulas and names as in Keras 3.
import { describe, NablaError } from '../errors.ts';
import { recorded } from '../saving/recorded.ts';

/** A learning rate that changes with the steps taken. It is worked out in JavaScript and read by the program: nothing is traced again. */
export interface Schedule {
  /** Its name, as summaries show it. */
  readonly name: string;
  /** What it was made from. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The rate of a step, counted from 0. */
  at(step: number): number;
}

type Numbers = Readonly<Record<string, number>>;

/** Throws unless all numbers are finite and not negative, and those of `counts` are integers above 0. */
function checked(name: string, numbers: Numbers, counts: Numbers = {}): void {
  for (const [key, value] of Object.entries(numbers)) {
    if (Number.isFinite(value) && value >= 0) continue;
    throw new NablaError(name, `bad ${key}, got ${describe(value)}, expected a finite number >= 0`);
  }
  for (const [key, value] of Object.entries(counts)) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new NablaError(name, `bad ${key}, got ${describe(value)}, expected an integer >= 1`);
  }
}

/** The same rate always. */
export function constant(learningRate: number): Schedule {
  checked('constant', { learningRate });
  return recorded('schedules', 'constant', [learningRate], {
    name: 'constant',
    config: { learningRate },
    at: () => learningRate,
  });
}

/** Options of {@link piecewiseConstantDecay}. */
export interface PiecewiseConstantDecayOptions {
  /** The last step of each value but the last; ascending. */
  boundaries: readonly number[];
  /** One value more than boundaries. */
  values: readonly number[];
}

/** `values[i]` up to and including step `boundaries[i]`, then the next. */
export function piecewiseConstantDecay(options: PiecewiseConstantDecayOptions): Schedule {
  const name = 'piecewiseConstantDecay';
  const { boundaries, values } = options;
  if (
    values.length !== boundaries.length + 1 ||
    boundaries.some((b, i) => i > 0 && b <= boundaries[i - 1]!)
  ) {
    throw new NablaError(
      name,
      `got ${boundaries.length} boundaries and ${values.length} values, expected ascending boundaries and one value more`,
    );
  }
  checked(name, Object.fromEntries(values.map((value, i) => [`values[${i}]`, value])));
  const at = (step: number) => {
    const piece = boundaries.findIndex((boundary) => step <= boundary);
    return values[piece < 0 ? boundaries.length : piece]!;
  };
  return recorded('schedules', 'piecewiseConstantDecay', [options], { name, config: { ...options }, at });
}

/** Options of {@link stepDecay}. */
export interface StepDecayOptions {
  /** The rate at step 0. */
  initialLearningRate: number;
  /** Steps between two changes. */
  decaySteps: number;
  /** Factor of each change. Default 0.1. */
  decayRate?: number;
}

/** Multiplied by `decayRate` every `decaySteps` steps. */
export function stepDecay(options: StepDecayOptions): Schedule {
  const { initialLearningRate, decaySteps, decayRate = 0.1 } = options;
  const inner = exponentialDecay({ initialLearningRate, decaySteps, decayRate, staircase: true });
  return recorded('schedules', 'stepDecay', [options], {
    name: 'stepDecay',
    config: { ...options },
    at: inner.at,
  });
}

/** Options of {@link exponentialDecay} and {@link inverseTimeDecay}. */
export interface DecayOptions {
  /** The rate at step 0. */
  initialLearningRate: number;
  /** Steps of the decay. */
  decaySteps: number;
  /** What the rate is multiplied by, or divided by, over that many steps. */
  decayRate: number;
  /** Change every `decaySteps` steps only, not smoothly. Default false. */
  staircase?: boolean;
}

/** `initialLearningRate * decayRate ** (step / decaySteps)`. */
export function exponentialDecay(options: DecayOptions): Schedule {
  const name = 'exponentialDecay';
  const { initialLearningRate, decaySteps, decayRate, staircase = false } = options;
  checked(name, { initialLearningRate, decayRate }, { decaySteps });
  const passed = (step: number) => (staircase ? Math.floor(step / decaySteps) : step / decaySteps);
  return recorded('schedules', 'exponentialDecay', [options], {
    name,
    config: { ...options },
    at: (step) => initialLearningRate * decayRate ** passed(step),
  });
}

/** `initialLearningRate / (1 + decayRate * step / decaySteps)`. */
export function inverseTimeDecay(options: DecayOptions): Schedule {
  const name = 'inverseTimeDecay';
  const { initialLearningRate, decaySteps, decayRate, staircase = false } = options;
  checked(name, { initialLearningRate, decayRate }, { decaySteps });
  const passed = (step: number) => (staircase ? Math.floor(step / decaySteps) : step / decaySteps);
  return recorded('schedules', 'inverseTimeDecay', [options], {
    name,
    config: { ...options },
    at: (step) => initialLearningRate / (1 + decayRate * passed(step)),
  });
}

/** Options of {@link polynomialDecay}. */
export interface PolynomialDecayOptions {
  /** The rate at step 0. */
  initialLearningRate: number;
  /** Steps of the decay. */
  decaySteps: number;
  /** Default 0.0001. */
  endLearningRate?: number;
  /** Default 1: a straight line. */
  power?: number;
  /** Begin again over twice, three times ... as many steps, rather than stay at the end. Default false. */
  cycle?: boolean;
}

/** From the initial to the end rate by a power of the share of steps that are left. */
export function polynomialDecay(options: PolynomialDecayOptions): Schedule {
  const name = 'polynomialDecay';
  const { initialLearningRate, decaySteps, endLearningRate = 1e-4, power = 1, cycle = false } = options;
  checked(name, { initialLearningRate, endLearningRate, power }, { decaySteps });
  const at = (step: number) => {
    const span = cycle ? decaySteps * Math.max(1, Math.ceil(step / decaySteps)) : decaySteps;
    const left = 1 - Math.min(step, span) / span;
    return (initialLearningRate - endLearningRate) * left ** power + endLearningRate;
  };
  return recorded('schedules', 'polynomialDecay', [options], { name, config: { ...options }, at });
}

/** Options of {@link cosineDecay}. */
export interface CosineDecayOptions {
  /** Where the warm-up begins, or the decay if there is none. */
  initialLearningRate: number;
  /** Steps of the decay, after the warm-up. */
  decaySteps: number;
  /** Share of the rate that is left at the end. Default 0. */
  alpha?: number;
  /** Where the warm-up ends and the decay begins. Default: no warm-up. */
  warmupTarget?: number;
  /** Default 0. */
  warmupSteps?: number;
}

/** Half a cosine down to `alpha`, after a straight warm-up (Loshchilov and Hutter 2017; Goyal et al. 2017). */
export function cosineDecay(options: CosineDecayOptions): Schedule {
  const name = 'cosineDecay';
  const { initialLearningRate, decaySteps, alpha = 0, warmupTarget, warmupSteps = 0 } = options;
  checked(name, { initialLearningRate, alpha, warmupTarget: warmupTarget ?? 0, warmupSteps }, { decaySteps });
  const top = warmupTarget ?? initialLearningRate;
  const warm = warmupTarget === undefined ? 0 : warmupSteps;
  const at = (step: number) => {
    if (step < warm) return initialLearningRate + ((top - initialLearningRate) * step) / warm;
    const share = Math.min(step - warm, decaySteps) / decaySteps;
    return top * ((1 - alpha) * 0.5 * (1 + Math.cos(Math.PI * share)) + alpha);
  };
  return recorded('schedules', 'cosineDecay', [options], { name, config: { ...options }, at });
}

/** Options of {@link cosineDecayRestarts}. */
export interface CosineDecayRestartsOptions {
  /** The rate at step 0. */
  initialLearningRate: number;
  /** Steps of the first period. */
  firstDecaySteps: number;
  /** Each period is so many times as long as the one before. Default 2. */
  tMul?: number;
  /** Each period begins at so many times the rate of the one before. Default 1. */
  mMul?: number;
  /** Share of the rate that is left at the end of a period. Default 0. */
  alpha?: number;
}

/** Half a cosine down, again and again (Loshchilov and Hutter 2017). */
export function cosineDecayRestarts(options: CosineDecayRestartsOptions): Schedule {
  const name = 'cosineDecayRestarts';
  const { initialLearningRate, firstDecaySteps, tMul = 2, mMul = 1, alpha = 0 } = options;
  checked(name, { initialLearningRate, tMul, mMul, alpha }, { firstDecaySteps });
  if (tMul < 1) throw new NablaError(name, `bad tMul, got ${tMul}, expected a number >= 1`);
  const at = (step: number) => {
    const done = step / firstDecaySteps;
    const period =
      tMul === 1 ? Math.floor(done) : Math.floor(Math.log(1 - done * (1 - tMul)) / Math.log(tMul) + 1e-12);
    const begun = tMul === 1 ? period : (1 - tMul ** period) / (1 - tMul);
    const share = (done - begun) / tMul ** period;
    const wave = 0.5 * mMul ** period * (1 + Math.cos(Math.PI * share));
    return initialLearningRate * ((1 - alpha) * wave + alpha);
  };
  return recorded('schedules', 'cosineDecayRestarts', [options], { name, config: { ...options }, at });
}

/** Options of {@link oneCycle}. */
export interface OneCycleOptions {
  /** The highest rate. */
  maxLearningRate: number;
  /** Steps of the whole cycle. */
  totalSteps: number;
  /** Share of the steps that rise. Default 0.3. */
  warmupShare?: number;
  /** The first rate is the highest divided by this. Default 25. */
  divFactor?: number;
  /** The last rate is the first divided by this. Default 10000. */
  finalDivFactor?: number;
}

/** Up along half a cosine, then down along another (Smith and Topin 2018), as PyTorch's OneCycleLR. */
export function oneCycle(options: OneCycleOptions): Schedule {
  const name = 'oneCycle';
  const { maxLearningRate, totalSteps, warmupShare = 0.3, divFactor = 25, finalDivFactor = 1e4 } = options;
  checked(name, { maxLearningRate, warmupShare, divFactor, finalDivFactor }, { totalSteps });
  const first = maxLearningRate / divFactor;
  const rising = warmupShare * totalSteps - 1;
  const wave = (from: number, to: number, share: number) =>
    to + ((from - to) / 2) * (1 + Math.cos(Math.PI * Math.min(Math.max(share, 0), 1)));
  const at = (step: number) => {
    if (step <= rising) return wave(first, maxLearningRate, step / rising);
    return wave(maxLearningRate, first / finalDivFactor, (step - rising) / (totalSteps - 1 - rising));
  };
  return recorded('schedules', 'oneCycle', [options], { name, config: { ...options }, at });
}
