// Counts of right and wrong answers to yes-or-no questions over an epoch; defaults as in Keras 3.
import { countsOf, keepCounted } from '../masks.ts';
import { mul } from '../ops/arithmetic.ts';
import { cast, greater } from '../ops/compare.ts';
import { sum } from '../ops/reduce.ts';
import { stack } from '../ops/shape.ts';
import { recorded } from '../saving/recorded.ts';
import type { Tensor } from '../tensor.ts';
import { type ConfusionOptions, checkConfusion, chosen } from './confusion.ts';
import type { StreamingMetric } from './metric.ts';

type Count = (hits: number, said: number, there: number, all: number) => number;

function counted(name: string, options: ConfusionOptions, count: Count): StreamingMetric {
  checkConfusion(name, options);
  const { threshold = 0.5, classId } = options;
  return recorded('metrics', name, [options], {
    name: options.name ?? name,
    update: (yTrue, yPred) => {
      const [labels, predictions] = chosen(name, classId, yTrue, yPred);
      const said = cast(greater(predictions, threshold), 'float32');
      const parts = [keepCounted(mul(said, labels)), keepCounted(said), keepCounted(labels)];
      return stack([...parts.map((part) => sum(part)), sum(countsOf(labels.shape))] as [Tensor], 0);
    },
    result: ([hits, said, there, all]) => count(hits!, said!, there!, all!),
  });
}

/** How many positive labels have predictions above the threshold. */
export function truePositives(options: ConfusionOptions = {}): StreamingMetric {
  return counted('truePositives', options, (hits) => hits);
}

/** How many labels of 0 have predictions up to the threshold. */
export function trueNegatives(options: ConfusionOptions = {}): StreamingMetric {
  return counted('trueNegatives', options, (hits, said, there, all) => all - said - there + hits);
}

/** How many labels of 0 have predictions above the threshold. */
export function falsePositives(options: ConfusionOptions = {}): StreamingMetric {
  return counted('falsePositives', options, (hits, said) => said - hits);
}

/** How many positive labels have predictions up to the threshold. */
export function falseNegatives(options: ConfusionOptions = {}): StreamingMetric {
  return counted('falseNegatives', options, (hits, _said, there) => there - hits);
}
