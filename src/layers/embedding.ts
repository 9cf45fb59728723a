// Embedding: a learned row of numbers for each index.
import type { ConstraintLike } from '../constraints.ts';
import { describe, NablaError } from '../errors.ts';
import type { InitializerLike } from '../initializers/initializers.ts';
import { cast, notEqual } from '../ops/compare.ts';
import { gather } from '../ops/gather.ts';
import type { RegularizerLike } from '../regularizers.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** Options of {@link embedding}. */
export interface EmbeddingOptions extends LayerOptions {
  /** Number of different indices: they run from 0 to `inputDim - 1`. At most 2 ** 24. */
  inputDim: number;
  /** Numbers a row. */
  outputDim: number;
  /** What the table adds to the loss. Default: nothing. */
  embeddingsRegularizer?: RegularizerLike;
  /** What the table is brought back to after each step. Default: nothing. */
  embeddingsConstraint?: ConstraintLike;
  /** Default `'randomUniform'`, between -0.05 and 0.05. */
  embeddingsInitializer?: InitializerLike;
  /**
   * Whether index 0 is padding, which the layers that follow leave out: recurrent layers carry their state over it, attention does not look at it, and the
   * loss and metrics of a sequence do not count it. Default false.
   */
  maskZero?: boolean;
}

// Batches hold their indices as float32, which is exact up to here.
const mostIndices = 2 ** 24;

/** The row of a table for each index: `[...]` gives `[..., outputDim]`. */
export class Embedding extends Layer {
  readonly kind = 'embedding';
  private readonly options: EmbeddingOptions;
  private table!: Variable<'float32'>;

  constructor(options: EmbeddingOptions) {
    super(options);
    this.options = options;
    for (const name of ['inputDim', 'outputDim'] as const) {
      const value = options[name];
      if (!Number.isInteger(value) || value < 1 || value > mostIndices) {
        throw new NablaError(
          this.name,
          `bad ${name}, got ${describe(value)}, expected an integer from 1 to ${mostIndices}`,
        );
      }
    }
  }

  protected override build(): void {
    const { inputDim, outputDim, embeddingsInitializer = 'randomUniform' } = this.options;
    this.table = this.addWeight({
      name: 'embeddings',
      shape: [inputDim, outputDim],
      initializer: embeddingsInitializer,
      regularizer: this.options.embeddingsRegularizer,
      constraint: this.options.embeddingsConstraint,
    });
  }

  override computeOutputShape(inputShape: Shape): number[] {
    return [...inputShape, this.options.outputDim];
  }

  protected override computeMask([x]: readonly Tensor[]): Tensor | undefined {
    return this.options.maskZero ? notEqual(x!, 0) : undefined;
  }

  protected override call(x: Tensor): Tensor {
    return gather(this.table, cast(x, 'int32'));
  }
}

/**
 * Turns indices such as words or characters into learned rows of numbers.
 *
 * @example layers.embedding({ inputDim: 27, outputDim: 16, maskZero: true, inputShape: [10] })
 */
export function embedding(options: EmbeddingOptions): Embedding {
  return new Embedding(options);
}
