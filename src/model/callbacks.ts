// Callbacks: what fit calls as it goes, and EarlyStopping.
import { describe, NablaError, unknownName } from '../errors.ts';
import type { FitPosition, Logs } from './history.ts';
import type { Model } from './model.ts';

/** What a callback can see and do. */
export interface FitControl {
  /** The model that is trained. */
  readonly model: Model;
  /** Where training stands: what fit's `resume` takes to go on from here. In `onBatchEnd` it is where the last step that ran ended. */
  readonly position: FitPosition;
  /** Steps that the optimizer took, with those of former fits. */
  readonly iterations: number;
  /** Epochs that fit was asked for. */
  readonly epochs: number;
  /** In `onTrainBegin`: has fit begin there. */
  resumeAt(position: FitPosition): void;
  /** Ends the fit after the epoch, or after the time slice that runs. */
  stop(): void;
  /** The weights, copied. */
  getWeights(): Float32Array[];
  /** Puts weights back. */
  setWeights(weights: readonly Float32Array[]): void;
  /** The learning rate of the steps to come. */
  learningRate: number;
}

/** Functions that fit calls; all are optional and may be async. An error in one ends the fit with the model as it is. */
export interface Callback {
  /** Time slices end where the optimizer has taken a multiple of so many steps, so that `onBatchEnd` meets the model as it is then. */
  readonly everySteps?: number | undefined;
  onTrainBegin?(control: FitControl): void | Promise<void>;
  onEpochBegin?(epoch: number, control: FitControl): void | Promise<void>;
  /** Called for every step in order, some time after it ran: about ten times a second for all steps since. */
  onBatchEnd?(step: number, logs: Logs, control: FitControl): void | Promise<void>;
  onEpochEnd?(epoch: number, logs: Logs, control: FitControl): void | Promise<void>;
  onTrainEnd?(logs: Logs, control: FitControl): void | Promise<void>;
}

/** Options of {@link EarlyStopping}. */
export interface EarlyStoppingOptions {
  /** What to watch. Default `'val_loss'`. */
  monitor?: string;
  /** The least change that counts as better. Default 0. */
  minDelta?: number;
  /** Epochs without getting better before it stops. Default 0. */
  patience?: number;
  /** `'min'`: lower is better; `'max'`: higher; `'auto'`: higher for names with accuracy in them. Default `'auto'`. */
  mode?: 'auto' | 'min' | 'max';
  /** Stop unless it gets better than this. Default: none. */
  baseline?: number;
  /** Put the weights of the best epoch back at the end. Default false. */
  restoreBestWeights?: boolean;
  /** Epochs before it begins to watch. Default 0. */
  startFromEpoch?: number;
}

/** Stops when what it watches no longer gets better. */
export class EarlyStopping implements Callback {
  /** The epoch it stopped at; undefined if it did not. */
  stoppedEpoch: number | undefined;
  /** The best epoch and its value. */
  best: { epoch: number; value: number } | undefined;
  private readonly options: Required<Omit<EarlyStoppingOptions, 'baseline'>> & {
    baseline: number | undefined;
  };
  private waited = 0;
  private weights: Float32Array[] | undefined;

  constructor(options: EarlyStoppingOptions = {}) {
    const { monitor = 'val_loss', minDelta = 0, patience = 0, mode = 'auto', baseline } = options;
    const { restoreBestWeights = false, startFromEpoch = 0 } = options;
    if (!Number.isInteger(patience) || patience < 0) {
      throw new NablaError(
        'earlyStopping',
        `bad patience, got ${describe(patience)}, expected an integer >= 0`,
      );
    }
    const modes = ['auto', 'min', 'max'];
    if (!modes.includes(mode)) throw unknownName('earlyStopping', 'mode', mode, modes);
    this.options = { monitor, minDelta, patience, mode, baseline, restoreBestWeights, startFromEpoch };
  }

  onTrainBegin(): void {
    this.waited = 0;
    this.best = undefined;
    this.weights = undefined;
    this.stoppedEpoch = undefined;
  }

  onEpochEnd(epoch: number, logs: Logs, control: FitControl): void {
    const { monitor, patience, baseline, restoreBestWeights, startFromEpoch } = this.options;
    if (epoch < startFromEpoch) return;
    const value = logs[monitor];
    if (value === undefined) {
      throw new NablaError(
        'earlyStopping',
        `nothing to watch, got monitor '${monitor}', expected one of ${Object.keys(logs).join(', ')}; ` +
          'give fit validationData for those that begin with val_',
      );
    }
    this.waited++;
    if (restoreBestWeights && this.weights === undefined) this.weights = control.getWeights();
    if (this.better(value, this.best?.value)) {
      this.best = { epoch, value };
      if (restoreBestWeights) this.weights = control.getWeights();
      if (baseline === undefined || this.better(value, baseline)) this.waited = 0;
      return;
    }
    if (this.waited >= patience && epoch > 0) {
      this.stoppedEpoch = epoch;
      control.stop();
    }
  }

  onTrainEnd(_logs: Logs, control: FitControl): void {
    if (this.options.restoreBestWeights && this.weights !== undefined) control.setWeights(this.weights);
  }

  private better(value: number, reference: number | undefined): boolean {
    if (reference === undefined) return !Number.isNaN(value);
    const { mode, monitor, minDelta } = this.options;
    const up = mode === 'max' || (mode === 'auto' && /acc|auc|precision|recall|f1/i.test(monitor));
    return up ? value - minDelta > reference : value + minDelta < reference;
  }
}

/** As {@link EarlyStopping}, without `new`. */
export function earlyStopping(options: EarlyStoppingOptions = {}): EarlyStopping {
  return new EarlyStopping(options);
}
