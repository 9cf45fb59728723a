// Every op on every backend against the reference, eagerly and inside jit.
import assert from 'node:assert/strict';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { backends, describeBackends, on, reference } from './support/backends.ts';
import type { Case } from './support/case.ts';
import { casesByOp, outputsOf } from './support/cases.ts';
import { close, generator, type Numbers, numbersOf, place } from './support/data.ts';

interface Result {
  readonly shape: string;
  readonly numbers: Numbers;
}

function argumentsOf(test: Case): Numbers[] {
  const random = generator(`${test.op} ${test.label}`);
  return test.args.map((spec) => numbersOf(spec, random));
}

/** What the case gives on the engine in use. */
function evaluate(test: Case, numbers: readonly Numbers[], jitted = false): Result[] {
  const results: Result[] = [];
  scope(() => {
    ops.setSeed(3);
    const args = test.args.map((spec, i) => place(spec, numbers[i]!));
    const body = (...xs: Tensor[]) => [...outputsOf(test, xs)];
    const program = jitted ? jit(body) : undefined;
    for (const out of (program ?? body)(...args)) {
      results.push({ shape: `${out.dtype}[${out.shape}]`, numbers: out.dataSync() });
    }
    program?.dispose();
  });
  return results;
}

const expectations = new Map<Case, { numbers: Numbers[]; expected: Result[] }>();

function expectationOf(test: Case) {
  let known = expectations.get(test);
  if (known === undefined) {
    const numbers = argumentsOf(test);
    known = { numbers, expected: on(reference(), () => evaluate(test, numbers)) };
    expectations.set(test, known);
  }
  return known;
}

/** All cases of an op; tells of each that fails, not only of the first. */
function check(tests: readonly Case[], engineOf: () => ReturnType<typeof reference>, jitted: boolean): void {
  const failures: string[] = [];
  for (const test of tests) {
    const what = `${test.op} ${test.label}`;
    try {
      const { numbers, expected } = expectationOf(test);
      const actual = on(engineOf(), () => evaluate(test, numbers, jitted));
      assert.deepEqual(
        actual.map(({ shape }) => shape),
        expected.map(({ shape }) => shape),
        'dtype and shape',
      );
      actual.forEach((result, i) => {
        close(result.numbers, expected[i]!.numbers, test, `output ${i}`);
      });
    } catch (error) {
      failures.push(`${what}: ${error instanceof Error ? error.message : error}`);
    }
  }
  const shown = failures.slice(0, 12).join('\n');
  assert.equal(failures.length, 0, `${failures.length} of ${tests.length} cases differ\n${shown}`);
}

describe('the table of cases', () => {
  it('has every op that is exported, and no other', () => {
    const exported = Object.keys(ops).sort();
    assert.deepEqual([...casesByOp.keys()].sort(), exported);
  });

  it('runs on the reference without NaN where the arguments are plain', () => {
    for (const tests of casesByOp.values()) {
      for (const test of tests) {
        if (!test.gradient) continue;
        for (const { numbers } of expectationOf(test).expected) {
          assert.ok(!numbers.some(Number.isNaN), `${test.op} ${test.label}`);
        }
      }
    }
  });
});

describeBackends('ops', (backend) => {
  for (const [op, tests] of casesByOp) it(op, () => check(tests, backend.open, false));
});

const forJit = backends.filter(({ name }) => ['native 2 threads', 'wasm simd'].includes(name));
describeBackends(
  'ops inside jit',
  (backend) => {
    for (const [op, tests] of casesByOp) {
      // Streams of random numbers inside of programs are their own.
      if (/random|dropout|truncatedNormal|setSeed|shuffle/i.test(op)) continue;
      // These compute on the host, from numbers that a trace does not have.
      if (['unique', 'qr'].includes(op)) continue;
      it(op, () => check(tests, backend.open, true));
    }
  },
  forJit,
);
