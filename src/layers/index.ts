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
  type AttendOptions,
  MultiHeadAttention,
  type MultiHeadAttentionOptions,
  multiHeadAttention,
} from './attention.ts';
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
export { TransformerBlock, type TransformerBlockOptions, transformerBlock } from './transformer.ts';
