// What fit shows as it goes: a progress bar in a terminal, a line an epoch elsewhere, or nothing.
import { createProgress, type Progress } from '../cli/terminal.ts';
import { memory } from '../tensor.ts';
import type { Logs } from './history.ts';

/** Shows the progress of a fit. */
export interface Reporter {
  /** `steps`: undefined where it is not known how many there will be. */
  beginEpoch(epoch: number, epochs: number, steps: number | undefined): void;
  update(step: number, logs: Logs): void;
  endEpoch(epoch: number, epochs: number, logs: Logs, steps: number, seconds: number): void;
  /** The epoch was stopped after so many steps. */
  breakOff(step: number): void;
  end(): void;
}

const silent: Reporter = { beginEpoch() {}, update() {}, endEpoch() {}, breakOff() {}, end() {} };

/** Numbers as Keras shows them. */
export function showLogs(logs: Logs): string {
  return Object.entries(logs)
    .map(
      ([name, value]) =>
        `${name}: ${Math.abs(value) < 1e-3 && value !== 0 ? value.toExponential(4) : value.toFixed(4)}`,
    )
    .join(' - ');
}

function linesOnly(): Reporter {
  return {
    ...silent,
    endEpoch(epoch, epochs, logs, steps, seconds) {
      const rate = seconds > 0 ? Math.round(steps / seconds) : steps;
      console.log(
        `Epoch ${epoch + 1}/${epochs} - ${seconds.toFixed(2)}s - ${rate} steps/s - ${showLogs(logs)}`,
      );
    },
    breakOff(step) {
      console.log(`stopped after step ${step}`);
    },
  };
}

/** Bytes that tensors and programs hold. */
function bytesHeld(): number {
  const { bufferBytes, workspaceBytes } = memory();
  return bufferBytes + workspaceBytes;
}

function progressBars(): Reporter {
  let bar: Progress | undefined;
  return {
    beginEpoch(epoch, epochs, steps) {
      bar = createProgress({ total: steps, label: `Epoch ${epoch + 1}/${epochs}` });
    },
    update(step, logs) {
      bar?.update({ step, metrics: logs, memory: bytesHeld });
    },
    endEpoch(_epoch, _epochs, logs, steps) {
      bar?.finish({ step: steps, metrics: logs, memory: bytesHeld });
    },
    breakOff() {
      bar?.finish();
    },
    end() {},
  };
}

/** The reporter for a `verbose` option. */
export function createReporter(verbose: 0 | 1 | 2 | 'auto'): Reporter {
  if (verbose === 0) return silent;
  const stream = globalThis.process?.stdout;
  if (verbose === 2 || stream === undefined) return linesOnly();
  return verbose === 1 || stream.isTTY === true ? progressBars() : linesOnly();
}
