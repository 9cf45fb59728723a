// HashedCrossing: several features taken together, each combination of their values in one of a few bins.
import { describe, NablaError } from '../errors.ts';
import { type TensorData, tensor } from '../ops/creation.ts';
import { showShape } from '../shape.ts';
import { scope, Tensor } from '../tensor.ts';
import { checkMode } from './categories.ts';
import { crossedBucketOf } from './hashes.ts';
import { encodeIndices, flattenTexts, TextLayer, type TextLayerOptions, type Texts } from './texts.ts';

/** Options of {@link hashedCrossing}. */
export interface HashedCrossingOptions extends TextLayerOptions {
  /** Number of bins. */
  numBins: number;
  /** Default `'int'`. */
  outputMode?: 'int' | 'oneHot';
}

/** Values of one feature: texts or whole numbers, one a sample, as `[batch]` or `[batch, 1]`. */
export type Feature = Texts | TensorData | Tensor;

/** Combinations of values in bins. */
export class HashedCrossing extends TextLayer {
  readonly kind = 'hashedCrossing';
  private readonly numBins: number;
  private readonly mode: string;

  constructor(options: HashedCrossingOptions) {
    super(options);
    this.mode = checkMode(this.name, options.outputMode ?? 'int', ['int', 'oneHot']);
    this.numBins = options.numBins;
    if (!Number.isInteger(this.numBins) || this.numBins < 1)
      throw new NablaError(this.name, `bad numBins, got ${describe(this.numBins)}, expected an integer >= 1`);
  }

  /** The bins of what the features, two or more, have at the same places. */
  apply(features: readonly Feature[]): Tensor {
    if (!Array.isArray(features) || features.length < 2)
      throw new NablaError(this.name, `expected two features or more in an array, got ${describe(features)}`);
    const read = features.map((feature) => this.valuesOf(feature));
    const { shape } = read[0]!;
    for (const other of read) {
      const fits = shape.length === 1 || (shape.length === 2 && shape[1] === 1);
      if (fits && other.shape.join() === shape.join()) continue;
      throw new NablaError(
        this.name,
        `expected features of one shape, [batch] or [batch, 1], got ${showShape(shape)} and ${showShape(other.shape)}`,
      );
    }
    const bins = Int32Array.from({ length: read[0]!.values.length }, (_, i) =>
      crossedBucketOf(
        read.map(({ values }) => values[i]!),
        this.numBins,
      ),
    );
    return encodeIndices(this.name, this.mode, bins, shape, this.numBins);
  }

  private valuesOf(feature: Feature): { values: readonly (string | number)[]; shape: readonly number[] } {
    let first: unknown = feature;
    while (Array.isArray(first)) first = first[0];
    if (typeof first === 'string') {
      const { tokens, shape } = flattenTexts(this.name, feature);
      return { values: tokens, shape };
    }
    return scope(() => {
      const numbers = feature instanceof Tensor ? feature : tensor(feature as TensorData);
      const values = Array.from(numbers.dataSync());
      const wrong = values.find((value) => !Number.isInteger(value));
      if (wrong === undefined) return { values, shape: numbers.shape };
      throw new NablaError(
        this.name,
        `expected texts or whole numbers, got ${wrong}; use discretization() first`,
      );
    });
  }
}

/**
 * Puts combinations of texts and whole numbers into bins by their hashes: the bins are those of Keras and TensorFlow. It runs in JavaScript, before the
 * model.
 *
 * @example layers.hashedCrossing({ numBins: 5 }).apply([['A', 'B', 'A', 'B', 'A'], [101, 101, 101, 102, 102]]) // [1, 4, 1, 1, 3]
 */
export function hashedCrossing(options: HashedCrossingOptions): HashedCrossing {
  return new HashedCrossing(options);
}
