// Regularizers and constraints against Keras: alone, and through a model that is trained with them.
import assert from 'node:assert/strict';
import {
  constraints,
  layers,
  mul,
  optimizers,
  regularizers,
  sequential,
  sum,
  type Tensor,
  valueAndGrad,
  zeros,
} from '../src/api.ts';
import { getConstraint } from '../src/constraints.ts';
import { getRegularizer } from '../src/regularizers.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad } from './support/errors.ts';
import { fixture, flat, modelBackends, type Numbers, numbers, oneBackend } from './support/fixtures.ts';

interface Fixture {
  weight: Numbers;
  edge: Numbers;
  penalties: { name: string; options: object; value: number; gradient: Numbers }[];
  constraints: { name: string; options: object; value: Numbers }[];
  x: Numbers;
  y: Numbers;
  start: number[][];
  loss: number[];
  mse: number[];
  weights: number[][];
  evaluated: { loss: number; mse: number };
}

const known = fixture<Fixture>('penalties');
const near = { rtol: 2e-5, atol: 1e-6 };
type Factory = (options: object) => (x: Tensor) => Tensor;
const factoryOf = (table: object, name: string) => (table as Record<string, Factory>)[name]!;

function regularized() {
  const { l1l2, l2, orthogonal } = regularizers;
  return sequential({
    layers: [
      layers.dense({
        units: 3,
        activation: 'tanh',
        inputShape: [4],
        kernelRegularizer: l1l2({ l1: 0.02, l2: 0.03 }),
        biasRegularizer: 'l2',
        activityRegularizer: l2({ l2: 0.1 }),
        kernelConstraint: constraints.maxNorm({ maxValue: 0.8 }),
        biasConstraint: 'non_neg',
      }),
      layers.dense({
        units: 2,
        kernelRegularizer: orthogonal({ factor: 0.2 }),
        kernelConstraint: 'unitNorm',
      }),
    ],
  });
}

describeBackends(
  'penalties as in Keras',
  () => {
    for (const { name, options, value, gradient } of known.penalties) {
      it(`${name} ${JSON.stringify(options)}`, () => {
        const f = factoryOf(regularizers, name)(options);
        const got = valueAndGrad((w) => f(w!))(numbers(known.weight));
        close(got.value.dataSync(), [value], near, 'value');
        close(got.gradients[0]!.dataSync(), flat(gradient), near, 'gradient');
      });
    }

    for (const { name, options, value } of known.constraints) {
      it(`${name} ${JSON.stringify(options)}`, () => {
        const f = factoryOf(constraints, name)(options);
        close(f(numbers(known.edge)).dataSync(), flat(value), near, name);
      });
    }

    it('add to the loss that is reported, and bound the weights', async () => {
      const model = regularized();
      model.compile({ optimizer: optimizers.sgd({ learningRate: 0.1 }), loss: 'mse', metrics: ['mse'] });
      model.build([4]);
      model.setWeights(known.start.map((values) => Float32Array.from(values)));
      const [x, y] = [numbers(known.x), numbers(known.y)];
      const { history } = await model.fit(x, y, { epochs: 3, batchSize: 4, shuffle: false, verbose: 0 });
      close(history.loss!, known.loss, near, 'loss');
      close(history.mse!, known.mse, near, 'mse');
      for (const [i, values] of model.getWeights().entries()) {
        close(values, known.weights[i]!, near, `weight ${i}`);
      }
      const { loss, mse } = await model.evaluate(x, y, { batchSize: 4 });
      close([loss!, mse!], [known.evaluated.loss, known.evaluated.mse], near, 'evaluated');
      model.dispose();
    });
  },
  modelBackends,
);

describeBackends(
  'penalties',
  () => {
    it('are left out for weights that are frozen', async () => {
      const model = sequential({
        layers: [layers.dense({ units: 1, inputShape: [2], trainable: false, kernelRegularizer: 'l2' })],
      });
      model.compile({ loss: (_y: Tensor, output: Tensor) => sum(mul(output, 0), 1) });
      const { loss } = await model.evaluate(zeros([3, 2]), zeros([3, 1]));
      assert.equal(loss, 0);
      model.dispose();
    });

    it('have names as in Keras', () => {
      for (const name of ['l1', 'L2', 'l1_l2', 'L1L2', 'orthogonal_regularizer', 'orthogonal'] as const) {
        assert.equal(typeof getRegularizer('test', name), 'function');
      }
      for (const name of ['max_norm', 'MaxNorm', 'non_neg', 'unitNorm', 'min_max_norm'] as const) {
        assert.equal(typeof getConstraint('test', name), 'function');
      }
      assert.throws(() => getRegularizer('test', bad('l3')), /\[test\].*'l3'/);
      assert.throws(
        () => layers.dense({ units: 1, kernelConstraint: bad('maximum') }),
        /\[dense\].*constraint.*'maximum'/,
      );
    });

    it('must be scalars, and factors no less than 0', async () => {
      assert.throws(
        () => regularizers.l2({ l2: -1 }),
        /\[l2\] bad l2, got -1, expected a finite number >= 0/,
      );
      assert.throws(() => constraints.minMaxNorm({ rate: 2 }), /\[minMaxNorm\] bad rate, got 2, expected/);
      const model = sequential({
        layers: [layers.dense({ units: 1, inputShape: [2], kernelRegularizer: (w) => w })],
      });
      model.compile({ loss: 'mse' });
      await assert.rejects(
        model.evaluate(zeros([3, 2]), zeros([3, 1])),
        /\[dense\/kernel\] the regularizer gave Tensor\(float32\[2, 1\]\), expected a float32 scalar/,
      );
      model.dispose();
    });
  },
  oneBackend,
);
