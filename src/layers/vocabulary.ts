// The vocabulary of lookup layers: tokens with their indices, special tokens before them, and how it is learned.
import { describe, NablaError } from '../errors.ts';
import { checkMode } from './categories.ts';

/** How looked-up tokens come out: as categories do, or `'tfIdf'`: counts times how rare the token is among documents. */
export type LookupMode = 'int' | 'oneHot' | 'multiHot' | 'count' | 'tfIdf';

const modes: readonly LookupMode[] = ['int', 'oneHot', 'multiHot', 'count', 'tfIdf'];

/** Options of all layers with a vocabulary. */
export interface VocabularyOptions<T extends string | number> {
  /** The most tokens, those for masks and unknown ones counted. Default: no limit. */
  maxTokens?: number;
  /** Indices for tokens that are not in the vocabulary; with 0 such a token is an error. Default 1. */
  numOovIndices?: number;
  /** The token that stands for nothing: index 0, or left out where rows are made. Default: none. */
  maskToken?: T | null;
  /** What a token that is not known is turned into, inverted. */
  oovToken?: T;
  /** The tokens, the most frequent first; with or without the special ones in front. Default: `adapt` learns them. */
  vocabulary?: readonly T[];
  /** How rare each token is, for mode `'tfIdf'`. */
  idfWeights?: readonly number[];
  /** From indices to tokens. Default false. */
  invert?: boolean;
  /** Default `'int'`. */
  outputMode?: LookupMode;
  /** Whether rows have `maxTokens` columns however many tokens there are. Default false. */
  padToMaxTokens?: boolean;
}

/** Texts in the order of their UTF-8 bytes, which is that of their code points; numbers by size. */
function compare<T extends string | number>(a: T, b: T): number {
  if (typeof a === 'number') return a - Number(b);
  const [x, y] = [[...(a as string)], [...(b as string)]];
  const at = x.findIndex((letter, i) => letter !== y[i]);
  if (at < 0) return x.length - y.length;
  return at >= y.length ? 1 : x[at]!.codePointAt(0)! - y[at]!.codePointAt(0)!;
}

/** Tokens and their indices. */
export class Vocabulary<T extends string | number> {
  readonly mode: LookupMode;
  readonly maskToken: T | null;
  readonly oovToken: T;
  readonly numOovIndices: number;
  /** What a layer like this one is made from: the tokens join it, given or learned. */
  private readonly own: VocabularyOptions<T>;
  private readonly where: () => string;
  private readonly given: boolean;
  private tokens: readonly T[] | undefined;
  private idf: readonly number[] | undefined;
  private indices = new Map<T, number>();

  constructor(where: () => string, own: VocabularyOptions<T>, oovToken: T) {
    this.where = where;
    this.own = own;
    this.mode = checkMode(where(), own.outputMode ?? 'int', modes);
    this.maskToken = own.maskToken ?? null;
    this.oovToken = own.oovToken ?? oovToken;
    this.numOovIndices = own.numOovIndices ?? 1;
    this.given = own.vocabulary !== undefined;
    this.check();
    if (own.vocabulary !== undefined) this.set(own.vocabulary, own.idfWeights);
  }

  private check(): void {
    const { maxTokens, padToMaxTokens, invert, idfWeights } = this.own;
    const fail = (message: string) => {
      throw new NablaError(this.where(), message);
    };
    if (maxTokens !== undefined && !(Number.isInteger(maxTokens) && maxTokens > 1)) {
      fail(`bad maxTokens, got ${describe(maxTokens)}, expected an integer > 1`);
    }
    if (!Number.isInteger(this.numOovIndices) || this.numOovIndices < 0) {
      fail(`bad numOovIndices, got ${describe(this.numOovIndices)}, expected an integer >= 0`);
    }
    if (padToMaxTokens && maxTokens === undefined) fail('padToMaxTokens needs maxTokens, got none; give it');
    if (invert && this.mode !== 'int') {
      fail(`invert gives tokens, got outputMode '${this.mode}', expected 'int'`);
    }
    if (idfWeights !== undefined && this.mode !== 'tfIdf') {
      fail(`idfWeights are for outputMode 'tfIdf', got outputMode '${this.mode}'; leave them out`);
    }
    if (this.given && this.mode === 'tfIdf' && idfWeights === undefined) {
      fail("a vocabulary in outputMode 'tfIdf' needs idfWeights, got none; give them, or adapt()");
    }
  }

  /** Where the indices of unknown tokens begin. */
  get oovStart(): number {
    return this.maskToken !== null && this.mode === 'int' ? 1 : 0;
  }

  /** Where the indices of tokens begin. */
  get start(): number {
    return this.oovStart + this.numOovIndices;
  }

  /** Number of indices, the special ones counted. */
  get size(): number {
    return this.start + (this.tokens?.length ?? 0);
  }

  /** Columns of rows that tokens are turned into. */
  get depth(): number {
    if (this.own.padToMaxTokens) return this.own.maxTokens!;
    return this.start + this.known().length;
  }

  /** The tokens by index, without the special ones; throws before they are known. */
  known(): readonly T[] {
    if (this.tokens !== undefined) return this.tokens;
    throw new NablaError(this.where(), 'the vocabulary is not known; call adapt() or give it as an option');
  }

  /** Every index's token, or those of the vocabulary only. */
  list(special = true): T[] {
    if (!special) return [...(this.tokens ?? [])];
    const mask = this.oovStart === 1 ? [this.maskToken!] : [];
    return [...mask, ...new Array<T>(this.numOovIndices).fill(this.oovToken), ...(this.tokens ?? [])];
  }

  /** How rare the token of each column is. */
  weights(): readonly number[] {
    const idf = this.idf!;
    return [...idf, ...new Array<number>(this.depth - idf.length).fill(0)];
  }

  /** The index of a token of the vocabulary; undefined for others. */
  indexOf(token: T): number | undefined {
    return this.indices.get(token);
  }

  /** Takes tokens in place of the former ones, with or without the special ones in front. */
  set(vocabulary: readonly T[], idfWeights?: readonly number[]): void {
    const fail = (message: string) => {
      throw new NablaError(this.where(), message);
    };
    const wanted = typeof this.oovToken;
    const good = (token: unknown) =>
      typeof token === wanted && (wanted === 'string' || Number.isInteger(token));
    if (!Array.isArray(vocabulary) || vocabulary.length === 0 || !vocabulary.every(good)) {
      const kind = wanted === 'string' ? 'texts' : 'integers';
      fail(`bad vocabulary, got ${describe(vocabulary)}, expected an array of ${kind}, not empty`);
    }
    const special = this.list().slice(0, this.start);
    const found = special.length > 0 && special.every((token, i) => token === vocabulary[i]);
    const tokens = found ? vocabulary.slice(this.start) : vocabulary;
    const indices = new Map(tokens.map((token, i) => [token, this.start + i]));
    if (indices.size !== tokens.length) {
      const twice = tokens.find((token, i) => indices.get(token) !== this.start + i);
      fail(`a token is in the vocabulary twice, got ${describe(twice)}, expected each once`);
    }
    const reserved = this.own.invert ? [this.maskToken, this.oovToken] : [this.maskToken];
    const misplaced = reserved.find((token) => token !== null && indices.has(token));
    if (misplaced !== undefined) {
      fail(
        `the token ${describe(misplaced)} is reserved, got it among the vocabulary, expected it at the front with the ` +
          `other special ones (${special.map(describe).join(', ')}), or not at all`,
      );
    }
    const { maxTokens } = this.own;
    if (maxTokens !== undefined && this.start + tokens.length > maxTokens) {
      fail(
        `the vocabulary is too large, got ${this.start + tokens.length} tokens, expected at most ${maxTokens}`,
      );
    }
    if (this.mode === 'tfIdf') this.idf = this.weightsFor(vocabulary, found, idfWeights);
    this.tokens = [...tokens];
    this.indices = indices;
    this.own.vocabulary = [...vocabulary];
    if (idfWeights !== undefined) this.own.idfWeights = [...idfWeights];
  }

  /** Weights for all indices: unknown tokens have the mean of the others. */
  private weightsFor(vocabulary: readonly T[], found: boolean, weights?: readonly number[]): number[] {
    if (!Array.isArray(weights) || weights.length !== vocabulary.length) {
      throw new NablaError(
        this.where(),
        `bad idfWeights, got ${describe(weights)}, expected ${vocabulary.length} numbers, one for each token`,
      );
    }
    if (found) return [...weights];
    const mean = weights.reduce((sum: number, weight: number) => sum + weight, 0) / weights.length;
    return [...new Array<number>(this.start).fill(mean), ...weights];
  }

  /** Begins to learn: gives what takes documents, lists of tokens, and what ends it. */
  learner(): { add: (document: readonly T[]) => void; finish: () => void } {
    if (this.given) {
      throw new NablaError(this.where(), 'the vocabulary was given; leave it out to adapt() the layer');
    }
    const counts = new Map<T, number>();
    const documents = new Map<T, number>();
    let total = 0;
    const add = (document: readonly T[]) => {
      total++;
      for (const token of document) counts.set(token, (counts.get(token) ?? 0) + 1);
      for (const token of new Set(document)) documents.set(token, (documents.get(token) ?? 0) + 1);
    };
    return { add, finish: () => this.learn(counts, documents, total) };
  }

  /** The most frequent tokens; of equally frequent ones the last in order come first, as in Keras. */
  private learn(counts: Map<T, number>, documents: ReadonlyMap<T, number>, total: number): void {
    if (this.maskToken !== null) counts.delete(this.maskToken);
    counts.delete(this.oovToken);
    if (counts.size === 0) throw new NablaError(this.where(), 'nothing to learn from, got no tokens');
    const sorted = [...counts].sort(([a, n], [b, m]) => m - n || compare(b, a)).map(([token]) => token);
    const tokens = sorted.slice(0, (this.own.maxTokens ?? Number.POSITIVE_INFINITY) - this.start);
    const rareness = (token: T) => Math.log(1 + total / (1 + documents.get(token)!));
    const weights = this.mode === 'tfIdf' ? tokens.map(rareness) : undefined;
    this.set(tokens, weights);
  }
}
