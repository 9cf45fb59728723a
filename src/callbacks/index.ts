// The public names of the callbacks.
export {
  BackupAndRestore,
  type BackupAndRestoreOptions,
  backupAndRestore,
  ModelCheckpoint,
  type ModelCheckpointOptions,
  modelCheckpoint,
  type SaveFrequency,
} from './checkpoint.ts';
export type { MonitorOptions } from './monitor.ts';
export {
  LearningRateScheduler,
  learningRateScheduler,
  ReduceLROnPlateau,
  type ReduceLROnPlateauOptions,
  reduceLROnPlateau,
} from './rates.ts';
export {
  CSVLogger,
  type CSVLoggerOptions,
  csvLogger,
  lambdaCallback,
  TerminateOnNaN,
  terminateOnNaN,
} from './simple.ts';
export { SwapEMAWeights, type SwapEMAWeightsOptions, swapEMAWeights } from './swap-ema.ts';
export { TensorBoard, type TensorBoardOptions, tensorBoard } from './tensorboard/callback.ts';
export { SummaryWriter, type SummaryWriterOptions, summaryWriter } from './tensorboard/writer.ts';
