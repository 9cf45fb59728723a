// Layers of text and of lookups: Keras' results, vocabularies that come over time, models with a lookup inside, errors.
import assert from 'node:assert/strict';
import { data, layers, sequential, setSeed, Tensor, tensor } from '../src/index.ts';
import type { IntegerLookup, StringLookup, TextVectorization } from '../src/layers/index.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';
import { fixture, flat, type Numbers, oneBackend, twoBackends } from './support/fixtures.ts';

interface LookupCase {
  name: string;
  kind: 'StringLookup' | 'IntegerLookup' | 'TextVectorization' | 'Hashing';
  options: Record<string, unknown>;
  adapt: unknown;
  x: unknown;
  shape: number[];
  y: unknown;
  vocabulary: (string | number)[] | null;
}

interface LookupLayer {
  apply(x: unknown): unknown;
  adapt(data: unknown): unknown;
  getVocabulary(): unknown;
}

const { cases } = fixture<{ cases: LookupCase[] }>('lookup');
const near = { rtol: 1e-6, atol: 1e-7 };

function layerOf({ kind, options, adapt }: LookupCase): LookupLayer {
  const name = kind[0]!.toLowerCase() + kind.slice(1);
  const layer = (layers as unknown as Record<string, (options: object) => LookupLayer>)[name]!(options);
  if (adapt !== null) layer.adapt(adapt);
  return layer;
}

describeBackends(
  'lookups as in Keras',
  () => {
    for (const expected of cases) {
      it(expected.name, () => {
        const layer = layerOf(expected);
        const x =
          expected.kind === 'IntegerLookup' ? tensor(expected.x as number[], undefined, 'int32') : expected.x;
        const y = layer.apply(x);
        if (y instanceof Tensor) {
          assert.deepEqual(y.shape, expected.shape);
          close(y.dataSync(), flat(expected.y as Numbers), near, 'output');
        } else {
          assert.deepEqual(y, expected.y);
        }
        if (expected.vocabulary !== null) assert.deepEqual(layer.getVocabulary(), expected.vocabulary);
      });
    }

    it('features are crossed as the documentation of Keras shows', () => {
      const features = [
        ['A', 'B', 'A', 'B', 'A'],
        [101, 101, 101, 102, 102],
      ];
      const bins = layers.hashedCrossing({ numBins: 5 }).apply(features);
      assert.deepEqual(bins.arraySync(), [1, 4, 1, 1, 3]);
      const rows = layers.hashedCrossing({ numBins: 5, outputMode: 'oneHot' });
      const columns = [[['A'], ['B']], tensor([[101], [102]], undefined, 'int32')] as const;
      assert.deepEqual(rows.apply(columns).arraySync(), [
        [0, 1, 0, 0, 0],
        [0, 1, 0, 0, 0],
      ]);
    });

    it('texts come over time', async () => {
      async function* texts() {
        yield ['a b', 'c b'];
        yield ['b'];
      }
      const vectorize = layers.textVectorization();
      const promise = vectorize.adapt(texts());
      assert.ok(promise instanceof Promise);
      await promise;
      assert.deepEqual(vectorize.getVocabulary(), ['', '[UNK]', 'b', 'c', 'a']);
      const ids = layers.integerLookup();
      async function* numbers() {
        yield tensor(
          [
            [5, 5],
            [7, 8],
          ],
          undefined,
          'int32',
        );
      }
      await ids.adapt(numbers());
      assert.deepEqual(ids.getVocabulary(), [-1, 5, 8, 7]);
      const words = layers.textVectorization({ outputSequenceLength: 2 });
      const lines = data.fromArray(['a b', 'c b', 'b']);
      await words.adapt(lines.batch(2));
      assert.deepEqual(words.getVocabulary(), vectorize.getVocabulary());
      const batches: unknown[] = [];
      for await (const batch of lines.batch(2).map((texts) => words.apply(texts).dataSync())) {
        batches.push([...batch]);
      }
      assert.deepEqual(batches, [
        [4, 2, 3, 2],
        [2, 0],
      ]);
      // Once more forgets what was learned.
      vectorize.adapt(['x']);
      assert.deepEqual(vectorize.getVocabulary(false), ['x']);
    });

    it('functions of yours cut and standardise', () => {
      const vectorize = layers.textVectorization({
        standardize: (text) => text.toLowerCase(),
        split: (text) => text.split('-'),
        vocabulary: ['ä', 'b'],
      });
      assert.deepEqual(vectorize.apply(['Ä-B', 'b']).arraySync(), [
        [2, 3],
        [3, 0],
      ]);
      assert.deepEqual(vectorize.apply('Ä').arraySync(), [2]);
      assert.deepEqual(vectorize.apply([]).shape, [0, 0]);
    });

    it('a config makes a layer that knows the same', () => {
      const vectorize = layers.textVectorization({ outputMode: 'tfIdf', ngrams: 2 });
      vectorize.adapt(['a b', 'b c', 'c']);
      const again = layers.textVectorization(JSON.parse(JSON.stringify(vectorize.getConfig())));
      assert.deepEqual(again.getVocabulary(), vectorize.getVocabulary());
      close(again.apply(['a b c']).dataSync(), vectorize.apply(['a b c']).dataSync(), near, 'again');
      const lookup = layers.stringLookup({ name: 'words' });
      lookup.setVocabulary(['x', 'y']);
      assert.deepEqual(lookup.getConfig(), { name: 'words', vocabulary: ['x', 'y'] });
      assert.equal(lookup.vocabularySize(), 3);
    });

    it('a model looks ids up and learns from them', async () => {
      setSeed(2);
      const ids = [1001, 77, -5, 40000];
      const drawn = Array.from({ length: 64 }, (_, i) => [ids[i % 4]!]);
      const lookup = layers.integerLookup({ inputShape: [1] });
      lookup.adapt(drawn);
      const network = sequential({
        layers: [
          lookup,
          layers.embedding({ inputDim: lookup.vocabularySize(), outputDim: 4 }),
          layers.flatten(),
          layers.dense({ units: 1 }),
        ],
      });
      network.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
      const target = drawn.map(([id]) => [id === 77 ? 1 : 0]);
      const options = { epochs: 40, batchSize: 8, verbose: 0 } as const;
      const { history } = await network.fit(tensor(drawn), tensor(target), options);
      assert.ok(history.loss!.at(-1)! < 0.1 * history.loss![0]!, `losses ${history.loss}`);
      network.dispose();
    });

    it('a token that is not known ends the program where none is allowed', () => {
      for (const outputMode of ['int', 'oneHot', 'count'] as const) {
        const strict = layers.integerLookup({ vocabulary: [3, 4], numOovIndices: 0, outputMode });
        assert.deepEqual(strict.apply(tensor([[4]])).size, outputMode === 'int' ? 1 : 2);
        assert.throws(() => strict.apply(tensor([[5]])).dataSync(), /\[integerLookup\].*out of range/);
      }
    });
  },
  twoBackends,
);

describeBackends(
  'lookups refuse',
  () => {
    type Options = NonNullable<Parameters<typeof layers.stringLookup>[0]>;
    const lookup = (options: object) => () => layers.stringLookup(bad<Options>(options));
    const vectorize = (options: object) => () => layers.textVectorization(bad(options));

    it('options that do not fit', () => {
      assert.throws(lookup({ maxTokens: 1 }), says('stringLookup', 'bad maxTokens, got 1'));
      assert.throws(lookup({ numOovIndices: -1 }), says('stringLookup', 'bad numOovIndices, got -1'));
      assert.throws(lookup({ padToMaxTokens: true }), says('stringLookup', 'padToMaxTokens needs maxTokens'));
      assert.throws(lookup({ outputMode: 'binary' }), says('stringLookup', "bad outputMode, got 'binary'"));
      assert.throws(
        lookup({ invert: true, outputMode: 'count' }),
        says('stringLookup', "got outputMode 'count', expected 'int'"),
      );
      assert.throws(lookup({ idfWeights: [1] }), says('stringLookup', "are for outputMode 'tfIdf'"));
      assert.throws(
        lookup({ vocabulary: ['a'], outputMode: 'tfIdf' }),
        says('stringLookup', 'needs idfWeights'),
      );
      assert.throws(
        lookup({ vocabulary: ['a'], outputMode: 'tfIdf', idfWeights: [1, 2] }),
        says('stringLookup', 'bad idfWeights', 'expected 1 numbers'),
      );
      assert.throws(lookup({ vocabulary: [] }), says('stringLookup', 'bad vocabulary'));
      assert.throws(lookup({ vocabulary: [3] }), says('stringLookup', 'bad vocabulary, got [3]', 'texts'));
      assert.throws(lookup({ vocabulary: ['a', 'a'] }), says('stringLookup', "twice, got 'a'"));
      assert.throws(
        lookup({ vocabulary: ['a', 'm'], maskToken: 'm', name: 'words' }),
        says('words', "the token 'm' is reserved"),
      );
      assert.throws(
        lookup({ vocabulary: ['a', 'b'], maxTokens: 2 }),
        says('stringLookup', 'too large, got 3 tokens, expected at most 2'),
      );
      assert.throws(
        () => layers.integerLookup({ vocabulary: [1.5] }),
        says('integerLookup', 'bad vocabulary, got [1.5]', 'integers'),
      );
      assert.throws(vectorize({ split: 'words' }), says('textVectorization', "bad split, got 'words'"));
      assert.throws(vectorize({ standardize: 3 }), says('textVectorization', 'bad standardize, got 3'));
      assert.throws(vectorize({ ngrams: 0 }), says('textVectorization', 'bad ngrams, got 0'));
      assert.throws(vectorize({ outputMode: 'oneHot' }), says('textVectorization', "got 'oneHot'"));
      assert.throws(
        vectorize({ outputSequenceLength: 0 }),
        says('textVectorization', 'bad outputSequenceLength, got 0'),
      );
      assert.throws(
        vectorize({ outputSequenceLength: 3, outputMode: 'count' }),
        says('textVectorization', "is for outputMode 'int'"),
      );
      const cross = layers.hashedCrossing({ numBins: 5 });
      assert.throws(
        () => layers.hashedCrossing({ numBins: 0 }),
        says('hashedCrossing', 'bad numBins, got 0'),
      );
      assert.throws(
        () => layers.hashedCrossing({ numBins: 2, outputMode: bad('count') }),
        says('hashedCrossing', "bad outputMode, got 'count'"),
      );
      assert.throws(() => cross.apply([['a']]), says('hashedCrossing', 'two features or more'));
      assert.throws(
        () => cross.apply([['a'], ['b', 'c']]),
        says('hashedCrossing', 'features of one shape', 'got [1] and [2]'),
      );
      assert.throws(
        () => cross.apply([['a'], [0.5]]),
        says('hashedCrossing', 'texts or whole numbers, got 0.5'),
      );
      assert.throws(() => layers.hashing({ numBins: 0 }), says('hashing', 'bad numBins, got 0'));
      assert.throws(() => layers.hashing({ numBins: 3, salt: 0.5 }), says('hashing', 'bad salt, got 0.5'));
    });

    it('texts that do not fit', () => {
      const words: StringLookup = layers.stringLookup({ vocabulary: ['a'], numOovIndices: 0 });
      assert.throws(() => words.apply(['a', 'b']), says('stringLookup', "not in the vocabulary, got 'b'"));
      assert.throws(() => words.apply([['a'], ['a', 'a']]), says('stringLookup', 'arrays of equal lengths'));
      assert.throws(() => words.apply(bad([1])), says('stringLookup', 'expected texts', 'got 1'));
      assert.throws(() => words.adapt(['x']), says('stringLookup', 'the vocabulary was given'));
      const fresh: TextVectorization = layers.textVectorization();
      assert.throws(() => fresh.apply(['a']), says('textVectorization', 'is not known', 'call adapt()'));
      assert.throws(() => fresh.adapt(['', ' ']), says('textVectorization', 'nothing to learn from'));
      assert.throws(() => fresh.adapt(bad([3])), says('textVectorization', 'cannot learn from 3'));
      fresh.adapt(['a']);
      assert.throws(
        () => fresh.apply([['a', 'b']]),
        says('textVectorization', 'expected texts [batch]', '[1, 2]'),
      );
      const odd = layers.textVectorization({ split: () => bad('x') });
      assert.throws(() => odd.adapt(['a']), says('textVectorization', "split gave 'x'"));
      const ids: IntegerLookup = layers.integerLookup();
      assert.throws(() => ids.apply(tensor([[1]])), says('integerLookup', 'is not known'));
      assert.throws(
        () => layers.stringLookup({ vocabulary: ['a'], outputMode: 'count' }).apply([[['a']]]),
        says('stringLookup', 'expected lists of tokens for count rows', '[1, 1, 1]'),
      );
      assert.throws(
        () => sequential({ layers: [bad(words)] }),
        says('sequential', 'expected a layer, got StringLookup'),
      );
    });
  },
  oneBackend,
);
