// Activation functions by name.

import { resolveName, type Spelled } from './names.ts';
import {
  celu,
  elu,
  gelu,
  hardShrink,
  hardSigmoid,
  hardSilu,
  hardTanh,
  leakyRelu,
  logSigmoid,
  mish,
  relu6,
  selu,
  silu,
  softShrink,
  softsign,
  squareplus,
  tanhShrink,
} from './ops/activation.ts';
import { logSoftmax, softmax } from './ops/nn.ts';
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
  logSoftmax: (x: Tensor) => logSoftmax(x),
  relu6: (x: Tensor) => relu6(x),
  leakyRelu: (x: Tensor) => leakyRelu(x),
  elu: (x: Tensor) => elu(x),
  celu: (x: Tensor) => celu(x),
  selu: (x: Tensor) => selu(x),
  gelu: (x: Tensor) => gelu(x),
  /** The gelu of GPT-2: its tanh form. */
  geluApproximate: (x: Tensor) => gelu(x, true),
  silu: (x: Tensor) => silu(x),
  mish: (x: Tensor) => mish(x),
  hardSigmoid: (x: Tensor) => hardSigmoid(x),
  hardSilu: (x: Tensor) => hardSilu(x),
  hardTanh: (x: Tensor) => hardTanh(x),
  softsign: (x: Tensor) => softsign(x),
  logSigmoid: (x: Tensor) => logSigmoid(x),
  tanhShrink: (x: Tensor) => tanhShrink(x),
  softShrink: (x: Tensor) => softShrink(x),
  hardShrink: (x: Tensor) => hardShrink(x),
  squareplus: (x: Tensor) => squareplus(x),
} satisfies Record<string, Activation>;

/**
 * Names of activations: in camelCase, and in Keras' two spellings.
 *
 * @useDeclaredType
 */
export type ActivationName = Spelled<keyof typeof activations | 'swish' | 'hardSwish'>;

/** An activation, or the name of one. */
export type ActivationLike = ActivationName | Activation;

/** The activation that a name or function means. */
export function getActivation(where: string, like: ActivationLike): Activation {
  if (typeof like === 'function') return like;
  return resolveName<Activation>(where, 'activation', like, activations, {
    swish: 'silu',
    hardSwish: 'hardSilu',
  });
}

/** The name that a summary or a saved model shows. */
export function activationName(like: ActivationLike): string {
  return typeof like === 'function' ? like.name || 'custom' : like;
}
