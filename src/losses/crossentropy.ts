// The cross entropies, from probabilities or logits; formulas and defaults as in Keras 3.
import { NablaError } from '../errors.ts';
import { add, div, mul, sub } from '../ops/arithmetic.ts';
import { cast, equal, where } from '../ops/compare.ts';
import { oneHot } from '../ops/gather.ts';
import { softmaxCrossEntropy, softmaxLogits } from '../ops/nn.ts';
import { sum } from '../ops/reduce.ts';
import { reshape } from '../ops/shape.ts';
import { clip, floor, log, neg, softplus } from '../ops/unary.ts';
import { recorded } from '../saving/recorded.ts';
import { showShape } from '../shape.ts';
import {
  align,
  type CrossentropyOptions,
  checkSmoothing,
  epsilon,
  type Loss,
  type LossFunction,
  perSample,
  type SmoothableOptions,
} from './loss.ts';

/** The cross entropy with distributions such as one-hot rows: labels and predictions `[..., classes]`. */
export function categoricalCrossentropy(options: SmoothableOptions = {}): Loss {
  const { fromLogits = false, labelSmoothing = 0 } = options;
  const name = 'categoricalCrossentropy';
  checkSmoothing(name, labelSmoothing);
  const call: LossFunction = (yTrue, yPred) => {
    if (yTrue.rank < yPred.rank) {
      throw new NablaError(
        name,
        `labels are not distributions, got ${showShape(yTrue.shape)}, expected ${showShape(yPred.shape)}; ` +
          "use oneHot(), or the loss 'sparseCategoricalCrossentropy' with class indices",
      );
    }
    let [labels] = align(name, yTrue, yPred);
    const classes = yPred.shape.at(-1)!;
    if (labelSmoothing > 0) labels = add(mul(labels, 1 - labelSmoothing), labelSmoothing / classes);
    // A softmax is undone rather than logged: accurate for all probabilities, and one kernel with its gradient.
    const logits = fromLogits ? yPred : softmaxLogits(yPred);
    if (logits !== undefined) return perSample(softmaxCrossEntropy(logits, labels));
    const normal = div(yPred, sum(yPred, -1, true));
    return perSample(neg(sum(mul(labels, log(clip(normal, epsilon, 1 - epsilon))), -1)));
  };
  return recorded('losses', 'categoricalCrossentropy', [options], { name, call });
}

/** The cross entropy with class indices: labels `[...]` or `[..., 1]`, predictions `[..., classes]`. */
export function sparseCategoricalCrossentropy(options: CrossentropyOptions = {}): Loss {
  const { fromLogits = false } = options;
  const name = 'sparseCategoricalCrossentropy';
  const call: LossFunction = (yTrue, yPred) => {
    const shape = yPred.shape.slice(0, -1);
    if (yTrue.size !== shape.reduce((a, b) => a * b, 1)) {
      throw new NablaError(
        name,
        `labels do not fit the predictions, got ${showShape(yTrue.shape)}, expected class indices ${showShape(shape)}; ` +
          "use the loss 'categoricalCrossentropy' with one-hot labels",
      );
    }
    // NaN and fractions are no classes: -1 has them refused rather than cut to a class.
    const whole = yTrue.dtype === 'float32' ? where(equal(yTrue, floor(yTrue)), yTrue, -1) : yTrue;
    const indices = reshape(whole.dtype === 'uint8' ? whole : cast(whole, 'int32'), shape);
    const logits = fromLogits ? yPred : softmaxLogits(yPred);
    if (logits !== undefined) return perSample(softmaxCrossEntropy(logits, indices));
    const chosen = oneHot(indices, yPred.shape.at(-1)!);
    const normal = div(yPred, sum(yPred, -1, true));
    return perSample(neg(sum(mul(chosen, log(clip(normal, epsilon, 1 - epsilon))), -1)));
  };
  return recorded('losses', 'sparseCategoricalCrossentropy', [options], { name, call });
}

/** The cross entropy of independent yes-or-no labels. */
export function binaryCrossentropy(options: SmoothableOptions = {}): Loss {
  const { fromLogits = false, labelSmoothing = 0 } = options;
  const name = 'binaryCrossentropy';
  checkSmoothing(name, labelSmoothing);
  const call: LossFunction = (yTrue, yPred) => {
    let [labels] = align(name, yTrue, yPred);
    if (labelSmoothing > 0) labels = add(mul(labels, 1 - labelSmoothing), labelSmoothing / 2);
    if (fromLogits) {
      // -log(sigmoid(x)) is softplus(-x): accurate for all logits, with the gradient sigmoid(x) - label.
      const hit = mul(labels, softplus(neg(yPred)));
      return perSample(add(hit, mul(sub(1, labels), softplus(yPred))));
    }
    const p = clip(yPred, epsilon, 1 - epsilon);
    const hit = mul(labels, log(p));
    const miss = mul(sub(1, labels), log(sub(1, p)));
    return perSample(neg(add(hit, miss)));
  };
  return recorded('losses', 'binaryCrossentropy', [options], { name, call });
}
