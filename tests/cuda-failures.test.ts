// What the CUDA backend says, and what is left, when the driver, the GPU, its memory or the data fail; over the emulated driver.
import assert from 'node:assert/strict';
import { samples, setSeed, tensor } from '../src/api.ts';
import { openCuda } from '../src/backend/cuda.ts';
import { type Engine, useEngine } from '../src/engine.ts';
import { add, matMul, NablaError, zeros } from '../src/index.ts';
import { attempt, setBackend } from '../src/platform/node.ts';
import { fastest } from './support/backends.ts';
import { anotherDriver, emulatedDriver, openEmulated, withEnvironment } from './support/cuda.ts';
import { says } from './support/errors.ts';
import { clusters, compiled, learns, weightsOf } from './support/models.ts';

const quiet = { verbose: 0 } as const;

/** Why a GPU cannot be opened in this environment. */
const refusal = (variables: Record<string, string>, driver = emulatedDriver()) =>
  withEnvironment({ NABLA_CUDA_DRIVER: driver, ...variables }, () => {
    const { backend, reason } = attempt('cuda');
    backend?.close();
    return reason ?? 'it opened';
  });

describe('opening a GPU', () => {
  it('says that there is no driver', async () => {
    const reason = await refusal({}, '/nowhere/libcuda.so.1');
    assert.match(reason, /^\[cuda\.open\] no NVIDIA driver, got no library \/nowhere\/libcuda\.so\.1/);
    assert.match(reason, /install NVIDIA's driver, or use another backend/);
  });

  it('says that a library is no driver', async () => {
    const addon = new URL('../build/Release/nabla.node', import.meta.url).pathname;
    assert.match(
      await refusal({}, addon),
      /a library .* that is none, expected NVIDIA's; check NABLA_CUDA_DRIVER/,
    );
  });

  it('says that the driver is too old', async () => {
    const reason = await refusal({ NABLA_EMULATED_VERSION: '11040' }, anotherDriver());
    assert.match(reason, /driver is too old, got one for CUDA 11\.4, expected one for CUDA 12\.0 or later/);
  });

  it('says that there is no GPU', async () => {
    assert.match(
      await refusal({ NABLA_EMULATED_DEVICES: '0' }),
      /no NVIDIA GPU, got a driver for CUDA 13\.0/,
    );
  });

  it('says that the GPU is not supported', async () => {
    const reason = await refusal({ NABLA_EMULATED_CAPABILITY: '75' });
    assert.match(reason, /unsupported GPU, got Emulated GPU 0 of compute capability 7\.5, expected 8\.0/);
  });

  it('takes the GPU that is asked for, and says when there is none of that number', async () => {
    const two = { NABLA_EMULATED_DEVICES: '2' };
    await withEnvironment({ NABLA_CUDA_DRIVER: emulatedDriver(), ...two }, () => {
      for (const device of [0, 1]) {
        const backend = openCuda({ device });
        assert.match(
          backend.info.device,
          new RegExp(`^Emulated GPU ${device}, 2\\.0 GiB, compute capability 9\\.0`),
        );
        backend.close();
      }
      assert.throws(() => openCuda({ device: 2 }), says('cuda.open', 'got 2, expected 0 to 1'));
      assert.throws(() => openCuda({ device: -1 }), says('cuda.open', 'got -1, expected an integer from 0'));
    });
    assert.match(await refusal({ ...two, NABLA_CUDA_DEVICE: '1' }), /it opened/);
    assert.match(
      await refusal({ ...two, NABLA_CUDA_DEVICE: '5' }),
      /got NABLA_CUDA_DEVICE=5, expected 0 to 1/,
    );
    assert.match(
      await refusal({ NABLA_CUDA_DEVICE: 'first' }),
      /got NABLA_CUDA_DEVICE=first, expected 0, the only/,
    );
  });

  it('is an error where it was asked for by name', async () => {
    await withEnvironment({ NABLA_CUDA_DRIVER: '/nowhere' }, () =>
      assert.rejects(setBackend('cuda'), says('cuda.open', 'no NVIDIA driver')),
    );
  });

  it('falls back to the CPU, and says so once, where the choice is free', async () => {
    const told: string[] = [];
    const warn = console.warn;
    console.warn = (text: string) => told.push(text);
    try {
      await withEnvironment(
        { NABLA_CUDA_DRIVER: emulatedDriver(), NABLA_EMULATED_CAPABILITY: '61' },
        async () => {
          for (let i = 0; i < 2; i++) {
            const engine = await setBackend('auto');
            assert.equal(engine.backend.info.name, 'native');
            engine.close();
          }
        },
      );
    } finally {
      console.warn = warn;
      useEngine(fastest());
    }
    assert.equal(told.length, 1);
    assert.match(told[0]!, /^\[backend\] going on without the GPU: .*compute capability 6\.1/);
  });
});

describe('a GPU that fails', () => {
  let engine: Engine | undefined;
  const use = async (variables: Record<string, string>) => {
    engine = await openEmulated(variables);
    useEngine(engine);
  };
  afterEach(() => {
    engine?.close();
    engine = undefined;
    useEngine(fastest());
  });

  it('has kernels that the driver cannot load', async () => {
    await withEnvironment({ NABLA_EMULATED_STALE: '1' }, async () => {
      await use({});
      assert.throws(
        () => add(tensor([1]), 1),
        says('cuda.run', "the kernels 'map' do not fit", 'compute capability 9.0', "update NVIDIA's driver"),
      );
    });
  });

  it('has not enough memory: says what was wanted, held and free, and goes on', async () => {
    await withEnvironment({ NABLA_EMULATED_MEMORY: `${1 << 20}` }, async () => {
      await use({});
      const kept = tensor(new Float32Array(1000).fill(2));
      assert.throws(
        () => zeros([1 << 20]),
        says(
          'cuda.allocate',
          'a request for 4194304 bytes',
          'are held here',
          'of 1048576 are free',
          'smaller batch',
          'checkpoint()',
          'mixed_bfloat16',
        ),
      );
      assert.throws(() => matMul(zeros([300, 1]), zeros([1, 1000])), says('cuda.allocate', '1200000 bytes'));
      assert.equal(add(kept, 1).dataSync()[999], 3);
    });
  });

  it('has not enough memory for what a program plans', async () => {
    const { x, y } = clusters(4096);
    const numbers = [x.dataSync(), y.dataSync()] as const;
    await withEnvironment({ NABLA_EMULATED_MEMORY: `${400_000}` }, async () => {
      await use({});
      const model = compiled();
      await assert.rejects(
        model.fit(tensor(numbers[0], x.shape), tensor(numbers[1]), { ...quiet, epochs: 1, batchSize: 4096 }),
        // What was planned, what is held, what was free.
        says(
          'cuda.load',
          /got a request for \d{6,} bytes for the workspace that the program plans while \d+ are held here/,
          /and \d+ of 400000 are free/,
          'smaller batch',
          'checkpoint()',
        ),
      );
      assert.ok(await learns(model), 'the model trains after the error');
    });
  });

  it('is lost in a synchronous call: every call says so, and another backend goes on', async () => {
    await withEnvironment({ NABLA_EMULATED_LOSE_AT: '3' }, async () => {
      await use({});
      const x = tensor([1, 2, 3]);
      const y = add(add(x, 1), 1);
      assert.deepEqual([...y.dataSync()], [3, 4, 5]);
      // The work is queued: the loss shows where the result is asked for.
      const lost = says('cuda.read', 'the GPU was lost, got CUDA_ERROR_LAUNCH_FAILED', 'last checkpoint');
      assert.throws(() => add(x, 1).dataSync(), lost);
      assert.throws(() => tensor([1]), says('cuda.allocate', 'the GPU was lost'));
      y.dispose();
      useEngine(fastest());
      assert.deepEqual([...add(tensor([1]), 1).dataSync()], [2]);
    });
  });

  it('is lost while a model trains: the run is refused, with the reason', async () => {
    await withEnvironment({ NABLA_EMULATED_LOSE_AT: '400' }, async () => {
      await use({});
      const { x, y } = clusters(512);
      const model = compiled();
      await assert.rejects(model.fit(x, y, { ...quiet, epochs: 50, batchSize: 8 }), (error: unknown) => {
        assert.ok(error instanceof NablaError, `${error}`);
        assert.match(error.message, /^\[cuda\.\w+\] the GPU was lost, got CUDA_ERROR_LAUNCH_FAILED/);
        return true;
      });
    });
  });

  it('leaves the parameters alone in a step whose labels are wrong, and tells as the CPU does', async () => {
    const messages: string[] = [];
    for (const gpu of [false, true]) {
      if (gpu) await use({});
      else useEngine(fastest());
      setSeed(1);
      const { x, labels } = clusters(64);
      labels[37] = 9;
      labels[41] = -1;
      const model = compiled();
      model.build([6]);
      const before = weightsOf(model);
      await assert.rejects(
        model.fit(samples(x), tensor(labels), { ...quiet, epochs: 1, batchSize: 64, shuffle: false }),
        (error: Error) => {
          messages.push(error.message.replace(/_\d+/g, ''));
          return true;
        },
      );
      assert.deepEqual(weightsOf(model), before);
      assert.ok(await learns(model), 'the model trains after the error');
    }
    assert.equal(messages[1], messages[0]);
    assert.match(messages[0]!, /label out of range, got 9/);
  });
});
