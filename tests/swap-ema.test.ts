// SwapEMAWeights: what validation and other callbacks see, and that training does not notice.
import assert from 'node:assert/strict';
import {
  type Callback,
  lambdaCallback,
  loadModel,
  memoryStore,
  modelCheckpoint,
  optimizers,
  registerStore,
  type Sequential,
  setSeed,
  swapEMAWeights,
} from '../src/api.ts';
import { describeBackends } from './support/backends.ts';
import { says } from './support/errors.ts';
import { twoBackends } from './support/fixtures.ts';
import { clusters, compiled, weightsOf } from './support/models.ts';

const ema = () => optimizers.sgd({ learningRate: 0.3, useEma: true, emaMomentum: 0.8 });

describeBackends(
  'swapEMAWeights',
  () => {
    /** A model after so many epochs: it ends with the averages in place. */
    async function trained(epochs: number, callbacks: Callback[] = []) {
      const [{ x, y }, held] = [clusters(60), clusters(24, 5)];
      setSeed(3);
      const model = compiled({ optimizer: ema() });
      const validationData = [held.x, held.y] as const;
      const history = await model.fit(x, y, { epochs, batchSize: 10, verbose: 0, validationData, callbacks });
      return { model, history, held };
    }

    it('has validation see the averages, and leaves training as it is', async () => {
      const plain = await trained(3);
      const swapped = await trained(3, [swapEMAWeights()]);
      assert.deepEqual(weightsOf(swapped.model), weightsOf(plain.model));
      assert.deepEqual(swapped.history.history.loss, plain.history.history.loss);
      const [seen, raw] = [swapped.history.history.val_loss!, plain.history.history.val_loss!];
      for (const epochs of [1, 2, 3]) {
        const { model, held } = await trained(epochs);
        const { loss } = await model.evaluate(held.x, held.y);
        assert.ok(Math.abs(seen[epochs - 1]! - loss!) < 1e-6, `epoch ${epochs}: ${seen} and ${loss}`);
        assert.ok(Math.abs(raw[epochs - 1]! - loss!) > 1e-4, 'the weights are their average');
        model.dispose();
      }
      for (const { model } of [plain, swapped]) model.dispose();
    });

    it('has callbacks behind it see them at the end of an epoch, which may save them', async () => {
      registerStore('averages', memoryStore(new Map()));
      const shown: number[][] = [];
      const look = lambdaCallback({
        onEpochEnd: (_, __, { model }) => void shown.push(weightsOf(model as Sequential)),
      });
      const save = modelCheckpoint({ filepath: 'averages://{epoch}' });
      const swapped = await trained(2, [swapEMAWeights({ swapOnEpoch: true }), look, save]);
      for (const epochs of [1, 2]) {
        const { model } = await trained(epochs);
        assert.deepEqual(shown[epochs - 1], weightsOf(model));
        const saved = (await loadModel(`averages://${epochs}`)) as Sequential;
        assert.deepEqual(weightsOf(saved), weightsOf(model));
        if (epochs === 2) assert.deepEqual(weightsOf(swapped.model), weightsOf(model));
        // Training goes on from there.
        const { x, y } = clusters(60);
        await saved.fit(x, y, { epochs: 1, verbose: 0 });
        for (const each of [model, saved]) each.dispose();
      }
      swapped.model.dispose();
    });

    it('puts the weights back where a fit is broken off, so that it can go on', async () => {
      const whole = await trained(3);
      const { x, y } = clusters(60);
      setSeed(3);
      const model = compiled({ optimizer: ema() });
      const stop = new AbortController();
      const callbacks = [
        swapEMAWeights({ swapOnEpoch: true }),
        lambdaCallback({ onEpochEnd: () => stop.abort() }),
      ];
      const options = { epochs: 3, batchSize: 10, verbose: 0 } as const;
      const history = await model.fit(x, y, { ...options, callbacks, signal: stop.signal });
      await model.fit(x, y, { ...options, callbacks: [swapEMAWeights()], resume: history.stopped });
      assert.deepEqual(weightsOf(model), weightsOf(whole.model));
      for (const each of [model, whole.model]) each.dispose();
    });

    it('refuses an optimizer that keeps no averages', async () => {
      const { x, y } = clusters(12);
      const model = compiled();
      await assert.rejects(
        model.fit(x, y, { verbose: 0, callbacks: [swapEMAWeights()] }),
        says('swapEMAWeights', 'adam keeps no averages', 'useEma: true'),
      );
      model.dispose();
    });
  },
  twoBackends,
);
