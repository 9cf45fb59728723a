// docs/BENCHMARKS.md: how to read it, what was reached, and every table of one run.
import { ceilingText, markdownTable, notes, type Results, sizeRows, taskRows, taskTitle } from './report.ts';
import { verdictRows } from './verdicts.ts';

/** The page for the results of a whole run. */
export function page(results: Results): string {
  const { machine, settings, date, sizes } = results;
  const busy =
    settings.loadBefore > 0.5 ? ` The machine was busy (load ${settings.loadBefore.toFixed(1)}).` : '';
  const head = [
    '# Benchmarks',
    '',
    'Written by `npm run bench`; do not edit. `npm run bench:prepare` and `npm run bench` repeat it on your machine (`bench/README.md`).',
    '',
    `${date}, ${machine.processor}, ${machine.processors} processors, ${machine.memoryGiB} GiB, ${machine.platform}, Node ${machine.node}, ` +
      `${settings.pinned ? 'pinned' : 'not pinned'}.${busy} Ceilings, measured in the same run:`,
    '',
    ...results.ceilings.map((c) => `* ${ceilingText(c)}`),
    '',
    '## How to read it',
    '',
    `* Times are milliseconds a step, the least and the median of up to ${settings.rounds} rounds of about ${settings.roundMs} ms: one run, one process at a time, ` +
      'ours right before each rival. Take ratios, not times: clocks and neighbours differ from run to run, and a ratio is of rounds that lay side by side.',
    '* `÷` columns say how many times as long a rival takes as we do, by least times and in parentheses by medians; above 1 we are faster. Rivals on ' +
      'WebAssembly are compared with our WebAssembly, all others with our addon.',
    '* The limit is the work that cannot be left out, at the ceiling measured in the same run: the multiply-adds of the matrix products and convolutions, or the ' +
      "operands' way through memory beyond the caches. `× the limit` is how many times that we take. Nobody reaches 1: activations, optimizers and reading the batch come on top.",
    '* Must be: what this project set itself (`bench/workloads/goals.ts`), as a multiple of our time that a peer takes in this run: the ratio of the goal to ' +
      "that peer's time when the goal was set, so that it holds on other machines too. A few goals are times in themselves.",
    '* `fit` is whole epochs of `model.fit`, which shuffles and gathers its batches; `trainOnBatch` is one call from JavaScript a step. Rivals train on batches that lie ready.',
    '',
    '## What was reached',
    '',
    markdownTable(verdictRows(results.workloads)),
    ...(sizes.length > 0 ? ['', '## Sizes', '', markdownTable(sizeRows(sizes))] : []),
  ];
  const body = results.workloads.flatMap((result) => [
    '',
    `## ${result.workload.title}`,
    ...result.tasks.flatMap((task) => ['', `### ${taskTitle(task)}`, '', markdownTable(taskRows(task))]),
    ...(notes(result).length > 0 ? ['', ...notes(result).map((note) => `* ${note}`)] : []),
  ]);
  return `${[...head, ...body].join('\n')}\n`;
}
