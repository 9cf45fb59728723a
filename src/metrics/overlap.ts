// Intersection over union of classes, chosen ones or of yes and no; formulas and defaults as in Keras 3.
import { describe, NablaError } from '../errors.ts';
import { cast, greaterEqual } from '../ops/compare.ts';
import { checkOptions } from '../options.ts';
import { recorded } from '../saving/recorded.ts';
import { type MeanIoUOptions, meanIoU } from './confusion.ts';
import type { MetricOptions, StreamingMetric } from './metric.ts';

const epsilon = 1e-7;

/** Options of {@link iou}. */
export interface IoUOptions extends MeanIoUOptions {
  /** The classes that are averaged over. */
  targetClassIds: readonly number[];
}

/** Options of {@link binaryIoU}. */
export interface BinaryIoUOptions extends MetricOptions {
  /** The classes that are averaged over. Default `[0, 1]`. */
  targetClassIds?: readonly number[];
  /** Predictions of at least this say yes. Default 0.5. */
  threshold?: number;
}

function overClasses(
  name: string,
  key: string,
  numClasses: number,
  targets: readonly number[],
  update: StreamingMetric['update'],
): StreamingMetric {
  const good = (id: number) => Number.isInteger(id) && id >= 0 && id < numClasses;
  if (!Array.isArray(targets) || targets.length === 0 || !targets.every(good)) {
    throw new NablaError(
      name,
      `bad targetClassIds, got ${describe(targets)}, expected an array of classes in [0, ${numClasses})`,
    );
  }
  const result = (sums: Float64Array) => {
    let [total, met] = [0, 0];
    for (const id of targets) {
      const hits = sums[id * numClasses + id]!;
      let union = -hits;
      for (let j = 0; j < numClasses; j++) union += sums[id * numClasses + j]! + sums[j * numClasses + id]!;
      if (union === 0) continue;
      total += hits / (union + epsilon);
      met++;
    }
    return total / (met + epsilon);
  };
  return { name: key, update, result };
}

/** The overlap of what is labelled and what is predicted as one of some classes over their union, averaged over those classes that are met. */
export function iou(options: IoUOptions): StreamingMetric {
  checkOptions('metrics', 'iou', options);
  const { targetClassIds, ...labels } = options;
  return recorded(
    'metrics',
    'iou',
    [options],
    overClasses('iou', options.name ?? 'iou', options.numClasses, targetClassIds, meanIoU(labels).update),
  );
}

/** {@link iou} of labels 0 and 1 and predictions that say yes from a threshold on. */
export function binaryIoU(options: BinaryIoUOptions = {}): StreamingMetric {
  const { targetClassIds = [0, 1], threshold = 0.5 } = options;
  if (typeof threshold !== 'number' || Number.isNaN(threshold))
    throw new NablaError('binaryIoU', `bad threshold, got ${describe(threshold)}, expected a number`);
  const { update } = meanIoU({ numClasses: 2 });
  const said: StreamingMetric['update'] = (yTrue, yPred) =>
    update(yTrue, cast(greaterEqual(yPred, threshold), 'int32'));
  const key = options.name ?? 'binaryIoU';
  return recorded('metrics', 'binaryIoU', [options], overClasses('binaryIoU', key, 2, targetClassIds, said));
}

/** {@link iou} where labels are one-hot rows, and predictions rows of scores. */
export function oneHotIoU(options: Omit<IoUOptions, 'sparseYTrue' | 'sparseYPred'>): StreamingMetric {
  checkOptions('metrics', 'oneHotIoU', options);
  const metric = iou({ ...options, sparseYTrue: false, sparseYPred: false });
  return recorded('metrics', 'oneHotIoU', [options], { ...metric, name: options.name ?? 'oneHotIoU' });
}

/** {@link meanIoU} where labels are one-hot rows, and predictions rows of scores. */
export function oneHotMeanIoU(options: Omit<MeanIoUOptions, 'sparseYTrue' | 'sparseYPred'>): StreamingMetric {
  checkOptions('metrics', 'oneHotMeanIoU', options);
  const metric = meanIoU({ ...options, sparseYTrue: false, sparseYPred: false });
  return recorded('metrics', 'oneHotMeanIoU', [options], {
    ...metric,
    name: options.name ?? 'oneHotMeanIoU',
  });
}
