// Callbacks: EarlyStopping against Keras, the order of calls, errors in them, and what they can change.
import assert from 'node:assert/strict';
import {
  type Callback,
  type EarlyStoppingOptions,
  earlyStopping,
  type Logs,
  optimizers,
  sequential,
  setSeed,
  tensor,
} from '../src/api.ts';
import type { FitControl } from '../src/model/callbacks.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, learns, weightsOf } from './support/models.ts';

interface Stop {
  name: string;
  values: number[];
  options: EarlyStoppingOptions;
  epochs: number;
  stopped: boolean;
  bestEpoch: number;
  best: number | null;
}

const quiet = { verbose: 0 } as const;

function stub(): FitControl & { stopping: boolean } {
  return {
    model: sequential(),
    position: { epoch: 0, step: 0, shuffle: { seed: 0, stream: 0, position: 0 }, random: [0, 0, 0, 0] },
    iterations: 0,
    stepsPerEpoch: undefined,
    epochs: 1,
    aborted: false,
    resumeAt: () => {},
    stopping: false,
    stop() {
      this.stopping = true;
    },
    getWeights: () => [],
    setWeights: () => {},
    learningRate: 0,
  };
}

describe('earlyStopping as in Keras', () => {
  for (const { name, values, options, ...expected } of fixture<{ cases: Stop[] }>('early-stopping').cases) {
    it(name, () => {
      const callback = earlyStopping(options);
      const control = stub();
      callback.onTrainBegin();
      let epochs = 0;
      for (const [epoch, value] of values.entries()) {
        epochs++;
        callback.onEpochEnd(epoch, { val_loss: value }, control);
        if (control.stopping) break;
      }
      assert.equal(control.stopping, expected.stopped);
      assert.equal(epochs, expected.epochs);
      assert.equal(callback.stoppedEpoch, expected.stopped ? epochs - 1 : undefined);
      if (expected.best === null) assert.equal(callback.best, undefined);
      else assert.deepEqual(callback.best, { epoch: expected.bestEpoch, value: expected.best });
    });
  }
});

describeBackends(
  'earlyStopping in a fit',
  () => {
    it('ends the fit, and puts the best weights back', async () => {
      setSeed(1);
      const { x, y } = clusters(60);
      const model = compiled({ optimizer: optimizers.sgd({ learningRate: 0.05 }) });
      const kept: number[][] = [];
      // Values that get worse after the third epoch, whatever the model does.
      const values = [3, 2, 1, 4, 5, 6, 7];
      const script: Callback = {
        onEpochEnd(epoch, logs) {
          kept.push(weightsOf(model));
          logs.val_score = values[epoch]!;
        },
      };
      const stop = earlyStopping({ monitor: 'val_score', patience: 2, restoreBestWeights: true });
      const history = await model.fit(x, y, { epochs: 7, callbacks: [script, stop], ...quiet });
      assert.equal(history.epoch.length, 5);
      assert.equal(stop.stoppedEpoch, 4);
      assert.deepEqual(stop.best, { epoch: 2, value: 1 });
      assert.deepEqual(weightsOf(model), kept[2]);
      assert.notDeepEqual(kept[2], kept[4]);
      model.dispose();
    });

    it('takes accuracy for higher is better', async () => {
      const callback = earlyStopping({ monitor: 'val_accuracy' });
      const control = stub();
      callback.onTrainBegin();
      callback.onEpochEnd(0, { val_accuracy: 0.5 }, control);
      callback.onEpochEnd(1, { val_accuracy: 0.6 }, control);
      assert.equal(control.stopping, false);
      callback.onEpochEnd(2, { val_accuracy: 0.55 }, control);
      assert.equal(control.stopping, true);
    });

    it('takes no NaN for the best, and does not stop at the first epoch', () => {
      const callback = earlyStopping();
      const control = stub();
      callback.onTrainBegin();
      callback.onEpochEnd(0, { val_loss: Number.NaN }, control);
      assert.equal(control.stopping, false);
      callback.onEpochEnd(1, { val_loss: 2 }, control);
      assert.deepEqual(callback.best, { epoch: 1, value: 2 });
      callback.onEpochEnd(2, { val_loss: Number.NaN }, control);
      assert.equal(control.stopping, true);
    });

    it('says what there is to watch', async () => {
      const { x, y } = clusters(20);
      const model = compiled();
      await assert.rejects(
        model.fit(x, y, { callbacks: [earlyStopping()], ...quiet }),
        /\[earlyStopping\] nothing to watch, got monitor 'val_loss', expected one of loss, accuracy; give fit validationData/,
      );
      assert.throws(
        () => earlyStopping({ patience: 1.5 }),
        /bad patience, got 1.5, expected an integer >= 0/,
      );
      assert.throws(
        () => earlyStopping({ mode: 'lower' as 'min' }),
        /\[earlyStopping\] unknown mode, got 'lower', expected one of/,
      );
      assert.ok(await learns(model));
      model.dispose();
    });
  },
  oneBackend,
);

describeBackends(
  'callbacks',
  () => {
    it('are called in order, and waited for', async () => {
      const { x, y } = clusters(20);
      const model = compiled();
      const calls: string[] = [];
      const pause = () => new Promise((resolve) => setTimeout(resolve, 2));
      const recorder = (name: string): Callback => ({
        async onTrainBegin() {
          await pause();
          calls.push(`${name} train begin`);
        },
        async onEpochBegin(epoch) {
          await pause();
          calls.push(`${name} epoch ${epoch} begin`);
        },
        async onBatchEnd(step) {
          await pause();
          calls.push(`${name} batch ${step}`);
        },
        async onEpochEnd(epoch, logs) {
          await pause();
          calls.push(`${name} epoch ${epoch} end ${Object.keys(logs)}`);
        },
        async onTrainEnd(logs) {
          await pause();
          calls.push(`${name} train end ${Object.keys(logs)}`);
        },
      });
      await model.fit(x, y, { epochs: 2, batchSize: 8, callbacks: [recorder('a'), recorder('b')], ...quiet });
      const both = (text: string) => [`a ${text}`, `b ${text}`];
      const epochOf = (epoch: number) => [
        ...both(`epoch ${epoch} begin`),
        // Steps of one time slice are told to one callback after the other.
        ...both(`batch 0`),
        ...both(`batch 1`),
        ...both(`batch 2`),
        ...both(`epoch ${epoch} end loss,accuracy`),
      ];
      const expected = [
        ...both('train begin'),
        ...epochOf(0),
        ...epochOf(1),
        ...both('train end loss,accuracy'),
      ];
      for (const name of ['a', 'b']) {
        const own = (list: string[]) => list.filter((call) => call.startsWith(`${name} `));
        assert.deepEqual(own(calls), own(expected));
      }
      const notBatches = (list: string[]) => list.filter((call) => !call.includes('batch'));
      assert.deepEqual(notBatches(calls), notBatches(expected));
      model.dispose();
    });

    it('hear of every step once, in order, with its own loss', async () => {
      const { x, y } = clusters(500);
      const model = compiled();
      const steps: number[] = [];
      const losses: number[] = [];
      const seen: Callback = {
        onBatchEnd(step, logs) {
          steps.push(step);
          losses.push(logs.loss!);
        },
      };
      const { history } = await model.fit(x, y, { epochs: 3, batchSize: 3, callbacks: [seen], ...quiet });
      const perEpoch = Math.ceil(500 / 3);
      const expected = Array.from({ length: 3 * perEpoch }, (_, i) => i % perEpoch);
      assert.deepEqual(steps, expected);
      for (let epoch = 0; epoch < 3; epoch++) {
        const own = losses.slice(epoch * perEpoch, (epoch + 1) * perEpoch);
        // The last step has two samples, the others three.
        const sum = own.reduce((total, loss, i) => total + loss * (i === perEpoch - 1 ? 2 : 3), 0);
        close([history.loss![epoch]!], [sum / 500], { rtol: 1e-6, atol: 0 });
      }
      model.dispose();
    });

    it('that throw end the fit with their error, and leave the model usable', async () => {
      const { x, y } = clusters(40);
      const model = compiled();
      const places: (keyof Callback)[] = [
        'onTrainBegin',
        'onEpochBegin',
        'onBatchEnd',
        'onEpochEnd',
        'onTrainEnd',
      ];
      for (const place of places) {
        for (const failing of [
          () => {
            throw new Error(`in ${place}`);
          },
          () => Promise.reject(new Error(`in ${place}`)),
        ]) {
          const fit = model.fit(x, y, {
            epochs: 2,
            batchSize: 8,
            callbacks: [{ [place]: failing }],
            ...quiet,
          });
          await assert.rejects(fit, { message: `in ${place}` });
        }
      }
      assert.ok(await learns(model));
      model.dispose();
    });

    it('change the learning rate', async () => {
      const { x, y } = clusters(30);
      const model = compiled({ optimizer: optimizers.sgd({ learningRate: 0.1 }) });
      const weights: number[][] = [];
      const rates: number[] = [];
      const schedule: Callback = {
        onEpochBegin(epoch, control) {
          control.learningRate = epoch === 1 ? 0 : 0.1;
          rates.push(control.learningRate);
        },
        onEpochEnd() {
          weights.push(weightsOf(model));
        },
      };
      await model.fit(x, y, { epochs: 3, batchSize: 8, callbacks: [schedule], ...quiet });
      assert.deepEqual(rates, [0.1, 0, 0.1]);
      assert.deepEqual(weights[1], weights[0]);
      assert.notDeepEqual(weights[2], weights[1]);
      const bad: Callback = {
        onEpochBegin(_epoch, control) {
          control.learningRate = Number.NaN;
        },
      };
      await assert.rejects(
        model.fit(x, y, { callbacks: [bad], ...quiet }),
        /\[sgd\] bad learningRate, got NaN/,
      );
      model.dispose();
    });

    it('stop the fit, after the epoch or within it', async () => {
      const { x, y } = clusters(400);
      const model = compiled();
      const afterEpoch: Callback = {
        onEpochEnd: (epoch, _logs, control) => (epoch === 1 ? control.stop() : undefined),
      };
      const first = await model.fit(x, y, { epochs: 5, callbacks: [afterEpoch], ...quiet });
      assert.deepEqual(first.epoch, [0, 1]);
      assert.equal(first.stopped, undefined);
      const within: Callback = { onBatchEnd: (_step, _logs, control) => control.stop() };
      const second = await model.fit(x, y, { epochs: 5, batchSize: 1, callbacks: [within], ...quiet });
      assert.deepEqual(second.epoch, []);
      assert.ok(second.steps >= 1 && second.steps < 400, `${second.steps} steps`);
      assert.ok(await learns(model));
      model.dispose();
    });

    it('may evaluate or predict only where the model is free', async () => {
      const { x, y } = clusters(20);
      const model = compiled();
      let predicted: readonly number[] = [];
      const curious: Callback = {
        async onEpochEnd() {
          predicted = (await model.predict(x)).shape;
          await assert.rejects(
            model.evaluate(x, y),
            /\[sequential.evaluate\] the model is being trained or evaluated already/,
          );
        },
      };
      const logs: Logs[] = [];
      const end: Callback = { onTrainEnd: (last) => void logs.push(last) };
      await model.fit(x, y, { callbacks: [curious, end], ...quiet });
      assert.deepEqual(predicted, [20, 3]);
      assert.ok(logs[0]!.loss! > 0);
      model.dispose();
    });

    it('get and set weights', async () => {
      const { x, y } = clusters(20);
      const model = compiled();
      model.build([6]);
      const start = model.getWeights();
      const keep: Callback = {
        onEpochEnd(_epoch, _logs, control) {
          assert.notDeepEqual(control.getWeights(), start);
          control.setWeights(start);
        },
      };
      await model.fit(x, tensor(y.dataSync()), { epochs: 2, callbacks: [keep], ...quiet });
      assert.deepEqual(model.getWeights(), start);
      model.dispose();
    });
  },
  twoBackends,
);
