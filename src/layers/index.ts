// The public names of the layers.

export type { AdaptBatch, AdaptData, AdaptNumbers, AdaptStream } from './adapt.ts';
export {
  AdaptivePooling,
  type AdaptivePoolingOptions,
  adaptiveAveragePooling1d,
  adaptiveAveragePooling2d,
  adaptiveAveragePooling3d,
  adaptiveMaxPooling1d,
  adaptiveMaxPooling2d,
  adaptiveMaxPooling3d,
} from './adaptive-pooling.ts';
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
  type AnyRecurrent,
  Bidirectional,
  type BidirectionalOptions,
  bidirectional,
} from './bidirectional.ts';
export {
  CategoryEncoding,
  type CategoryEncodingOptions,
  type CategoryMode,
  categoryEncoding,
  Discretization,
  type DiscretizationOptions,
  discretization,
} from './categories.ts';
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
  type DropoutLayerOptions,
  type DropoutOptions,
  dropout,
  Flatten,
  flatten,
  Reshape,
  type ReshapeOptions,
  reshape,
} from './core.ts';
export { Dense, type DenseOptions, dense } from './dense.ts';
export {
  AdditiveAttention,
  type AdditiveAttentionOptions,
  Attention,
  type AttentionLayerOptions,
  additiveAttention,
  attention,
  type GroupQueryAttentionOptions,
  groupQueryAttention,
} from './dot-attention.ts';
export { EinsumDense, type EinsumDenseOptions, einsumDense } from './einsum-dense.ts';
export { Embedding, type EmbeddingOptions, embedding } from './embedding.ts';
export {
  type Feature,
  HashedCrossing,
  type HashedCrossingOptions,
  hashedCrossing,
} from './hashed-crossing.ts';
export {
  CenterCrop,
  centerCrop,
  type ImageSizeOptions,
  type Interpolation,
  Resizing,
  type ResizingOptions,
  resizing,
} from './image-size.ts';
export { IntegerLookup, type IntegerLookupOptions, integerLookup } from './integer-lookup.ts';
export { type CallContext, Layer, type LayerOptions, type RandomOptions, type WeightSpec } from './layer.ts';
export { Masking, type MaskingOptions, masking } from './masking.ts';
export {
  add,
  average,
  Concatenate,
  type ConcatenateOptions,
  concatenate,
  Dot,
  type DotOptions,
  dot,
  ElementwiseMerge,
  MergeLayer,
  maximum,
  minimum,
  multiply,
  subtract,
} from './merge.ts';
export {
  CutMix,
  type CutMixOptions,
  type CutMixture,
  cutMix,
  type LabeledImages,
  type Mixture,
  MixUp,
  type MixUpOptions,
  mixUp,
} from './mixing.ts';
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
export { Pipeline, type PipelineOptions, pipeline } from './pipeline.ts';
export {
  ActivityRegularization,
  type ActivityRegularizationOptions,
  activityRegularization,
  Identity,
  identity,
  Lambda,
  type LambdaFunction,
  type LambdaOptions,
  lambda,
  Permute,
  type PermuteOptions,
  permute,
} from './plain.ts';
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
  Normalization,
  type NormalizationOptions,
  normalization,
  Rescaling,
  type RescalingOptions,
  rescaling,
} from './preprocessing.ts';
export {
  type RandomMoveOptions,
  RandomRotation,
  type RandomRotationOptions,
  RandomShear,
  type RandomShearOptions,
  RandomTranslation,
  type RandomTranslationOptions,
  RandomZoom,
  type RandomZoomOptions,
  randomRotation,
  randomShear,
  randomTranslation,
  randomZoom,
} from './random-affine.ts';
export {
  AugMix,
  type AugMixOptions,
  type AugmentOptions,
  augMix,
  RandAugment,
  type RandAugmentOptions,
  randAugment,
} from './random-augment.ts';
export {
  RandomColorDegeneration,
  RandomColorJitter,
  type RandomColorJitterOptions,
  RandomHue,
  RandomSaturation,
  type RandomTintOptions,
  randomColorDegeneration,
  randomColorJitter,
  randomHue,
  randomSaturation,
} from './random-colors.ts';
export {
  RandomErasing,
  type RandomErasingOptions,
  RandomGrayscale,
  type RandomGrayscaleOptions,
  RandomInvert,
  type RandomInvertOptions,
  randomErasing,
  randomGrayscale,
  randomInvert,
} from './random-erasing.ts';
export {
  type Factor,
  type FlipMode,
  RandomBrightness,
  type RandomColorOptions,
  RandomContrast,
  RandomCrop,
  type RandomCropOptions,
  RandomFlip,
  type RandomFlipOptions,
  randomBrightness,
  randomContrast,
  randomCrop,
  randomFlip,
} from './random-images.ts';
export {
  AutoContrast,
  autoContrast,
  Equalization,
  type EqualizationOptions,
  equalization,
  RandomGaussianBlur,
  type RandomGaussianBlurOptions,
  RandomPosterization,
  type RandomPosterizationOptions,
  RandomSharpness,
  type RandomSharpnessOptions,
  randomGaussianBlur,
  randomPosterization,
  randomSharpness,
  Solarization,
  type SolarizationOptions,
  solarization,
  type ToneOptions,
} from './random-tones.ts';
export {
  GRU,
  type GRUOptions,
  gru,
  LSTM,
  type LSTMOptions,
  lstm,
  type SequenceOutput,
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
  Cropping,
  type CroppingOptions,
  cropping1d,
  cropping2d,
  cropping3d,
  UpSampling,
  type UpSampling2DOptions,
  type UpSamplingOptions,
  upSampling1d,
  upSampling2d,
  upSampling3d,
  ZeroPadding,
  type ZeroPaddingOptions,
  zeroPadding1d,
  zeroPadding2d,
  zeroPadding3d,
} from './spatial.ts';
export {
  SpectralNormalization,
  type SpectralNormalizationOptions,
  spectralNormalization,
} from './spectral.ts';
export {
  Hashing,
  type HashingOptions,
  hashing,
  InverseStringLookup,
  StringLookup,
  type StringLookupOptions,
  stringLookup,
  type TextData,
  type TextStream,
} from './string-lookup.ts';
export { SymbolicTensor } from './symbolic.ts';
export {
  TextVectorization,
  type TextVectorizationOptions,
  textVectorization,
} from './text-vectorization.ts';
export { TextLayer, type TextLayerOptions, type Texts } from './texts.ts';
export { TransformerBlock, type TransformerBlockOptions, transformerBlock } from './transformer.ts';
export type { LookupMode, VocabularyOptions } from './vocabulary.ts';
