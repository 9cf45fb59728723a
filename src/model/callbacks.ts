// Callbacks: what fit calls as it goes, and EarlyStopping.
import { Monitor, type MonitorOptions } from '../callbacks/monitor.ts';
import { describe, NablaError } from '../errors.ts';
import type { Nested } from '../nested.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import type { FitPosition, Logs } from './history.ts';
import type { Model } from './model.ts';

/** What a callback can see and do. */
export interface FitControl {
  /** The model that is trained. */
  readonly model: Model<Nested<Tensor>>;
  /** Where training stands: what fit's `resume` takes to go on from here. In `onBatchEnd` it is where the last step that ran ended. */
  readonly position: FitPosition;
  /** Training steps of all fits, those before the model was saved among them. */
  readonly iterations: number;
  /** Epochs that fit was asked for. */
  readonly epochs: number;
  /** Steps of the epoch that runs, once it does; undefined where the data do not say how many there will be. */
  readonly stepsPerEpoch: number | undefined;
  /** Was the fit ended by its signal? */
  readonly aborted: boolean;
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
  /** Time slices end at multiples of so many steps, counted through all fits, so that `onBatchEnd` meets the model as it is then. */
  readonly everySteps?: number | undefined;
  /** Has fit go on at a loss that is NaN, which it else ends with an error. */
  readonly toleratesNaN?: boolean;
  /** Before the first epoch. */
  onTrainBegin?(control: FitControl): void | Promise<void>;
  /** Before each epoch, counted from 0. */
  onEpochBegin?(epoch: number, control: FitControl): void | Promise<void>;
  /** Called for every step in order, some time after it ran: about ten times a second for all steps since. */
  onBatchEnd?(step: number, logs: Logs, control: FitControl): void | Promise<void>;
  /** Before validation. */
  onTestBegin?(control: FitControl): void | Promise<void>;
  /** After validation, with its losses and metrics, whose names do not say `val_`. */
  onTestEnd?(logs: Logs, control: FitControl): void | Promise<void>;
  /** After each epoch and its validation, with its losses and metrics. */
  onEpochEnd?(epoch: number, logs: Logs, control: FitControl): void | Promise<void>;
  /** At the end, with the logs of the last epoch. */
  onTrainEnd?(logs: Logs, control: FitControl): void | Promise<void>;
  /** Called where the fit ends with an error, its own or a callback's, before it throws it. Errors in here are lost. */
  onTrainError?(error: unknown, control: FitControl): void | Promise<void>;
}

/** Options of {@link EarlyStopping}. */
export interface EarlyStoppingOptions extends MonitorOptions {
  /** The least change that counts as better. Default 0. */
  minDelta?: number;
  /** Epochs without getting better before it stops. Default 0. */
  patience?: number;
  /** Stop unless it gets better than this. Default: none. */
  baseline?: number;
  /** Put the weights of the best epoch back at the end. Default false. */
  restoreBestWeights?: boolean;
  /** Epochs before it begins to watch. Default 0. */
  startFromEpoch?: number;
}

/** The best epoch that {@link EarlyStopping} saw. */
export interface BestEpoch {
  /** From 0. */
  readonly epoch: number;
  /** What was watched, then. */
  readonly value: number;
}

/** Stops when what it watches no longer gets better. */
export class EarlyStopping implements Callback {
  /** The epoch it stopped at; undefined if it did not. */
  stoppedEpoch: number | undefined;
  /** The best epoch and its value. */
  best: BestEpoch | undefined;
  private readonly watched: Monitor;
  private readonly options: {
    patience: number;
    baseline: number | undefined;
    restoreBestWeights: boolean;
    startFromEpoch: number;
  };
  private waited = 0;
  private weights: Float32Array[] | undefined;

  constructor(options: EarlyStoppingOptions = {}) {
    checkOptions('functions', 'earlyStopping', options);
    const { monitor = 'val_loss', minDelta = 0, patience = 0, mode = 'auto', baseline } = options;
    const { restoreBestWeights = false, startFromEpoch = 0 } = options;
    if (!Number.isInteger(patience) || patience < 0) {
      throw new NablaError(
        'earlyStopping',
        `bad patience, got ${describe(patience)}, expected an integer >= 0`,
      );
    }
    this.watched = new Monitor('earlyStopping', { monitor, mode, minDelta });
    this.options = { patience, baseline, restoreBestWeights, startFromEpoch };
  }

  /** Forgets what it saw in a former fit. */
  onTrainBegin(): void {
    this.waited = 0;
    this.best = undefined;
    this.weights = undefined;
    this.stoppedEpoch = undefined;
  }

  /** Compares the epoch with the best one so far. */
  onEpochEnd(epoch: number, logs: Logs, control: FitControl): void {
    const { patience, baseline, restoreBestWeights, startFromEpoch } = this.options;
    if (epoch < startFromEpoch) return;
    const value = this.watched.valueIn(logs);
    this.waited++;
    if (restoreBestWeights && this.weights === undefined) this.weights = control.getWeights();
    if (this.watched.better(value, this.best?.value)) {
      this.best = { epoch, value };
      if (restoreBestWeights) this.weights = control.getWeights();
      if (baseline === undefined || this.watched.better(value, baseline)) this.waited = 0;
      return;
    }
    if (this.waited >= patience && epoch > 0) {
      this.stoppedEpoch = epoch;
      control.stop();
    }
  }

  /** Puts the best weights back, where it was told to. */
  onTrainEnd(_logs: Logs, control: FitControl): void {
    if (this.options.restoreBestWeights && this.weights !== undefined) control.setWeights(this.weights);
  }
}

/** As {@link EarlyStopping}, without `new`. */
export function earlyStopping(options: EarlyStoppingOptions = {}): EarlyStopping {
  return new EarlyStopping(options);
}
