// Policies of dtypes: what layers hold their weights in, and what they compute and hand on in, under Keras' names.
import type { FloatDType } from './dtype.ts';
import { describe, NablaError } from './errors.ts';
import { resolveName } from './names.ts';

/** What layers hold their weights in, and what they compute in. */
export interface DTypePolicy {
  /** As Keras calls it. */
  readonly name: 'float32' | 'mixed_bfloat16' | 'mixed_float16';
  /** The dtype of what a layer is given, once it is converted, and of what it gives. */
  readonly computeDtype: FloatDType;
  /** The dtype of the weights. */
  readonly variableDtype: 'float32';
}

const float32: DTypePolicy = { name: 'float32', computeDtype: 'float32', variableDtype: 'float32' };
const mixedBfloat16: DTypePolicy = {
  name: 'mixed_bfloat16',
  computeDtype: 'bfloat16',
  variableDtype: 'float32',
};
const mixedFloat16: DTypePolicy = {
  name: 'mixed_float16',
  computeDtype: 'float16',
  variableDtype: 'float32',
};

/** The policies by name. */
export const dtypePolicies = {
  /** Everything in float32. */
  float32,
  /**
   * Keras' `'mixed_bfloat16'`: activations are kept in bfloat16, half the memory of float32, while weights, sums, losses and optimizers stay
   * float32. (Micikevicius et al. 2018; Kalamkar et al. 2019.)
   */
  mixedBfloat16,
  /**
   * Keras' `'mixed_float16'`: the same with float16, which keeps three more bits of a number but goes from 6e-8 to 65504 only. `compile` has the
   * loss scaled (`optimizers.lossScale`), so that small gradients are not lost. (Micikevicius et al. 2018.)
   */
  mixedFloat16,
} as const;

/** A policy or its name; Keras' snake_case is accepted too. */
export type DTypePolicyLike = keyof typeof dtypePolicies | 'mixed_bfloat16' | 'mixed_float16' | DTypePolicy;

const known = "'float32', 'mixed_bfloat16' or 'mixed_float16'";
const other: Readonly<Record<string, string>> = {
  float16: 'weights of 16 bits lose small updates',
  bfloat16: 'weights of 16 bits lose small updates',
  float64: 'kernels compute in float32',
};

// One a JavaScript environment, as the backend is.
const current: { policy: DTypePolicy } = { policy: float32 };

/** @internal The policy that is meant, or that of {@link setDtypePolicy} where none is. */
export function resolvePolicy(where: string, like: DTypePolicyLike | undefined): DTypePolicy {
  if (like === undefined) return current.policy;
  if (typeof like === 'object' && Object.values(dtypePolicies).includes(like)) return like;
  if (typeof like !== 'string') {
    throw new NablaError(where, `bad dtype policy, got ${describe(like)}, expected ${known}`);
  }
  const name: string = like;
  const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const why = Object.hasOwn(other, snake) ? other[snake] : undefined;
  if (why !== undefined) {
    throw new NablaError(
      where,
      `dtype policy '${name}' is not supported, for ${why}, expected ${known}; use 'mixed_bfloat16'`,
    );
  }
  return resolveName(where, 'dtype policy', name, dtypePolicies);
}

/**
 * Sets the policy of the layers that are made from now on, as Keras' `set_dtype_policy` does; layers with a `dtype` of their own keep it.
 * Throws for policies that are not supported: those whose weights are not float32.
 *
 * @example setDtypePolicy('mixed_bfloat16')
 */
export function setDtypePolicy(policy: DTypePolicyLike): void {
  if (policy === undefined)
    throw new NablaError('setDtypePolicy', "got undefined, expected 'mixed_bfloat16'");
  current.policy = resolvePolicy('setDtypePolicy', policy);
}

/** The policy of layers that do not say their own. At first float32. */
export function dtypePolicy(): DTypePolicy {
  return current.policy;
}

/** @internal Runs `body` with another policy for the layers that it makes. */
export function underPolicy<T>(policy: DTypePolicy, body: () => T): T {
  const former = current.policy;
  current.policy = policy;
  try {
    return body();
  } finally {
    current.policy = former;
  }
}
