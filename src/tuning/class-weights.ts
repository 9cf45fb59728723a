// Weights of classes that make up for how often they are met.
import { asSamples, type SampleData } from '../data/samples.ts';
import { NablaError } from '../errors.ts';
import { classesOf } from './rows.ts';

/**
 * Balanced weights of classes, for fit's `classWeight`: `samples / (classes * samples of the class)`, so that every class counts alike in the loss and
 * the mean weight is 1 (scikit-learn's `compute_class_weight('balanced')`). Classes without samples get no weight.
 *
 * @param labels class indices, or one-hot rows
 * @throws NablaError when labels are no class indices, or there are none
 * @example await model.fit(x, y, { classWeight: classWeights(y) });
 */
export function classWeights(labels: SampleData): Record<number, number> {
  const { samples, made } = asSamples('classWeights', 'labels', labels);
  try {
    const counts = new Map<number, number>();
    for (const label of classesOf('classWeights', samples)) counts.set(label, (counts.get(label) ?? 0) + 1);
    if (counts.size === 0) throw new NablaError('classWeights', 'got no labels, expected at least one');
    const met = [...counts].sort(([a], [b]) => a - b);
    return Object.fromEntries(met.map(([label, count]) => [label, samples.length / (counts.size * count)]));
  } finally {
    if (made) samples.dispose();
  }
}
