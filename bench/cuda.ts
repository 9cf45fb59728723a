// `npm run bench:cuda`: times the CUDA backend beside PyTorch on the same GPU in the same run, in TF32 and bfloat16.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { attempt } from '../src/platform/node.ts';
import {
  dtypes,
  fullSizes,
  type GpuDtype,
  type GpuResult,
  type GpuResults,
  gpuPage,
  gpuSlug,
  gpuTasks,
  tinySizes,
} from './lib/gpu.ts';
import { Peer } from './lib/peer.ts';
import { timeTask } from './lib/timing.ts';
import { type Workload, workloads } from './workloads/list.ts';

const help = `npm run bench:cuda -- [options]
  --only gpu,w1    these workloads only: gpu (products, convolutions, GPT-124M), w1, w2, w3, w4
  --task gpt       these tasks only
  --dtype tf32     tf32 or bfloat16 only
  --peers none     ours alone
  --rounds N       rounds; default 7
  --tiny           sizes that an emulated GPU can run: shows that all runs, times mean nothing
  --out FOLDER     where to write; default bench/results
  --python PATH    a Python that has torch for CUDA; or NABLA_BENCH_PYTHON, or .venv, or python3`;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    task: { type: 'string' },
    dtype: { type: 'string' },
    peers: { type: 'string' },
    rounds: { type: 'string' },
    tiny: { type: 'boolean', default: false },
    out: { type: 'string', default: 'bench/results' },
    python: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const root = fileURLToPath(new URL('../', import.meta.url));
const venv = join(root, '.venv/bin/python');
const python = options.python ?? process.env.NABLA_BENCH_PYTHON ?? (existsSync(venv) ? venv : 'python3');
const list = (text: string | undefined) => text?.split(',').map((word) => word.trim());
const sizes = options.tiny ? tinySizes : fullSizes;
const rounds = Number(options.rounds ?? (options.tiny ? 1 : 7));
const roundMs = options.tiny ? 1 : 250;

const gpuWorkload: Workload = {
  id: 'gpu',
  title: 'Products, convolutions, GPT-124M',
  parameters: [],
  tasks: gpuTasks(sizes),
  peers: ['gpu_torch.py', 'gpu_torch.py compiled'],
  slow: [],
};

/** What it is called; throws with the reason where there is none to be timed. */
function gpuName(): string {
  const { backend, reason } = attempt('cuda');
  if (backend === undefined) throw new Error(`[bench:cuda] there is no GPU to time: ${reason}`);
  const { device } = backend.info;
  backend.close();
  if (device.includes('emulated') && !options.tiny) {
    throw new Error('[bench:cuda] the GPU is emulated: its times mean nothing; --tiny shows that all runs');
  }
  return device.split(',', 1)[0]!;
}

async function timeWorkload(
  { id, peers, tasks }: Workload,
  dtype: GpuDtype,
  missing: GpuResults['missing'][number][],
): Promise<GpuResult[]> {
  Object.assign(process.env, {
    BENCH_DEVICE: 'cuda',
    BENCH_DTYPE: dtype,
    BENCH_SIZES: JSON.stringify(sizes),
    NABLA_CUDA_PRECISION: 'tf32',
  });
  const start = async (peer: string, command: string[]) => {
    const started = await Peer.start(command, 1, root);
    if (typeof started !== 'string') return [started];
    missing.push({ peer, dtype, reason: started });
    console.log(`  ${peer}, ${dtype}: missing: ${started}`);
    return [];
  };
  const ours = await start('Nabla cuda', [
    process.execPath,
    '--import',
    'tsx',
    `bench/workloads/${id}.ts`,
    'cuda',
  ]);
  const files = options.peers === 'none' ? [] : peers.filter((file) => /torch\.py/.test(file));
  const others = [];
  for (const file of files) {
    const [name, ...args] = file.split(' ') as [string, ...string[]];
    others.push(...(await start(file, [python, `bench/peers/${name}`, ...args])));
  }
  const results: GpuResult[] = [];
  try {
    for (const task of tasks) {
      if (!(list(options.task)?.includes(task.id) ?? true)) continue;
      const timed = await timeTask(task, ours, others, { rounds, roundMs, skip: [] });
      results.push({ dtype, task, ...timed });
      const words = timed.series.map(
        ({ name, variant, msPerStep }) => `${name} ${variant} ${Math.min(...msPerStep).toPrecision(3)} ms`,
      );
      const left = timed.failures.map(
        ({ name, variant, reason }) => `${name} ${variant} left out: ${reason}`,
      );
      console.log(`  ${task.title}, ${dtype}: ${[...words, ...left].join('; ') || 'nothing to time'}`);
    }
  } finally {
    for (const peer of [...ours, ...others]) peer.stop();
  }
  return results;
}

async function main(): Promise<void> {
  if (options.help) {
    console.log(help);
    return;
  }
  const wanted = [gpuWorkload, ...workloads.filter(({ id }) => /^w\d$/.test(id))].filter(
    ({ id }) => list(options.only)?.includes(id) ?? true,
  );
  const kinds = dtypes.filter((dtype) => list(options.dtype)?.includes(dtype) ?? true);
  if (wanted.length === 0 || kinds.length === 0 || !Number.isInteger(rounds) || rounds < 1)
    throw new Error(
      `[bench:cuda] nothing to time, got --only ${options.only} --dtype ${options.dtype} --rounds ${options.rounds}, expected some of\n${help}`,
    );
  const gpu = gpuName();
  console.log(gpu);
  const missing: GpuResults['missing'][number][] = [];
  const results: GpuResult[] = [];
  for (const workload of wanted) {
    console.log(`\n${workload.title}`);
    for (const dtype of kinds) results.push(...(await timeWorkload(workload, dtype, missing)));
  }
  const all: GpuResults = { date: new Date().toISOString().slice(0, 10), gpu, results, missing };
  const folder = resolve(root, options.out);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `cuda-${gpuSlug(gpu)}`);
  const rounded = (_: string, value: unknown) =>
    typeof value === 'number' ? Number(value.toPrecision(5)) : value;
  writeFileSync(`${file}.json`, `${JSON.stringify(all, rounded, 1)}\n`);
  writeFileSync(`${file}.md`, gpuPage(all));
  console.log(`\n${gpuPage(all)}\nwritten: ${file}.json, ${file}.md`);
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
