// Models of one's own: layers in fields, losses and metrics from within, and what they refuse.
import assert from 'node:assert/strict';
import {
  abs,
  add,
  type Batch,
  input,
  Layer,
  layers,
  Model,
  mean,
  model,
  mul,
  optimizers,
  type Shape,
  type Step,
  sequential,
  setSeed,
  square,
  sub,
  type Tensor,
  tensor,
  Variable,
} from '../src/index.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, inputs } from './support/models.ts';

import { asSequential, Classifier, Gan, near, settings, wave } from './support/own-models.ts';

describeBackends(
  'own models',
  () => {
    it('train, evaluate and predict exactly like the same layers in a row', async () => {
      const { x, y } = clusters(50);
      const results = [];
      for (const make of [asSequential, () => new Classifier()]) {
        setSeed(2);
        const network = make();
        network.compile({ ...settings, metrics: ['accuracy'] });
        const { history } = await network.fit(x, y, {
          epochs: 3,
          batchSize: 16,
          verbose: 0,
          validationSplit: 0.2,
        });
        const logs = await network.evaluate(x, y);
        const predictions = (await network.predict(x)).dataSync();
        results.push({ history, logs, predictions, weights: network.getWeights() });
        network.dispose();
      }
      assert.deepEqual(results[1], results[0]);
    });

    it('find layers, models and variables in fields, arrays and records, each once', () => {
      class Many extends Model {
        first = layers.dense({ units: 2 });
        again = this.first;
        blocks = [
          layers.dense({ units: 2 }),
          [sequential({ layers: [layers.dense({ units: 2 })] })],
        ] as const;
        byName = { last: layers.dense({ units: 2, name: 'last' }) };
        scale = new Variable(tensor([2]), 'scale');
        count = new Variable(tensor([2], undefined, 'int32'), 'count');
        override call(x: Tensor): Tensor {
          const [one, [two]] = this.blocks;
          return mul(this.byName.last.apply(two.apply(one.apply(this.first.apply(x)))), this.scale);
        }
      }
      const many = new Many({ name: 'm' });
      many.build([2]);
      assert.deepEqual(
        many.layers.map(({ name }) => name),
        ['dense', 'dense_1', 'sequential', 'last'],
      );
      assert.deepEqual(
        many.weights.map(({ name }) => name).filter((name) => !name.includes('bias')),
        ['scale', 'dense/kernel', 'dense_1/kernel', 'dense/kernel', 'last/kernel'],
      );
      assert.equal(many.countParams(), 4 * 6 + 1);
      assert.equal(many.kind, 'many');
      assert.match(many.summary({ printFn: () => {} }), /Model: "m"[\s\S]*last \(Dense\) +\[batch, 2\] +6/);
      many.trainable = false;
      assert.deepEqual(many.trainableWeights, []);
      assert.ok(many.layers.every(({ trainable }) => !trainable));
      many.dispose();
    });

    it('make weights in build, and go into other models', async () => {
      class Scale extends Model {
        private factor: Variable<'float32'> | undefined;
        builds = 0;
        override build(inputShape: Shape): void {
          this.builds++;
          this.factor = this.addWeight({ name: 'factor', shape: inputShape, initializer: 'ones' });
        }
        override call(x: Tensor): Tensor {
          return mul(x, this.factor!);
        }
      }
      const scale = new Scale();
      const outer = sequential({ layers: [layers.dense({ units: 4, inputShape: [3] }), scale, new Scale()] });
      assert.deepEqual(outer.outputShape([3]), [4]);
      outer.compile({ optimizer: optimizers.sgd({ learningRate: 0.1 }), loss: 'mse' });
      await outer.fit(wave(8, 3, 1), wave(8, 4, 2), { epochs: 2, verbose: 0 });
      assert.equal(scale.builds, 1);
      assert.equal(outer.countParams(), 3 * 4 + 4 + 4 + 4);
      assert.ok(scale.getWeights()[0]!.some((value) => value !== 1));
      assert.deepEqual(
        outer.layers.map(({ name }) => name),
        ['dense', 'scale', 'scale_1'],
      );
      const entry = input({ shape: [4] });
      const graph = model({ inputs: entry, outputs: scale.apply(entry) });
      close(graph.predictOnBatch([[1, 1, 1, 1]]).dataSync(), scale.getWeights()[0]!, near);
      outer.dispose();
    });

    it('take and give several tensors, in order or by name', async () => {
      class Both extends Model<{ sum: Tensor; product: Tensor }> {
        dense = layers.dense({ units: 3, useBias: false, kernelInitializer: 'ones' });
        override call({ a, b }: { a: Tensor; b: Tensor }) {
          return { sum: add(this.dense.apply(a), b), product: mul(a, b) };
        }
      }
      const both = new Both();
      const x = { a: tensor([[1, 2, 3]]), b: tensor([[1, 1, 2]]) };
      const { sum, product } = await both.predict(x);
      assert.deepEqual([sum.arraySync(), product.arraySync()], [[[7, 7, 8]], [[1, 2, 6]]]);
      both.compile({ optimizer: 'sgd', loss: { sum: 'mse', product: null } });
      assert.deepEqual(await both.evaluate(x, { sum: [[7, 7, 7]] }), {
        loss: Math.fround(1 / 3),
      });
      assert.throws(
        () => both.predictOnBatch([x.a]),
        says('both.predictOnBatch', 'wrong number of arrays in x'),
      );

      class Pair extends Model<[Tensor, Tensor]> {
        override call([a, b]: readonly [Tensor, Tensor]): [Tensor, Tensor] {
          return [add(a, b), sub(a, b)];
        }
      }
      const [more, less] = new Pair().predictOnBatch([x.a, x.b]);
      assert.deepEqual([more.arraySync(), less.arraySync()], [[[2, 3, 5]], [[0, 1, 1]]]);
    });

    it('add losses and metrics from within, while training and evaluating', async () => {
      class Activity extends Layer {
        readonly kind = 'activity';
        override computeOutputShape(shape: Shape): number[] {
          return [...shape];
        }
        protected override call(x: Tensor): Tensor {
          this.addLoss(mul(mean(square(x)), 0.5));
          this.addMetric(mean(abs(x), 1), 'size');
          return x;
        }
      }
      const x = wave(10, 4, 1);
      const y = wave(10, 4, 2);
      const network = sequential({
        layers: [layers.activation({ activation: 'linear', inputShape: [4] }), new Activity()],
      });
      network.compile({ optimizer: 'sgd', loss: 'mse', metrics: ['mse'] });
      const logs = await network.evaluate(x, y, { batchSize: 5 });
      assert.deepEqual(Object.keys(logs), ['loss', 'mse', 'size']);
      const values = [...x.dataSync()];
      const average = (f: (v: number) => number) =>
        values.reduce((total, v) => total + f(v), 0) / values.length;
      close([logs.loss!], [logs.mse! + 0.5 * average((v) => v * v)], near);
      close([logs.size!], [average(Math.abs)], near);
      assert.deepEqual((await network.predict(x)).dataSync(), x.dataSync());

      // Nothing but what is added: null.
      class Shrink extends Model {
        dense = layers.dense({ units: 2 });
        override call(input: Tensor): Tensor {
          const out = this.dense.apply(input);
          this.addLoss(mean(square(out)));
          return out;
        }
      }
      const shrink = new Shrink();
      shrink.compile({ optimizer: 'adam', loss: null });
      const { history } = await shrink.fit(x, null, { epochs: 4, verbose: 0, validationSplit: 0.2 });
      assert.deepEqual(Object.keys(history), ['loss', 'val_loss']);
      assert.ok(history.loss!.at(-1)! < history.loss![0]!);
      shrink.dispose();
    });
  },
  twoBackends,
);

describeBackends(
  'own models refuse',
  () => {
    const { x, y } = clusters(8);
    const attempt = (trainStep: (this: Classifier, batch: Batch, step: Step) => unknown) => {
      class Mine extends Classifier {}
      Object.assign(Mine.prototype, { trainStep });
      const mine = new Mine();
      mine.compile({ ...settings, metrics: [] });
      return mine.fit(x, y, { verbose: 0 });
    };

    it('steps that go wrong', async () => {
      const other = layers.dense({ units: 1, inputShape: [inputs] });
      other.ensureBuilt([inputs]);
      const sgd = optimizers.sgd();
      const refused: [Parameters<typeof attempt>[0], string][] = [
        [
          () => undefined,
          'the step gave nothing to report, got undefined, expected a record such as { loss }',
        ],
        [() => ({ loss: 3 }), "bad 'loss' to report, got 3, expected a scalar"],
        [({ x: batch }) => ({ loss: batch }), "bad 'loss' to report, got Tensor"],
        [(_, step) => ({ loss: step.minimize(() => bad(3)) }), 'the loss is none, got 3'],
        [
          (_, step) => ({ loss: step.minimize(() => mean(x), { optimizer: bad('adam') }) }),
          "bad optimizer, got 'adam', expected one that is kept",
        ],
        [(_, step) => ({ loss: step.minimize(() => mean(x), { of: bad('all') }) }), "bad weights, got 'all'"],
        [
          (_, step) => ({ loss: step.minimize(() => mean(x), { of: other }) }),
          'dense/kernel is no weight of the model, expected one of a layer or variable in its fields',
        ],
        [
          (_, step) => {
            step.applyGradients([], { optimizer: sgd });
            return {};
          },
          'gradients do not fit the weights, got [], expected 6 of their shapes',
        ],
        [
          function (batch, step) {
            const loss = () => mean(this.apply(batch.x, step));
            step.minimize(loss, { of: this.hidden, optimizer: sgd });
            return { loss: step.minimize(loss, { of: this.rest, optimizer: sgd }) };
          },
          'sgd changed other weights before, got 4, expected the same 2',
        ],
      ];
      for (const [step, message] of refused)
        await assert.rejects(attempt(step), says('mine.trainStep', message), message);
      await assert.rejects(
        attempt(function (batch, step) {
          return { loss: step.minimize(() => this.apply(batch.x, step)) };
        }),
        says('grad', 'the function must give a float32 scalar'),
      );
    });

    it('what cannot be evaluated, labels that are not there, and weights that change in evaluation', async () => {
      const gan = new Gan();
      gan.compile({});
      const data = wave(8, 6, 1);
      const nothing =
        'there is nothing to evaluate, got a model with a trainStep but neither testStep nor loss';
      await assert.rejects(gan.evaluate(data), says('gan.evaluate', nothing));
      await assert.rejects(
        gan.fit(data, null, { validationSplit: 0.5, verbose: 0 }),
        says('gan.fit', nothing),
      );
      class Unlabelled extends Gan {
        override trainStep({ y: labels }: Batch) {
          return { labels };
        }
        override testStep({ x: batch }: Batch, step: Step) {
          return {
            loss: step.minimize(() => mean(this.discriminator.apply(batch)), { of: this.discriminator }),
          };
        }
      }
      const unlabelled = new Unlabelled();
      unlabelled.compile({});
      await assert.rejects(unlabelled.fit(data), says('unlabelled.trainStep', 'there are no labels'));
      await assert.rejects(unlabelled.evaluate(data), says('unlabelled.testStep', 'weights do not change'));
    });

    it('layers that are in no field, unless they are frozen', () => {
      const outside = layers.dense({ units: 2, name: 'outside' });
      class Forgetful extends Model {
        override call(input: Tensor): Tensor {
          return outside.apply(input);
        }
      }
      assert.throws(
        () => new Forgetful().predictOnBatch(clusters(8).x),
        says(
          'forgetful',
          'outside is called but is in no field, got outside/kernel',
          'keep the layer in a field',
        ),
      );
      outside.trainable = false;
      assert.deepEqual(new Forgetful().predictOnBatch(clusters(8).x).shape, [8, 2]);
    });

    it('to compute without a call', () => {
      const Nothing = class extends (Model as unknown as new () => Classifier) {};
      assert.throws(
        () => new Nothing().predictOnBatch(clusters(8).x),
        says('nothing', 'the model has no call()'),
      );
    });

    it('calls, losses and metrics that give no tensors', async () => {
      class Odd extends Model {
        give: (x: Tensor) => unknown;
        constructor(give: (this: Odd, x: Tensor) => unknown) {
          super();
          this.give = give;
        }
        override call(input: Tensor): Tensor {
          return bad(this.give(input));
        }
      }
      const refused: [(this: Odd, x: Tensor) => unknown, string][] = [
        [() => undefined, 'call() gave no batch, got undefined, expected a tensor with a batch dimension'],
        [(input) => ({ a: input, b: 3 }), 'call() gave no batch, got 3'],
        [(input) => mean(input), 'call() gave no batch, got Tensor(float32[])'],
        [
          function (input) {
            this.addLoss(input);
            return input;
          },
          'bad loss, got Tensor(float32[1, 6]), expected a float32 scalar',
        ],
        [
          function (input) {
            this.addMetric(input, 'size');
            return input;
          },
          "bad metric 'size', got Tensor(float32[1, 6]), expected a float32 scalar, or one number a sample",
        ],
        [
          function (input) {
            this.addMetric(mean(input), 'size');
            this.addMetric(mean(input), 'size');
            return input;
          },
          "two metrics have one name, got 'size' twice",
        ],
      ];
      for (const [give, message] of refused)
        assert.throws(() => new Odd(give).predictOnBatch(x), says('odd', message), message);
      const nothing = new Odd((input) => input);
      nothing.compile({ loss: null });
      await assert.rejects(
        nothing.fit(x, null, { verbose: 0 }),
        says('loss', 'there is nothing to minimise'),
      );
      assert.throws(() => nothing.compile({}), says('odd.compile', 'loss is missing'));
    });
  },
  oneBackend,
);
