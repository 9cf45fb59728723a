// The choice of a backend by measurement, over the emulated GPU, which is slow, and with clocks by which it is fast.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setSeed, sub, sum } from '../src/api.ts';
import { type Engine, useEngine } from '../src/engine.ts';
import { choosing, forgetChoices } from '../src/model/choice.ts';
import { backendInfo, setBackend } from '../src/platform/node.ts';
import { fastest } from './support/backends.ts';
import { anotherDriver, emulatedDriver, withEnvironment } from './support/cuda.ts';
import { clusters, compiled, learns, weightsOf } from './support/models.ts';

describe('the choice of a backend by measurement', function () {
  this.timeout(120_000);
  const former = { ...choosing };
  let said: string[];
  let cache: string;
  beforeEach(() => {
    forgetChoices();
    said = [];
    cache = mkdtempSync(join(tmpdir(), 'nabla-choice-'));
    choosing.say = (text) => said.push(text);
  });
  afterEach(() => {
    Object.assign(choosing, former);
    useEngine(fastest());
    rmSync(cache, { recursive: true, force: true });
  });

  /** Runs `body` with what `setBackend('auto')` takes: the emulated GPU. */
  const onAuto = <T>(
    body: (home: Engine) => Promise<T>,
    variables: Record<string, string> = {},
    measure?: boolean,
  ) =>
    withEnvironment(
      {
        NABLA_BACKEND: '',
        NABLA_CUDA_DRIVER: emulatedDriver(),
        NABLA_CUDA_PRECISION: 'float32',
        NABLA_THREADS: '1',
        XDG_CACHE_HOME: cache,
        ...variables,
      },
      async () => {
        const home = await setBackend('auto', measure === undefined ? {} : { measure });
        assert.equal(backendInfo().name, 'cuda');
        try {
          return await body(home);
        } finally {
          home.close();
        }
      },
    );

  /** A short training with all that draws random numbers; its weights and losses. */
  async function train() {
    setSeed(6);
    const { x, y } = clusters(40);
    const model = compiled({ dropout: 0.3 });
    const { history } = await model.fit(x, y, { epochs: 2, batchSize: 8, verbose: 0, validationSplit: 0.2 });
    // Tensors that were made before go where the model went.
    const off = sum(sub(await model.predict(x), 1)).dataSync()[0]!;
    return { weights: weightsOf(model), loss: history.loss!, off, model, x, y };
  }
  const numbers = ({ weights, loss, off }: Awaited<ReturnType<typeof train>>) => [...weights, ...loss, off];

  it('goes to the processor where that is faster, says so once, and changes no number', async () => {
    useEngine(fastest());
    const expected = numbers(await train());
    await onAuto(async () => {
      const result = await train();
      assert.equal(backendInfo().name, 'native');
      assert.deepEqual(numbers(result), expected);
      assert.equal(said.length, 1);
      assert.match(
        said[0]!,
        /^\[fit\] sequential\S* trains on native: [\d.]+ ms a step, [\d.e+]+ times as fast as cuda \([\d.]+ ms\); NABLA_AUTO=off/,
      );
      await result.model.fit(result.x, result.y, {
        epochs: 1,
        batchSize: 8,
        verbose: 0,
        validationSplit: 0.2,
      });
      assert.equal(said.length, 1, 'what was measured is not measured again');
    });
  });

  it('stays on the GPU where that is faster, and changes no number', async () => {
    const run = (isMeasured: boolean) =>
      onAuto(
        async (home) => {
          // A clock by which a run takes 1 ms there, and 5 ms on the processor.
          let now = 0;
          choosing.now = () => now;
          for (const [engine, ms] of [[home, 1], ...(home.rivals?.() ?? []).map((each) => [each, 5])] as [
            Engine,
            number,
          ][]) {
            const start = engine.backend.start.bind(engine.backend);
            engine.backend.start = (program, bindings, steps) => {
              now += ms * steps;
              return start(program, bindings, steps);
            };
          }
          const result = numbers(await train());
          assert.equal(backendInfo().name, 'cuda');
          return result;
        },
        {},
        isMeasured,
      );
    const plain = await run(false);
    assert.deepEqual(said, []);
    assert.deepEqual(await run(true), plain);
    assert.match(said.join(), /trains on cuda: 1 ms a step, 5\.0 times as fast as native \(5 ms\)/);
  });

  it('is switched off by NABLA_AUTO=off', async () => {
    await onAuto(
      async () => {
        await train();
        assert.equal(backendInfo().name, 'cuda');
        assert.deepEqual(said, []);
      },
      { NABLA_AUTO: 'off' },
    );
  });

  it('is kept for other processes where there is a folder for it', async () => {
    await onAuto(train);
    assert.ok(!existsSync(join(cache, 'nabla')), 'no folder is made for it');
    forgetChoices();
    mkdirSync(join(cache, 'nabla'));
    await onAuto(train);
    const kept = JSON.parse(readFileSync(join(cache, 'nabla/choice.json'), 'utf8'));
    const [times] = Object.values(kept) as Record<string, number>[];
    assert.deepEqual(Object.keys(times!).sort(), ['cuda', 'native']);
    assert.ok(times!.native! < times!.cuda!);
    // Another process finds it.
    forgetChoices();
    assert.equal(said.length, 2);
    await onAuto(async () => {
      await train();
      assert.equal(backendInfo().name, 'native');
    });
    assert.equal(said.length, 2);
  });

  it('goes on with the processor where the GPU is lost while steps are timed', async () => {
    useEngine(fastest());
    const expected = numbers(await train());
    const variables = { NABLA_CUDA_DRIVER: anotherDriver(), NABLA_EMULATED_LOSE_AT: '60' };
    await onAuto(async () => {
      const result = await train();
      assert.equal(backendInfo().name, 'native');
      assert.match(said.join(), /trains on native: [\d.]+ ms a step beside cuda \(no result\)/);
      assert.deepEqual(numbers(result), expected);
      assert.ok(await learns(result.model));
    }, variables);
  });

  it('leaves a model alone that is being trained meanwhile', async () => {
    await onAuto(async () => {
      setSeed(1);
      const { x, y } = clusters(40);
      const [first, second] = [compiled(), compiled({ dropout: 0.1 })];
      choosing.remembered = () => ({ cuda: 1, native: 5 });
      const running = first.fit(x, y, { epochs: 2, batchSize: 8, verbose: 0 });
      await new Promise((resolve) => setTimeout(resolve, 20));
      choosing.remembered = () => ({ cuda: 5, native: 1 });
      await second.fit(x, y, { epochs: 1, batchSize: 8, verbose: 0 });
      assert.equal((await running).epoch.length, 2);
      assert.equal(backendInfo().name, 'cuda');
    });
  });
});
