// Optimizers against Keras: two weights over ten steps with given gradients, through the training step that models run.
import assert from 'node:assert/strict';
import { optimizers, sum, tensor } from '../src/api.ts';
import type { Tensor } from '../src/tensor.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, modelBackends, oneBackend } from './support/fixtures.ts';
import { allWeights, noLabels, probeModel } from './support/probe.ts';

interface Fixture {
  first: number[];
  second: number[];
  gradients: number[][];
  cases: {
    name: string;
    optimizer: keyof typeof factories;
    options: Record<string, never>;
    steps: number[][];
  }[];
}

const { sgd, rmsprop, adam, adamw, adagrad, adadelta, adamax, nadam, ftrl, lion } = optimizers;
const factories = { sgd, rmsprop, adam, adamw, adagrad, adadelta, adamax, nadam, ftrl, lion };
const { first, second, gradients, cases } = fixture<Fixture>('optimizers');

function probe(optimizer: optimizers.Optimizer) {
  const weights = [
    { name: 'a', shape: [first.length], start: first },
    { name: 'b', shape: [second.length], start: second },
  ];
  return probeModel(weights, optimizer);
}

describeBackends(
  'optimizers as in Keras',
  () => {
    for (const { name, optimizer, options, steps } of cases) {
      it(name, async () => {
        const model = probe(factories[optimizer](options));
        for (const [i, row] of gradients.entries()) {
          await model.trainOnBatch(tensor([row]), noLabels());
          // Relative to the size of the weights, which steps of a hundred times the usual gradient move far.
          close(allWeights(model), steps[i]!, { rtol: 1e-5, atol: 2e-6 }, `after step ${i + 1}`);
        }
        model.dispose();
      });
    }
  },
  modelBackends,
);

describeBackends(
  'optimizers',
  () => {
    it('follow a learning rate that is changed between steps', async () => {
      const rule = sgd({ learningRate: 0.5 });
      const model = probe(rule);
      const ones = tensor([new Array(8).fill(1)]);
      await model.trainOnBatch(ones, noLabels());
      rule.learningRate = 0.25;
      await model.trainOnBatch(ones, noLabels());
      close(
        model.getWeights()[0]!,
        first.map((weight) => weight - 0.75),
        { rtol: 1e-6, atol: 1e-6 },
      );
      model.dispose();
    });

    it('begin anew when the model is compiled again', async () => {
      const once = probe(adam());
      await once.trainOnBatch(tensor([gradients[0]!]), noLabels());
      const start = once.getWeights();
      once.compile({ optimizer: adam(), loss: (_y: Tensor, output: Tensor) => sum(output, 1) });
      await once.trainOnBatch(tensor([gradients[1]!]), noLabels());
      const other = probe(adam());
      other.build([8]);
      other.setWeights(start);
      await other.trainOnBatch(tensor([gradients[1]!]), noLabels());
      assert.deepEqual(once.getWeights(), other.getWeights());
      once.dispose();
      other.dispose();
    });

    it('refuse settings that make no sense', () => {
      assert.throws(
        () => adam({ learningRate: -1 }),
        /\[adam\] bad learningRate, got -1, expected a finite number >= 0/,
      );
      assert.throws(() => adam({ learningRate: Number.NaN }), /\[adam\] bad learningRate, got NaN/);
      assert.throws(() => adam({ beta1: 1.5 }), /\[adam\] bad beta1.*got 1.5, expected a number in \[0, 1\]/);
      assert.throws(() => sgd({ momentum: 2 }), /\[sgd\] bad .*momentum, got 2/);
      assert.throws(() => rmsprop({ rho: -0.1 }), /\[rmsprop\] bad .*rho, got -0.1/);
      assert.throws(
        () => sgd({ clipnorm: 1, clipvalue: 1 }),
        /\[sgd\] several ways to clip, expected only one/,
      );
      assert.throws(() => sgd({ clipnorm: 0 }), /\[sgd\] bad clipnorm, got 0, expected a number above 0/);
      assert.throws(() => sgd({ globalClipnorm: 0 }), /\[sgd\] bad globalClipnorm, got 0/);
      assert.throws(() => sgd({ learningRate: '1' as never }), /\[sgd\] bad learningRate, got '1'/);
      assert.throws(
        () => ftrl({ initialAccumulatorValue: 0 }),
        /\[ftrl\] bad initialAccumulatorValue, got 0, expected a finite number >= /,
      );
      assert.throws(() => ftrl({ l1RegularizationStrength: -1 }), /\[ftrl\] bad l1RegularizationStrength/);
      assert.throws(() => adagrad({ initialAccumulatorValue: -1 }), /\[adagrad\] bad initialAccumulator/);
      assert.throws(() => lion({ beta1: 0 }), /\[lion\] bad beta1, got 0/);
    });
  },
  oneBackend,
);
