// Every differentiable op: its gradient against finite differences computed in double precision, eagerly, in jit, and a second time.
import assert from 'node:assert/strict';
import { grad, valueAndGrad, vjp } from '../src/autodiff.ts';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { backends, describeBackends, describeFastest, on, reference } from './support/backends.ts';
import type { Case } from './support/case.ts';
import { cases, casesByOp, outputsOf } from './support/cases.ts';
import { type Arg, generator, type Numbers, numbersOf, place } from './support/data.ts';

/** What is differentiated: the sum of all outputs, each number with a weight of its own. */
function weigh(outputs: readonly Tensor[], weights: readonly Numbers[]): Tensor {
  const parts = outputs.map((out, i) => ops.sum(ops.mul(out, ops.tensor(weights[i]!, out.shape))));
  return parts.reduce((a, b) => ops.add(a, b));
}

/** The outputs' weighted sum in double precision, from the reference engine's float32 outputs. */
function valueAt(test: Case, args: readonly Numbers[], weights: Numbers[]): number {
  let total = 0;
  scope(() => {
    ops.setSeed(3);
    const outputs = outputsOf(
      test,
      args.map((numbers, i) => place(test.args[i]!, numbers)),
    );
    outputs.forEach((out, o) => {
      const numbers = out.dataSync();
      if (weights[o] === undefined) {
        const random = generator(`weights ${test.op} ${test.label} ${o}`);
        weights[o] = Float32Array.from(numbers, () => 0.5 + random.uniform());
      }
      for (let i = 0; i < numbers.length; i++) total += numbers[i]! * weights[o]![i]!;
    });
  });
  return total;
}

interface Probe {
  readonly args: readonly Numbers[];
  readonly weights: readonly Numbers[];
  /** A direction for every argument, and the derivative along it. */
  readonly directions: readonly { readonly along: readonly Float64Array[]; readonly slope: number }[];
}

const step = 1 / 128;

/** Derivatives along random directions, by the central difference of fourth order. */
function probe(test: Case, directionCount = 3): Probe {
  const random = generator(`${test.op} ${test.label}`);
  const args = test.args.map((spec) => numbersOf(spec, random));
  const weights: Numbers[] = [];
  valueAt(test, args, weights);
  const directions = Array.from({ length: directionCount }, () => {
    const along = args.map((numbers, i) =>
      Float64Array.from(numbers, () =>
        test.args[i]!.fixed ? 0 : (0.5 + random.uniform()) * (random.int(2) === 0 ? -1 : 1),
      ),
    );
    const at = (distance: number) =>
      valueAt(
        test,
        args.map((numbers, i) =>
          test.args[i]!.fixed ? numbers : Float32Array.from(numbers, (x, j) => x + distance * along[i]![j]!),
        ),
        weights,
      );
    const near = at(step) - at(-step);
    const far = at(2 * step) - at(-2 * step);
    return { along, slope: (8 * near - far) / (12 * step) };
  });
  return { args, weights, directions };
}

const isFree = (spec: Arg) => !spec.fixed;

/** The gradients of the free arguments on the engine in use. */
function gradientsOf(test: Case, { args, weights }: Probe, jitted: boolean): Numbers[] {
  const results: Numbers[] = [];
  scope(() => {
    ops.setSeed(3);
    const placed = test.args.map((spec, i) => place(spec, args[i]!));
    const free = placed.filter((_, i) => isFree(test.args[i]!));
    const body = (...xs: Tensor[]) => {
      let next = 0;
      const all = placed.map((fixed, i) => (isFree(test.args[i]!) ? xs[next++]! : fixed));
      return weigh(outputsOf(test, all), weights);
    };
    const differentiate = (...xs: Tensor[]) => valueAndGrad(body)(...xs).gradients;
    const program = jitted ? jit(differentiate) : undefined;
    for (const gradient of (program ?? differentiate)(...free)) results.push(gradient.dataSync());
    program?.dispose();
  });
  return results;
}

function check(test: Case, known: Probe, gradients: readonly Numbers[], what: string): string[] {
  const free = test.args.flatMap((spec, i) => (isFree(spec) ? [i] : []));
  return known.directions.flatMap(({ along, slope }, d) => {
    let got = 0;
    let norm = 0;
    free.forEach((i, g) => {
      gradients[g]!.forEach((value, j) => {
        got += value * along[i]![j]!;
        norm += (value * along[i]![j]!) ** 2;
      });
    });
    // Rounding of the outputs over the step, and of the gradient itself.
    const tolerance = 5e-4 * Math.sqrt(norm) + 5e-4;
    const good = Math.abs(got - slope) <= tolerance;
    return good
      ? []
      : [
          `${test.op} ${test.label}${what}: along direction ${d} got ${got}, expected ${slope} (allowed ${tolerance})`,
        ];
  });
}

const probes = new Map<Case, Probe>();

function probeOf(test: Case): Probe {
  let known = probes.get(test);
  if (known === undefined) {
    known = on(reference(), () => probe(test));
    probes.set(test, known);
  }
  return known;
}

function checkAll(
  tests: readonly Case[],
  engineOf: () => ReturnType<typeof reference>,
  jitted: boolean,
): void {
  const failures = tests.flatMap((test) => {
    try {
      const known = probeOf(test);
      const gradients = on(engineOf(), () => gradientsOf(test, known, jitted));
      return check(test, known, gradients, jitted ? ' in jit' : '');
    } catch (error) {
      return [`${test.op} ${test.label}: ${error instanceof Error ? error.message : error}`];
    }
  });
  assert.equal(failures.length, 0, `${failures.length} wrong\n${failures.slice(0, 10).join('\n')}`);
}

const differentiable = [...casesByOp].flatMap(([op, tests]) => {
  const smooth = tests.filter(({ gradient }) => gradient);
  return smooth.length > 0 ? [[op, smooth] as const] : [];
});

describe('finite differences', () => {
  it('tell a wrong gradient from a right one', () => {
    const test = cases.find(
      ({ op, gradient, args }) => op === 'tanh' && gradient && args[0]!.shape[0] === 17,
    )!;
    const known = probeOf(test);
    const right = on(reference(), () => gradientsOf(test, known, false));
    assert.deepEqual(check(test, known, right, ''), []);
    const wrong = right.map((numbers) => Float32Array.from(numbers, (x, i) => (i === 8 ? x * 1.2 : x)));
    assert.notDeepEqual(check(test, known, wrong, ''), []);
  });
});

const chosen = backends.filter(({ name }) => ['native', 'wasm simd'].includes(name));
describeBackends(
  'gradients',
  (backend) => {
    for (const [op, tests] of differentiable) it(op, () => checkAll(tests, backend.open, false));
  },
  chosen,
);

describeBackends(
  'gradients inside jit',
  (backend) => {
    for (const [op, tests] of differentiable) {
      // A program's random numbers are other than those outside of it.
      if (op !== 'dropout') it(op, () => checkAll(tests, backend.open, true));
    }
  },
  chosen.slice(0, 1),
);

/** A second derivative by differences of first ones. */
function checkSecond(f: (x: Tensor) => Tensor, at: readonly number[], allowed = 2e-3): void {
  const size = at.length;
  const weights = ops.tensor(Array.from({ length: size }, (_, i) => 0.7 + 0.2 * i));
  const first = (x: Tensor) => grad((y) => ops.sum(f(y)))(x);
  const second = grad((x) => ops.sum(ops.mul(first(x), weights)))(ops.tensor(at)).dataSync();
  for (let i = 0; i < size; i++) {
    const moved = (h: number) =>
      ops.sum(ops.mul(first(ops.tensor(at.map((x, j) => (j === i ? x + h : x)))), weights)).item();
    const expected = (moved(0.01) - moved(-0.01)) / 0.02;
    const error = Math.abs(second[i]! - expected);
    assert.ok(
      error <= allowed * Math.max(1, Math.abs(expected)),
      `element ${i}: got ${second[i]}, expected ${expected}`,
    );
  }
}

describeFastest('second derivatives', () => {
  const at = [0.4, 0.9, 1.3];
  const functions: Record<string, (x: Tensor) => Tensor> = {
    exp: (x) => ops.exp(x),
    log: (x) => ops.log(x),
    sin: (x) => ops.sin(x),
    tanh: (x) => ops.tanh(x),
    sigmoid: (x) => ops.sigmoid(x),
    softplus: (x) => ops.softplus(x),
    sqrt: (x) => ops.sqrt(x),
    rsqrt: (x) => ops.rsqrt(x),
    reciprocal: (x) => ops.reciprocal(x),
    erf: (x) => ops.erf(x),
    pow: (x) => ops.pow(x, 3),
    'pow of itself': (x) => ops.pow(x, x),
    div: (x) => ops.div(1, ops.add(x, ops.mul(x, x))),
    prod: (x) => ops.prod(x),
    logSumExp: (x) => ops.logSumExp(ops.mul(x, 2)),
    norm: (x) => ops.norm(x),
    variance: (x) => ops.mul(ops.variance(x), ops.sum(x)),
    softmax: (x) => ops.square(ops.softmax(ops.mul(x, 2))),
    logSoftmax: (x) => ops.square(ops.logSoftmax(ops.mul(x, 2))),
    matMul: (x) => ops.square(ops.matMul(ops.outer(x, x), x)),
    gather: (x) =>
      ops.square(
        ops.mul(
          ops.gather(x, ops.tensor([0, 2, 2, 1], [4], 'int32')),
          ops.gather(x, ops.tensor([1, 1, 0, 2], [4], 'int32')),
        ),
      ),
    concat: (x) => ops.square(ops.concat([x, ops.mul(x, x)])),
  };
  for (const [name, f] of Object.entries(functions)) it(name, () => scope(() => checkSecond(f, at)));

  // Two rows, and numbers to weigh them with, so that nothing cancels out.
  const rows = (x: Tensor) => ops.reshape(ops.concat([x, ops.mul(ops.square(x), 0.7)]), [2, 3]);
  const weighed = (x: Tensor) => ops.mul(ops.square(x), ops.tensor([[1, -2, 0.5]]));
  const kernels: Record<string, (x: Tensor) => Tensor> = {
    'softmaxCrossEntropy of classes': (x) =>
      ops.square(ops.softmaxCrossEntropy(rows(x), ops.tensor([1, 2], [2], 'int32'))),
    'softmaxCrossEntropy of distributions': (x) =>
      ops.square(ops.softmaxCrossEntropy(rows(x), ops.square(ops.flip(rows(x), 1)))),
    layerNormalize: (x) => weighed(ops.layerNormalize(rows(x), { scale: x, offset: ops.mul(x, 2) })),
    rmsNormalize: (x) => weighed(ops.rmsNormalize(rows(x), { offset: x })),
    batchNormalize: (x) => weighed(ops.batchNormalize(rows(x), x, ops.mul(x, 2), 0.1).out),
    normalizeWith: (x) => weighed(ops.normalizeWith(rows(x), x, ops.square(x), x, undefined, 0.1)),
    unitNormalize: (x) => weighed(ops.unitNormalize(rows(x))),
    attention: (x) => {
      const q = ops.reshape(rows(x), [1, 2, 1, 3]);
      return weighed(
        ops.reshape(ops.scaledDotProductAttention(q, ops.square(q), q, { causal: true }), [2, 3]),
      );
    },
  };
  for (const [name, f] of Object.entries(kernels)) it(name, () => scope(() => checkSecond(f, at, 5e-3)));

  // Numbers that depend on x in every operand, of a unit of two numbers over three steps.
  const from = (x: Tensor, shape: readonly number[], phase: number) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const turns = ops.tensor(Float32Array.from({ length: size * 3 }, (_, i) => Math.sin(i * 1.7 + phase)));
    return ops.reshape(ops.matMul(ops.reshape(turns, [size, 3]), ops.reshape(x, [3, 1])), shape);
  };
  const mask = () =>
    ops.tensor([
      [true, true, false],
      [false, true, true],
    ]);
  const unitsOf =
    (kind: ops.RnnKind, options: Partial<ops.RnnOptions>, isMasked = false) =>
    (x: Tensor) => {
      const gates = { simpleTanh: 1, simpleRelu: 1, lstm: 4, gru: 3 }[kind];
      const { y, h, c } = ops.rnn(from(x, [2, 3, 2 * gates], 0), from(x, [2, 2 * gates], 1), {
        kind,
        bias: from(x, kind === 'gru' ? [2, 6] : [2 * gates], 2),
        h0: from(x, [2, 2], 3),
        c0: kind === 'lstm' ? from(x, [2, 2], 4) : undefined,
        mask: isMasked ? mask() : undefined,
        ...options,
      });
      const outputs = [y, h, c].filter((t) => t !== undefined).map((t) => ops.reshape(t, [t.size]));
      const all = ops.concat(outputs as [Tensor]);
      return ops.mul(ops.square(all), ops.tensor(Array.from({ length: all.size }, (_, i) => Math.cos(i))));
    };
  const recurrent: Record<string, (x: Tensor) => Tensor> = {
    simple: unitsOf('simpleTanh', {}),
    'simple with relu, last state only': unitsOf('simpleRelu', { sequences: false }),
    lstm: unitsOf('lstm', {}),
    'lstm backwards, masked': unitsOf('lstm', { backwards: true }, true),
    'lstm without bias and states': unitsOf('lstm', { bias: undefined, h0: undefined, c0: undefined }),
    gru: unitsOf('gru', {}),
    'gru masked': unitsOf('gru', { sequences: false }, true),
  };
  const near = [0.21, -0.17, 0.33];
  for (const [name, f] of Object.entries(recurrent))
    it(`rnn, ${name}`, () => scope(() => checkSecond(f, near, 5e-3)));

  // No two numbers of a window are so near that a difference's step could change which is the largest.
  const image = (x: Tensor, shape: readonly number[]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const apart = ops.tensor(
      Array.from({ length: size }, (_, i) => (i * 7) % size),
      shape,
    );
    return ops.add(from(x, shape, 5), apart);
  };
  const pools: Record<string, (x: Tensor) => Tensor> = {
    maxPool1d: (x) => ops.square(ops.maxPool1d(image(x, [2, 5, 2]))),
    maxPool2d: (x) =>
      ops.square(ops.maxPool2d(image(x, [1, 5, 4, 2]), { poolSize: 3, strides: 2, padding: 'same' })),
    maxPool3d: (x) => ops.square(ops.maxPool3d(image(x, [1, 3, 3, 4, 1]), { poolSize: 2, strides: 1 })),
    avgPool2d: (x) => ops.square(ops.avgPool2d(image(x, [1, 5, 4, 2]), { padding: 'same' })),
  };
  for (const [name, f] of Object.entries(pools)) it(name, () => scope(() => checkSecond(f, near, 5e-3)));

  it('of a maximum go where the first of equals is, and where NaN is', () => {
    const x = ops.tensor([[[3], [3], [Number.NaN], [1]]]);
    const first = (dy: Tensor) => {
      const pull = vjp((v) => ops.maxPool1d(v))(x).pull(ops.reshape(dy, [1, 2, 1]))[0]!;
      // The pulled gradient is linear in dy: its gradient says which place each number of dy went to.
      return ops.sum(ops.mul(pull, ops.tensor([[[1], [10], [100], [1000]]])));
    };
    assert.deepEqual(grad(first)(ops.tensor([1, 1])).arraySync(), [1, 100]);
  });

  it('third ones go through the same ops', () => {
    const unit = (x: Tensor) => ops.sum(unitsOf('simpleTanh', {})(x));
    const second = (x: Tensor) => ops.sum(ops.square(grad(unit)(x)));
    scope(() => checkSecond(second, near, 2e-2));
  });
});

describeFastest('gradients where functions are not smooth', () => {
  const at = (f: (x: Tensor) => Tensor, values: readonly number[]) => [
    ...grad((x) => ops.sum(f(x)))(ops.tensor(values)).dataSync(),
  ];

  it('take the documented side', () => {
    assert.deepEqual(at(ops.relu, [-1, 0, 2]), [0, 0, 1]);
    assert.deepEqual(at(ops.abs, [-1, 0, 2]), [-1, 0, 1]);
    assert.deepEqual(
      at((x) => ops.maximum(x, 1), [0, 1, 2]),
      [0, 1, 1],
    );
    assert.deepEqual(
      at((x) => ops.minimum(x, 1), [0, 1, 2]),
      [1, 1, 0],
    );
    assert.deepEqual(
      at((x) => ops.maximum(1, x), [0, 1, 2]),
      [0, 0, 1],
    );
    assert.deepEqual(
      at((x) => ops.clip(x, -1, 1), [-2, -1, 0, 1, 2]),
      [0, 1, 1, 1, 0],
    );
    assert.deepEqual(
      at((x) => ops.max(x), [3, 1, 3, 2]),
      [0.5, 0, 0.5, 0],
    );
    assert.deepEqual(
      at((x) => ops.pow(x, 0), [0, 2]),
      [0, 0],
    );
    assert.deepEqual(
      at((x) => ops.pow(2, x), [0]).map((v) => v.toFixed(4)),
      ['0.6931'],
    );
    assert.deepEqual(
      at((x) => ops.pow(0, x), [2]),
      [0],
    );
    for (const f of [ops.floor, ops.ceil, ops.round, ops.trunc, ops.sign])
      assert.deepEqual(at(f, [0.3, -1.7]), [0, 0]);
  });
});
