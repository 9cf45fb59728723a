// The public names of the losses.
export {
  binaryCrossentropy,
  type CrossentropyOptions,
  categoricalCrossentropy,
  type Loss,
  type LossFunction,
  type LossLike,
  type LossName,
  meanAbsoluteError,
  meanSquaredError,
  type SmoothableOptions,
  sparseCategoricalCrossentropy,
} from './losses.ts';
