// TextVectorization: texts as sequences of word indices, or as rows that count words.
import { describe, NablaError } from '../errors.ts';
import { tensor } from '../ops/creation.ts';
import type { Tensor } from '../tensor.ts';
import { afterwards } from './adapt.ts';
import { type TextData, type TextStream, unknownIndex } from './string-lookup.ts';
import {
  countRows,
  eachDocument,
  flattenTexts,
  TextLayer,
  type TextLayerOptions,
  type Texts,
} from './texts.ts';
import { type LookupMode, Vocabulary, type VocabularyOptions } from './vocabulary.ts';

const standards = {
  lower: (text: string) => text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()),
  stripPunctuation: (text: string) => text.replaceAll(/[!-/:-@[-`{-~]/g, ''),
  lowerAndStripPunctuation: (text: string) => standards.stripPunctuation(standards.lower(text)),
};

const splits = {
  whitespace: (text: string) => text.split(/[ \t\n\v\f\r]+/).filter((word) => word !== ''),
  character: (text: string) => [...text],
};

/** Options of {@link textVectorization}. */
export interface TextVectorizationOptions
  extends TextLayerOptions,
    Pick<VocabularyOptions<string>, 'maxTokens' | 'vocabulary' | 'idfWeights' | 'padToMaxTokens'> {
  /**
   * What is done to a text first: A to Z made small, ASCII punctuation taken out, both (`'lowerAndStripPunctuation'`, the default), a function of
   * yours, or `null`: nothing.
   */
  standardize?: keyof typeof standards | ((text: string) => string) | null;
  /** How a text is cut into tokens: at `'whitespace'` (default), into every `'character'`, by a function of yours, or `null`: not at all. */
  split?: keyof typeof splits | ((text: string) => string[]) | null;
  /** Runs of so many tokens count as tokens too: 2 is single tokens and pairs, `[2]` pairs only. Default: single tokens. */
  ngrams?: number | readonly number[] | null;
  /** `'int'` (default): the index of each token; the others make one row a text. */
  outputMode?: Exclude<LookupMode, 'oneHot'>;
  /** Tokens a text in mode `'int'`: longer ones are cut off, shorter ones filled up with 0. Default: as many as the longest has. */
  outputSequenceLength?: number | null;
}

function choose<F>(name: string, label: string, value: unknown, known: Readonly<Record<string, F>>): F {
  if (typeof value === 'function') return value as F;
  if (typeof value === 'string' && Object.hasOwn(known, value)) return known[value]!;
  const names = Object.keys(known).map((key) => `'${key}'`);
  throw new NablaError(
    name,
    `bad ${label}, got ${describe(value)}, expected ${names.join(', ')}, a function or null`,
  );
}

/** Texts as sequences of indices or rows of counts. */
export class TextVectorization extends TextLayer {
  readonly kind = 'textVectorization';
  private readonly vocabulary: Vocabulary<string>;
  private readonly standardize: (text: string) => string;
  private readonly split: ((text: string) => string[]) | null;
  private readonly widths: readonly number[];
  private readonly length: number | undefined;

  constructor(options: TextVectorizationOptions = {}) {
    const own = { ...options };
    super(own);
    const name = own.name ?? 'textVectorization';
    const { standardize = 'lowerAndStripPunctuation', split = 'whitespace', ngrams, outputMode } = options;
    this.standardize =
      standardize === null ? (text) => text : choose(name, 'standardize', standardize, standards);
    this.split = split === null ? null : choose(name, 'split', split, splits);
    const wanted = ngrams ?? 1;
    this.widths = typeof wanted === 'number' ? Array.from({ length: wanted }, (_, i) => i + 1) : wanted;
    const whole = typeof wanted !== 'number' || Number.isInteger(wanted);
    if (!whole || this.widths.length === 0 || !this.widths.every((n) => Number.isInteger(n) && n >= 1)) {
      throw new NablaError(name, `bad ngrams, got ${describe(ngrams)}, expected integers >= 1, or null`);
    }
    this.length = options.outputSequenceLength ?? undefined;
    if (this.length !== undefined && !(Number.isInteger(this.length) && this.length >= 1)) {
      throw new NablaError(
        name,
        `bad outputSequenceLength, got ${describe(this.length)}, expected an integer >= 1`,
      );
    }
    if (this.length !== undefined && (outputMode ?? 'int') !== 'int') {
      throw new NablaError(
        name,
        `outputSequenceLength is for outputMode 'int', got outputMode '${outputMode}'; leave it out`,
      );
    }
    if ((outputMode as string) === 'oneHot') {
      throw new NablaError(
        name,
        "bad outputMode, got 'oneHot', expected 'int', 'multiHot', 'count', 'tfIdf'",
      );
    }
    this.vocabulary = new Vocabulary(() => name, Object.assign(own, { maskToken: '' }), '[UNK]');
  }

  /** Number of indices, those for padding and unknown tokens counted. */
  vocabularySize(): number {
    return this.vocabulary.size;
  }

  /** The tokens by index: `''` and `'[UNK]'` in front, unless `includeSpecialTokens` is false. */
  getVocabulary(includeSpecialTokens = true): string[] {
    return this.vocabulary.list(includeSpecialTokens);
  }

  /** Takes these tokens in place of the former. In mode `'tfIdf'` with a weight for each. */
  setVocabulary(vocabulary: readonly string[], idfWeights?: readonly number[]): void {
    this.vocabulary.set(vocabulary, idfWeights);
  }

  /** The tokens of a text, or of a list of texts that are tokens already, as they are looked up. */
  private tokensOf(texts: readonly string[]): string[] {
    const tokens = texts.flatMap((text) => this.cut(this.standardize(text)));
    if (this.widths.length === 1 && this.widths[0] === 1) return tokens;
    return this.widths.flatMap((width) =>
      Array.from({ length: Math.max(0, tokens.length - width + 1) }, (_, i) =>
        tokens.slice(i, i + width).join(' '),
      ),
    );
  }

  private cut(text: string): string[] {
    if (this.split === null) return [text];
    const tokens = this.split(text);
    if (Array.isArray(tokens) && tokens.every((token) => typeof token === 'string')) return tokens;
    throw new NablaError(this.name, `split gave ${describe(tokens)}, expected an array of texts`);
  }

  /**
   * Learns the vocabulary from texts: their tokens by how often they occur, of equally frequent ones the last in order first. Texts over time give
   * a promise. What was learned before is forgotten.
   */
  adapt(data: TextData): void;
  adapt(data: TextStream): Promise<void>;
  adapt(data: TextData | TextStream): void | Promise<void> {
    const learner = this.vocabulary.learner();
    const seen = eachDocument<string>(this.name, data, (texts) => {
      learner.add(this.tokensOf(texts));
    });
    return afterwards(seen, learner.finish);
  }

  /**
   * Turns texts `[batch]` or `[batch, 1]` into int32 `[batch, tokens]`, or float32 `[batch, tokens of the vocabulary]`. One text gives its row. With
   * `split: null` texts are tokens: `[batch, tokens]` keeps its shape, and so does `[batch]` in mode `'int'`.
   */
  apply(texts: Texts): Tensor {
    const { vocabulary, name, split } = this;
    vocabulary.known();
    const { tokens: flat, shape } = flattenTexts(name, texts);
    if (shape.length > 2 || (split !== null && shape.length === 2 && shape[1] !== 1)) {
      throw new NablaError(
        name,
        `expected texts [batch] or [batch, 1], got ${describe(shape)}; flatten them`,
      );
    }
    const counted = vocabulary.mode !== 'int';
    const indexOf = (token: string) => {
      if (token === '') return counted ? -1 : 0;
      return vocabulary.indexOf(token) ?? unknownIndex(name, token, vocabulary);
    };
    const width = shape[1] ?? 1;
    const lists = Array.from({ length: flat.length / Math.max(1, width) }, (_, i) =>
      this.tokensOf(flat.slice(i * width, (i + 1) * width)).map(indexOf),
    );
    const batch = shape.length === 0 ? [] : [lists.length];
    if (counted) {
      const weights = vocabulary.mode === 'tfIdf' ? vocabulary.weights() : undefined;
      return tensor(countRows(vocabulary.mode, lists, vocabulary.depth, weights), [
        ...batch,
        vocabulary.depth,
      ]);
    }
    const length = this.length ?? lists.reduce((most, list) => Math.max(most, list.length), 0);
    const indices = new Int32Array(lists.length * length);
    lists.forEach((list, row) => {
      indices.set(list.slice(0, length), row * length);
    });
    const single = split === null && shape.length < 2 && this.length === undefined && length === 1;
    return tensor(indices, single ? batch : [...batch, length], 'int32');
  }
}

/**
 * Turns texts into numbers: standardised, cut into tokens, perhaps joined to n-grams, and looked up in a vocabulary that is given or learned by
 * `adapt`. Index 0 is padding, 1 unknown tokens. It runs in JavaScript, before the model.
 *
 * @example
 * const vectorize = layers.textVectorization({ outputSequenceLength: 4 });
 * vectorize.adapt(['foo bar', 'bar baz', 'baz bada boom']);
 * vectorize.apply(['foo qux bar', 'qux baz']); // [[4, 1, 3, 0], [1, 2, 0, 0]]
 */
export function textVectorization(options: TextVectorizationOptions = {}): TextVectorization {
  return new TextVectorization(options);
}
