// Generated digits: the same bytes everywhere, balanced, varied, learnable and yet not trivial.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { generateDigits } from '../src/data/digits.ts';
import { glyphs } from '../src/data/glyphs.ts';
import { NablaError } from '../src/errors.ts';

const PIXELS = 28 * 28;

/** Accuracy on `test` of a softmax regression trained by plain stochastic gradient descent on `train`. */
function linearAccuracy(train: Labeled, test: Labeled, epochs: number): number {
  const weights = Array.from({ length: 10 }, () => new Float32Array(PIXELS));
  const scores = new Float64Array(10);
  const score = (images: Uint8Array, row: number) => {
    for (let c = 0; c < 10; c++) {
      const w = weights[c]!;
      let sum = 0;
      for (let p = 0; p < PIXELS; p++) sum += w[p]! * images[row * PIXELS + p]!;
      scores[c] = sum / 255;
    }
  };
  for (let step = 0; step < epochs * train.labels.length; step++) {
    const row = step % train.labels.length;
    score(train.images, row);
    const most = Math.max(...scores);
    const exps = Array.from(scores, (s) => Math.exp(s - most));
    const sum = exps.reduce((a, b) => a + b);
    for (let c = 0; c < 10; c++) {
      const rate = (0.01 * (exps[c]! / sum - (train.labels[row] === c ? 1 : 0))) / 255;
      const w = weights[c]!;
      for (let p = 0; p < PIXELS; p++) w[p]! -= rate * train.images[row * PIXELS + p]!;
    }
  }
  let right = 0;
  for (let row = 0; row < test.labels.length; row++) {
    score(test.images, row);
    if (scores.indexOf(Math.max(...scores)) === test.labels[row]) right++;
  }
  return right / test.labels.length;
}

interface Labeled {
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('generateDigits', () => {
  it('gives the bytes it has always given for a seed', () => {
    const { images, labels } = generateDigits({ count: 500, seed: 7 });
    assert.equal(sha256(labels), '6f550c2ff17bea3396a57876c9c1f2fe59b5027145ba022bf1d9acda4ae0c5a9');
    assert.equal(sha256(images), '87bb2ea5aaea7ed469c9765cea9fc2ffc2a4d5c85f9dd6276a792ea085d5ad72');
  });

  it('draws other images for another seed', () => {
    const first = generateDigits({ count: 50, seed: 1 });
    const second = generateDigits({ count: 50, seed: 2 });
    assert.notDeepEqual(first.images, second.images);
    assert.notDeepEqual(first.labels, second.labels);
  });

  it('draws every class as often as the others, in shuffled order', () => {
    const { labels } = generateDigits({ count: 1003, seed: 3 });
    const counts = new Array<number>(10).fill(0);
    for (const label of labels) counts[label]!++;
    assert.deepEqual(counts.toSorted(), [100, 100, 100, 100, 100, 100, 100, 101, 101, 101]);
    let rising = 0;
    for (let i = 1; i < labels.length; i++) if (labels[i] === (labels[i - 1]! + 1) % 10) rising++;
    assert.ok(
      rising > 60 && rising < 140,
      `${rising} of 1002 labels follow the one before; about 100 expected`,
    );
  });

  it('draws ink and paper: dark corners, bright strokes, soft edges', () => {
    const { images, labels } = generateDigits({ count: 200, seed: 4 });
    for (let i = 0; i < labels.length; i++) {
      const image = images.subarray(i * PIXELS, (i + 1) * PIXELS);
      const bright = image.filter((v) => v > 110).length;
      assert.ok(bright > 14 && bright < PIXELS / 2, `image ${i} (${labels[i]}) has ${bright} bright pixels`);
      assert.ok(Math.max(...image) > 130, `image ${i} is faint`);
      assert.ok(new Set(image).size > 10, `image ${i} has no soft edges`);
    }
    const corners = images.filter((_, p) => p % PIXELS === 0 || p % PIXELS === PIXELS - 1);
    assert.ok(corners.filter((v) => v < 60).length > 0.95 * corners.length);
  });

  it('never draws the same image twice', () => {
    const { images } = generateDigits({ count: 1000, seed: 5 });
    const sums = new Set<string>();
    for (let i = 0; i < 1000; i++) sums.add(sha256(images.subarray(i * PIXELS, (i + 1) * PIXELS)));
    assert.equal(sums.size, 1000);
  });

  it('draws at other sizes', () => {
    for (const size of [8, 16, 33, 64]) {
      const { images, labels } = generateDigits({ count: 20, seed: 6, size });
      assert.equal(images.length, 20 * size * size);
      assert.equal(labels.length, 20);
      const ink = images.filter((v) => v > 110).length / images.length;
      assert.ok(ink > 0.03 && ink < 0.3, `${ink} of the pixels are ink at size ${size}`);
    }
  });

  it('can be learned, but not by a linear classifier to the end', function () {
    this.timeout(60_000);
    const train = generateDigits({ count: 4000, seed: 1 });
    const test = generateDigits({ count: 1000, seed: 2 });
    const accuracy = linearAccuracy(train, test, 3);
    assert.ok(accuracy > 0.6 && accuracy < 0.92, `accuracy ${accuracy}`);
  });

  it('draws 60,000 images in seconds', function () {
    this.timeout(60_000);
    generateDigits({ count: 1000, seed: 1 });
    const before = process.cpuUsage();
    generateDigits({ count: 6000, seed: 1 });
    const { user, system } = process.cpuUsage(before);
    const perSixtyThousand = (10 * (user + system)) / 1000;
    // About 1.2 s; processor time, for other processes do not count.
    assert.ok(perSixtyThousand < 10_000, `${perSixtyThousand} ms`);
  });

  it('refuses counts, sizes and seeds that make no sense', () => {
    const refused = (options: Parameters<typeof generateDigits>[0], text: RegExp) =>
      assert.throws(
        () => generateDigits(options),
        (error: unknown) => error instanceof NablaError && text.test(error.message),
      );
    refused({ count: 0, seed: 1 }, /\[generateDigits\] count got 0, expected an integer in \[1, /);
    refused({ count: 1.5, seed: 1 }, /count got 1\.5/);
    refused({ count: 1e9, seed: 1 }, /count got 1000000000/);
    refused({ count: 1, seed: 1, size: 7 }, /size got 7/);
    refused({ count: 1, seed: 1, size: 257 }, /size got 257/);
    refused({ count: 1, seed: 0.5 }, /seed got 0\.5/);
  });
});

describe('glyphs', () => {
  it('are ten digits of strokes inside the unit box', () => {
    assert.equal(glyphs.length, 10);
    for (const ways of glyphs) {
      assert.ok(ways.length >= 2);
      for (const stroke of ways.flat()) {
        assert.ok(stroke.points.length >= 4 && stroke.points.length % 2 === 0);
        for (const value of stroke.points) assert.ok(value >= 0 && value <= 1, `${value}`);
      }
    }
  });
});
