// Losses of segmentations, by how far regions overlap; formulas and defaults as in Keras 3.
import { add, div, mul, sub } from '../ops/arithmetic.ts';
import { type Axis, mean, sum } from '../ops/reduce.ts';
import { broadcastTo } from '../ops/shape.ts';
import { recorded } from '../saving/recorded.ts';
import { normalizeAxes } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { align, epsilon, type Loss, perSample } from './loss.ts';

/** Options of {@link dice}. */
export interface DiceOptions {
  /** Dimensions that make up a region, the batch being 0. Default all, the batch among them: every sample then has the loss of the batch. */
  axis?: Axis;
}

/** Options of {@link tversky}. */
export interface TverskyOptions extends DiceOptions {
  /** Weight of what is labelled and not predicted. Default 0.5. */
  alpha?: number;
  /** Weight of what is predicted and not labelled. Default 0.5. */
  beta?: number;
}

function overlapLoss(
  name: string,
  options: DiceOptions,
  overlap: (labels: Tensor, predictions: Tensor, total: (x: Tensor) => Tensor) => Tensor,
): Loss {
  return recorded('losses', name, [options], {
    name,
    call: (yTrue, yPred) => {
      const [labels, predictions] = align(name, yTrue, yPred);
      const axes = normalizeAxes(name, options.axis, predictions.rank);
      const losses = sub(
        1,
        overlap(labels, predictions, (x) => sum(x, axes)),
      );
      if (!axes.includes(0)) return perSample(losses);
      return broadcastTo(mean(losses), [predictions.shape[0]!]);
    },
  });
}

/** `1 - 2 * overlap / (labels + predictions)` (Milletari et al. 2016). */
export function dice(options: DiceOptions = {}): Loss {
  return overlapLoss('dice', options, (labels, predictions, total) => {
    const sizes = add(total(predictions), total(labels));
    return div(mul(total(mul(predictions, labels)), 2), add(sizes, epsilon));
  });
}

/** `1 - overlap / (overlap + alpha * missed + beta * wrong)` (Salehi et al. 2017). */
export function tversky(options: TverskyOptions = {}): Loss {
  const { alpha = 0.5, beta = 0.5 } = options;
  return overlapLoss('tversky', options, (labels, predictions, total) => {
    const overlap = total(mul(predictions, labels));
    const missed = total(mul(sub(1, predictions), labels));
    const wrong = total(mul(predictions, sub(1, labels)));
    return div(overlap, add(add(add(overlap, mul(missed, alpha)), mul(wrong, beta)), epsilon));
  });
}
