// Masks in models: losses and metrics as Keras' over padded sequences, where masks come from and end, and what does not fit.
import assert from 'node:assert/strict';
import {
  type Layer,
  layers,
  losses,
  metrics,
  optimizers,
  scope,
  sequential,
  type Tensor,
} from '../src/api.ts';
import { countingOnly, sumsOf } from '../src/masks.ts';
import { ones, tensor, zeros } from '../src/ops/index.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, type Numbers, numbers, oneBackend, twoBackends } from './support/fixtures.ts';

interface Logs {
  loss: number;
  accuracy: number;
}

const trained = fixture<{
  x: Numbers;
  y: Numbers;
  sampleWeight: number[];
  weights: number[][];
  before: Logs;
  plain: { loss: number[]; accuracy: number[] };
  weighted: { loss: number[] };
  after: number[][];
}>('masked_training');
const near = { rtol: 2e-5, atol: 2e-6 };

describeBackends(
  'training on padded sequences as in Keras',
  () => {
    it('leaves padding out of the loss, the metrics and the gradients', async () => {
      const model = sequential({
        layers: [
          layers.embedding({ inputDim: 6, outputDim: 3, maskZero: true, inputShape: [4] }),
          layers.lstm({ units: 3, returnSequences: true }),
          layers.dense({ units: 3, activation: 'softmax' }),
        ],
      });
      model.build([4]);
      model.setWeights(trained.weights.map((values) => Float32Array.from(values)));
      const optimizer = optimizers.sgd({ learningRate: 0.5 });
      model.compile({ optimizer, loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });
      const [x, y] = [numbers(trained.x, 'int32'), numbers(trained.y, 'int32')];
      const before = await model.evaluate(x, y, { batchSize: 2 });
      close([before.loss!, before.accuracy!], [trained.before.loss, trained.before.accuracy], near, 'before');
      const quiet = { shuffle: false, verbose: 0 } as const;
      const { history } = await model.fit(x, y, { epochs: 2, batchSize: 2, ...quiet });
      close(history.loss!, trained.plain.loss, near, 'loss');
      close(history.accuracy!, trained.plain.accuracy, near, 'accuracy');
      const weighted = { epochs: 1, batchSize: 5, sampleWeight: trained.sampleWeight, ...quiet };
      const after = await model.fit(x, y, weighted);
      close(after.history.loss!, trained.weighted.loss, near, 'weighted loss');
      model.getWeights().forEach((values, i) => {
        close(values, trained.after[i]!, near, `weights ${i}`);
      });
      model.dispose();
    });
  },
  twoBackends,
);

const masked = (layer: Layer, x: Tensor, mask?: Tensor) => layer.apply(x, mask && { mask }).mask?.arraySync();

describeBackends(
  'masks',
  () => {
    it('are made by embedding and masking, handed on, and end where steps do', () => {
      const tokens = tensor([[1, 2, 0]], undefined, 'int32');
      const x = layers.embedding({ inputDim: 3, outputDim: 2, maskZero: true }).apply(tokens);
      assert.deepEqual(x.mask?.arraySync(), [[1, 1, 0]]);
      assert.equal(layers.embedding({ inputDim: 3, outputDim: 2 }).apply(tokens).mask, undefined);
      const position = { vocabularySize: 3, sequenceLength: 3, embeddingDim: 2 };
      assert.deepEqual(masked(layers.tokenAndPositionEmbedding({ ...position, maskZero: true }), tokens), [
        [1, 1, 0],
      ]);
      for (const layer of [
        layers.dense({ units: 2 }),
        layers.dropout({ rate: 0.5 }),
        layers.activation({ activation: 'tanh' }),
        layers.leakyReLU(),
        layers.gaussianNoise({ stddev: 1 }),
        layers.layerNormalization(),
        layers.rmsNormalization(),
        layers.multiHeadAttention({ numHeads: 1, keyDim: 2 }),
        layers.transformerBlock({ numHeads: 1 }),
        layers.sinePositionEncoding(),
        layers.gru({ units: 2, returnSequences: true }),
        layers.timeDistributed({ layer: layers.dense({ units: 2 }) }),
      ]) {
        assert.deepEqual(masked(layer, x), [[1, 1, 0]], layer.kind);
      }
      for (const layer of [layers.gru({ units: 2 }), layers.flatten(), layers.globalAveragePooling1d()]) {
        assert.equal(masked(layer, x), undefined, layer.kind);
      }
      const backwards = layers.gru({ units: 2, returnSequences: true, goBackwards: true });
      assert.deepEqual(masked(backwards, x), [[0, 1, 1]]);
    });

    it('may be given with a call, which leaves that of the input alone', () => {
      const x = ones([1, 3, 2]);
      const mask = tensor([[true, false, true]]);
      assert.deepEqual(masked(layers.dense({ units: 1 }), x, mask), [[1, 0, 1]]);
      assert.equal(x.mask, undefined);
    });

    it('outlive a scope with the tensor that carries them', () => {
      const layer = layers.masking();
      const made = scope(() => layer.apply(tensor([[[0], [1]]])));
      assert.deepEqual(made.mask?.arraySync(), [[0, 1]]);
    });

    it('of a softmax over steps give padding no probability', () => {
      const x = tensor([[1, 1, 5]]);
      const p = layers.softmax().apply(x, { mask: tensor([[true, true, false]]) });
      close(p.dataSync(), [0.5, 0.5, 0], near, 'probabilities');
    });

    it('keep attention and transformer blocks from looking at padding', () => {
      const mask = tensor([[true, true, false]]);
      for (const layer of [
        layers.multiHeadAttention({ numHeads: 2, keyDim: 2 }),
        layers.transformerBlock({ numHeads: 1 }),
        layers.attention(),
        layers.attention({ scoreMode: 'concat' }),
        layers.additiveAttention(),
        layers.groupQueryAttention({ numQueryHeads: 2, numKeyValueHeads: 1, headDim: 2 }),
      ]) {
        const firstOf = (last: number) => {
          const x = tensor([
            [
              [1, 2],
              [0.5, -1],
              [last, last],
            ],
          ]);
          return layer
            .apply(/^a/.test(layer.kind) ? [x, x] : x, { mask })
            .dataSync()
            .subarray(0, 4);
        };
        assert.deepEqual(firstOf(3), firstOf(-7), layer.kind);
      }
      const attention = layers.multiHeadAttention({ numHeads: 1, keyDim: 2 });
      const [query, value] = [
        ones([1, 2, 2]),
        tensor([
          [
            [1, 2],
            [3, 4],
          ],
        ]),
      ];
      const alone = attention.attend(query, tensor([[[1, 2]]])).dataSync();
      value.mask = tensor([[true, false]]);
      close(attention.attend(query, value).dataSync(), alone, near, 'masked value');
      const added = { mask: zeros([2, 2]) };
      close(attention.attend(query, value, added).dataSync(), alone, near, 'with a mask of summands');
      const given = {
        mask: tensor([
          [true, true],
          [true, true],
        ]),
      };
      close(attention.attend(query, value, given).dataSync(), alone, near, 'with a mask of its own');
    });

    it('of queries have plain attention give zeros for padding', () => {
      const query = ones([1, 2, 2]);
      query.mask = tensor([[true, false]]);
      const seen = layers.attention().apply([query, tensor([[[1, 2]]])]);
      assert.deepEqual(seen.arraySync(), [
        [
          [1, 2],
          [0, 0],
        ],
      ]);
      assert.deepEqual(seen.mask?.arraySync(), [[1, 0]]);
    });

    it('that leave nothing give zeros, not NaN', () => {
      const mask = tensor([[false, false]]);
      const x = ones([1, 2, 3]);
      assert.deepEqual(layers.globalAveragePooling1d().apply(x, { mask }).arraySync(), [[0, 0, 0]]);
      const result = countingOnly(mask, () => losses.meanSquaredError().call(x, zeros([1, 2, 3])));
      assert.deepEqual(result.arraySync(), [0]);
    });

    it('that do not go with the numbers of a loss or metric are not looked at', () => {
      const mask = tensor([[true, false, true]]);
      const accuracy = () => sumsOf(() => metrics.binaryAccuracy().call(ones([1, 2]), ones([1, 2])));
      const { plain, count } = countingOnly(mask, accuracy);
      assert.deepEqual([plain?.item(), count.item()], [1, 1]);
    });

    it('that do not fit are refused', () => {
      const x = ones([1, 3, 2]);
      const mask = tensor([[true, false]]);
      assert.throws(
        () => layers.lstm({ units: 1 }).apply(x, { mask }),
        /\[lstm\] the mask does not fit, got Tensor\(bool\[1, 2\]\)/,
      );
      const batch = layers.batchNormalization();
      assert.throws(
        () => batch.apply(x, { training: true, mask: tensor([true]) }),
        /\[batchNormalization\] the mask does not fit/,
      );
      assert.throws(() => layers.masking({ maskValue: Number.NaN }), /\[masking\] bad maskValue, got NaN/);
      assert.throws(
        () => layers.masking().apply(ones([2, 3])),
        /\[masking\] expected sequences \[time, ..., features\], got samples of shape \[3\]/,
      );
    });
  },
  oneBackend,
);
