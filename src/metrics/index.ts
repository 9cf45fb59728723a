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
  cosineSimilarity,
  type PerplexityOptions,
  pearsonCorrelation,
  perplexity,
  r2Score,
  rootMeanSquaredError,
} from './regression.ts';
