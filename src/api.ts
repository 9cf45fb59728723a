// Everything that users import, whatever the platform.
export * as activations from './activations.ts';
export {
  checkpoint,
  customGradient,
  grad,
  grads,
  type Pullback,
  type ValueAndGradients,
  valueAndGrad,
  vjp,
} from './autodiff.ts';
export type { BackendInfo, BackendMemory, BackendName } from './backend/backend.ts';
export * from './callbacks/index.ts';
export * as constraints from './constraints.ts';
export { type Digits, type DigitsOptions, generateDigits } from './data/digits.ts';
export { encodeIdx, type IdxArray, type IdxType, type IdxTypedArrays, parseIdx } from './data/idx.ts';
export * as data from './data/index.ts';
export { type SampleData, Samples, type SamplesOptions, samples } from './data/samples.ts';
export type { DataOf, DType, FloatDType } from './dtype.ts';
export {
  type DTypePolicy,
  type DTypePolicyLike,
  dtypePolicies,
  dtypePolicy,
  setDtypePolicy,
} from './dtype-policies.ts';
export type { Engine } from './engine.ts';
export { NablaError } from './errors.ts';
export * as initializers from './initializers/index.ts';
export { type Jitted, jit, type TensorTree } from './jit.ts';
export * as layers from './layers/index.ts';
export { type CallContext, Layer, type LayerOptions, type WeightSpec } from './layers/layer.ts';
export type { LayerCall, SymbolicOf, SymbolicTensor } from './layers/symbolic.ts';
export * as losses from './losses/index.ts';
export * as metrics from './metrics/index.ts';
export {
  type BestEpoch,
  type Callback,
  EarlyStopping,
  type EarlyStoppingOptions,
  earlyStopping,
  type FitControl,
} from './model/callbacks.ts';
export type {
  EvaluateOptions,
  FitOptions,
  SampleWeight,
  SampleWeights,
  Weighing,
} from './model/fit-options.ts';
export {
  Functional,
  type FunctionalOptions,
  type InputOptions,
  input,
  model,
  type TensorsOf,
} from './model/functional.ts';
export type { Losses, Metrics, OutputMetrics } from './model/heads.ts';
export { type DataPosition, type FitPosition, History, type Logs } from './model/history.ts';
export { type CompileOptions, Model, type Predictions } from './model/model.ts';
export type { ModelOptions } from './model/network.ts';
export { Sequential, type SequentialOptions, sequential } from './model/sequential.ts';
export type { ModelData } from './model/slots.ts';
export type { Batch, LossAndGradients, Step, StepLogs, Trained, UpdateOptions } from './model/step.ts';
export type { SummaryOptions } from './model/summary.ts';
export type { Nested } from './nested.ts';
export * from './ops/index.ts';
export * as optimizers from './optimizers/index.ts';
export { Philox, type PhiloxState } from './random.ts';
export * as regularizers from './regularizers.ts';
export type { ReportOptions } from './report/html.ts';
export { type LoadOptions, loadModel, modelFromBytes } from './saving/load.ts';
export { type LayerClass, registerFunction, registerLayer } from './saving/registry.ts';
export {
  type ByteSource,
  encodeSafetensors,
  parseSafetensors,
  type Safetensors,
  type SafetensorsDType,
  type SafetensorsInput,
  type SafetensorsTensor,
} from './saving/safetensors.ts';
export type {
  LoadWeightsOptions,
  MismatchedWeight,
  SavedSource,
  SaveOptions,
  WeightReport,
} from './saving/save.ts';
export { memoryStore, type OpenedSource, registerStore, type Store } from './saving/stores.ts';
export type { Shape } from './shape.ts';
export { memory, type NestedArray, scope, Tensor } from './tensor.ts';
export * from './tuning/index.ts';
export { Variable } from './variable.ts';
