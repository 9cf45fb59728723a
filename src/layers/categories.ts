// CategoryEncoding and Discretization: whole numbers as one-hot, multi-hot or counted rows, and numbers as the bins they fall in.
import { describe, NablaError } from '../errors.ts';
import { add, mul } from '../ops/arithmetic.ts';
import { cast, greater, greaterEqual, less, logicalAnd, where } from '../ops/compare.ts';
import { fill, range, tensor } from '../ops/creation.ts';
import { oneHot, scatterAdd } from '../ops/gather.ts';
import { broadcastTo, reshape } from '../ops/shape.ts';
import { searchSorted } from '../ops/sort.ts';
import { type Shape, sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type AdaptData, type AdaptStream, afterwards, eachBatch } from './adapt.ts';
import { Layer, type LayerOptions } from './layer.ts';
import { Summary } from './quantiles.ts';

/**
 * How categories come out: `'int'` as they are; `'oneHot'` a row with a one for each; `'multiHot'` one row a sample, with ones where its tokens are;
 * `'count'` how often they are there.
 */
export type CategoryMode = 'int' | 'oneHot' | 'multiHot' | 'count';

const modes: readonly CategoryMode[] = ['int', 'oneHot', 'multiHot', 'count'];

/** Throws unless it is one of the modes. */
export function checkMode<M extends string>(name: string, mode: unknown, known: readonly M[]): M {
  if (known.includes(mode as M)) return mode as M;
  throw new NablaError(
    name,
    `bad outputMode, got ${describe(mode)}, expected ${known.map((k) => `'${k}'`).join(', ')}`,
  );
}

/** The shape of one output sample. */
export function encodedShape(name: string, mode: string, sample: Shape, depth: number): number[] {
  if (mode === 'int') return [...sample];
  if (mode === 'oneHot') return [...(sample.at(-1) === 1 ? sample.slice(0, -1) : sample), depth];
  if (sample.length !== 1) {
    throw new NablaError(
      name,
      `expected samples [tokens] for ${mode} rows, got ${showShape(sample)}; reshape() them`,
    );
  }
  return [depth];
}

/** How often each of `depth` categories is in a row of tokens `[batch, tokens]`, each token counted by its weight. */
export function countTokens(indices: Tensor, depth: number, weights?: Tensor): Tensor {
  const [batch, tokens] = indices.shape as [number, number];
  const row = mul(reshape(cast(range(0, batch), 'int32'), [batch, 1]), depth);
  const inside = logicalAnd(greaterEqual(indices, 0), less(indices, depth));
  // Every kernel refuses -1: a token out of range must not count in the next row.
  const flat = where(inside, add(row, indices), -1);
  const each = weights === undefined ? fill([batch, tokens], 1) : cast(weights, 'float32');
  return reshape(scatterAdd(each, reshape(flat, [batch * tokens]), batch * depth, 1), [batch, depth]);
}

/** Indices `[batch, ...]`, int32, in a mode's form; `weights` of their shape say how much each counts. */
export function encodeTokens(mode: string, indices: Tensor, depth: number, weights?: Tensor): Tensor {
  if (mode === 'int') return indices;
  if (mode === 'oneHot') {
    const lead = indices.rank > 1 && indices.shape.at(-1) === 1 ? indices.shape.slice(0, -1) : indices.shape;
    const rows = oneHot(reshape(indices, lead), depth);
    return weights === undefined ? rows : mul(rows, reshape(weights, [...lead, 1]));
  }
  const counts = countTokens(indices, depth, weights);
  return mode === 'count' ? counts : cast(greater(counts, 0), 'float32');
}

/** Options of {@link categoryEncoding}. */
export interface CategoryEncodingOptions extends LayerOptions {
  /** Number of categories: tokens are 0 to `numTokens - 1`. */
  numTokens: number;
  /** Default `'multiHot'`. */
  outputMode?: Exclude<CategoryMode, 'int'>;
}

/** Whole numbers as rows of zeros and ones, or of counts. */
export class CategoryEncoding extends Layer {
  readonly kind = 'categoryEncoding';
  private readonly numTokens: number;
  private readonly mode: Exclude<CategoryMode, 'int'>;

  constructor(options: CategoryEncodingOptions) {
    super(options);
    this.numTokens = options.numTokens;
    this.mode = checkMode(this.name, options.outputMode ?? 'multiHot', ['oneHot', 'multiHot', 'count']);
    if (!Number.isInteger(this.numTokens) || this.numTokens < 1) {
      throw new NablaError(
        this.name,
        `bad numTokens, got ${describe(this.numTokens)}, expected an integer >= 1`,
      );
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    return encodedShape(this.name, this.mode, inputShape, this.numTokens);
  }

  /** A second input, in mode `'count'`, says how much each token counts. */
  protected override shapeOf(inputShapes: readonly Shape[]): number[] {
    const [tokens, weights = tokens, ...more] = inputShapes;
    const fits = tokens !== undefined && more.length === 0 && sameShape(tokens, weights!);
    if (!fits || (inputShapes.length === 2 && this.mode !== 'count')) {
      throw new NablaError(
        this.name,
        `expected tokens, and in mode 'count' perhaps weights of their shape, got ${inputShapes.map(showShape).join(', ') || 'none'}`,
      );
    }
    return this.computeOutputShape(tokens);
  }

  protected override call(x: Tensor): Tensor {
    return this.callAll([x]);
  }

  protected override callAll([tokens, weights]: readonly Tensor[]): Tensor {
    return encodeTokens(this.mode, cast(tokens!, 'int32'), this.numTokens, weights);
  }
}

/**
 * Encodes categories that are whole numbers from 0 on: samples `[tokens]` give `[numTokens]`, with `'oneHot'` every token gives a row. A token
 * that is out of range is an error. In mode `'count'` a second input may say how much each token counts.
 *
 * @example layers.categoryEncoding({ numTokens: 4, outputMode: 'multiHot' }).apply(tensor([[0, 2]])) // [[1, 0, 1, 0]]
 */
export function categoryEncoding(options: CategoryEncodingOptions): CategoryEncoding {
  return new CategoryEncoding(options);
}

/** Options of {@link discretization}. */
export interface DiscretizationOptions extends LayerOptions {
  /** Ascending limits of the bins: a number `x` is in bin i if `limit[i - 1] <= x < limit[i]`. In place of `numBins`. */
  binBoundaries?: readonly number[];
  /** Number of bins that `adapt` makes, of equally many numbers each. */
  numBins?: number;
  /** How exactly `adapt` finds the limits, as a share of the numbers. Default 0.01. */
  epsilon?: number;
  /** Default `'int'`. */
  outputMode?: CategoryMode;
}

/** Numbers as the bins that they fall in. */
export class Discretization extends Layer {
  readonly kind = 'discretization';
  // What a layer like this one is made from: adapt() puts the limits in the place of their number.
  private readonly own: DiscretizationOptions;
  private readonly mode: CategoryMode;
  private readonly numBins: number | undefined;

  constructor(options: DiscretizationOptions) {
    const own = { ...options };
    super(own);
    this.own = own;
    this.numBins = own.numBins;
    this.mode = checkMode(this.name, options.outputMode ?? 'int', modes);
    const { binBoundaries, numBins, epsilon = 0.01 } = options;
    if ((binBoundaries === undefined) === (numBins === undefined)) {
      throw new NablaError(
        this.name,
        `got ${numBins === undefined ? 'neither' : 'both'} binBoundaries and numBins, expected one of them`,
      );
    }
    if (numBins !== undefined && (!Number.isInteger(numBins) || numBins < 1)) {
      throw new NablaError(this.name, `bad numBins, got ${describe(numBins)}, expected an integer >= 1`);
    }
    const limits: readonly unknown[] | undefined = binBoundaries;
    const ascending = (value: unknown, i: number) =>
      typeof value === 'number' && (i === 0 || value >= (limits![i - 1] as number));
    if (limits !== undefined && !(Array.isArray(limits) && limits.length > 0 && limits.every(ascending))) {
      throw new NablaError(
        this.name,
        `bad binBoundaries, got ${describe(limits)}, expected ascending numbers, at least one`,
      );
    }
    if (!(typeof epsilon === 'number' && epsilon > 0 && epsilon <= 1)) {
      throw new NablaError(this.name, `bad epsilon, got ${describe(epsilon)}, expected a number in (0, 1]`);
    }
  }

  /** The limits between the bins, given or learned; undefined before `adapt`. */
  get binBoundaries(): readonly number[] | undefined {
    return this.own.binBoundaries;
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const depth = this.binBoundaries === undefined ? this.numBins! : this.binBoundaries.length + 1;
    return encodedShape(this.name, this.mode, inputShape, depth);
  }

  protected override call(x: Tensor): Tensor {
    const limits = this.binBoundaries;
    if (limits === undefined) {
      throw new NablaError(
        this.name,
        'the limits of its bins are not known; call adapt() or give binBoundaries',
      );
    }
    const bins =
      limits.length === 0
        ? broadcastTo(fill([], 0, 'int32'), x.shape)
        : searchSorted(tensor(limits), cast(x, 'float32'), 'right');
    return encodeTokens(this.mode, bins, limits.length + 1);
  }

  /**
   * Finds limits between which about equally many numbers of `data` lie. Data over time, such as a batched data set, give a promise. Call it before
   * the layer is used in a model that is trained or asked.
   */
  adapt(data: AdaptData): void;
  adapt(data: AdaptStream): Promise<void>;
  adapt(data: AdaptData | AdaptStream): void | Promise<void> {
    const { numBins } = this;
    if (numBins === undefined) {
      throw new NablaError(this.name, 'binBoundaries were given; give numBins instead to adapt() the layer');
    }
    const summary = new Summary(this.own.epsilon ?? 0.01);
    const seen = eachBatch(this.name, data, (batch) => summary.add(cast(batch, 'float32').dataSync()));
    return afterwards(seen, () => {
      if (summary.empty) throw new NablaError(this.name, 'nothing to learn from, got no numbers');
      this.own.binBoundaries = summary.boundaries(numBins);
      delete this.own.numBins;
    });
  }
}

/**
 * Puts numbers in bins, whose limits are given or learned by `adapt`.
 *
 * @example layers.discretization({ binBoundaries: [0, 1, 2] }).apply(tensor([[-1.5, 1, 3.4, 0.5]])) // [[0, 2, 3, 1]]
 */
export function discretization(options: DiscretizationOptions): Discretization {
  return new Discretization(options);
}
