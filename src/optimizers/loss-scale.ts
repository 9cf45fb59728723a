// Loss scaling: the loss is multiplied so that gradients of 16 bits do not vanish, and steps whose gradients overflow are passed over.
import { describe, NablaError } from '../errors.ts';
import { recorded } from '../saving/recorded.ts';
import type { Variable } from '../variable.ts';
import { Optimizer } from './optimizer.ts';

/** Settings of {@link lossScale}. */
export interface LossScaleOptions {
  /** What the loss is multiplied by at first. Default 2^15: too much is found out soon, too little only after `dynamicGrowthSteps`. */
  initialScale?: number;
  /** After so many steps with finite gradients the scale is doubled. Default 2000. */
  dynamicGrowthSteps?: number;
}

/** Where a loss scale stands. */
export interface LossScaleState {
  /** What the loss is multiplied by. */
  readonly scale: number;
  /** Steps with finite gradients since it changed last. */
  readonly steps: number;
}

/** An optimizer in whose steps the loss is scaled; see {@link lossScale}. Rates, limits, decay and averages are those of the inner one. */
export class LossScaleOptimizer extends Optimizer {
  /** What changes the weights. */
  readonly innerOptimizer: Optimizer;
  /** What the loss is multiplied by at first. */
  readonly initialScale: number;
  /** After so many steps with finite gradients the scale is doubled. */
  readonly dynamicGrowthSteps: number;
  /** @internal Reads the scale where it is kept, once there is a training step. */
  source: (() => LossScaleState) | undefined;

  /** @internal Use `lossScale()`. */
  constructor(inner: Optimizer, options: LossScaleOptions = {}) {
    const where = 'lossScale';
    const { initialScale = 2 ** 15, dynamicGrowthSteps = 2000 } = options;
    if (!(inner instanceof Optimizer) || inner instanceof LossScaleOptimizer) {
      const what = inner instanceof LossScaleOptimizer ? 'one that scales the loss already' : describe(inner);
      throw new NablaError(
        where,
        `bad optimizer, got ${what}, expected one to wrap such as optimizers.adam()`,
      );
    }
    super(where, {}, inner.schedule ?? inner.learningRate);
    recorded('optimizers', where, [inner, options], this);
    if (!(typeof initialScale === 'number' && initialScale > 0 && Math.fround(initialScale) < Infinity)) {
      throw new NablaError(
        where,
        `bad initialScale, got ${describe(initialScale)}, expected a number above 0, finite as float32`,
      );
    }
    if (!Number.isInteger(dynamicGrowthSteps) || dynamicGrowthSteps < 1 || dynamicGrowthSteps >= 2 ** 31) {
      throw new NablaError(
        where,
        `bad dynamicGrowthSteps, got ${describe(dynamicGrowthSteps)}, expected an integer >= 1`,
      );
    }
    this.innerOptimizer = inner;
    this.initialScale = initialScale;
    this.dynamicGrowthSteps = dynamicGrowthSteps;
  }

  /** What the loss of the next step is multiplied by. */
  get dynamicScale(): number {
    return this.source?.().scale ?? this.initialScale;
  }

  override get learningRate(): number {
    return this.innerOptimizer.learningRate;
  }

  override set learningRate(rate: number) {
    this.innerOptimizer.learningRate = rate;
  }

  override statesPerWeight(weight: Variable): number {
    return this.innerOptimizer.statesPerWeight(weight);
  }

  override weightDecayOf(weight: Variable): number {
    return this.innerOptimizer.weightDecayOf(weight);
  }

  override learningRateMultiplierOf(weight: Variable): number {
    return this.innerOptimizer.learningRateMultiplierOf(weight);
  }
}

/**
 * Has an optimizer's losses scaled: the loss is multiplied by a large number before its gradients are computed, which are divided by it afterwards,
 * so that those that pass through float16 do not vanish. A step whose gradients are not finite changes nothing but the scale, which is halved; after
 * `dynamicGrowthSteps` steps without one it is doubled. What is reported as the loss is not scaled. All options, clipping and accumulation among
 * them, are those of the inner optimizer, and act on gradients that are scaled back. Keras' LossScaleOptimizer (Micikevicius et al. 2018).
 *
 * `compile` does this by itself for models with layers in `'mixed_float16'`. Throws if `inner` is no optimizer or scales losses already.
 *
 * @example model.compile({ optimizer: optimizers.lossScale(optimizers.adam(), { initialScale: 1024 }), loss: 'meanSquaredError' });
 */
export function lossScale(inner: Optimizer, options: LossScaleOptions = {}): LossScaleOptimizer {
  return new LossScaleOptimizer(inner, options);
}
