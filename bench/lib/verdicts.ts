// Compares each task with the best peer of the run, with the limit, and with what must be reached.
import { type Goal, goals } from '../workloads/goals.ts';
import { digits, type Results, type TaskResult } from './report.ts';
import { minimum, type Series } from './timing.ts';

/** How one backend did in one task on so many threads. Milliseconds are least ones. */
export interface Verdict {
  readonly task: string;
  readonly threads: number;
  readonly family: 'native' | 'wasm';
  readonly ms: number;
  /** The fastest peer, and its time as a multiple of ours right before it. */
  readonly best?: { readonly name: string; readonly ms: number; readonly ratio: number };
  readonly limitMs?: number | undefined;
  /** What must be reached: a peer's time as a multiple of ours, at least `must`; or our milliseconds, at most `must`. */
  readonly goal?: {
    readonly beside: string;
    readonly is: number;
    readonly must: number;
    readonly unit: '×' | 'ms';
    readonly reached: boolean;
  };
}

const nothing = 'Node, doing nothing';

/** A rival's fastest form: its time, and ours right before it. */
function fastest(series: readonly Series[]): { name: string; ms: number; ours: number } | undefined {
  const all = series.flatMap(({ name, variant, msPerStep, beside }) => {
    const own = Object.values(beside)[0];
    return own ? [{ name: `${name}, ${variant}`, ms: minimum(msPerStep), ours: minimum(own) }] : [];
  });
  return all.sort((a, b) => a.ms - b.ms)[0];
}

function goalOf(goal: Goal, own: number, rivals: readonly Series[]): Verdict['goal'] {
  const { peers, must = 1, absolute } = goal;
  if (absolute !== undefined) {
    const empty = rivals.find(({ name }) => name === nothing);
    const must = absolute + (empty ? minimum(empty.msPerStep) : 0);
    const beside = empty ? 'an empty Node' : 'itself';
    return { beside, is: own, must, unit: 'ms', reached: own <= must };
  }
  const name = Object.keys(peers).find((peer) => rivals.some((rival) => rival.name === peer));
  if (name === undefined && Object.keys(peers).length > 0) return undefined;
  const peer = fastest(name === undefined ? rivals : rivals.filter((rival) => rival.name === name));
  if (peer === undefined) return undefined;
  const least = 1 / (name === undefined ? must : must / peers[name]!);
  const is = peer.ms / peer.ours;
  return { beside: peer.name, is, must: least, unit: '×', reached: is >= least };
}

export function verdictsOf(workload: string, { task, threads, limitMs, series }: TaskResult): Verdict[] {
  return (['native', 'wasm'] as const).flatMap((family) => {
    const own = series.filter((s) => s.ours && s.family === family);
    if (own.length === 0) return [];
    const rivals = series.filter((s) => !s.ours && s.family === family);
    const ms = minimum(own.flatMap(({ msPerStep }) => msPerStep));
    const peer = fastest(rivals.filter(({ name }) => name !== nothing));
    const goal = goals[`${workload}/${task.id}`]?.find((g) => g.threads === threads && g.family === family);
    const reached = goal && goalOf(goal, ms, rivals);
    return {
      task: `${workload} ${task.id}`,
      threads,
      family,
      ms,
      ...(peer && { best: { name: peer.name, ms: peer.ms, ratio: peer.ms / peer.ours } }),
      limitMs,
      ...(reached && { goal: reached }),
    };
  });
}

/** All verdicts as rows of a table, the header first. */
export function verdictRows(workloads: Results['workloads']): string[][] {
  const header = [
    '',
    'threads',
    'ours, ms',
    'best peer',
    'ms',
    '÷ ours',
    '× the limit',
    'goal beside',
    'is',
    'must be',
    'reached',
  ];
  const rows = workloads.flatMap(({ workload, tasks }) =>
    tasks.flatMap((task) => verdictsOf(workload.id, task)),
  );
  return [
    header,
    ...rows.map(({ task, threads, family, ms, best, limitMs, goal }) => [
      `${task}, ${family}`,
      String(threads),
      digits(ms),
      best?.name ?? '',
      best ? digits(best.ms) : '',
      best ? digits(best.ratio) : '',
      limitMs ? digits(ms / limitMs) : '',
      goal?.beside ?? '',
      goal ? `${digits(goal.is)} ${goal.unit}` : '',
      goal ? `${goal.unit === 'ms' ? 'at most' : 'at least'} ${digits(goal.must)} ${goal.unit}` : '',
      goal ? (goal.reached ? 'yes' : 'no') : '',
    ]),
  ];
}
