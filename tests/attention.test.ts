// Layers of attention, normalisation, activation and noise against Keras; what they refuse; a short GPT.
import assert from 'node:assert/strict';
import { type Activation, getActivation } from '../src/activations.ts';
import {
  grads,
  layers,
  losses,
  mean,
  mul,
  NablaError,
  ones,
  optimizers,
  sequential,
  setSeed,
  square,
  sub,
  sum,
  type Tensor,
  tensor,
  valueAndGrad,
  variance,
} from '../src/api.ts';
import { jit } from '../src/jit.ts';
import type { Layer } from '../src/layers/layer.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import {
  fixture,
  flat,
  modelBackends,
  type Numbers,
  numbers,
  oneBackend,
  twoBackends,
} from './support/fixtures.ts';

interface LayerCase {
  name: string;
  layer: string;
  options: Record<string, unknown>;
  call: { mask?: boolean[][][]; useCausalMask?: boolean };
  training: boolean;
  inputs: Numbers[];
  weights: Numbers[];
  output: Numbers;
  weigh: Numbers;
  inputGradients: Numbers[];
  weightGradients: Numbers[];
  after: Numbers[];
}

interface FunctionCase {
  name: string;
  output: number[];
  gradient: number[];
}

const { cases, points, functions } = fixture<{
  cases: LayerCase[];
  points: number[];
  functions: FunctionCase[];
}>('attention');

const near = { rtol: 2e-5, atol: 1e-5 };

/** The layer that a case is about. */
function make({ layer, options, call }: LayerCase): Layer {
  const all = { ...options, ...(call.useCausalMask ? { useCausalMask: true } : {}) };
  if (layer === 'groupQueryAttention') {
    const { headDim, numQueryHeads, numKeyValueHeads } = options as Record<string, number>;
    return layers.multiHeadAttention({ numHeads: numQueryHeads!, keyDim: headDim!, numKeyValueHeads });
  }
  const factory = (layers as unknown as Record<string, (o: object) => Layer>)[layer];
  assert.ok(factory, `no layer ${layer}`);
  return factory(all);
}

/** The layer's output for a batch of each input. */
function callOf(test: LayerCase, layer: Layer): (inputs: readonly Tensor[]) => Tensor {
  const { mask } = test.call;
  if (!(layer instanceof layers.MultiHeadAttention)) {
    return ([x]) => layer.apply(x!, { training: test.training });
  }
  const bits = mask && tensor(Uint8Array.from(mask.flat(2), Number), [2, 4, 5], 'bool');
  return ([query, value, key]) => layer.attend(query!, value!, { key, mask: bits });
}

describeBackends(
  'layers as in Keras',
  () => {
    for (const test of cases) {
      it(`${test.layer}, ${test.name} ${JSON.stringify(test.options)}`, () => {
        const layer = make(test);
        const inputs = test.inputs.map((input) => numbers(input));
        const call = callOf(test, layer);
        call(inputs);
        const place = (values: readonly Numbers[]) =>
          layer.weights.forEach((weight, i) => {
            weight.assign(tensor(Float32Array.from(flat(values[i]!)), weight.shape));
          });
        assert.equal(layer.weights.length, test.weights.length, 'number of weights');
        place(test.weights);
        close(call(inputs).dataSync(), flat(test.output), near, 'output');
        // Those that training moves without a gradient.
        const moved = layer.weights.filter(({ trainable }) => !trainable);
        moved.forEach((weight, i) => {
          close(weight.dataSync(), flat(test.after[i]!), near, `${weight.name} afterwards`);
        });
        place(test.weights);
        const weigh = numbers(test.weigh);
        const of = grads((...xs) => sum(mul(call(xs), weigh)))(...inputs);
        of.forEach((gradient, i) => {
          close(gradient.dataSync(), flat(test.inputGradients[i]!), near, `gradient of input ${i}`);
        });
        const trained = layer.trainableWeights;
        if (trained.length === 0) return;
        place(test.weights);
        // The weights themselves are what is differentiated.
        const { gradients } = valueAndGrad(() => sum(mul(call(inputs), weigh)))(...trained);
        gradients.forEach((gradient, i) => {
          close(gradient.dataSync(), flat(test.weightGradients[i]!), near, `gradient of ${trained[i]!.name}`);
        });
      });
    }
  },
  oneBackend,
);

describeBackends(
  'activations as in Keras',
  () => {
    for (const { name, output, gradient } of functions) {
      it(name, () => {
        const f: Activation = getActivation('test', name as 'relu');
        // Softmax runs over rows: one row of all points.
        const rows = (x: Tensor) => f(x);
        const { value } = valueAndGrad((x) => sum(rows(x!)))(tensor(points, [1, points.length]));
        value.dispose();
        const x = tensor(points, [1, points.length]);
        close(rows(x).dataSync(), output, near, 'values');
        const [slope] = grads((at) => sum(rows(at!)))(x);
        close(slope!.dataSync(), gradient, near, 'gradient');
      });
    }
  },
  oneBackend,
);

describeBackends(
  'batch normalisation in a model',
  () => {
    it('moves its averages while fitting and uses them in prediction', async () => {
      setSeed(1);
      const model = sequential({ layers: [layers.batchNormalization({ momentum: 0.5, inputShape: [3] })] });
      model.compile({ optimizer: optimizers.sgd({ learningRate: 0 }), loss: 'mse' });
      const values = Float32Array.from({ length: 24 }, (_, i) => (i % 3) * 2 + Math.sin(i));
      const x = tensor(values, [8, 3]);
      await model.fit(x, x, { epochs: 20, batchSize: 8, verbose: 0 });
      const [gamma, beta, average, spread] = model.getWeights();
      assert.deepEqual([...gamma!, ...beta!], [1, 1, 1, 0, 0, 0]);
      close(average!, mean(x, 0).dataSync(), { rtol: 1e-4, atol: 1e-5 }, 'moving mean');
      close(spread!, variance(x, 0).dataSync(), { rtol: 1e-4, atol: 1e-5 }, 'moving variance');
      const predicted = await model.predict(x);
      close(mean(predicted, 0).dataSync(), [0, 0, 0], { rtol: 0, atol: 1e-4 }, 'mean of predictions');
    });

    it('learns in a network', async () => {
      setSeed(2);
      const model = sequential({
        layers: [
          layers.dense({ units: 16, inputShape: [4] }),
          layers.batchNormalization(),
          layers.prelu(),
          layers.dense({ units: 1 }),
        ],
      });
      model.compile({ optimizer: 'adam', loss: 'mse' });
      const values = Float32Array.from({ length: 64 * 4 }, (_, i) => Math.sin(i * 1.7));
      const x = tensor(values, [64, 4]);
      const y = sum(square(x), 1, true);
      const history = await model.fit(x, y, { epochs: 60, batchSize: 16, verbose: 0 });
      const curve = history.history.loss!;
      assert.ok(curve.at(-1)! < curve[0]! / 5, `loss went from ${curve[0]} to ${curve.at(-1)}`);
    });
  },
  twoBackends,
);

describeBackends(
  'noise',
  () => {
    it('changes numbers while fitting only, and keeps their mean', () => {
      setSeed(3);
      const x = ones([200, 10, 20]);
      const noisy = [
        layers.spatialDropout1d({ rate: 0.4 }),
        layers.gaussianNoise({ stddev: 0.3 }),
        layers.gaussianDropout({ rate: 0.3 }),
        layers.alphaDropout({ rate: 0.2 }),
      ];
      for (const layer of noisy) {
        assert.equal(layer.apply(x), x, layer.kind);
        const out = layer.apply(x, { training: true });
        const wanted = layer.kind === 'alphaDropout' ? undefined : 1;
        if (wanted !== undefined) assert.ok(Math.abs(mean(out).item() - wanted) < 0.05, layer.kind);
        assert.ok(mean(square(sub(out, x))).item() > 0.01, layer.kind);
      }
      const dropped = layers.spatialDropout1d({ rate: 0.5 }).apply(x, { training: true }).dataSync();
      for (let c = 0; c < 20; c++) {
        for (let t = 1; t < 10; t++)
          assert.equal(dropped[t * 20 + c], dropped[c], 'a channel goes as a whole');
      }
    });
  },
  oneBackend,
);

describeBackends(
  'attention',
  () => {
    it('gives the same with and without the matrix of weights, and drops weights while fitting', () => {
      setSeed(4);
      const x = tensor(
        Float32Array.from({ length: 2 * 7 * 8 }, (_, i) => Math.sin(i * 0.7)),
        [2, 7, 8],
      );
      const plain = layers.multiHeadAttention({ numHeads: 2, keyDim: 4, useCausalMask: true });
      const before = plain.apply(x).dataSync();
      const dropping = layers.multiHeadAttention({
        numHeads: 2,
        keyDim: 4,
        useCausalMask: true,
        dropout: 1e-7,
      });
      dropping.apply(x);
      dropping.weights.forEach((weight, i) => void weight.assign(plain.weights[i]!));
      close(dropping.apply(x, { training: true }).dataSync(), before, near, 'in parts');
      const half = layers.multiHeadAttention({ numHeads: 2, keyDim: 4, dropout: 0.5 });
      assert.deepEqual(half.apply(x).dataSync(), half.apply(x).dataSync());
      assert.notDeepEqual(half.apply(x, { training: true }).dataSync(), half.apply(x).dataSync());
    });

    it('turns queries and keys so that only distances count', () => {
      const layer = layers.multiHeadAttention({ numHeads: 1, keyDim: 8, rotary: true });
      const row = Float32Array.from({ length: 8 }, (_, i) => Math.cos(i));
      const same = tensor(
        Float32Array.from({ length: 5 * 8 }, (_, i) => row[i % 8]!),
        [1, 5, 8],
      );
      const out = layer.apply(same).dataSync();
      for (let i = 8; i < 40; i++) assert.ok(Math.abs(out[i]! - out[i % 8]!) < 1e-5);
    });

    it('works inside jit and in a functional model', () => {
      const layer = layers.multiHeadAttention({ numHeads: 2, keyDim: 3 });
      const [q, v] = [ones([1, 3, 6]), ones([1, 4, 6])];
      const eager = layer.apply([q, v]).dataSync();
      const traced = jit((a: Tensor, b: Tensor) => layer.attend(a, b));
      close(traced(q, v).dataSync(), eager, near);
      traced.dispose();
    });

    it('says what is wrong', () => {
      const refuses = (body: () => unknown, wanted: RegExp) =>
        assert.throws(body, (error) => error instanceof NablaError && wanted.test(error.message));
      const attention = () => layers.multiHeadAttention({ numHeads: 2, keyDim: 4 });
      refuses(() => layers.multiHeadAttention({ numHeads: 0, keyDim: 4 }), /bad numHeads, got 0/);
      refuses(() => layers.multiHeadAttention({ numHeads: 3, keyDim: 4, numKeyValueHeads: 2 }), /divisor/);
      refuses(() => attention().apply(ones([2, 3])), /expected samples \[time, width\]/);
      refuses(
        () => attention().attend(ones([2, 3, 4]), ones([2, 5, 4]), { mask: ones([3, 4]) }),
        /mask does not fit/,
      );
      refuses(
        () => layers.transformerBlock({ numHeads: 3 }).apply(ones([1, 4, 8])),
        /numHeads does not divide/,
      );
      refuses(() => layers.layerNormalization({ axis: 1 }).apply(ones([2, 3, 4])), /bad axis/);
      refuses(() => layers.groupNormalization({ groups: 3 }).apply(ones([2, 4])), /channels do not fall/);
      refuses(() => layers.positionEmbedding({ sequenceLength: 2 }).apply(ones([1, 3, 4])), /too long/);
      refuses(() => layers.gaussianDropout({ rate: 1 }), /bad rate, got 1/);
      refuses(() => layers.prelu({ sharedAxes: [0] }).apply(ones([2, 3])), /bad sharedAxes/);
    });
  },
  oneBackend,
);

describeBackends(
  'a short GPT',
  () => {
    it('learns a text of a few words, with tied weights and a schedule', async function () {
      this.timeout(120_000);
      setSeed(5);
      const text = 'the cat sat on the mat and the dog sat on the log and '.repeat(20);
      const alphabet = [...new Set(text)].sort();
      const codes = Int32Array.from(text, (letter) => alphabet.indexOf(letter));
      const time = 16;
      const starts = Array.from({ length: 240 }, (_, i) => (i * 37) % (codes.length - time - 1));
      const take = (shift: number) =>
        tensor(Int32Array.from(starts.flatMap((s) => [...codes.subarray(s + shift, s + shift + time)])), [
          starts.length,
          time,
        ]);
      const embedding = layers.tokenAndPositionEmbedding({
        vocabularySize: alphabet.length,
        sequenceLength: time,
        embeddingDim: 32,
        inputShape: [time],
      });
      const model = sequential({
        layers: [
          embedding,
          layers.transformerBlock({ numHeads: 4, useCausalMask: true, useBias: false }),
          layers.transformerBlock({ numHeads: 4, useCausalMask: true, normalization: 'rms', rotary: true }),
          layers.layerNormalization(),
          layers.tiedProjection({ embedding }),
        ],
      });
      const schedule = optimizers.schedules.cosineDecay({
        initialLearningRate: 1e-4,
        warmupTarget: 1e-2,
        warmupSteps: 10,
        decaySteps: 70,
        alpha: 0.1,
      });
      const optimizer = optimizers.adamw({ learningRate: schedule, globalClipnorm: 1 });
      model.compile({ optimizer, loss: losses.sparseCategoricalCrossentropy({ fromLogits: true }) });
      const history = await model.fit(take(0), take(1), { epochs: 4, batchSize: 12, verbose: 0 });
      const curve = history.history.loss!;
      assert.ok(curve[0]! < Math.log(alphabet.length) + 0.5, `first loss ${curve[0]}`);
      assert.ok(curve.at(-1)! < 0.6, `last loss ${curve.at(-1)}, expected below 0.6`);
      assert.ok(Math.abs(optimizer.learningRate - schedule.at(79)) < 1e-8, 'the rate of the last step');
    });
  },
  modelBackends,
);
