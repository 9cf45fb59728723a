// Cross entropies that pass over what is predicted well already (Lin et al. 2018); formulas and defaults as in Keras 3.
import { add, div, mul, pow, sub } from '../ops/arithmetic.ts';
import { softmax } from '../ops/nn.ts';
import { sum } from '../ops/reduce.ts';
import { clip, log, neg, sigmoid } from '../ops/unary.ts';
import { checkSmoothing, elementwise, epsilon, type Loss, rowwise, type SmoothableOptions } from './loss.ts';

/** Options of the focal cross entropies. */
export interface FocalOptions extends SmoothableOptions {
  /** Weight of the class 1, or of all classes. Default 0.25. */
  alpha?: number;
  /** How strongly good predictions are passed over. Default 2. */
  gamma?: number;
}

/** Options of {@link binaryFocalCrossentropy}. */
export interface BinaryFocalOptions extends FocalOptions {
  /** Weigh the classes 1 and 0 by `alpha` and `1 - alpha`. Default false. */
  applyClassBalancing?: boolean;
}

/** The binary cross entropy times `(1 - p) ** gamma`, `p` the probability given to the label. */
export function binaryFocalCrossentropy(options: BinaryFocalOptions = {}): Loss {
  const {
    applyClassBalancing = false,
    alpha = 0.25,
    gamma = 2,
    fromLogits = false,
    labelSmoothing = 0,
  } = options;
  const name = 'binaryFocalCrossentropy';
  checkSmoothing(name, labelSmoothing);
  return elementwise(
    name,
    (predictions, labels) => {
      const label = labelSmoothing > 0 ? add(mul(labels, 1 - labelSmoothing), labelSmoothing / 2) : labels;
      const p = fromLogits ? sigmoid(predictions) : predictions;
      const safe = clip(p, epsilon, 1 - epsilon);
      const entropy = neg(add(mul(label, log(safe)), mul(sub(1, label), log(sub(1, safe)))));
      const given = add(mul(label, p), mul(sub(1, label), sub(1, p)));
      const focal = mul(pow(sub(1, given), gamma), entropy);
      if (!applyClassBalancing) return focal;
      return mul(add(mul(label, alpha), mul(sub(1, label), 1 - alpha)), focal);
    },
    options,
  );
}

/** The cross entropy with distributions `[..., classes]`, each class times `alpha * (1 - p) ** gamma`. */
export function categoricalFocalCrossentropy(options: FocalOptions = {}): Loss {
  const { alpha = 0.25, gamma = 2, fromLogits = false, labelSmoothing = 0 } = options;
  const name = 'categoricalFocalCrossentropy';
  checkSmoothing(name, labelSmoothing);
  return rowwise(
    name,
    (predictions, labels) => {
      const classes = predictions.shape.at(-1)!;
      const label =
        labelSmoothing > 0 ? add(mul(labels, 1 - labelSmoothing), labelSmoothing / classes) : labels;
      const given = fromLogits ? softmax(predictions) : predictions;
      const p = clip(div(given, sum(given, -1, true)), epsilon, 1 - epsilon);
      const entropy = neg(mul(label, log(p)));
      return sum(mul(mul(pow(sub(1, p), gamma), alpha), entropy), -1);
    },
    options,
  );
}
