// The dtypes of 16 bits on every backend: how numbers are rounded and read, every op of the table on them beside float32, and gradients.
import assert from 'node:assert/strict';
import { valueAndGrad } from '../src/autodiff.ts';
import type { HalfDType } from '../src/dtype.ts';
import { fromHalves, toHalves } from '../src/halves.ts';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { Variable } from '../src/variable.ts';
import { backends, describeBackends } from './support/backends.ts';
import type { Case } from './support/case.ts';
import { casesByOp, outputsOf } from './support/cases.ts';
import { close, generator, numbersOf, place } from './support/data.ts';
import { says } from './support/errors.ts';

const both = ['bfloat16', 'float16'] as const;
const rounded = (values: Float32Array, dtype: HalfDType) => fromHalves(toHalves(values, dtype), dtype);

/** Numbers of float32, and what they are in 16 bits: half of the last place goes to the even neighbour. */
const special: readonly (readonly [number, number])[] = [
  [0, 0],
  [-0, -0],
  [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
  [Number.NaN, Number.NaN],
];
const pairs: Readonly<Record<HalfDType, readonly (readonly [number, number])[]>> = {
  bfloat16: [
    ...special,
    [1, 1],
    [1.00390625, 1],
    [1.01171875, 1.015625],
    [1.00390637, 1.0078125],
    [-1.00390625, -1],
    [1 / 3, 0.333984375],
    [1e-40, 9.183549615799121e-41],
    [4e-41, 0],
    [-1e-40, -9.183549615799121e-41],
    [3.3895e38, 3.3895313892515355e38],
    [3.4e38, Number.POSITIVE_INFINITY],
    [-3.4e38, Number.NEGATIVE_INFINITY],
  ],
  float16: [
    ...special,
    [1, 1],
    [1.00048828125, 1],
    [1.00146484375, 1.001953125],
    [1.0004884, 1.0009765625],
    [-1.00048828125, -1],
    [1 / 3, 0.333251953125],
    [6.103515625e-5, 6.103515625e-5],
    [6.1e-5, 6.097555160522461e-5],
    [6e-8, 2 ** -24],
    [2 ** -25, 0],
    [2.9802326e-8, 2 ** -24],
    [-2.9e-8, -0],
    [8.940696716308594e-8, 1.1920928955078125e-7],
    [1e-40, 0],
    [65504, 65504],
    [65519.996, 65504],
    [65520, Number.POSITIVE_INFINITY],
    [-3e38, Number.NEGATIVE_INFINITY],
  ],
};

// Whole numbers, signs, orders and places are another question where the arguments were rounded differently on the way.
const uneven = new Set([
  'acosh', // composed ops: what they round in between lands beside a pole
  'erfinv',
]);

/** Cases whose floating-point arguments can have 16 bits, and whose results depend on them smoothly or not at all. */
function casesFor(tests: readonly Case[]): Case[] {
  return tests.filter(({ args, op }) => args.some(({ dtype }) => dtype === 'float32') && !uneven.has(op));
}

/** What a case gives of arguments that a dtype of 16 bits holds exactly, in it or in float32. */
function evaluate(test: Case, half: HalfDType, dtype: HalfDType | 'float32', jitted: boolean) {
  const random = generator(`${test.op} ${test.label}`);
  const numbers = test.args.map((spec) => numbersOf(spec, random));
  const results: { dtype: string; numbers: ArrayLike<number> }[] = [];
  scope(() => {
    ops.setSeed(3);
    const args = test.args.map((spec, i) => {
      if (spec.dtype !== 'float32') return place(spec, numbers[i]!);
      const exact = place(spec, rounded(numbers[i] as Float32Array, half));
      return ops.cast(exact, dtype);
    });
    const body = (...xs: Tensor[]) => [...outputsOf(test, xs)];
    const program = jitted ? jit(body) : undefined;
    for (const out of (program ?? body)(...args)) results.push({ dtype: out.dtype, numbers: out.dataSync() });
    program?.dispose();
  });
  return results;
}

function compare(tests: readonly Case[], half: HalfDType, jitted: boolean): void {
  const failures: string[] = [];
  for (const test of casesFor(tests)) {
    try {
      const wanted = evaluate(test, half, 'float32', jitted);
      evaluate(test, half, half, jitted).forEach(({ dtype, numbers }, i) => {
        const { dtype: before, numbers: expected } = wanted[i]!;
        const same = before === 'float32' ? dtype === 'float32' || dtype === half : dtype === before;
        assert.ok(same, `output ${i} is ${dtype}, not ${before}`);
        const size = Math.max(0, ...Array.from(expected, (x) => (Number.isFinite(x) ? Math.abs(x) : 0)));
        // Composed ops round several times, and cancel.
        const limit = { rtol: 0.03, atol: Math.min(0.03, 0.02 * size) + test.atol };
        close(
          clamped(numbers, half),
          clamped(expected, half),
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

/** Numbers that are rounded to infinity are infinite. */
const clamped = (numbers: ArrayLike<number>, half: HalfDType) => {
  const most = half === 'float16' ? 65000 : 3.3e38;
  return Array.from(numbers, (x) => (Math.abs(x) > most ? Math.sign(x) * Number.POSITIVE_INFINITY : x));
};

for (const half of both)
  describeBackends(half, (backend) => {
    it('rounds to nearest, halves to even; NaN, infinities and denormals stay what they are', () => {
      const from = Float32Array.from(pairs[half], ([x]) => x);
      const wanted = Float32Array.from(pairs[half], ([, x]) => x);
      const made = ops.tensor(from, undefined, half);
      const converted = ops.cast(ops.tensor(from), half);
      const inProgram = jit((x: Tensor) => ops.cast(x, half))(ops.tensor(from));
      const copied = new Variable(ops.zeros([from.length], half), 'halves');
      copied.assign(ops.tensor(from, undefined, half));
      for (const tensor of [made, converted, inProgram, copied]) {
        assert.equal(tensor.dtype, half);
        assert.ok(tensor.dataSync() instanceof Float32Array);
        close(tensor.dataSync(), wanted, { rtol: 0, atol: 0 }, backend.name);
      }
      close(ops.cast(made, 'float32').dataSync(), wanted, { rtol: 0, atol: 0 }, 'and back');
    });

    it('keeps every one of its numbers through float32', () => {
      const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
      const all = fromHalves(bits, half);
      const there = ops.cast(ops.tensor(all), half);
      const back = ops.cast(there, 'float32').dataSync();
      close(back, all, { rtol: 0, atol: 0 });
      // As memory holds them, and by JavaScript's rounding; a NaN is any.
      const number = all.map((x) => (Number.isNaN(x) ? 0 : x));
      assert.deepEqual(
        [...toHalves(number, half)],
        [...bits].map((word, i) => (Number.isNaN(all[i]) ? 0 : word)),
      );
      // What lies between them is rounded by the backend as by JavaScript.
      const between = number.map((x, i) => (x + number[(i + 1) % 65536]!) / 2);
      const rounding = ops.cast(ops.tensor(between), half);
      close(rounding.dataSync(), rounded(between, half), { rtol: 0, atol: 0 });
    });

    it('goes with integers, bytes, truth, other numbers and float32 as float32 does', () => {
      const x = ops.tensor([1.5, -2.5, 0], undefined, half);
      assert.deepEqual(x.arraySync(), [1.5, -2.5, 0]);
      assert.deepEqual([...ops.cast(x, 'int32').dataSync()], [1, -2, 0]);
      assert.deepEqual([...ops.cast(x, 'bool').dataSync()], [1, 1, 0]);
      assert.deepEqual([...ops.cast(ops.tensor([1, 4097], undefined, 'int32'), half).dataSync()], [1, 4096]);
      assert.equal(ops.add(x, 1).dtype, half);
      assert.equal(ops.mul(x, ops.tensor([1, 2, 3], undefined, 'int32')).dtype, half);
      assert.equal(ops.add(x, ops.tensor([1, 2, 3])).dtype, 'float32');
      assert.equal(ops.fill([2], 1 / 3, half).dataSync()[0], rounded(Float32Array.of(1 / 3), half)[0]);
      assert.deepEqual([...ops.range(0, 3, 1, half).dataSync()], [0, 1, 2]);
      const joined = ops.concat([x, ops.tensor([1 / 3])]);
      assert.equal(joined.dtype, 'float32');
      assert.equal(joined.dataSync()[3], Math.fround(1 / 3));
    });

    it('sums in float32', () => {
      // In 16 bits a sum stops at 256 or 2048, where adding 1 changes nothing.
      const ones = ops.ones([4096], half);
      assert.equal(ops.sum(ops.add(ones, 0)).item(), 4096);
      const wide = ops.matMul(ops.ones([1, 4096], half), ops.ones([4096, 1], half));
      assert.equal(wide.dtype, half);
      assert.equal(wide.item(), 4096);
    });
  });

const few = backends.filter(({ name }) => ['native 2 threads', 'native scalar', 'wasm simd'].includes(name));
describeBackends(
  'ops on 16 bits beside float32',
  () => {
    for (const half of both) {
      for (const [op, tests] of casesByOp)
        if (casesFor(tests).length > 0) it(`${op} in ${half}`, () => compare(tests, half, false));
    }
  },
  few,
);

describeBackends(
  'ops on 16 bits inside jit',
  () => {
    for (const [op, tests] of casesByOp) {
      if (/random|dropout|truncatedNormal|setSeed|shuffle/i.test(op) || ['unique', 'qr'].includes(op))
        continue;
      if (casesFor(tests).length > 0)
        for (const half of both) it(`${op} in ${half}`, () => compare(tests, half, true));
    }
  },
  few.slice(0, 1),
);

/** Gradients of the weighted sum of a case's outputs by its arguments, in a dtype of 16 bits or in float32. */
function gradientsOf(test: Case, half: HalfDType, dtype: HalfDType | 'float32') {
  const random = generator(`${test.op} ${test.label}`);
  const numbers = test.args.map((spec) => numbersOf(spec, random));
  const results: { dtype: string; numbers: Float32Array }[] = [];
  scope(() => {
    ops.setSeed(3);
    const args = test.args.map((spec, i) => {
      if (spec.dtype !== 'float32') return place(spec, numbers[i]!);
      const exact = place(spec, rounded(numbers[i] as Float32Array, half));
      return spec.fixed ? exact : ops.cast(exact, dtype);
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
  'gradients in 16 bits beside float32',
  () => {
    for (const [op, tests] of casesByOp) {
      const smooth = casesFor(tests).filter(({ gradient, op: name }) => gradient && name !== 'dropout');
      if (smooth.length === 0) continue;
      for (const half of both)
        it(`${op} in ${half}`, () => {
          const failures: string[] = [];
          for (const test of smooth) {
            try {
              const wanted = gradientsOf(test, half, 'float32');
              gradientsOf(test, half, half).forEach(({ dtype, numbers }, i) => {
                assert.equal(dtype, half);
                const expected = clamped(wanted[i]!.numbers, half);
                const got = clamped(numbers, half);
                // What is beyond the range is infinite in both.
                const within = expected.flatMap((x, j) => (x === got[j] ? [] : [j]));
                const count = Math.sqrt(Math.max(1, numbers.length));
                const norm = Math.hypot(...expected.filter(Number.isFinite)) / count;
                const error = Math.hypot(...within.map((j) => got[j]! - expected[j]!)) / count;
                assert.ok(
                  error <= 0.02 * norm + 1e-3,
                  `gradient ${i} is off by ${error} where it is ${norm}`,
                );
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
