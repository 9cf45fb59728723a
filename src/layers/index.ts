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
export { Embedding, type EmbeddingOptions, embedding } from './embedding.ts';
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
  GRU,
  type GRUOptions,
  gru,
  LSTM,
  type LSTMOptions,
  lstm,
  Recurrent,
  SimpleRNN,
  type SimpleRNNOptions,
  simpleRNN,
} from './recurrent.ts';
export {
  Bidirectional,
  type BidirectionalOptions,
  bidirectional,
  RepeatVector,
  type RepeatVectorOptions,
  repeatVector,
  TimeDistributed,
  type TimeDistributedOptions,
  timeDistributed,
} from './sequences.ts';
export { SymbolicTensor } from './symbolic.ts';
