// The public names of the losses.
export {
  type CircleOptions,
  categoricalGeneralizedCrossEntropy,
  circle,
  type GeneralizedCrossEntropyOptions,
} from './circle.ts';
export {
  binaryCrossentropy,
  categoricalCrossentropy,
  sparseCategoricalCrossentropy,
} from './crossentropy.ts';
export { ctc } from './ctc.ts';
export {
  type BinaryFocalOptions,
  binaryFocalCrossentropy,
  categoricalFocalCrossentropy,
  type FocalOptions,
} from './focal.ts';
export { categoricalHinge, hinge, squaredHinge } from './hinge.ts';
export type {
  CrossentropyOptions,
  Loss,
  LossFunction,
  LossLike,
  LossName,
  SmoothableOptions,
} from './losses.ts';
export { type DiceOptions, dice, type TverskyOptions, tversky } from './overlap.ts';
export {
  cosineSimilarity,
  type HuberOptions,
  huber,
  klDivergence,
  logCosh,
  meanAbsoluteError,
  meanAbsolutePercentageError,
  meanSquaredError,
  meanSquaredLogarithmicError,
  poisson,
} from './regression.ts';
export {
  type TripletMarginOptions,
  type TripletSemiHardOptions,
  tripletMargin,
  tripletSemiHard,
} from './triplet.ts';
