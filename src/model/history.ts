// The record of a fit: loss and metrics of every epoch, and where it was stopped.

import { type ReportOptions, reportHtml } from '../report/html.ts';
import { textCurves } from '../report/text.ts';
import type { RandomState } from './generator.ts';

/** Loss and metrics by name; those of validation data begin with `val`. */
export type Logs = Record<string, number>;

/** A place in a data set: batches taken from one of its passes. */
export interface DataPosition {
  /** What the passes' own seeds follow from. */
  readonly seed: number;
  /** Number of the pass. */
  readonly iteration: number;
  /** Batches that were taken from it. */
  readonly batches: number;
}

/** Where a fit was stopped, for fit's `resume`. */
export interface FitPosition extends RandomState {
  /** The epoch it was in, from 0; `shuffle` is the state that its order was shuffled from. */
  readonly epoch: number;
  /** Steps of that epoch that were completed. */
  readonly step: number;
  /** Place in the data, of a fit over a data set. */
  readonly data?: DataPosition;
}

/** What fit gives. */
export class History {
  /** Epochs completed, from 0. */
  readonly epoch: number[] = [];
  /** One number an epoch, by name: `loss`, `accuracy`, `val_loss`, `val_accuracy`. */
  readonly history: Record<string, number[]> = {};
  /** The learning rate at the end of each epoch. */
  readonly learningRate: number[] = [];
  /** Training steps completed in this fit. */
  steps = 0;
  /** Seconds that the fit took. */
  seconds = 0;
  /** Where it was stopped by a signal; undefined when it ran to its end. Pass it to fit's `resume` to go on. */
  stopped: FitPosition | undefined;

  /** @internal */
  add(epoch: number, logs: Logs, learningRate: number): void {
    this.epoch.push(epoch);
    this.learningRate.push(learningRate);
    for (const [name, value] of Object.entries(logs)) {
      this.history[name] ??= [];
      this.history[name].push(value);
    }
  }

  /**
   * One page of HTML, with everything in it: the curves, the learning rate, and where they are given a confusion matrix and sample predictions.
   *
   * @example writeFileSync('training.html', history.toHTML({ title: 'Digits' }));
   */
  toHTML(options: ReportOptions = {}): string {
    return reportHtml(this, options);
  }

  /** The curves as text, for a terminal. */
  toText(): string {
    return textCurves(this.history);
  }
}
