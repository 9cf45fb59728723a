// Adafactor: the mean squares of a matrix's gradients are kept as a row and a column only.
import { add, div, maximum, minimum, mul, pow, sub } from '../ops/arithmetic.ts';
import { cast } from '../ops/compare.ts';
import { mean } from '../ops/reduce.ts';
import { expandDims } from '../ops/shape.ts';
import { rsqrt, sqrt, square } from '../ops/unary.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { ComposedOptimizer, type StateSpec, type UpdateContext, type Updated } from './composed.ts';
import { checked, type OptimizerOptions } from './optimizer.ts';

/** Settings of {@link adafactor}. */
export interface AdafactorOptions extends OptimizerOptions {
  /** The mean squares move by `step ** beta2Decay`; at most 0. Default -0.8. */
  beta2Decay?: number;
  /** Added to squared gradients. Default 1e-30. */
  epsilon1?: number;
  /** The least size of a weight that steps are measured by. Default 0.001. */
  epsilon2?: number;
  /** The root mean square that a step is scaled down to, above 0. Default 1. */
  clipThreshold?: number;
}

type Settings = Required<Pick<AdafactorOptions, 'beta2Decay' | 'epsilon1' | 'epsilon2' | 'clipThreshold'>>;

const rootMeanSquare = (x: Tensor) => sqrt(mean(square(x)));

class Adafactor extends ComposedOptimizer {
  private readonly settings: Settings;

  constructor(options: AdafactorOptions) {
    super('adafactor', options, 0.001);
    const { beta2Decay = -0.8, epsilon1 = 1e-30, epsilon2 = 1e-3, clipThreshold = 1 } = options;
    checked('adafactor', 'beta2Decay', beta2Decay, -Number.MAX_VALUE, 0);
    checked('adafactor', 'epsilon1', epsilon1, 0, Number.MAX_VALUE);
    checked('adafactor', 'epsilon2', epsilon2, 0, Number.MAX_VALUE);
    checked('adafactor', 'clipThreshold', clipThreshold, Number.MIN_VALUE, Number.MAX_VALUE);
    this.settings = { beta2Decay, epsilon1, epsilon2, clipThreshold };
  }

  override states({ shape }: Variable): Record<string, StateSpec> {
    if (shape.length < 2) return { squares: { shape } };
    return {
      rows: { shape: shape.slice(0, -1) },
      columns: { shape: [...shape.slice(0, -2), shape.at(-1)!] },
    };
  }

  override update({ gradient, weight, states, step, learningRate }: UpdateContext): Updated {
    const { beta2Decay, epsilon1, epsilon2, clipThreshold } = this.settings;
    const t = cast(add(step, 1), 'float32');
    // How much of the new squares is taken in: all at the first step, less and less then.
    const share = pow(t, beta2Decay);
    const blend = (state: Tensor, now: Tensor) => add(mul(state, sub(1, share)), mul(now, share));
    const squares = add(square(gradient), epsilon1);
    const { scale, ...changed } = states.squares
      ? this.whole(blend(states.squares, squares))
      : this.factored(blend(states.rows!, mean(squares, -1)), blend(states.columns!, mean(squares, -2)));
    const move = mul(gradient, scale);
    const limited = div(move, maximum(div(rootMeanSquare(move), clipThreshold), 1));
    const rate = mul(minimum(learningRate, rsqrt(t)), maximum(rootMeanSquare(weight), epsilon2));
    return { weight: sub(weight, mul(limited, rate)), states: changed.states };
  }

  private whole(squares: Tensor) {
    return { scale: rsqrt(squares), states: { squares } };
  }

  private factored(rows: Tensor, columns: Tensor) {
    const shares = expandDims(div(rows, mean(rows, -1, true)), -1);
    return { scale: rsqrt(mul(shares, expandDims(columns, -2))), states: { rows, columns } };
  }
}

/**
 * Adafactor (Shazeer and Stern 2018): steps as RMSprop's, measured by the size of the weight, with little memory; the last two dimensions of a weight
 * are factored. As in Keras the rate is never above `1 / sqrt(step)`, so that there is no `relativeStep`. Default learning rate 0.001.
 *
 * @example model.compile({ optimizer: optimizers.adafactor({ learningRate: 0.01 }), loss: 'meanSquaredError' });
 */
export function adafactor(options: AdafactorOptions = {}): ComposedOptimizer {
  return new Adafactor(options);
}
