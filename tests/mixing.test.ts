// Images that are mixed with others, and layers that choose among changes: beside Keras where draws are given, by their chances otherwise.
import assert from 'node:assert/strict';
import { gradientOf } from '../src/autodiff.ts';
import { type Layer, layers, setSeed, tensor, zeros } from '../src/index.ts';
import * as ops from '../src/ops/index.ts';
import { ConfigReader, ConfigWriter } from '../src/saving/config.ts';
import type { Tensor } from '../src/tensor.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';
import { fixture, flat, type Numbers, numbers, oneBackend, twoBackends } from './support/fixtures.ts';

interface MixingCase {
  name: string;
  kind: 'mixUp' | 'cutMix';
  drawn: Record<string, number[]>;
  images: Numbers;
  labels: Numbers;
  mixedImages: Numbers;
  mixedLabels: Numbers;
  dy: Numbers;
  dImages: Numbers;
}

const { cases } = fixture<{ cases: MixingCase[] }>('mixing');
const near = { rtol: 1e-5, atol: 1e-6 };
const training = { training: true };

/** The layer with what it draws given. */
function fed({ kind, drawn }: MixingCase) {
  const given = Object.fromEntries(
    Object.entries(drawn).map(([name, values]) => [
      name,
      tensor(values, undefined, name === 'order' ? 'int32' : 'float32'),
    ]),
  );
  class Up extends layers.MixUp {
    protected override draw() {
      return given as unknown as layers.Mixture;
    }
  }
  class Cut extends layers.CutMix {
    protected override draw() {
      return given as unknown as layers.CutMixture;
    }
  }
  return kind === 'mixUp' ? new Up() : new Cut();
}

const imagesOf = (x: Tensor) => ops.unstack(x).map((image) => [...image.dataSync()]);
/** So many times the same image. */
const copies = (count: number, channels = 3) => {
  const image = ops.tensor(
    Float32Array.from({ length: 36 * channels }, (_, i) => 0.5 + 0.45 * Math.sin(i * 1.7)),
    [1, 6, 6, channels],
  );
  return ops.tile(image, [count, 1, 1, 1]);
};

describeBackends(
  'mixed images',
  () => {
    for (const expected of cases) {
      it(`${expected.name} as in Keras, with the gradient`, () => {
        const layer = fed(expected);
        const [images, labels] = [numbers(expected.images), numbers(expected.labels)];
        const run = () => layer.apply({ images, labels }, training);
        const mixed = run();
        close(mixed.images.dataSync(), flat(expected.mixedImages), near, 'images');
        close(mixed.labels.dataSync(), flat(expected.mixedLabels), near, 'labels');
        const dy = numbers(expected.dy);
        const { gradients } = gradientOf(
          () => ({ loss: ops.sum(ops.mul(run().images, dy)), result: undefined }),
          [images],
        );
        close(gradients[0]!.dataSync(), flat(expected.dImages), near, 'gradient of the images');
      });
    }

    for (const make of [layers.mixUp, layers.cutMix]) {
      it(`${make.name}: images and labels are mixed in the same shares`, () => {
        setSeed(3);
        const layer = make();
        // Each image is full of its own number, which its label is, too.
        const count = 64;
        const labels = ops.oneHot(ops.range(0, count, 1, 'int32'), count);
        const images = ops.mul(ops.reshape(ops.range(0, count), [count, 1, 1, 1]), ops.ones([1, 40, 40, 1]));
        assert.deepEqual(imagesOf(layer.apply({ images, labels }).images), imagesOf(images));
        const mixed = layer.apply({ images, labels }, training);
        const sums = [...ops.sum(mixed.labels, 1).dataSync()];
        assert.ok(sums.every((sum) => Math.abs(sum - 1) < 1e-5));
        const told = ops.matMul(mixed.labels, ops.reshape(ops.range(0, count), [count, 1])).dataSync();
        const seen = ops.mean(mixed.images, [1, 2, 3]).dataSync();
        // Rectangles end between pixels.
        const slack = make === layers.cutMix ? 0.06 * count : 1e-3;
        told.forEach((value, i) => {
          assert.ok(Math.abs(value - seen[i]!) <= slack, `${value} and ${seen[i]}`);
        });
        const own = ops.diagonal(mixed.labels).dataSync();
        assert.ok(own.some((share) => share > 0.9) && own.some((share) => share < 0.1));
        assert.ok(ops.max(ops.abs(ops.sub(mixed.images, images))).item() > 1);
        // A seed fixes them, also in a layer that was saved.
        const seeded = make({ seed: 9 });
        const json = new ConfigWriter().layer(seeded as unknown as Layer);
        const copy = new ConfigReader('test').layer(json) as unknown as typeof seeded;
        const drawn = [seeded, copy].map((each) =>
          each.apply({ images, labels }, training).labels.arraySync(),
        );
        assert.deepEqual(drawn[1], drawn[0]);
      });
    }
  },
  twoBackends,
);

describeBackends(
  'layers that choose among changes',
  () => {
    const factor = [0.3, 0.3] as const;
    const unit = { valueRange: [0, 1] } as const;
    const fixed = () => ({
      translation: layers.randomTranslation({ heightFactor: factor, widthFactor: factor }),
      rotation: layers.randomRotation({ factor }),
      posterization: layers.randomPosterization({ factor: 2, ...unit }),
      solarization: layers.solarization({ additionFactor: factor, thresholdFactor: factor, ...unit }),
      autoContrast: layers.autoContrast(unit),
      equalization: layers.equalization(unit),
    });
    const colors = () => ({
      brightness: layers.randomBrightness({ factor, ...unit }),
      degeneration: layers.randomColorDegeneration({ factor, ...unit }),
      sharpness: layers.randomSharpness({ factor, ...unit }),
    });
    const resultsOf = (parts: Record<string, Layer>, x: Tensor) =>
      Object.entries(parts).map(([name, part]) => {
        return [name, [...part.apply(x, training).dataSync()]] as const;
      });
    const same = (a: readonly number[], b: readonly number[]) =>
      a.every((value, i) => Math.abs(value - b[i]!) < 1e-5);

    it('randAugment takes each of them about as often, each image by its own', () => {
      setSeed(6);
      const count = 220;
      const x = copies(count);
      const layer = layers.randAugment({ numOps: 1, factor, ...unit });
      assert.deepEqual(layer.apply(x).dataSync(), x.dataSync());
      const expected = resultsOf({ ...fixed(), ...colors() }, copies(1));
      const made = imagesOf(layer.apply(x, training));
      for (const [name, result] of expected) {
        const times = made.filter((image) => same(image, result)).length;
        // 20 on average, with a standard deviation of 4.3.
        assert.ok(times >= 5 && times <= 40, `${name}: ${times} of ${count}`);
      }
      // Shear and contrast differ from image to image.
      const others = made.filter((image) => !expected.some(([, result]) => same(image, result)));
      assert.ok(others.length >= 10 && others.length <= 80, `${others.length} others`);
      const twice = imagesOf(layers.randAugment({ factor, ...unit }).apply(x, training));
      assert.ok(twice.filter((image) => expected.some(([, result]) => same(image, result))).length < 120);
    });

    it('augMix lies between the image and what chains make of it', () => {
      setSeed(7);
      const count = 120;
      const x = copies(count);
      const layer = layers.augMix({ numChains: 1, chainDepth: 1, allOps: false, factor, ...unit });
      assert.deepEqual(layer.apply(x).dataSync(), x.dataSync());
      const original = imagesOf(copies(1))[0]!;
      const changes = resultsOf(fixed(), copies(1)).map(([name, result]) => {
        return { name, change: result.map((value, i) => value - original[i]!), times: 0 };
      });
      let idle = 0;
      for (const image of imagesOf(layer.apply(x, training))) {
        const change = image.map((value, i) => value - original[i]!);
        if (change.every((value) => Math.abs(value) < 1e-6)) {
          idle++;
          continue;
        }
        const match = changes.find(({ change: whole }) => {
          const along = whole.reduce((sum, value, i) => sum + value * change[i]!, 0);
          const share = along / whole.reduce((sum, value) => sum + value * value, 0);
          return share >= 0 && share <= 1 && change.every((v, i) => Math.abs(v - share * whole[i]!) < 1e-5);
        });
        if (match !== undefined) match.times++;
      }
      // 15 on average.
      for (const { name, times } of changes) assert.ok(times >= 3 && times <= 34, `${name}: ${times}`);
      assert.ok(idle >= 3 && idle <= 34, `${idle} are as they were`);
      const whole = layers.augMix(unit).apply(x, training);
      assert.ok(whole.dataSync().every((value) => value >= 0 && value <= 1));
      assert.ok(new Set(imagesOf(whole).map(String)).size > count / 2);
    });

    it('take images of one channel', () => {
      for (const make of [layers.randAugment, layers.augMix])
        assert.deepEqual(make(unit).apply(copies(3, 1), training).shape, [3, 6, 6, 1]);
    });

    it('a pipeline is its layers one after the other, weights and all', () => {
      setSeed(1);
      const [dense, flip] = [layers.dense({ units: 4 }), layers.randomFlip({ seed: 5 })];
      const chain = layers.pipeline({ layers: [flip, dense, layers.rescaling({ scale: 2 })], name: 'steps' });
      const x = copies(4);
      const got = chain.apply(x, training);
      assert.deepEqual(chain.computeOutputShape([6, 6, 3]), [6, 6, 4]);
      const expected = ops.mul(dense.apply(layers.randomFlip({ seed: 5 }).apply(x, training)), 2);
      assert.deepEqual(got.dataSync(), expected.dataSync());
      assert.deepEqual(
        chain.weights.map(({ name }) => name),
        ['steps/dense/kernel', 'steps/dense/bias'],
      );
      // A mask goes as far as layers hand it on.
      const masked = layers.pipeline({ layers: [layers.masking(), layers.dropout({ rate: 0.1 })] });
      assert.deepEqual(masked.apply(tensor([[[0], [1]]])).mask?.arraySync(), [[0, 1]]);
    });

    it('refuse what they cannot do', () => {
      const images = zeros([4, 4, 4, 3]);
      const mix = layers.mixUp();
      assert.throws(() => mix.apply(images), says('mixUp', 'expected { images, labels }'));
      assert.throws(
        () => mix.apply({ images, label: images }),
        says('mixUp', 'expected { images, labels }, got { images, label }'),
      );
      assert.throws(
        () => mix.apply({ images, labels: zeros([4]) }),
        says('mixUp', 'expected labels [batch, classes]', 'use oneHot()'),
      );
      assert.throws(
        () => mix.apply({ images, labels: zeros([3, 2]) }, training),
        says('mixUp', 'a label for each image, got 3 for 4'),
      );
      assert.throws(
        () => mix.apply({ images: zeros([4, 4]), labels: zeros([4, 2]) }),
        says('mixUp', 'expected'),
      );
      assert.throws(() => layers.mixUp({ alpha: 0 }), says('mixUp', 'bad alpha, got 0'));
      assert.throws(() => layers.cutMix({ factor: 2 }), says('cutMix', 'bad factor, got 2'));
      assert.throws(() => layers.randAugment({ numOps: 0 }), says('randAugment', 'bad numOps, got 0'));
      assert.throws(() => layers.randAugment({ factor: 2 }), says('randAugment', 'bad factor, got 2'));
      assert.throws(
        () => layers.randAugment({ interpolation: bad('cubic') }),
        says('randAugment/shear', 'unknown interpolation'),
      );
      assert.throws(() => layers.augMix({ chainDepth: 1.5 }), says('augMix', 'bad chainDepth, got 1.5'));
      assert.throws(() => layers.augMix({ numChains: -1 }), says('augMix', 'bad numChains, got -1'));
      assert.throws(() => layers.augMix({ alpha: 0 }), says('augMix', 'bad alpha, got 0'));
      assert.throws(() => layers.augMix({ valueRange: [1, 1] }), says('augMix', 'bad valueRange'));
      assert.throws(() => layers.pipeline({ layers: [] }), says('pipeline', 'bad layers'));
      assert.throws(
        () => layers.pipeline({ layers: [bad('x')] }),
        says('pipeline', "bad layers, got 'x', expected an array of layers"),
      );
      assert.throws(() => ops.randomGamma([2], 0), says('randomGamma', 'bad alpha, got 0'));
      assert.throws(() => ops.randomBeta([2], 1, -1), says('randomBeta', 'bad beta, got -1'));
    });
  },
  oneBackend,
);

describeBackends(
  'gamma and beta numbers',
  () => {
    const count = 60_000;
    const moments = (x: Tensor) => {
      const mean = ops.mean(x).item();
      return { mean, variance: ops.mean(ops.square(ops.sub(x, mean))).item() };
    };
    for (const alpha of [0.3, 1, 4.5]) {
      it(`gamma of ${alpha} has its mean and variance`, () => {
        setSeed(2);
        const x = ops.randomGamma([count], alpha);
        const { mean, variance } = moments(x);
        assert.ok(x.dataSync().every((value) => value >= 0 && Number.isFinite(value)));
        // Six standard errors.
        assert.ok(Math.abs(mean - alpha) < 6 * Math.sqrt(alpha / count), `mean ${mean}`);
        assert.ok(
          Math.abs(variance / alpha - 1) < 6 * Math.sqrt((2 + 6 / alpha) / count),
          `variance ${variance}`,
        );
      });
    }

    it('gamma of 1 is exponential all over', () => {
      setSeed(3);
      const x = [...ops.randomGamma([count], 1).dataSync()];
      for (const at of [0.01, 0.1, 0.5, 1, 2, 4]) {
        const share = x.filter((value) => value < at).length / count;
        assert.ok(Math.abs(share - (1 - Math.exp(-at))) < 0.013, `${share} below ${at}`);
      }
    });

    for (const [a, b] of [
      [0.2, 0.2],
      [1, 1],
      [2, 5],
      [1e-3, 1e-3],
    ] as const) {
      it(`beta of ${a} and ${b} has its mean and variance`, () => {
        setSeed(4);
        const x = ops.randomBeta([count], a, b);
        assert.ok(x.dataSync().every((value) => value >= 0 && value <= 1));
        const { mean, variance } = moments(x);
        const [wanted, spread] = [a / (a + b), (a * b) / ((a + b) ** 2 * (a + b + 1))];
        assert.ok(Math.abs(mean - wanted) < 6 * Math.sqrt(spread / count), `mean ${mean}`);
        assert.ok(Math.abs(variance / spread - 1) < 0.04, `variance ${variance}`);
      });
    }
  },
  oneBackend,
);
