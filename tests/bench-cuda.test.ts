// The plumbing of `npm run bench:cuda` and of the curves of `npm run test:cuda`, over the emulated GPU: that all runs, and what is said where something does not.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type GpuResults, gpuPage, gpuTasks, peakOf, tinySizes } from '../bench/lib/gpu.ts';
import { differences } from '../scripts/cuda-curves.mjs';
import { emulatedDriver } from './support/cuda.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const bench = (args: readonly string[], driver: string) =>
  spawnSync(process.execPath, ['--import', 'tsx', 'bench/cuda.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NABLA_CUDA_DRIVER: driver, NABLA_BENCH_PYTHON: 'no-such-python' },
  });

describe('the benchmarks of GPUs', function () {
  this.timeout(120_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'nabla-bench-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('run on an emulated GPU, name what is missing, and write numbers and a table', () => {
    const tasks = gpuTasks(tinySizes).map(({ id }) => id);
    assert.deepEqual(tasks, ['gemm16', 'conv0', 'gpt']);
    const { status, stdout, stderr } = bench(['--tiny', '--only', 'gpu', '--out', folder], emulatedDriver());
    assert.equal(status, 0, stderr);
    assert.match(stdout, /gpu_torch\.py, tf32: missing: it does not start/);
    assert.deepEqual(readdirSync(folder).sort(), ['cuda-emulated-gpu-0.json', 'cuda-emulated-gpu-0.md']);
    const results = JSON.parse(readFileSync(join(folder, 'cuda-emulated-gpu-0.json'), 'utf8')) as GpuResults;
    for (const { dtype, task, series, failures } of results.results) {
      // In bfloat16 each is timed, or refused with a reason.
      assert.equal(series.length + failures.length, 1, `${task.id} ${dtype}`);
      if (dtype === 'tf32') assert.ok(series[0]!.msPerStep[0]! > 0, task.id);
      for (const { reason } of failures) assert.match(reason, /^\[cuda\.\w+\] .*got .*expected/);
    }
    assert.equal(results.results.length, 6);
    const page = readFileSync(join(folder, 'cuda-emulated-gpu-0.md'), 'utf8');
    assert.match(page, /\| matrix product, 16 x 16 x 16 \| tf32 \| Nabla cuda [\d.]+, matMul \|/);
    assert.match(page, /peak of this GPU is not known here/);
  });

  it('say that there is no GPU, or that it is emulated, and time nothing', () => {
    const none = bench([], '/nowhere/libcuda.so.1');
    assert.equal(none.status, 1);
    assert.match(none.stderr, /^\[bench:cuda\] there is no GPU to time: \[cuda\.open\] no NVIDIA driver/);
    const emulated = bench([], emulatedDriver());
    assert.equal(emulated.status, 1);
    assert.match(emulated.stderr, /the GPU is emulated: its times mean nothing; --tiny/);
  });

  it('tell rates, shares of the peak, and how PyTorch did beside us', () => {
    const [task] = gpuTasks({ ...tinySizes, gemm: [4096] });
    const series = [
      {
        name: 'Nabla cuda',
        version: '1',
        variant: 'matMul',
        ours: true,
        family: 'native',
        msPerStep: [0.5, 0.4],
        beside: {},
      },
      {
        name: 'PyTorch',
        version: '2',
        variant: 'cuBLASLt',
        ours: false,
        family: 'native',
        msPerStep: [0.3],
        beside: { 'Nabla cuda': [0.4] },
      },
    ] as const;
    const failures = [{ name: 'Nabla cuda', variant: 'fit', reason: 'refused' }];
    const page = gpuPage({
      date: '2026-01-01',
      gpu: 'NVIDIA H200',
      results: [{ dtype: 'tf32', task: task!, series, failures }],
      missing: [{ peer: 'x.py', dtype: 'bfloat16', reason: 'not there' }],
    });
    // 2 * 4096^3 operations in 0.4 ms are 344 TFLOP/s, of 494.7.
    assert.match(page, /Nabla cuda 1, matMul \| 0\.4 \| 2,500 \| 344 \| 69\.5 \| {2}\|/);
    assert.match(page, /PyTorch 2, cuBLASLt \| 0\.3 \| 3,333 \| 458 \| 92\.6 \| 0\.75 \|/);
    assert.match(page, /Nabla cuda, fit \| left out: refused/);
    assert.match(page, /- x\.py, bfloat16: missing: not there/);
    assert.equal(peakOf('NVIDIA A100-SXM4-80GB', 'bfloat16'), 312);
    assert.equal(peakOf('Emulated GPU 0', 'tf32'), undefined);
  });
});

describe('curves of the examples', () => {
  it('are alike within a tolerance, whatever the machine', () => {
    const cpu = { backend: 'native', seconds: 3, loss: 0.5, curve: [1, 0.5], rmse: { a: 20 } };
    assert.deepEqual(differences(cpu, { ...cpu, backend: 'cuda', seconds: 1, loss: 0.51 }, 0.03), []);
    assert.deepEqual(differences(cpu, { ...cpu, loss: 0.6 }, 0.03), ['loss: got 0.6, expected 0.5']);
    assert.deepEqual(differences(cpu, { ...cpu, curve: [1], rmse: { a: 21 } }, 0.03), [
      'curve.1: missing',
      'rmse.a: got 21, expected 20',
    ]);
    assert.deepEqual(differences(cpu, { ...cpu, loss: Number.NaN }, 0.03), ['loss: got NaN, expected 0.5']);
  });
});
