// Optimizers: their settings, and the words of the update kernel that carries them out over a flat range of weights.
import { describe, NablaError } from '../errors.ts';
import { resolveName } from '../names.ts';
import { floatBits } from '../program/graph.ts';
import { updateFlags, updateKinds } from '../program/kernels.ts';
import { recorded } from '../saving/recorded.ts';
import type { Schedule } from './schedules.ts';

/** Settings that every optimizer has. */
export interface OptimizerOptions {
  /** Step size: a number, or a schedule such as `optimizers.schedules.cosineDecay({ ... })`. */
  learningRate?: number | Schedule;
  /** Decoupled weight decay: weights shrink by this times the learning rate each step. Default 0. */
  weightDecay?: number;
  /** The gradient of each weight is scaled down to this norm. Default: not. */
  clipnorm?: number;
  /** Each element of the gradients is limited to this size. Default: not. */
  clipvalue?: number;
  /** All gradients together are scaled down to this norm. Default: not. */
  globalClipnorm?: number;
}

/** How gradients are limited before the step. */
export interface Clipping {
  readonly norm: number | undefined;
  readonly value: number | undefined;
  readonly globalNorm: number | undefined;
}

/** An optimizer: what the update kernel needs to know. The learning rate may be changed at any time, by a callback for instance. */
export interface Optimizer {
  readonly name: string;
  /** The rate of the steps to come; with a schedule, that of the last steps. */
  learningRate: number;
  /** Gives each step its rate. */
  readonly schedule: Schedule | undefined;
  readonly clipping: Clipping;
  /** Which of the kernel's three state ranges it uses. */
  readonly states: readonly [boolean, boolean, boolean];
  /** What the first state range is filled with at the start. Default 0. */
  readonly initialState?: number;
  /** Attribute words of the update kernel. */
  readonly attributes: readonly number[];
}

interface Rule {
  name: string;
  kind: keyof typeof updateKinds;
  flags?: number;
  beta1?: number;
  beta2?: number;
  epsilon?: number;
  states: readonly [boolean, boolean, boolean];
  initialState?: number;
}

function checked(where: string, name: string, value: number | undefined, low: number, high: number): void {
  if (value === undefined || (typeof value === 'number' && value >= low && value <= high)) return;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected a number in [${low}, ${high}]`);
}

function make(rule: Rule, options: OptimizerOptions, defaultRate: number): Optimizer {
  const { weightDecay = 0, clipnorm, clipvalue, globalClipnorm } = options;
  const given = options.learningRate ?? defaultRate;
  const schedule = typeof given === 'object' && typeof given?.at === 'function' ? given : undefined;
  const learningRate = schedule === undefined ? (given as number) : schedule.at(0);
  const limit = Number.MAX_VALUE;
  checked(rule.name, 'learningRate', learningRate, 0, limit);
  checked(rule.name, 'weightDecay', weightDecay, 0, limit);
  for (const [name, value] of Object.entries({ clipnorm, clipvalue, globalClipnorm })) {
    if (value === undefined || (typeof value === 'number' && value > 0 && value <= limit)) continue;
    throw new NablaError(rule.name, `bad ${name}, got ${describe(value)}, expected a number above 0`);
  }
  // Ftrl's numbers in these places are no shares; it checks them itself.
  const most = rule.kind === 'ftrl' ? limit : 1;
  checked(rule.name, 'beta1, rho or momentum', rule.beta1, 0, most);
  checked(rule.name, 'beta2 or rho', rule.beta2, 0, most);
  checked(rule.name, 'epsilon', rule.epsilon, 0, limit);
  if ([clipnorm, clipvalue, globalClipnorm].filter((clip) => clip !== undefined).length > 1) {
    throw new NablaError(
      rule.name,
      'several ways to clip, expected only one of clipnorm, clipvalue and globalClipnorm',
    );
  }
  const numbers = [rule.beta1 ?? 0, rule.beta2 ?? 0, rule.epsilon ?? 0, weightDecay];
  return recorded('optimizers', rule.name, [options], {
    name: rule.name,
    learningRate,
    schedule,
    clipping: { norm: clipnorm, value: clipvalue, globalNorm: globalClipnorm },
    states: rule.states,
    ...(rule.initialState ? { initialState: rule.initialState } : {}),
    attributes: [updateKinds[rule.kind], rule.flags ?? 0, ...numbers.map(floatBits)],
  });
}

/** Settings of {@link sgd}. */
export interface SgdOptions extends OptimizerOptions {
  /** Share of the last step that is repeated. Default 0. */
  momentum?: number;
  /** Look ahead by the momentum (Nesterov 1983). Default false. */
  nesterov?: boolean;
}

/** Stochastic gradient descent, with momentum. Default learning rate 0.01. */
export function sgd(options: SgdOptions = {}): Optimizer {
  const { momentum = 0, nesterov = false } = options;
  const rule: Rule =
    momentum === 0
      ? { name: 'sgd', kind: 'sgd', states: [false, false, false] }
      : {
          name: 'sgd',
          kind: 'momentum',
          flags: nesterov ? updateFlags.nesterov : 0,
          beta1: momentum,
          states: [true, false, false],
        };
  return make(rule, options, 0.01);
}

/** Settings of {@link rmsprop}. */
export interface RmspropOptions extends OptimizerOptions {
  /** How slowly the mean of squared gradients moves. Default 0.9. */
  rho?: number;
  /** Default 0. */
  momentum?: number;
  /** Default 1e-7. */
  epsilon?: number;
  /** Divide by the variance rather than the mean square. Default false. */
  centered?: boolean;
}

/** RMSprop (Tieleman and Hinton 2012). Default learning rate 0.001. */
export function rmsprop(options: RmspropOptions = {}): Optimizer {
  const { rho = 0.9, momentum = 0, epsilon = 1e-7, centered = false } = options;
  const flags = centered ? updateFlags.centered : 0;
  const states = [true, momentum > 0, centered] as const;
  return make(
    { name: 'rmsprop', kind: 'rmsprop', flags, beta1: momentum, beta2: rho, epsilon, states },
    options,
    0.001,
  );
}

/** Settings of {@link adam} and {@link adamw}. */
export interface AdamOptions extends OptimizerOptions {
  /** How slowly the mean of the gradients moves. Default 0.9. */
  beta1?: number;
  /** How slowly the mean of their squares moves. Default 0.999. */
  beta2?: number;
  /** Default 1e-7. */
  epsilon?: number;
  /** Use the largest mean square so far (Reddi et al. 2018). Default false. */
  amsgrad?: boolean;
}

function adamLike(name: string, options: AdamOptions, weightDecay: number): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7, amsgrad = false } = options;
  const flags = amsgrad ? updateFlags.amsgrad : 0;
  const states = [true, true, amsgrad] as const;
  return make(
    { name, kind: 'adam', flags, beta1, beta2, epsilon, states },
    { weightDecay, ...options },
    0.001,
  );
}

/** Adam (Kingma and Ba 2015). Default learning rate 0.001. */
export function adam(options: AdamOptions = {}): Optimizer {
  return adamLike('adam', options, 0);
}

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019). Default learning rate 0.001, weightDecay 0.004. */
export function adamw(options: AdamOptions = {}): Optimizer {
  return adamLike('adamw', options, 0.004);
}

/** Settings of {@link adagrad}. */
export interface AdagradOptions extends OptimizerOptions {
  /** What the sums of squared gradients begin with. Default 0.1. */
  initialAccumulatorValue?: number;
  /** Default 1e-7. */
  epsilon?: number;
}

/** Adagrad (Duchi et al. 2011): smaller steps for weights that have moved much. Default learning rate 0.001. */
export function adagrad(options: AdagradOptions = {}): Optimizer {
  const { initialAccumulatorValue: initialState = 0.1, epsilon = 1e-7 } = options;
  checked('adagrad', 'initialAccumulatorValue', initialState, 0, Number.MAX_VALUE);
  return make(
    { name: 'adagrad', kind: 'adagrad', epsilon, states: [true, false, false], initialState },
    options,
    0.001,
  );
}

/** Settings of {@link adadelta}. */
export interface AdadeltaOptions extends OptimizerOptions {
  /** How slowly the means of squares move. Default 0.95. */
  rho?: number;
  /** Default 1e-7. */
  epsilon?: number;
}

/** Adadelta (Zeiler 2012). Default learning rate 0.001; the original's is 1. */
export function adadelta(options: AdadeltaOptions = {}): Optimizer {
  const { rho = 0.95, epsilon = 1e-7 } = options;
  return make(
    { name: 'adadelta', kind: 'adadelta', beta2: rho, epsilon, states: [true, true, false] },
    options,
    0.001,
  );
}

function betaRule(name: 'adamax' | 'nadam', options: BetaOptions): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7 } = options;
  return make({ name, kind: name, beta1, beta2, epsilon, states: [true, true, false] }, options, 0.001);
}

/** Settings of {@link adamax} and {@link nadam}. */
export type BetaOptions = Omit<AdamOptions, 'amsgrad'>;

/** Adam with the largest faded gradient in place of the mean square (Kingma and Ba 2015). Default learning rate 0.001. */
export function adamax(options: BetaOptions = {}): Optimizer {
  return betaRule('adamax', options);
}

/** Adam with Nesterov's momentum (Dozat 2016). Default learning rate 0.001. */
export function nadam(options: BetaOptions = {}): Optimizer {
  return betaRule('nadam', options);
}

/** Settings of {@link ftrl}. */
export interface FtrlOptions extends OptimizerOptions {
  /** What the sums of squared gradients begin with, above 0. Default 0.1. */
  initialAccumulatorValue?: number;
  /** Strength of the penalty on absolute weights, which sets small ones to 0. Default 0. */
  l1RegularizationStrength?: number;
  /** Strength of the penalty on squared weights. Default 0. */
  l2RegularizationStrength?: number;
  /** As the former, but in the gradient only. Default 0. */
  l2ShrinkageRegularizationStrength?: number;
}

/**
 * Follow the regularized leader (McMahan et al. 2013), the learning rate falling with the root of the sums of squares. For linear models: the first
 * step forgets the weights' first values, so that hidden units of equal gradients stay equal. Default learning rate 0.001.
 */
export function ftrl(options: FtrlOptions = {}): Optimizer {
  const {
    initialAccumulatorValue: initialState = 0.1,
    l1RegularizationStrength: beta1 = 0,
    l2RegularizationStrength: beta2 = 0,
    l2ShrinkageRegularizationStrength: epsilon = 0,
  } = options;
  // The first step divides by the root of this.
  checked('ftrl', 'initialAccumulatorValue', initialState, Number.MIN_VALUE, Number.MAX_VALUE);
  checked('ftrl', 'l1RegularizationStrength', beta1, 0, Number.MAX_VALUE);
  checked('ftrl', 'l2RegularizationStrength', beta2, 0, Number.MAX_VALUE);
  checked('ftrl', 'l2ShrinkageRegularizationStrength', epsilon, 0, Number.MAX_VALUE);
  return make(
    { name: 'ftrl', kind: 'ftrl', beta1, beta2, epsilon, states: [true, true, false], initialState },
    options,
    0.001,
  );
}

/** Settings of {@link lion}. */
export interface LionOptions extends OptimizerOptions {
  /** Share of the mean gradient in the direction of a step, above 0. Default 0.9. */
  beta1?: number;
  /** How slowly the mean of the gradients moves. Default 0.99. */
  beta2?: number;
}

/** Lion (Chen et al. 2023): steps of one size, in the direction of the gradients' sign. Default learning rate 0.001. */
export function lion(options: LionOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.99 } = options;
  checked('lion', 'beta1', beta1, Number.MIN_VALUE, 1);
  return make({ name: 'lion', kind: 'lion', beta1, beta2, states: [true, false, false] }, options, 0.001);
}

const factories = {
  sgd,
  rmsprop,
  adam,
  adamw,
  adagrad,
  adadelta,
  adamax,
  nadam,
  ftrl,
  lion,
} satisfies Record<string, () => Optimizer>;

/** Names of optimizers. */
export type OptimizerName = keyof typeof factories;

/** An optimizer, or the name of one with its defaults. */
export type OptimizerLike = OptimizerName | Optimizer | (string & {});

/** The optimizer that a name or object means. */
export function getOptimizer(where: string, like: OptimizerLike): Optimizer {
  if (typeof like === 'string') return resolveName<() => Optimizer>(where, 'optimizer', like, factories)();
  if (like !== null && typeof like === 'object' && 'attributes' in like) return like;
  throw new NablaError(
    where,
    `bad optimizer, got ${describe(like)}, expected a name such as 'adam' or optimizers.adam()`,
  );
}
