// F scores from counts of classes; formulas and defaults as in Keras 3.
import { describe, NablaError } from '../errors.ts';
import { checkOptions } from '../options.ts';
import { recorded } from '../saving/recorded.ts';
import { type F1Options, f1Score } from './confusion.ts';
import type { StreamingMetric } from './metric.ts';

const epsilon = 1e-7;

/** Options of {@link fBetaScore}. */
export interface FBetaOptions extends F1Options {
  /** How many times as much as precision recall counts, above 0. Default 1. */
  beta?: number;
}

/** @internal The F score from hits, answers and labels of each class, one after the other. */
export function fScore(sums: Float64Array, average: 'macro' | 'weighted' | 'micro', beta: number): number {
  const classes = sums.length / 3;
  const part = (i: number) => [...sums.subarray(i * classes, (i + 1) * classes)];
  const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const score = (hits: number, answers: number, labels: number) => {
    const p = hits / (answers + epsilon);
    const r = hits / (labels + epsilon);
    return ((1 + beta ** 2) * p * r) / (beta ** 2 * p + r + epsilon);
  };
  const [hits, answers, labels] = [part(0), part(1), part(2)];
  if (average === 'micro') return score(total(hits!), total(answers!), total(labels!));
  const scores = hits!.map((hit, i) => score(hit, answers![i]!, labels![i]!));
  if (average === 'macro') return total(scores) / classes;
  return total(scores.map((value, i) => value * labels![i]!)) / (total(labels!) + epsilon);
}

/** The weighted harmonic mean of precision and recall: labels and predictions `[batch, classes]`. */
export function fBetaScore(options: FBetaOptions = {}): StreamingMetric {
  checkOptions('metrics', 'fBetaScore', options);
  const { beta = 1, ...others } = options;
  const name = 'fBetaScore';
  if (!(typeof beta === 'number' && beta > 0 && Number.isFinite(beta)))
    throw new NablaError(name, `bad beta, got ${describe(beta)}, expected a number above 0`);
  const { update } = f1Score(others);
  const result = (sums: Float64Array) => fScore(sums, others.average ?? 'macro', beta);
  return recorded('metrics', name, [options], { name: options.name ?? name, update, result });
}
