// Random numbers of models: each has its own, so that models which train at the same time repeat to the bit.
import assert from 'node:assert/strict';
import { data as datasets, jit, randomUniform, setSeed, type Tensor, tensor } from '../src/api.ts';
import { describeBackends } from './support/backends.ts';
import { modelBackends } from './support/fixtures.ts';
import { clusters, compiled, weightsOf } from './support/models.ts';

const fitting = { epochs: 4, batchSize: 8, verbose: 0 } as const;

/** Two models of equal first weights. */
function pair(seed: number) {
  setSeed(seed);
  const [a, b] = [compiled({ dropout: 0.4 }), compiled({ dropout: 0.4 })];
  for (const model of [a, b]) model.build([6]);
  b.setWeights(a.getWeights());
  setSeed(seed);
  return [a, b] as const;
}

describeBackends(
  'random numbers of models',
  () => {
    let data: ReturnType<typeof clusters>;
    beforeEach(() => {
      data = clusters(100);
    });

    it('are their own: at the same time as one after the other', async () => {
      const runs: number[][][] = [];
      for (const together of [false, true, true]) {
        const models = pair(7);
        if (together) {
          await Promise.all(models.map((model) => model.fit(data.x, data.y, fitting)));
        } else {
          for (const model of models) await model.fit(data.x, data.y, fitting);
        }
        runs.push(models.map(weightsOf));
        // Not the same order of samples and dropout twice.
        assert.notDeepEqual(runs.at(-1)![0], runs.at(-1)![1]);
        for (const model of models) model.dispose();
      }
      assert.deepEqual(runs[1], runs[0]);
      assert.deepEqual(runs[2], runs[0]);
    });

    it('order data sets of two models as if each were alone', async () => {
      const runs: number[][][] = [];
      for (const together of [false, true]) {
        const models = pair(11);
        const trained = (model: (typeof models)[0]) => {
          const set = datasets.fromTensorSlices([data.x, data.y]).shuffle(50).batch(8);
          return model.fit(set, { epochs: 3, verbose: 0, validationData: set });
        };
        if (together) await Promise.all(models.map(trained));
        else for (const model of models) await trained(model);
        runs.push(models.map(weightsOf));
        for (const model of models) model.dispose();
      }
      assert.deepEqual(runs[1], runs[0]);
      assert.notDeepEqual(runs[0]![0], runs[0]![1]);
    });

    it('begin anew for a model that lives when the seed is set', async () => {
      const [a, b] = pair(8);
      const start = a.getWeights();
      const run = async () => {
        setSeed(9);
        a.setWeights(start);
        a.compile({ optimizer: 'sgd', loss: 'sparseCategoricalCrossentropy' });
        await a.fit(data.x, data.y, fitting);
        return weightsOf(a);
      };
      const first = await run();
      await b.fit(data.x, data.y, fitting);
      assert.deepEqual(await run(), first);
      setSeed(9);
      a.setWeights(start);
      await a.fit(data.x, data.y, fitting);
      assert.deepEqual(weightsOf(a), first);
      a.dispose();
      b.dispose();
    });

    it('are not those of other programs and ops meanwhile', async () => {
      const [a, b] = pair(10);
      await a.fit(data.x, data.y, fitting);
      setSeed(10);
      const noise = jit((like: Tensor) => randomUniform(like.shape));
      const like = tensor([0, 0]);
      const drawn: number[] = [];
      const draw = () => {
        drawn.push(...noise(like).dataSync(), ...randomUniform([2]).dataSync());
      };
      await b.fit(data.x, data.y, { ...fitting, callbacks: [{ onEpochEnd: draw }] });
      assert.deepEqual(weightsOf(b), weightsOf(a));
      assert.equal(new Set(drawn).size, drawn.length);
      noise.dispose();
      a.dispose();
      b.dispose();
    });
  },
  modelBackends,
);
