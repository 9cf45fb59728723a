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
export { Bidirectional, type BidirectionalOptions, bidirectional } from './bidirectional.ts';
export {
  GRUCell,
  gruCell,
  LSTMCell,
  lstmCell,
  RecurrentCell,
  SimpleRNNCell,
  StackedRNNCells,
  type StackedRNNCellsOptions,
  type StepContext,
  simpleRNNCell,
  stackedRNNCells,
} from './cells.ts';
export {
  Conv,
  type ConvOptions,
  ConvTranspose,
  type ConvTransposeOptions,
  conv1d,
  conv1dTranspose,
  conv2d,
  conv2dTranspose,
  conv3d,
  conv3dTranspose,
  type WindowOptions,
} from './conv.ts';
export { ConvLSTM, type ConvLSTMOptions, convLSTM1d, convLSTM2d, convLSTM3d } from './conv-lstm.ts';
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
export { Embedding, type EmbeddingOptions, embedding } from './embedding.ts';
export { type CallContext, Layer, type LayerOptions, type WeightSpec } from './layer.ts';
export { Masking, type MaskingOptions, masking } from './masking.ts';
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
  averagePooling1d,
  averagePooling2d,
  averagePooling3d,
  GlobalPooling,
  type GlobalPoolingOptions,
  globalAveragePooling1d,
  globalAveragePooling2d,
  globalAveragePooling3d,
  globalMaxPooling1d,
  globalMaxPooling2d,
  globalMaxPooling3d,
  maxPooling1d,
  maxPooling2d,
  maxPooling3d,
  Pooling,
  type PoolingOptions,
} from './pooling.ts';
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
export {
  GRU,
  type GRUOptions,
  gru,
  LSTM,
  type LSTMOptions,
  lstm,
  SimpleRNN,
  type SimpleRNNOptions,
  simpleRNN,
} from './recurrent.ts';
export { type InitialState, Recurrent, type SequenceOptions } from './recurrent-base.ts';
export type { StepResult } from './recurrent-steps.ts';
export type { GruUnitOptions, LstmUnitOptions, UnitOptions } from './recurrent-units.ts';
export { RNN, type RNNOptions, rnn } from './rnn.ts';
export {
  DepthwiseConv,
  type DepthwiseConvOptions,
  depthwiseConv1d,
  depthwiseConv2d,
  SeparableConv,
  type SeparableConvOptions,
  separableConv1d,
  separableConv2d,
} from './separable.ts';
export {
  RepeatVector,
  type RepeatVectorOptions,
  repeatVector,
  TimeDistributed,
  type TimeDistributedOptions,
  timeDistributed,
} from './sequences.ts';
export {
  type Borders,
  Cropping2D,
  type Cropping2DOptions,
  cropping2d,
  UpSampling2D,
  type UpSampling2DOptions,
  upSampling2d,
  ZeroPadding2D,
  type ZeroPadding2DOptions,
  zeroPadding2d,
} from './spatial.ts';
export { SymbolicTensor } from './symbolic.ts';
export { TransformerBlock, type TransformerBlockOptions, transformerBlock } from './transformer.ts';
