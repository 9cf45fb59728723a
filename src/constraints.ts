// Constraints: what weights are brought back to after each step; formulas and defaults as in Keras 3.
import { describe, NablaError } from './errors.ts';
import { resolveName, type Spelled } from './names.ts';
import { add, div, maximum, mul } from './ops/arithmetic.ts';
import { type Axis, norm } from './ops/reduce.ts';
import { clip } from './ops/unary.ts';
import { recorded } from './saving/recorded.ts';
import type { Tensor } from './tensor.ts';

/** The weight as it may be, of the same shape. */
export type Constraint = (weight: Tensor) => Tensor;

// Keras' epsilon: norms of 0 divide nothing by 0.
const epsilon = 1e-7;

function checkNumber(where: string, name: string, value: unknown, most = Number.MAX_VALUE): void {
  if (typeof value === 'number' && value >= 0 && value <= most) return;
  const range = most === Number.MAX_VALUE ? 'a finite number >= 0' : `a number in [0, ${most}]`;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected ${range}`);
}

/** Options of constraints on norms. */
export interface UnitNormOptions {
  /** Dimensions that a norm is taken over. Default 0: the inputs of each unit of a dense layer; `[0, 1, 2]` for 2D convolutions. */
  axis?: Axis;
}

/** Options of {@link maxNorm}. */
export interface MaxNormOptions extends UnitNormOptions {
  /** Default 2. */
  maxValue?: number;
}

/** Options of {@link minMaxNorm}. */
export interface MinMaxNormOptions extends MaxNormOptions {
  /** Default 0. */
  minValue?: number;
  /** Default 1. */
  maxValue?: number;
  /** How much of the way is gone each step, in [0, 1]. Default 1. */
  rate?: number;
}

/** Scales norms above `maxValue` down to it. */
export function maxNorm(options: MaxNormOptions = {}): Constraint {
  const { maxValue = 2, axis = 0 } = options;
  checkNumber('maxNorm', 'maxValue', maxValue);
  return recorded('constraints', 'maxNorm', [options], (weight) => {
    const norms = norm(weight, axis, true);
    return mul(weight, div(clip(norms, 0, maxValue), add(norms, epsilon)));
  });
}

/** Sets weights below 0 to 0. */
export function nonNeg(): Constraint {
  return recorded('constraints', 'nonNeg', [], (weight) => maximum(weight, 0));
}

/** Scales norms to 1. */
export function unitNorm(options: UnitNormOptions = {}): Constraint {
  const { axis = 0 } = options;
  return recorded('constraints', 'unitNorm', [options], (weight) =>
    div(weight, add(norm(weight, axis, true), epsilon)),
  );
}

/** Scales norms toward `[minValue, maxValue]`. */
export function minMaxNorm(options: MinMaxNormOptions = {}): Constraint {
  const { minValue = 0, maxValue = 1, rate = 1, axis = 0 } = options;
  checkNumber('minMaxNorm', 'minValue', minValue);
  checkNumber('minMaxNorm', 'maxValue', maxValue);
  checkNumber('minMaxNorm', 'rate', rate, 1);
  return recorded('constraints', 'minMaxNorm', [options], (weight) => {
    const norms = norm(weight, axis, true);
    const wanted = add(mul(clip(norms, minValue, maxValue), rate), mul(norms, 1 - rate));
    return mul(weight, div(wanted, add(norms, epsilon)));
  });
}

const factories = { maxNorm, nonNeg, unitNorm, minMaxNorm } satisfies Record<string, () => Constraint>;

/**
 * Names of constraints: in camelCase, and in Keras' two spellings.
 *
 * @useDeclaredType
 */
export type ConstraintName = Spelled<keyof typeof factories>;

/** A constraint, its name, or a function from a weight to the weight as it may be. */
export type ConstraintLike = ConstraintName | Constraint;

/** @internal The constraint that a name or function means. */
export function getConstraint(where: string, like: ConstraintLike): Constraint {
  if (typeof like === 'function') return like;
  return resolveName<() => Constraint>(where, 'constraint', like, factories)();
}
