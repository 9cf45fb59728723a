// `npm run bench`: times whole training steps and predictions beside the peers, in turn, and prints ratios.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { lossRows } from './lib/check.ts';
import {
  type Ceilings,
  ceilings,
  load,
  machine,
  machineSlug,
  pinned,
  processorsToPin,
} from './lib/machine.ts';
import { page } from './lib/page.ts';
import { Peer } from './lib/peer.ts';
import {
  ceilingText,
  limitOf,
  notes,
  type Results,
  sizeRows,
  type TaskResult,
  taskRows,
  taskTitle,
  textTable,
  type WorkloadResult,
} from './lib/report.ts';
import { sizes } from './lib/sizes.ts';
import { timeTask } from './lib/timing.ts';
import { verdictRows } from './lib/verdicts.ts';
import { type Workload, workloads } from './workloads/list.ts';

const help = `npm run bench -- [options]
  --quick          fewer and shorter rounds, without the slowest peers; under two minutes; writes nothing
  --only w1        these workloads only (comma-separated); leaves docs/BENCHMARKS.md alone
  --task train     these tasks only
  --peers torch    only peers whose file names contain one of these words; none for ours alone
  --backend native only our own processes on these backends
  --threads 1,2    numbers of threads; default 1,2, with --quick 1
  --python PATH    a Python that has torch, jax, keras; or NABLA_BENCH_PYTHON, or .venv, or python3
  --rounds N       rounds
  --check          time nothing: show that all train the same model, by parameters and losses
  --no-write       write no result files`;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    task: { type: 'string' },
    peers: { type: 'string' },
    backend: { type: 'string', default: 'native,wasm' },
    threads: { type: 'string' },
    python: { type: 'string' },
    rounds: { type: 'string' },
    check: { type: 'boolean', default: false },
    'no-write': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const list = (text: string | undefined) => text?.split(',').map((word) => word.trim());

const root = fileURLToPath(new URL('../', import.meta.url));
const venvPython = `${root}.venv/bin/python`;
const python =
  options.python ?? process.env.NABLA_BENCH_PYTHON ?? (existsSync(venvPython) ? venvPython : 'python3');
const rounds = Number(options.rounds ?? (options.quick ? 2 : 7));
const roundMs = options.quick ? 60 : 250;
const threadCounts = list(options.threads ?? (options.quick ? '1' : '1,2'))!.map(Number);
// No workload begins later than this in a quick run.
const quickMs = 95_000;
const processors = processorsToPin();
// For the processes that start others.
process.env.NABLA_BENCH_PYTHON = python;

function commandOf(file: string): string[] {
  const [name, ...args] = file.split(' ') as [string, ...string[]];
  return [name.endsWith('.py') ? python : process.execPath, `bench/peers/${name}`, ...args];
}

/** Why a model is not the one that is to be timed. */
function differs(count: number | undefined, allowed: readonly number[]): string | undefined {
  if (count === undefined || allowed.includes(count)) return undefined;
  return `its model is another one: ${count} parameters instead of ${allowed[0]}`;
}

/** Starts all of a workload's processes for so many threads, at once. */
async function startAll(
  { id, peers, parameters, slow }: Workload,
  threads: number,
  missing: WorkloadResult['missing'][number][],
) {
  const wanted = list(options.peers);
  const files = peers.filter(
    (file) =>
      (wanted?.some((word) => file.includes(word)) ?? true) && !(options.quick && slow.includes(file)),
  );
  const start = async (peer: string, command: string[]) => {
    const started = await Peer.start(pinned(processors, threads, command), threads, root);
    const reason = typeof started === 'string' ? started : differs(started.info.parameters, parameters);
    if (reason !== undefined) {
      missing.push({ peer, threads, reason });
      if (typeof started !== 'string') started.stop();
    }
    return reason === undefined ? [started as Peer] : [];
  };
  const own = list(options.backend)!.map((backend) =>
    start(`Nabla ${backend}`, [process.execPath, '--import', 'tsx', `bench/workloads/${id}.ts`, backend]),
  );
  const others = files.map((file) => start(file, commandOf(file)));
  return { own: (await Promise.all(own)).flat(), others: (await Promise.all(others)).flat() };
}

/** Prints the losses of all who train the workload's model. */
async function checkWorkload(workload: Workload): Promise<void> {
  if (workload.parameters.length === 0) return;
  const missing: WorkloadResult['missing'][number][] = [];
  const { own, others } = await startAll(workload, 1, missing);
  const peers = [...own, ...others];
  console.log(`\n${workload.title}\n\n${textTable(await lossRows('train', peers, workload.slow))}`);
  for (const { peer, reason } of missing) console.log(`  ${peer}: missing: ${reason}`);
  for (const peer of peers) peer.stop();
}

async function timeWorkload(workload: Workload, limits: readonly Ceilings[]): Promise<WorkloadResult> {
  const tasks: TaskResult[] = [];
  const missing: WorkloadResult['missing'][number][] = [];
  console.log(`\n${workload.title}`);
  for (const ceiling of limits) {
    const { threads } = ceiling;
    const { own, others } = await startAll(workload, threads, missing);
    try {
      for (const task of workload.tasks) {
        const skip = options.quick ? workload.slow : [];
        if (!(list(options.task)?.includes(task.id) ?? !skip.includes(task.id))) continue;
        const timed = await timeTask(task, own, others, { rounds, roundMs, skip });
        const result: TaskResult = { task, threads, limitMs: limitOf(task.work, ceiling), ...timed };
        tasks.push(result);
        console.log(`\n ${taskTitle(result)}`);
        console.log(result.series.length > 0 ? textTable(taskRows(result)) : '  nothing to time');
      }
    } finally {
      for (const peer of [...own, ...others]) peer.stop();
    }
  }
  const result = { workload: { id: workload.id, title: workload.title }, tasks, missing };
  if (notes(result).length > 0)
    console.log(
      `\n${notes(result)
        .map((note) => `  ${note}`)
        .join('\n')}`,
    );
  return result;
}

function write(results: Results): void {
  const folder = new URL('results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = new URL(`${results.date}-${machineSlug(results.machine)}.json`, folder);
  const rounded = (_: string, value: unknown) =>
    typeof value === 'number' ? Number(value.toPrecision(5)) : value;
  writeFileSync(file, `${JSON.stringify(results, rounded, 1)}\n`);
  console.log(`\nwritten: ${fileURLToPath(file).slice(root.length)}`);
  if (options.only || options.task || options.peers || options.backend !== 'native,wasm') return;
  writeFileSync(`${root}docs/BENCHMARKS.md`, page(results));
  console.log('written: docs/BENCHMARKS.md');
}

async function main(): Promise<void> {
  if (options.help) {
    console.log(help);
    return;
  }
  const names = list(options.only);
  const chosen = workloads.filter(({ id }) => names?.includes(id) ?? true);
  if (chosen.length === 0) {
    const known = workloads.map(({ id }) => id).join(', ');
    throw new Error(`[bench] no workload to run, got --only ${options.only}, expected some of ${known}`);
  }
  for (const count of [...threadCounts, rounds]) {
    if (!Number.isInteger(count) || count < 1) {
      throw new Error(
        '[bench] bad --threads or --rounds, expected positive integers, such as --threads 1,2 --rounds 7',
      );
    }
  }
  if (options.check) {
    for (const workload of chosen) await checkWorkload(workload);
    return;
  }
  const loadBefore = load();
  if (loadBefore > 0.5) {
    console.log(
      `The machine is busy (load ${loadBefore.toFixed(1)} a processor): do not trust what follows.`,
    );
  }
  const limits = ceilings(threadCounts, processors);
  for (const limit of limits) console.log(`Ceilings: ${ceilingText(limit)}`);
  const results: WorkloadResult[] = [];
  for (const workload of chosen) {
    if (options.quick && performance.now() > quickMs)
      console.log(`\n${workload.title}: left out, out of time`);
    else results.push(await timeWorkload(workload, limits));
  }
  console.log(`\nWhat was reached\n\n${textTable(verdictRows(results))}`);
  const measured = options.only ? [] : sizes();
  if (measured.length > 0) console.log(`\nSizes\n\n${textTable(sizeRows(measured))}`);
  if (options.quick || options['no-write']) return;
  write({
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    ceilings: limits,
    settings: { rounds, roundMs, pinned: processors.length > 0, loadBefore },
    workloads: results,
    sizes: measured,
  });
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
