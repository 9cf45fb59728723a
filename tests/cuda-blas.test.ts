// cuBLASLt beside the CUDA backend's own products, over the emulated driver and a stand-in for the library: what it is asked for, and what happens where it fails.
import assert from 'node:assert/strict';
import type { CudaPrecision } from '../src/backend/cuda.ts';
import { type Engine, useEngine } from '../src/engine.ts';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { fastest, on } from './support/backends.ts';
import { anotherDriver, openEmulated, withEnvironment } from './support/cuda.ts';
import { close, generator } from './support/data.ts';

const size = 136;

/** Whole numbers, whose products and sums every precision holds exactly. */
function whole(shape: readonly number[], seed: string): Float32Array {
  const random = generator(seed);
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.int(9) - 4);
}

const flags = [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
] as const;

/** Products of every kind that programs hold, of at least as much work as the library is asked for. */
function products(
  dtype: 'float32' | 'bfloat16',
  ways: readonly (readonly [boolean, boolean])[] = flags,
): Float32Array[] {
  return scope(() => {
    const place = (shape: number[], seed: string) => ops.tensor(whole(shape, seed), shape, dtype);
    const bias = place([120], 'bias');
    const results: Tensor[] = [];
    for (const [transposeA, transposeB] of ways) {
      const a = place(transposeA ? [144, size] : [size, 144], 'a');
      const b = place(transposeB ? [120, 144] : [144, 120], 'b');
      const product = () => ops.matMul(a, b, { transposeA, transposeB });
      const bare = jit(product)();
      const dense = jit(() => ops.relu(ops.add(product(), bias)))();
      results.push(bare, dense);
    }
    if (ways.length < flags.length) return results.map((each) => each.dataSync() as Float32Array);
    const many = place([3, 96, 96], 'many');
    results.push(ops.matMul(many, place([3, 96, 104], 'others')), ops.matMul(many, place([96, 104], 'one')));
    return results.map((each) => each.dataSync() as Float32Array);
  });
}

describe('cuBLASLt on the CUDA backend, emulated', function () {
  this.timeout(300_000);
  const opened: Engine[] = [];
  after(() => {
    for (const engine of opened) engine.close();
    useEngine(fastest());
  });

  /** An engine with a driver and a stand-in of its own, about which nothing is remembered. */
  async function open(variables: Record<string, string> = {}, precision: CudaPrecision = 'tf32') {
    const library = anotherDriver();
    const engine = await openEmulated(
      { NABLA_CUDA_DRIVER: library, NABLA_CUBLASLT_LIBRARY: library, ...variables },
      precision,
    );
    opened.push(engine);
    return engine;
  }

  for (const dtype of ['float32', 'bfloat16'] as const) {
    it(`is asked for products of ${dtype} as they are stored, turned or in batches`, async () => {
      const engine = await open({ NABLA_CUBLASLT: 'always' });
      const expected = on(fastest(), () => products(dtype));
      const actual = on(engine, () => products(dtype));
      actual.forEach((numbers, i) => {
        // bfloat16 is rounded once, from a sum that both hold exactly.
        close(numbers, expected[i]!, { rtol: 0, atol: 0 }, `product ${i}`);
      });
      // It is the library that made them: twice as much is what it gives when it is told so.
      const twice = await withEnvironment({ NABLA_EMULATED_BLAS_FACTOR: '2' }, () =>
        on(engine, () => products(dtype)[0]!),
      );
      assert.deepEqual(
        twice,
        expected[0]!.map((x) => 2 * x),
      );
    });
  }

  it('is part of graphs', async () => {
    const engine = await open({ NABLA_CUBLASLT: 'always' });
    useEngine(engine);
    const program = jit((x: Tensor) => ops.add(ops.matMul(ops.add(x, 1), x), 1));
    const x = ops.tensor(whole([size, size], 'x'), [size, size]);
    const first = program(x).dataSync();
    for (let run = 0; run < 4; run++) assert.deepEqual(program(x).dataSync(), first);
    const wanted = on(fastest(), () => {
      const y = ops.tensor(whole([size, size], 'x'), [size, size]);
      return ops.add(ops.matMul(ops.add(y, 1), y), 1).dataSync();
    });
    assert.deepEqual(first, wanted);
  });

  it('takes products for which it is measured faster, and gives the same', async () => {
    const engine = await open();
    assert.match(engine.backend.info.device, /driver\.so/);
    const expected = on(fastest(), () => products('float32', flags.slice(0, 1)));
    assert.deepEqual(
      on(engine, () => products('float32', flags.slice(0, 1))),
      expected,
    );
    assert.equal(engine.blocks.memory().buffers, 0);
  });

  for (const failing of ['create', 'heuristic', 'matmul']) {
    it(`leaves products to the kernels where ${failing} fails`, async () => {
      await withEnvironment(
        { NABLA_EMULATED_BLAS_FAILS: failing, NABLA_EMULATED_BLAS_FACTOR: '2' },
        async () => {
          const expected = on(fastest(), () => products('bfloat16', flags.slice(2, 3)));
          for (const choice of ['always', '']) {
            const engine = await open({ NABLA_CUBLASLT: choice });
            assert.deepEqual(
              on(engine, () => products('bfloat16', flags.slice(2, 3))),
              expected,
            );
          }
        },
      );
    });
  }

  it('is left alone where it is switched off, not there, or no such library', async () => {
    const off = await open({ NABLA_CUBLASLT: '0' });
    assert.match(off.backend.info.device, /no cuBLASLt/);
    const absent = await open({ NABLA_CUBLASLT_LIBRARY: '/nowhere/libcublasLt.so' });
    assert.match(absent.backend.info.device, /no cuBLASLt/);
    const unnamed = await open({ NABLA_CUBLASLT_LIBRARY: '' });
    assert.match(unnamed.backend.info.device, /no cuBLASLt/);
    const expected = on(fastest(), () => products('float32')[0]!);
    assert.deepEqual(
      on(off, () => products('float32')[0]!),
      expected,
    );
  });
});
