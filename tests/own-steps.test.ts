// Training and evaluation steps of one's own: equal to the built-in ones, to Keras, and to what is computed by hand.
import assert from 'node:assert/strict';
import {
  add,
  type Batch,
  type CallContext,
  data,
  Functional,
  fill,
  input,
  type Logs,
  layers,
  losses,
  Model,
  mean,
  memory,
  mul,
  optimizers,
  Sequential,
  type Step,
  sequential,
  setSeed,
  square,
  sub,
  type Tensor,
  tensor,
  Variable,
} from '../src/index.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad } from './support/errors.ts';
import { fixture, modelBackends, type Numbers, numbers } from './support/fixtures.ts';
import { clusters } from './support/models.ts';

import { Classifier, Gan, near, settings, wave } from './support/own-models.ts';

/** The built-in step, written out. */
class WrittenOut extends Classifier {
  override trainStep({ x }: Batch, step: Step) {
    let predictions: Tensor | undefined;
    const loss = step.minimize(() => {
      predictions = this.apply(x, step);
      return step.computeLoss(predictions);
    });
    step.updateMetrics(predictions!);
    return { loss };
  }
}

describeBackends(
  'own steps',
  () => {
    it('that write the built-in one out are equal to it to the bit', async () => {
      const { x, y } = clusters(50);
      const results = [];
      for (const make of [() => new Classifier(), () => new WrittenOut()]) {
        setSeed(2);
        const network = make();
        network.compile({ ...settings, metrics: ['accuracy'] });
        const sampleWeight = Float32Array.from({ length: 50 }, (_, i) => 0.5 + (i % 3));
        const { history } = await network.fit(x, y, {
          epochs: 3,
          batchSize: 16,
          verbose: 0,
          validationSplit: 0.2,
          sampleWeight,
        });
        results.push({ history, weights: network.getWeights() });
        network.dispose();
      }
      assert.deepEqual(results[1], results[0]);
    });

    it('may be those of sequential models and graphs', async () => {
      const squared = (step: Step, network: Model, batch: Batch) =>
        step.minimize(() => mean(square(sub(network.apply(batch.x, step), batch.y))));
      class Chain extends Sequential {
        override trainStep(batch: Batch, step: Step) {
          return { loss: squared(step, this, batch) };
        }
      }
      class Graph extends Functional {
        override trainStep(batch: Batch, step: Step) {
          return { loss: squared(step, this, batch) };
        }
      }
      const [x, y] = [wave(20, 3, 1), wave(20, 2, 2)];
      const results = [];
      for (const make of [
        () => sequential({ layers: [layers.dense({ units: 2, inputShape: [3] })] }),
        () => new Chain({ layers: [layers.dense({ units: 2, inputShape: [3] })] }),
        () => {
          const entry = input({ shape: [3] });
          return new Graph({ inputs: entry, outputs: layers.dense({ units: 2 }).apply(entry) });
        },
      ]) {
        setSeed(6);
        const network = make();
        network.compile({ optimizer: 'adam', loss: 'mse' });
        const { history } = await network.fit(x, y, { epochs: 3, batchSize: 8, verbose: 0 });
        results.push(history.loss!.map((loss) => Math.round(loss * 1e5)));
        network.dispose();
      }
      assert.deepEqual(results[1], results[0]);
      assert.deepEqual(results[2], results[0]);
    });

    it('train two models against each other, each with its own weights and optimizer', async () => {
      setSeed(4);
      const gan = new Gan();
      gan.compile({});
      const before = memory().programs;
      const { history, steps } = await gan.fit(wave(70, 6, 0.7), null, {
        epochs: 3,
        batchSize: 16,
        verbose: 0,
      });
      assert.deepEqual(Object.keys(history), ['dLoss', 'gLoss']);
      assert.equal(steps, 15);
      assert.ok(Object.values(history).flat().every(Number.isFinite));
      const { trainer } = { trainer: gan.trainer('test') };
      const stepsOf = (optimizer: object) => trainer.optimizerState().get(bad(optimizer))?.step;
      assert.equal(stepsOf(gan.ofGenerator), 15);
      assert.equal(stepsOf(gan.ofDiscriminator), 30);
      close([gan.ofDiscriminator.learningRate], [0.02 * 0.5 ** 29], near);
      const samples = await gan.predict(wave(3, 4, 1));
      assert.deepEqual(samples.shape, [3, 6]);
      // Two programs of the step, full batches and the rest, and the prediction: no program an op.
      assert.ok(memory().programs - before < 40, `${memory().programs - before} programs`);
      gan.dispose();
    });

    it('go on exactly where a signal stopped them, and run over data sets', async () => {
      const x = wave(160, 6, 0.7).keep();
      const options = { epochs: 3, batchSize: 16, verbose: 0 } as const;
      const begin = () => {
        setSeed(4);
        const gan = new Gan();
        gan.compile({});
        return gan;
      };
      const whole = begin();
      await whole.fit(x, null, options);
      const parted = begin();
      const abort = new AbortController();
      const onBatchEnd = (step: number) => {
        if (step === 3) abort.abort();
      };
      const { stopped } = await parted.fit(x, null, {
        ...options,
        signal: abort.signal,
        callbacks: [{ onBatchEnd }],
      });
      assert.ok(stopped !== undefined);
      await parted.fit(x, null, { ...options, resume: stopped });
      assert.deepEqual(parted.getWeights(), whole.getWeights());

      const inMemory = begin();
      const { history } = await inMemory.fit(x, null, { ...options, shuffle: false });
      const fed = begin();
      const same = await fed.fit(data.fromTensorSlices(x).batch(16), { epochs: 3, verbose: 0 });
      assert.deepEqual(same.history, history);
      for (const gan of [whole, parted, inMemory, fed]) gan.dispose();
    });

    it('compute what each call of the optimizers would, one after the other', async () => {
      class Two extends Model {
        a = new Variable(tensor([1, -2, 3]), 'a');
        b = new Variable(tensor([0.5, 1, 2]), 'b');
        first = optimizers.sgd({ learningRate: 0.1 });
        second = optimizers.sgd({ learningRate: 0.1, momentum: 0.9 });
        seen = new Variable(tensor([0]), 'seen', false);
        override call(x: Tensor): Tensor {
          return mul(x, add(this.a, this.b));
        }
        override trainStep({ x }: Batch, step: Step) {
          const error = () => mean(square(this.apply(x, step)));
          const one = step.gradients(error, this.a);
          step.applyGradients(one.gradients, { of: this.a, optimizer: this.first });
          const after = step.minimize(error, { of: [this.b], optimizer: this.second });
          step.minimize(error, { of: [this.b], optimizer: this.second });
          // The first gradient is still what it was.
          step.report({ gradient: mean(one.gradients[0]!) });
          this.seen.assign(add(this.seen, mean(x)));
          return { before: one.loss, after, last: error() };
        }
      }
      const two = new Two();
      two.compile({});
      const x = [1, 2, -1];
      let [a, b, velocity] = [
        [1, -2, 3],
        [0.5, 1, 2],
        [0, 0, 0],
      ];
      const loss = () => x.reduce((sum, v, i) => sum + (v * (a[i]! + b[i]!)) ** 2, 0) / 3;
      const gradient = () => x.map((v, i) => (2 * v * v * (a[i]! + b[i]!)) / 3);
      for (let i = 0; i < 3; i++) {
        const logs = await two.trainOnBatch([x]);
        const before = loss();
        const first = gradient();
        a = a.map((v, k) => v - 0.1 * first[k]!);
        const after = loss();
        for (let use = 0; use < 2; use++) {
          const g = gradient();
          velocity = velocity.map((v, k) => 0.9 * v - 0.1 * g[k]!);
          b = b.map((v, k) => v + velocity[k]!);
        }
        const average = first.reduce((sum, v) => sum + v) / 3;
        close(
          [logs.before!, logs.after!, logs.last!, logs.gradient!],
          [before, after, loss(), average],
          near,
        );
        close(two.a.dataSync(), a, near);
        close(two.b.dataSync(), b, near);
      }
      close(two.seen.dataSync(), [2], near);
      two.dispose();
    });

    it('of evaluation report what they say', async () => {
      class Tested extends Classifier {
        override testStep({ x, y }: Batch, step: Step) {
          const predictions = this.apply(x, step);
          assert.equal(step.training, false);
          return { loss: step.computeLoss(predictions), first: mul(add(y, 0), 1).cast('float32') };
        }
      }
      const { x, y, labels } = clusters(20);
      const tested = new Tested();
      tested.compile({ optimizer: 'sgd', loss: 'sparseCategoricalCrossentropy' });
      const logs = await tested.evaluate(x, y, { batchSize: 8 });
      close([logs.first!], [labels.reduce((a, b) => a + b) / 20], near);
      const { history } = await tested.fit(x, y, { verbose: 0, validationData: [x, y] });
      assert.deepEqual(Object.keys(history), ['loss', 'val_loss', 'val_first']);
      tested.dispose();
    });
  },
  modelBackends,
);

interface StepFixture {
  batch: number;
  real: Numbers;
  noise: Numbers;
  start: number[][];
  losses: [number, number][];
  weights: number[][];
}

/** The fixture's models, trained with the noise that it gives. */
class KerasGan extends Model {
  generator = sequential({
    layers: [
      layers.dense({ units: 6, useBias: false, inputShape: [3] }),
      layers.batchNormalization(),
      layers.leakyReLU({ negativeSlope: 0.2 }),
      layers.dense({ units: 5, activation: 'tanh' }),
    ],
  });
  discriminator = sequential({
    layers: [layers.dense({ units: 7, activation: 'tanh', inputShape: [5] }), layers.dense({ units: 1 })],
  });
  ofGenerator = optimizers.adam({ learningRate: 0.02, beta1: 0.5 });
  ofDiscriminator = optimizers.rmsprop({ learningRate: 0.01, clipnorm: 0.5 });

  override call(z: Tensor, context: CallContext): Tensor {
    return this.generator.apply(z, context);
  }

  override trainStep({ x: { real, noise }, size }: Batch<{ real: Tensor; noise: Tensor }>, step: Step) {
    const { generator, discriminator, ofGenerator, ofDiscriminator } = this;
    const judged = (label: number, digits: Tensor) => {
      const scores = discriminator.apply(digits, step);
      return mean(losses.binaryCrossentropy({ fromLogits: true }).call(fill([size, 1], label), scores));
    };
    const dLoss = step.minimize(() => add(judged(1, real), judged(0, generator.apply(noise, step))), {
      of: discriminator,
      optimizer: ofDiscriminator,
    });
    const gLoss = step.minimize(() => judged(1, generator.apply(noise, step)), {
      of: generator,
      optimizer: ofGenerator,
    });
    return { dLoss, gLoss };
  }
}

describeBackends(
  'a step of two optimizers as in Keras',
  () => {
    it('gives its losses and weights', async () => {
      const known = fixture<StepFixture>('custom-step');
      const gan = new KerasGan();
      gan.compile({});
      gan.generator.build([3]);
      gan.discriminator.build([5]);
      gan.setWeights(known.start.map((weight) => Float32Array.from(weight)));
      const seen: number[][] = [];
      const onBatchEnd = (_: number, { dLoss, gLoss }: Logs) => void seen.push([dLoss!, gLoss!]);
      const x = { real: known.real, noise: known.noise };
      const options = {
        batchSize: known.batch,
        shuffle: false,
        verbose: 0,
        callbacks: [{ onBatchEnd }],
      } as const;
      await gan.fit({ real: numbers(x.real), noise: numbers(x.noise) }, null, options);
      close(seen.flat(), known.losses.flat(), { rtol: 2e-5, atol: 1e-6 }, 'losses');
      gan.getWeights().forEach((weight, i) => {
        close(weight, known.weights[i]!, { rtol: 5e-5, atol: 5e-6 }, `weight ${i}`);
      });
      gan.dispose();
    });
  },
  modelBackends,
);
