// Mixed precision: policies of layers, how they are saved, what they keep in memory, and training beside Keras under the same policies.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  cast,
  type DTypePolicyLike,
  dtypePolicies,
  dtypePolicy,
  type Functional,
  input,
  Layer,
  layers,
  type Model,
  mean,
  memory,
  model,
  modelFromBytes,
  mul,
  optimizers,
  sequential,
  setDtypePolicy,
  setSeed,
  type Tensor,
  tensor,
} from '../src/api.ts';
import { backends, describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';

interface Trained {
  readonly predictions: readonly (readonly number[])[];
  readonly losses: readonly number[];
  readonly weights: readonly (readonly number[])[];
}
interface Fixture {
  readonly steps: number;
  readonly batch: number;
  readonly x: readonly number[];
  readonly y: readonly number[];
  readonly start: readonly (readonly number[])[];
  readonly shapes: readonly (readonly number[])[];
  readonly mixed_bfloat16: Trained;
  readonly mixed_float16: Trained;
  readonly float32: Trained;
}
const keras = JSON.parse(
  readFileSync(new URL('./fixtures/mixed_precision.json', import.meta.url), 'utf8'),
) as Fixture;

/** The network of the fixture. */
function network(): Functional {
  const image = input({ shape: [8, 8, 2] });
  let h = layers.conv2d({ filters: 6, kernelSize: 3, activation: 'relu', padding: 'same' }).apply(image);
  h = layers.batchNormalization().apply(h);
  h = layers.maxPooling2d({ poolSize: 2 }).apply(h);
  h = layers.reshape({ targetShape: [16, 6] }).apply(h);
  h = layers.lstm({ units: 7, returnSequences: true }).apply(h);
  h = layers.layerNormalization().apply(h);
  h = layers.add().apply([h, layers.multiHeadAttention({ numHeads: 2, keyDim: 4 }).apply([h, h])]);
  h = layers.globalAveragePooling1d().apply(h);
  h = layers.dense({ units: 9, activation: 'gelu' }).apply(h);
  const out = layers.dense({ units: 5, activation: 'softmax', dtype: 'float32' }).apply(h);
  const net = model({ inputs: image, outputs: out });
  net.ensureBuilt([8, 8, 2]);
  return net;
}

const samples = () => ({
  x: tensor(Float32Array.from(keras.x), [keras.steps * keras.batch, 8, 8, 2]),
  y: tensor(Int32Array.from(keras.y), [keras.steps * keras.batch]),
});

async function train(net: Functional) {
  const { x, y } = samples();
  net.compile({ optimizer: optimizers.adam({ learningRate: 0.01 }), loss: 'sparseCategoricalCrossentropy' });
  const losses: number[] = [];
  const onBatchEnd = (_: number, logs: { loss?: number }) => {
    losses.push(logs.loss!);
  };
  await net.fit(x, y, { batchSize: keras.batch, shuffle: false, verbose: 0, callbacks: [{ onBatchEnd }] });
  return losses;
}

/** Sets a policy for a test. */
function under<T>(policy: DTypePolicyLike, body: () => T): T {
  setDtypePolicy(policy);
  try {
    return body();
  } finally {
    setDtypePolicy('float32');
  }
}

const few = backends.filter(({ name }) => ['native 2 threads', 'wasm simd'].includes(name));
// Rounding, several layers deep, and weights that Keras rounds too.
const near = {
  mixed_bfloat16: { predictions: 0.01, losses: 0.01, weights: 0.02 },
  mixed_float16: { predictions: 0.002, losses: 0.002, weights: 0.01 },
};
const mixed = ['mixed_bfloat16', 'mixed_float16'] as const;
for (const policy of mixed)
  describeBackends(
    policy,
    () => {
      it('trains as Keras does under the same policy', async () => {
        const net = under(policy, network);
        net.setWeights(keras.start.map((values) => Float32Array.from(values)));
        const first = samples().x.slice([0, 0, 0, 0], [keras.batch, 8, 8, 2]);
        const predictions = await net.predict(first);
        assert.equal(predictions.dtype, 'float32');
        const wanted = keras[policy];
        const limits = near[policy];
        close(
          predictions.dataSync(),
          wanted.predictions.flat(),
          { rtol: 0, atol: limits.predictions },
          'predictions',
        );
        const losses = await train(net);
        assert.equal(losses.length, keras.steps);
        close(losses, wanted.losses, { rtol: limits.losses, atol: 0 }, 'losses');
        for (const weight of net.weights) assert.equal(weight.dtype, 'float32');
        net.weights.forEach((weight, i) => {
          // Its gradient is 0 but for rounding: a softmax does not see what all its scores have in common.
          if (weight.name.endsWith('key/bias')) return;
          const numbers = wanted.weights[i]!;
          const values = weight.dataSync();
          const error =
            Math.hypot(...values.map((value, j) => value - numbers[j]!)) / Math.sqrt(values.length);
          // Adam's steps are 0.01 long whatever the size of a gradient, so a small gradient of another sign is two steps off.
          assert.ok(error < limits.weights, `${weight.name} is ${error} off`);
        });
      });

      it('trains beside float32, which Keras gives to the digit', async () => {
        const net = network();
        net.setWeights(keras.start.map((values) => Float32Array.from(values)));
        close(await train(net), keras.float32.losses, { rtol: 1e-4, atol: 1e-5 }, 'losses');
      });

      it('keeps activations in half the memory', async () => {
        const peaks: number[] = [];
        for (const each of ['float32', policy] as const) {
          const wide = (units: number) => layers.dense({ units, activation: 'gelu' });
          const net = under(each, () =>
            sequential({
              layers: [
                layers.dense({ units: 64, inputShape: [64] }),
                ...Array.from({ length: 12 }, () => wide(64)),
                layers.dense({ units: 1, dtype: 'float32' }),
              ],
            }),
          );
          net.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
          const lines: string[] = [];
          await net.fit(
            tensor(new Float32Array(2048 * 64), [2048, 64]),
            tensor(new Float32Array(2048), [2048, 1]),
            {
              batchSize: 2048,
              verbose: 0,
            },
          );
          net.summary({ printFn: (text) => lines.push(text) });
          const planned = /, ([\d.]+) MB for a step/.exec(lines.join('\n'));
          assert.ok(planned, `the summary tells it: ${lines.join('\n')}`);
          peaks.push(Number(planned[1]));
          net.dispose();
        }
        const [exact, halved] = peaks as [number, number];
        assert.ok(halved < 0.6 * exact, `${halved} of ${exact} MB`);
        assert.ok(memory().workspaceBytes > 0);
      });

      it("computes what layers of one's own compute, with weights as Keras casts them", () => {
        class Scale extends Layer {
          readonly kind = 'scale';
          private factor!: ReturnType<Layer['addWeight']>;
          seen: (string | undefined)[] = [];
          override computeOutputShape(shape: readonly number[]) {
            return [...shape];
          }
          protected override build() {
            this.factor = this.addWeight({ name: 'factor', shape: [1], initializer: 'ones' });
          }
          protected override call(x: Tensor) {
            const scaled = mul(x, this.factor);
            this.seen = [x.dtype, this.factor.dtype, scaled.dtype];
            return scaled;
          }
        }
        const half = policy === 'mixed_float16' ? 'float16' : 'bfloat16';
        const layer = new Scale({ dtype: policy });
        const out = layer.apply(tensor([[1, 2.0001]]));
        assert.deepEqual(layer.seen, [half, 'float32', half]);
        assert.equal(out.dtype, half);
        assert.deepEqual([...out.dataSync()], [1, 2]);
        // Integers stay integers, and layers in float32 take 16 bits back.
        const ids = layers.embedding({ inputDim: 3, outputDim: 2, dtype: policy });
        assert.equal(ids.apply(tensor([[1, 2]], undefined, 'int32')).dtype, half);
        assert.equal(layers.activation({ activation: 'relu' }).apply(out).dtype, 'float32');
        assert.equal(mean(cast(out, 'float32')).dtype, 'float32');
      });

      it('tracks moving statistics in float32', () => {
        const layer = layers.batchNormalization({ dtype: policy, momentum: 0.999 });
        layer.apply(tensor([[1], [3]]), { training: true });
        const [, , movingMean, movingVariance] = layer.weights;
        // In 16 bits neither 0.002 nor what is left of 1 would be a number of its own.
        close(movingMean!.dataSync(), [0.002], { rtol: 1e-5, atol: 0 });
        close(movingVariance!.dataSync(), [1], { rtol: 1e-5, atol: 0 });
      });
    },
    few,
  );

describeBackends(
  'dtype policies',
  () => {
    it('are those of the environment, of layers, and of what layers are made of', () => {
      assert.equal(dtypePolicy().name, 'float32');
      const [plain, own] = under('mixed_bfloat16', () => {
        assert.equal(dtypePolicy(), dtypePolicies.mixedBfloat16);
        return [layers.dense({ units: 2 }), layers.dense({ units: 2, dtype: 'float32' })] as const;
      });
      assert.deepEqual([plain.computeDtype, plain.variableDtype], ['bfloat16', 'float32']);
      assert.equal(own.dtypePolicy, dtypePolicies.float32);
      assert.equal(layers.dense({ units: 2 }).computeDtype, 'float32');
      assert.equal(layers.dense({ units: 2, dtype: dtypePolicies.mixedBfloat16 }).computeDtype, 'bfloat16');
      const block = layers.transformerBlock({ numHeads: 2, dtype: 'mixedBfloat16' });
      const out = block.apply(tensor(new Float32Array(2 * 3 * 4), [2, 3, 4]));
      assert.equal(out.dtype, 'bfloat16');
    });

    it('are saved with the layers, whatever is set when they are loaded', async () => {
      setSeed(1);
      for (const saved of mixed) {
        const made = under(saved, () =>
          sequential({
            layers: [
              layers.bidirectional({ layer: layers.gru({ units: 3 }), inputShape: [4, 2] }),
              layers.dense({ units: 2, dtype: 'float32' }),
            ],
          }),
        );
        const plain = sequential({ layers: [layers.dense({ units: 2, inputShape: [2] })] });
        const x = tensor(
          Float32Array.from({ length: 16 }, (_, i) => Math.sin(i)),
          [2, 4, 2],
        );
        const before = await made.predict(x);
        const bytes = await made.toBytes();
        const plainBytes = await plain.toBytes();
        for (const policy of ['float32', ...mixed] as const) {
          const again = under(policy, () => modelFromBytes(bytes)) as Model;
          assert.deepEqual(
            again.layers.map(({ dtypePolicy: { name } }) => name),
            [saved, 'float32'],
          );
          assert.deepEqual((await again.predict(x)).arraySync(), before.arraySync());
          const exact = under(policy, () => modelFromBytes(plainBytes)) as Model;
          assert.equal(exact.layers[0]!.computeDtype, 'float32');
        }
      }
      assert.ok(!JSON.stringify(layers.dense({ units: 1 }).getConfig()).includes('dtype'));
      assert.equal(
        layers.dense({ units: 1, dtype: dtypePolicies.mixedBfloat16 }).getConfig().dtype,
        'mixed_bfloat16',
      );
    });

    it('refuse what is not supported, and say why', () => {
      const wrong = (name: unknown) => () => setDtypePolicy(bad(name));
      assert.throws(
        wrong('float16'),
        says(
          'setDtypePolicy',
          "'float16' is not supported",
          'lose small updates',
          "'mixed_bfloat16' or 'mixed_float16'",
        ),
      );
      assert.throws(wrong('bfloat16'), says('setDtypePolicy', 'lose small updates'));
      assert.throws(wrong('float64'), says('setDtypePolicy', 'compute in float32'));
      assert.throws(
        wrong('mixed_bfloat15'),
        says('setDtypePolicy', 'unknown dtype policy', "did you mean 'mixedBfloat16'?"),
      );
      assert.throws(wrong(16), says('setDtypePolicy', 'bad dtype policy, got 16'));
      assert.throws(wrong({ name: 'float32' }), says('setDtypePolicy', 'bad dtype policy'));
      assert.throws(wrong(undefined), says('setDtypePolicy', 'got undefined'));
      assert.throws(
        () => layers.dense({ units: 1, name: 'out', dtype: bad('float16') }),
        says('out', "'float16' is not supported"),
      );
      assert.equal(dtypePolicy().name, 'float32');
    });
  },
  few.slice(0, 1),
);
