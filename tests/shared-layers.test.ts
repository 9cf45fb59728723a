// Layers that several models train: each optimizer goes on.
import assert from 'node:assert/strict';
import { layers, optimizers, sequential, setSeed } from '../src/index.ts';
import { describeBackends } from './support/backends.ts';

import { modelBackends } from './support/fixtures.ts';

import { wave } from './support/own-models.ts';

describeBackends(
  'layers that several models train',
  () => {
    it('keep the optimizer of each model going', async () => {
      const [x, y] = [wave(16, 4, 1), wave(16, 2, 2)];
      const parts = () => {
        const base = sequential({
          layers: [layers.dense({ units: 6, activation: 'tanh', inputShape: [4] })],
        });
        const heads = [0, 1].map(() => sequential({ layers: [base, layers.dense({ units: 2 })] }));
        return { base, heads };
      };
      setSeed(7);
      const alone = parts();
      alone.heads[0]!.compile({ optimizer: 'adam', loss: 'mse' });
      for (let i = 0; i < 4; i++) await alone.heads[0]!.trainOnBatch(x, y);

      setSeed(7);
      const shared = parts();
      shared.heads[0]!.compile({ optimizer: 'adam', loss: 'mse' });
      shared.heads[1]!.compile({ optimizer: optimizers.adam({ learningRate: 0 }), loss: 'mse' });
      for (let i = 0; i < 4; i++) {
        await shared.heads[0]!.trainOnBatch(x, y);
        await shared.heads[1]!.trainOnBatch(x, y);
      }
      assert.deepEqual(shared.heads[0]!.getWeights(), alone.heads[0]!.getWeights());
      const trainers = shared.heads.map((head) => head.trainer('test'));
      assert.deepEqual(
        trainers,
        shared.heads.map((head) => head.trainer('test')),
      );
      assert.deepEqual(
        trainers.map(({ group }) => [group.step, group.stretches.length]),
        [
          [4, 1],
          [4, 2],
        ],
      );
    });

    it('and go on after layers were frozen and thawed', async () => {
      const [x, y] = [wave(16, 4, 1), wave(16, 2, 2)];
      const make = () => {
        setSeed(8);
        const network = sequential({
          layers: [
            layers.dense({ units: 6, activation: 'tanh', inputShape: [4] }),
            layers.dense({ units: 2 }),
          ],
        });
        network.compile({ optimizer: 'adam', loss: 'mse' });
        return network;
      };
      const network = make();
      await network.trainOnBatch(x, y);
      await network.trainOnBatch(x, y);
      network.layers[0]!.trainable = false;
      await network.evaluate(x, y);
      network.layers[0]!.trainable = true;
      await network.trainOnBatch(x, y);
      const plain = make();
      for (let i = 0; i < 3; i++) await plain.trainOnBatch(x, y);
      assert.deepEqual(network.getWeights(), plain.getWeights());
      assert.equal(network.trainer('test').group.step, 3);
    });
  },
  modelBackends,
);
