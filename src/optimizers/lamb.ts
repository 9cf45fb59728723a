// LAMB: Adam whose steps are as long, for each weight, as the weight itself.
import { add, div, mul, sub } from '../ops/arithmetic.ts';
import { greater, logicalAnd, where } from '../ops/compare.ts';
import { norm } from '../ops/reduce.ts';
import { sqrt, square } from '../ops/unary.ts';
import type { Variable } from '../variable.ts';
import { ComposedOptimizer, type UpdateContext, type Updated } from './composed.ts';
import { oneMinusPower } from './numeric.ts';
import { checked, type OptimizerOptions } from './optimizer.ts';

/** Settings of {@link lamb}. */
export interface LambOptions extends OptimizerOptions {
  /** How slowly the mean of the gradients moves. Default 0.9. */
  beta1?: number;
  /** How slowly the mean of their squares moves. Default 0.999. */
  beta2?: number;
  /** Default 1e-7. */
  epsilon?: number;
}

class Lamb extends ComposedOptimizer {
  private readonly settings: Required<Pick<LambOptions, 'beta1' | 'beta2' | 'epsilon'>>;

  constructor(options: LambOptions) {
    super('lamb', options, 0.001);
    const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7 } = options;
    checked('lamb', 'beta1', beta1, 0, 1);
    checked('lamb', 'beta2', beta2, 0, 1);
    checked('lamb', 'epsilon', epsilon, 0, Number.MAX_VALUE);
    this.settings = { beta1, beta2, epsilon };
  }

  override states({ shape }: Variable) {
    return { mean: { shape }, square: { shape } };
  }

  override update({ gradient, weight, states, step, learningRate }: UpdateContext): Updated {
    const { beta1, beta2, epsilon } = this.settings;
    const mean = add(states.mean!, mul(sub(gradient, states.mean!), 1 - beta1));
    const squares = add(states.square!, mul(sub(square(gradient), states.square!), 1 - beta2));
    const t = add(step, 1);
    const unbiased = div(mean, oneMinusPower(beta1, t));
    const move = div(unbiased, add(sqrt(div(squares, oneMinusPower(beta2, t))), epsilon));
    const [size, length] = [norm(weight), norm(move)];
    const trust = where(logicalAnd(greater(size, 0), greater(length, 0)), div(size, length), 1);
    return {
      weight: sub(weight, mul(move, mul(trust, learningRate))),
      states: { mean, square: squares },
    };
  }
}

/**
 * LAMB (You et al. 2020): Adam's direction, as long as the weight is; for large batches. Default learning rate 0.001.
 *
 * @example model.compile({ optimizer: optimizers.lamb({ weightDecay: 0.01, excludeFromWeightDecay: 'bias' }), loss: 'meanSquaredError' });
 */
export function lamb(options: LambOptions = {}): ComposedOptimizer {
  return new Lamb(options);
}
