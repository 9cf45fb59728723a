// Optimizers that work weight by weight, and the options of all of them, against Keras over ten steps; and what is refused.
import assert from 'node:assert/strict';
import {
  add,
  type Batch,
  cast,
  equal,
  loadModel,
  Model,
  mul,
  optimizers,
  type Sequential,
  type Step,
  setSeed,
  sign,
  sub,
  sum,
  type Tensor,
  tensor,
  type Variable,
  where,
  zeros,
} from '../src/api.ts';
import { Taken } from '../src/model/slots.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, modelBackends, oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, weightsOf } from './support/models.ts';
import {
  allWeights,
  noLabels,
  type ProbeFixture,
  ProbeLayer,
  type ProbeWeight,
  probeModel,
  probeWeights,
} from './support/probe.ts';

type Factory = (options: optimizers.OptimizerOptions) => optimizers.Optimizer;

interface Fixture extends ProbeFixture {
  gradients: number[][];
  cases: {
    name: string;
    optimizer: keyof typeof factories;
    options: optimizers.OptimizerOptions;
    constrained: boolean;
    schedule: [number, number, number] | null;
    steps: number[][];
    final: number[] | null;
  }[];
}

const { sgd, rmsprop, adam, adamw, lion, lamb, adafactor, muon, schedules } = optimizers;
const factories = { sgd, rmsprop, adam, adamw, lion, lamb, adafactor, muon } satisfies Record<
  string,
  Factory
>;
const fixed = fixture<Fixture>('optimizer-options');
const { gradients, cases } = fixed;
const tolerance = { rtol: 1e-5, atol: 2e-6 };

function made({ optimizer, options, schedule }: Fixture['cases'][number]): optimizers.Optimizer {
  if (schedule === null) return factories[optimizer](options);
  const [initialLearningRate, decaySteps, decayRate] = schedule;
  const learningRate = schedules.exponentialDecay({ initialLearningRate, decaySteps, decayRate });
  return factories[optimizer]({ ...options, learningRate });
}

describeBackends(
  'optimizers and their options as in Keras',
  () => {
    for (const one of cases) {
      it(one.name, async () => {
        const model = probeModel(probeWeights(fixed, one.constrained), made(one));
        for (const [i, row] of gradients.entries()) {
          await model.trainOnBatch(tensor([row]), noLabels());
          close(allWeights(model), one.steps[i]!, tolerance, `after step ${i + 1}`);
        }
        model.dispose();
      });
    }
  },
  modelBackends,
);

describeBackends(
  'optimizers in a fit',
  () => {
    for (const one of cases.filter(({ options }) => options.useEma || options.gradientAccumulationSteps)) {
      it(`${one.name}: many steps in one program, then the average`, async () => {
        const model = probeModel(probeWeights(fixed, one.constrained), made(one));
        const x = tensor(gradients);
        await model.fit(x, noLabels(gradients.length), { batchSize: 1, shuffle: false, verbose: 0 });
        close(allWeights(model), one.final ?? one.steps.at(-1)!, tolerance);
        model.dispose();
      });
    }
  },
  twoBackends,
);

/** Steps along the sign of a mean gradient; beside it counts its updates in a state that begins at 5. */
class SignMomentum extends optimizers.ComposedOptimizer {
  constructor(options: optimizers.OptimizerOptions = {}) {
    super('signMomentum', options, 0.5);
  }

  override states(weight: Variable) {
    return { velocity: { shape: weight.shape }, count: { shape: [], initial: 5 } };
  }

  override update(context: optimizers.UpdateContext): optimizers.Updated {
    const { gradient, weight, states, step, learningRate } = context;
    const velocity = add(mul(states.velocity!, 0.5), mul(gradient, 0.5));
    const count = add(states.count!, 1);
    // The count and the step agree, or the weights turn to NaN.
    const agrees = where(equal(sub(count, 6), cast(step, 'float32')), 1, Number.NaN);
    const moved = sub(weight, mul(sign(velocity), mul(learningRate, agrees)));
    return { weight: moved, states: { velocity, count } };
  }
}

/** What the update is made to give, in place of what it should. */
class Wrong extends SignMomentum {
  private readonly result: unknown;

  constructor(result: unknown) {
    super();
    this.result = result;
  }

  override update(): optimizers.Updated {
    return this.result as optimizers.Updated;
  }
}

const pair: ProbeWeight[] = [
  { name: 'kernel', shape: [2], start: [1, 2] },
  { name: 'bias', shape: [1], start: [3] },
];

describeBackends(
  'optimizers of your own',
  () => {
    it('are traced into the step, with states from step to step', async () => {
      const model = probeModel(pair, new SignMomentum({ learningRateMultiplier: { bias: 2 } }));
      const rows = tensor([
        [1, -1, 0],
        [1, 3, 2],
        [-4, 0, -1],
      ]);
      await model.fit(rows, noLabels(3), { batchSize: 1, shuffle: false, verbose: 0 });
      // Velocities: .5 -.5 0, then .75 1.25 1, then -1.625 .625 0.
      assert.deepEqual(allWeights(model), [0.5 + 0, 1.5, 2]);
      model.dispose();
    });

    it('and what is wrong with them is said', async () => {
      class Unfinished extends optimizers.Optimizer {
        override statesPerWeight() {
          return 0;
        }
      }
      assert.throws(
        () => probeModel(pair, new Unfinished('unfinished')),
        /the optimizer unfinished has no update\(\); extend optimizers.ComposedOptimizer/,
      );
      const step = async (result: unknown) => {
        const model = probeModel(pair, new Wrong(result));
        try {
          await model.trainOnBatch(zeros([1, 3]), noLabels());
        } finally {
          model.dispose();
        }
      };
      await assert.rejects(
        step(undefined),
        /\[signMomentum\] update\(\) of probe\/kernel gave a bad weight, got undefined, expected float32\[2\]/,
      );
      await assert.rejects(
        step({ weight: zeros([3]) }),
        /bad weight, got Tensor\(float32\[3\]\), expected float32\[2\]/,
      );
      const weight = zeros([2]);
      await assert.rejects(
        step({ weight, states: { speed: weight } }),
        /\[signMomentum\] unknown state, got 'speed', expected one of those of states\(\): velocity, count/,
      );
      await assert.rejects(
        step({ weight, states: { count: weight } }),
        /gave a bad count, got .*, expected float32\[\]/,
      );
    });
  },
  twoBackends,
);

/** Two probes, each with an optimizer of its own. */
class Both extends Model {
  left = new ProbeLayer(probeWeights(fixed));
  right = new ProbeLayer(probeWeights(fixed));
  first = lamb({ learningRate: 0.01, gradientAccumulationSteps: 3, weightDecay: 0.1 });
  second = adam({ learningRate: 0.01, useEma: true, emaMomentum: 0.5, excludeFromWeightDecay: 'bias' });

  override call(x: Tensor): Tensor {
    return add(this.left.apply(x), this.right.apply(x));
  }

  override trainStep({ x }: Batch, step: Step) {
    const loss = step.minimize(() => sum(this.left.apply(x)), { of: this.left, optimizer: this.first });
    step.minimize(() => sum(this.right.apply(x)), { of: this.right, optimizer: this.second });
    return { loss };
  }
}

describeBackends(
  "optimizers in a step of one's own",
  () => {
    it('do what they do alone', async () => {
      const both = new Both();
      both.compile({ optimizer: 'sgd' });
      const fitting = { batchSize: 1, shuffle: false, verbose: 0 } as const;
      await both.fit(tensor(gradients), undefined, fitting);
      const size = 68;
      const found = both.getWeights().flatMap((weight) => [...weight]);
      for (const [i, optimizer] of [both.first, both.second].entries()) {
        const alone = probeModel(probeWeights(fixed), optimizer);
        await alone.fit(tensor(gradients), noLabels(10), fitting);
        close(found.slice(i * size, (i + 1) * size), allWeights(alone), tolerance);
        alone.dispose();
      }
      both.dispose();
    });
  },
  twoBackends,
);

describeBackends(
  'saved optimizers',
  () => {
    const made = {
      lamb: () =>
        lamb({ learningRate: 0.01, gradientAccumulationSteps: 3, excludeFromWeightDecay: ['bias'] }),
      adafactor: () => adafactor({ useEma: true, emaMomentum: 0.9, emaOverwriteFrequency: 7 }),
      muon: () => muon({ excludeLayers: 'dense_1', learningRateMultiplier: { bias: 0.5 } }),
      adam: () => adam({ useEma: true, gradientAccumulationSteps: 2, weightDecay: 0.1 }),
    };
    for (const [name, optimizer] of Object.entries(made)) {
      it(`${name} goes on to the bit`, async () => {
        const { x, y } = clusters(70);
        const fitting = { epochs: 3, batchSize: 8, verbose: 0 } as const;
        setSeed(3);
        const whole = compiled({ dropout: 0.2, optimizer: optimizer() });
        await whole.fit(x, y, fitting);
        setSeed(3);
        const begun = compiled({ dropout: 0.2, optimizer: optimizer() });
        const controller = new AbortController();
        const callbacks = [{ onEpochEnd: () => controller.abort() }];
        await begun.fit(x, y, { ...fitting, callbacks, signal: controller.signal });
        const loaded = (await loadModel(begun.toBytes())) as Sequential;
        setSeed(4);
        await loaded.fit(x, y, { ...fitting, resume: loaded.position });
        assert.deepEqual(weightsOf(loaded), weightsOf(whole));
        for (const model of [whole, begun, loaded]) model.dispose();
      });
    }
  },
  twoBackends,
);

describeBackends(
  'options of optimizers',
  () => {
    const updates = (optimizer: optimizers.Optimizer) => {
      const model = probeModel(probeWeights(fixed), optimizer);
      model.build([68]);
      const taken = new Taken('test');
      const data = model.takeData('test', taken, { x: zeros([4, 68]), y: noLabels(4) }, true);
      const listing = model.trainer('test').program(true, data, 1).executable.print();
      taken.dispose();
      model.dispose();
      return [...listing.matchAll(/\bupdate\b/g)].length;
    };

    it('need one instruction for all weights, and one more for each group that is set apart', () => {
      assert.equal(updates(adam({ weightDecay: 0.1 })), 1);
      assert.equal(updates(adam({ weightDecay: 0.1, excludeFromWeightDecay: /bias|table/ })), 2);
      const learningRateMultiplier = (weight: Variable) => (weight.name.includes('dense') ? 0.5 : 1);
      assert.equal(updates(adam({ learningRateMultiplier })), 2);
      assert.equal(updates(lamb()), 0);
    });

    it('leave frozen weights alone, and go on where a fit was stopped', async () => {
      const options = { useEma: true, emaMomentum: 0.5, gradientAccumulationSteps: 2, learningRate: 0.1 };
      const x = tensor(gradients);
      const fitting = { batchSize: 1, shuffle: false, verbose: 0 } as const;
      const whole = probeModel(probeWeights(fixed), lamb(options));
      await whole.fit(x, noLabels(10), { ...fitting, epochs: 2 });
      const stopped = probeModel(probeWeights(fixed), lamb(options));
      const controller = new AbortController();
      const history = await stopped.fit(x, noLabels(10), {
        ...fitting,
        epochs: 2,
        signal: controller.signal,
        callbacks: [{ onBatchEnd: () => controller.abort() }],
      });
      assert.ok(history.stopped !== undefined);
      await stopped.fit(x, noLabels(10), { ...fitting, epochs: 2, resume: history.stopped });
      assert.deepEqual(stopped.getWeights(), whole.getWeights());
      whole.layers[0]!.trainable = false;
      const before = allWeights(whole);
      await whole.fit(x, noLabels(10), fitting);
      assert.deepEqual(allWeights(whole), before);
      whole.dispose();
      stopped.dispose();
    });

    it('that make no sense are refused', () => {
      const bad = (options: object, message: RegExp, make: Factory = adam) =>
        assert.throws(() => make(options as optimizers.OptimizerOptions), message);
      bad(
        { gradientAccumulationSteps: 1 },
        /\[adam\] bad gradientAccumulationSteps, got 1, expected an integer >= 2/,
      );
      bad({ emaMomentum: 1.5 }, /\[adam\] bad emaMomentum, got 1.5, expected a number in \[0, 1\]/);
      bad(
        { emaOverwriteFrequency: 0 },
        /\[adam\] bad emaOverwriteFrequency, got 0, expected an integer >= 1/,
      );
      bad({ useEma: 1 }, /\[adam\] bad useEma, got 1, expected true or false/);
      bad(
        { excludeFromWeightDecay: 3 },
        /\[adam\] bad excludeFromWeightDecay, got 3, expected parts of names/,
      );
      bad(
        { excludeFromWeightDecay: ['bias', ''] },
        /\[adam\] bad excludeFromWeightDecay, got '', expected parts/,
      );
      bad(
        { learningRateMultiplier: 2 },
        /\[adam\] bad learningRateMultiplier, got 2, expected factors by name/,
      );
      bad({ beta1: 2 }, /\[lamb\] bad beta1, got 2, expected a number in \[0, 1\]/, lamb);
      bad({ epsilon: -1 }, /\[lamb\] bad epsilon, got -1, expected a finite number >= 0/, lamb);
      bad({ beta2Decay: 0.8 }, /\[adafactor\] bad beta2Decay, got 0.8, expected a number in/, adafactor);
      bad({ clipThreshold: 0 }, /\[adafactor\] bad clipThreshold, got 0/, adafactor);
      bad({ nsSteps: 0 }, /\[muon\] bad nsSteps, got 0, expected an integer >= 1/, muon);
      bad({ rmsRate: -1 }, /\[muon\] bad rmsRate, got -1/, muon);
      bad({ excludeLayers: {} }, /\[muon\] bad excludeLayers, got .*, expected parts of names/, muon);
      const model = probeModel(pair, sgd({ learningRateMultiplier: { bias: -1 } }));
      assert.throws(() => {
        model.build([3]);
        model.trainer('test');
      }, /\[sgd\] bad learningRateMultiplier of probe\/bias, got -1, expected a finite number >= 0/);
      model.dispose();
    });

    it('count in the memory that the summary plans', () => {
      const text = (optimizer: optimizers.Optimizer) => {
        const model = probeModel(probeWeights(fixed), optimizer);
        model.build([68]);
        const summary = model.summary({ printFn: () => undefined });
        model.dispose();
        return summary;
      };
      assert.match(text(adam()), /544 B adam state/);
      assert.match(text(lamb()), /544 B lamb state/);
      // Rows and columns: 3 + 4, 4, 6 + 8, 5 + 2, 6 + 3.
      assert.match(text(adafactor()), /164 B adafactor state/);
    });
  },
  oneBackend,
);
