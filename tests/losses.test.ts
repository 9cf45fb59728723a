// Losses against Keras: numbers a sample, their mean and its gradient; and cross entropies that go back to a softmax's logits.
import assert from 'node:assert/strict';
import { jit, losses, mean, softmax, tensor, valueAndGrad } from '../src/api.ts';
import { getLoss, type Loss, type LossName } from '../src/losses/losses.ts';
import type { Tensor } from '../src/tensor.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, flat, modelBackends, type Numbers, numbers, oneBackend } from './support/fixtures.ts';

interface LossCase {
  name: string;
  loss: string;
  options: object;
  labels: Numbers;
  labelType: 'float32' | 'int32';
  predictions: Numbers;
  perSample: number[];
  mean: number;
  gradient: Numbers;
}

const { cases } = fixture<{ cases: LossCase[] }>('losses');
/** The loss of that name; its options come from the fixture. */
function make(name: string, options: object): Loss {
  return (losses as unknown as Record<string, (options: object) => Loss>)[name]!(options);
}

const near = { rtol: 2e-5, atol: 1e-6 };

describeBackends(
  'losses as in Keras',
  () => {
    for (const { name, loss: lossName, options, labels, labelType, predictions, ...expected } of cases) {
      it(`${lossName}, ${name} ${JSON.stringify(options)}`, () => {
        const loss = make(lossName, options);
        const yTrue = numbers(labels, labelType);
        const yPred = numbers(predictions);
        const perSample = loss.call(yTrue, yPred);
        assert.deepEqual(perSample.shape, [yPred.shape[0]]);
        close(perSample.dataSync(), expected.perSample, near, 'a sample');
        const { value, gradients } = valueAndGrad((p) => mean(loss.call(yTrue, p!)))(yPred);
        close(value.dataSync(), [expected.mean], near, 'mean');
        close(gradients[0]!.dataSync(), flat(expected.gradient), near, 'gradient');
        const traced = jit((t: Tensor, p: Tensor) => loss.call(t, p));
        close(traced(yTrue, yPred).dataSync(), expected.perSample, near, 'traced');
        traced.dispose();
      });
    }
  },
  modelBackends,
);

describeBackends(
  'losses of a softmax',
  () => {
    const logits = [
      [100, -100, 0],
      [2, 1, 0.5],
      [-3, 40, -60],
    ];
    const oneHot = [
      [0, 1, 0],
      [1, 0, 0],
      [0, 1, 0],
    ];
    const indices = Int32Array.of(1, 0, 1);

    it('are those of its logits, where probabilities underflow', () => {
      for (const [kind, labels] of [
        ['categoricalCrossentropy', tensor(oneHot)],
        ['sparseCategoricalCrossentropy', tensor(indices)],
      ] as const) {
        const x = tensor(logits);
        const ofSoftmax = valueAndGrad((z) => mean(losses[kind]().call(labels, softmax(z!))))(x);
        const ofLogits = valueAndGrad((z) => mean(losses[kind]({ fromLogits: true }).call(labels, z!)))(x);
        close(ofSoftmax.value.dataSync(), ofLogits.value.dataSync(), { rtol: 1e-6, atol: 0 }, kind);
        close(ofSoftmax.gradients[0]!.dataSync(), ofLogits.gradients[0]!.dataSync(), near, kind);
        // The first row's loss is 200 nats, beyond what a clipped probability could give.
        close(losses[kind]().call(labels, softmax(x)).dataSync().subarray(0, 1), [200], near, kind);
      }
    });

    it('refuse labels that do not fit, and say what would', () => {
      const p = tensor([
        [0.5, 0.5],
        [0.1, 0.9],
      ]);
      assert.throws(
        () => losses.categoricalCrossentropy().call(tensor(Int32Array.of(0, 1)), p),
        /\[categoricalCrossentropy\].*got \[2\], expected \[2, 2\].*sparseCategoricalCrossentropy/,
      );
      assert.throws(
        () => losses.sparseCategoricalCrossentropy().call(tensor([[1, 0, 0, 0]]), p),
        /\[sparseCategoricalCrossentropy\].*got \[1, 4\], expected class indices \[2\].*categoricalCrossentropy/,
      );
      assert.throws(
        () => losses.meanSquaredError().call(tensor([1, 2, 3]), p),
        /\[meanSquaredError\].*got \[3\], expected \[2, 2\]/,
      );
      assert.throws(
        () => losses.binaryCrossentropy({ labelSmoothing: 1 }),
        /labelSmoothing, got 1, expected/,
      );
    });

    it('of equal numbers and of logits of 0 have their proper gradients', () => {
      const zero = tensor([[0, 1]]);
      const absolute = valueAndGrad((p) => mean(losses.meanAbsoluteError().call(zero, p!)))(tensor([[0, 1]]));
      assert.deepEqual(absolute.gradients[0]!.arraySync(), [[0, 0]]);
      const binary = losses.binaryCrossentropy({ fromLogits: true });
      const { gradients } = valueAndGrad((z) => mean(binary.call(zero, z!)))(tensor([[0, 0]]));
      close(gradients[0]!.dataSync(), [0.25, -0.25], near, 'sigmoid(0) minus the label, over two');
    });

    it('of pairs and of noisy labels refuse what they cannot do', () => {
      const row = tensor([[1, 0]]);
      assert.throws(
        () => losses.circle().call(tensor([0, 1]), row),
        /\[circle\] labels and predictions do not fit, got \[2\]/,
      );
      assert.throws(
        () => losses.circle({ gamma: Number.NaN }),
        /\[circle\] bad gamma, got NaN, expected a finite number/,
      );
      assert.throws(
        () => losses.categoricalGeneralizedCrossEntropy({ q: 1 }),
        /\[categoricalGeneralizedCrossEntropy\] bad q, got 1, expected a number in \(0, 1\)/,
      );
      assert.throws(
        () => losses.categoricalGeneralizedCrossEntropy().call(tensor([[0, 1]]), row),
        /labels do not fit the predictions, got \[1, 2\], expected class indices \[1\]/,
      );
    });

    it('a sample that makes no pair does not count in the mean of circle losses', () => {
      const loss = losses.circle({ gamma: 2 });
      const pair = [
        [1, 0],
        [0.6, 0.8],
      ];
      const alone = mean(loss.call(tensor([0, 0, 1, 2]), tensor([...pair, [0, 1], [0, -1]])));
      const [first, second] = loss.call(tensor([0, 0, 1, 2]), tensor([...pair, [0, 1], [0, -1]])).dataSync();
      close([alone.item()], [(first! + second!) / 4], near, 'mean');
      const { gradients } = valueAndGrad((p) => mean(loss.call(tensor([0, 1]), p!)))(tensor(pair));
      assert.deepEqual(gradients[0]!.arraySync(), [
        [0, 0],
        [0, 0],
      ]);
    });

    it('refuse class indices out of range, naming the index and the limit', () => {
      const call = () =>
        losses.sparseCategoricalCrossentropy({ fromLogits: true }).call(
          tensor(Int32Array.of(0, 7)),
          tensor([
            [1, 2],
            [3, 4],
          ]),
        );
      assert.throws(call, /label out of range, got 7, expected an integer in \[0, 2\)/);
    });
  },
  oneBackend,
);

describe('names of losses', () => {
  it('are taken in camelCase, snake_case, as classes and in short', () => {
    for (const [name, meant] of [
      ['meanSquaredError', 'meanSquaredError'],
      ['mean_squared_error', 'meanSquaredError'],
      ['MeanSquaredError', 'meanSquaredError'],
      ['mse', 'meanSquaredError'],
      ['MAE', 'meanAbsoluteError'],
      ['categorical_crossentropy', 'categoricalCrossentropy'],
      ['categoricalCrossEntropy', 'categoricalCrossentropy'],
      ['binary_crossentropy', 'binaryCrossentropy'],
      ['sparse_categorical_crossentropy', 'sparseCategoricalCrossentropy'],
      ['KLDivergence', 'klDivergence'],
      ['kl_divergence', 'klDivergence'],
      ['kullback_leibler_divergence', 'klDivergence'],
      ['kld', 'klDivergence'],
      ['mape', 'meanAbsolutePercentageError'],
      ['MSLE', 'meanSquaredLogarithmicError'],
      ['log_cosh', 'logCosh'],
      ['logcosh', 'logCosh'],
      ['Huber', 'huber'],
    ]) {
      assert.equal(getLoss('test', name as LossName).name, meant);
    }
  });
});
