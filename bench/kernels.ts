// `npm run bench:kernels`: times single kernels through the tensor ops with benchmark.js and prints GFLOP/s or GB/s.
import { parseArgs } from 'node:util';
import Benchmark from 'benchmark';
import type { BackendName } from '../src/index.ts';
import { backendInfo, setBackend } from '../src/index.ts';
import { kernelCases } from './lib/kernel-cases.ts';
import { ceilings, load } from './lib/machine.ts';
import { ceilingText, digits, textTable } from './lib/report.ts';
import { minimum } from './lib/timing.ts';

const { values: options } = parseArgs({
  options: {
    backend: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: '1' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const help = `npm run bench:kernels -- [options]
  --backend native|wasm   default: the fastest that opens
  --threads N             default 1
  --only gemm             cases whose names contain this
  --quick                 small sizes, short runs
  --json                  one line of JSON a case`;

/** Least and mean seconds of a call. */
function time(name: string, call: () => void): { least: number; mean: number } {
  const maxTime = options.quick ? 0.3 : 1.5;
  const benchmark = new Benchmark(name, call, { maxTime, minSamples: 5 });
  benchmark.run();
  // benchmark.js keeps what a call threw instead of passing it on; its types do not know the field.
  const { error } = benchmark as Benchmark & { error?: Error };
  if (error !== undefined) throw error;
  return { least: minimum(benchmark.stats.sample), mean: benchmark.stats.mean };
}

async function main(): Promise<void> {
  if (options.help) {
    console.log(help);
    return;
  }
  const threads = Number(options.threads);
  await setBackend(options.backend as BackendName | 'auto', { threads });
  const { name, instructionSet } = backendInfo();
  if (!options.json) {
    console.log(
      `${name}, ${instructionSet}, threads: ${threads}; load before: ${load().toFixed(1)} a processor`,
    );
    console.log(`Ceilings: ${ceilings([threads], []).map(ceilingText).join('')}\n`);
  }
  const rows = [['', 'µs, least', 'µs, mean', 'rate', '']];
  for (const { name, work, unit, make } of kernelCases(options.quick)) {
    if (options.only !== undefined && !name.includes(options.only)) continue;
    const { call, dispose } = make();
    const { least, mean } = time(name, call);
    dispose();
    const rate = work / least / 1e9;
    if (options.json) console.log(JSON.stringify({ name, threads, least, mean, rate, unit }));
    rows.push([name, digits(least * 1e6), digits(mean * 1e6), digits(rate), unit]);
  }
  if (!options.json) console.log(textTable(rows));
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
