// What the guide's code imports as 'nabla' in the tests: the library, except that MNIST is a few digits that it draws itself.
import { generateDigits, type datasets as real, samples, tensor } from '../../src/index.ts';

export * from '../../src/index.ts';

function digits(count: number, seed: number) {
  const { images, labels } = generateDigits({ count, seed });
  const classes = tensor(labels).keep();
  return {
    x: samples(tensor(images, [count, 28, 28]).keep(), { scale: 1 / 255 }),
    y: samples(classes, { oneHot: 10 }),
    labels: samples(classes),
  };
}

/** Hides the library's own, which may use the network. */
export const datasets = {
  mnist: async (): ReturnType<typeof real.mnist> => ({
    train: digits(2000, 1),
    test: digits(500, 2),
    source: 'generated',
    origin: 'generateDigits',
  }),
};
