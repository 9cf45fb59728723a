// The dtype bfloat16 on every backend: how numbers are rounded and read, every op of the table on it beside float32, and gradients.
import assert from 'node:assert/strict';
import { valueAndGrad } from '../src/autodiff.ts';
import { fromHalves, toHalves } from '../src/dtype.ts';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { Variable } from '../src/variable.ts';
import { backends, describeBackends } from './support/backends.ts';
import type { Case } from './support/case.ts';
import { casesByOp, outputsOf } from './support/cases.ts';
import { close, generator, numbersOf, place } from './support/data.ts';
import { says } from './support/errors.ts';

const rounded = (values: Float32Array) => fromHalves(toHalves(values));

/** Numbers of float32, and what they are in bfloat16: half of the last place goes to the even neighbour. */
const pairs: readonly (readonly [number, number])[] = [
  [1, 1],
  [1.00390625, 1],
  [1.01171875, 1.015625],
  [1.00390637, 1.0078125],
  [-1.00390625, -1],
  [1 / 3, 0.333984375],
  [0, 0],
  [-0, -0],
  [1e-40, 9.183549615799121e-41],
  [4e-41, 0],
  [-1e-40, -9.183549615799121e-41],
  [3.3895e38, 3.3895313892515355e38],
  [3.4e38, Number.POSITIVE_INFINITY],
  [-3.4e38, Number.NEGATIVE_INFINITY],
  [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
  [Number.NaN, Number.NaN],
];

// Whole numbers, signs, orders and places are another question where the arguments were rounded differently on the way.
const uneven = new Set([
  'acosh', // composed ops: what they round in between lands beside a pole
  'erfinv',
]);

/** Cases whose floating-point arguments can be bfloat16, and whose results depend on them smoothly or not at all. */
function casesFor(tests: readonly Case[]): Case[] {
  return tests.filter(({ args, op }) => args.some(({ dtype }) => dtype === 'float32') && !uneven.has(op));
}

/** What a case gives of arguments that bfloat16 holds exactly, in bfloat16 or in float32. */
function evaluate(test: Case, half: boolean, jitted: boolean) {
  const random = generator(`${test.op} ${test.label}`);
  const numbers = test.args.map((spec) => numbersOf(spec, random));
  const results: { dtype: string; numbers: ArrayLike<number> }[] = [];
  scope(() => {
    ops.setSeed(3);
    const args = test.args.map((spec, i) => {
      if (spec.dtype !== 'float32') return place(spec, numbers[i]!);
      const exact = place(spec, rounded(numbers[i] as Float32Array));
      return half ? ops.cast(exact, 'bfloat16') : exact;
    });
    const body = (...xs: Tensor[]) => [...outputsOf(test, xs)];
    const program = jitted ? jit(body) : undefined;
    for (const out of (program ?? body)(...args)) results.push({ dtype: out.dtype, numbers: out.dataSync() });
    program?.dispose();
  });
  return results;
}

function compare(tests: readonly Case[], jitted: boolean): void {
  const failures: string[] = [];
  for (const test of casesFor(tests)) {
    try {
      const wanted = evaluate(test, false, jitted);
      evaluate(test, true, jitted).forEach(({ dtype, numbers }, i) => {
        const { dtype: before, numbers: expected } = wanted[i]!;
        const same = before === 'float32' ? dtype === 'float32' || dtype === 'bfloat16' : dtype === before;
        assert.ok(same, `output ${i} is ${dtype}, not ${before}`);
        const size = Math.max(0, ...Array.from(expected, (x) => (Number.isFinite(x) ? Math.abs(x) : 0)));
        // Composed ops round several times, and cancel.
        const limit = { rtol: 0.03, atol: Math.min(0.03, 0.02 * size) + test.atol };
        close(
          clamped(numbers),
          clamped(expected),
          before === 'float32' ? limit : { rtol: 0, atol: 0 },
          `output ${i}`,
        );
      });
    } catch (error) {
      failures.push(`${test.op} ${test.label}: ${error instanceof Error ? error.message : error}`);
    }
  }
  assert.equal(failures.length, 0, `${failures.length} differ\n${failures.slice(0, 12).join('\n')}`);
}

/** Numbers that bfloat16 rounds to infinity are infinite. */
const clamped = (numbers: ArrayLike<number>) =>
  Array.from(numbers, (x) => (Math.abs(x) > 3.3e38 ? Math.sign(x) * Number.POSITIVE_INFINITY : x));

describeBackends('bfloat16', (backend) => {
  it('rounds to nearest, halves to even; NaN, infinities and denormals stay what they are', () => {
    const from = Float32Array.from(pairs, ([x]) => x);
    const wanted = Float32Array.from(pairs, ([, x]) => x);
    const made = ops.tensor(from, undefined, 'bfloat16');
    const converted = ops.cast(ops.tensor(from), 'bfloat16');
    const inProgram = jit((x: Tensor) => ops.cast(x, 'bfloat16'))(ops.tensor(from));
    const copied = new Variable(ops.zeros([pairs.length], 'bfloat16'), 'halves');
    copied.assign(ops.tensor(from, undefined, 'bfloat16'));
    for (const tensor of [made, converted, inProgram, copied]) {
      assert.equal(tensor.dtype, 'bfloat16');
      assert.ok(tensor.dataSync() instanceof Float32Array);
      close(tensor.dataSync(), wanted, { rtol: 0, atol: 0 }, backend.name);
    }
    close(ops.cast(made, 'float32').dataSync(), wanted, { rtol: 0, atol: 0 }, 'and back');
  });

  it('keeps every one of its numbers through float32', () => {
    const all = fromHalves(Uint16Array.from({ length: 65536 }, (_, i) => i));
    const there = ops.cast(ops.tensor(all), 'bfloat16');
    const back = ops.cast(there, 'float32').dataSync();
    close(back, all, { rtol: 0, atol: 0 });
  });

  it('goes with integers, bytes, truth, other numbers and float32 as float32 does', () => {
    const x = ops.tensor([1.5, -2.5, 0], undefined, 'bfloat16');
    assert.deepEqual(x.arraySync(), [1.5, -2.5, 0]);
    assert.deepEqual([...ops.cast(x, 'int32').dataSync()], [1, -2, 0]);
    assert.deepEqual([...ops.cast(x, 'bool').dataSync()], [1, 1, 0]);
    assert.deepEqual(
      [...ops.cast(ops.tensor([1, 257], undefined, 'int32'), 'bfloat16').dataSync()],
      [1, 256],
    );
    assert.equal(ops.add(x, 1).dtype, 'bfloat16');
    assert.equal(ops.mul(x, ops.tensor([1, 2, 3], undefined, 'int32')).dtype, 'bfloat16');
    assert.equal(ops.add(x, ops.tensor([1, 2, 3])).dtype, 'float32');
    assert.equal(ops.fill([2], 1 / 3, 'bfloat16').dataSync()[0], 0.333984375);
    assert.deepEqual([...ops.range(0, 3, 1, 'bfloat16').dataSync()], [0, 1, 2]);
    const joined = ops.concat([x, ops.tensor([1 / 3])]);
    assert.equal(joined.dtype, 'float32');
    assert.equal(joined.dataSync()[3], Math.fround(1 / 3));
  });

  it('sums in float32', () => {
    // In bfloat16 a sum stops at 256, where adding 1 changes nothing.
    const ones = ops.ones([4096], 'bfloat16');
    assert.equal(ops.sum(ops.add(ones, 0)).item(), 4096);
    const wide = ops.matMul(ops.ones([1, 4096], 'bfloat16'), ops.ones([4096, 1], 'bfloat16'));
    assert.equal(wide.dtype, 'bfloat16');
    assert.equal(wide.item(), 4096);
  });
});

const few = backends.filter(({ name }) => ['native 2 threads', 'native scalar', 'wasm simd'].includes(name));
describeBackends(
  'ops on bfloat16 beside float32',
  () => {
    for (const [op, tests] of casesByOp) if (casesFor(tests).length > 0) it(op, () => compare(tests, false));
  },
  few,
);

describeBackends(
  'ops on bfloat16 inside jit',
  () => {
    for (const [op, tests] of casesByOp) {
      if (/random|dropout|truncatedNormal|setSeed|shuffle/i.test(op) || ['unique', 'qr'].includes(op))
        continue;
      if (casesFor(tests).length > 0) it(op, () => compare(tests, true));
    }
  },
  few.slice(0, 1),
);

/** Gradients of the weighted sum of a case's outputs by its arguments, in bfloat16 or in float32. */
function gradientsOf(test: Case, half: boolean) {
  const random = generator(`${test.op} ${test.label}`);
  const numbers = test.args.map((spec) => numbersOf(spec, random));
  const results: { dtype: string; numbers: Float32Array }[] = [];
  scope(() => {
    ops.setSeed(3);
    const args = test.args.map((spec, i) => {
      if (spec.dtype !== 'float32') return place(spec, numbers[i]!);
      const exact = place(spec, rounded(numbers[i] as Float32Array));
      return half && !spec.fixed ? ops.cast(exact, 'bfloat16') : exact;
    });
    const free = args.filter((_, i) => !test.args[i]!.fixed);
    const body = (...xs: Tensor[]) => {
      let next = 0;
      const all = args.map((fixed, i) => (test.args[i]!.fixed ? fixed : xs[next++]!));
      const parts = outputsOf(test, all).map((out) => {
        const weights = ops.add(ops.mod(ops.reshape(ops.range(0, out.size, 1, 'float32'), out.shape), 3), 1);
        return ops.sum(ops.mul(ops.cast(out, 'float32'), weights));
      });
      return parts.reduce((a, b) => ops.add(a, b));
    };
    for (const gradient of valueAndGrad(body)(...free).gradients)
      results.push({ dtype: gradient.dtype, numbers: gradient.dataSync() as Float32Array });
  });
  return results;
}

describeBackends(
  'gradients in bfloat16 beside float32',
  () => {
    for (const [op, tests] of casesByOp) {
      const smooth = casesFor(tests).filter(({ gradient, op: name }) => gradient && name !== 'dropout');
      if (smooth.length === 0) continue;
      it(op, () => {
        const failures: string[] = [];
        for (const test of smooth) {
          try {
            const wanted = gradientsOf(test, false);
            gradientsOf(test, true).forEach(({ dtype, numbers }, i) => {
              assert.equal(dtype, 'bfloat16');
              const expected = wanted[i]!.numbers;
              const norm = Math.hypot(...expected) / Math.sqrt(Math.max(1, expected.length));
              const error =
                Math.hypot(...numbers.map((x, j) => x - expected[j]!)) /
                Math.sqrt(Math.max(1, numbers.length));
              assert.ok(error <= 0.02 * norm + 1e-3, `gradient ${i} is off by ${error} where it is ${norm}`);
            });
          } catch (error) {
            failures.push(`${test.label}: ${error instanceof Error ? error.message : error}`);
          }
        }
        assert.equal(failures.length, 0, `${failures.length} differ\n${failures.slice(0, 8).join('\n')}`);
      });
    }
  },
  few,
);

describeBackends(
  'programs with bfloat16',
  () => {
    it('keep it between kernels, and convert no weight that is read as it is', () => {
      const w = new Variable(ops.tensor([1 / 3, 2, 3, 4], [2, 2]), 'w');
      const program = jit((x: Tensor) => {
        const h = ops.cast(x, 'bfloat16');
        return ops.cast(ops.matMul(h, ops.cast(w, 'bfloat16')), 'float32');
      });
      const y = program(ops.tensor([1, 0, 0, 1], [2, 2]));
      // Rounded nowhere: the weight is read as float32, and so is the sum.
      assert.equal(y.dataSync()[0], Math.fround(1 / 3));
      assert.equal(y.dtype, 'float32');
    });

    it('refuse what is no floating-point number, and tell of it', () => {
      const x = ops.tensor([1], undefined, 'bfloat16');
      assert.throws(
        () => ops.scaledDotProductAttention(ops.cast(x, 'int32'), x, x),
        says('attention', 'q does not fit', 'int32[1]'),
      );
      const f = new Variable(ops.tensor([1], undefined, 'int32'), 'count');
      assert.throws(() => f.assign(x), says('count', 'cannot assign', 'bfloat16[1]'));
    });
  },
  few.slice(0, 1),
);
