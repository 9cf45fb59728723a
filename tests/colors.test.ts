// Layers that change colors and tones of images beside Keras, by chance, and what they refuse.
import assert from 'node:assert/strict';
import { type Layer, layers, setSeed, type Tensor, zeros } from '../src/index.ts';
import * as ops from '../src/ops/index.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { fixture, type Numbers, numbers, oneBackend, twoBackends } from './support/fixtures.ts';

interface Case {
  name: string;
  layer: 'randomHue' | 'autoContrast';
  options: { factor: number; valueRange?: [number, number] };
  image: Numbers;
  changed: Numbers;
}

const { cases } = fixture<{ cases: Case[] }>('colors');
const training = { training: true };

describeBackends(
  'colors and tones as in Keras',
  () => {
    for (const { name, layer, options, image, changed } of cases) {
      it(`${layer}, ${name}`, () => {
        setSeed(4);
        const made: Layer = layers[layer](options);
        // Of eight images alike some have their hue moved to the other side.
        const x = ops.stack(Array.from({ length: 8 }, () => numbers(image)));
        const got = made.apply(x, training);
        const scale = (options.valueRange ?? [0, 255])[1];
        const distance = ops.max(ops.abs(ops.sub(got, numbers(changed))), [1, 2, 3]).dataSync();
        const like = [...distance].filter((each) => each <= 2e-5 * scale).length;
        assert.ok(layer === 'randomHue' ? like > 0 && like < 8 : like === 8, `${like} of 8: ${distance}`);
      });
    }
  },
  twoBackends,
);

describeBackends(
  'colors and tones by chance',
  () => {
    const picture = () => ops.randomUniform([8, 6, 5, 3]);
    const unit = { valueRange: [0, 1] } as const;
    const all: Record<string, () => Layer> = {
      hue: () => layers.randomHue({ factor: 0.5, ...unit }),
      saturation: () => layers.randomSaturation({ factor: 0.9, ...unit }),
      degeneration: () => layers.randomColorDegeneration({ factor: 1, ...unit }),
      jitter: () => layers.randomColorJitter({ brightnessFactor: 0.2, hueFactor: 0.2, ...unit }),
      sharpness: () => layers.randomSharpness({ factor: 1, ...unit }),
      blur: () => layers.randomGaussianBlur({ factor: [0.5, 0.5], ...unit }),
      posterization: () => layers.randomPosterization({ factor: [1, 6], ...unit }),
      solarization: () => layers.solarization({ thresholdFactor: 1, ...unit }),
    };
    for (const [name, make] of Object.entries(all)) {
      it(`${name} changes images while fitting only, each by its own, within their range`, () => {
        setSeed(6);
        const [x, layer] = [picture(), make()];
        assert.deepEqual(layer.apply(x).arraySync(), x.arraySync());
        const [first, second] = [layer.apply(x, training), layer.apply(x, training)];
        assert.notDeepEqual(first.arraySync(), second.arraySync());
        assert.ok(first.dataSync().every((value) => value >= 0 && value <= 1));
        const one = ops.slice(x, [0, 0, 0, 0], [1, 6, 5, 3]);
        const alike = layer.apply(ops.concat([one, one, one, one, one, one]), training);
        const images = ops.unstack(alike).map((image) => String(image.dataSync()));
        assert.ok(new Set(images).size > 1, 'all images are treated alike');
      });
    }

    it('jitter does what its parts do, in their order', () => {
      const x = picture();
      const amounts = { factor: [0.3, 0.3] as const, ...unit };
      setSeed(11);
      const parts: Layer[] = [
        layers.randomBrightness(amounts),
        layers.randomContrast(amounts),
        layers.randomSaturation(amounts),
      ];
      const expected = parts.reduce<Tensor>((images, part) => part.apply(images, training), x);
      setSeed(11);
      const { factor } = amounts;
      const jitter = layers.randomColorJitter({
        brightnessFactor: factor,
        contrastFactor: factor,
        saturationFactor: factor,
        ...unit,
      });
      assert.deepEqual(jitter.apply(x, training).arraySync(), expected.arraySync());
      assert.deepEqual(layers.randomColorJitter().apply(x, training).arraySync(), x.arraySync());
    });

    it('auto contrast does not wait for fitting', () => {
      const x = ops.mul(picture(), 0.3);
      const stretched = layers.autoContrast(unit).apply(x);
      assert.deepEqual([ops.min(stretched).item(), ops.max(stretched).item()], [0, 1]);
    });

    it('equalization treats each image by itself', () => {
      const x = picture();
      const layer = layers.equalization({ bins: 16, ...unit });
      const together = ops.unstack(layer.apply(x, training));
      ops.unstack(x).forEach((image, i) => {
        const alone = layer.apply(ops.expandDims(image, 0), training);
        assert.deepEqual([...alone.dataSync()], [...together[i]!.dataSync()]);
      });
    });

    it('refuse what they cannot do', () => {
      const gray = zeros([1, 4, 4, 1]);
      for (const make of [layers.randomHue, layers.randomSaturation, layers.randomColorDegeneration]) {
        const layer = make({ factor: 0.5 });
        assert.throws(
          () => layer.apply(gray),
          says(layer.kind, 'expected images of 3 channels', '[4, 4, 1]'),
        );
        assert.throws(() => make({ factor: 2 }), says(layer.kind, 'bad factor, got 2'));
        assert.throws(
          () => make({ factor: 0.5, valueRange: [1, 0] }),
          says(layer.kind, 'bad valueRange', '[lowest, highest]'),
        );
      }
      assert.throws(
        () => layers.randomColorJitter({ hueFactor: 0.1, name: 'jitter' }).apply(gray),
        says('jitter/hue', 'expected images of 3 channels'),
      );
      assert.throws(
        () => layers.randomSharpness({ factor: -1 }),
        says('randomSharpness', 'bad factor, got -1'),
      );
      assert.throws(
        () => layers.randomGaussianBlur({ kernelSize: 4 }),
        says('randomGaussianBlur', 'bad kernelSize, got 4', 'an odd number'),
      );
      assert.throws(
        () => layers.randomGaussianBlur({ sigma: 2 }),
        says('randomGaussianBlur', 'bad sigma, got 2'),
      );
      assert.throws(
        () => layers.randomPosterization({ factor: 9 }),
        says('randomPosterization', 'bad factor, got 9', 'in [0, 8]'),
      );
      assert.throws(
        () => layers.solarization({ thresholdFactor: bad('x') }),
        says('solarization', "bad thresholdFactor, got 'x'"),
      );
      assert.throws(
        () => layers.autoContrast({ valueRange: bad(3) }),
        says('autoContrast', 'bad valueRange'),
      );
      assert.throws(() => layers.equalization({ bins: 1 }), says('equalization', 'bad bins, got 1'));
    });
  },
  oneBackend,
);
