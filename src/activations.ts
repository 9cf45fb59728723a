// Activation functions by name.

import { resolveName } from './names.ts';
import { mul } from './ops/arithmetic.ts';
import { softmax } from './ops/nn.ts';
import { exp, relu, sigmoid, softplus, tanh } from './ops/unary.ts';
import type { Tensor } from './tensor.ts';

/** A function of a tensor that gives one of the same shape. */
export type Activation = (x: Tensor) => Tensor;

const activations = {
  /** The numbers as they are. */
  linear: (x: Tensor) => x,
  relu: (x: Tensor) => relu(x),
  sigmoid: (x: Tensor) => sigmoid(x),
  tanh: (x: Tensor) => tanh(x),
  softmax: (x: Tensor) => softmax(x),
  softplus: (x: Tensor) => softplus(x),
  exponential: (x: Tensor) => exp(x),
  /** `x * sigmoid(x)` (Ramachandran et al. 2017). */
  silu: (x: Tensor) => mul(x, sigmoid(x)),
} satisfies Record<string, Activation>;

/** Names of activations. */
export type ActivationName = keyof typeof activations;

/** An activation, or the name of one. */
export type ActivationLike = ActivationName | Activation;

/** The activation that a name or function means. */
export function getActivation(where: string, like: ActivationLike): Activation {
  if (typeof like === 'function') return like;
  return resolveName<Activation>(where, 'activation', like, activations, { swish: 'silu' });
}

/** The name that a summary or a saved model shows. */
export function activationName(like: ActivationLike): string {
  return typeof like === 'function' ? like.name || 'custom' : like;
}
