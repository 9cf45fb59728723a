// Times the entries of one task in turn: ours, a rival, ours, the next rival, for several rounds. Rivals on WebAssembly meet our own.
import { setTimeout as pause } from 'node:timers/promises';
import type { Task } from '../workloads/list.ts';
import type { Peer } from './peer.ts';

/** One entry of one process, ready to be timed. */
interface Contestant {
  readonly peer: Peer;
  readonly entry: string;
  readonly ours: boolean;
  readonly steps: number;
  /** What so many steps take, in milliseconds. */
  readonly roundMs: number;
}

/** Milliseconds a step of one entry, one number a round. */
export interface Series {
  readonly name: string;
  readonly version: string;
  readonly variant: string;
  readonly ours: boolean;
  readonly family: 'native' | 'wasm';
  readonly msPerStep: readonly number[];
  readonly loss?: number;
  /** How our own entries did right before each of these rounds: by name, one number a round. */
  readonly beside: Readonly<Record<string, readonly number[]>>;
}

export interface Failure {
  readonly name: string;
  readonly variant: string;
  readonly reason: string;
}

export interface TimingOptions {
  readonly rounds: number;
  /** What one round of one entry should take, in milliseconds. */
  readonly roundMs: number;
  /** Entries that are left out. */
  readonly skip: readonly string[];
}

// Threads of a library that has just run may spin for a while before they sleep.
const settleMs = 20;

/** Times all entries of `task`. `ours` are the processes that the others are compared with. */
export async function timeTask(
  task: Task,
  ours: readonly Peer[],
  others: readonly Peer[],
  options: TimingOptions,
): Promise<{ series: Series[]; failures: Failure[] }> {
  const failures: Failure[] = [];
  const contestants: Contestant[] = [];
  for (const peer of [...ours, ...others]) {
    for (const entry of peer.info.entries) {
      if (!entry.startsWith(`${task.id}/`) || options.skip.includes(entry)) continue;
      try {
        const calibrated = await calibrate(peer, entry, options.roundMs);
        contestants.push({ peer, entry, ours: ours.includes(peer), ...calibrated });
      } catch (error) {
        failures.push(failureOf(peer, entry, error));
      }
    }
  }

  // Each process of ours is represented by its first entry; its further entries are timed like rivals.
  const principals = ours.flatMap((peer) => contestants.find((c) => c.peer === peer) ?? []);
  const rivals = contestants.filter((c) => !principals.includes(c));
  const runs = new Map<Contestant, Timed>(contestants.map((c) => [c, { ms: [], beside: {} }]));
  const failed = new Set<Contestant>();
  for (let round = 0; round < options.rounds; round++) {
    for (const own of principals) {
      if (!rivals.some((rival) => familyOf(rival) === familyOf(own))) await time(own, runs.get(own)!);
    }
    for (const rival of rivals) {
      if (failed.has(rival) || round >= roundsOf(rival, options)) continue;
      const before: Record<string, number> = {};
      for (const own of principals) {
        if (familyOf(own) === familyOf(rival)) {
          before[own.peer.info.name] = await time(own, runs.get(own)!);
        }
      }
      const timed = runs.get(rival)!;
      try {
        await time(rival, timed);
      } catch (error) {
        failed.add(rival);
        failures.push(failureOf(rival.peer, rival.entry, error));
        continue;
      }
      for (const [name, ms] of Object.entries(before)) {
        timed.beside[name] ??= [];
        timed.beside[name].push(ms);
      }
    }
  }

  const finished = contestants.filter((c) => !failed.has(c));
  const series = finished.map((c): Series => {
    const { ms, beside, loss } = runs.get(c)!;
    const { name, version } = c.peer.info;
    return {
      name,
      version,
      variant: variantOf(c.entry),
      ours: c.ours,
      family: familyOf(c),
      msPerStep: ms,
      ...(loss && { loss }),
      beside,
    };
  });
  return { series, failures };
}

// What takes seconds a round is not made more exact by all rounds.
const longestMs = 20_000;
const roundsOf = ({ roundMs }: Contestant, { rounds }: TimingOptions) =>
  Math.max(1, Math.min(rounds, Math.floor(longestMs / roundMs)));

const familyOf = ({ peer }: Contestant) => peer.info.family ?? 'native';

interface Timed {
  ms: number[];
  beside: Record<string, number[]>;
  loss?: number | undefined;
}

function failureOf(peer: Peer, entry: string, error: unknown): Failure {
  return { name: peer.info.name, variant: variantOf(entry), reason: (error as Error).message };
}

const variantOf = (entry: string) => entry.slice(entry.indexOf('/') + 1);

/** Prepares the entry and finds how many steps fill a round. */
async function calibrate(
  peer: Peer,
  entry: string,
  roundMs: number,
): Promise<Pick<Contestant, 'steps' | 'roundMs'>> {
  await peer.run(1, entry);
  let asked = 1;
  for (;;) {
    const { ms, steps } = await peer.run(asked, entry);
    const wanted = Math.max(1, Math.round((roundMs * steps) / ms));
    if (ms >= roundMs / 4 || wanted <= steps) return { steps: wanted, roundMs: (ms * wanted) / steps };
    asked = Math.min(wanted, 20 * steps);
  }
}

async function time({ peer, entry, steps }: Contestant, timed: Timed): Promise<number> {
  await pause(settleMs);
  const result = await peer.run(steps, entry);
  const ms = result.ms / result.steps;
  timed.ms.push(ms);
  timed.loss = result.loss ?? undefined;
  return ms;
}

export const minimum = (numbers: readonly number[]) => Math.min(...numbers);

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
