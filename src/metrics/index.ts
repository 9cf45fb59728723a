// The public names of the metrics.
export {
  accuracy,
  binaryAccuracy,
  categoricalAccuracy,
  type Metric,
  type MetricFunction,
  type MetricLike,
  type MetricName,
  sparseCategoricalAccuracy,
} from './metrics.ts';
