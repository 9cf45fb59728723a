// Callbacks that save, set the learning rate and write logs: against Keras where it has them, and their errors.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Batch,
  backupAndRestore,
  type Callback,
  csvLogger,
  data,
  type FitControl,
  lambdaCallback,
  layers,
  learningRateScheduler,
  loadModel,
  Model,
  mean,
  memoryStore,
  modelCheckpoint,
  optimizers,
  ReduceLROnPlateau,
  type ReduceLROnPlateauOptions,
  reduceLROnPlateau,
  registerStore,
  type Step,
  setSeed,
  square,
  sub,
  type Tensor,
  tensor,
  terminateOnNaN,
} from '../src/api.ts';
import '../src/platform/files.ts';
import { readLog } from '../src/report/read.ts';
import { parseSaved } from '../src/saving/save.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { fixture, oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, learns, weightsOf } from './support/models.ts';

const quiet = { verbose: 0 } as const;

interface Plateau {
  name: string;
  values: number[];
  options: ReduceLROnPlateauOptions;
  rates: number[];
}

/** As much of fit's control as callbacks of the learning rate use. */
const control = (learningRate: number) => ({ learningRate }) as FitControl;

describe('reduceLROnPlateau as in Keras', () => {
  for (const { name, values, options, rates } of fixture<{ cases: Plateau[] }>('plateau').cases) {
    it(name, () => {
      const callback = reduceLROnPlateau(options);
      const stub = control(1);
      callback.onTrainBegin();
      const got = values.map((value, epoch) => {
        callback.onEpochEnd(epoch, { [options.monitor ?? 'val_loss']: value }, stub);
        return stub.learningRate;
      });
      got.forEach((rate, i) => {
        assert.ok(Math.abs(rate - rates[i]!) < 1e-7, `epoch ${i}: got ${got}, expected ${rates}`);
      });
    });
  }

  it('refuses what it cannot do', () => {
    assert.throws(() => reduceLROnPlateau({ factor: 1 }), says('reduceLROnPlateau', 'bad factor, got 1'));
    assert.throws(() => reduceLROnPlateau({ patience: -1 }), says('reduceLROnPlateau', 'bad patience'));
    assert.throws(() => reduceLROnPlateau({ cooldown: 0.5 }), says('reduceLROnPlateau', 'bad cooldown'));
    assert.throws(() => reduceLROnPlateau({ minLR: -1 }), says('reduceLROnPlateau', 'bad minLR'));
    assert.throws(
      () => reduceLROnPlateau({ mode: bad('low') }),
      says('reduceLROnPlateau', "unknown mode, got 'low'"),
    );
    const callback = reduceLROnPlateau();
    assert.throws(
      () => callback.onEpochEnd(0, { loss: 1 }, control(1)),
      says('reduceLROnPlateau', "got monitor 'val_loss', expected one of loss"),
    );
  });
});

/** A callback that says what is to be watched. */
const scripted = (name: string, values: readonly number[]): Callback => ({
  onEpochEnd(epoch, logs) {
    logs[name] = values[epoch]!;
  },
});

describeBackends(
  'modelCheckpoint',
  () => {
    const kept = new Map<string, Uint8Array>();
    beforeEach(() => {
      kept.clear();
      registerStore('kept', memoryStore(kept));
    });

    it('saves every epoch, or every so many, under names that are filled in', async () => {
      const data = clusters(40);
      const model = compiled();
      const callbacks = [
        scripted('val_loss', [3, 2.5, 2.25, 4]),
        modelCheckpoint({ filepath: 'kept://m-{epoch:02d}-{val_loss:.2f}-{step}' }),
        modelCheckpoint({ filepath: 'kept://every {epoch}', epochFreq: 2, saveWeightsOnly: true }),
      ];
      await model.fit(data.x, data.y, { epochs: 4, batchSize: 20, callbacks, ...quiet });
      const names = ['m-01-3.00-2', 'm-02-2.50-4', 'm-03-2.25-6', 'm-04-4.00-8'];
      assert.deepEqual([...kept.keys()].toSorted(), ['every 2', 'every 4', ...names]);
      const last = await loadModel('kept://m-04-4.00-8');
      assert.deepEqual(weightsOf(last as typeof model), weightsOf(model));
      assert.equal(last.position!.epoch, 4);
      await assert.rejects(loadModel('kept://every 4'), /the file has weights only/);
      model.dispose();
      last.dispose();
    });

    it('saves the best only', async () => {
      const data = clusters(40);
      const model = compiled();
      const values = [3, 2, 2.5, 1, 1];
      const best = modelCheckpoint({ filepath: 'kept://best', saveBestOnly: true });
      const least = modelCheckpoint({
        filepath: 'kept://b{epoch}',
        saveBestOnly: true,
        mode: 'max',
        initialValueThreshold: 2.25,
      });
      const seen: (string | undefined)[] = [];
      const watch = lambdaCallback({ onEpochEnd: () => void seen.push(least.lastPath) });
      await model.fit(data.x, data.y, {
        epochs: 5,
        callbacks: [scripted('val_loss', values), best, least, watch],
        ...quiet,
      });
      assert.equal(best.best, 1);
      assert.deepEqual(
        JSON.parse(parseSaved('t', kept.get('best')!).file.metadata.get('nabla.training')!).position.epoch,
        4,
      );
      assert.deepEqual(
        seen,
        Array.from({ length: 5 }, () => 'kept://b1'),
      );
      await assert.rejects(
        model.fit(data.x, data.y, { callbacks: [best], ...quiet }),
        says('modelCheckpoint', "got monitor 'val_loss', expected one of loss, accuracy"),
      );
      assert.ok(await learns(model));
      model.dispose();
    });

    it('saves after exactly so many steps', async () => {
      const data = clusters(40);
      const model = compiled();
      const callbacks = [modelCheckpoint({ filepath: 'kept://{step:03d}', saveFreq: 3 })];
      await model.fit(data.x, data.y, { epochs: 3, batchSize: 9, callbacks, ...quiet });
      assert.deepEqual([...kept.keys()], ['003', '006', '009', '012', '015']);
      for (const [name, bytes] of kept) {
        const { iterations, position } = JSON.parse(
          parseSaved('t', bytes).file.metadata.get('nabla.training')!,
        );
        assert.equal(iterations, Number(name));
        assert.equal(position.epoch * 5 + position.step, Number(name));
      }
      model.dispose();
    });

    it('refuses what it cannot do', async () => {
      const where = 'modelCheckpoint';
      assert.throws(() => modelCheckpoint(bad({})), says(where, 'bad filepath, got undefined'));
      assert.throws(
        () => modelCheckpoint({ filepath: 'x', saveFreq: 0 }),
        says(where, 'bad saveFreq, got 0'),
      );
      assert.throws(
        () => modelCheckpoint({ filepath: 'x', epochFreq: 0 }),
        says(where, 'bad epochFreq, got 0'),
      );
      const data = clusters(20);
      const model = compiled();
      const callbacks = [modelCheckpoint({ filepath: 'kept://{val_acc}' })];
      await assert.rejects(
        model.fit(data.x, data.y, { callbacks, ...quiet }),
        says(where, 'got {val_acc}, expected one of loss, accuracy, epoch, step'),
      );
      const lost = [modelCheckpoint({ filepath: 'nowhere://x' })];
      await assert.rejects(model.fit(data.x, data.y, { callbacks: lost, ...quiet }), /unknown scheme/);
      assert.ok(await learns(model), 'the model is whole');
      model.dispose();
    });
  },
  oneBackend,
);

describeBackends(
  'backupAndRestore',
  () => {
    const kept = new Map<string, Uint8Array>();
    beforeEach(() => {
      kept.clear();
      registerStore('kept', memoryStore(kept));
    });

    it('goes on where a run ended with an error', async () => {
      const { x, y } = clusters(60);
      const options = { epochs: 5, batchSize: 8, ...quiet };
      setSeed(3);
      const whole = compiled({ dropout: 0.3 });
      await whole.fit(x, y, options);
      const expected = weightsOf(whole);
      for (const saveFreq of ['epoch', 3] as const) {
        setSeed(3);
        const path = `kept://${saveFreq}`;
        const first = compiled({ dropout: 0.3 });
        const fails = lambdaCallback({
          onEpochEnd: (epoch) => {
            if (epoch === 2) throw new Error('the disk is full');
          },
        });
        const callbacks = [fails, backupAndRestore({ path, saveFreq })];
        await assert.rejects(first.fit(x, y, { ...options, callbacks }), /the disk is full/);
        assert.ok(kept.has(String(saveFreq)));
        setSeed(77);
        const second = compiled({ dropout: 0.3 });
        const epochs: number[] = [];
        const seen = lambdaCallback({ onEpochBegin: (epoch) => void epochs.push(epoch) });
        await second.fit(x, y, { ...options, callbacks: [backupAndRestore({ path, saveFreq }), seen] });
        assert.deepEqual(weightsOf(second), expected);
        // Epochs two and three were done, or 24 steps of eight an epoch, of which the last three were of the third.
        assert.deepEqual(epochs, saveFreq === 'epoch' ? [2, 3, 4] : [3, 4]);
        assert.ok(!kept.has(String(saveFreq)), 'it is gone when the run has ended');
        first.dispose();
        second.dispose();
      }
      whole.dispose();
    });

    it('goes on within a data set', async () => {
      const { x, y } = clusters(60);
      const set = data.fromTensorSlices([x, y]).shuffle(60, { seed: 4 }).batch(8);
      const options = { epochs: 4, ...quiet };
      const train = async (callbacks: Callback[]) => {
        setSeed(3);
        const model = compiled({ dropout: 0.3 });
        try {
          await model.fit(set, { ...options, callbacks });
          return weightsOf(model);
        } finally {
          model.dispose();
        }
      };
      const expected = await train([]);
      // The backup of ten steps is that within the second epoch, which has eight.
      const backup = () => backupAndRestore({ path: 'kept://set', saveFreq: 5 });
      const fails = lambdaCallback({
        onBatchEnd: (_step, _logs, { iterations }) => {
          if (iterations === 10) throw new Error('enough');
        },
      });
      await assert.rejects(train([backup(), fails]), /enough/);
      const { position } = JSON.parse(parseSaved('t', kept.get('set')!).file.metadata.get('nabla.training')!);
      assert.deepEqual([position.epoch, position.step], [1, 2]);
      assert.deepEqual(await train([backup()]), expected);
    });

    it('stays when the run was stopped by its signal, or when it is to stay', async () => {
      const { x, y } = clusters(60);
      const model = compiled();
      const stop = new AbortController();
      const stopping = lambdaCallback({ onEpochEnd: () => stop.abort() });
      const callbacks = [backupAndRestore({ path: 'kept://a' }), stopping];
      await model.fit(x, y, { epochs: 3, signal: stop.signal, callbacks, ...quiet });
      assert.ok(kept.has('a'));
      const staying = [backupAndRestore({ path: 'kept://b', deleteCheckpoint: false })];
      await model.fit(x, y, { callbacks: staying, ...quiet });
      assert.ok(kept.has('b'));
      model.dispose();
    });

    it('refuses a backup of another model, and one that is not whole', async () => {
      const { x, y } = clusters(60);
      const model = compiled();
      await model.fit(x, y, {
        callbacks: [backupAndRestore({ path: 'kept://a', deleteCheckpoint: false })],
        ...quiet,
      });
      const other = compiled({ name: 'other' });
      other.layers[1]!.rename('answer');
      const restoring = { callbacks: [backupAndRestore({ path: 'kept://a' })], ...quiet };
      await assert.rejects(
        other.fit(x, y, restoring),
        says('a', 'weights do not match other', 'missing answer/kernel'),
      );
      kept.set('a', kept.get('a')!.subarray(0, 500));
      await assert.rejects(model.fit(x, y, restoring), says('a', 'truncated'));
      assert.throws(() => backupAndRestore(bad({})), says('backupAndRestore', 'bad path'));
      assert.throws(
        () => backupAndRestore({ path: 'x', saveFreq: bad('step') }),
        says('backupAndRestore', "bad saveFreq, got 'step'"),
      );
      model.dispose();
      other.dispose();
    });
  },
  twoBackends,
);

/** A model with a training step of its own, in which two optimizers change a layer each. */
class Both extends Model {
  a = layers.dense({ units: 4, activation: 'tanh' });
  b = layers.dense({ units: 3 });
  ofA = optimizers.adam({ learningRate: 0.01 });
  ofB = optimizers.sgd({ learningRate: 0.1, momentum: 0.9 });
  override call(x: Tensor): Tensor {
    return this.b.apply(this.a.apply(x));
  }
  override trainStep({ x }: Batch, step: Step) {
    const loss = () => mean(square(sub(this.apply(x), 1)));
    step.minimize(loss, { of: this.b, optimizer: this.ofB });
    return { loss: step.minimize(loss, { of: this.a, optimizer: this.ofA }) };
  }
}

describeBackends(
  'backupAndRestore of a training step of its own',
  () => {
    it('has the state of each optimizer again', async () => {
      const kept = new Map<string, Uint8Array>();
      registerStore('kept', memoryStore(kept));
      const { x } = clusters(40);
      const train = async (epochs: number, callbacks: Callback[]) => {
        setSeed(6);
        const model = new Both();
        model.compile({});
        await model.fit(x, null, { epochs, batchSize: 8, callbacks, ...quiet });
        const weights = model.getWeights();
        model.dispose();
        return weights;
      };
      const expected = await train(5, []);
      const backup = () => backupAndRestore({ path: 'kept://both', deleteCheckpoint: false });
      await train(2, [backup()]);
      // Restored and saved again before a step is taken: nothing is lost.
      await train(2, [backup()]);
      assert.deepEqual(await train(5, [backup()]), expected);
    });
  },
  twoBackends,
);

describeBackends(
  'learningRateScheduler',
  () => {
    it('sets the rate of each epoch', async () => {
      const { x, y } = clusters(20);
      const model = compiled({ optimizer: optimizers.sgd({ learningRate: 0.5 }) });
      const rates: number[] = [];
      const seen = lambdaCallback({
        onBatchEnd: (_step, _logs, { learningRate }) => void rates.push(learningRate),
      });
      const half = learningRateScheduler((epoch, rate) => (epoch === 0 ? rate : rate / 2));
      await model.fit(x, y, { epochs: 3, batchSize: 20, callbacks: [half, seen], ...quiet });
      assert.deepEqual(rates, [0.5, 0.25, 0.125]);
      await assert.rejects(
        model.fit(x, y, { callbacks: [learningRateScheduler(() => bad('fast'))], ...quiet }),
        says('learningRateScheduler', "the schedule gave 'fast', expected a number"),
      );
      assert.throws(
        () => learningRateScheduler(bad(0.1)),
        says('learningRateScheduler', 'bad schedule, got 0.1'),
      );
      model.dispose();
    });
  },
  oneBackend,
);

describeBackends(
  'csvLogger',
  () => {
    it('writes a row an epoch, anew or at the end', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'nabla-csv-'));
      try {
        const filename = join(folder, 'logs', 'log.csv');
        const { x, y } = clusters(20);
        const model = compiled();
        const train = (append: boolean, separator?: string) =>
          model.fit(x, y, {
            epochs: 2,
            callbacks: [csvLogger({ filename, append, ...(separator ? { separator } : {}) })],
            ...quiet,
          });
        const { history } = await train(false);
        const rows = () => readFileSync(filename, 'utf8').split('\n');
        assert.deepEqual(rows(), [
          'epoch,accuracy,loss',
          ...[0, 1].map((epoch) => `${epoch},${history.accuracy![epoch]},${history.loss![epoch]}`),
          '',
        ]);
        await train(true);
        assert.equal(rows().length, 6);
        assert.equal(rows().filter((row) => row.startsWith('epoch')).length, 1);
        await train(false, ';');
        assert.equal(rows().length, 4);
        assert.equal(rows()[0], 'epoch;accuracy;loss');
        model.dispose();
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });

    it('has the learning rate where a callback before it sets it', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'nabla-csv-'));
      try {
        const filename = join(folder, 'log.csv');
        const { x, y } = clusters(20);
        for (const first of [
          learningRateScheduler((epoch) => 2 ** -epoch),
          reduceLROnPlateau({ monitor: 'loss', factor: 0.5, patience: 1, minDelta: 1e9 }),
        ]) {
          const model = compiled({ optimizer: optimizers.sgd({ learningRate: 1 }) });
          const callbacks = [first, csvLogger({ filename })];
          await model.fit(x, y, { epochs: 3, callbacks, ...quiet });
          const log = readLog(filename, readFileSync(filename, 'utf8'));
          // The first loss is better than none, the second is not.
          const expected = first instanceof ReduceLROnPlateau ? [1, 1, 0.5] : [1, 0.5, 0.25];
          assert.deepEqual(log.learningRate, expected);
          assert.deepEqual(Object.keys(log.history), ['accuracy', 'loss']);
          model.dispose();
        }
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });

    it('says where it cannot write', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'nabla-csv-'));
      try {
        writeFileSync(join(folder, 'file'), '');
        const { x, y } = clusters(20);
        const model = compiled();
        const filename = join(folder, 'file', 'log.csv');
        await assert.rejects(
          model.fit(x, y, { callbacks: [csvLogger({ filename })], ...quiet }),
          says(filename, 'cannot be written'),
        );
        assert.throws(() => csvLogger(bad({})), says('csvLogger', 'bad filename'));
        assert.deepEqual(readdirSync(folder), ['file']);
        assert.ok(!existsSync(filename));
        assert.ok(await learns(model), 'the model is whole');
        model.dispose();
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  },
  oneBackend,
);

describeBackends(
  'terminateOnNaN',
  () => {
    it('ends the fit without an error', async () => {
      const model = compiled();
      const { x, y } = clusters(40);
      const numbers = x.dataSync() as Float32Array;
      numbers[6 * 25] = Number.NaN;
      const broken = tensor(numbers, x.shape);
      const callback = terminateOnNaN();
      const warnings: string[] = [];
      const { warn } = console;
      console.warn = (text: string) => void warnings.push(text);
      try {
        const options = { epochs: 3, batchSize: 10, shuffle: false, ...quiet };
        await assert.rejects(model.fit(broken, y, options), /the loss turned NaN/);
        const second = compiled();
        const history = await second.fit(broken, y, { ...options, callbacks: [callback] });
        assert.equal(callback.stoppedStep, 2);
        assert.ok(history.epoch.length <= 1);
        assert.deepEqual(warnings, ['[terminateOnNaN] the loss is NaN at step 2; training ends']);
        second.dispose();
      } finally {
        console.warn = warn;
      }
      model.dispose();
    });
  },
  oneBackend,
);

describe('lambdaCallback', () => {
  it('takes functions of known moments', () => {
    assert.throws(
      () => lambdaCallback(bad({ onEpochsEnd: () => {} })),
      says('lambdaCallback', "unknown moment, got 'onEpochsEnd'", "did you mean 'onEpochEnd'?"),
    );
    assert.throws(
      () => lambdaCallback(bad({ onEpochEnd: 3 })),
      says('lambdaCallback', 'bad onEpochEnd, got 3, expected a function'),
    );
  });
});
