// Metrics and activations against Keras.
import assert from 'node:assert/strict';
import { getActivation } from '../src/activations.ts';
import {
  data,
  fill,
  Layer,
  mean,
  metrics,
  mul,
  notEqual,
  reshape,
  type Shape,
  sequential,
  slice,
  squeeze,
  stack,
  sum,
  tensor,
  valueAndGrad,
  where,
  zeros,
} from '../src/api.ts';
import { type AnyMetric, getMetric, type Metric, type MetricName } from '../src/metrics/metrics.ts';
import type { Tensor } from '../src/tensor.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import {
  fixture,
  flat,
  modelBackends,
  type Numbers,
  numbers,
  oneBackend,
  twoBackends,
} from './support/fixtures.ts';

interface MetricCase {
  name: string;
  metric: string;
  options: { threshold?: number; k?: number };
  labels: Numbers;
  labelType: 'float32' | 'int32';
  predictions: Numbers;
  value: number;
}

interface StreamCase {
  name: string;
  metric: string;
  arguments: unknown[];
  labels: Numbers;
  predictions: Numbers[];
  value: number;
}

interface WeighedCase extends StreamCase {
  weights: number[];
  mask: boolean[];
  /** With the weights of the samples. */
  weighted: number;
  /** Where samples that the mask leaves out weigh nothing. */
  masked: number;
}

interface ActivationCase {
  name: string;
  x: Numbers;
  y: Numbers;
  gradient: Numbers;
}

const near = { rtol: 2e-5, atol: 1e-6 };
const { cases, streams, weighed } = fixture<{
  cases: MetricCase[];
  streams: StreamCase[];
  weighed: WeighedCase[];
}>('metrics');
const activations = fixture<{ weights: Numbers; cases: ActivationCase[] }>('activations');

/** The metric by its name, or by its factory where it has arguments. */
function metricOf(name: string, given: readonly unknown[]): AnyMetric {
  if (given.length === 0) return getMetric('test', name as MetricName);
  return (metrics as unknown as Record<string, (...args: readonly unknown[]) => AnyMetric>)[name]!(...given);
}

/** A model that gives back what it is given, with a mask of its steps where their first number is not -9. */
class Same extends Layer {
  readonly kind = 'same';
  protected override computeMask([x]: readonly Tensor[]): Tensor | undefined {
    return x!.rank < 3 ? undefined : notEqual(squeeze(slice(x!, [0, 0, 0], [-1, -1, 1]), -1), -9);
  }
  override computeOutputShape(shape: Shape): number[] {
    return [...shape];
  }
  protected override call(x: Tensor): Tensor {
    return x;
  }
}

function same(made: readonly AnyMetric[], weightedMetrics: readonly AnyMetric[] = []) {
  const model = sequential({ layers: [new Same()] });
  model.compile({
    optimizer: 'sgd',
    loss: (_labels: Tensor, output: Tensor) => zeros([output.shape[0]!]),
    metrics: made,
    weightedMetrics,
  });
  return model;
}

describeBackends(
  'metrics of weighted and of masked samples as in Keras',
  () => {
    for (const { name, metric, arguments: given, labels, predictions, ...about } of weighed) {
      it(`${metric}, ${name}`, async () => {
        const expected = { rtol: 1e-5, atol: 1e-6 };
        const [x, y] = [numbers(predictions), numbers(labels)];
        const [count, width] = x.shape as [number, number];
        const weighs = same([], [metricOf(metric, given)]);
        for (const batchSize of [5, count]) {
          const logs = await weighs.evaluate(x, y, { batchSize, sampleWeight: about.weights });
          close([logs[metric]!], [about.weighted], expected, `weighted, by ${batchSize}`);
        }
        const { history } = await weighs.fit(x, y, { batchSize: 7, sampleWeight: about.weights, verbose: 0 });
        close(history[metric]!, [about.weighted], expected, 'weighted, fitted');
        weighs.dispose();
        // The same samples as the steps of half as many sequences, some of which are padding of absurd numbers.
        const steps = (t: Tensor) => reshape(t, [count / 2, 2, t.shape[1]!]);
        const padded = where(reshape(tensor(about.mask), [count, 1]), x, fill([count, width], -9));
        const masks = same([metricOf(metric, given)]);
        for (const batchSize of [5, count / 2]) {
          const logs = await masks.evaluate(steps(padded), steps(y), { batchSize });
          close([logs[metric]!], [about.masked], expected, `masked, by ${batchSize}`);
        }
        masks.dispose();
      });
    }
  },
  twoBackends,
);

describeBackends(
  'streaming metrics as in Keras',
  () => {
    for (const { name, metric, arguments: given, labels, predictions, value } of streams) {
      it(`${metric}, ${name}`, async () => {
        const model = same([metricOf(metric, given)]);
        const [x, y] = [numbers(predictions), numbers(labels)];
        const samples = predictions.length;
        const expected = { rtol: 1e-5, atol: 1e-6 };
        // Batches of different sizes, the last one not full.
        for (const batchSize of [4, 7, samples]) {
          const logs = await model.evaluate(x, y, { batchSize });
          close([logs[metric]!], [value], expected, `evaluated by ${batchSize}`);
        }
        // Two epochs: the second begins with empty sums. Validation in between has sums of its own.
        const options = { epochs: 2, batchSize: 4, verbose: 0, validationData: [x, y] } as const;
        const { history } = await model.fit(x, y, options);
        close(history[metric]!, [value, value], expected, 'fitted');
        close(history[`val_${metric}`]!, [value, value], expected, 'validated');
        const logs = await model.trainOnBatch(x, y);
        close([logs[metric]!], [value], expected, 'on a batch');
        model.dispose();
      });
    }
  },
  modelBackends,
);

describeBackends(
  'metrics',
  () => {
    it('of both forms keep their order and names, and callbacks get them', async () => {
      const model = same([metrics.recall(), metrics.binaryAccuracy(), metrics.recall()]);
      const x = tensor([[0.9], [0.2], [0.7]]);
      const y = tensor([[1], [1], [0]]);
      const logs = await model.evaluate(x, y, { batchSize: 2 });
      assert.deepEqual(Object.keys(logs), ['loss', 'recall', 'binaryAccuracy', 'recall_1']);
      close([logs.recall!, logs.binaryAccuracy!, logs.recall_1!], [1 / 2, 1 / 3, 1 / 2], near);
      const seen: string[] = [];
      await model.fit(x, y, {
        verbose: 0,
        batchSize: 2,
        callbacks: [{ onBatchEnd: (_step, batch) => void seen.push(Object.keys(batch).join()) }],
      });
      assert.deepEqual(seen, ['loss,recall,binaryAccuracy,recall_1', 'loss,recall,binaryAccuracy,recall_1']);
      model.dispose();
    });

    it('have the names that they are given', async () => {
      const made = [
        metrics.precision({ threshold: 0.3, name: 'low' }),
        metrics.accuracy({ name: 'right' }),
        metrics.binaryAccuracy({ threshold: 0.8, name: 'sure' }),
        metrics.topKCategoricalAccuracy({ k: 1, name: 'top' }),
        metrics.specificityAtSensitivity(0.5, { name: 'at' }),
        metrics.iou({ numClasses: 2, targetClassIds: [0], name: 'overlap' }),
        metrics.rootMeanSquaredError({ name: 'error' }),
      ];
      const model = same(made);
      const logs = await model.evaluate(tensor([[0.9], [0.2]]), tensor([[1], [0]]));
      const names = ['loss', 'low', 'right', 'sure', 'top', 'at', 'overlap', 'error'];
      assert.deepEqual(Object.keys(logs), names);
      model.dispose();
    });

    it('count samples by their weights only where that is asked for', async () => {
      const model = same(['binaryAccuracy'] as never, ['binaryAccuracy'] as never);
      const [x, y] = [tensor([[0.9], [0.2]]), tensor([[1], [1]])];
      const plain = await model.evaluate(x, y);
      assert.deepEqual([plain.binaryAccuracy, plain.binaryAccuracy_1], [0.5, 0.5]);
      const weighted = await model.evaluate(x, y, { sampleWeight: [3, 1] });
      assert.deepEqual([weighted.binaryAccuracy, weighted.binaryAccuracy_1], [0.5, 0.75]);
      model.dispose();
    });

    it('weigh samples of validation and of single batches too', async () => {
      const model = same([], [metrics.binaryAccuracy()]);
      const [x, y] = [tensor([[0.9], [0.2]]), tensor([[1], [1]])];
      const validationData = [x, y, [1, 3]] as const;
      const { history } = await model.fit(x, y, { validationData, verbose: 0 });
      assert.deepEqual([history.binaryAccuracy, history.val_binaryAccuracy], [[0.5], [0.25]]);
      const logs = await model.trainOnBatch(x, y, { sampleWeight: [3, 1] });
      assert.equal(logs.binaryAccuracy, 0.75);
      await assert.rejects(
        model.evaluate(data.fromTensorSlices([x, y]).batch(2), { sampleWeight: [1, 1] }),
        /sampleWeight is for arrays, got a data set; give elements \[x, y, weight\]/,
      );
      model.dispose();
    });

    it('made by users stream too', async () => {
      const largest = {
        name: 'shareOfOnes',
        update: (yTrue: Tensor) => stack([sum(yTrue), fill([], yTrue.size)]),
        result: (sums: Float64Array) => sums[0]! / sums[1]!,
      };
      const model = same([largest]);
      const logs = await model.evaluate(tensor([[1], [2], [3]]), tensor([[1], [0], [1]]), { batchSize: 2 });
      close([logs.shareOfOnes!], [2 / 3], near);
      model.dispose();
      const wrong = same([{ ...largest, name: 'wrong', update: (yTrue: Tensor) => yTrue }]);
      await assert.rejects(
        wrong.evaluate(tensor([[1]]), tensor([[1]])),
        /\[wrong\] expected update\(\) to give float32 sums \[n\], got Tensor\(float32\[1, 1\]\)/,
      );
      wrong.dispose();
    });

    it('count exactly where a float32 sum would not', async () => {
      // 20 million answers in batches of one size.
      const model = same([metrics.recall()]);
      const x = fill([200, 100_000], 1);
      const logs = await model.evaluate(x, x, { batchSize: 50 });
      assert.equal(logs.recall, 1);
      model.dispose();
    });

    it('of perplexity is e to the mean cross entropy', async () => {
      const model = same([metrics.perplexity()]);
      const p = tensor([
        [0.5, 0.25, 0.25],
        [0.1, 0.8, 0.1],
      ]);
      const logs = await model.evaluate(p, tensor(Int32Array.of(1, 1)), { batchSize: 1 });
      close([logs.perplexity!], [Math.exp(-(Math.log(0.25) + Math.log(0.8)) / 2)], near);
      model.dispose();
    });

    it('count pairs of classes, and leave out what is no class', () => {
      const table = metrics.confusionMatrix(tensor([0, 1, 2, 2, 5]), tensor([0, 2, 2, 1, 0]), 3);
      assert.deepEqual(table.arraySync(), [
        [1, 0, 0],
        [0, 0, 1],
        [0, 1, 1],
      ]);
    });

    it('refuse settings that make no sense', () => {
      assert.throws(
        () => metrics.precision({ threshold: 2 }),
        /\[precision\] bad threshold, got 2, expected/,
      );
      assert.throws(() => metrics.auc({ curve: 'X' as never }), /\[auc\] bad curve, got 'X', expected 'ROC'/);
      assert.throws(() => metrics.auc({ thresholds: [2] }), /\[auc\] bad thresholds, got .*in \[0, 1\]/);
      assert.throws(() => metrics.auc({ labelWeights: [-1] }), /\[auc\] bad labelWeights/);
      const labelled = metrics.auc({ labelWeights: [1, 2] });
      const rows = tensor([[0, 1, 1]]);
      assert.throws(() => labelled.update(rows, rows), /\[auc\] labelWeights do not fit, got 2, expected 3/);
      const flatRow = tensor([0, 1]);
      assert.throws(
        () => metrics.auc({ multiLabel: true }).update(flatRow, flatRow),
        /\[auc\] expected predictions \[batch, labels\] with multiLabel, got \[2\]/,
      );
      assert.throws(() => metrics.precision({ topK: 0 }), /\[precision\] bad topK, got 0/);
      assert.throws(
        () => metrics.recall({ topK: 4 }).update(rows, rows),
        /\[recall\] bad topK, got 4 for predictions \[1, 3\]/,
      );
      assert.throws(
        () => metrics.r2Score({ classAggregation: 'x' as never }),
        /\[r2Score\] bad classAggregation, got 'x'/,
      );
      assert.throws(() => metrics.r2Score({ numRegressors: -1 }), /\[r2Score\] bad numRegressors, got -1/);
      assert.throws(() => metrics.auc({ numThresholds: 1 }), /\[auc\] bad numThresholds, got 1/);
      assert.throws(() => metrics.f1Score({ average: 'x' as never }), /\[f1Score\] bad average, got 'x'/);
      assert.throws(() => metrics.topKCategoricalAccuracy(0), /bad k, got 0, expected an integer >= 1/);
      assert.throws(() => metrics.meanIoU({ numClasses: 0 }), /\[meanIoU\] bad numClasses, got 0/);
      assert.throws(
        () => metrics.falsePositives({ threshold: -1 }),
        /\[falsePositives\] bad threshold, got -1/,
      );
      assert.throws(
        () => metrics.fBetaScore({ beta: 0 }),
        /\[fBetaScore\] bad beta, got 0, expected a number above 0/,
      );
      assert.throws(
        () => metrics.iou({ numClasses: 3, targetClassIds: [3] }),
        /\[iou\] bad targetClassIds, got .*, expected an array of classes in \[0, 3\)/,
      );
      assert.throws(
        () => metrics.binaryIoU({ threshold: Number.NaN }),
        /\[binaryIoU\] bad threshold, got NaN/,
      );
      assert.throws(() => metrics.specificityAtSensitivity(-1), /bad value, got -1, expected a number in/);
    });
  },
  oneBackend,
);

describeBackends(
  'metrics as in Keras',
  () => {
    for (const { name, metric: metricName, options, labels, labelType, predictions, value } of cases) {
      it(`${metricName}, ${name}`, () => {
        const metric = metricOf(metricName, Object.values(options)) as Metric;
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
