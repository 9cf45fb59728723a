// What the benchmarks run on: processors to pin to, a name without the host's, and the ceilings measured in the same run.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The machine in words and numbers that may be published. */
export interface Machine {
  readonly processor: string;
  /** Processors that this process may use. */
  readonly processors: number;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly node: string;
}

/** What the machine can do at most. */
export interface Ceilings {
  readonly threads: number;
  /** Multiply-adds, GFLOP/s (two a multiply-add). */
  readonly fma: number;
  /** Reading memory, GB/s. Absent where it was not measured. */
  readonly read?: number;
  /** Reading two arrays and writing one, GB/s. Absent where it was not measured. */
  readonly update?: number;
  readonly measured: boolean;
}

export function machine(): Machine {
  const processor = (cpus()[0]?.model ?? 'unknown processor').replaceAll(/\s+/g, ' ').trim();
  return {
    processor,
    processors: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  };
}

/** A name for result files: the processor and how many, never the host. */
export function machineSlug({ processor, processors }: Machine): string {
  const words = processor.toLowerCase().replaceAll(/\(r\)|\(tm\)|\bcpu\b|\bprocessor\b|@.*$/g, ' ');
  return `${words.replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-|-$/g, '')}-x${processors}`;
}

/** Runnable tasks per processor over the last minute; well above 0 before a run means that times cannot be trusted. */
export function load(): number {
  return (loadavg()[0] ?? 0) / availableParallelism();
}

/** A list such as `0-3,8` as numbers. */
function numbersIn(list: string): number[] {
  return list
    .trim()
    .split(',')
    .filter(Boolean)
    .flatMap((part) => {
      const [first, last = first] = part.split('-').map(Number) as [number, number?];
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

/** The processors to pin to, one of each core first. Empty where taskset or /proc is missing: then nothing is pinned. */
export function processorsToPin(): number[] {
  try {
    execFileSync('taskset', ['--version'], { stdio: 'ignore' });
    const status = readFileSync('/proc/self/status', 'utf8');
    const allowed = numbersIn(/^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? '');
    const first = (cpu: number) => {
      const file = `/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`;
      return existsSync(file) ? (numbersIn(readFileSync(file, 'utf8'))[0] ?? cpu) === cpu : true;
    };
    return [...allowed.filter(first), ...allowed.filter((cpu) => !first(cpu))];
  } catch {
    return [];
  }
}

/** A command pinned to the first `threads` of the processors. */
export function pinned(processors: readonly number[], threads: number, command: readonly string[]): string[] {
  if (processors.length < threads) return [...command];
  return ['taskset', '-c', processors.slice(0, threads).join(','), ...command];
}

// Where no compiler is at hand: AVX-512 with two multiply-add units, measured on a Sapphire Rapids core.
const statedFma = 177;

/** Measures the ceilings for each number of threads with a small C++ program, or states them where there is no compiler. */
export function ceilings(threadCounts: readonly number[], processors: readonly number[]): Ceilings[] {
  const folder = mkdtempSync(join(tmpdir(), 'nabla-bench-'));
  try {
    const source = fileURLToPath(new URL('./ceilings.cpp', import.meta.url));
    const binary = join(folder, 'ceilings');
    const flags = ['-std=c++20', '-O3', '-march=native', '-pthread'];
    execFileSync(process.env.CXX ?? 'c++', [...flags, source, '-o', binary], { stdio: 'ignore' });
    return threadCounts.map((threads) => {
      const [command, ...args] = pinned(processors, threads, [binary, String(threads)]) as [
        string,
        ...string[],
      ];
      const numbers = JSON.parse(execFileSync(command, args, { encoding: 'utf8' })) as Omit<
        Ceilings,
        'measured'
      >;
      return { ...numbers, measured: true };
    });
  } catch {
    return threadCounts.map((threads) => ({ threads, fma: statedFma * threads, measured: false }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
