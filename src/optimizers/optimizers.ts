// Optimizers that the update kernel carries out over a flat range of weights, and optimizers by name.
import { describe, NablaError } from '../errors.ts';
import { resolveName, type Spelled } from '../names.ts';
import { floatBits } from '../program/graph.ts';
import { updateFlags, updateKinds } from '../program/kernels.ts';
import type { Variable } from '../variable.ts';
import { adafactor } from './adafactor.ts';
import { ComposedOptimizer } from './composed.ts';
import { lamb } from './lamb.ts';
import { LossScaleOptimizer } from './loss-scale.ts';
import { muon } from './muon.ts';
import { checked, Optimizer, type OptimizerOptions } from './optimizer.ts';

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

/** An optimizer that the update kernel carries out, elementwise over a flat range of weights. */
export class FlatOptimizer extends Optimizer {
  /** @internal Which of the kernel's three state ranges it uses. */
  readonly states: readonly [boolean, boolean, boolean];
  /** @internal What the first state range is filled with at the start. */
  readonly initialState: number;
  private readonly rule: Rule;

  /** @internal Use `adam()` and its like. */
  constructor(rule: Rule, options: OptimizerOptions, defaultRate: number) {
    super(rule.name, options, defaultRate);
    this.rule = rule;
    this.states = rule.states;
    this.initialState = rule.initialState ?? 0;
    // Ftrl's numbers in these places are no shares; it checks them itself.
    const most = rule.kind === 'ftrl' ? Number.MAX_VALUE : 1;
    checked(rule.name, 'beta1, rho or momentum', rule.beta1, 0, most);
    checked(rule.name, 'beta2 or rho', rule.beta2, 0, most);
    checked(rule.name, 'epsilon', rule.epsilon, 0, Number.MAX_VALUE);
  }

  /** @internal Attribute words of the update kernel for weights of this decay. */
  attributes(weightDecay: number): number[] {
    const { kind, flags = 0, beta1 = 0, beta2 = 0, epsilon = 0 } = this.rule;
    return [updateKinds[kind], flags, ...[beta1, beta2, epsilon, weightDecay].map(floatBits)];
  }

  override statesPerWeight(weight: Variable): number {
    return weight.size * this.states.filter(Boolean).length;
  }
}

function make(rule: Rule, options: OptimizerOptions, defaultRate: number): FlatOptimizer {
  return new FlatOptimizer(rule, options, defaultRate);
}

/** Settings of {@link sgd}. */
export interface SgdOptions extends OptimizerOptions {
  /** Share of the last step that is repeated. Default 0. */
  momentum?: number;
  /** Look ahead by the momentum (Nesterov 1983). Default false. */
  nesterov?: boolean;
}

/** Stochastic gradient descent, with momentum. Default learning rate 0.01. */
export function sgd(options: SgdOptions = {}): FlatOptimizer {
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
export function rmsprop(options: RmspropOptions = {}): FlatOptimizer {
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

function adamLike(name: string, options: AdamOptions, weightDecay: number): FlatOptimizer {
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
export function adam(options: AdamOptions = {}): FlatOptimizer {
  return adamLike('adam', options, 0);
}

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019). Default learning rate 0.001, weightDecay 0.004. */
export function adamw(options: AdamOptions = {}): FlatOptimizer {
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
export function adagrad(options: AdagradOptions = {}): FlatOptimizer {
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
export function adadelta(options: AdadeltaOptions = {}): FlatOptimizer {
  const { rho = 0.95, epsilon = 1e-7 } = options;
  return make(
    { name: 'adadelta', kind: 'adadelta', beta2: rho, epsilon, states: [true, true, false] },
    options,
    0.001,
  );
}

function betaRule(name: 'adamax' | 'nadam', options: BetaOptions): FlatOptimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7 } = options;
  return make({ name, kind: name, beta1, beta2, epsilon, states: [true, true, false] }, options, 0.001);
}

/** Settings of {@link adamax} and {@link nadam}. */
export type BetaOptions = Omit<AdamOptions, 'amsgrad'>;

/** Adam with the largest faded gradient in place of the mean square (Kingma and Ba 2015). Default learning rate 0.001. */
export function adamax(options: BetaOptions = {}): FlatOptimizer {
  return betaRule('adamax', options);
}

/** Adam with Nesterov's momentum (Dozat 2016). Default learning rate 0.001. */
export function nadam(options: BetaOptions = {}): FlatOptimizer {
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
export function ftrl(options: FtrlOptions = {}): FlatOptimizer {
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
export function lion(options: LionOptions = {}): FlatOptimizer {
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
  lamb,
  adafactor,
  muon,
} satisfies Record<string, () => Optimizer>;

/**
 * Names of optimizers: in camelCase, and as Keras' classes are called.
 *
 * @useDeclaredType
 */
export type OptimizerName = Spelled<keyof typeof factories> | 'AdamW' | 'SGD' | 'RMSprop';

/** An optimizer, or the name of one with its defaults. */
export type OptimizerLike = OptimizerName | Optimizer;

/** @internal Is it an optimizer that can update weights? */
export function isOptimizer(value: unknown): value is FlatOptimizer | ComposedOptimizer | LossScaleOptimizer {
  if (value instanceof LossScaleOptimizer) return isOptimizer(value.innerOptimizer);
  return value instanceof FlatOptimizer || value instanceof ComposedOptimizer;
}

/** The optimizer that a name or object means. */
export function getOptimizer(where: string, like: OptimizerLike): Optimizer {
  if (typeof like === 'string') return resolveName<() => Optimizer>(where, 'optimizer', like, factories)();
  if (isOptimizer(like)) return like;
  if (like instanceof Optimizer)
    throw new NablaError(
      where,
      `the optimizer ${like.name} has no update(); extend optimizers.ComposedOptimizer`,
    );
  throw new NablaError(
    where,
    `bad optimizer, got ${describe(like)}, expected a name such as 'adam' or optimizers.adam()`,
  );
}
