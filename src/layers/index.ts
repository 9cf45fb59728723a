// The public names of the layers.
export {
  ActivationLayer,
  type ActivationOptions,
  activation,
  Dropout,
  type DropoutOptions,
  dropout,
  Flatten,
  flatten,
  Reshape,
  type ReshapeOptions,
  reshape,
} from './core.ts';
export { Dense, type DenseOptions, dense } from './dense.ts';
export { type CallContext, Layer, type LayerOptions, type WeightSpec } from './layer.ts';
export {
  add,
  average,
  Concatenate,
  type ConcatenateOptions,
  concatenate,
  Dot,
  dot,
  ElementwiseMerge,
  MergeLayer,
  maximum,
  minimum,
  multiply,
  subtract,
} from './merge.ts';
export { SymbolicTensor } from './symbolic.ts';
