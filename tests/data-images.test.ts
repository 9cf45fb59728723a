// PNG files of every form, and folders of them: labels, order, sizes, channels, splits, worker threads, damaged files.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeImage, resized, withChannels } from '../src/data/images.ts';
import { decodePng } from '../src/data/png.ts';
import { data, Philox, setSeed } from '../src/index.ts';
import { bad, says } from './support/errors.ts';
import { encodePng, type PngSpec, part } from './support/png.ts';

const random = new Philox(11);
const noise = (count: number, below: number) => Array.from({ length: count }, () => random.int(below));

describe('PNG', () => {
  const perPixel: Record<number, number> = { 0: 1, 2: 3, 4: 2, 6: 4 };
  for (const [colour, depths] of [
    [0, [1, 2, 4, 8, 16]],
    [2, [8, 16]],
    [4, [8, 16]],
    [6, [8, 16]],
  ] as const) {
    for (const depth of depths) {
      it(`colour type ${colour} of ${depth} bits: every filter, interlaced or not, widths that fill no bytes`, () => {
        for (const interlaced of [false, true])
          for (let filter = 0; filter <= 4; filter++) {
            const [width, height] = [1 + random.int(11), 1 + random.int(11)];
            const channels = perPixel[colour]!;
            const samples = noise(width * height * channels, 2 ** depth);
            const image = decodePng(encodePng({ width, height, colour, depth, samples, filter, interlaced }));
            const shown = samples.map((value) =>
              depth === 16 ? value >> 8 : (value * 255) / (2 ** depth - 1),
            );
            const what = `${width}x${height}, filter ${filter}, interlaced ${interlaced}`;
            assert.deepEqual(
              { ...image, data: [...image.data] },
              { width, height, channels, data: shown },
              what,
            );
          }
      });
    }
  }

  it('palettes of 1 to 8 bits, with transparency', () => {
    const palette = Uint8Array.of(1, 2, 3, 40, 50, 60);
    for (const depth of [1, 2, 4, 8]) {
      const spec = { width: 3, height: 1, colour: 3, depth, samples: [0, 1, 0], palette };
      assert.deepEqual([...decodePng(encodePng(spec)).data], [1, 2, 3, 40, 50, 60, 1, 2, 3]);
      const clear = decodePng(encodePng({ ...spec, transparency: Uint8Array.of(9) }));
      assert.deepEqual([clear.channels, ...clear.data], [4, 1, 2, 3, 9, 40, 50, 60, 255, 1, 2, 3, 9]);
    }
  });

  it('says what is damaged, without reserving what a header asks for', () => {
    const good = { width: 2, height: 2, colour: 0, samples: [1, 2, 3, 4] };
    const bytes = encodePng(good);
    const head = (change: (header: Buffer) => void) => {
      const copy = Buffer.from(bytes);
      change(copy.subarray(16, 29));
      return copy;
    };
    const cases: [string, Uint8Array, string][] = [
      ['another format', Uint8Array.of(0xff, 0xd8, 0xff), 'no PNG file'],
      ['a huge size', head((h) => h.writeUInt32BE(0x7fffffff, 0)), 'pixels, expected 1 to 2^28'],
      ['no size', head((h) => h.writeUInt32BE(0, 4)), '2 by 0 pixels'],
      ['a larger size', head((h) => h.writeUInt32BE(9, 4)), 'bytes of pixels, expected'],
      ['a smaller size', head((h) => h.writeUInt32BE(1, 4)), 'cannot be unpacked'],
      ['an unknown depth', head((h) => h.writeUInt8(3, 8)), 'unknown form: depth 3'],
      ['an unknown colour', head((h) => h.writeUInt8(5, 9)), 'unknown form'],
      ['a wrong length', Buffer.from(bytes).fill(0xff, 33, 37), 'cut short in its part IDAT'],
      ['no end', bytes.subarray(0, bytes.length - 12), 'without an end'],
      [
        'a wrong beginning',
        Buffer.concat([bytes.subarray(0, 8), part('IEND', Uint8Array.of())]),
        'begins with IEND',
      ],
      ['an unknown filter', encodePng({ ...good, filter: 5 }), 'filter 5'],
      ['no palette', encodePng({ ...good, colour: 3 }), 'a palette is missing'],
      ['a small palette', encodePng({ ...good, colour: 3, palette: Uint8Array.of(0, 0, 0) }), 'colour 1'],
    ];
    for (const [what, damaged, text] of cases)
      assert.throws(() => decodePng(damaged), says('png', text), what);
    // Any cut and any changed byte gives an image or an error of ours, nothing else.
    for (let i = 0; i < bytes.length; i++) {
      for (const damaged of [bytes.subarray(0, i), Buffer.from(bytes).fill(bytes[i]! ^ 0x55, i, i + 1)]) {
        try {
          decodePng(damaged);
        } catch (error) {
          says('png')(error);
        }
      }
    }
  });
});

describe('images', () => {
  const grey = (samples: number[], width: number): PngSpec => ({
    width,
    height: samples.length / width,
    colour: 0,
    samples,
  });

  it('have the channels that are asked for', () => {
    const rgb = { width: 1, height: 1, channels: 3, data: Uint8Array.of(10, 200, 30) };
    // As Pillow's convert('L').
    assert.deepEqual([...withChannels(rgb, 1).data], [124]);
    assert.deepEqual([...withChannels(rgb, 4).data], [10, 200, 30, 255]);
    const greyAlpha = { width: 1, height: 1, channels: 2, data: Uint8Array.of(7, 8) };
    assert.deepEqual([...withChannels(greyAlpha, 3).data], [7, 7, 7]);
    assert.deepEqual([...withChannels(greyAlpha, 4).data], [7, 7, 7, 8]);
    assert.deepEqual([...withChannels(greyAlpha, 1).data], [7]);
  });

  it('are resized as tf.image.resize does', () => {
    const image = { width: 2, height: 2, channels: 1, data: Uint8Array.of(0, 100, 200, 40) };
    // Bilinear with half-pixel centres.
    const expected = [0, 25, 75, 100, 50, 58.75, 76.25, 85, 150, 126.25, 78.75, 55, 200, 160, 80, 40];
    assert.deepEqual([...resized(image, 4, 4)], expected);
    assert.deepEqual([...resized(image, 1, 1)], [85]);
    assert.deepEqual([...resized(image, 2, 2)], [0, 100, 200, 40]);
  });

  it('are bytes, or with a scale float32', async () => {
    const bytes = encodePng(grey([0, 51, 102, 255], 2));
    const plain = await decodeImage(bytes, { colorMode: 'grayscale' });
    assert.deepEqual(plain, { dtype: 'uint8', shape: [2, 2, 1], data: Uint8Array.of(0, 51, 102, 255) });
    const scaled = await decodeImage(bytes, { colorMode: 'grayscale', scale: 0.5, shift: -1 });
    assert.deepEqual(scaled, {
      dtype: 'float32',
      shape: [2, 2, 1],
      data: Float32Array.of(-1, 24.5, 50, 126.5),
    });
    const small = await decodeImage(bytes, { imageSize: [1, 2] });
    assert.deepEqual(small, {
      dtype: 'uint8',
      shape: [1, 2, 3],
      data: Uint8Array.of(51, 51, 51, 153, 153, 153),
    });
  });

  it('of other formats are decoded by sharp, or the error names it', async () => {
    // A grey JPEG of 8 by 8 pixels, all 128.
    const jpeg = Buffer.from(
      '/9j/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYnKSopGR8tMC0oMCUoKSj/wAALCAAIAAgBAREA' +
        '/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AP//Z',
      'base64',
    );
    const installed = await import('sharp' as string).then(
      () => true,
      () => false,
    );
    const decoding = Promise.resolve(decodeImage(jpeg, { colorMode: 'grayscale' }));
    if (!installed) {
      await assert.rejects(decoding, says('data.image', "the package 'sharp'", 'npm install sharp'));
      return;
    }
    const { shape, data: pixels } = await decoding;
    assert.deepEqual(shape, [8, 8, 1]);
    assert.ok(
      pixels.every((value) => Math.abs(value - 128) <= 2),
      String(pixels),
    );
  });
});

describe('imageFolder', () => {
  let root: string;
  // Three classes of 10, 7 and 3 pictures; a pixel of each tells its class and number.
  const counts = { ant: 10, bee: 7, cat: 3 };
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'nabla-images-'));
    for (const [label, [name, count]] of Object.entries(counts).entries()) {
      mkdirSync(join(root, name, 'more'), { recursive: true });
      for (let i = 0; i < count; i++) {
        const samples = [label, i, 0, 255];
        const place = i % 3 === 2 ? join(name, 'more') : name;
        writeFileSync(join(root, place, `${i}.png`), encodePng({ width: 2, height: 2, colour: 0, samples }));
      }
      writeFileSync(join(root, name, 'notes.txt'), 'not a picture');
    }
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  const told = async (set: data.Dataset<readonly [data.NdArray, number]>) =>
    (await set.toArray()).map(([image, label]) => `${image.data[0]}.${image.data[1]}=${label}`);

  it('gives pictures with their classes, on the main thread as in workers', async () => {
    const all: string[][] = [];
    for (const workers of [0, 1, 2]) {
      const set = await data.imageFolder(root, { colorMode: 'grayscale', shuffle: false, workers });
      assert.deepEqual(set.classNames, ['ant', 'bee', 'cat']);
      assert.equal(set.size, 20);
      assert.equal(set.files.length, 20);
      all.push(await told(set));
      const [image] = (await set.take(1).toArray())[0]!;
      assert.deepEqual(image, { dtype: 'uint8', shape: [2, 2, 1], data: Uint8Array.of(0, 0, 0, 255) });
    }
    assert.equal(new Set(all[0]).size, 20);
    assert.ok(all[0]!.every((text) => text[0] === text.at(-1)));
    assert.deepEqual(all.slice(1), [all[0], all[0]]);
  });

  it('shuffles the files anew in every pass, as the seed says', async () => {
    const set = () => data.imageFolder(root, { colorMode: 'grayscale', seed: 3, workers: 0 });
    const first = await set();
    const orders = [await told(first), await told(first)];
    assert.notDeepEqual(orders[0], orders[1]);
    assert.deepEqual(orders[0]!.toSorted(), orders[1]!.toSorted());
    const again = await set();
    assert.deepEqual([await told(again), await told(again)], orders);
    setSeed(9);
    const drawn = await told(await data.imageFolder(root, { colorMode: 'grayscale', workers: 0 }));
    setSeed(9);
    assert.deepEqual(await told(await data.imageFolder(root, { colorMode: 'grayscale', workers: 1 })), drawn);
    // Two passes at one time do not disturb each other.
    const [one, two] = [first.iterate({ iteration: 0 }), first.iterate({ iteration: 1 })];
    for (const text of orders[0]!.slice(0, 3)) {
      const [image, label] = (await one.next()).value!;
      assert.equal(`${image.data[0]}.${image.data[1]}=${label}`, text);
      await two.next();
    }
    await one.return();
    await two.return();
  });

  it('gives labels as they are asked for', async () => {
    const options = { shuffle: false, workers: 0 } as const;
    const hot = await data.imageFolder(root, {
      ...options,
      labelMode: 'categorical',
      classNames: ['cat', 'ant'],
    });
    const labels = (await hot.toArray()).map(([, label]) => String(label));
    assert.deepEqual([labels.filter((label) => label === '1,0').length, labels.length], [3, 13]);
    const images = await data.imageFolder(root, { ...options, labelMode: null });
    assert.deepEqual((await images.take(1).toArray())[0]!.shape, [2, 2, 3]);
    assert.equal(images.size, 20);
    const two = await data.imageFolder(root, { ...options, labelMode: 'binary', classNames: ['ant', 'bee'] });
    assert.deepEqual(new Set((await two.toArray()).map(([, label]) => label)), new Set([0, 1]));
  });

  it('splits the files in two parts that share none', async () => {
    const part = (subset: 'training' | 'validation') =>
      data.imageFolder(root, { validationSplit: 0.25, subset, seed: 1, workers: 0 });
    const [training, validation] = [await part('training'), await part('validation')];
    assert.deepEqual([training.size, validation.size], [15, 5]);
    assert.equal(new Set([...training.files, ...validation.files]).size, 20);
  });

  it('names the file that cannot be decoded, once, after those before it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nabla-images-'));
    mkdirSync(join(folder, 'a'));
    for (let i = 0; i < 5; i++) {
      const good = readFileSync(join(root, 'cat', '0.png'));
      writeFileSync(join(folder, 'a', `${i}.png`), i === 3 ? good.subarray(0, 30) : good);
    }
    for (const workers of [0, 1]) {
      const pass = (await data.imageFolder(folder, { shuffle: false, workers })).iterate();
      for (let i = 0; i < 3; i++) assert.equal((await pass.next()).done, false);
      await assert.rejects(pass.next(), says('data.imageFolder', 'element 3 failed', '3.png', 'cut short'));
      assert.equal((await pass.next()).done, true);
    }
    rmSync(folder, { recursive: true });
  });

  it('batches what workers stacked as it batches images one by one', async () => {
    const modes = [{}, { labelMode: 'categorical' }, { labelMode: null }, { scale: 0.5, shift: 1 }] as const;
    for (const mode of modes) {
      const of = (workers: number) =>
        data.imageFolder(root, { ...(mode as { labelMode: null }), seed: 3, workers });
      const [here, there] = [await of(0), await of(1)];
      for (const [size, dropRemainder] of [
        [1, false],
        [3, false],
        [7, true],
        [33, false],
        [70, true],
      ] as const) {
        for (const times of [1, 4]) {
          const batches = (set: data.Dataset<data.NdArray>) =>
            (times === 1 ? set : set.repeat(times)).batch(size, { dropRemainder }).toArray();
          assert.deepEqual(await batches(there), await batches(here), `${JSON.stringify(mode)} by ${size}`);
        }
      }
    }
    // More files than one task has.
    const many = mkdtempSync(join(tmpdir(), 'nabla-images-'));
    mkdirSync(join(many, 'a'));
    for (let i = 0; i < 150; i++) {
      const spec = { width: 1, height: 2, colour: 0, samples: [i, 255 - i] };
      writeFileSync(join(many, 'a', `${String(i).padStart(3, '0')}.png`), encodePng(spec));
    }
    const gray = { colorMode: 'grayscale', shuffle: false } as const;
    const here = await data.imageFolder(many, { ...gray, workers: 0 });
    const there = await data.imageFolder(many, { ...gray, workers: 2 });
    for (const size of [32, 50, 64, 65, 128, 200]) {
      const expected = await here.batch(size).toArray();
      assert.deepEqual(await there.batch(size).toArray(), expected, `150 files by ${size}`);
    }
    rmSync(many, { recursive: true });
  });

  it('refuses batches of images that differ in size in the same words, with or without workers', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nabla-images-'));
    mkdirSync(join(folder, 'a'));
    for (let i = 0; i < 50; i++) {
      const width = i < 45 ? 2 : 3;
      const spec = { width, height: 1, colour: 0, samples: new Uint8Array(width) };
      writeFileSync(join(folder, 'a', `${10 + i}.png`), encodePng(spec));
    }
    for (const [size, good] of [
      [4, 11],
      [40, 1],
    ] as const)
      for (const workers of [0, 1]) {
        const pass = (await data.imageFolder(folder, { shuffle: false, workers })).batch(size).iterate();
        for (let i = 0; i < good; i++) assert.equal((await pass.next()).done, false);
        await assert.rejects(
          pass.next(),
          says(
            'data.batch',
            `element ${good * size} failed`,
            'element 45 does not fit',
            '(part 0)',
            'paddedBatch',
          ),
        );
        assert.equal((await pass.next()).done, true);
      }
    // Where a batch begins with the first that differs, nothing is wrong.
    const sizes = (
      await (await data.imageFolder(folder, { shuffle: false, workers: 1 })).batch(5).toArray()
    ).map(([images]) => images.shape[2]);
    assert.deepEqual(sizes, [2, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
    rmSync(folder, { recursive: true });
  });

  it('gives the batches before a damaged file, then its error', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nabla-images-'));
    mkdirSync(join(folder, 'a'));
    const good = readFileSync(join(root, 'cat', '0.png'));
    for (let i = 0; i < 40; i++) {
      // Longer than what is read in one go, with bytes after its end that are ignored.
      const long = Buffer.concat([good, Buffer.alloc(100_000)]);
      const bytes = i === 37 ? good.subarray(0, 30) : i === 5 ? long : good;
      writeFileSync(join(folder, 'a', `${10 + i}.png`), bytes);
    }
    for (const workers of [0, 1]) {
      const pass = (await data.imageFolder(folder, { shuffle: false, workers })).batch(10).iterate();
      for (let i = 0; i < 3; i++) assert.deepEqual((await pass.next()).value![0].shape, [10, 2, 2, 3]);
      await assert.rejects(pass.next(), says('data.imageFolder', 'element 37 failed', '47.png', 'cut short'));
      assert.equal((await pass.next()).done, true);
    }
    rmSync(folder, { recursive: true });
  });

  it('refuses wrong options', async () => {
    const cases: [data.ImageFolderOptions, ...string[]][] = [
      [{ labelMode: bad('ints') }, "got 'ints'", "did you mean 'int'"],
      [{ colorMode: bad('grey') }, "got 'grey'", 'grayscale'],
      [{ imageSize: bad([3]) }, 'imageSize', 'expected [height, width]'],
      [{ imageSize: [0, 3] }, 'imageSize', 'got 0'],
      [{ scale: Number.NaN }, 'scale', 'NaN'],
      [{ workers: -1 }, 'workers', '-1'],
      [{ classNames: ['dog'] }, 'unknown class', "'dog'"],
      [{ labelMode: 'binary' }, 'two classes, got 3'],
      [{ validationSplit: 0.2 }, 'subset', 'seed'],
      [{ extensions: ['.gif'] }, 'no images'],
    ];
    for (const [options, ...parts] of cases)
      await assert.rejects(data.imageFolder(root, options), says('data.imageFolder', ...parts));
    await assert.rejects(data.imageFolder(join(root, 'none')), says('data.imageFolder', 'no folder'));
  });
});
