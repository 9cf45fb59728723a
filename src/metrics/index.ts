// The public names of the metrics.
export {
  type ConfusionOptions,
  confusionMatrix,
  type F1Options,
  f1Score,
  type MeanIoUOptions,
  meanIoU,
  precision,
  recall,
  type TopKOptions,
} from './confusion.ts';
export { falseNegatives, falsePositives, trueNegatives, truePositives } from './counts.ts';
export {
  type AucOptions,
  auc,
  precisionAtRecall,
  type RateOptions,
  recallAtPrecision,
  sensitivityAtSpecificity,
  specificityAtSensitivity,
} from './curves.ts';
export { type FBetaOptions, fBetaScore } from './f-score.ts';
export {
  type AnyMetric,
  accuracy,
  type BinaryAccuracyOptions,
  binaryAccuracy,
  categoricalAccuracy,
  type Metric,
  type MetricFunction,
  type MetricLike,
  type MetricName,
  type MetricOptions,
  type StreamingMetric,
  sparseCategoricalAccuracy,
  sparseTopKCategoricalAccuracy,
  type TopKAccuracyOptions,
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
  type R2Options,
  r2Score,
  rootMeanSquaredError,
} from './regression.ts';
