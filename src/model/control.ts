// What callbacks are given while fit runs: the model, where training stands, and the ways to change its course.
import { NablaError } from '../errors.ts';
import type { Nested } from '../nested.ts';
import type { PhiloxState } from '../random.ts';
import type { Tensor } from '../tensor.ts';
import type { Callback, FitControl } from './callbacks.ts';
import type { FitOptions } from './fit-options.ts';
import type { DataPosition, FitPosition } from './history.ts';
import type { Model } from './model.ts';

/** The control with what only fit may change. */
export interface Control extends FitControl {
  stopping: boolean;
  stepsPerEpoch: number | undefined;
  /** The epoch, the steps of it that were completed, and what its order was shuffled from. */
  at: { epoch: number; step: number; shuffle?: PhiloxState; data?: DataPosition };
  resume: FitPosition | undefined;
}

/** The control of a fit that is to begin. */
export function makeControl(model: Model<Nested<Tensor>>, options: FitOptions): Control {
  const { optimizer } = model.compiled('fit');
  const { resume, epochs = 1, initialEpoch = 0 } = options;
  return {
    model,
    epochs,
    resume,
    at: resume ?? { epoch: initialEpoch, step: 0 },
    get position() {
      return { ...model.random.capture(), ...this.at };
    },
    get iterations() {
      return model.iterations;
    },
    get aborted() {
      return options.signal?.aborted === true;
    },
    resumeAt(position) {
      this.resume = position;
      this.at = position;
    },
    stopping: false,
    stepsPerEpoch: undefined,
    stop() {
      this.stopping = true;
    },
    getWeights: () => model.getWeights(),
    setWeights: (weights) => model.setWeights(weights),
    get learningRate() {
      return optimizer.learningRate;
    },
    set learningRate(rate: number) {
      if (optimizer.schedule !== undefined) {
        throw new NablaError(
          optimizer.name,
          `the learning rate follows the schedule ${optimizer.schedule.name}, got ${rate}; compile with a number to set it`,
        );
      }
      if (!(rate >= 0 && Number.isFinite(rate))) {
        throw new NablaError(optimizer.name, `bad learningRate, got ${rate}, expected a finite number >= 0`);
      }
      optimizer.learningRate = rate;
    },
  };
}

/** Steps until the first callback wants to look at the model. */
export function stepsToStop({ iterations }: FitControl, callbacks: readonly Callback[]): number {
  const wanted = callbacks.map(({ everySteps }) =>
    everySteps === undefined ? Number.POSITIVE_INFINITY : everySteps - (iterations % everySteps),
  );
  return Math.min(...wanted, Number.POSITIVE_INFINITY);
}
