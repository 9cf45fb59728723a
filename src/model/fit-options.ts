// What fit and evaluate take beside samples and labels, and the checks of it.
import { Dataset } from '../data/dataset.ts';
import { describe, NablaError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';
import type { Callback } from './callbacks.ts';
import type { FitPosition } from './history.ts';
import { checkCount } from './model.ts';
import type { ModelData } from './slots.ts';

/** Numbers that weigh samples, one a sample. */
export type SampleWeight = Float32Array | readonly number[] | Tensor;

/** What fit takes beside samples and labels. */
export interface FitOptions {
  /** Passes over the samples. Default 1. */
  epochs?: number;
  /** Samples a step. Default 32. Not for data sets that are batched. */
  batchSize?: number;
  /** Steps an epoch, for data sets: the next epoch goes on where the last one ended. Default: an epoch is a pass. */
  stepsPerEpoch?: number;
  /** Samples and labels that are evaluated after every epoch, with the weights of samples if there are any, or a data set of them. */
  validationData?:
    | readonly [x: ModelData, y: ModelData | null, sampleWeight?: SampleWeights]
    | Dataset<unknown>;
  /** Steps of the validation over a data set. Default: all. */
  validationSteps?: number;
  /** Share of the samples, taken from the end before shuffling, that is kept for validation. Default 0. */
  validationSplit?: number;
  /** Samples a step of the validation. Default 256, or batchSize if that is larger. */
  validationBatchSize?: number;
  /** Whether the order of samples changes every epoch. Default true. */
  shuffle?: boolean;
  /** Weight of each class in the loss, by its index; for models of one output. */
  classWeight?: Readonly<Record<number, number>>;
  /** Weight of each sample in the loss; of several outputs one for all, or one for each as an array or a record by name. */
  sampleWeight?: SampleWeights;
  /** Called as the fit goes. */
  callbacks?: readonly Callback[];
  /** 0: silent, 1: a progress bar, 2: a line an epoch, `'auto'`: a bar in a terminal, else lines. Default `'auto'`. */
  verbose?: 0 | 1 | 2 | 'auto';
  /** Number of the first epoch, to go on with a former fit. Default 0. */
  initialEpoch?: number;
  /** Ends the fit after the step that it is in; `history.stopped` then says where. */
  signal?: AbortSignal;
  /** Goes on where a former fit was stopped: its `history.stopped`. The loss of that epoch is then the mean over the steps left. */
  resume?: FitPosition | undefined;
}

/** Weights of samples: for all outputs, or for each, in their order or by their names. */
export type SampleWeights = SampleWeight | readonly SampleWeight[] | Readonly<Record<string, SampleWeight>>;

/** What weighs samples, or classes, of arrays. */
export interface Weighing {
  /** Weight of each sample in the loss and in `weightedMetrics`, as fit takes them. Not for data sets. */
  sampleWeight?: SampleWeights;
  /** Weight of each class, by its index; for models of one output. */
  classWeight?: Readonly<Record<number, number>>;
}

/** What evaluate takes beside samples and labels. */
export interface EvaluateOptions {
  /** Samples a step. Default 256. Not for data sets that are batched. */
  batchSize?: number;
  /** Steps over a data set. Default: all. */
  steps?: number;
  /** Weight of each sample in the loss and in `weightedMetrics`, as fit takes them. Not for data sets. */
  sampleWeight?: SampleWeights;
}

/** Throws where fit's options are not what it takes. */
export function checkFitOptions(where: string, options: FitOptions): void {
  const { epochs = 1, batchSize = 32, validationSplit = 0, validationData, initialEpoch = 0 } = options;
  checkCount(where, 'epochs', epochs);
  checkCount(where, 'batchSize', batchSize);
  if (options.validationBatchSize !== undefined)
    checkCount(where, 'validationBatchSize', options.validationBatchSize);
  if (!Number.isInteger(initialEpoch) || initialEpoch < 0) {
    throw new NablaError(where, `bad initialEpoch, got ${describe(initialEpoch)}, expected an integer >= 0`);
  }
  if (typeof validationSplit !== 'number' || !(validationSplit >= 0 && validationSplit < 1)) {
    throw new NablaError(
      where,
      `bad validationSplit, got ${describe(validationSplit)}, expected a number in [0, 1)`,
    );
  }
  const { verbose = 'auto', callbacks = [] } = options;
  if (![0, 1, 2, 'auto'].includes(verbose)) {
    throw new NablaError(where, `bad verbose, got ${describe(verbose)}, expected 0, 1, 2 or 'auto'`);
  }
  if (!Array.isArray(callbacks)) {
    throw new NablaError(where, `bad callbacks, got ${describe(callbacks)}, expected an array of them`);
  }
  const strange = callbacks.findIndex((callback) => typeof callback !== 'object' || callback === null);
  if (strange >= 0) {
    const got = describe(callbacks[strange]);
    throw new NablaError(
      where,
      `bad callbacks, got ${got} at ${strange}, expected objects with functions such as onEpochEnd`,
    );
  }
  if (validationData !== undefined && validationSplit > 0) {
    throw new NablaError(where, 'got both validationData and validationSplit, expected one of them');
  }
  const isPair = Array.isArray(validationData) && [2, 3].includes(validationData.length);
  if (validationData !== undefined && !isPair && !(validationData instanceof Dataset)) {
    throw new NablaError(
      where,
      `bad validationData, got ${describe(validationData)}, expected [x, y] or [x, y, sampleWeight]`,
    );
  }
}
