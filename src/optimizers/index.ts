// The public names of the optimizers.
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
  type Clipping,
  type FtrlOptions,
  ftrl,
  type LionOptions,
  lion,
  nadam,
  type Optimizer,
  type OptimizerLike,
  type OptimizerName,
  type OptimizerOptions,
  type RmspropOptions,
  rmsprop,
  type SgdOptions,
  sgd,
} from './optimizers.ts';
export type { Schedule } from './schedules.ts';
export * as schedules from './schedules.ts';
