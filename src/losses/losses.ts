// Losses: one number a sample from labels and predictions; formulas and defaults as in Keras 3.
import { NablaError } from '../errors.ts';
import { resolveName } from '../names.ts';
import { add, div, mul, squaredDifference, sub } from '../ops/arithmetic.ts';
import { cast, equal, where } from '../ops/compare.ts';
import { oneHot } from '../ops/gather.ts';
import { softmaxCrossEntropy, softmaxLogits } from '../ops/nn.ts';
import { mean, sum } from '../ops/reduce.ts';
import { reshape } from '../ops/shape.ts';
import { abs, clip, floor, log, neg, softplus } from '../ops/unary.ts';
import { sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** What a model minimises: labels and predictions with a batch dimension give one number a sample, `[batch]`. */
export type LossFunction = (yTrue: Tensor, yPred: Tensor) => Tensor;

/** A loss with its name, as histories and summaries show it. */
export interface Loss {
  readonly name: string;
  readonly call: LossFunction;
}

/** Options of the cross entropies. */
export interface CrossentropyOptions {
  /** Predictions are logits, not probabilities. Default false. */
  fromLogits?: boolean;
}

/** Options of the cross entropies that take distributions. */
export interface SmoothableOptions extends CrossentropyOptions {
  /** Share of each label that is spread evenly over the classes, in [0, 1). Default 0. */
  labelSmoothing?: number;
}

// Keras' epsilon: probabilities are kept this far from 0 and 1 before a logarithm.
const epsilon = 1e-7;

function align(where: string, yTrue: Tensor, yPred: Tensor): [Tensor, Tensor] {
  const labels = cast(yTrue, 'float32');
  if (sameShape(labels.shape, yPred.shape)) return [labels, yPred];
  // Keras lets [batch] stand for [batch, 1] and the other way round.
  if (labels.size === yPred.size && Math.abs(labels.rank - yPred.rank) === 1) {
    const last = labels.rank > yPred.rank ? labels : yPred;
    if (last.shape.at(-1) === 1) return [reshape(labels, yPred.shape), yPred];
  }
  throw new NablaError(
    where,
    `labels do not fit the predictions, got ${showShape(labels.shape)}, expected ${showShape(yPred.shape)}`,
  );
}

/** The mean over all dimensions but the batch. */
function perSample(x: Tensor): Tensor {
  if (x.rank <= 1) return x;
  return mean(reshape(x, [x.shape[0]!, x.size / Math.max(1, x.shape[0]!)]), 1);
}

function checkSmoothing(where: string, smoothing: number): void {
  if (!(smoothing >= 0 && smoothing < 1)) {
    throw new NablaError(where, `bad labelSmoothing, got ${smoothing}, expected a number in [0, 1)`);
  }
}

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
  return { name, call };
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
  return { name, call };
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
  return { name, call };
}

/** The mean of squared differences. */
export function meanSquaredError(): Loss {
  const name = 'meanSquaredError';
  const call: LossFunction = (yTrue, yPred) =>
    perSample(squaredDifference(...swap(align(name, yTrue, yPred))));
  return { name, call };
}

/** The mean of absolute differences. */
export function meanAbsoluteError(): Loss {
  const name = 'meanAbsoluteError';
  const call: LossFunction = (yTrue, yPred) => perSample(abs(sub(...swap(align(name, yTrue, yPred)))));
  return { name, call };
}

/** Predictions first, so that the gradient flows through the first operand. */
function swap([labels, predictions]: [Tensor, Tensor]): [Tensor, Tensor] {
  return [predictions, labels];
}

const factories = {
  categoricalCrossentropy,
  sparseCategoricalCrossentropy,
  binaryCrossentropy,
  meanSquaredError,
  meanAbsoluteError,
} satisfies Record<string, () => Loss>;

/** Names of losses, in camelCase; Keras' snake_case and short forms are accepted too. */
export type LossName = keyof typeof factories | 'mse' | 'mae';

/** A loss, its name, or a function of labels and predictions. */
export type LossLike = LossName | Loss | LossFunction | (string & {});

const aliases = {
  mse: 'meanSquaredError',
  mae: 'meanAbsoluteError',
};

/** The loss that a name, object or function means. */
export function getLoss(where: string, like: LossLike): Loss {
  if (typeof like === 'string') return resolveName<() => Loss>(where, 'loss', like, factories, aliases)();
  if (typeof like === 'function') return { name: like.name || 'loss', call: like };
  if (like !== null && typeof like === 'object' && typeof like.call === 'function') return like;
  throw new NablaError(
    where,
    `bad loss, got ${String(like)}, expected a name such as 'meanSquaredError' or a function`,
  );
}
