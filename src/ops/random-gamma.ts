// Random numbers of the gamma and beta distributions, without loops that end by chance: a few tries, of which the first good one counts.
import { describe, NablaError } from '../errors.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { add, div, mul, sub } from './arithmetic.ts';
import { greater, less, logicalAnd, where } from './compare.ts';
import { fill } from './creation.ts';
import { randomNormal, randomUniform } from './random.ts';
import { exp, log, reciprocal, sigmoid, sqrt, square } from './unary.ts';

// A try is good 19 times of 20 or more often: not one number in 10 ** 10 finds all of them bad.
const tries = 8;

/**
 * @internal Logarithms of gamma numbers of shape parameter `alpha`, which may be a tensor that broadcasts to `shape` (Marsaglia and Tsang 2000, for
 * `alpha + 1`, and Stuart's U ** (1 / alpha)). Small parameters give numbers that float32 cannot hold, but for their logarithms.
 */
export function logGamma(shape: Shape, alpha: Tensor | number): Tensor {
  const d = add(alpha, 2 / 3);
  const c = reciprocal(sqrt(mul(d, 9)));
  // What is taken if no try is good: about the mean.
  let found: Tensor = fill(shape, 0);
  for (let i = 0; i < tries; i++) {
    const x = randomNormal(shape);
    const root = add(mul(x, c), 1);
    const cube = mul(root, square(root));
    const positive = greater(cube, 0);
    const logCube = log(where(positive, cube, 1));
    const limit = add(mul(square(x), 0.5), mul(d, add(sub(1, cube), logCube)));
    const chance = log(sub(1, randomUniform(shape)));
    found = where(logicalAnd(positive, less(chance, limit)), logCube, found);
  }
  return add(add(found, log(d)), div(log(sub(1, randomUniform(shape))), alpha));
}

/** @internal Beta numbers of parameters that may be tensors. */
export function betaOf(shape: Shape, a: Tensor | number, b: Tensor | number): Tensor {
  return sigmoid(sub(logGamma(shape, a), logGamma(shape, b)));
}

function check(where: string, parameters: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(parameters)) {
    if (typeof value === 'number' && value > 0 && Number.isFinite(value)) continue;
    throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected a finite number above 0`);
  }
}

/**
 * Gamma distributed numbers of shape parameter `alpha` and scale 1, float32: mean and variance are `alpha`. Default 1.
 *
 * @example randomGamma([3], 2.5)
 */
export function randomGamma(shape: Shape, alpha = 1): Tensor<'float32'> {
  check('randomGamma', { alpha });
  return exp(logGamma(shape, alpha)) as Tensor<'float32'>;
}

/**
 * Beta distributed numbers in [0, 1], float32, with mean `alpha / (alpha + beta)`.
 *
 * @example randomBeta([8], 0.2, 0.2) // most of them near 0 or 1
 */
export function randomBeta(shape: Shape, alpha: number, beta: number): Tensor<'float32'> {
  check('randomBeta', { alpha, beta });
  return betaOf(shape, alpha, beta) as Tensor<'float32'>;
}
