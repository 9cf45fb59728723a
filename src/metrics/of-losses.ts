// Losses as metrics: their means over the samples of an epoch, without what regularizers add.
import * as losses from '../losses/index.ts';
import type { CrossentropyOptions, SmoothableOptions } from '../losses/losses.ts';
import type { Metric } from './metric.ts';

/** The loss {@link losses.meanSquaredError} as a metric. */
export const meanSquaredError = (): Metric => losses.meanSquaredError();
/** The loss {@link losses.meanAbsoluteError} as a metric. */
export const meanAbsoluteError = (): Metric => losses.meanAbsoluteError();
/** The loss {@link losses.meanAbsolutePercentageError} as a metric. */
export const meanAbsolutePercentageError = (): Metric => losses.meanAbsolutePercentageError();
/** The loss {@link losses.meanSquaredLogarithmicError} as a metric. */
export const meanSquaredLogarithmicError = (): Metric => losses.meanSquaredLogarithmicError();
/** The loss {@link losses.logCosh} as a metric. */
export const logCosh = (): Metric => losses.logCosh();
/** The loss {@link losses.poisson} as a metric. */
export const poisson = (): Metric => losses.poisson();
/** The loss {@link losses.klDivergence} as a metric. */
export const klDivergence = (): Metric => losses.klDivergence();
/** The loss {@link losses.hinge} as a metric. */
export const hinge = (): Metric => losses.hinge();
/** The loss {@link losses.squaredHinge} as a metric. */
export const squaredHinge = (): Metric => losses.squaredHinge();
/** The loss {@link losses.categoricalHinge} as a metric. */
export const categoricalHinge = (): Metric => losses.categoricalHinge();
/** The loss {@link losses.binaryCrossentropy} as a metric. */
export const binaryCrossentropy = (options: SmoothableOptions = {}): Metric =>
  losses.binaryCrossentropy(options);
/** The loss {@link losses.categoricalCrossentropy} as a metric. */
export const categoricalCrossentropy = (options: SmoothableOptions = {}): Metric =>
  losses.categoricalCrossentropy(options);
/** The loss {@link losses.sparseCategoricalCrossentropy} as a metric. */
export const sparseCategoricalCrossentropy = (options: CrossentropyOptions = {}): Metric =>
  losses.sparseCategoricalCrossentropy(options);
