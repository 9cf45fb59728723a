// Loss scaling: scale, counts and weights beside Keras' LossScaleOptimizer, overflows under mixed_float16, and going on from a file.
import assert from 'node:assert/strict';
import {
  type Batch,
  layers,
  Model,
  mean,
  modelFromBytes,
  mul,
  optimizers,
  type Sequential,
  type Step,
  sequential,
  setSeed,
  square,
  sub,
  type Tensor,
  tensor,
} from '../src/api.ts';
import type { LossScaleState } from '../src/optimizers/loss-scale.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';
import { fixture, modelBackends, oneBackend, twoBackends } from './support/fixtures.ts';
import { allWeights, noLabels, type ProbeFixture, probeModel, probeWeights } from './support/probe.ts';

interface Fixture extends ProbeFixture {
  gradients: number[][];
  cases: {
    name: string;
    optimizer: keyof typeof factories;
    options: optimizers.OptimizerOptions;
    growth: number;
    schedule: [number, number, number] | null;
    constrained: boolean;
    scale: number[];
    counted: number[];
    iterations: number[];
    weights: number[][];
    final: number[] | null;
  }[];
}

const { adam, adamw, lamb, lossScale, schedules, sgd } = optimizers;
const factories = { adam, adamw, lamb, sgd };
const fixed = fixture<Fixture>('loss-scale');
const { gradients, cases } = fixed;
const tolerance = { rtol: 1e-5, atol: 2e-6 };

function made({ optimizer, options, schedule, growth }: Fixture['cases'][number]) {
  const rate =
    schedule === null
      ? {}
      : {
          learningRate: schedules.exponentialDecay({
            initialLearningRate: schedule[0],
            decaySteps: schedule[1],
            decayRate: schedule[2],
          }),
        };
  return lossScale(factories[optimizer]({ ...options, ...rate }), { dynamicGrowthSteps: growth });
}

/** Where a model's optimizer stands. */
function standing(model: Sequential) {
  const { group } = model.trainer('test');
  const { lossScale: state, step } = group.readState();
  return { ...(state as LossScaleState), iterations: step };
}

const few = twoBackends.filter(({ name }) => name !== 'cuda');

describeBackends(
  'loss scaling as in Keras',
  () => {
    for (const one of cases) {
      it(one.name, async () => {
        const optimizer = made(one);
        const model = probeModel(probeWeights(fixed, one.constrained), optimizer);
        assert.equal(optimizer.dynamicScale, 2 ** 15);
        for (const [i, row] of gradients.entries()) {
          const before = allWeights(model);
          const { loss } = await model.trainOnBatch(tensor([row]), noLabels());
          // What is reported is the loss, not what it was scaled to.
          if (before.length > 0) {
            const wanted = row.reduce((total, x, j) => total + x * before[j]!, 0);
            close([loss!], [wanted], { rtol: 1e-4, atol: 1e-4 * Math.max(...row.map(Math.abs)) }, 'loss');
          }
          const { scale, steps, iterations } = standing(model);
          assert.deepEqual(
            [scale, steps, iterations],
            [one.scale[i], one.counted[i], one.iterations[i]],
            `after step ${i + 1}`,
          );
          assert.equal(optimizer.dynamicScale, scale);
          const skipped = row.some((x) => x > 1e34);
          if (skipped && before.length > 0) assert.deepEqual(allWeights(model), before, 'nothing changed');
          close(allWeights(model), one.weights[i]!, tolerance, `after step ${i + 1}`);
        }
        model.dispose();
      });
    }
  },
  few,
);

describeBackends(
  'loss scaling in a fit',
  () => {
    for (const one of cases) {
      it(`${one.name}: many steps in one program`, async () => {
        const model = probeModel(probeWeights(fixed, one.constrained), made(one));
        const x = tensor(gradients);
        await model.fit(x, noLabels(gradients.length), { batchSize: 1, shuffle: false, verbose: 0 });
        close(allWeights(model), one.final ?? one.weights.at(-1)!, tolerance);
        const { scale, steps, iterations } = standing(model);
        assert.deepEqual(
          [scale, steps, iterations],
          [one.scale.at(-1), one.counted.at(-1), one.iterations.at(-1)],
        );
        model.dispose();
      });
    }
  },
  modelBackends.filter(({ name }) => name !== 'cuda'),
);

/** A network whose hidden numbers are float16, compiled. */
function network(optimizer: optimizers.OptimizerLike = adam({ learningRate: 0.01 })): Sequential {
  setSeed(3);
  const model = sequential({
    layers: [
      layers.dense({ units: 16, activation: 'tanh', inputShape: [4], dtype: 'mixed_float16' }),
      layers.dense({ units: 8, activation: 'tanh', dtype: 'mixed_float16' }),
      layers.dense({ units: 1 }),
    ],
  });
  model.compile({ optimizer, loss: 'meanSquaredError' });
  return model;
}

/** `count` samples, those from `at` on with labels that are far away. */
function samples(count: number, at = count, far = 0) {
  const x = Float32Array.from({ length: count * 4 }, (_, i) => Math.sin(i * i));
  const y = Float32Array.from({ length: count }, (_, i) => (i >= at ? far : Math.cos(i)));
  return [tensor(x, [count, 4]), tensor(y, [count, 1])] as const;
}

describeBackends(
  'mixed_float16',
  () => {
    it('halves the scale where gradients of float16 overflow, passes the step over, and trains on', async () => {
      const model = network();
      await model.trainOnBatch(...samples(8));
      const before = model.getWeights();
      const optimizer = standing(model);
      assert.deepEqual(optimizer, { scale: 2 ** 15, steps: 1, iterations: 1 });
      // The gradient of the squared error is some hundreds, times 2^15 beyond 65504.
      const { loss } = await model.trainOnBatch(...samples(8, 0, 500));
      assert.ok(loss! > 2e5 && loss! < 3e5, `the loss is reported as it is, got ${loss}`);
      assert.deepEqual(standing(model), { scale: 2 ** 14, steps: 0, iterations: 1 });
      assert.deepEqual(model.getWeights(), before);
      const history = await model.fit(...samples(64), { epochs: 30, batchSize: 8, verbose: 0 });
      const losses = history.history.loss as number[];
      assert.ok(losses.at(-1)! < 0.8 * losses[0]!, `${losses[0]} becomes ${losses.at(-1)}`);
      assert.equal(standing(model).iterations, 241);
      model.dispose();
    });

    it('keeps gradients that float16 would lose', async () => {
      // Gradients of 1e-9: less than half of the least float16.
      const moved: number[] = [];
      for (const autoScaleLoss of [true, false]) {
        setSeed(4);
        const model = sequential({
          layers: [layers.dense({ units: 1, inputShape: [4], dtype: 'mixed_float16' })],
        });
        const loss = (y: Tensor, p: Tensor) => mul(mean(square(sub(y, p)), 1), 1e-9);
        model.compile({ optimizer: sgd({ learningRate: 1e8 }), loss, autoScaleLoss });
        const [x, y] = samples(8);
        await model.trainOnBatch(x, y);
        const before = model.getWeights();
        await model.trainOnBatch(x, y);
        moved.push(Math.max(...model.getWeights()[0]!.map((w, i) => Math.abs(w - before[0]![i]!))));
        model.dispose();
      }
      assert.ok(moved[0]! > 1e-3, `moved by ${moved[0]}`);
      assert.equal(moved[1], 0);
    });

    it('goes on from a file to the bit: scale, counts, states and weights', async () => {
      const through = network(lossScale(adamw({ learningRate: 0.01 }), { dynamicGrowthSteps: 3 }));
      const [x, y] = samples(64);
      const options = { batchSize: 8, shuffle: false, verbose: 0 } as const;
      await through.trainOnBatch(...samples(8, 0, 500));
      await through.fit(x, y, { ...options, epochs: 1 });
      const bytes = await through.toBytes();
      const stood = standing(through);
      await through.fit(x, y, { ...options, epochs: 2 });
      const again = modelFromBytes(bytes) as Sequential;
      assert.deepEqual(standing(again), stood);
      assert.notEqual(stood.scale, 2 ** 15);
      await again.fit(x, y, { ...options, epochs: 2 });
      assert.deepEqual(standing(again), standing(through));
      assert.deepEqual(again.getWeights(), through.getWeights());
      through.dispose();
      again.dispose();
    });

    it('works in training steps of their own', async () => {
      class Own extends Model {
        readonly hidden = layers.dense({ units: 8, activation: 'tanh', dtype: 'mixed_float16' });
        readonly out = layers.dense({ units: 1 });
        readonly mine = lossScale(sgd({ learningRate: 0.1 }), { initialScale: 2 ** 12 });
        readonly twice: boolean;
        constructor(twice: boolean) {
          super();
          this.twice = twice;
        }
        override call(x: Tensor) {
          return this.out.apply(this.hidden.apply(x));
        }
        override trainStep({ x, y }: Batch, step: Step) {
          const loss = () => mean(square(sub(y, this.apply(x, step))));
          if (!this.twice) return { loss: step.minimize(loss, { optimizer: this.mine }) };
          const { gradients, loss: value } = step.gradients(loss, this, this.mine);
          step.applyGradients(gradients, { optimizer: this.mine });
          step.applyGradients(gradients, { optimizer: this.mine });
          return { loss: value };
        }
      }
      const [x, y] = samples(8);
      const losses: number[][] = [];
      for (const scaled of [true, false]) {
        setSeed(5);
        const model = new Own(false);
        if (!scaled) Object.assign(model, { mine: sgd({ learningRate: 0.1 }) });
        model.compile({ optimizer: 'sgd' });
        const own: number[] = [];
        for (let i = 0; i < 5; i++) own.push((await model.trainOnBatch(x, y)).loss!);
        losses.push(own);
        if (scaled) assert.equal(model.mine.dynamicScale, 2 ** 12);
        model.dispose();
      }
      close(losses[0]!, losses[1]!, { rtol: 0.01, atol: 0 }, 'losses');
      assert.ok(losses[0]![4]! < losses[0]![0]!);
      setSeed(5);
      const twice = new Own(true);
      twice.compile({ optimizer: 'sgd' });
      await twice.trainOnBatch(...samples(8, 0, 1e6));
      assert.equal(twice.mine.dynamicScale, 2 ** 10, 'halved each time');
      twice.dispose();
      assert.equal(twice.mine.dynamicScale, 2 ** 10, 'told after the model is gone');
    });
  },
  few,
);

describeBackends(
  'loss scaling',
  () => {
    it('is set by compile where layers compute in float16, unless told otherwise', async () => {
      const scales = (model: Sequential) =>
        model.compiled('test').optimizer instanceof optimizers.LossScaleOptimizer;
      const model = network();
      assert.equal(scales(model), true);
      const own = lossScale(adam());
      model.compile({ optimizer: own, loss: 'meanSquaredError' });
      assert.equal(model.compiled('test').optimizer, own);
      model.compile({ optimizer: 'adam', loss: 'meanSquaredError', autoScaleLoss: false });
      assert.equal(scales(model), false);
      const half = sequential({
        layers: [layers.dense({ units: 1, inputShape: [2], dtype: 'mixed_bfloat16' })],
      });
      half.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
      assert.equal(scales(half), false);
      const inner = layers.dense({ units: 1, inputShape: [2], dtype: 'mixed_float16' });
      const deep = sequential({ layers: [sequential({ layers: [inner] })] });
      deep.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
      assert.equal(scales(deep), true);
    });

    it('hands rate, states and groups of the inner optimizer on', () => {
      const inner = adam({ learningRate: 0.5 });
      const wrapped = lossScale(inner);
      assert.equal(wrapped.learningRate, 0.5);
      wrapped.learningRate = 0.25;
      assert.equal(inner.learningRate, 0.25);
      const schedule = schedules.exponentialDecay({
        initialLearningRate: 1,
        decaySteps: 1,
        decayRate: 0.5,
      });
      assert.equal(lossScale(sgd({ learningRate: schedule })).schedule, schedule);
      assert.equal(wrapped.initialScale, 32768);
      assert.equal(wrapped.dynamicGrowthSteps, 2000);
    });

    it('refuses what it cannot wrap and numbers that make no sense', () => {
      assert.throws(() => lossScale(bad('adam')), says('lossScale', "bad optimizer, got 'adam'"));
      assert.throws(() => lossScale(lossScale(adam())), says('lossScale', 'scales the loss already'));
      for (const initialScale of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e39, bad<number>('2')])
        assert.throws(() => lossScale(adam(), { initialScale }), says('lossScale', 'bad initialScale'));
      for (const dynamicGrowthSteps of [0, 1.5, 2 ** 31, bad<number>('2')])
        assert.throws(
          () => lossScale(adam(), { dynamicGrowthSteps }),
          says('lossScale', 'bad dynamicGrowthSteps'),
        );
    });

    it('never grows beyond what can be halved again', async () => {
      const model = probeModel(
        probeWeights(fixed),
        lossScale(sgd(), { initialScale: 2 ** 126, dynamicGrowthSteps: 1 }),
      );
      const tiny = tensor([Array<number>(16).fill(1e-30)]);
      for (let i = 0; i < 4; i++) await model.trainOnBatch(tiny, noLabels());
      assert.equal(standing(model).scale, 2 ** 127);
      model.dispose();
    });
  },
  oneBackend,
);
