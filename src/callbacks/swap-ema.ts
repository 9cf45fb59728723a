// SwapEMAWeights: the moving averages of the weights in their place while a model is validated.
import { NablaError } from '../errors.ts';
import type { Callback, FitControl } from '../model/callbacks.ts';
import type { Logs } from '../model/history.ts';

/** Options of {@link swapEMAWeights}. */
export interface SwapEMAWeightsOptions {
  /** Whether callbacks that come after this one find the averages at the end of an epoch, to save them for instance. Default false. */
  swapOnEpoch?: boolean;
}

/** Has validation, and perhaps other callbacks, see the averages of the weights. */
export class SwapEMAWeights implements Callback {
  private readonly swapOnEpoch: boolean;
  private averaged = false;

  constructor({ swapOnEpoch = false }: SwapEMAWeightsOptions = {}) {
    this.swapOnEpoch = swapOnEpoch;
  }

  /** Throws where the optimizer keeps no averages. */
  onTrainBegin({ model }: FitControl): void {
    this.averaged = false;
    const { optimizer } = model.compiled('fit');
    if (optimizer.averaging !== undefined) return;
    throw new NablaError(
      'swapEMAWeights',
      `${optimizer.name} keeps no averages of the weights, expected an optimizer with useEma: true`,
    );
  }

  /** Puts the weights back. */
  onEpochBegin(_epoch: number, control: FitControl): void {
    this.show(false, control);
  }

  /** Puts the averages in place. */
  onTestBegin(control: FitControl): void {
    this.show(true, control);
  }

  /** Puts the weights back. */
  onTestEnd(_logs: Logs, control: FitControl): void {
    this.show(false, control);
  }

  /** Puts the averages in place for the callbacks to come. */
  onEpochEnd(_epoch: number, _logs: Logs, control: FitControl): void {
    if (this.swapOnEpoch) this.show(true, control);
  }

  /** A fit that was not broken off has put the averages in place by itself. */
  onTrainEnd(_logs: Logs, control: FitControl): void {
    if (control.aborted) this.show(false, control);
  }

  onTrainError(_error: unknown, control: FitControl): void {
    this.show(false, control);
  }

  private show(averages: boolean, { model }: FitControl): void {
    if (averages === this.averaged) return;
    this.averaged = averages;
    model.trainer('swapEMAWeights').swapAverage();
  }
}

/**
 * Puts the moving averages that an optimizer with `useEma` keeps in the place of the weights while the model is validated, and back for training. A fit
 * ends with the averages in any case.
 *
 * @example
 * model.compile({ optimizer: optimizers.adam({ useEma: true }), loss: 'meanSquaredError' });
 * await model.fit(x, y, { epochs: 3, validationSplit: 0.2, callbacks: [swapEMAWeights()] });
 */
export function swapEMAWeights(options: SwapEMAWeightsOptions = {}): SwapEMAWeights {
  return new SwapEMAWeights(options);
}
