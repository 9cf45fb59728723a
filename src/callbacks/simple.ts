// Small callbacks: a CSV file of the logs, an end at a loss that is no number, and plain functions.
import { describe, NablaError, unknownName } from '../errors.ts';
import type { Callback, FitControl } from '../model/callbacks.ts';
import type { Logs } from '../model/history.ts';
import { checkOptions } from '../options.ts';
import { storeOf } from '../saving/stores.ts';

/** Options of {@link csvLogger}. */
export interface CSVLoggerOptions {
  /** The file. */
  filename: string;
  /** What stands between two values. Default `','`. */
  separator?: string;
  /** Add to a file that is there. Default false: it is written anew. */
  append?: boolean;
}

/** Writes the logs of each epoch to a CSV file. */
export class CSVLogger implements Callback {
  private readonly options: Required<CSVLoggerOptions>;
  private columns: string[] | undefined;
  private begun = false;

  constructor(options: CSVLoggerOptions) {
    checkOptions('functions', 'csvLogger', options);
    const { filename, separator = ',', append = false } = options ?? {};
    if (typeof filename !== 'string' || filename === '') {
      throw new NablaError(
        'csvLogger',
        `bad filename, got ${describe(filename)}, expected a path such as 'log.csv'`,
      );
    }
    this.options = { filename, separator, append };
  }

  /** Begins the file, or finds its end. */
  async onTrainBegin(): Promise<void> {
    const { store, name } = storeOf('csvLogger', this.options.filename);
    this.begun = this.options.append && (await store.has(name));
    this.columns = undefined;
  }

  /** Writes a row. */
  async onEpochEnd(epoch: number, logs: Logs): Promise<void> {
    const { separator, filename } = this.options;
    const { store, name } = storeOf('csvLogger', filename);
    if (store.append === undefined) {
      throw new NablaError('csvLogger', `this place takes no logs, got ${filename}, expected a file`);
    }
    const names = Object.keys(logs).toSorted();
    const rows: string[] = [];
    if (this.columns === undefined) {
      this.columns = names;
      if (!this.begun) rows.push(['epoch', ...names].map((text) => quoted(text, separator)).join(separator));
    }
    const values = this.columns.map((column) => logs[column] ?? 'NA');
    rows.push([epoch, ...values].map((value) => quoted(String(value), separator)).join(separator));
    await store.append(name, new TextEncoder().encode(rows.map((row) => `${row}\n`).join('')), !this.begun);
    this.begun = true;
  }
}

/** A value as RFC 4180 has it. */
function quoted(text: string, separator: string): string {
  const plain = !/["\r\n]/.test(text) && !text.includes(separator);
  return plain ? text : `"${text.replaceAll('"', '""')}"`;
}

/**
 * Writes the logs of each epoch to a CSV file, a row at the end of each epoch: `epoch`, then the logs in the order of their names.
 *
 * @example csvLogger({ filename: 'log.csv', append: true })
 */
export function csvLogger(options: CSVLoggerOptions): CSVLogger {
  return new CSVLogger(options);
}

/** Ends the fit, without an error, at a loss that is NaN or infinite. */
export class TerminateOnNaN implements Callback {
  readonly toleratesNaN = true;
  /** The step, from 0, of the epoch at which it ended the fit. */
  stoppedStep: number | undefined;

  /** Forgets what it saw in a former fit. */
  onTrainBegin(): void {
    this.stoppedStep = undefined;
  }

  onBatchEnd(step: number, { loss }: Logs, control: FitControl): void {
    if (this.stoppedStep !== undefined || loss === undefined || Number.isFinite(loss)) return;
    this.stoppedStep = step;
    console.warn(`[terminateOnNaN] the loss is ${loss} at step ${step}; training ends`);
    control.stop();
  }
}

/** Ends the fit at a loss that is NaN or infinite. Without it a fit ends with an error that says the step and the cause. */
export function terminateOnNaN(): TerminateOnNaN {
  return new TerminateOnNaN();
}

const moments = [
  'onTrainBegin',
  'onEpochBegin',
  'onBatchEnd',
  'onTestBegin',
  'onTestEnd',
  'onEpochEnd',
  'onTrainEnd',
  'onTrainError',
] as const;

/**
 * A callback of plain functions.
 *
 * @example lambdaCallback({ onEpochEnd: (epoch, logs) => console.log(epoch, logs.loss) })
 */
export function lambdaCallback(functions: Omit<Callback, 'everySteps' | 'toleratesNaN'>): Callback {
  for (const [name, f] of Object.entries(functions ?? {})) {
    if (!(moments as readonly string[]).includes(name))
      throw unknownName('lambdaCallback', 'moment', name, moments);
    if (f !== undefined && typeof f !== 'function') {
      throw new NablaError('lambdaCallback', `bad ${name}, got ${describe(f)}, expected a function`);
    }
  }
  return { ...functions };
}
