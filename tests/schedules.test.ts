// Learning rate schedules against Keras and PyTorch, what they refuse, and that a fit obeys them without tracing again.
import assert from 'node:assert/strict';
import { layers, mean, NablaError, neg, ones, optimizers, sequential, type Tensor } from '../src/api.ts';
import type { Schedule } from '../src/optimizers/schedules.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, twoBackends } from './support/fixtures.ts';

const { schedules } = optimizers;

interface ScheduleCase {
  name: Exclude<keyof typeof schedules, 'constant'>;
  options: never;
  steps: number[];
  rates: number[];
}

describe('schedules as in Keras', () => {
  for (const { name, options, steps, rates } of fixture<{ schedules: ScheduleCase[] }>('schedules')
    .schedules) {
    it(`${name} ${JSON.stringify(options)}`, () => {
      const schedule = (schedules[name] as (options: object) => Schedule)(options);
      close(
        steps.map((step) => schedule.at(step)),
        rates,
        { rtol: 1e-5, atol: 1e-7 },
      );
    });
  }

  it('oneCycle as in PyTorch', () => {
    const schedule = schedules.oneCycle({ maxLearningRate: 0.1, totalSteps: 10 });
    // torch.optim.lr_scheduler.OneCycleLR(SGD, max_lr=0.1, total_steps=10)
    const rates = [0.004, 0.052, 0.1, 0.0950484, 0.0811745, 0.0611261, 0.0388743, 0.0188259, 0.004952, 4e-7];
    close(
      rates.map((_, step) => schedule.at(step)),
      rates,
      { rtol: 1e-4, atol: 1e-6 },
    );
  });

  it('stepDecay falls at each multiple', () => {
    const schedule = schedules.stepDecay({ initialLearningRate: 1, decaySteps: 3 });
    close(
      [0, 2, 3, 5, 6].map((step) => schedule.at(step)),
      [1, 1, 0.1, 0.1, 0.01],
      { rtol: 1e-12, atol: 0 },
    );
  });

  it('refuse what makes no sense', () => {
    const refuses = (body: () => unknown, wanted: RegExp) =>
      assert.throws(body, (error) => error instanceof NablaError && wanted.test(error.message));
    refuses(() => schedules.constant(-1), /bad learningRate, got -1/);
    refuses(() => schedules.cosineDecay({ initialLearningRate: 1, decaySteps: 0 }), /bad decaySteps, got 0/);
    refuses(() => schedules.piecewiseConstantDecay({ boundaries: [2], values: [1] }), /one value more/);
  });
});

describeBackends(
  'a fit with a schedule',
  () => {
    it('takes each step at its own rate, over slices, epochs and rests', async () => {
      const rates = Array.from({ length: 24 }, (_, i) => (i % 5) * 0.01 + 0.001);
      const schedule: Schedule = { name: 'table', config: {}, at: (step) => rates[step]! };
      const model = sequential({
        layers: [layers.dense({ units: 1, useBias: false, kernelInitializer: 'zeros', inputShape: [1] })],
      });
      // The gradient of mean(-w x) is -1: the weight is the sum of all rates.
      const loss = (_y: Tensor, p: Tensor) => neg(mean(p, 1));
      model.compile({ optimizer: optimizers.sgd({ learningRate: schedule }), loss });
      await model.fit(ones([58, 1]), ones([58, 1]), { epochs: 4, batchSize: 10, verbose: 0 });
      const total = rates.reduce((a, b) => a + b, 0);
      close(model.getWeights()[0]!, [total], { rtol: 1e-5, atol: 0 });
    });

    it('does not let a callback set the rate', async () => {
      const model = sequential({ layers: [layers.dense({ units: 1, inputShape: [1] })] });
      const learningRate = schedules.constant(0.1);
      model.compile({ optimizer: optimizers.sgd({ learningRate }), loss: 'mse' });
      const onEpochBegin = (_: number, control: { learningRate: number }) => {
        control.learningRate = 1;
      };
      await assert.rejects(
        model.fit(ones([4, 1]), ones([4, 1]), { verbose: 0, callbacks: [{ onEpochBegin }] }),
        /follows the schedule constant/,
      );
    });
  },
  twoBackends,
);
