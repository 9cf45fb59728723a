// The benchmarks' results: as a table in the terminal, as JSON, and as docs/BENCHMARKS.md.
import type { Task, Work, Workload } from '../workloads/list.ts';
import type { Ceilings, Machine } from './machine.ts';
import type { Size } from './sizes.ts';
import { type Failure, median, minimum, type Series } from './timing.ts';

/** One task at one number of threads. */
export interface TaskResult {
  readonly task: Task;
  readonly threads: number;
  /** The work alone at the machine's ceiling, in milliseconds; undefined where none is measured for it. */
  readonly limitMs: number | undefined;
  readonly series: readonly Series[];
  readonly failures: readonly Failure[];
}

export interface WorkloadResult {
  readonly workload: Pick<Workload, 'id' | 'title'>;
  readonly tasks: readonly TaskResult[];
  /** Peers that could not be started. */
  readonly missing: readonly { readonly peer: string; readonly threads: number; readonly reason: string }[];
}

export interface Results {
  /** Day, ISO. */
  readonly date: string;
  readonly machine: Machine;
  readonly ceilings: readonly Ceilings[];
  readonly settings: {
    readonly rounds: number;
    readonly roundMs: number;
    readonly pinned: boolean;
    readonly loadBefore: number;
  };
  readonly workloads: readonly WorkloadResult[];
  readonly sizes: readonly Size[];
}

/** Three significant digits. */
export const digits = (x: number) =>
  x >= 1000 ? Math.round(x).toLocaleString('en-US') : Number(x.toPrecision(3)).toString();

const ratio = (theirs: readonly number[], ours: readonly number[]) =>
  `${digits(minimum(theirs) / minimum(ours))} (${digits(median(theirs) / median(ours))})`;

const limitName = (work: Work) => (work && 'flops' in work ? 'limit of arithmetic' : 'limit of the memory');

/** The work at the ceiling, in milliseconds. */
export function limitOf(work: Work, { fma, read, update }: Ceilings): number | undefined {
  if (work === undefined) return undefined;
  if ('flops' in work) return work.flops / (fma * 1e6);
  if ('read' in work) return read && work.read / (read * 1e6);
  return update && work.updated / (update * 1e6);
}

/** The rows of a task's table, the header first. */
export function taskRows({ task, limitMs, series }: TaskResult): string[][] {
  const principals = series.filter((s) => s.ours && Object.keys(s.beside).length === 0).map((s) => s.name);
  const header = [
    '',
    'ms, least',
    'ms, median',
    'samples/s',
    '× the limit',
    ...principals.map((name) => `÷ ${name}`),
  ];
  const rows = series.map((s) => {
    const least = minimum(s.msPerStep);
    return [
      `${s.name} ${s.version}, ${s.variant}`,
      digits(least),
      digits(median(s.msPerStep)),
      digits((task.samples / least) * 1e3),
      limitMs ? digits(least / limitMs) : '',
      ...principals.map((name) =>
        s.beside[name] ? ratio(s.msPerStep, s.beside[name]) : s.name === name ? '1' : '',
      ),
    ];
  });
  if (!limitMs) return [header, ...rows];
  const limit = [limitName(task.work), digits(limitMs), '', digits((task.samples / limitMs) * 1e3), '1'];
  return [header, ...rows, [...limit, ...principals.map(() => '')]];
}

/** Rows as aligned columns, numbers to the right. */
export function textTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const align = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  return rows.map((row) => `  ${row.map(align).join('  ').trimEnd()}`).join('\n');
}

/** Rows as a Markdown table. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const [header, ...rest] = rows as [readonly string[], ...(readonly string[])[]];
  return [
    line(header),
    line(header.map((_, column) => (column === 0 ? '---' : '---:'))),
    ...rest.map(line),
  ].join('\n');
}

export const taskTitle = ({ task, threads }: TaskResult) =>
  `${task.title}, ${threads} thread${threads > 1 ? 's' : ''}`;

/** What was missing or failed: one sentence for each reason. */
export function notes({ missing, tasks }: WorkloadResult): string[] {
  const found = missing.map(({ peer, threads, reason }) => ({
    what: `${peer}: missing: ${reason}`,
    where: '',
    threads,
  }));
  for (const { task, threads, failures } of tasks) {
    for (const { name, variant, reason } of failures) {
      found.push({ what: `${name}: failed: ${reason}`, where: `${task.id}/${variant}`, threads });
    }
  }
  return [...new Set(found.map(({ what }) => what))].map((what) => {
    const alike = found.filter((note) => note.what === what);
    const unique = <T>(values: T[]) => [...new Set(values)].join(', ');
    const places = unique(alike.map(({ where }) => where).filter(Boolean));
    return `${what} (${places && `${places}; `}threads: ${unique(alike.map(({ threads }) => threads))})`;
  });
}

/** Sizes as rows of a table, the header first. */
export function sizeRows(sizes: readonly Size[]): string[][] {
  const kilobytes = (bytes: number) => digits(bytes / 1e3);
  return [
    ['', 'kB', 'must stay under', 'reached'],
    ...sizes.map(({ name, bytes, under }) => [
      name,
      kilobytes(bytes),
      under ? kilobytes(under) : '',
      under ? (bytes < under ? 'yes' : 'no') : '',
    ]),
  ];
}

/** A ceiling in words. */
export function ceilingText({ threads, fma, read, update, measured }: Ceilings): string {
  const memory = read && update ? `, memory ${digits(read)} GB/s read, ${digits(update)} GB/s updated` : '';
  return `threads: ${threads}, multiply-adds ${digits(fma)} GFLOP/s${memory}${measured ? '' : ' (stated, not measured: no C++ compiler)'}`;
}
