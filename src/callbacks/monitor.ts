// What callbacks share that watch a number: which of two is better, and the error where there is nothing to watch.
import { describe, NablaError, unknownName } from '../errors.ts';
import type { Logs } from '../model/history.ts';

/** Options of callbacks that watch a number. */
export interface MonitorOptions {
  /** What to watch. Default `'val_loss'`. */
  monitor?: string;
  /** `'min'`: lower is better; `'max'`: higher; `'auto'`: higher for names with accuracy in them. Default `'auto'`. */
  mode?: 'auto' | 'min' | 'max';
  /** The least change that counts as better. */
  minDelta?: number;
}

const modes = ['auto', 'min', 'max'];

/** The number that a callback watches. */
export class Monitor {
  readonly name: string;
  private readonly where: string;
  private readonly minDelta: number;
  private readonly up: boolean;

  constructor(where: string, { monitor = 'val_loss', mode = 'auto', minDelta = 0 }: MonitorOptions) {
    if (!modes.includes(mode)) throw unknownName(where, 'mode', mode, modes);
    this.where = where;
    this.name = monitor;
    this.minDelta = minDelta;
    this.up = mode === 'max' || (mode === 'auto' && /acc|auc|precision|recall|f1/i.test(monitor));
  }

  /** The number in these logs; throws where it is not among them. */
  valueIn(logs: Logs): number {
    const value = logs[this.name];
    if (value !== undefined) return value;
    throw new NablaError(
      this.where,
      `nothing to watch, got monitor '${this.name}', expected one of ${Object.keys(logs).join(', ')}; ` +
        'give fit validationData for those that begin with val_',
    );
  }

  /** Is `value` better than `reference`? Any number is better than none. */
  better(value: number, reference: number | undefined): boolean {
    if (reference === undefined) return !Number.isNaN(value);
    return this.up ? value - this.minDelta > reference : value + this.minDelta < reference;
  }
}

/** Throws unless the number is an integer of at least `least`. */
export function checkInteger(where: string, name: string, value: unknown, least = 0): void {
  if (Number.isInteger(value) && (value as number) >= least) return;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected an integer >= ${least}`);
}
