// The public names of the optimizers.
export { type AdafactorOptions, adafactor } from './adafactor.ts';
export { ComposedOptimizer, type StateSpec, type UpdateContext, type Updated } from './composed.ts';
export { type LambOptions, lamb } from './lamb.ts';
export {
  LossScaleOptimizer,
  type LossScaleOptions,
  type LossScaleState,
  lossScale,
} from './loss-scale.ts';
export { type MuonOptions, muon } from './muon.ts';
export {
  type Averaging,
  type Clipping,
  Optimizer,
  type OptimizerOptions,
  type WeightFilter,
} from './optimizer.ts';
export {
  type AdadeltaOptions,
  type AdagradOptions,
  type AdamOptions,
  adadelta,
  adagrad,
  adam,
  adamax,
  adamw,
  type BetaOptions,
  FlatOptimizer,
  type FtrlOptions,
  ftrl,
  type LionOptions,
  lion,
  nadam,
  type OptimizerLike,
  type OptimizerName,
  type RmspropOptions,
  rmsprop,
  type SgdOptions,
  sgd,
} from './optimizers.ts';
export type { Schedule } from './schedules.ts';
export * as schedules from './schedules.ts';
