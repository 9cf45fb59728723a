// The public names of the metrics.
export {
  type AucOptions,
  auc,
  type ConfusionOptions,
  confusionMatrix,
  type F1Options,
  f1Score,
  type MeanIoUOptions,
  meanIoU,
  precision,
  precisionAtRecall,
  recall,
  recallAtPrecision,
  sensitivityAtSpecificity,
  specificityAtSensitivity,
} from './confusion.ts';
export { falseNegatives, falsePositives, trueNegatives, truePositives } from './counts.ts';
export { type FBetaOptions, fBetaScore } from './f-score.ts';
export {
  type AnyMetric,
  accuracy,
  binaryAccuracy,
  categoricalAccuracy,
  type Metric,
  type MetricFunction,
  type MetricLike,
  type MetricName,
  type StreamingMetric,
  sparseCategoricalAccuracy,
  sparseTopKCategoricalAccuracy,
  topKCategoricalAccuracy,
} from './metrics.ts';
export {
  binaryCrossentropy,
  categoricalCrossentropy,
  categoricalHinge,
  hinge,
  klDivergence,
  logCosh,
  meanAbsoluteError,
  meanAbsolutePercentageError,
  meanSquaredError,
  meanSquaredLogarithmicError,
  poisson,
  sparseCategoricalCrossentropy,
  squaredHinge,
} from './of-losses.ts';
export {
  type BinaryIoUOptions,
  binaryIoU,
  type IoUOptions,
  iou,
  oneHotIoU,
  oneHotMeanIoU,
} from './overlap.ts';
export {
  concordanceCorrelation,
  cosineSimilarity,
  type PerplexityOptions,
  pearsonCorrelation,
  perplexity,
  r2Score,
  rootMeanSquaredError,
} from './regression.ts';
