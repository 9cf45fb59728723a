// Recurrent layers against Keras' numbers, their options, their errors, and that they learn.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { engine, useEngine } from '../src/engine.ts';
import {
  grads,
  initializers,
  type Layer,
  layers,
  matMul,
  mul,
  rnn,
  type Shape,
  sequential,
  setBackend,
  setSeed,
  sum,
  tensor,
} from '../src/index.ts';
import { Philox } from '../src/random.ts';

type Numbers = number | Numbers[];

interface Case {
  name: string;
  layer: 'simpleRNN' | 'lstm' | 'gru' | 'bidirectional' | 'embedding';
  options: { units: number; returnSequences?: boolean; inputDim: number; outputDim: number };
  weights: number[][];
  output: Numbers;
  probe: Numbers;
  byWeights: number[][];
  byInput: Numbers | null;
}

const fixture = JSON.parse(readFileSync(new URL('./fixtures/recurrent.json', import.meta.url), 'utf8')) as {
  x: Numbers;
  indices: Numbers;
  cases: Case[];
};

const flat = (values: Numbers): number[] => (typeof values === 'number' ? [values] : values.flatMap(flat));

function assertNear(got: ArrayLike<number>, wanted: readonly number[], what: string, tolerance = 2e-5): void {
  assert.equal(got.length, wanted.length, what);
  wanted.forEach((value, i) => {
    const off = Math.abs(got[i]! - value);
    assert.ok(off <= tolerance * (1 + Math.abs(value)), `${what}[${i}] is ${got[i]}, expected ${value}`);
  });
}

function make({ layer, options }: Case): Layer {
  if (layer === 'bidirectional') return layers.bidirectional({ layer: layers.lstm(options) });
  if (layer === 'embedding') return layers.embedding(options);
  if (layer === 'simpleRNN') return layers.simpleRNN(options);
  return layer === 'lstm' ? layers.lstm(options) : layers.gru(options);
}

/** Runs `body` on a backend of its own. */
async function on(
  backend: 'native' | 'wasm',
  threads: number,
  body: () => void | Promise<void>,
): Promise<void> {
  const former = engine();
  const mine = await setBackend(backend, { threads });
  try {
    await body();
  } finally {
    mine.close();
    useEngine(former);
  }
}

for (const [backend, threads] of [
  ['native', 1],
  ['native', 2],
  ['wasm', 1],
] as const) {
  describe(`recurrent layers as in Keras, ${backend}, ${threads} thread(s)`, () => {
    for (const wanted of fixture.cases) {
      it(wanted.name, () =>
        on(backend, threads, () => {
          const x = wanted.byInput === null ? tensor(fixture.indices) : tensor(fixture.x);
          const layer = make(wanted);
          layer.ensureBuilt(x.shape.slice(1));
          assert.deepEqual(
            layer.weights.map(({ size }) => size),
            wanted.weights.map(({ length }) => length),
          );
          layer.weights.forEach((weight, i) => {
            weight.assign(tensor(wanted.weights[i]!, weight.shape));
          });
          const output = layer.apply(x);
          assert.deepEqual(output.shape.slice(1), layer.computeOutputShape(x.shape.slice(1)));
          assertNear(output.dataSync(), flat(wanted.output), 'output');
          const probe = tensor(wanted.probe);
          const made = grads(() => sum(mul(layer.apply(x), probe)))(x, ...layer.weights);
          if (wanted.byInput !== null) assertNear(made[0]!.dataSync(), flat(wanted.byInput), 'gradient of x');
          wanted.byWeights.forEach((values, i) => {
            assertNear(made[i + 1]!.dataSync(), values, `gradient of ${layer.weights[i]!.name}`);
          });
        }),
      );
    }
  });
}

const random = new Philox(3);
const draw = (shape: Shape, scale = 1) =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * (2 * random.uniform() - 1)),
    shape,
  );

describe('the op rnn', () => {
  const units = 5;

  it('carries the state over masked steps', () => {
    const input = draw([1, 4, 4 * units]);
    const recurrent = draw([units, 4 * units]);
    const skipping = rnn(input, recurrent, { kind: 'lstm', mask: tensor([[true, false, false, true]]) });
    const numbers = input.dataSync() as Float32Array;
    const kept = Float32Array.of(...numbers.subarray(0, 4 * units), ...numbers.subarray(12 * units));
    const short = rnn(tensor(kept, [1, 2, 4 * units]), recurrent, { kind: 'lstm' });
    assert.deepEqual(skipping.h.dataSync(), short.h.dataSync());
    assert.deepEqual(skipping.c!.dataSync(), short.c!.dataSync());
  });

  it('refuses operands that do not fit', () => {
    assert.throws(() => rnn(draw([2, 3, 7]), draw([5, 20]), { kind: 'lstm' }), /\[rnn\] input does not fit/);
    assert.throws(
      () => rnn(draw([2, 3, 5]), draw([5, 20]), { kind: 'gru' }),
      /recurrent matrix does not fit/,
    );
  });
});

describe('recurrent layers', () => {
  it('initialise the recurrent matrix orthogonally, and the forget gate at 1', () => {
    for (const [rows, columns] of [
      [7, 28],
      [28, 7],
      [16, 16],
    ] as const) {
      const q = initializers.orthogonal()([rows, columns]);
      const product =
        rows < columns ? matMul(q, q, { transposeB: true }) : matMul(q, q, { transposeA: true });
      const n = Math.min(rows, columns);
      const wanted = Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
      assertNear(product.dataSync(), wanted, 'q q^T', 2e-6);
    }
    const layer = layers.lstm({ units: 2 });
    layer.ensureBuilt([3, 4]);
    assert.deepEqual([...layer.weights[2]!.dataSync()], [0, 0, 1, 1, 0, 0, 0, 0]);
  });

  it('have the shapes and parameters of Keras', () => {
    const model = sequential({
      layers: [
        layers.lstm({ units: 128, inputShape: [7, 12] }),
        layers.repeatVector({ n: 4 }),
        layers.lstm({ units: 128, returnSequences: true }),
        layers.timeDistributed({ layer: layers.dense({ units: 12, activation: 'softmax' }) }),
      ],
    });
    model.build([7, 12]);
    assert.equal(model.countParams(), 205_324);
    assert.deepEqual(model.outputShape([7, 12]), [4, 12]);
  });

  it('drop inputs and states while fitting only', async () => {
    setSeed(1);
    const model = sequential({
      layers: [layers.gru({ units: 4, dropout: 0.5, recurrentDropout: 0.5, inputShape: [3, 2] })],
    });
    model.compile({ optimizer: 'sgd', loss: 'mse' });
    const x = draw([8, 3, 2]);
    const first = model.predictOnBatch(x).dataSync();
    assert.deepEqual(model.predictOnBatch(x).dataSync(), first);
    const losses = [];
    for (let i = 0; i < 2; i++) losses.push((await model.trainOnBatch(x, draw([8, 4]))).loss);
    assert.ok(losses.every(Number.isFinite));
  });

  it('say what does not fit', () => {
    assert.throws(
      () => sequential({ layers: [layers.lstm({ units: 4, inputShape: [5] })] }),
      /\[lstm\] expected sequences \[time, features\], got samples of shape \[5\]/,
    );
    assert.throws(() => layers.gru({ units: 0 }), /bad units, got 0/);
    assert.throws(() => layers.lstm({ units: 1, dropout: 1 }), /bad dropout, got 1/);
    assert.throws(() => layers.embedding({ inputDim: 0, outputDim: 1 }), /bad inputDim/);
    const layer = layers.embedding({ inputDim: 3, outputDim: 2 });
    assert.throws(() => layer.apply(tensor([[0, 3]])).dataSync(), /\[embedding\] index out of range, got 3/);
  });

  for (const backend of ['native', 'wasm'] as const) {
    it(`learn to tell which of two marks came first (${backend})`, () =>
      on(backend, 2, async () => {
        setSeed(2);
        const draws = new Philox(5);
        const count = 512;
        const x = new Int32Array(count * 8);
        const y = new Float32Array(count);
        for (let i = 0; i < count; i++) {
          const a = draws.int(4);
          const b = 4 + draws.int(4);
          y[i] = draws.int(2);
          x[i * 8 + a] = y[i] === 1 ? 1 : 2;
          x[i * 8 + b] = y[i] === 1 ? 2 : 1;
        }
        const model = sequential({
          layers: [
            layers.embedding({ inputDim: 3, outputDim: 4, inputShape: [8] }),
            layers.bidirectional({ layer: layers.gru({ units: 8 }) }),
            layers.dense({ units: 1, activation: 'sigmoid' }),
          ],
        });
        model.compile({ optimizer: 'adam', loss: 'binaryCrossentropy', metrics: ['accuracy'] });
        const history = await model.fit(tensor(x, [count, 8]), tensor(y), { epochs: 30, verbose: 0 });
        const reached = history.history.accuracy!.at(-1)!;
        assert.ok(reached > 0.98, `accuracy ${reached}`);
        model.dispose();
      }));
  }
});
