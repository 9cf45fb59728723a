// The public names of the layers.

export {
  Elu,
  type EluOptions,
  elu,
  LeakyRelu,
  type LeakyReluOptions,
  leakyReLU,
  Prelu,
  type PreluOptions,
  prelu,
  Relu,
  type ReluOptions,
  reLU,
  SoftmaxLayer,
  type SoftmaxOptions,
  softmax,
} from './advanced-activations.ts';
export {
  type AttendOptions,
  MultiHeadAttention,
  type MultiHeadAttentionOptions,
  multiHeadAttention,
} from './attention.ts';
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
export {
  AlphaDropout,
  alphaDropout,
  GaussianDropout,
  GaussianNoise,
  type GaussianNoiseOptions,
  gaussianDropout,
  gaussianNoise,
  SpatialDropout,
  spatialDropout1d,
  spatialDropout2d,
  spatialDropout3d,
} from './noise.ts';
export {
  type AffineOptions,
  BatchNormalization,
  type BatchNormalizationOptions,
  batchNormalization,
  GroupNormalization,
  type GroupNormalizationOptions,
  groupNormalization,
  instanceNormalization,
  LayerNormalization,
  type LayerNormalizationOptions,
  layerNormalization,
  RmsNormalization,
  type RmsNormalizationOptions,
  rmsNormalization,
  UnitNormalization,
  unitNormalization,
} from './normalization.ts';
export {
  PositionEmbedding,
  type PositionEmbeddingOptions,
  positionEmbedding,
  SinePositionEncoding,
  type SinePositionEncodingOptions,
  sinePositionEncoding,
  TiedProjection,
  type TiedProjectionOptions,
  TokenAndPositionEmbedding,
  type TokenAndPositionEmbeddingOptions,
  tiedProjection,
  tokenAndPositionEmbedding,
} from './position.ts';
export { SymbolicTensor } from './symbolic.ts';
export { TransformerBlock, type TransformerBlockOptions, transformerBlock } from './transformer.ts';
