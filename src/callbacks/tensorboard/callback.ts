// TensorBoard's callback: losses, metrics and the learning rate as curves, weights as histograms, in the folders that Keras uses.
import { describe, NablaError } from '../../errors.ts';
import type { Callback, FitControl } from '../../model/callbacks.ts';
import type { Logs } from '../../model/history.ts';
import { checkOptions } from '../../options.ts';
import { checkInteger } from '../monitor.ts';
import { type SummaryWriter, summaryWriter } from './writer.ts';

/** Options of {@link tensorBoard}. */
export interface TensorBoardOptions {
  /** The folder of the run. Default `'logs'`. */
  logDir?: string;
  /** Weights are written as histograms every so many epochs. Default 0: never. */
  histogramFreq?: number;
  /** Whether losses and metrics are written every epoch only, or every so many steps too; `'batch'`: every step. Default `'epoch'`. */
  updateFreq?: 'epoch' | 'batch' | number;
}

/** Writes what TensorBoard shows. */
export class TensorBoard implements Callback {
  private readonly options: Required<TensorBoardOptions>;
  private writers: { train: SummaryWriter; validation: SummaryWriter | undefined } | undefined;
  private firstStep = 0;
  private told = 0;

  constructor(options: TensorBoardOptions = {}) {
    checkOptions('functions', 'tensorBoard', options);
    const { logDir = 'logs', histogramFreq = 0, updateFreq = 'epoch' } = options;
    checkInteger('tensorBoard', 'histogramFreq', histogramFreq);
    if (
      updateFreq !== 'epoch' &&
      updateFreq !== 'batch' &&
      !(Number.isInteger(updateFreq) && updateFreq >= 1)
    ) {
      throw new NablaError(
        'tensorBoard',
        `bad updateFreq, got ${describe(updateFreq)}, expected 'epoch', 'batch' or an integer >= 1`,
      );
    }
    this.options = { logDir, histogramFreq, updateFreq };
  }

  /** The writer of the run's training folder, for what is to be shown beside its curves; there while a fit runs. */
  get writer(): SummaryWriter {
    if (this.writers !== undefined) return this.writers.train;
    throw new NablaError('tensorBoard', 'no fit has begun, the writer is there while one runs');
  }

  /** Opens the files. */
  onTrainBegin({ iterations }: FitControl): void {
    this.writers = {
      train: summaryWriter({ logDir: `${this.options.logDir}/train` }),
      validation: undefined,
    };
    this.firstStep = iterations;
    this.told = 0;
  }

  onBatchEnd(_step: number, logs: Logs): void {
    const { updateFreq } = this.options;
    this.told++;
    if (updateFreq === 'epoch') return;
    const step = this.firstStep + this.told;
    if (step % (updateFreq === 'batch' ? 1 : updateFreq) !== 0) return;
    for (const [name, value] of Object.entries(logs)) this.writer.scalar(`batch_${name}`, value, step);
  }

  /** Writes the scalars of the epoch, and histograms if it is time to. */
  async onEpochEnd(epoch: number, logs: Logs, { model, learningRate }: FitControl): Promise<void> {
    const { histogramFreq, logDir } = this.options;
    for (const [name, value] of Object.entries({ ...logs, learning_rate: learningRate })) {
      if (name.startsWith('val_')) {
        this.writers!.validation ??= summaryWriter({ logDir: `${logDir}/validation` });
        this.writers!.validation.scalar(`epoch_${name.slice(4)}`, value, epoch);
      } else {
        this.writer.scalar(`epoch_${name}`, value, epoch);
      }
    }
    if (histogramFreq > 0 && epoch % histogramFreq === 0) {
      for (const weight of model.weights) this.writer.histogram(`${weight.name}/histogram`, weight, epoch);
    }
    await this.flush();
  }

  /** Closes the files. */
  async onTrainEnd(): Promise<void> {
    await this.flush();
    this.writers = undefined;
  }

  private async flush(): Promise<void> {
    await this.writer.flush();
    await this.writers!.validation?.flush();
  }
}

/**
 * Writes event files that TensorBoard shows: `epoch_loss` and the like, of training and of validation, the learning rate, and weights as
 * histograms. Look at them with `tensorboard --logdir logs`.
 *
 * @example tensorBoard({ logDir: 'logs/run1', histogramFreq: 1 })
 */
export function tensorBoard(options: TensorBoardOptions = {}): TensorBoard {
  return new TensorBoard(options);
}
