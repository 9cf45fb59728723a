// The benchmark runner's own logic: who is timed beside whom, what counts as reached, and data that are the same in both languages.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { page } from '../bench/lib/page.ts';
import type { Peer } from '../bench/lib/peer.ts';
import { limitOf, notes, taskRows } from '../bench/lib/report.ts';
import { type Series, timeTask } from '../bench/lib/timing.ts';
import { verdictRows, verdictsOf } from '../bench/lib/verdicts.ts';
import { integers, patterns, tokens, uniform } from '../bench/peers/data.mjs';
import { goals } from '../bench/workloads/goals.ts';
import { type Task, workloads } from '../bench/workloads/list.ts';

const task: Task = { id: 'train', title: 'a step', samples: 2, work: { flops: 1e6 } };

/** A process that says what it took, and notes when it was asked. */
function fake(
  name: string,
  family: 'native' | 'wasm',
  ms: number,
  asked: string[],
  entries = ['train/usual'],
) {
  const run = async (steps: number, entry: string) => {
    asked.push(name);
    if (entry.endsWith('broken')) throw new Error('out of order');
    return { ms: ms * steps, steps };
  };
  return { info: { name, version: '1', threads: 1, family, entries }, run } as unknown as Peer;
}

const one = (name: string, own: boolean, ms: number[], beside: Record<string, number[]> = {}): Series => {
  return { name, version: '1', variant: 'usual', ours: own, family: 'native', msPerStep: ms, beside };
};

describe('benchmark runner', () => {
  it('times ours right before each rival of the same family', async () => {
    const asked: string[] = [];
    const ours = [fake('own native', 'native', 10, asked), fake('own wasm', 'wasm', 20, asked)];
    const others = [fake('A', 'native', 15, asked), fake('B', 'wasm', 80, asked)];
    const { series, failures } = await timeTask(task, ours, others, { rounds: 2, roundMs: 10, skip: [] });
    assert.deepEqual(failures, []);
    const round = ['own native', 'A', 'own wasm', 'B'];
    assert.deepEqual(asked.slice(-8), [...round, ...round]);
    assert.deepEqual(series.find(({ name }) => name === 'B')?.beside, { 'own wasm': [20, 20] });
    assert.deepEqual(series.find(({ name }) => name === 'A')?.beside, { 'own native': [10, 10] });
  });

  it('times ours without rivals, a slow rival in fewer rounds, and names what fails', async () => {
    const alone = await timeTask(task, [fake('own', 'native', 10, [])], [], {
      rounds: 3,
      roundMs: 10,
      skip: [],
    });
    assert.deepEqual(alone.series[0]?.msPerStep, [10, 10, 10]);
    const others = [fake('slow', 'native', 8000, []), fake('bad', 'native', 1, [], ['train/broken'])];
    const options = { rounds: 7, roundMs: 10, skip: [] };
    const { series, failures } = await timeTask(task, [fake('own', 'native', 10, [])], others, options);
    assert.equal(series.find(({ name }) => name === 'slow')?.msPerStep.length, 2);
    assert.deepEqual(failures, [{ name: 'bad', variant: 'broken', reason: 'out of order' }]);
    const result = { task, threads: 1, limitMs: 1, series, failures };
    const workload = { id: 'w1', title: '' };
    assert.deepEqual(notes({ workload, tasks: [result], missing: [] }), [
      'bad: failed: out of order (train/broken; threads: 1)',
    ]);
  });

  it('holds a goal against the named peer, by times that lay side by side', () => {
    // The goal for workload 2 on one thread: 36 ms where PyTorch takes 71.2, that is 1.978 times as fast.
    const rival = (ms: number) => one('PyTorch', false, [ms, 999], { own: [10, 99] });
    const verdict = (...series: Series[]) =>
      verdictsOf('w2', { task, threads: 1, limitMs: 4, series, failures: [] })[0]!;
    const own = one('own', true, [8, 10]);
    assert.equal(verdict(own, rival(19.7)).goal?.reached, false);
    assert.equal(verdict(own, rival(19.8)).goal?.reached, true);
    // Another peer that is faster changes what is best, not what the goal is beside.
    const faster = verdict(own, rival(19.8), one('JAX', false, [12], { own: [10] }));
    assert.equal(faster.best?.name, 'JAX, usual');
    assert.equal(faster.goal?.beside, 'PyTorch, usual');
    // The next peer of the list stands in: 36 ms where JAX takes 179.
    assert.equal(verdict(own, one('JAX', false, [49], { own: [10] })).goal?.reached, false);
    assert.equal(verdict(own, one('JAX', false, [50], { own: [10] })).goal?.reached, true);
    assert.equal(verdict(own).goal, undefined);
    assert.equal(verdict(own).ms, 8);
  });

  it('holds an absolute goal above what an empty process takes', () => {
    const first: Task = { id: 'first', title: '', samples: 1, work: undefined };
    const empty = one('Node, doing nothing', false, [40, 50], { own: [60, 60] });
    const verdict = (ms: number) =>
      verdictsOf('start', {
        task: first,
        threads: 1,
        limitMs: undefined,
        series: [one('own', true, [ms]), empty],
        failures: [],
      })[0]!;
    assert.equal(verdict(70).goal?.reached, true);
    assert.equal(verdict(71).goal?.reached, false);
    assert.equal(verdict(70).best, undefined);
  });

  it('takes the limit of the ceiling that the work is bound by', () => {
    const ceilings = { threads: 1, fma: 100, read: 10, update: 20, measured: true };
    assert.equal(limitOf({ flops: 1e8 }, ceilings), 1);
    assert.equal(limitOf({ read: 1e7 }, ceilings), 1);
    assert.equal(limitOf({ updated: 4e7 }, ceilings), 2);
    assert.equal(limitOf(undefined, ceilings), undefined);
    assert.equal(limitOf({ read: 1 }, { threads: 1, fma: 100, measured: false }), undefined);
    const rows = taskRows({ task, threads: 1, limitMs: 2, series: [one('own', true, [4, 6])], failures: [] });
    assert.deepEqual(rows[1], ['own 1, usual', '4', '5', '500', '2', '1']);
    const result = { workload: { id: 'x', title: '' }, missing: [], tasks: [] };
    assert.equal(verdictRows([result]).length, 1);
  });

  it('writes a page with what was reached, the sizes, every table and who was missing', () => {
    const series = [one('own', true, [10]), one('PyTorch', false, [40], { own: [10] })];
    const tasks = [{ task, threads: 1, limitMs: 4, series, failures: [] }];
    const missing = [{ peer: 'w2_jax.py', threads: 1, reason: 'no jax' }];
    const text = page({
      date: '2026-01-01',
      machine: { processor: 'P', processors: 2, memoryGiB: 4, platform: 'linux x64', node: 'v20' },
      ceilings: [{ threads: 1, fma: 100, measured: true }],
      settings: { rounds: 7, roundMs: 250, pinned: true, loadBefore: 0.9 },
      workloads: [{ workload: { id: 'w2', title: 'CNN' }, tasks, missing }],
      sizes: [{ name: 'module', bytes: 450_000, under: 400_000 }],
    });
    assert.match(
      text,
      /\| w2 train, native \| 1 \| 10 \| PyTorch, usual \| 40 \| 4 \| 2.5 \| PyTorch, usual \| 4 × \| at least 1.98 × \| yes \|/,
    );
    assert.match(text, /\| module \| 450 \| 400 \| no \|/);
    assert.match(text, /### a step, 1 thread\n\n\| {2}\| ms, least/);
    assert.match(text, /\* w2_jax.py: missing: no jax \(threads: 1\)/);
    assert.match(text, /The machine was busy \(load 0.9\)/);
  });

  it('has a goal only for what is timed, and a file for each of its processes', () => {
    const known = workloads.flatMap(({ id, tasks }) => tasks.map((each) => `${id}/${each.id}`));
    assert.deepEqual(
      Object.keys(goals).filter((goal) => !known.includes(goal)),
      [],
    );
    assert.deepEqual(
      known.filter((each) => goals[each] === undefined),
      [],
    );
    const there = (path: string) => existsSync(new URL(`../bench/${path}`, import.meta.url));
    for (const { id, peers } of workloads) {
      assert.ok(there(`workloads/${id}.ts`), id);
      for (const peer of peers) assert.ok(there(`peers/${peer.split(' ')[0]}`), peer);
    }
  });

  it('makes the numbers that data.py makes', () => {
    // As Python prints them there.
    assert.deepEqual([...uniform(1, 3)], [0.6270739436149597, 0.002735721180215478, 0.5274470448493958]);
    assert.deepEqual([...integers(2, 8, 10)], [7, 3, 2, 5, 8, 6, 4, 3]);
    const { x, y } = patterns(6, 4);
    assert.deepEqual([...x.slice(0, 3)], [0.6891782283782959, 0.2923722565174103, 0.6073175072669983]);
    assert.equal(y.length, 6);
    const rows = tokens(2, 3, 65);
    assert.deepEqual(
      [...rows.y],
      [...rows.x].map((token) => (7 * token + 3) % 65),
    );
  });
});
