// Initializers: limits and spreads of Keras' formulas, what they share (seeds, names, shapes), and what they refuse.
import assert from 'node:assert/strict';
import { initializers, layers, sequential, setSeed } from '../src/api.ts';
import { fans, getInitializer, type InitializerName } from '../src/initializers/initializers.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, oneBackend, twoBackends } from './support/fixtures.ts';

interface InitializerCase {
  name: string;
  shape: number[];
  fanIn: number;
  fanOut: number;
  distribution: 'uniform' | 'truncated_normal';
  std: number;
  bound: number;
}

const { cases } = fixture<{ cases: InitializerCase[] }>('initializers');

function moments(values: Float32Array): { mean: number; std: number; most: number } {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
  const most = values.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
  return { mean, std: Math.sqrt(variance), most };
}

describeBackends(
  'initializers as in Keras',
  () => {
    for (const { name, shape, fanIn, fanOut, distribution, std, bound } of cases) {
      it(`${name} of ${shape.join('x')}`, () => {
        assert.deepEqual(fans(shape), { fanIn, fanOut });
        setSeed(11);
        const initializer = getInitializer('test', name as InitializerName);
        // Many weights of the shape, so that the spread can be told.
        const size = shape.reduce((a, b) => a * b, 1);
        const all = new Float32Array(Math.max(1, Math.ceil(40_000 / size)) * size);
        for (let at = 0; at < all.length; at += size) {
          const made = initializer(shape);
          assert.deepEqual(made.shape, shape);
          all.set(made.dataSync(), at);
        }
        const found = moments(all);
        assert.ok(Math.abs(found.mean) < 0.03 * std, `mean ${found.mean} of std ${std}`);
        assert.ok(Math.abs(found.std / std - 1) < 0.02, `std ${found.std}, expected ${std}`);
        assert.ok(found.most <= bound * 1.000001, `bound ${bound}, got ${found.most}`);
        // Some come near the bound: a fifth of a percent for the uniform, the last tenth for the tails of the normal.
        assert.ok(
          found.most > bound * (distribution === 'uniform' ? 0.998 : 0.9),
          `most ${found.most} of ${bound}`,
        );
      });
    }
  },
  oneBackend,
);

describeBackends(
  'initializers',
  () => {
    it('give constants', () => {
      assert.deepEqual([...initializers.zeros()([3]).dataSync()], [0, 0, 0]);
      assert.deepEqual([...initializers.ones()([2]).dataSync()], [1, 1]);
      assert.deepEqual([...initializers.constant(0.25)([2]).dataSync()], [0.25, 0.25]);
      assert.deepEqual(initializers.identity(2)([2, 3]).arraySync(), [
        [2, 0, 0],
        [0, 2, 0],
      ]);
      assert.throws(() => initializers.identity()([3]), /\[identity\] expected a matrix, got shape \[3\]/);
    });

    it('give the distributions asked for', () => {
      setSeed(5);
      const normal = moments(initializers.randomNormal(1, 0.5)([50_000]).dataSync());
      close([normal.mean, normal.std], [1, 0.5], { rtol: 0.02, atol: 0 });
      assert.ok(normal.most > 1 + 3 * 0.5, 'the normal has tails');
      const uniform = initializers.randomUniform(-1, 3)([50_000]).dataSync();
      assert.ok(uniform.every((v) => v >= -1 && v < 3));
      close([moments(uniform).mean, moments(uniform).std], [1, 4 / Math.sqrt(12)], { rtol: 0.02, atol: 0 });
      const cut = moments(initializers.truncatedNormal(0, 2)([50_000]).dataSync());
      assert.ok(cut.most <= 4 && cut.most > 3.9);
      close([cut.std], [2 * 0.87962566], { rtol: 0.02, atol: 0 });
      const scaled = initializers.varianceScaling({
        scale: 2,
        mode: 'fanOut',
        distribution: 'untruncatedNormal',
      });
      close([moments(scaled([100, 400]).dataSync()).std], [Math.sqrt(2 / 400)], { rtol: 0.02, atol: 0 });
    });

    it('repeat with the seed, and differ without', () => {
      const draw = () => [...initializers.glorotUniform()([4, 4]).dataSync()];
      setSeed(1);
      const first = [...draw(), ...draw()];
      setSeed(1);
      assert.deepEqual([...draw(), ...draw()], first);
      assert.notDeepEqual(first.slice(0, 16), first.slice(16));
      setSeed(2);
      assert.notDeepEqual([...draw(), ...draw()], first);
    });

    it('are what Dense begins with: glorotUniform and zeros, or what it is told', () => {
      setSeed(3);
      const model = sequential({
        layers: [
          layers.dense({ units: 64, inputShape: [32] }),
          layers.dense({ units: 2, kernelInitializer: 'ones', biasInitializer: initializers.constant(3) }),
        ],
      });
      model.build([32]);
      const [kernel, bias, second, secondBias] = model.getWeights();
      const limit = Math.sqrt(6 / 96);
      assert.ok(moments(kernel!).most <= limit && moments(kernel!).most > 0.99 * limit);
      assert.ok(bias!.every((b) => b === 0));
      assert.ok(second!.every((w) => w === 1));
      assert.deepEqual([...secondBias!], [3, 3]);
      model.dispose();
    });

    it('of a wrong shape are refused', () => {
      const layer = layers.dense({
        units: 2,
        name: 'bad',
        kernelInitializer: () => initializers.zeros()([5]),
      });
      const model = sequential({ layers: [layer] });
      assert.throws(
        () => model.build([3]),
        /\[bad\] the initializer of kernel gave \[5\], expected \[3, 2\]/,
      );
      let good = false;
      const late = layers.dense({ units: 2, biasInitializer: () => initializers.zeros()([good ? 2 : 7]) });
      assert.throws(
        () => late.ensureBuilt([3]),
        /\[dense\] the initializer of bias gave \[7\], expected \[2\]/,
      );
      // A second attempt makes every weight once.
      good = true;
      late.ensureBuilt([3]);
      assert.deepEqual(
        late.weights.map(({ shape }) => shape),
        [[3, 2], [2]],
      );
    });
  },
  twoBackends,
);
