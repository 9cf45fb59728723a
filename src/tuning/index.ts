// The public names of the tuning helpers.
export { classWeights } from './class-weights.ts';
export {
  type Fold,
  type FoldOptions,
  foldIndices,
  type KFoldOptions,
  type KFoldResult,
  kFold,
} from './k-fold.ts';
export { type FindLearningRateOptions, findLearningRate, type LearningRates } from './learning-rate.ts';
export type { BuilderModule, ModelBuilder } from './parallel.ts';
export {
  type Grid,
  gridSearch,
  type RandomSearchOptions,
  type Range,
  randomSearch,
  type SearchOptions,
  type SearchResult,
  type Space,
  type Trial,
} from './search.ts';
export {
  type OutputStatistics,
  type TrainingStatistics,
  TrainingWatch,
  type WatchOptions,
  type WeightStatistics,
  watchTraining,
} from './watch.ts';
