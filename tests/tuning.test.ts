// Tuning helpers: the learning rate finder, cross-validation, searches for settings, weights of classes.
import assert from 'node:assert/strict';
import {
  classWeights,
  data,
  fill,
  findLearningRate,
  foldIndices,
  gridSearch,
  kFold,
  layers,
  memory,
  mul,
  oneHot,
  optimizers,
  randomSearch,
  samples,
  sequential,
  setSeed,
  square,
  sub,
  sum,
  type Tensor,
  tensor,
  watchTraining,
  zeros,
} from '../src/api.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, weightsOf } from './support/models.ts';

interface Settings {
  units: number;
  rate: number;
}

function build({ units, rate }: Settings) {
  const model = sequential({
    layers: [
      layers.dense({ units, activation: 'relu', inputShape: [6] }),
      layers.dense({ units: 3, activation: 'softmax' }),
    ],
  });
  const optimizer = optimizers.sgd({ learningRate: rate });
  model.compile({ optimizer, loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

/** How many there are, without what earlier tests left behind. */
function buffers(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return memory().buffers;
}

const searching = { validationSplit: 0.25, epochs: 3, batchSize: 16, verbose: 0, trialSeed: 5 } as const;

describeBackends(
  'tuning',
  () => {
    it('finds a learning rate between too small and too large, and leaves the model as it was', async () => {
      setSeed(3);
      const model = compiled({ optimizer: optimizers.sgd({ learningRate: 0.5 }) });
      model.build([6]);
      const before = weightsOf(model);
      const { x, labels } = clusters(200);
      const found = await findLearningRate(model, x, labels, {
        from: 1e-5,
        to: 100,
        steps: 80,
        batchSize: 16,
      });
      assert.ok(found.suggestion! > 1e-3 && found.suggestion! < 10, `${found.suggestion}`);
      assert.equal(found.rates.length, found.losses.length);
      close([found.rates[0]!, found.rates[1]! / found.rates[0]!], [1e-5, 1e7 ** (1 / 79)], {
        rtol: 1e-9,
        atol: 0,
      });
      assert.deepEqual(weightsOf(model), before);
      const { optimizer } = model.compiled('test');
      assert.equal(optimizer.learningRate, 0.5);
      const again = await findLearningRate(model, x, labels, {
        from: 1e-5,
        to: 100,
        steps: 80,
        batchSize: 16,
      });
      assert.deepEqual(again, found);
      model.dispose();
    });

    it('cross-validates: each model sees the other folds, and all is freed', async () => {
      const { x, y, labels } = clusters(60);
      const bytes = samples(Uint8Array.from(labels), { oneHot: 3 });
      setSeed(4);
      const seen: number[] = [];
      const make = () => {
        const model = compiled({
          loss: 'categoricalCrossentropy',
          optimizer: optimizers.adam({ learningRate: 0.05 }),
        });
        model.build([6]);
        seen.push(weightsOf(model)[0]!);
        return model;
      };
      const used = buffers();
      const { folds, mean, std } = await kFold(make, x, bytes, {
        folds: 3,
        stratify: y,
        epochs: 8,
        verbose: 0,
      });
      assert.ok(buffers() <= used);
      assert.equal(folds.length, 3);
      assert.equal(new Set(seen).size, 3);
      const values = folds.map(({ accuracy }) => accuracy!);
      const average = values.reduce((a, b) => a + b) / 3;
      close([mean.accuracy!], [average], { rtol: 1e-12, atol: 0 });
      const variance = values.reduce((sum, value) => sum + (value - average) ** 2, 0) / 2;
      close([std.accuracy!], [Math.sqrt(variance)], { rtol: 1e-9, atol: 1e-12 });
      assert.ok(mean.accuracy! > 0.6, `${mean.accuracy}`);
      bytes.dispose();
    });

    it('searches a grid and gives the best model', async () => {
      const { x, y } = clusters(120);
      const used = buffers();
      const grid = { units: [4, 16], rate: [1e-5, 0.3] };
      const { trials, best, model } = await gridSearch(build, grid, x, y, searching);
      assert.deepEqual(
        trials.map(({ settings }) => [settings.units, settings.rate]),
        [
          [4, 1e-5],
          [4, 0.3],
          [16, 1e-5],
          [16, 0.3],
        ],
      );
      assert.equal(best.score, Math.min(...trials.map(({ score }) => score)));
      assert.equal(best.settings.rate, 0.3);
      assert.equal(best.logs.val_loss, best.score);
      assert.equal(model.countParams(), best.settings.units * 10 + 3);
      // The seed makes the best one repeat, wherever it stood in the search.
      const alone = { units: [best.settings.units], rate: [0.3] };
      const again = await gridSearch(build, alone, x, y, searching);
      assert.equal(again.best.score, best.score);
      assert.deepEqual(weightsOf(again.model), weightsOf(model));
      model.dispose();
      again.model.dispose();
      assert.ok(buffers() <= used);
    });
  },
  twoBackends,
);

describeBackends(
  'tuning helpers',
  () => {
    it('split samples into folds', () => {
      const folds = foldIndices(11, { folds: 3 });
      const sizes = folds.map(({ train, validation }) => [train.length, validation.length]);
      assert.deepEqual(sizes.toSorted(), [
        [7, 4],
        [7, 4],
        [8, 3],
      ]);
      const held = folds.flatMap(({ validation }) => [...validation]);
      assert.deepEqual(
        held.toSorted((a, b) => a - b),
        Array.from({ length: 11 }, (_, i) => i),
      );
      for (const { train, validation } of folds) assert.ok(validation.every((row) => !train.includes(row)));
      assert.notDeepEqual(
        held,
        held.toSorted((a, b) => a - b),
      );
      assert.deepEqual(foldIndices(11, { folds: 3 }), folds);
      assert.notDeepEqual(foldIndices(11, { folds: 3, seed: 1 }), folds);
      const inOrder = foldIndices(6, { folds: 3, shuffle: false });
      assert.deepEqual(
        inOrder.map(({ validation }) => [...validation]),
        [
          [0, 1],
          [2, 3],
          [4, 5],
        ],
      );
    });

    it('give every fold its share of each class', () => {
      const labels = Array.from({ length: 40 }, (_, i) => (i < 30 ? 0 : 1));
      for (const { validation } of foldIndices(40, { folds: 5, stratify: labels })) {
        assert.equal(validation.length, 8);
        assert.equal(validation.filter((row) => labels[row] === 1).length, 2);
      }
    });

    it('weigh classes by how rare they are', () => {
      // scikit-learn: compute_class_weight('balanced', classes=[0, 1, 3], y=[0, 0, 0, 1, 1, 3]).
      const expected = { 0: 6 / 9, 1: 1, 3: 2 };
      assert.deepEqual(classWeights([0, 0, 0, 1, 1, 3]), expected);
      assert.deepEqual(classWeights(tensor([0, 0, 0, 1, 1, 3], undefined, 'int32')), expected);
      const rows = [0, 0, 0, 1, 1, 3].map((label) =>
        Array.from({ length: 4 }, (_, i) => Number(i === label)),
      );
      assert.deepEqual(classWeights(rows), expected);
      assert.throws(
        () => classWeights([0, 0.5]),
        /\[classWeights\] bad label, got 0.5 at 1, expected class indices/,
      );
      assert.throws(() => classWeights(zeros([0])), /\[classWeights\] got no labels/);
    });

    it('search at random within ranges, the same with the same seed', async () => {
      const { x, y } = clusters(40);
      const space = {
        units: { min: 2, max: 5, integer: true },
        rate: { min: 1e-4, max: 1, log: true },
        activation: ['relu', 'tanh'] as const,
        extra: (random: { uniform(): number }) => random.uniform(),
      };
      const drawn: object[] = [];
      const make = (settings: Settings & { activation: 'relu' | 'tanh'; extra: number }) => {
        drawn.push(settings);
        return build(settings);
      };
      const options = { ...searching, trials: 12, epochs: 1 };
      const { trials, model } = await randomSearch(make, space, x, y, options);
      model.dispose();
      assert.equal(trials.length, 12);
      for (const { settings } of trials) {
        assert.ok([2, 3, 4, 5].includes(settings.units));
        assert.ok(settings.rate >= 1e-4 && settings.rate <= 1 && settings.extra < 1);
      }
      assert.ok(trials.some(({ settings }) => settings.rate < 0.01));
      assert.equal(new Set(trials.map(({ settings }) => settings.units)).size, 4);
      const first = drawn.splice(0);
      (await randomSearch(make, space, x, y, options)).model.dispose();
      assert.deepEqual(drawn, first);
    });

    it('go on where a trial fails, and say so where all do', async () => {
      const { x, y } = clusters(40);
      const make = ({ rate }: { rate: number }) => build({ units: 4, rate });
      const grid = { rate: [1e30, 0.1] };
      const { trials, best, model } = await gridSearch(make, grid, x, y, {
        ...searching,
        monitor: 'val_accuracy',
      });
      model.dispose();
      assert.ok(Number.isNaN(trials[0]!.score));
      assert.match(trials[0]!.error!.message, /turned NaN/);
      assert.equal(best.settings.rate, 0.1);
      await assert.rejects(
        gridSearch(make, { rate: [1e30] }, x, y, searching),
        /\[gridSearch\] all 1 trials failed, the first with: .*turned NaN/,
      );
    });

    it('search over data sets', async () => {
      const { x, y } = clusters(48);
      const set = data.fromTensorSlices([x, y]).batch(8);
      const make = ({ rate }: { rate: number }) => build({ units: 4, rate });
      const { best, trials, model } = await gridSearch(make, { rate: [1e-6, 0.3] }, set, undefined, {
        epochs: 3,
        validationData: set,
        verbose: 0,
        trialSeed: 1,
      });
      model.dispose();
      assert.equal(trials.length, 2);
      assert.equal(best.settings.rate, 0.3);
    });

    it('refuse what makes no sense', async () => {
      const { x, y } = clusters(20);
      const model = compiled();
      const found = (options: object) => findLearningRate(model, x, y, options);
      await assert.rejects(
        found({ from: 1, to: 0.1 }),
        /\[findLearningRate\] bad from and to, got 1 and 0.1/,
      );
      await assert.rejects(
        found({ steps: 3 }),
        /\[findLearningRate\] bad steps, got 3, expected an integer >= 10/,
      );
      await assert.rejects(found({ smoothing: 1 }), /\[findLearningRate\] bad smoothing, got 1/);
      await assert.rejects(found({ divergence: 1 }), /\[findLearningRate\] bad divergence, got 1/);
      await assert.rejects(
        findLearningRate(model, x, tensor([1])),
        /\[findLearningRate\] got 20 samples and 1 labels, expected the same number/,
      );
      const schedule = optimizers.schedules.constant(0.1);
      const scheduled = compiled({ optimizer: optimizers.sgd({ learningRate: schedule }) });
      await assert.rejects(findLearningRate(scheduled, x, y), /the optimizer follows the schedule constant/);
      scheduled.dispose();
      model.dispose();
      assert.throws(
        () => foldIndices(3, { folds: 1 }),
        /\[kFold\] bad folds, got 1, expected an integer >= 2/,
      );
      assert.throws(() => foldIndices(3), /\[kFold\] got 3 samples for 5 folds/);
      assert.throws(
        () => foldIndices(6, { stratify: [1] }),
        /\[kFold\] got 1 labels in stratify, expected 6/,
      );
      const make = (settings: object) => build(settings as Settings);
      await assert.rejects(
        gridSearch(make, { units: [] }, x, y),
        /\[gridSearch\] bad units, got .*, expected an array/,
      );
      await assert.rejects(
        gridSearch(make, { units: [2], rate: [0.1] }, x, y, { verbose: 0 }),
        /\[gridSearch\] nothing to compare, got monitor 'val_loss', expected one of loss, accuracy; give validationData/,
      );
      await assert.rejects(
        gridSearch(make, { units: [2] }, x, y, { mode: 'up' as 'max' }),
        /\[gridSearch\] bad mode, got 'up'/,
      );
      await assert.rejects(randomSearch(make, {}, x, y, { trials: 0 }), /\[randomSearch\] bad trials, got 0/);
      for (const bad of [
        [],
        3,
        { min: 2, max: 1 },
        { min: 0, max: 1, log: true },
        { min: 0.5, max: 2, integer: true },
      ]) {
        await assert.rejects(
          randomSearch(make, { rate: bad as never }, x, y),
          /\[randomSearch\] bad rate, got .*expected values/,
        );
      }
    });
  },
  oneBackend,
);

describeBackends(
  'watching a training',
  () => {
    const { dense, reLU } = layers;

    it('tells norms of weights and gradients, and what layers give', async () => {
      const model = sequential({
        layers: [dense({ units: 2, inputShape: [2], kernelInitializer: 'identity' }), reLU()],
      });
      model.compile({ optimizer: optimizers.sgd({ learningRate: 0 }), loss: (_y, p) => sum(p, 1) });
      const x = tensor([
        [3, -1],
        [1, -4],
      ]);
      const watch = watchTraining(model, { x });
      await model.fit(x, zeros([2, 1]), { epochs: 2, verbose: 0, callbacks: [watch] });
      assert.deepEqual(
        watch.history.map(({ epoch }) => epoch),
        [0, 1],
      );
      const { weights, outputs, gradientNorm } = watch.history[1]!;
      assert.deepEqual(
        weights.map(({ name }) => name),
        ['dense/kernel', 'dense/bias'],
      );
      // The loss is the mean of the first column: the gradients are the inputs' means, and 1.
      const kernel = Math.hypot(2, -2.5);
      close(
        weights.map((weight) => weight.gradientNorm),
        [kernel, 1],
        { rtol: 1e-5, atol: 0 },
      );
      close([gradientNorm, weights[0]!.norm], [Math.hypot(kernel, 1), Math.SQRT2], { rtol: 1e-5, atol: 0 });
      assert.deepEqual(
        outputs.map(({ name, zeros, units, dead }) => [name, zeros, units, dead]),
        [
          ['dense', 0, 2, 0],
          ['reLU', 0.5, 2, 1],
        ],
      );
      close([outputs[1]!.mean, outputs[1]!.std], [1, Math.sqrt(1.5)], { rtol: 1e-5, atol: 0 });
      model.dispose();
    });

    it('warns of dead units, and of gradients that explode and vanish, once a fit', async () => {
      const { x, y } = clusters(40);
      const said: string[] = [];
      const fitted = async (scale: number, bias: number) => {
        const model = sequential({
          layers: [
            dense({
              units: 4,
              activation: 'relu',
              inputShape: [6],
              biasInitializer: () => fill([4], bias),
              name: 'first',
            }),
            dense({ units: 3, biasInitializer: 'ones' }),
          ],
        });
        const loss = (labels: Tensor, output: Tensor) =>
          mul(sum(square(sub(output, oneHot(labels, 3))), 1), scale);
        model.compile({ optimizer: optimizers.sgd({ learningRate: 0 }), loss });
        const watch = watchTraining(model, { x, warn: (message) => said.push(message) });
        await model.fit(x, y, { epochs: 3, verbose: 0, callbacks: [watch] });
        model.dispose();
        return said.splice(0);
      };
      assert.deepEqual(await fitted(1, 0.5), []);
      const [dead, ...none] = await fitted(1, -100);
      assert.match(dead!, /4 of 4 units of first are dead in epoch 1: .*; lower the learning rate/);
      assert.deepEqual(none, []);
      assert.match(
        (await fitted(1e6, 0.5)).join(),
        /gradients explode in epoch 1: their norm is .* most of it in .*globalClipnorm/,
      );
      assert.match((await fitted(1e-12, 0.5)).join(), /gradients vanish in epoch 1/);
    });

    it('refuses options that make no sense', () => {
      const model = compiled();
      assert.throws(() => watchTraining(model, { every: 0 }), /\[watchTraining\] bad every, got 0/);
      assert.throws(() => watchTraining(model, { exploding: -1 }), /\[watchTraining\] bad exploding, got -1/);
      model.dispose();
    });
  },
  twoBackends,
);
