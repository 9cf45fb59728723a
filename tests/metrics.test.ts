// Metrics and activations against Keras.
import assert from 'node:assert/strict';
import { getActivation } from '../src/activations.ts';
import { mean, metrics, mul, sum, tensor, valueAndGrad } from '../src/api.ts';
import { getMetric, type Metric } from '../src/metrics/metrics.ts';
import type { Tensor } from '../src/tensor.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, flat, modelBackends, type Numbers, numbers, oneBackend } from './support/fixtures.ts';

interface MetricCase {
  name: string;
  metric: string;
  options: { threshold?: number };
  labels: Numbers;
  labelType: 'float32' | 'int32';
  predictions: Numbers;
  value: number;
}

interface ActivationCase {
  name: string;
  x: Numbers;
  y: Numbers;
  gradient: Numbers;
}

const near = { rtol: 2e-5, atol: 1e-6 };
const { cases } = fixture<{ cases: MetricCase[] }>('metrics');
const activations = fixture<{ weights: Numbers; cases: ActivationCase[] }>('activations');

describeBackends(
  'metrics as in Keras',
  () => {
    for (const { name, metric: metricName, options, labels, labelType, predictions, value } of cases) {
      it(`${metricName}, ${name}`, () => {
        const metric: Metric =
          options.threshold === undefined
            ? getMetric('test', metricName)
            : metrics.binaryAccuracy(options.threshold);
        const perSample = metric.call(numbers(labels, labelType), numbers(predictions));
        close(mean(perSample).dataSync(), [value], near, metricName);
      });
    }
  },
  modelBackends,
);

describeBackends(
  'activations as in Keras',
  () => {
    for (const { name, x, y, gradient } of activations.cases) {
      it(name, () => {
        const f = getActivation('test', name as 'relu');
        const weights = numbers(activations.weights);
        close(f(numbers(x)).dataSync(), flat(y), near, name);
        const { gradients } = valueAndGrad((v) => sum(mul(f(v!), weights)))(numbers(x));
        close(gradients[0]!.dataSync(), flat(gradient), { rtol: 5e-5, atol: 2e-6 }, `gradient of ${name}`);
      });
    }
  },
  modelBackends,
);

describeBackends(
  'accuracy',
  () => {
    const accuracy = metrics.accuracy();
    const value = (yTrue: Parameters<Metric['call']>[0], yPred: Parameters<Metric['call']>[1]) =>
      mean(accuracy.call(yTrue, yPred)).item();
    let scores: Tensor;
    beforeEach(() => {
      scores = tensor([
        [0.9, 0.1],
        [0.2, 0.8],
        [0.7, 0.3],
        [0.4, 0.6],
      ]);
    });

    it('is categorical for rows of the same width', () => {
      const labels = tensor([
        [1, 0],
        [0, 1],
        [0, 1],
        [1, 0],
      ]);
      assert.equal(value(labels, scores), 0.5);
    });

    it('is sparse for class indices, in a row or in a column', () => {
      assert.equal(value(tensor(Int32Array.of(0, 1, 1, 1)), scores), 0.75);
      assert.equal(value(tensor(Uint8Array.of(0, 1, 1, 1)), scores), 0.75);
      assert.equal(value(tensor([[0], [0], [1], [0]]), scores), 0.25);
    });

    it('is binary for one output', () => {
      const one = tensor([[0.6], [0.4], [0.5], [0.9]]);
      assert.equal(value(tensor([1, 0, 1, 0]), one), 0.5);
      assert.equal(value(tensor([[1], [0], [0], [1]]), one), 1);
    });

    it('of categories refuses class indices', () => {
      assert.throws(
        () => metrics.categoricalAccuracy().call(tensor(Int32Array.of(0, 1, 1, 1)), scores),
        /\[categoricalAccuracy\].*got \[4\], expected \[4, 2\].*sparseCategoricalAccuracy/,
      );
    });

    it('of yes and no refuses labels of another size', () => {
      assert.throws(
        () => metrics.binaryAccuracy().call(tensor([1, 0, 1]), tensor([[0.5], [0.2]])),
        /\[binaryAccuracy\].*got \[3\], expected \[2, 1\]/,
      );
    });

    it('is kept under the name that the user wrote', () => {
      assert.equal(getMetric('test', 'acc').name, 'acc');
      assert.equal(getMetric('test', 'mean_absolute_error').name, 'mean_absolute_error');
      assert.equal(getMetric('test', (y) => y).name, 'metric');
    });
  },
  oneBackend,
);
