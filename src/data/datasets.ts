// Ready-made data sets, as samples in backend memory.
import { fromArray } from '../ops/creation.ts';
import { loadMnist, type MnistOptions } from './mnist.ts';
import { type Samples, samples } from './samples.ts';

/** Images with their labels. */
export interface LabeledSamples {
  /** uint8 images `[samples, 28, 28]`, presented to models as float32 in [0, 1]. */
  readonly x: Samples;
  /** Labels as one-hot rows `[samples, 10]`. */
  readonly y: Samples;
  /** The same labels as class indices, uint8 `[samples]`. */
  readonly labels: Samples;
}

/** What {@link mnist} gives. */
export interface MnistDataset {
  /** 60,000 images to learn from. */
  readonly train: LabeledSamples;
  /** 10,000 images to be judged by. */
  readonly test: LabeledSamples;
  /** `'mnist'`, or `'generated'` where the real images could not be had. */
  readonly source: 'mnist' | 'generated';
  /** Where the images came from, in words. */
  readonly origin: string;
}

/**
 * The MNIST digits: 60,000 images to train on and 10,000 to test. Looks in `NABLA_DATA_DIR`, then in the user's cache, then downloads. Where all of that
 * fails it draws digits of its own, says so, and sets `source` to `'generated'`; `fallback: 'error'` makes that an error.
 */
export async function mnist(options: MnistOptions = {}): Promise<MnistDataset> {
  const loaded = await loadMnist(options);
  const labeled = ({ images, labels, count }: typeof loaded.train): LabeledSamples => {
    const pixels = fromArray(images, [count, 28, 28], 'uint8').keep();
    const classes = fromArray(labels, [count], 'uint8').keep();
    return {
      x: samples(pixels, { scale: 1 / 255 }),
      y: samples(classes, { oneHot: 10 }),
      labels: samples(classes),
    };
  };
  return {
    train: labeled(loaded.train),
    test: labeled(loaded.test),
    source: loaded.source,
    origin: loaded.origin,
  };
}
