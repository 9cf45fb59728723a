// Searches and cross-validation on worker threads: the same results as one after the other, and what can go wrong on the way.
import assert from 'node:assert/strict';
import {
  type BuilderModule,
  data,
  earlyStopping,
  gridSearch,
  kFold,
  type ModelBuilder,
  memory,
  type Sequential,
  samples,
  setSeed,
  tensor,
} from '../src/index.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, weightsOf } from './support/models.ts';

interface Settings {
  units: number;
  rate: number;
}

const module = new URL('support/tuning-build.mjs', import.meta.url);
const build: ModelBuilder<[settings: Settings], Sequential> = ({ units, rate }, nabla) => {
  const { layers, optimizers, sequential } = nabla;
  const model = sequential({
    layers: [layers.dense({ units, activation: 'relu' }), layers.dense({ units: 3, activation: 'softmax' })],
  });
  const optimizer = optimizers.sgd({ learningRate: rate });
  model.compile({ optimizer, loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });
  return model;
};
const fromModule: BuilderModule = { module };
const grid = { units: [4, 8], rate: [0.1, 1e9, 0.01] };
const searching = { validationSplit: 0.25, epochs: 3, batchSize: 16, verbose: 0, trialSeed: 5 } as const;

describeBackends(
  'searches on worker threads',
  () => {
    it('find what a search finds that tries one after the other', async function () {
      this.timeout(120_000);
      const { x, y } = clusters(60);
      const alone = await gridSearch(build, grid, x, y, searching);
      for (const maker of [build, fromModule]) {
        const together = await gridSearch(maker, grid, x, y, { ...searching, workers: 2 });
        assert.deepEqual(
          together.trials.map(({ settings, error }) => [settings, error?.message]),
          alone.trials.map(({ settings, error }) => [settings, error?.message]),
        );
        together.trials.forEach(({ score, epoch, logs }, i) => {
          const expected = alone.trials[i]!;
          assert.equal(epoch, expected.epoch);
          // The backend here may have more threads, which sum up in another order.
          for (const [name, value] of [['score', score] as const, ...Object.entries(logs)]) {
            const wanted = name === 'score' ? expected.score : expected.logs[name]!;
            assert.ok(
              Object.is(value, wanted) || Math.abs(value - wanted) < 1e-4,
              `${i} ${name}: ${value}, ${wanted}`,
            );
          }
        });
        assert.deepEqual(together.best.settings, alone.best.settings);
        const [weights, expected] = [together.model, alone.model].map((model) =>
          weightsOf(model as Sequential),
        );
        weights!.forEach((weight, i) => {
          assert.ok(Math.abs(weight - expected![i]!) < 1e-4);
        });
        together.model.dispose();
      }
      alone.model.dispose();
    });

    it('cross-validate, the same in every order', async function () {
      this.timeout(120_000);
      const { x, labels } = clusters(50);
      const y = samples(tensor(labels));
      const options = { folds: 3, epochs: 2, stratify: labels, verbose: 0 } as const;
      const before = memory().buffers;
      const builder = { module, name: 'forFolds' };
      const one = await kFold(builder, x, y, { ...options, workers: 1 });
      const two = await kFold(builder, x, y, { ...options, workers: 3 });
      assert.equal(one.folds.length, 3);
      assert.deepEqual(two, one);
      assert.ok(one.mean.accuracy! > 0.3 && one.folds.every(({ loss }) => Number.isFinite(loss)));
      // With a seed and one thread it is what a fold gives here.
      setSeed(1);
      const here = await kFold(builder, x, y, options);
      assert.deepEqual(Object.keys(here.mean), Object.keys(one.mean));
      // Fewer where the collector found one of a test before.
      assert.ok(memory().buffers <= before);
    });
  },
  twoBackends,
);

describeBackends(
  'searches on worker threads that fail',
  () => {
    it('say what cannot cross, and what a worker could not do', async function () {
      this.timeout(120_000);
      const { x, y } = clusters(20);
      const search = (maker: unknown, options: object) =>
        gridSearch<Settings, Sequential>(bad(maker), { units: [4], rate: [0.1] }, x, y, {
          ...searching,
          workers: 1,
          ...options,
        });
      await assert.rejects(search(build, { workers: 0 }), says('gridSearch', 'bad workers, got 0'));
      await assert.rejects(
        search(build, { callbacks: [earlyStopping()] }),
        says('gridSearch', 'callbacks cannot cross to worker threads'),
      );
      const set = data.fromTensorSlices([x, y] as const);
      await assert.rejects(
        search(build, { validationSplit: 0, validationData: set }),
        says('gridSearch', 'validationData cannot cross'),
      );
      await assert.rejects(
        gridSearch(build, grid, set, undefined, { workers: 1 }),
        says('gridSearch', 'a data set cannot cross'),
      );
      const outside = () => build;
      const leaning = (settings: Settings) => bad<(settings: Settings) => Sequential>(outside())(settings);
      await assert.rejects(
        search(leaning, {}),
        says(
          'gridSearch',
          'is not defined; a function that is sent',
          'takes all it needs from its parameters',
        ),
      );
      await assert.rejects(
        search({ module, name: 'broken' }, {}),
        says('gridSearch', 'build failed in a worker thread: no idea'),
      );
      await assert.rejects(
        search({ module, name: 'number' }, {}),
        /the module has no function number, it exports/,
      );
      await assert.rejects(search({ module: 3 }, {}), says('gridSearch', 'bad build'));
      await assert.rejects(search({ module: 'file:///none.mjs' }, {}), /none\.mjs/);
      await assert.rejects(
        gridSearch<{ f: () => void }, Sequential>(bad(build), { f: [() => {}] }, x, y, {
          ...searching,
          workers: 1,
        }),
        says('gridSearch', 'trial 0 failed in its worker thread', 'could not be cloned'),
      );
      await assert.rejects(
        search(build, { monitor: 'val_auc' }),
        says('gridSearch', "nothing to compare, got monitor 'val_auc'"),
      );
      await assert.rejects(
        gridSearch(build, { units: [4], rate: [1e9, 1e12] }, x, y, { ...searching, epochs: 9, workers: 2 }),
        says('gridSearch', 'all 2 trials failed, the first with', 'NaN'),
      );
    });
  },
  oneBackend,
);
