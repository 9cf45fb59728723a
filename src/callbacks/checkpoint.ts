// Callbacks that save: ModelCheckpoint keeps models, BackupAndRestore lets training go on after the process ended.
import { describe, NablaError } from '../errors.ts';
import type { Callback, FitControl } from '../model/callbacks.ts';
import type { Logs } from '../model/history.ts';
import { checkOptions } from '../options.ts';
import { restoreInto } from '../saving/load.ts';
import { modelParts, readSaved, writeParts } from '../saving/save.ts';
import { storeOf } from '../saving/stores.ts';
import { checkInteger, Monitor, type MonitorOptions } from './monitor.ts';

/** How often something is saved: at the end of every epoch, or every so many steps. */
export type SaveFrequency = 'epoch' | number;

function stepsOf(where: string, saveFreq: SaveFrequency): number | undefined {
  if (saveFreq === 'epoch') return undefined;
  if (!Number.isInteger(saveFreq) || saveFreq < 1) {
    throw new NablaError(
      where,
      `bad saveFreq, got ${describe(saveFreq)}, expected 'epoch' or an integer >= 1`,
    );
  }
  return saveFreq;
}

/** Options of {@link modelCheckpoint}. */
export interface ModelCheckpointOptions extends Omit<MonitorOptions, 'minDelta'> {
  /** Where to save. `{epoch}`, `{step}` and names of logs are filled in, with Python's formats: `'m-{epoch:02d}-{val_loss:.3f}.safetensors'`. */
  filepath: string;
  /** Save only when what is watched is the best so far. Default false. */
  saveBestOnly?: boolean;
  /** Save weights rather than the whole model. Default false. */
  saveWeightsOnly?: boolean;
  /** At the end of every epoch, or every so many steps. Default `'epoch'`. */
  saveFreq?: SaveFrequency;
  /** Save every so many epochs. Default 1. */
  epochFreq?: number;
  /** With `saveBestOnly`: what the first model has to be better than. Default: any is saved. */
  initialValueThreshold?: number;
}

/** Saves the model as it is trained. */
export class ModelCheckpoint implements Callback {
  readonly everySteps: number | undefined;
  /** The best value so far of what is watched. */
  best: number | undefined;
  /** Where the last model was saved. */
  lastPath: string | undefined;
  private readonly options: ModelCheckpointOptions;
  private readonly monitor: Monitor;
  private savedAt = -1;

  constructor(options: ModelCheckpointOptions) {
    checkOptions('functions', 'modelCheckpoint', options);
    const where = 'modelCheckpoint';
    const { filepath, saveFreq = 'epoch', epochFreq = 1 } = options ?? {};
    if (typeof filepath !== 'string' || filepath === '') {
      throw new NablaError(
        where,
        `bad filepath, got ${describe(filepath)}, expected a path such as 'model.safetensors'`,
      );
    }
    checkInteger(where, 'epochFreq', epochFreq, 1);
    this.options = options;
    this.monitor = new Monitor(where, options);
    this.everySteps = stepsOf(where, saveFreq);
    this.best = options.initialValueThreshold;
  }

  async onBatchEnd(_step: number, logs: Logs, control: FitControl): Promise<void> {
    if (this.everySteps === undefined) return;
    // All steps of a slice are told after it ran; the model is that of its last step.
    const { iterations } = control;
    if (iterations % this.everySteps !== 0 || iterations === this.savedAt) return;
    this.savedAt = iterations;
    await this.save(logs, control, control.position.epoch);
  }

  /** Saves the model, if it is time to. */
  async onEpochEnd(epoch: number, logs: Logs, control: FitControl): Promise<void> {
    const { epochFreq = 1 } = this.options;
    if (this.everySteps !== undefined || (epoch + 1) % epochFreq !== 0) return;
    await this.save(logs, control, epoch);
  }

  private async save(logs: Logs, { model, iterations }: FitControl, epoch: number): Promise<void> {
    const { saveBestOnly = false, saveWeightsOnly = false, filepath } = this.options;
    if (saveBestOnly) {
      const value = this.monitor.valueIn(logs);
      if (!this.monitor.better(value, this.best)) return;
      this.best = value;
    }
    // As in Keras, epochs in names are counted from 1.
    const path = fillIn(filepath, { ...logs, epoch: epoch + 1, step: iterations });
    if (saveWeightsOnly) await model.saveWeights(path);
    else await model.save(path);
    this.lastPath = path;
  }
}

/** Numbers in the place of `{name}`, `{name:03d}` and `{name:.2f}`. */
function fillIn(template: string, values: Logs): string {
  return template.replaceAll(
    /\{(\w+)(?::(?:(0?)(\d+))?(?:d|\.(\d+)f))?\}/g,
    (_, name: string, zero, width, digits) => {
      const value = values[name];
      if (value === undefined) {
        throw new NablaError(
          'modelCheckpoint',
          `cannot fill in filepath, got {${name}}, expected one of ${Object.keys(values).join(', ')}`,
        );
      }
      const text = digits === undefined ? String(value) : value.toFixed(Number(digits));
      return text.padStart(Number(width ?? 0), zero === '0' ? '0' : ' ');
    },
  );
}

/**
 * Saves the model as it is trained: every epoch, every so many steps, or when it is the best so far.
 *
 * @example modelCheckpoint({ filepath: 'best.safetensors', monitor: 'val_accuracy', saveBestOnly: true })
 */
export function modelCheckpoint(options: ModelCheckpointOptions): ModelCheckpoint {
  return new ModelCheckpoint(options);
}

/** Options of {@link backupAndRestore}. */
export interface BackupAndRestoreOptions {
  /** The file that holds the state of training. */
  path: string;
  /** At the end of every epoch, or every so many steps. Default `'epoch'`. */
  saveFreq?: SaveFrequency;
  /** Remove the file when the fit has run to its end. Default true. */
  deleteCheckpoint?: boolean;
}

/** Keeps the state of training in a file, and begins with it where there is one. */
export class BackupAndRestore implements Callback {
  readonly everySteps: number | undefined;
  private readonly path: string;
  private readonly deletes: boolean;
  private savedAt = -1;

  constructor(options: BackupAndRestoreOptions) {
    checkOptions('functions', 'backupAndRestore', options);
    const { path, saveFreq = 'epoch', deleteCheckpoint = true } = options ?? {};
    if (typeof path !== 'string' || path === '') {
      throw new NablaError(
        'backupAndRestore',
        `bad path, got ${describe(path)}, expected a path such as 'backup.safetensors'`,
      );
    }
    this.path = path;
    this.everySteps = stepsOf('backupAndRestore', saveFreq);
    this.deletes = deleteCheckpoint;
  }

  /** Goes on from the backup, if there is one. */
  async onTrainBegin(control: FitControl): Promise<void> {
    this.savedAt = -1;
    const { store, name } = storeOf('backupAndRestore', this.path);
    if (!(await store.has(name))) return;
    const saved = await readSaved('backupAndRestore', this.path);
    const position = restoreInto(saved.name, control.model, saved.file);
    if (position !== undefined) control.resumeAt(position);
  }

  async onBatchEnd(_step: number, _logs: Logs, control: FitControl): Promise<void> {
    if (this.everySteps === undefined) return;
    const { iterations } = control;
    if (iterations % this.everySteps !== 0 || iterations === this.savedAt) return;
    this.savedAt = iterations;
    await this.save(control);
  }

  /** Writes the backup. */
  async onEpochEnd(_epoch: number, _logs: Logs, control: FitControl): Promise<void> {
    await this.save(control);
  }

  /** Removes the backup, unless the fit was stopped by its signal. */
  async onTrainEnd(_logs: Logs, { aborted }: FitControl): Promise<void> {
    if (!this.deletes || aborted) return;
    const { store, name } = storeOf('backupAndRestore', this.path);
    await store.remove(name);
  }

  private async save({ model }: FitControl): Promise<void> {
    // The model is there already when it is restored: it need not be one that can be saved whole.
    await writeParts('backupAndRestore', this.path, modelParts(model, { architecture: false }));
  }
}

/**
 * Lets training go on where it stood when the process ended, whatever ended it: run the same program again. It saves weights, optimizer state,
 * random state and the place in the data; the run ends with the weights of one that was never ended, to the bit.
 *
 * @example await model.fit(x, y, { epochs: 100, callbacks: [backupAndRestore({ path: 'backup.safetensors', saveFreq: 500 })] });
 */
export function backupAndRestore(options: BackupAndRestoreOptions): BackupAndRestore {
  return new BackupAndRestore(options);
}
