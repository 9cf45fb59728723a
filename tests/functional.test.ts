// Functional models: graphs of layers with branches, joins and shared layers, and what is refused.
import assert from 'node:assert/strict';
import { input, layers, model, NablaError, sequential, setSeed, Tensor, tensor } from '../src/index.ts';

const x = () =>
  tensor(
    Float32Array.from({ length: 64 * 6 }, (_, i) => Math.sin(i * 1.7)),
    [64, 6],
  );
const y = () =>
  tensor(
    Float32Array.from({ length: 64 * 2 }, (_, i) => Math.cos(i * 0.3)),
    [64, 2],
  );

describe('functional models', () => {
  it('train exactly like the same layers in a sequential model', async () => {
    setSeed(5);
    const chain = sequential({
      layers: [layers.dense({ units: 8, activation: 'relu', inputShape: [6] }), layers.dense({ units: 2 })],
    });
    chain.compile({ optimizer: 'adam', loss: 'mse' });
    const expected = await chain.fit(x(), y(), { epochs: 3, verbose: 0 });
    setSeed(5);
    const entry = input({ shape: [6] });
    const hidden = layers.dense({ units: 8, activation: 'relu' }).apply(entry);
    const graph = model({ inputs: entry, outputs: layers.dense({ units: 2 }).apply(hidden) });
    graph.compile({ optimizer: 'adam', loss: 'mse' });
    const history = await graph.fit(x(), y(), { epochs: 3, verbose: 0 });
    assert.deepEqual(history.history, expected.history);
    assert.deepEqual(graph.getWeights(), chain.getWeights());
  });

  it('compute branches, joins and residual connections', () => {
    const entry = input({ shape: [3] });
    const doubled = layers.activation({ activation: (t) => t }).apply(entry);
    const joined = layers
      .concatenate()
      .apply([
        layers.add().apply([entry, doubled]),
        layers.subtract().apply([entry, doubled]),
        layers.multiply().apply([entry, doubled]),
        layers.average().apply([entry, doubled, doubled]),
        layers.maximum().apply([entry, doubled]),
        layers.minimum().apply([entry, doubled]),
        layers.dot().apply([entry, doubled]),
      ]);
    assert.deepEqual(joined.shape, [19]);
    const out = model({ inputs: entry, outputs: joined }).predictOnBatch([[1, -2, 3]]);
    const expected = [2, -4, 6, 0, 0, 0, 1, 4, 9, 1, -2, 3, 1, -2, 3, 1, -2, 3, 14];
    assert.deepEqual(
      [...out.dataSync()].map((v) => Math.round(v * 1e5) / 1e5),
      expected,
    );
  });

  it('share the weights of a layer that is applied twice, and sum its gradients', async () => {
    const entry = input({ shape: [6] });
    const shared = layers.dense({ units: 6, useBias: false });
    const network = model({ inputs: entry, outputs: shared.apply(shared.apply(entry)) });
    assert.equal(network.layers.length, 1);
    assert.equal(network.countParams(), 0);
    network.compile({ optimizer: 'sgd', loss: 'mse' });
    const target = tensor(new Float32Array(64 * 6), [64, 6]);
    const { history } = await network.fit(x(), target, { epochs: 4, verbose: 0 });
    assert.equal(network.countParams(), 36);
    assert.ok(history.loss!.at(-1)! < history.loss![0]!, String(history.loss));
  });

  it('run through a graph thousands of layers deep', () => {
    const entry = input({ shape: [2] });
    let value = entry;
    for (let i = 0; i < 3000; i++) value = layers.activation({ activation: 'linear' }).apply(value);
    const out = model({ inputs: entry, outputs: value }).predictOnBatch([[1, 2]]);
    assert.deepEqual(out.arraySync(), [[1, 2]]);
  });

  it('show their layers and shapes in the summary', () => {
    const entry = input({ shape: [4] });
    const side = layers.dense({ units: 4 }).apply(entry);
    const network = model({ inputs: entry, outputs: layers.add().apply([entry, side]), name: 'residual' });
    const text = network.summary({ printFn: () => {} });
    assert.match(text, /Model: "residual"/);
    assert.match(text, /dense \(Dense\)\s+\[batch, 4\]\s+20/);
    assert.match(text, /add \(Add\)\s+\[batch, 4\]\s+0/);
  });

  it('compute eagerly when layers are applied to tensors', () => {
    const sum = layers.add().apply([tensor([[1, 2]]), tensor([[3, 4]])]);
    assert.ok(sum instanceof Tensor);
    assert.deepEqual(sum.arraySync(), [[4, 6]]);
  });

  it('refuse graphs and inputs that do not fit, naming the layer', () => {
    const entry = input({ shape: [4] });
    const other = input({ shape: [4] });
    const cases: [() => unknown, RegExp][] = [
      [() => input({ shape: [0] }), /\[input\] bad shape, got \[0\], expected the dimensions of one sample/],
      [
        () => model({ inputs: entry, outputs: layers.dense({ units: 2 }).apply(other) }),
        /depends on another input/,
      ],
      [() => model({ inputs: entry, outputs: entry }), /no layers, the output is the input/],
      [() => model({ inputs: entry, outputs: 3 as never }), /bad outputs, got 3/],
      [() => layers.add().apply(entry), /\[add\] expected at least two inputs, got 1/],
      [() => layers.subtract().apply([entry, other, entry]), /\[subtract\] expected 2 inputs, got 3/],
      [
        () => layers.add().apply([entry, input({ shape: [3] })]),
        /\[add\] shapes do not broadcast, got \[4\] and \[3\]/,
      ],
      [() => layers.concatenate({ axis: 0 }), /bad axis, got 0/],
      [
        () => layers.concatenate().apply([entry, input({ shape: [2, 2] })]),
        /\[concatenate\] inputs do not fit/,
      ],
      [
        () => layers.dense({ units: 2 }).apply([entry, other]),
        /\[dense\] expected one input, got 2; join them/,
      ],
      [
        () => layers.dense({ units: 2 }).apply('x' as never),
        /\[dense\] expected a tensor with a batch dimension, got x/,
      ],
    ];
    for (const [call, message] of cases) {
      assert.throws(
        call,
        (error: Error) => error instanceof NablaError && message.test(error.message),
        String(call),
      );
    }
  });
});
