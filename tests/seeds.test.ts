// Layers and initializers with seeds of their own: the same numbers whatever else is drawn, also where training is taken up again.
import assert from 'node:assert/strict';
import {
  initializers,
  jit,
  type Layer,
  layers,
  loadModel,
  memoryStore,
  randomUniform,
  registerStore,
  sequential,
  setSeed,
  type Tensor,
  tensor,
} from '../src/index.ts';
import type { FitPosition } from '../src/model/history.ts';
import { ConfigReader, ConfigWriter } from '../src/saving/config.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';

type Seeded = { seed?: number };
const wave = (shape: readonly number[]) =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 0.5 + 0.4 * Math.sin(i)),
    shape,
  );
const image = [3, 6, 5, 3] as const;
const steps = [3, 4, 6] as const;
const unit = { valueRange: [0, 1] } as const;

/** Every layer that draws, and what it is given. */
const drawing: Record<string, readonly [(seeded: Seeded) => Layer, readonly number[]]> = {
  dropout: [(s) => layers.dropout({ rate: 0.5, ...s }), steps],
  'dropout of a shape': [(s) => layers.dropout({ rate: 0.5, noiseShape: [null, 1, null], ...s }), steps],
  spatialDropout1d: [(s) => layers.spatialDropout1d({ rate: 0.5, ...s }), steps],
  spatialDropout2d: [(s) => layers.spatialDropout2d({ rate: 0.5, ...s }), [8, 6, 5, 3]],
  spatialDropout3d: [(s) => layers.spatialDropout3d({ rate: 0.5, ...s }), [8, 2, 2, 2, 3]],
  gaussianNoise: [(s) => layers.gaussianNoise({ stddev: 1, ...s }), steps],
  gaussianDropout: [(s) => layers.gaussianDropout({ rate: 0.5, ...s }), steps],
  alphaDropout: [(s) => layers.alphaDropout({ rate: 0.5, ...s }), steps],
  attention: [(s) => layers.attention({ dropout: 0.5, ...s }), steps],
  additiveAttention: [(s) => layers.additiveAttention({ dropout: 0.5, ...s }), steps],
  multiHeadAttention: [
    (s) => layers.multiHeadAttention({ numHeads: 2, keyDim: 3, dropout: 0.5, ...s }),
    steps,
  ],
  transformerBlock: [(s) => layers.transformerBlock({ numHeads: 2, dropout: 0.5, ...s }), steps],
  simpleRNN: [(s) => layers.simpleRNN({ units: 4, dropout: 0.5, ...s }), steps],
  lstm: [(s) => layers.lstm({ units: 4, dropout: 0.5, recurrentDropout: 0.3, ...s }), steps],
  gru: [(s) => layers.gru({ units: 4, recurrentDropout: 0.5, ...s }), steps],
  'a cell': [(s) => layers.rnn({ cell: layers.lstmCell({ units: 4, dropout: 0.5, ...s }) }), steps],
  'stacked cells': [
    (s) =>
      layers.rnn({
        cell: layers.stackedRNNCells({ cells: [layers.gruCell({ units: 4, dropout: 0.5, ...s })] }),
      }),
    steps,
  ],
  bidirectional: [
    (s) => layers.bidirectional({ layer: layers.gru({ units: 4, dropout: 0.5, ...s }) }),
    steps,
  ],
  convLSTM1d: [(s) => layers.convLSTM1d({ filters: 2, kernelSize: 2, dropout: 0.5, ...s }), [3, 4, 5, 2]],
  randomFlip: [(s) => layers.randomFlip(s), [16, 4, 4, 1]],
  randomCrop: [(s) => layers.randomCrop({ height: 12, width: 12, ...s }), [2, 99, 99, 1]],
  randomRotation: [(s) => layers.randomRotation({ factor: 0.3, ...s }), image],
  randomZoom: [(s) => layers.randomZoom({ heightFactor: 0.3, ...s }), image],
  randomTranslation: [(s) => layers.randomTranslation({ heightFactor: 0.3, widthFactor: 0.3, ...s }), image],
  randomShear: [(s) => layers.randomShear({ xFactor: 0.3, ...s }), image],
  randomContrast: [(s) => layers.randomContrast({ factor: 0.5, ...unit, ...s }), image],
  randomBrightness: [(s) => layers.randomBrightness({ factor: 0.3, ...unit, ...s }), image],
  randomHue: [(s) => layers.randomHue({ factor: 0.5, ...unit, ...s }), image],
  randomSaturation: [(s) => layers.randomSaturation({ factor: 0.9, ...unit, ...s }), image],
  randomColorDegeneration: [(s) => layers.randomColorDegeneration({ factor: 0.9, ...unit, ...s }), image],
  randomColorJitter: [
    (s) => layers.randomColorJitter({ hueFactor: 0.5, brightnessFactor: 0.3, ...unit, ...s }),
    image,
  ],
  randomErasing: [(s) => layers.randomErasing({ ...unit, ...s }), image],
  randomGrayscale: [(s) => layers.randomGrayscale({ ...s }), [32, 2, 2, 3]],
  randomInvert: [(s) => layers.randomInvert({ ...unit, factor: [0.5, 0.5], ...s }), [32, 2, 2, 3]],
  randomSharpness: [(s) => layers.randomSharpness({ factor: 1, ...unit, ...s }), image],
  randomGaussianBlur: [(s) => layers.randomGaussianBlur({ sigma: [0.1, 1], ...unit, ...s }), image],
  randomPosterization: [(s) => layers.randomPosterization({ factor: [1, 8], ...unit, ...s }), [32, 4, 4, 3]],
  randAugment: [(s) => layers.randAugment({ ...unit, ...s }), image],
  augMix: [(s) => layers.augMix({ ...unit, numChains: 1, chainDepth: 1, ...s }), [16, 4, 4, 3]],
  pipeline: [(s) => layers.pipeline({ layers: [layers.gaussianNoise({ stddev: 1, ...s })] }), image],
  solarization: [(s) => layers.solarization({ thresholdFactor: 1, additionFactor: 1, ...unit, ...s }), image],
};

const training = { training: true };
const values = (x: Tensor) => [...x.dataSync()];

describeBackends(
  'layers with a seed',
  () => {
    for (const [name, [make, shape]] of Object.entries(drawing)) {
      it(`${name}: the same numbers call by call, whatever else is drawn`, () => {
        const x = wave(shape);
        const run = (layer: Layer, first: number) => {
          const inputs = /ttention/.test(name) && name !== 'multiHeadAttention' ? [x, x] : [x];
          // The weights are those of one seed; what comes after is not.
          setSeed(1);
          layer.ensureBuilt(...inputs.map(({ shape }) => shape.slice(1)));
          setSeed(first);
          randomUniform([3]).dispose();
          return [0, 1].map(() => values(layer.apply(inputs, training)));
        };
        const [one, again] = [run(make({ seed: 7 }), 2), run(make({ seed: 7 }), 3)];
        assert.deepEqual(again, one);
        assert.notDeepEqual(one[1], one[0], 'the calls are alike');
        assert.notDeepEqual(run(make({ seed: 8 }), 2), one, 'another seed gives the same');
        assert.notDeepEqual(run(make({}), 2), run(make({}), 3), 'the layer does not follow setSeed');
      });
    }

    it('is kept in the configuration, and in programs', () => {
      const layer = layers.dropout({ rate: 0.5, seed: 12345678901 });
      const copy = new ConfigReader('test').layer(new ConfigWriter().layer(layer)) as Layer;
      const x = wave([4, 9]);
      assert.deepEqual(values(copy.apply(x, training)), values(layer.apply(x, training)));
      const traced = (seeded: Layer) => {
        const program = jit((x) => seeded.apply(x, training));
        const made = [0, 1].map(() => values(program(x)));
        program.dispose();
        return made;
      };
      const make = () => layers.gaussianNoise({ stddev: 1, seed: 3 });
      const first = traced(make());
      setSeed(9);
      assert.deepEqual(traced(make()), first);
      assert.notDeepEqual(first[0], first[1]);
      // Called twice in one program it draws twice.
      const twice = jit((x, of) => [of, of].map(() => layer.apply(x, training)));
      const [a, b] = twice(x, x);
      assert.notDeepEqual(values(a!), values(b!));
      twice.dispose();
    });

    it('goes on where training is taken up again, from memory and from a file', async () => {
      registerStore('seeds', memoryStore(new Map()));
      const build = () => {
        setSeed(4);
        const made = sequential({
          layers: [
            layers.gaussianNoise({ stddev: 0.5, seed: 21, inputShape: [6] }),
            layers.dense({ units: 8, activation: 'relu' }),
            sequential({ layers: [layers.dropout({ rate: 0.4, seed: 22 }), layers.dense({ units: 1 })] }),
          ],
        });
        made.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
        return made;
      };
      const [x, y] = [wave([24, 6]), wave([24, 1])];
      const options = { epochs: 4, batchSize: 4, verbose: 0 } as const;
      const whole = build();
      await whole.fit(x, y, options);
      const part = build();
      const stop = new AbortController();
      const history = await part.fit(x, y, {
        ...options,
        signal: stop.signal,
        callbacks: [{ onEpochEnd: (epoch) => void (epoch === 1 && stop.abort()) }],
      });
      const position = JSON.parse(JSON.stringify(history.stopped)) as FitPosition;
      assert.equal(position.seeded?.length, 2);
      await part.save('seeds://part');
      const loaded = await loadModel('seeds://part');
      // Draws of other layers and models do not matter.
      randomUniform([5]).dispose();
      await loaded.fit(x, y, { ...options, resume: position });
      assert.deepEqual(loaded.getWeights(), whole.getWeights());
      for (const model of [whole, part, loaded]) model.dispose();
    });
  },
  twoBackends,
);

describeBackends(
  'initializers with a seed',
  () => {
    const make = {
      glorotUniform: (seed: number) => initializers.glorotUniform({ seed }),
      glorotNormal: (seed: number) => initializers.glorotNormal({ seed }),
      heUniform: (seed: number) => initializers.heUniform({ seed }),
      heNormal: (seed: number) => initializers.heNormal({ seed }),
      lecunUniform: (seed: number) => initializers.lecunUniform({ seed }),
      lecunNormal: (seed: number) => initializers.lecunNormal({ seed }),
      varianceScaling: (seed: number) => initializers.varianceScaling({ seed, scale: 3 }),
      orthogonal: (seed: number) => initializers.orthogonal(1, { seed }),
      randomUniform: (seed: number) => initializers.randomUniform(0, 1, { seed }),
      randomNormal: (seed: number) => initializers.randomNormal(0, 1, { seed }),
      truncatedNormal: (seed: number) => initializers.truncatedNormal(0, 1, { seed }),
    };
    for (const [name, initializer] of Object.entries(make)) {
      it(`${name} gives the same at every call, and after it was saved`, () => {
        const draw = (seed: number) => values(initializer(seed)([4, 5]));
        const drawn = initializer(5);
        assert.deepEqual(values(drawn([4, 5])), values(drawn([4, 5])));
        assert.deepEqual(draw(5), values(drawn([4, 5])));
        assert.notDeepEqual(draw(6), draw(5));
        const layer = layers.dense({ units: 5, kernelInitializer: drawn });
        const copy = new ConfigReader('test').layer(new ConfigWriter().layer(layer)) as Layer;
        copy.ensureBuilt([4]);
        assert.deepEqual(values(copy.weights[0]!), draw(5));
      });
    }

    it('refuse bad seeds', () => {
      assert.throws(() => initializers.heNormal({ seed: -1 }), says('varianceScaling', 'bad seed, got -1'));
      assert.throws(
        () => initializers.orthogonal(1, { seed: bad('x') }),
        says('orthogonal', "bad seed, got 'x', expected an integer in [0, 2 ** 53)"),
      );
      assert.throws(
        () => layers.dropout({ rate: 0.5, seed: 1.5, name: 'drop' }),
        says('drop', 'bad seed, got 1.5, expected an integer in [0, 2 ** 53)'),
      );
    });
  },
  oneBackend,
);
