// Models as layers of models: trained, named, frozen, and with several outputs.
import assert from 'node:assert/strict';
import {
  input,
  type Layer,
  layers,
  type Model,
  model,
  sequential,
  setSeed,
  type Tensor,
  tensor,
} from '../src/index.ts';
import { describeBackends } from './support/backends.ts';

import { bad, says } from './support/errors.ts';
import { modelBackends } from './support/fixtures.ts';

describeBackends(
  'models as layers',
  () => {
    const encoder = () =>
      sequential({
        layers: [
          layers.dense({ units: 4, activation: 'relu', inputShape: [3] }),
          layers.batchNormalization(),
        ],
      });

    it('train exactly like their layers, in graphs and in sequential models', async () => {
      const x = tensor(
        Float32Array.from({ length: 60 }, (_, i) => Math.sin(i)),
        [20, 3],
      );
      const y = tensor(
        Float32Array.from({ length: 40 }, (_, i) => Math.cos(i)),
        [20, 2],
      );
      const trained = async (network: Model, parts: readonly Layer[]) => {
        network.compile({ optimizer: 'adam', loss: 'mse' });
        const { history } = await network.fit(x, y, { epochs: 3, batchSize: 8, shuffle: false, verbose: 0 });
        return { history, weights: parts.flatMap(({ weights }) => weights.map((each) => each.dataSync())) };
      };
      const builds = [
        () => sequential({ layers: [...encoder().layers, layers.dense({ units: 2 })] }),
        () => sequential({ layers: [encoder(), layers.dense({ units: 2 })] }),
        () => {
          const entry = input({ shape: [3] });
          return model({ inputs: entry, outputs: layers.dense({ units: 2 }).apply(encoder().apply(entry)) });
        },
      ];
      const results = [];
      for (const build of builds) {
        setSeed(3);
        const network = build();
        results.push(await trained(network, network.layers));
        assert.equal(network.countParams(), 4 * 4 + 4 * 4 + 10);
        network.dispose();
      }
      assert.deepEqual(results[1], results[0]);
      assert.deepEqual(results[2], results[0]);
    });

    it('have names that differ, though they were named alike before', () => {
      const [first, second] = [encoder(), encoder()];
      const outer = sequential({
        layers: [first, first.layers[1]!, layers.dense({ units: 4 }), second.layers[0]!],
      });
      assert.deepEqual(
        outer.layers.map(({ name }) => name),
        ['sequential', 'batchNormalization', 'dense', 'dense_1'],
      );
    });

    it('freeze as a whole, layers within too', async () => {
      const inner = encoder();
      const outer = sequential({ layers: [inner, layers.dense({ units: 1 })] });
      outer.compile({ optimizer: 'adam', loss: 'mse' });
      inner.trainable = false;
      assert.deepEqual(
        inner.layers.map(({ trainable }) => trainable),
        [false, false],
      );
      const x = tensor(
        Float32Array.from({ length: 60 }, (_, i) => Math.sin(i)),
        [20, 3],
      );
      const y = tensor(new Float32Array(20).fill(1), [20, 1]);
      await outer.fit(x, y, { verbose: 0 });
      const frozen = inner.getWeights();
      await outer.fit(x, y, { epochs: 3, verbose: 0 });
      // Frozen normalisation keeps its moving averages too.
      assert.deepEqual(inner.getWeights(), frozen);
      assert.match(outer.summary({ printFn: () => {} }), /sequential \(Sequential\) +\[batch, 4\] +32/);
      assert.match(outer.summary({ printFn: () => {} }), /Trainable parameters: 5 /);
      inner.trainable = true;
      await outer.fit(x, y, { verbose: 0 });
      assert.notDeepEqual(inner.getWeights(), frozen);
      outer.dispose();
    });

    it('give several outputs to the graph that they are in', () => {
      const x = input({ shape: [3] });
      const parts = model({
        inputs: x,
        outputs: { sum: layers.add().apply([x, x]), product: layers.multiply().apply([x, x]) },
        name: 'parts',
      });
      const z = input({ shape: [3] });
      const { sum, product } = parts.apply(z);
      const outer = model({ inputs: z, outputs: layers.subtract().apply([sum, product]) });
      assert.deepEqual(outer.predictOnBatch([[1, 2, 3]]).arraySync(), [[1, 0, -3]]);
      const eager: { sum: Tensor; product: Tensor } = parts.apply(tensor([[1, 2, 3]]));
      assert.deepEqual(eager.product.arraySync(), [[1, 4, 9]]);
      assert.throws(
        () => sequential({ layers: [layers.dense({ units: 3, inputShape: [3] }), bad(parts)] }),
        says('parts', 'the model has several outputs'),
      );
    });
  },
  modelBackends,
);
