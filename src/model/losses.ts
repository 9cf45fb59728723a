// The loss of a step: the outputs' losses with their weights, what layers add, and the penalties of weights.
import { NablaError } from '../errors.ts';
import { countingOnly } from '../masks.ts';
import { add, mul } from '../ops/arithmetic.ts';
import { exactly } from '../ops/nn.ts';
import { mean } from '../ops/reduce.ts';
import { penaltyOf } from '../regularizers.ts';
import type { Tensor } from '../tensor.ts';
import { named } from '../trace.ts';
import type { Variable } from '../variable.ts';
import type { BatchTensors } from './batch.ts';
import type { Head } from './heads.ts';
import { checkPerSample } from './log.ts';

/** The penalties of those weights that are regularized. */
export function weightPenalties(weights: readonly Variable<'float32'>[]): Tensor[] {
  return weights.flatMap((weight) => {
    const { name, regularizer } = weight;
    return regularizer === undefined ? [] : [penaltyOf(name, regularizer, weight)];
  });
}

/** The sum that is minimised, and the losses of single outputs under their names. */
export function lossOf(
  heads: readonly Head[],
  { y, weights }: Pick<BatchTensors, 'y' | 'weights'>,
  predictions: readonly Tensor[],
  penalties: readonly Tensor[],
): { loss: Tensor; reported: ReadonlyMap<string, Tensor> } {
  const reported = new Map<string, Tensor>();
  const terms: Tensor[] = [];
  for (const { index, label, loss, lossName, lossWeight } of heads) {
    if (loss === undefined) continue;
    const prediction = exactly(predictions[index]!);
    const losses = countingOnly(prediction.mask, () =>
      named(loss.name, () => loss.call(y[label!]!, prediction)),
    );
    checkPerSample(loss.name, losses, prediction.shape[0]!);
    const weight = weights[label!];
    const value = mean(weight === undefined ? losses : mul(losses, weight));
    if (lossName !== undefined) reported.set(lossName, value);
    terms.push(lossWeight === 1 ? value : mul(value, lossWeight));
  }
  const [first, ...others] = [...terms, ...penalties];
  if (first === undefined) {
    throw new NablaError(
      'loss',
      'there is nothing to minimise, got no loss; compile with one, or addLoss() in a layer',
    );
  }
  return { loss: others.reduce(add, first), reported };
}
