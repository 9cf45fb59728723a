// What losses share: their form, how labels are brought to the predictions' shape, and the mean over a sample.
import { NablaError } from '../errors.ts';
import { meanOfSample } from '../masks.ts';
import { cast } from '../ops/compare.ts';
import { reshape } from '../ops/shape.ts';
import { recorded } from '../saving/recorded.ts';
import { sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** What a model minimises: labels and predictions with a batch dimension give one number a sample, `[batch]`. */
export type LossFunction = (yTrue: Tensor, yPred: Tensor) => Tensor;

/** A loss with its name, as histories and summaries show it. */
export interface Loss {
  /** Its name. */
  readonly name: string;
  /** Labels and predictions give one number a sample. */
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

/** Keras' epsilon: probabilities are kept this far from 0 and 1 before a logarithm. */
export const epsilon = 1e-7;

/** Labels as float32 in the predictions' shape, and the predictions. */
export function align(where: string, yTrue: Tensor, yPred: Tensor): [Tensor, Tensor] {
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

/** The mean over all dimensions but the batch, without the steps that the predictions' mask leaves out. */
export const perSample = meanOfSample;

/** Throws unless it is a share below 1. */
export function checkSmoothing(where: string, smoothing: number): void {
  if (!(smoothing >= 0 && smoothing < 1)) {
    throw new NablaError(where, `bad labelSmoothing, got ${smoothing}, expected a number in [0, 1)`);
  }
}

/** A loss of one number an element, from predictions and labels, averaged over a sample; `args` are what its factory was given. */
export function elementwise(
  name: string,
  f: (prediction: Tensor, label: Tensor) => Tensor,
  ...args: readonly unknown[]
): Loss {
  const call: LossFunction = (yTrue, yPred) => {
    const [labels, predictions] = align(name, yTrue, yPred);
    return perSample(f(predictions, labels));
  };
  return recorded('losses', name, args, { name, call });
}

/** A loss of one number a row of the last dimension, averaged over a sample. Predictions `[batch]` are rows of one number. */
export function rowwise(
  name: string,
  f: (predictions: Tensor, labels: Tensor) => Tensor,
  ...args: readonly unknown[]
): Loss {
  const call: LossFunction = (yTrue, yPred) => {
    const [labels, predictions] = align(name, yTrue, yPred);
    const rows = (x: Tensor) => (x.rank === 1 ? reshape(x, [x.size, 1]) : x);
    return perSample(f(rows(predictions), rows(labels)));
  };
  return recorded('losses', name, args, { name, call });
}
