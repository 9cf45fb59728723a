// Stopping a fit by a signal, and going on: the weights are those of a fit that was never stopped, to the bit.
import assert from 'node:assert/strict';
import { type FitPosition, type History, randomUniform, setSeed } from '../src/api.ts';
import type { Callback } from '../src/model/callbacks.ts';
import { Philox } from '../src/random.ts';
import { describeBackends } from './support/backends.ts';
import { modelBackends, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, learns, weightsOf } from './support/models.ts';

const samples = 90;
const batchSize = 8;
const epochs = 4;
const perEpoch = Math.ceil(samples / batchSize);
const base = { epochs, batchSize, verbose: 0 } as const;

/** Aborts in the callback of a step; the run stops there or some steps later. */
function abortAt(total: number, controller: AbortController): Callback {
  let steps = 0;
  return {
    onBatchEnd() {
      if (++steps === total) controller.abort();
    },
  };
}

describeBackends(
  'a fit that is stopped',
  () => {
    for (const dropout of [undefined, 0.4]) {
      it(`goes on to the same weights, ${dropout ? 'with' : 'without'} dropout`, async () => {
        const { x, y } = clusters(samples);
        setSeed(21);
        const whole = compiled({ dropout });
        await whole.fit(x, y, base);
        const expected = weightsOf(whole);
        const random = new Philox(5);
        for (let attempt = 0; attempt < 6; attempt++) {
          setSeed(21);
          const model = compiled({ dropout });
          let resume: FitPosition | undefined;
          let steps = 0;
          let stops = 0;
          do {
            const controller = new AbortController();
            // Random numbers drawn meanwhile are no part of the fit.
            if (resume) randomUniform([3]).dispose();
            const callbacks = [abortAt(1 + random.int(20), controller)];
            const history: History = await model.fit(x, y, {
              ...base,
              callbacks,
              signal: controller.signal,
              resume,
            });
            steps += history.steps;
            resume = history.stopped;
            if (resume) stops++;
          } while (resume);
          assert.ok(stops > 0, 'it was stopped at least once');
          assert.equal(steps, epochs * perEpoch);
          assert.deepEqual(weightsOf(model), expected);
          model.dispose();
        }
        whole.dispose();
      });
    }

    it('says where: the epoch, and the steps of it that were done', async () => {
      const { x, y } = clusters(samples);
      const model = compiled();
      const controller = new AbortController();
      const seen: [number, number][] = [];
      let epoch = 0;
      const watch: Callback = {
        onEpochBegin(number) {
          epoch = number;
        },
        onBatchEnd(step) {
          seen.push([epoch, step]);
          if (seen.length === perEpoch + 2) controller.abort();
        },
      };
      const history = await model.fit(x, y, { ...base, callbacks: [watch], signal: controller.signal });
      const [lastEpoch, lastStep] = seen.at(-1)!;
      assert.equal(lastEpoch, 1);
      assert.equal(history.stopped!.epoch, 1);
      assert.equal(history.stopped!.step, lastStep + 1);
      assert.equal(history.steps, seen.length);
      assert.deepEqual(history.epoch, [0]);
      // Plain data, to be kept in a file.
      assert.deepEqual(JSON.parse(JSON.stringify(history.stopped)), history.stopped);
      model.dispose();
    });

    it('ends within a step, in the midst of a long run', async () => {
      const { x, y } = clusters(20_000);
      const model = compiled();
      const controller = new AbortController();
      const wait = setTimeout(() => controller.abort(), 60);
      const history = await model.fit(x, y, {
        epochs: 1000,
        batchSize: 2,
        verbose: 0,
        signal: controller.signal,
      });
      clearTimeout(wait);
      assert.ok(history.stopped !== undefined);
      assert.ok(history.seconds < 1.5, `${history.seconds} s`);
      assert.ok(await learns(model));
      model.dispose();
    });

    it('before it began has a place to begin at', async () => {
      const { x, y } = clusters(samples);
      setSeed(21);
      const whole = compiled();
      await whole.fit(x, y, base);
      setSeed(21);
      const model = compiled();
      const history = await model.fit(x, y, { ...base, signal: AbortSignal.abort() });
      assert.equal(history.steps, 0);
      assert.equal(history.stopped!.epoch, 0);
      assert.equal(history.stopped!.step, 0);
      await model.fit(x, y, { ...base, resume: history.stopped });
      assert.deepEqual(weightsOf(model), weightsOf(whole));
      model.dispose();
      whole.dispose();
    });

    it('between two epochs goes on with the next', async () => {
      const { x, y } = clusters(samples);
      const run = async (stopAfter: number | undefined) => {
        setSeed(22);
        const model = compiled({ dropout: 0.2 });
        const controller = new AbortController();
        const callbacks: Callback[] = [
          { onEpochEnd: (epoch) => (epoch === stopAfter ? controller.abort() : undefined) },
        ];
        const history = await model.fit(x, y, {
          ...base,
          callbacks,
          signal: controller.signal,
          validationSplit: 0.2,
        });
        if (stopAfter !== undefined && stopAfter < epochs - 1) {
          assert.equal(history.stopped!.epoch, stopAfter + 1);
          assert.equal(history.stopped!.step, 0);
          await model.fit(x, y, { ...base, resume: history.stopped, validationSplit: 0.2 });
        } else {
          assert.equal(history.stopped, undefined);
        }
        const weights = weightsOf(model);
        model.dispose();
        return weights;
      };
      const expected = await run(undefined);
      assert.deepEqual(await run(1), expected);
      assert.deepEqual(await run(epochs - 1), expected);
    });
  },
  modelBackends,
);

describeBackends(
  'a position to resume from',
  () => {
    it('is refused where it is not in this fit', async () => {
      const { x, y } = clusters(samples);
      const model = compiled();
      const { stopped } = await model.fit(x, y, { ...base, signal: AbortSignal.abort() });
      const resumed = (resume: unknown) => model.fit(x, y, { ...base, resume: resume as FitPosition });
      await assert.rejects(
        resumed({ ...stopped, step: 99 }),
        /\[sequential.fit\] bad resume, got step 99.*expected.*12/,
      );
      await assert.rejects(resumed({ ...stopped, step: -1 }), /bad resume, got step -1/);
      await assert.rejects(resumed({ epoch: 0 }), /bad resume.*history\.stopped/);
      assert.ok(await learns(model));
      model.dispose();
    });
  },
  twoBackends,
);
