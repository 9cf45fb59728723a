// Preprocessing layers of numbers and images: Keras' numbers, what adapt learns, what they refuse.
import assert from 'node:assert/strict';
import { gradientOf } from '../src/autodiff.ts';
import { data, type Layer, layers, sequential, tensor } from '../src/index.ts';
import type { Discretization, Normalization } from '../src/layers/index.ts';
import * as ops from '../src/ops/index.ts';
import { scope } from '../src/tensor.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';
import { fixture, type Numbers, oneBackend, twoBackends } from './support/fixtures.ts';

interface PreprocessingCase {
  name: string;
  kind: string;
  options: Record<string, unknown>;
  training: boolean;
  adapt: Numbers[] | null;
  batches: boolean;
  shape: number[];
  dtype: 'float32' | 'uint8' | 'int32';
  x: number[];
  outputShape: number[];
  outputDtype: string;
  y: number[];
  dy: number[] | null;
  dx: number[] | null;
}

const { cases } = fixture<{ cases: PreprocessingCase[] }>('preprocessing');
const near = { rtol: 1e-5, atol: 2e-5 };

type Factories = Record<string, (options: Record<string, unknown>) => Layer>;

/** The layer that a case is about, after it has learned. */
function layerOf({ kind, options, adapt, batches }: PreprocessingCase): Layer {
  const name = kind[0]!.toLowerCase() + kind.slice(1);
  const layer = (layers as unknown as Factories)[name]!(options);
  if (adapt !== null) {
    const learner = layer as Discretization | Normalization;
    learner.adapt(batches ? adapt.map((batch) => tensor(batch)) : tensor(adapt));
  }
  return layer;
}

describeBackends(
  'preprocessing as in Keras',
  () => {
    for (const expected of cases) {
      it(expected.name, () => {
        const layer = layerOf(expected);
        scope(() => {
          const x = tensor(expected.x, expected.shape, expected.dtype);
          const run = () => layer.apply(x, { training: expected.training });
          const shape = layer.computeOutputShape(expected.shape.slice(1));
          assert.deepEqual([expected.shape[0], ...shape], expected.outputShape);
          const y = run();
          assert.deepEqual(y.shape, expected.outputShape);
          assert.equal(y.dtype, expected.outputDtype);
          // Halves are rounded to either side.
          const tolerance = expected.outputDtype === 'uint8' ? { rtol: 0, atol: 1 } : near;
          close(y.dataSync(), expected.y, tolerance, 'output');
          if (expected.dx === null || expected.dy === null) return;
          const dy = tensor(expected.dy, expected.outputShape);
          const { gradients } = gradientOf(() => ({ loss: ops.sum(ops.mul(run(), dy)), result: y }), [x]);
          close(gradients[0]!.dataSync(), expected.dx, near, 'gradient of the input');
        });
        for (const weight of layer.weights) weight.dispose();
      });
    }

    it('adapt learns from arrays, batches, and batches over time', async () => {
      const rows = [
        [0, 100],
        [2, 300],
        [7, 200],
      ];
      const learned = (layer: Normalization) => layer.weights.map((weight) => [...weight.dataSync()]);
      const whole = layers.normalization();
      whole.adapt(rows);
      close(learned(whole)[0]!, [3, 200], near, 'mean');
      close(learned(whole)[1]!, [26 / 3, 20000 / 3], near, 'variance');
      const parts = layers.normalization();
      parts.adapt([tensor(rows.slice(0, 1)), tensor(rows.slice(1))]);
      const stream = layers.normalization();
      async function* batches() {
        yield [tensor(rows.slice(0, 2)), tensor([0, 1])] as const;
        yield { x: { data: Float32Array.from(rows[2]!), shape: [1, 2], dtype: 'float32' }, y: 1 } as const;
      }
      const promise = stream.adapt(batches());
      assert.ok(promise instanceof Promise);
      await promise;
      const fromData = layers.normalization();
      await fromData.adapt(data.fromTensorSlices({ x: rows, y: [0, 1, 0] }).batch(2));
      for (const layer of [parts, stream, fromData]) {
        learned(layer).forEach((numbers, i) => {
          close(numbers, learned(whole)[i]!, near, 'statistics');
        });
      }
      // Once more forgets what was learned.
      parts.adapt([
        [1, 1],
        [3, 1],
      ]);
      assert.deepEqual(learned(parts), [
        [2, 1],
        [1, 0],
      ]);
      const bins = layers.discretization({ numBins: 2 });
      async function* numbers() {
        yield tensor([[1], [2]]);
        yield tensor([[3], [4]]);
      }
      await bins.adapt(numbers());
      assert.equal(bins.binBoundaries?.length, 1);
      assert.deepEqual(bins.apply(tensor([[1, 4]])).arraySync(), [[0, 1]]);
    });

    it('a token may count by a weight', () => {
      const count = layers.categoryEncoding({ numTokens: 3, outputMode: 'count' });
      const weighted = count.apply([tensor([[0, 2, 2]]), tensor([[0.5, 1, 2]])]);
      assert.deepEqual(weighted.arraySync(), [[0.5, 0, 3]]);
    });

    it('a normalised model keeps its statistics while it is trained', async () => {
      const scale = layers.normalization({ inputShape: [2] });
      const x = tensor(
        Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? 1000 + (i % 9) : i % 5)),
        [32, 2],
      );
      scale.adapt(x);
      const before = scale.weights.map((weight) => [...weight.dataSync()]);
      const network = sequential({ layers: [scale, layers.dense({ units: 1 })] });
      network.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
      await network.fit(x, ops.zeros([32, 1]), { epochs: 2, batchSize: 8, verbose: 0 });
      assert.deepEqual(
        scale.weights.map((weight) => [...weight.dataSync()]),
        before,
      );
      assert.equal(scale.trainableWeights.length, 0);
      network.dispose();
    });
  },
  twoBackends,
);

describeBackends(
  'preprocessing refuses',
  () => {
    it('options that do not fit', () => {
      assert.throws(() => layers.rescaling({ scale: bad('x') }), says('rescaling', "bad scale, got 'x'"));
      assert.throws(
        () => layers.rescaling({ scale: [1, 2] }).computeOutputShape([3]),
        says('rescaling', 'last dimension 2', 'got [3]'),
      );
      assert.throws(() => layers.normalization({ axis: 0 }), says('normalization', 'bad axis, got 0'));
      assert.throws(() => layers.normalization({ mean: 1 }), says('normalization', 'variance is missing'));
      assert.throws(
        () => layers.normalization({ mean: [1, 2], variance: [1] }),
        says('normalization', 'mean and variance do not fit, got [2] and [1]'),
      );
      assert.throws(
        () => layers.normalization({ mean: [1, 2], variance: [1, 2] }).computeOutputShape([3]),
        says('normalization', 'got [2], expected [3]'),
      );
      assert.throws(
        () => layers.normalization({ mean: 1, variance: 1 }).adapt([[1]]),
        says('normalization', 'were given', 'leave them out'),
      );
      assert.throws(() => layers.normalization().adapt([]), says('normalization', 'nothing to learn from'));
      assert.throws(
        () => layers.normalization().adapt(bad('text')),
        says('normalization', "cannot learn from 'text'"),
      );
      const adapted = layers.normalization();
      adapted.adapt([[1, 2]]);
      assert.throws(() => adapted.adapt([[1, 2, 3]]), says('normalization', 'expected [2] along axis -1'));
      assert.throws(
        () => layers.categoryEncoding({ numTokens: 0 }),
        says('categoryEncoding', 'bad numTokens, got 0'),
      );
      assert.throws(
        () => layers.categoryEncoding({ numTokens: 3, outputMode: bad('int') }),
        says('categoryEncoding', "bad outputMode, got 'int'", "'multiHot'"),
      );
      assert.throws(
        () => layers.categoryEncoding({ numTokens: 3 }).computeOutputShape([2, 2]),
        says('categoryEncoding', 'expected samples [tokens]', 'got [2, 2]'),
      );
      assert.throws(
        () => layers.categoryEncoding({ numTokens: 3 }).apply([tensor([[0]]), tensor([[1]])]),
        says('categoryEncoding', "in mode 'count'"),
      );
      assert.throws(() => layers.discretization({}), says('discretization', 'got neither'));
      assert.throws(
        () => layers.discretization({ numBins: 2, binBoundaries: [1] }),
        says('discretization', 'got both'),
      );
      assert.throws(
        () => layers.discretization({ binBoundaries: [1, 0] }),
        says('discretization', 'bad binBoundaries, got [1, 0]'),
      );
      assert.throws(
        () => layers.discretization({ numBins: 0 }),
        says('discretization', 'bad numBins, got 0'),
      );
      assert.throws(
        () => layers.discretization({ numBins: 2, epsilon: 2 }),
        says('discretization', 'bad epsilon, got 2'),
      );
      assert.throws(
        () => layers.discretization({ numBins: 2 }).apply(tensor([[1]])),
        says('discretization', 'not known', 'call adapt()'),
      );
      assert.throws(
        () => layers.discretization({ binBoundaries: [1] }).adapt([[1]]),
        says('discretization', 'binBoundaries were given'),
      );
    });

    it('tokens that are out of range', () => {
      for (const outputMode of ['oneHot', 'multiHot', 'count'] as const) {
        const encode = layers.categoryEncoding({ numTokens: 3, outputMode });
        for (const token of [3, -1]) {
          assert.throws(
            () => encode.apply(tensor([[0, token]])).dataSync(),
            /\[categoryEncoding\]|out of range/,
          );
        }
      }
    });
  },
  oneBackend,
);
