// Ops on indices, order, products over named dimensions and images against NumPy, JAX, SciPy and PyTorch (scripts/fixtures/tensor_ops.py).
import assert from 'node:assert/strict';
import { valueAndGrad } from '../src/autodiff.ts';
import { NablaError } from '../src/errors.ts';
import { jit } from '../src/jit.ts';
import * as ops from '../src/ops/index.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { describeFastest } from './support/backends.ts';
import { fixture, flat, type Numbers } from './support/fixtures.ts';

interface Entry {
  readonly inputs: Numbers[];
  readonly output: Numbers;
  readonly shape: number[];
  readonly gradients?: Numbers[];
}

const { cases } = fixture<{ cases: Record<string, Entry> }>('tensor_ops');

const int = (values: Numbers) => ops.tensor(values, undefined, 'int32');
const places = () =>
  int([
    [2, 0, 1],
    [1, 1, 0],
  ]);
type Op = (...xs: Tensor[]) => Tensor;

const table: Record<string, Op> = {
  'tensordot 1': (a, b) => ops.tensordot(a!, b!, 1),
  'tensordot 2': (a, b) => ops.tensordot(a!, b!),
  'tensordot pairs': (a, b) =>
    ops.tensordot(a!, b!, [
      [2, 0],
      [0, 1],
    ]),
  'cumsum 1': (x) => ops.cumsum(x!, 1),
  'cumsum reverse': (x) => ops.cumsum(x!, 0, false, true),
  'cumsum exclusive': (x) => ops.cumsum(x!, 0, true),
  'cumprod 0': (x) => ops.cumprod(x!),
  'cummax 1': (x) => ops.cummax(x!, 1),
  'cummax reverse': (x) => ops.cummax(x!, 1, true),
  'logCumsumExp 1': (x) => ops.logCumsumExp(x!, 1),
  'sort 1': (x) => ops.sort(x!),
  'sort descending': (x) => ops.sort(x!, 0, true),
  'argsort 0': (x) => ops.argsort(x!, 0),
  'topK values': (x) => ops.topK(x!, 3).values,
  'topK indices': (x) => ops.topK(x!, 3).indices,
  'takeAlongAxis 0': (x) => ops.takeAlongAxis(x!, places(), 0),
  'gather 1': (x) => ops.gather(x!, places(), 1),
  gatherND: (x) => ops.gatherND(x!, ops.slice(places(), [0, 0], [2, 2])),
  scatterND: (u) =>
    ops.scatterND(
      int([
        [1, 0],
        [2, 3],
        [1, 0],
      ]),
      u!,
      [3, 4, 2],
    ),
  stridedSlice: (x) => ops.stridedSlice(x!, [1, undefined, -3], [5, undefined, undefined], [2, -1]),
  'stridedSlice backwards': (x) => ops.stridedSlice(x!, [-2, 10], [0, 1], [-3, -2]),
  'roll all': (x) => ops.roll(x!, 2),
  'roll axes': (x) => ops.roll(x!, [1, -2], [0, 1]),
  'repeat 1': (x) => ops.repeat(x!, 3, 1),
  'repeat each': (x) => ops.repeat(x!, [2, 0, 3], 1),
  tril: (x) => ops.tril(x!, 1),
  triu: (x) => ops.triu(x!, -1),
  'diag of a vector': (x) => ops.diag(x!, 2),
  'diag of a matrix': (x) => ops.diag(x!, -1),
  trace: (x) => ops.trace(x!, 1),
  'meshgrid xy': (a, b) => ops.stack(ops.meshgrid([a!, b!])),
  'meshgrid ij': (a, b, c) => ops.stack(ops.meshgrid([a!, b!, c!], 'ij')),
  'pad reflect': (x) => ops.pad(x!, around, 'reflect'),
  'pad symmetric': (x) => ops.pad(x!, around, 'symmetric'),
  'pad edge': (x) => ops.pad(x!, around, 'edge'),
  'pad reflect far': (x) => ops.pad(x!, [[5, 4]], 'reflect'),
  hypot: (a, b) => ops.hypot(a!, b!),
  logAddExp: (a, b) => ops.logAddExp(a!, b!),
  sinc: (x) => ops.sinc(x!),
  log2: (x) => ops.log2(x!),
  log10: (x) => ops.log10(x!),
  exp2: (x) => ops.exp2(x!),
  erfc: (x) => ops.erfc(x!),
};

const around = [
  [2, 1],
  [0, 3],
] as const;

/** The op that a fixture's name says. */
function opOf(name: string): Op {
  const known = table[name];
  if (known) return known;
  const [op, ...words] = name.split(' ');
  if (op === 'einsum') return (...xs) => ops.einsum(words.join(''), ...xs);
  const size = words.slice(-2).map(Number) as [number, number];
  const resize = op === 'resizeBilinear' ? ops.resizeBilinear : ops.resizeNearestNeighbor;
  return (x) => resize(x!, size, words[0] === 'corners', words[0] === 'half');
}

const weights = (shape: readonly number[]) => {
  const size = shape.reduce((a, b) => a * b, 1);
  return ops.tensor(
    Float32Array.from({ length: size }, (_, i) => (i % 7) * 0.25 + 0.5),
    shape,
  );
};

function near(got: Tensor, expected: Numbers, what: string): void {
  const wanted = flat(expected);
  const numbers = got.dataSync();
  assert.equal(numbers.length, wanted.length, `${what}: size`);
  wanted.forEach((value, i) => {
    // Relative, also where results are tiny, such as erfc's; gradients of sums have a size of about 1.
    const allowed = 2e-5 * Math.abs(value) + (what.startsWith('erfc') ? 1e-30 : 2e-6);
    assert.ok(
      Math.abs(numbers[i]! - value) <= allowed,
      `${what}[${i}]: got ${numbers[i]}, expected ${value}`,
    );
  });
}

describeFastest('ops beside NumPy, JAX and PyTorch', () => {
  for (const [name, entry] of Object.entries(cases)) {
    it(name, () => {
      scope(() => {
        const f = opOf(name);
        const inputs = entry.inputs.map((values) => ops.tensor(values));
        const out = f(...inputs);
        assert.deepEqual(out.shape, entry.shape);
        near(out, entry.output, name);
        near(jit(f)(...inputs), entry.output, `${name} in jit`);
        if (entry.gradients === undefined) return;
        const loss: Op = (...xs) => ops.sum(ops.mul(f(...xs), weights(entry.shape)));
        const { gradients } = valueAndGrad(loss)(...inputs);
        entry.gradients.forEach((expected, i) => {
          near(gradients[i]!, expected, `${name} gradient`);
        });
      });
    });
  }
});

const list = (t: Tensor) => [...t.dataSync()];
const nan = Number.NaN;

describeFastest('ops with results of their own', () => {
  it('sort puts NaN last in either order and keeps equals in theirs', () => {
    const x = ops.tensor([3, nan, -1, 3, 0, -0]);
    assert.deepEqual(list(ops.sort(x)), [-1, 0, -0, 3, 3, nan]);
    assert.deepEqual(list(ops.argsort(x)), [2, 4, 5, 0, 3, 1]);
    assert.deepEqual(list(ops.argsort(x, 0, true)), [0, 3, 4, 5, 2, 1]);
    assert.deepEqual(list(ops.sort(ops.tensor([true, false, true]))), [0, 1, 1]);
  });

  it('unique finds values, places and counts', () => {
    const { values, indices, counts } = ops.unique(int([5, 2, 5, 9, 2, 5]));
    assert.deepEqual(
      [list(values), list(indices), list(counts)],
      [
        [2, 5, 9],
        [1, 0, 1, 2, 0, 1],
        [2, 3, 1],
      ],
    );
    assert.equal(values.dtype, 'int32');
    assert.deepEqual(list(ops.unique(ops.tensor([nan, 1, nan])).counts), [1, 2]);
  });

  it('inTopK counts equals in favour', () => {
    const predictions = ops.tensor([
      [0.1, 0.8, 0.1],
      [0.3, 0.3, 0.4],
      [nan, 1, 2],
    ]);
    assert.deepEqual(list(ops.inTopK(predictions, int([1, 0, 0]), 1)), [1, 0, 0]);
    assert.deepEqual(list(ops.inTopK(predictions, int([0, 0, 2]), 2)), [1, 1, 1]);
  });

  it('searchSorted and bincount', () => {
    const edges = ops.tensor([1, 2, 2, 5]);
    const values = ops.tensor([0, 2, 3, 9]);
    assert.deepEqual(list(ops.searchSorted(edges, values)), [0, 1, 3, 4]);
    assert.deepEqual(list(ops.searchSorted(edges, values, 'right')), [0, 3, 3, 4]);
    assert.deepEqual(list(ops.bincount(int([1, 3, 1, 0]), 5)), [1, 2, 0, 1, 0]);
    assert.deepEqual(list(ops.bincount(int([1, 3, 1]), 4, ops.tensor([0.5, 2, 0.25]))), [0, 0.75, 0, 2]);
  });

  it('qr gives orthonormal columns and a triangle', () => {
    for (const shape of [
      [5, 3],
      [3, 5],
      [4, 4],
      [2, 4, 3],
      [0, 3],
    ]) {
      for (const full of [false, true]) {
        const x = ops.randomNormal(shape);
        const { q, r } = ops.qr(x, full);
        near(ops.matMul(q, r), x.arraySync(), `${shape}`);
        const k = q.shape.at(-1)!;
        const one = ops.broadcastTo(ops.eye(k), [...shape.slice(0, -2), k, k]);
        if (x.size > 0) near(ops.matMul(q, q, { transposeA: true }), one.arraySync(), `${shape} q`);
        assert.deepEqual(list(ops.triu(r)), list(r));
      }
    }
  });

  it('random choices have their probabilities, permutations every number once', () => {
    ops.setSeed(5);
    const drawn = ops.randomCategorical(ops.log(ops.tensor([[0.1, 0.6, 0.3]])), 20_000);
    const shares = list(ops.bincount(drawn, 3)).map((n) => n / 20_000);
    [0.1, 0.6, 0.3].forEach((p, i) => {
      assert.ok(Math.abs(shares[i]! - p) < 0.02, `${shares}`);
    });
    const order = list(ops.randomPermutation(1000));
    assert.notDeepEqual(
      order,
      [...order].sort((a, b) => a - b),
    );
    assert.deepEqual(
      [...order].sort((a, b) => a - b),
      [...order.keys()],
    );
    const shuffled = list(ops.shuffle(ops.tensor([1, 2, 3, 4])));
    assert.deepEqual(shuffled.sort(), [1, 2, 3, 4]);
  });

  it('numbers that are not finite', () => {
    const inf = Number.POSITIVE_INFINITY;
    const x = ops.tensor([nan, inf, -inf, 2]);
    assert.deepEqual(list(ops.isInf(x)), [0, 1, 1, 0]);
    assert.deepEqual(list(ops.nanToNum(x, 7, 100, -100)), [7, 100, -100, 2]);
    assert.deepEqual(list(ops.hypot(ops.tensor([3e30, 0, inf]), ops.tensor([4e30, 0, 1]))).map(Math.fround), [
      Math.fround(5e30),
      0,
      inf,
    ]);
    assert.deepEqual(list(ops.logAddExp(ops.tensor([-inf, inf]), -inf)), [-inf, inf]);
    assert.deepEqual(
      list(
        ops.countNonZero(
          ops.tensor([
            [0, 1],
            [2, nan],
          ]),
          1,
        ),
      ),
      [1, 2],
    );
  });

  it('clip by norms', () => {
    const x = ops.tensor([3, 4]);
    near(ops.clipByNorm(x, 1), [0.6, 0.8], 'clipByNorm');
    assert.deepEqual(list(ops.clipByNorm(x, 10)), [3, 4]);
    const { clipped, globalNorm } = ops.clipByGlobalNorm([x, ops.tensor([12])], 6.5);
    assert.equal(globalNorm.item(), 13);
    near(ops.concat(clipped), [1.5, 2, 6], 'clipByGlobalNorm');
  });

  it('maximum and minimum of several, addN, moments, unstack, swapAxes, moveAxis', () => {
    const [a, b, c] = [ops.tensor([1, 5]), ops.tensor([4, 2]), ops.tensor([3, 9])];
    assert.deepEqual(list(ops.maximum(a, b, c)), [4, 9]);
    assert.deepEqual(list(ops.minimum(a, b, 3, c)), [1, 2]);
    assert.deepEqual(list(ops.addN([a, b, c])), [8, 16]);
    const { mean, variance } = ops.moments(a);
    assert.deepEqual([mean.item(), variance.item()], [3, 4]);
    assert.deepEqual(
      ops.unstack(ops.zeros([2, 3, 4]), 1).map((t) => t.shape),
      [
        [2, 4],
        [2, 4],
        [2, 4],
      ],
    );
    assert.deepEqual(ops.swapAxes(ops.zeros([2, 3, 4]), 0, -1).shape, [4, 3, 2]);
    assert.deepEqual(ops.moveAxis(ops.zeros([2, 3, 4]), 0, -1).shape, [3, 4, 2]);
  });

  it('errors name the op, what it got and what it wants', () => {
    const x = ops.ones([2, 3]);
    const wrong: [RegExp, () => unknown][] = [
      [/\[einsum\] sizes of 'j'.*got 3 and 2/, () => ops.einsum('ij,jk->ik', x, x)],
      [/\[einsum\] 'k' in the output/, () => ops.einsum('ij->ik', x)],
      [/\[einsum\] 'ijk' in .* names 3 dimensions, got a tensor of 2/, () => ops.einsum('ijk->i', x)],
      [/\[einsum\] bad equation/, () => ops.einsum('i j+', x)],
      [/\[topK\] bad k, got 4, expected.*3/, () => ops.topK(x, 4)],
      [/\[sort\] a scalar has no axis/, () => ops.sort(ops.tensor(1))],
      [/\[cumsum\] axis out of range/, () => ops.cumsum(x, 2)],
      [/\[takeAlongAxis\] indices do not fit/, () => ops.takeAlongAxis(x, int([[1]]), 1)],
      [/out of range, got -1/, () => ops.takeAlongAxis(x, int([[1], [3]]), 1)],
      [/\[gather\] index out of range/, () => ops.gather(x, int([3]), 1)],
      [/index out of range/, () => ops.gatherND(x, int([[1, 3]]))],
      [/\[scatterND\] updates do not fit/, () => ops.scatterND(int([[1]]), x, [2, 3])],
      [/\[stridedSlice\] bad bounds/, () => ops.stridedSlice(x, [0], [1], [0])],
      [
        /\[pad\] unknown mode, got 'wrap'/,
        () =>
          ops.pad(
            x,
            [
              [1, 1],
              [0, 0],
            ],
            'wrap' as 'edge',
          ),
      ],
      [/\[resizeBilinear\] bad size/, () => ops.resizeBilinear(ops.ones([2, 2, 1]), [0, 2])],
      [/exclude each other/, () => ops.resizeBilinear(ops.ones([2, 2, 1]), [1, 2], true, true)],
      [/\[resizeBicubic\] bad size, got \[0,2\]/, () => ops.resizeBicubic(ops.ones([2, 2, 1]), [0, 2])],
      [/\[resizeLanczos\] expected images/, () => ops.resizeLanczos(ops.ones([2, 2]), [1, 2])],
      [/\[resizeLanczos\] images of no pixels/, () => ops.resizeLanczos(ops.ones([0, 2, 1]), [1, 2])],
      [
        /\[resizeLanczos\] bad radius, got 4, expected 3 or 5/,
        () => ops.resizeLanczos(ops.ones([2, 2, 1]), [1, 2], { radius: 4 as 3 }),
      ],
      [/\[tril\] expected matrices/, () => ops.tril(ops.tensor([1]))],
      [/\[qr\] expected float32 matrices/, () => ops.qr(ops.tensor([1]))],
      [/\[unique\]|numbers of a tensor are not known/, () => jit((t: Tensor) => ops.unique(t).values)(x)],
    ];
    for (const [message, f] of wrong) {
      assert.throws(
        f,
        (error: Error) => error instanceof NablaError && message.test(error.message),
        `${message}`,
      );
    }
  });
});

describeFastest('methods of tensors', () => {
  it('chain and are typed', () => {
    const x = ops.tensor([
      [1, 2],
      [3, 4],
    ]);
    assert.equal(x.mul(2).add(1).sum().item(), 24);
    assert.deepEqual(x.matMul(x).transpose().arraySync(), [
      [7, 15],
      [10, 22],
    ]);
    const hits: Tensor<'bool'> = x.greater(2);
    assert.deepEqual(list(hits.cast('int32')), [0, 0, 1, 1]);
    assert.deepEqual(list(x.argMax(0)), [1, 1]);
    assert.deepEqual(x.reshape([-1]).slice([1], [2]).arraySync(), [2, 3]);
  });

  it('give what the functions of their names give', () => {
    const x = ops.tensor([[0.3, 0.7]]);
    const names = Object.getOwnPropertyNames(Object.getPrototypeOf(Object.getPrototypeOf(x)));
    const functions = ops as unknown as Record<string, (...args: unknown[]) => unknown>;
    for (const name of names) {
      if (name === 'constructor') continue;
      assert.equal(typeof functions[name], 'function', `${name} is an op`);
    }
    for (const name of [
      'exp',
      'sqrt',
      'neg',
      'sigmoid',
      'relu',
      'cumsum',
      'sort',
      'flatten',
      'softmax',
      'norm',
    ] as const) {
      assert.deepEqual(x[name]().dataSync(), (functions[name]!(x) as Tensor).dataSync());
    }
  });
});
