// Random changes of images: what they do, when, with which chances, inside of a step, and what they refuse.
import assert from 'node:assert/strict';
import { jit, type Layer, layers, sequential, setSeed, tensor } from '../src/index.ts';
import * as ops from '../src/ops/index.ts';
import type { Tensor } from '../src/tensor.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';

const near = { rtol: 1e-5, atol: 2e-5 };

const picture = (batch = 3) =>
  tensor(
    Array.from({ length: batch * 6 * 5 * 2 }, (_, i) => Math.sin(i * 0.7)),
    [batch, 6, 5, 2],
  );
const training = { training: true };

/** Images as lists of numbers. */
function imagesOf(x: Tensor): number[][] {
  const data = [...x.dataSync()];
  const size = data.length / x.shape[0]!;
  return Array.from({ length: x.shape[0]! }, (_, i) => data.slice(i * size, (i + 1) * size));
}

describeBackends(
  'augmentation',
  () => {
    it('chance changes images while fitting only, each by its own', () => {
      setSeed(5);
      const x = picture(4);
      const all: Layer[] = [
        layers.randomFlip(),
        layers.randomRotation({ factor: 0.2 }),
        layers.randomZoom({ heightFactor: 0.3 }),
        layers.randomTranslation({ heightFactor: 0.3, widthFactor: 0.3 }),
        layers.randomContrast({ factor: 0.5, valueRange: [-9, 9] }),
        layers.randomBrightness({ factor: 0.5, valueRange: [-9, 9] }),
      ];
      for (const layer of all) {
        assert.deepEqual(layer.apply(x).arraySync(), x.arraySync(), layer.kind);
        const [first, second] = [layer.apply(x, training), layer.apply(x, training)];
        assert.notDeepEqual(first.arraySync(), second.arraySync(), layer.kind);
        assert.deepEqual(first.shape, x.shape);
        const repeated = ops.concat([ops.slice(x, [0], [1]), ops.slice(x, [0], [1])]);
        const pair = imagesOf(layer.apply(ops.concat([repeated, repeated, repeated, repeated]), training));
        assert.ok(new Set(pair.map(String)).size > 1, `${layer.kind} treats all images alike`);
      }
    });

    it('flips are mirror images', () => {
      setSeed(8);
      const x = picture(24);
      const mirrored = (axes: number[]) => imagesOf(axes.length === 0 ? x : ops.flip(x, axes));
      const forms = {
        none: mirrored([]),
        across: mirrored([2]),
        down: mirrored([1]),
        both: mirrored([1, 2]),
      };
      const seen = (mode?: 'horizontal' | 'vertical') => {
        const flipped = imagesOf(
          layers.randomFlip({ mode: mode ?? 'horizontalAndVertical' }).apply(x, training),
        );
        const found = flipped.map(
          (image, i) => Object.entries(forms).find(([, images]) => String(images[i]) === String(image))?.[0],
        );
        return [...new Set(found)].sort();
      };
      assert.deepEqual(seen('horizontal'), ['across', 'none']);
      assert.deepEqual(seen('vertical'), ['down', 'none']);
      assert.deepEqual(seen(), ['across', 'both', 'down', 'none']);
    });

    it('crops are windows, the same for the batch, at all places', () => {
      setSeed(2);
      const x = picture(2);
      const crop = layers.randomCrop({ height: 4, width: 4 });
      const windows = new Map<string, string>();
      for (let top = 0; top <= 2; top++) {
        for (let left = 0; left <= 1; left++) {
          windows.set(String(ops.slice(x, [0, top, left, 0], [2, 4, 4, 2]).dataSync()), `${top} ${left}`);
        }
      }
      const seen = new Set<string | undefined>();
      for (let i = 0; i < 60; i++) seen.add(windows.get(String(crop.apply(x, training).dataSync())));
      assert.deepEqual([...seen].sort(), [...windows.values()].sort());
      // Otherwise the middle, or the largest part that fits.
      const square = layers.centerCrop({ height: 5, width: 5 }).apply(x);
      close(
        layers.randomCrop({ height: 5, width: 5 }).apply(x).dataSync(),
        square.dataSync(),
        near,
        'middle',
      );
      const large = layers.randomCrop({ height: 12, width: 10 });
      assert.deepEqual(large.apply(x, training).shape, [2, 12, 10, 2]);
    });

    it('contrast keeps the mean and stays in its range', () => {
      setSeed(1);
      const x = picture(16);
      const center = ops.mean(x, [1, 2], true);
      const changed = layers.randomContrast({ factor: [0.5, 0.2], valueRange: [-9, 9] }).apply(x, training);
      const ratio = imagesOf(ops.div(ops.sub(changed, center), ops.sub(x, center)));
      const factors = ratio.map((image) => image[0]!);
      ratio.forEach((image, i) => {
        close(
          image,
          image.map(() => factors[i]!),
          { rtol: 1e-3, atol: 1e-3 },
          'one factor an image',
        );
      });
      assert.ok(Math.min(...factors) >= 0.5 && Math.max(...factors) <= 1.2, `${factors}`);
      assert.ok(Math.min(...factors) < 0.8 && Math.max(...factors) > 1, `${factors}`);
      const limited = layers.randomContrast({ factor: 1, valueRange: [-0.5, 0.5] }).apply(x, training);
      assert.ok(limited.dataSync().every((value) => value >= -0.5 && value <= 0.5));
    });

    it('shears go to either side', () => {
      setSeed(3);
      const x = picture(12);
      const slanted = imagesOf(
        layers.randomShear({ xFactor: [0.3, 0.3], yFactor: [0.1, 0.1] }).apply(x, training),
      );
      const sides = [1, -1].map((side) => {
        const transform = tensor([1, 0.3 * side, 0, 0.1 * side, 1, 0]);
        return imagesOf(ops.affineTransform(x, transform, { fillMode: 'reflect' }));
      });
      const seen = slanted.map((image, i) =>
        sides.findIndex((images) => images[i]!.every((value, j) => Math.abs(value - image[j]!) < 1e-4)),
      );
      assert.deepEqual([...new Set(seen)].sort(), [0, 1]);
    });

    it('erasing fills one rectangle', () => {
      setSeed(9);
      const x = picture(8);
      const erased = layers
        .randomErasing({ factor: [1, 1], scale: [0.25, 0.25], fillValue: 7 })
        .apply(x, training);
      for (const image of imagesOf(erased)) {
        const places = image.flatMap((value, i) => (value === 7 ? [i >> 1] : []));
        const rows = new Set(places.map((place) => Math.floor(place / 5)));
        const columns = new Set(places.map((place) => place % 5));
        // Half of six rows and of five columns, in both channels.
        assert.equal(rows.size, 3);
        assert.ok(columns.size === 2 || columns.size === 3);
        assert.equal(places.length, 2 * rows.size * columns.size);
      }
      assert.deepEqual(layers.randomErasing({ factor: 0 }).apply(x, training).arraySync(), x.arraySync());
      const noise = layers.randomErasing({ factor: [1, 1], valueRange: [-1, 1] }).apply(x, training);
      assert.notDeepEqual(noise.arraySync(), x.arraySync());
      assert.ok(noise.dataSync().every((value) => Math.abs(value) <= 1));
      const colors = layers.randomErasing({ factor: [1, 1], scale: [1, 1], fillValue: [3, 4] });
      assert.deepEqual([...colors.apply(x, training).dataSync().slice(0, 4)], [3, 4, 3, 4]);
    });

    it('some images lose their colors or become negatives', () => {
      setSeed(7);
      const x = ops.randomUniform([40, 2, 2, 3]);
      const kinds = (changed: Tensor, expected: Tensor) => {
        const [before, after, wanted] = [x, changed, expected].map(imagesOf) as [
          number[][],
          number[][],
          number[][],
        ];
        return after.map((image, i) => {
          const same = (other: number[]) => image.every((value, j) => Math.abs(value - other[j]!) < 1e-6);
          return same(before[i]!) ? 'kept' : same(wanted[i]!) ? 'changed' : 'wrong';
        });
      };
      const gray = ops.matMul(ops.reshape(x, [160, 3]), tensor([[0.2989], [0.587], [0.114]]));
      const spread = ops.reshape(ops.repeat(gray, 3, 1), x.shape);
      const grays = kinds(layers.randomGrayscale().apply(x, training), spread);
      const negatives = kinds(
        layers.randomInvert({ factor: [0.5, 0.5], valueRange: [0, 1] }).apply(x, training),
        ops.sub(1, x),
      );
      for (const list of [grays, negatives]) assert.deepEqual([...new Set(list)].sort(), ['changed', 'kept']);
      const all = kinds(layers.randomGrayscale({ factor: 1 }).apply(x, training), spread);
      assert.deepEqual(new Set(all), new Set(['changed']));
      const one = ops.zeros([1, 2, 2, 1]);
      assert.deepEqual(layers.randomGrayscale({ factor: 1 }).apply(one, training).shape, one.shape);
    });

    it('a step draws new numbers each time it runs, and one seed gives one run', () => {
      const shake = layers.randomTranslation({ heightFactor: 0.4, widthFactor: 0.4 });
      const step = jit((x: Tensor) => shake.apply(x, training));
      const run = () => {
        setSeed(4);
        return [step(picture()), step(picture())].map((image) => [...image.dataSync()]);
      };
      const [first, second] = run();
      assert.notDeepEqual(first, second);
      assert.deepEqual(run(), [first, second]);
    });

    it('a model preprocesses and augments by itself', async () => {
      setSeed(6);
      const count = 64;
      // Bright on the left or on the right.
      const bytes = Uint8Array.from({ length: count * 12 * 12 }, (_, i) => {
        const left = i % 12 < 6;
        return left === (Math.floor(i / 144) % 2 === 0) ? 200 + (i % 7) : 20 + (i % 11);
      });
      const images = tensor(bytes, [count, 12, 12, 1], 'uint8');
      const classes = tensor(Array.from({ length: count }, (_, i) => i % 2));
      const network = sequential({
        layers: [
          layers.rescaling({ scale: 1 / 255, inputShape: [12, 12, 1] }),
          layers.randomFlip({ mode: 'vertical' }),
          layers.randomTranslation({ heightFactor: 0.2, widthFactor: 0.1 }),
          layers.randomRotation({ factor: 0.05 }),
          layers.randomCrop({ height: 10, width: 10 }),
          layers.resizing({ height: 6, width: 6 }),
          layers.flatten(),
          layers.dense({ units: 2 }),
          layers.softmax(),
        ],
      });
      network.compile({
        optimizer: 'adam',
        loss: 'sparseCategoricalCrossentropy',
        metrics: ['accuracy'],
      });
      const warned: unknown[] = [];
      const warn = console.warn;
      console.warn = (text: unknown) => warned.push(text);
      try {
        await network.fit(images, classes, { epochs: 30, batchSize: 16, verbose: 0 });
      } finally {
        console.warn = warn;
      }
      // Bytes are as they should be: the model normalises them.
      assert.deepEqual(warned, []);
      const { accuracy } = await network.evaluate(images, classes);
      assert.ok(accuracy! > 0.95, `accuracy ${accuracy}`);
      network.dispose();
    });
  },
  twoBackends,
);

describeBackends(
  'augmentation refuses',
  () => {
    it('images and factors that do not fit', () => {
      assert.throws(() => layers.resizing({ height: 0, width: 2 }), says('resizing', 'bad height, got 0'));
      assert.throws(
        () => layers.resizing({ height: 2, width: 2, interpolation: bad('cubic') }),
        says('resizing', "unknown interpolation, got 'cubic'"),
      );
      assert.throws(
        () => layers.resizing({ height: 2, width: 2, cropToAspectRatio: true, padToAspectRatio: true }),
        says('resizing', 'exclude each other'),
      );
      assert.throws(
        () => layers.resizing({ height: 2, width: 2, fillValue: bad('0') }),
        says('resizing', "bad fillValue, got '0'"),
      );
      assert.throws(
        () => layers.centerCrop({ height: 2, width: 2 }).computeOutputShape([4, 4]),
        says('centerCrop', 'expected samples [height, width, channels], got [4, 4]'),
      );
      assert.throws(
        () => layers.randomCrop({ height: 2, width: 1.5 }),
        says('randomCrop', 'bad width, got 1.5'),
      );
      assert.throws(() => layers.randomFlip({ mode: bad('sideways') }), says('randomFlip', 'unknown mode'));
      assert.throws(
        () => layers.randomRotation({ factor: 1.5 }),
        says('randomRotation', 'bad factor, got 1.5', 'up to 1'),
      );
      assert.throws(
        () => layers.randomRotation({ factor: 0.1, fillMode: bad('mirror') }),
        says('randomRotation', "unknown fillMode, got 'mirror'", 'reflect'),
      );
      assert.throws(
        () => layers.randomZoom({ heightFactor: [-1, 0] }),
        says('randomZoom', 'bad heightFactor, got [-1, 0]'),
      );
      assert.throws(
        () => layers.randomTranslation({ heightFactor: bad('a'), widthFactor: 0 }),
        says('randomTranslation', "bad heightFactor, got 'a'"),
      );
      assert.throws(
        () => layers.randomShear({ xFactor: -0.1 }),
        says('randomShear', 'bad xFactor, got -0.1', 'in [0, 1]'),
      );
      assert.throws(() => layers.randomErasing({ scale: 2 }), says('randomErasing', 'bad scale, got 2'));
      assert.throws(
        () => layers.randomErasing({ fillValue: bad('0') }),
        says('randomErasing', "bad fillValue, got '0'"),
      );
      assert.throws(
        () => layers.randomErasing({ fillValue: [1, 2, 3] }).computeOutputShape([4, 4, 1]),
        says('randomErasing', 'expected images of 3 channels', 'got [4, 4, 1]'),
      );
      assert.throws(
        () => layers.randomGrayscale({ factor: -1 }),
        says('randomGrayscale', 'bad factor, got -1'),
      );
      assert.throws(
        () => layers.randomGrayscale().computeOutputShape([4, 4, 2]),
        says('randomGrayscale', '3 channels', 'got [4, 4, 2]'),
      );
      assert.throws(
        () => layers.randomInvert({ valueRange: bad(255) }),
        says('randomInvert', 'bad valueRange, got 255'),
      );
      assert.throws(() => layers.randomContrast({ factor: 2 }), says('randomContrast', 'bad factor, got 2'));
      assert.throws(
        () => layers.randomBrightness({ factor: 0.1, valueRange: [1, 0] }),
        says('randomBrightness', 'bad valueRange, got [1, 0]'),
      );
      assert.throws(
        () => ops.affineTransform(picture(), tensor([1, 0, 0, 0])),
        says('affineTransform', 'bad transform, got [4]', '[3, 8]'),
      );
      assert.throws(
        () => ops.affineTransform(tensor([[1]]), tensor([1, 0, 0, 0, 1, 0])),
        says('affineTransform', 'expected images'),
      );
      assert.throws(
        () => ops.affineTransform(picture(), tensor([1, 0, 0, 0, 1, 0]), { interpolation: bad('cubic') }),
        says('affineTransform', 'unknown interpolation'),
      );
    });
  },
  oneBackend,
);
