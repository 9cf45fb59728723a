// IntegerLookup: whole numbers as indices of a vocabulary, inside of models too.
import { add, maximum, minimum, mod, mul } from '../ops/arithmetic.ts';
import { cast, equal, less, lessEqual, logicalAnd, logicalNot, where } from '../ops/compare.ts';
import { fill, range, tensor } from '../ops/creation.ts';
import { gather } from '../ops/gather.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type AdaptData, type AdaptStream, afterwards } from './adapt.ts';
import { encodedShape, encodeTokens } from './categories.ts';
import { checkFlags } from './flags.ts';
import { Layer, type LayerOptions } from './layer.ts';
import { eachRow } from './texts.ts';
import { Vocabulary, type VocabularyOptions } from './vocabulary.ts';

/** Options of {@link integerLookup}. */
export interface IntegerLookupOptions extends VocabularyOptions<number>, Omit<LayerOptions, 'invert'> {
  /** What inverted lookups give for an index that has no token. Default -1. */
  oovToken?: number;
}

/** Whole numbers as indices of a vocabulary, or back. */
export class IntegerLookup extends Layer {
  readonly kind = 'integerLookup';
  private readonly vocabulary: Vocabulary<number>;
  private readonly inverted: boolean;

  constructor(options: IntegerLookupOptions = {}) {
    const own = { ...options };
    super(own);
    checkFlags(this.name, options, ['invert']);
    this.inverted = options.invert ?? false;
    this.vocabulary = new Vocabulary(() => this.name, own, -1);
  }

  /** Number of indices, those for masks and unknown tokens counted. */
  vocabularySize(): number {
    return this.vocabulary.size;
  }

  /** The tokens by index; without the special ones if `includeSpecialTokens` is false. */
  getVocabulary(includeSpecialTokens = true): number[] {
    return this.vocabulary.list(includeSpecialTokens);
  }

  /** Takes these tokens in place of the former. In mode `'tfIdf'` with a weight for each. */
  setVocabulary(vocabulary: readonly number[], idfWeights?: readonly number[]): void {
    this.vocabulary.set(vocabulary, idfWeights);
  }

  /**
   * Learns the vocabulary from tensors or arrays of whole numbers, each row a document; over time it gives a promise. Call it before the layer is
   * used in a model that is trained or asked.
   */
  adapt(data: AdaptData): void;
  adapt(data: AdaptStream): Promise<void>;
  adapt(data: AdaptData | AdaptStream): void | Promise<void> {
    const learner = this.vocabulary.learner();
    return afterwards(eachRow(this.name, data, learner.add), learner.finish);
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const { mode } = this.vocabulary;
    if (mode === 'int') return [...inputShape];
    return encodedShape(this.name, mode, inputShape, this.vocabulary.depth);
  }

  protected override call(x: Tensor): Tensor {
    this.vocabulary.known();
    const tokens = cast(x, 'int32');
    return this.inverted ? this.tokensOf(tokens) : this.lookUp(tokens);
  }

  /** Indices that have no token give the token of unknown ones. */
  private tokensOf(indices: Tensor): Tensor {
    const all = this.vocabulary.list();
    const inside = logicalAnd(lessEqual(0, indices), less(indices, all.length));
    const kept = minimum(maximum(indices, 0), all.length - 1);
    return where(inside, gather(tensor(all, undefined, 'int32'), kept), this.vocabulary.oovToken);
  }

  private lookUp(tokens: Tensor): Tensor {
    const { mode, maskToken, depth } = this.vocabulary;
    const known = this.search(tokens);
    const indices = this.withUnknown(known, tokens);
    const masked = maskToken === null ? undefined : equal(tokens, maskToken);
    const places = masked === undefined ? indices : where(masked, 0, indices);
    // No kernel takes -1 for an index: reading any table ends the program with an error where a token is not known.
    if (mode === 'int') return this.vocabulary.numOovIndices > 0 ? places : gather(range(0, depth), places);
    const counts = masked && cast(logicalNot(masked), 'float32');
    if (mode !== 'tfIdf') return encodeTokens(mode, places, depth, counts);
    return mul(encodeTokens('count', places, depth, counts), tensor(this.vocabulary.weights()));
  }

  /** Indices with those of unknown tokens in the place of -1, if there are any for them. */
  private withUnknown(known: Tensor, tokens: Tensor): Tensor {
    const { numOovIndices, oovStart } = this.vocabulary;
    if (numOovIndices === 0) return known;
    const bucket = numOovIndices === 1 ? oovStart : add(mod(tokens, numOovIndices), oovStart);
    return where(lessEqual(0, known), known, bucket);
  }

  /** The index of each token by bisection of the sorted vocabulary; -1 where it is not in there. */
  private search(tokens: Tensor): Tensor {
    const sorted = this.vocabulary.known().toSorted((a, b) => a - b);
    const values = tensor(sorted, undefined, 'int32');
    const order = sorted.map((token) => this.vocabulary.indexOf(token)!);
    const last = sorted.length - 1;
    let place: Tensor = fill(tokens.shape, 0, 'int32');
    for (let step = 2 ** Math.floor(Math.log2(Math.max(1, last))); step >= 1; step /= 2) {
      const next = add(place, step);
      const fits = lessEqual(gather(values, minimum(next, last)), tokens);
      place = where(logicalAnd(lessEqual(next, last), fits), next, place);
    }
    const found = equal(gather(values, place), tokens);
    return where(found, gather(tensor(order, undefined, 'int32'), place), -1);
  }
}

/**
 * Turns whole numbers such as ids into indices of a vocabulary that is given or learned by `adapt`: first the mask token's, 0, if there is one, then
 * those of unknown numbers, then the numbers, the most frequent first. With `invert` it turns indices back. With `numOovIndices: 0` an unknown number
 * is an error.
 *
 * @example
 * const lookup = layers.integerLookup({ vocabulary: [12, 36, 1138, 42] });
 * lookup.apply(tensor([[12, 1138, 42], [42, 1000, 36]])); // [[1, 3, 4], [4, 0, 2]]
 */
export function integerLookup(options: IntegerLookupOptions = {}): IntegerLookup {
  return new IntegerLookup(options);
}
