// The public names of the optimizers.
export {
  type AdamOptions,
  adam,
  adamw,
  type Clipping,
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
