// Callbacks that set the learning rate: by a function of the epoch, or down when nothing gets better.
import { describe, NablaError } from '../errors.ts';
import type { Callback, FitControl } from '../model/callbacks.ts';
import type { Logs } from '../model/history.ts';
import { checkOptions } from '../options.ts';
import { checkInteger, Monitor, type MonitorOptions } from './monitor.ts';

/** Sets the learning rate at the beginning of each epoch. */
export class LearningRateScheduler implements Callback {
  private readonly schedule: (epoch: number, learningRate: number) => number;

  constructor(schedule: (epoch: number, learningRate: number) => number) {
    if (typeof schedule !== 'function') {
      throw new NablaError(
        'learningRateScheduler',
        `bad schedule, got ${describe(schedule)}, expected a function of the epoch and the learning rate`,
      );
    }
    this.schedule = schedule;
  }

  /** Sets the rate of the epoch. */
  onEpochBegin(epoch: number, control: FitControl): void {
    const rate = this.schedule(epoch, control.learningRate);
    if (typeof rate !== 'number') {
      throw new NablaError('learningRateScheduler', `the schedule gave ${describe(rate)}, expected a number`);
    }
    control.learningRate = rate;
  }

  onEpochEnd(_epoch: number, logs: Logs, { learningRate }: FitControl): void {
    logs.learning_rate = learningRate;
  }
}

/**
 * Sets the learning rate at the beginning of each epoch to what the function gives for the epoch, from 0, and the rate so far. Callbacks that come after it
 * find it in the logs as `learning_rate`.
 *
 * @example learningRateScheduler((epoch, rate) => (epoch < 10 ? rate : rate * 0.9))
 */
export function learningRateScheduler(
  schedule: (epoch: number, learningRate: number) => number,
): LearningRateScheduler {
  return new LearningRateScheduler(schedule);
}

/** Options of {@link reduceLROnPlateau}. */
export interface ReduceLROnPlateauOptions extends MonitorOptions {
  /** What the rate is multiplied by, in (0, 1). Default 0.1. */
  factor?: number;
  /** Epochs without getting better before it is. Default 10. */
  patience?: number;
  /** Default 1e-4. */
  minDelta?: number;
  /** Epochs after a change before it counts again. Default 0. */
  cooldown?: number;
  /** The rate does not go below it. Default 0. */
  minLR?: number;
}

/** Lowers the learning rate when what it watches no longer gets better. */
export class ReduceLROnPlateau implements Callback {
  /** The best value so far. */
  best: number | undefined;
  private readonly monitor: Monitor;
  private readonly options: { factor: number; patience: number; cooldown: number; minLR: number };
  private waited = 0;
  private cooling = 0;

  constructor(options: ReduceLROnPlateauOptions = {}) {
    checkOptions('functions', 'reduceLROnPlateau', options);
    const where = 'reduceLROnPlateau';
    const { factor = 0.1, patience = 10, cooldown = 0, minLR = 0, minDelta = 1e-4 } = options;
    if (typeof factor !== 'number' || !(factor > 0 && factor < 1)) {
      throw new NablaError(
        where,
        `bad factor, got ${describe(factor)}, expected a number above 0 and below 1`,
      );
    }
    checkInteger(where, 'patience', patience);
    checkInteger(where, 'cooldown', cooldown);
    if (typeof minLR !== 'number' || !(minLR >= 0)) {
      throw new NablaError(where, `bad minLR, got ${describe(minLR)}, expected a number >= 0`);
    }
    this.monitor = new Monitor(where, { ...options, minDelta });
    this.options = { factor, patience, cooldown, minLR };
  }

  /** Forgets what it saw in a former fit. */
  onTrainBegin(): void {
    this.best = undefined;
    this.waited = 0;
    this.cooling = 0;
  }

  /** Lowers the rate, if it is time to. */
  onEpochEnd(_epoch: number, logs: Logs, control: FitControl): void {
    logs.learning_rate = control.learningRate;
    const { factor, patience, cooldown, minLR } = this.options;
    const value = this.monitor.valueIn(logs);
    if (this.cooling > 0) {
      this.cooling--;
      this.waited = 0;
    }
    if (this.monitor.better(value, this.best)) {
      this.best = value;
      this.waited = 0;
      return;
    }
    if (this.cooling > 0) return;
    this.waited++;
    if (this.waited < patience || control.learningRate <= minLR) return;
    control.learningRate = Math.max(control.learningRate * factor, minLR);
    this.cooling = cooldown;
    this.waited = 0;
  }
}

/**
 * Multiplies the learning rate by `factor` after `patience` epochs in which what it watches did not get better. Callbacks that come after it find
 * the epoch's rate in the logs as `learning_rate`.
 *
 * @example reduceLROnPlateau({ monitor: 'val_loss', factor: 0.5, patience: 3 })
 */
export function reduceLROnPlateau(options: ReduceLROnPlateauOptions = {}): ReduceLROnPlateau {
  return new ReduceLROnPlateau(options);
}
