// Positions: learned and sinusoidal ones, tokens with positions, and the projection back onto the tokens' table.
import { describe, NablaError } from '../errors.ts';
import type { InitializerLike } from '../initializers/initializers.ts';
import { add } from '../ops/arithmetic.ts';
import { sinusoidalPositions } from '../ops/attention.ts';
import { cast, notEqual, toFloats } from '../ops/compare.ts';
import { gather } from '../ops/gather.ts';
import { matMul } from '../ops/linalg.ts';
import { slice } from '../ops/shape.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { Layer, type LayerOptions } from './layer.ts';

function checkSize(where: string, name: string, value: unknown): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected an integer >= 1`);
}

function checkLength(where: string, time: number, most: number): void {
  if (time <= most) return;
  throw new NablaError(where, `the sample is too long, got ${time} positions, expected at most ${most}`);
}

/** Options of {@link positionEmbedding}. */
export interface PositionEmbeddingOptions extends LayerOptions {
  /** The longest sample. */
  sequenceLength: number;
  /** Default `'glorotUniform'`. */
  initializer?: InitializerLike;
}

/** Adds a learned vector to each position: samples `[time, width]`. */
export class PositionEmbedding extends Layer {
  readonly kind = 'positionEmbedding';
  override readonly supportsMasking = true;
  private readonly options: PositionEmbeddingOptions;
  private positions!: Variable<'float32'>;

  constructor(options: PositionEmbeddingOptions) {
    super(options);
    this.options = options;
    checkSize(this.name, 'sequenceLength', options.sequenceLength);
  }

  protected override build(inputShape: Shape): void {
    const { sequenceLength, initializer = 'glorotUniform' } = this.options;
    this.positions = this.addWeight({
      name: 'embeddings',
      shape: [sequenceLength, inputShape[1]!],
      initializer,
    });
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const wanted = this.builtShape?.[1];
    if (inputShape.length !== 2 || (wanted !== undefined && wanted !== inputShape[1])) {
      throw new NablaError(
        this.name,
        `expected samples [time, ${wanted ?? 'width'}], got ${showShape(inputShape)}`,
      );
    }
    checkLength(this.name, inputShape[0]!, this.options.sequenceLength);
    return [...inputShape];
  }

  protected override call(x: Tensor): Tensor {
    return add(toFloats(x), firstRows(this.positions, x.shape[1]!));
  }
}

function firstRows(table: Tensor, count: number): Tensor {
  return table.shape[0] === count ? table : slice(table, [0, 0], [count, -1]);
}

/**
 * Adds a learned vector to each position of a sample.
 *
 * @example layers.positionEmbedding({ sequenceLength: 64 })
 */
export function positionEmbedding(options: PositionEmbeddingOptions): PositionEmbedding {
  return new PositionEmbedding(options);
}

/** Options of {@link sinePositionEncoding}. */
export interface SinePositionEncodingOptions extends LayerOptions {
  /** The longest wavelength is this times 2 pi. Default 10000. */
  maxWavelength?: number;
}

/** Adds sines and cosines of the position: samples `[time, width]`. (Vaswani et al. 2017.) */
export class SinePositionEncoding extends Layer {
  readonly kind = 'sinePositionEncoding';
  override readonly supportsMasking = true;
  private readonly base: number;

  constructor(options: SinePositionEncodingOptions = {}) {
    super(options);
    this.base = options.maxWavelength ?? 10000;
    if (!(this.base > 0)) {
      throw new NablaError(
        this.name,
        `bad maxWavelength, got ${describe(this.base)}, expected a number above 0`,
      );
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    if (inputShape.length !== 2) {
      throw new NablaError(this.name, `expected samples [time, width], got ${showShape(inputShape)}`);
    }
    return [...inputShape];
  }

  protected override call(x: Tensor): Tensor {
    return add(toFloats(x), sinusoidalPositions(x.shape[1]!, x.shape[2]!, this.base));
  }
}

/**
 * Adds sines and cosines of the position.
 *
 * @example layers.sinePositionEncoding()
 */
export function sinePositionEncoding(options: SinePositionEncodingOptions = {}): SinePositionEncoding {
  return new SinePositionEncoding(options);
}

/** Options of {@link tokenAndPositionEmbedding}. */
export interface TokenAndPositionEmbeddingOptions extends LayerOptions {
  /** Number of different tokens. */
  vocabularySize: number;
  /** The longest sample. */
  sequenceLength: number;
  /** Width of the vectors. */
  embeddingDim: number;
  /** Whether token 0 is padding, which the layers that follow leave out. Default false. */
  maskZero?: boolean;
  /** Of both tables. Default `'randomUniform'`. */
  embeddingsInitializer?: InitializerLike;
}

/** A vector for each token plus one for its position: samples `[time]` of token numbers give `[time, embeddingDim]`. */
export class TokenAndPositionEmbedding extends Layer {
  readonly kind = 'tokenAndPositionEmbedding';
  private readonly options: TokenAndPositionEmbeddingOptions;
  private tokens: Variable<'float32'> | undefined;
  private positions!: Variable<'float32'>;

  constructor(options: TokenAndPositionEmbeddingOptions) {
    super(options);
    this.options = options;
    for (const name of ['vocabularySize', 'sequenceLength', 'embeddingDim'] as const) {
      checkSize(this.name, name, options[name]);
    }
  }

  protected override build(): void {
    const { vocabularySize, sequenceLength, embeddingDim } = this.options;
    const { embeddingsInitializer: initializer = 'randomUniform' } = this.options;
    this.tokens = this.addWeight({ name: 'tokens', shape: [vocabularySize, embeddingDim], initializer });
    this.positions = this.addWeight({
      name: 'positions',
      shape: [sequenceLength, embeddingDim],
      initializer,
    });
  }

  /** @internal Number of tokens and width of their vectors. */
  get sizes(): { readonly vocabularySize: number; readonly embeddingDim: number } {
    return this.options;
  }

  /** The table of the tokens' vectors, `[vocabularySize, embeddingDim]`. */
  get table(): Variable<'float32'> {
    if (this.tokens === undefined) {
      throw new NablaError(
        this.name,
        'the table does not exist yet; place this layer before those that use it',
      );
    }
    return this.tokens;
  }

  override computeOutputShape(inputShape: Shape): number[] {
    if (inputShape.length !== 1) {
      throw new NablaError(
        this.name,
        `expected samples [time] of token numbers, got ${showShape(inputShape)}`,
      );
    }
    checkLength(this.name, inputShape[0]!, this.options.sequenceLength);
    return [inputShape[0]!, this.options.embeddingDim];
  }

  protected override computeMask([x]: readonly Tensor[]): Tensor | undefined {
    return this.options.maskZero ? notEqual(x!, 0) : undefined;
  }

  protected override call(x: Tensor): Tensor {
    return add(gather(this.table, cast(x, 'int32')), firstRows(this.positions, x.shape[1]!));
  }
}

/**
 * Turns token numbers into vectors that know their position.
 *
 * @example layers.tokenAndPositionEmbedding({ vocabularySize: 65, sequenceLength: 64, embeddingDim: 128, inputShape: [64] })
 */
export function tokenAndPositionEmbedding(
  options: TokenAndPositionEmbeddingOptions,
): TokenAndPositionEmbedding {
  return new TokenAndPositionEmbedding(options);
}

/** Options of {@link tiedProjection}. */
export interface TiedProjectionOptions extends LayerOptions {
  /** The embedding whose table of tokens is used. */
  embedding: TokenAndPositionEmbedding;
}

/** One number for each token, by the product with the vectors of an embedding, which learn from both. (Press and Wolf 2017.) */
export class TiedProjection extends Layer {
  readonly kind = 'tiedProjection';
  override readonly supportsMasking = true;
  private readonly embedding: TokenAndPositionEmbedding;

  constructor(options: TiedProjectionOptions) {
    super(options);
    this.embedding = options.embedding;
    if (!(this.embedding instanceof TokenAndPositionEmbedding)) {
      throw new NablaError(
        this.name,
        `bad embedding, got ${describe(this.embedding)}, expected a layer made by layers.tokenAndPositionEmbedding()`,
      );
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const { vocabularySize, embeddingDim } = this.embedding.sizes;
    if (inputShape.at(-1) !== embeddingDim) {
      throw new NablaError(
        this.name,
        `expected input with last dimension ${embeddingDim}, that of the embedding, got ${showShape(inputShape)}`,
      );
    }
    return [...inputShape.slice(0, -1), vocabularySize];
  }

  protected override call(x: Tensor): Tensor {
    return matMul(x, this.embedding.table, { transposeB: true });
  }
}

/**
 * Projects back onto the tokens with the table of an embedding.
 *
 * @example layers.tiedProjection({ embedding })
 */
export function tiedProjection(options: TiedProjectionOptions): TiedProjection {
  return new TiedProjection(options);
}
