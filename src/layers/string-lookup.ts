// StringLookup and Hashing: texts as numbers, by a vocabulary or by their hashes.
import { describe, NablaError } from '../errors.ts';
import { type TensorData, tensor } from '../ops/creation.ts';
import { sizeOf } from '../shape.ts';
import { scope, Tensor } from '../tensor.ts';
import { afterwards } from './adapt.ts';
import { type CategoryMode, checkMode } from './categories.ts';
import { bucketOf } from './hashes.ts';
import {
  eachDocument,
  encodeIndices,
  flattenTexts,
  TextLayer,
  type TextLayerOptions,
  type Texts,
} from './texts.ts';
import { Vocabulary, type VocabularyOptions } from './vocabulary.ts';

/** What layers of text learn from: a text, texts in arrays (an array within is one document), or batches of them over time. */
export type TextData = Texts;
/** Batches of texts over time, such as a batched data set of texts. */
export type TextStream = AsyncIterable<Texts>;

/** Options of {@link stringLookup}. */
export interface StringLookupOptions extends VocabularyOptions<string>, TextLayerOptions {
  /** What inverted lookups give for an index that has no token. Default `'[UNK]'`. */
  oovToken?: string;
}

/** The bucket among `numOovIndices` that an unknown token falls in. */
export function unknownIndex(where: string, token: string, vocabulary: Vocabulary<string>): number {
  const { numOovIndices, oovStart } = vocabulary;
  if (numOovIndices === 0) {
    throw new NablaError(
      where,
      `a token is not in the vocabulary, got ${describe(token)}; add it, or set numOovIndices to 1`,
    );
  }
  return oovStart + (numOovIndices === 1 ? 0 : bucketOf(token, numOovIndices));
}

/** The base of lookups of text: a vocabulary that is given or learned. */
abstract class StringVocabulary extends TextLayer {
  /** @internal */
  protected readonly vocabulary: Vocabulary<string>;

  constructor(kind: string, own: StringLookupOptions) {
    super(own);
    this.vocabulary = new Vocabulary(() => own.name ?? kind, own, '[UNK]');
  }

  /** Number of indices, those for masks and unknown tokens counted. */
  vocabularySize(): number {
    return this.vocabulary.size;
  }

  /** The tokens by index; without the special ones if `includeSpecialTokens` is false. */
  getVocabulary(includeSpecialTokens = true): string[] {
    return this.vocabulary.list(includeSpecialTokens);
  }

  /** Takes these tokens in place of the former. In mode `'tfIdf'` with a weight for each. */
  setVocabulary(vocabulary: readonly string[], idfWeights?: readonly number[]): void {
    this.vocabulary.set(vocabulary, idfWeights);
  }

  /**
   * Learns the vocabulary: the tokens by how often they occur, of equally frequent ones the last in order first. Texts over time give a promise.
   * What was learned before is forgotten.
   */
  adapt(data: TextData): void;
  adapt(data: TextStream): Promise<void>;
  adapt(data: TextData | TextStream): void | Promise<void> {
    const learner = this.vocabulary.learner();
    return afterwards(eachDocument(this.name, data, learner.add), learner.finish);
  }
}

/** Texts as indices into a vocabulary. */
export class StringLookup extends StringVocabulary {
  readonly kind = 'stringLookup';

  constructor(options: StringLookupOptions) {
    super('stringLookup', { ...options });
  }

  /** Looks texts up: int32 of their arrays' shape, or rows of float32, as the mode says. */
  apply(texts: Texts): Tensor {
    const { vocabulary, name } = this;
    vocabulary.known();
    const { tokens, shape } = flattenTexts(name, texts);
    // In rows a token that stands for nothing is left out.
    const masked = vocabulary.mode === 'int' ? 0 : -1;
    const indices = Int32Array.from(tokens, (token) =>
      token === vocabulary.maskToken
        ? masked
        : (vocabulary.indexOf(token) ?? unknownIndex(name, token, vocabulary)),
    );
    const weights = vocabulary.mode === 'tfIdf' ? vocabulary.weights() : undefined;
    return encodeIndices(name, vocabulary.mode, indices, shape, vocabulary.depth, weights);
  }
}

/** Indices as the texts of a vocabulary. */
export class InverseStringLookup extends StringVocabulary {
  readonly kind = 'stringLookup';

  constructor(options: StringLookupOptions) {
    super('stringLookup', { ...options });
  }

  /** The texts of indices, in arrays as they are; `oovToken` for those that have none. */
  apply(indices: Tensor | TensorData): Texts {
    this.vocabulary.known();
    const all = this.vocabulary.list();
    return scope(() => {
      const whole = indices instanceof Tensor ? indices : tensor(indices, undefined, 'int32');
      const data = whole.dataSync();
      const nest = (depth: number, offset: number): Texts => {
        if (depth === whole.rank) return all[data[offset]!] ?? this.vocabulary.oovToken;
        const stride = sizeOf(whole.shape.slice(depth + 1));
        return Array.from({ length: whole.shape[depth]! }, (_, i) => nest(depth + 1, offset + i * stride));
      };
      return nest(0, 0);
    });
  }
}

/**
 * Turns texts into indices of a vocabulary that is given or learned by `adapt`: first the mask token's, 0, if there is one, then those of unknown
 * tokens, then the tokens, the most frequent first. With `invert` it turns indices into texts. It runs in JavaScript, before the model.
 *
 * @example
 * const lookup = layers.stringLookup({ vocabulary: ['a', 'b', 'c'] });
 * lookup.apply([['a', 'c'], ['d', 'b']]); // [[1, 3], [0, 2]]
 * layers.stringLookup({ vocabulary: ['a', 'b', 'c'], invert: true }).apply([1, 3]); // ['a', 'c']
 */
export function stringLookup(options: StringLookupOptions & { invert: true }): InverseStringLookup;
export function stringLookup(options?: StringLookupOptions & { invert?: false }): StringLookup;
export function stringLookup(options: StringLookupOptions = {}): StringLookup | InverseStringLookup {
  return options.invert ? new InverseStringLookup(options) : new StringLookup(options);
}

/** Options of {@link hashing}. */
export interface HashingOptions extends TextLayerOptions {
  /** Number of bins, that of the mask counted. */
  numBins: number;
  /** The text or number that stands for nothing, in bin 0. Default: none. */
  maskValue?: string | number | null;
  /** One or two integers: SipHash under this key in place of FarmHash. Default: none. */
  salt?: number | readonly [number, number] | null;
  /** Default `'int'`. */
  outputMode?: CategoryMode;
}

/** Texts or whole numbers as one of a few bins each. */
export class Hashing extends TextLayer {
  readonly kind = 'hashing';
  private readonly options: HashingOptions;
  private readonly mode: CategoryMode;
  private readonly salt: readonly [number, number] | undefined;

  constructor(options: HashingOptions) {
    super(options);
    this.options = options;
    this.mode = checkMode(this.name, options.outputMode ?? 'int', ['int', 'oneHot', 'multiHot', 'count']);
    const { numBins } = options;
    if (!Number.isInteger(numBins) || numBins < 1) {
      throw new NablaError(this.name, `bad numBins, got ${describe(numBins)}, expected an integer >= 1`);
    }
    const salt = options.salt ?? undefined;
    const pair = typeof salt === 'number' ? [salt, salt] : salt;
    if (pair !== undefined && !(pair.length === 2 && pair.every((n) => Number.isSafeInteger(n)))) {
      throw new NablaError(this.name, `bad salt, got ${describe(salt)}, expected one or two integers`);
    }
    this.salt = pair as readonly [number, number] | undefined;
  }

  /** The bins of texts, or of whole numbers in arrays or a tensor, which are hashed as their digits. */
  apply(values: Texts | TensorData | Tensor): Tensor {
    const { name } = this;
    const { numBins, maskValue } = this.options;
    const masks = maskValue !== undefined && maskValue !== null && numBins > 1;
    const { tokens, shape } = this.tokensOf(values);
    const bins = Int32Array.from(tokens, (token) => {
      if (!masks) return bucketOf(token, numBins, this.salt);
      return token === String(maskValue) ? 0 : 1 + bucketOf(token, numBins - 1, this.salt);
    });
    return encodeIndices(name, this.mode, bins, shape, numBins);
  }

  private tokensOf(values: Texts | TensorData | Tensor): { tokens: string[]; shape: readonly number[] } {
    let first: unknown = values;
    while (Array.isArray(first)) first = first[0];
    if (typeof first === 'string') return flattenTexts(this.name, values);
    return scope(() => {
      const numbers = values instanceof Tensor ? values : tensor(values as TensorData);
      return { tokens: Array.from(numbers.dataSync(), (n) => String(Math.trunc(n))), shape: numbers.shape };
    });
  }
}

/**
 * Puts texts or whole numbers into bins by their hashes, with no vocabulary: the bins are those of Keras and TensorFlow.
 *
 * @example layers.hashing({ numBins: 3 }).apply([['A'], ['B'], ['C'], ['D'], ['E']]) // [[1], [0], [1], [1], [2]]
 */
export function hashing(options: HashingOptions): Hashing {
  return new Hashing(options);
}
