// Layers of the wider toolbox: Keras' numbers and gradients, models that learn through them.
import assert from 'node:assert/strict';
import { gradientOf } from '../src/autodiff.ts';
import { input, type Layer, layers, model, samples, sequential, setSeed, tensor } from '../src/index.ts';
import type { Attention } from '../src/layers/index.ts';
import * as ops from '../src/ops/index.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { fixture, flat, type Numbers, numbers, twoBackends } from './support/fixtures.ts';

interface LayerCase {
  name: string;
  kind: string;
  options: Record<string, unknown>;
  call: { mask?: boolean[][]; use_causal_mask?: boolean };
  shapes: number[][];
  xs: number[][];
  weights: number[][];
  outputShape: number[];
  y: number[];
  dy: number[];
  dWeights: number[][];
  dxs: number[][];
}

interface SpectralCase {
  name: string;
  kind: string;
  options: Record<string, unknown>;
  powerIterations: number;
  names: string[];
  before: Numbers[];
  after: Numbers[];
  x: Numbers;
  y: Numbers;
}

const { cases, spectral } = fixture<{ cases: LayerCase[]; spectral: SpectralCase[] }>('layers');
const near = { rtol: 1e-5, atol: 2e-5 };
const camel = (name: string) => name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());

type Factories = Record<string, (options: Record<string, unknown>) => Layer>;

/** The layer that Keras' class name and options mean. */
function layerOf({ kind, options, call }: Pick<LayerCase, 'kind' | 'options' | 'call'>): Layer {
  const name = kind[0]!.toLowerCase() + kind.slice(1).replace(/([123])D/, '$1d');
  const own = Object.fromEntries(Object.entries(options).map(([key, value]) => [camel(key), value]));
  const causal = call.use_causal_mask ? { useCausalMask: true } : {};
  return (layers as unknown as Factories)[name]!({ ...own, ...causal });
}

/** Its output; a mask of Keras' is over the values, the same for every query. */
function outputOf(layer: Layer, { call, shapes }: LayerCase, xs: readonly Tensor[]): Tensor {
  if (call.mask === undefined) return layer.apply(xs);
  const queries = shapes[0]![0]!;
  const mask = ops.repeat(ops.expandDims(tensor(call.mask), 1), queries, 1);
  return (layer as Attention).attend(xs[0]!, xs[1]!, { mask });
}

describeBackends(
  'layers as in Keras',
  () => {
    for (const expected of cases) {
      it(expected.name, () => {
        const layer = layerOf(expected);
        layer.ensureBuilt(...expected.shapes);
        scope(() => {
          layer.weights.forEach((weight, i) => {
            weight.assign(tensor(expected.weights[i]!, weight.shape));
          });
          const xs = expected.xs.map((x, i) => tensor(x, [2, ...expected.shapes[i]!]));
          const dy = tensor(expected.dy, [2, ...expected.outputShape]);
          const { result, gradients } = gradientOf(() => {
            const y = outputOf(layer, expected, xs);
            return { loss: ops.sum(ops.mul(y, dy)), result: y };
          }, [...xs, ...layer.weights]);
          assert.deepEqual(result.shape, [2, ...expected.outputShape]);
          close(result.dataSync(), expected.y, near, 'output');
          expected.dxs.forEach((dx, i) => {
            close(gradients[i]!.dataSync(), dx, near, `gradient of input ${i}`);
          });
          layer.weights.forEach((weight, i) => {
            const gradient = gradients[xs.length + i]!.dataSync();
            close(gradient, expected.dWeights[i]!, near, `gradient of ${weight.name}`);
          });
        });
        for (const weight of layer.weights) weight.dispose();
      });
    }

    for (const expected of spectral) {
      it(`spectralNormalization: ${expected.name}`, () => {
        const inner = layerOf({ ...expected, call: {} });
        const { powerIterations } = expected;
        const layer = layers.spectralNormalization({ layer: inner, powerIterations });
        const x = numbers(expected.x);
        layer.ensureBuilt(x.shape.slice(1));
        const named = (name: string) =>
          layer.weights.find((weight) => weight.name.endsWith(name === 'vector_u' ? 'vectorU' : name))!;
        expected.names.forEach((name, i) => {
          named(name).assign(numbers(expected.before[i]!));
        });
        // In prediction the kernel is as it is.
        const plain = inner.apply(x).dataSync();
        close(layer.apply(x).dataSync(), [...plain], near, 'prediction');
        close(layer.apply(x, { training: true }).dataSync(), flat(expected.y), near, 'output');
        expected.names.forEach((name, i) => {
          close(named(name).dataSync(), flat(expected.after[i]!), near, name);
        });
      });
    }

    it('spectralNormalization keeps a kernel at norm 1 while a model learns, and a kernel of zeros', async () => {
      setSeed(4);
      const inner = layers.dense({ units: 3, kernelInitializer: 'randomNormal' });
      const network = sequential({
        layers: [
          layers.spectralNormalization({ layer: inner, powerIterations: 4, inputShape: [3] }),
          layers.dense({ units: 1 }),
        ],
      });
      network.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
      const x = ops.randomNormal([64, 3]);
      await network.fit(x, ops.sum(x, 1, true), { epochs: 4, batchSize: 8, verbose: 0 });
      // After its last division the optimizer has made one small step.
      const kernel = inner.weights[0]!;
      const gram = ops.matMul(kernel, kernel, { transposeA: true });
      let direction: Tensor = ops.ones([3, 1]);
      for (let i = 0; i < 50; i++) {
        const next = ops.matMul(gram, direction);
        direction = ops.div(next, ops.norm(next));
      }
      const largest = ops.norm(ops.matMul(kernel, direction)).item();
      assert.ok(Math.abs(largest - 1) < 0.1, `spectral norm ${largest}`);
      network.dispose();
      const zeros = layers.spectralNormalization({
        layer: layers.dense({ units: 2, kernelInitializer: 'zeros' }),
      });
      assert.deepEqual(zeros.apply(tensor([[1, 2]]), { training: true }).arraySync(), [[0, 0]]);
    });

    it('lambda calls a function, in a model and outside of one', async () => {
      const twice = layers.lambda({ function: (x) => ops.mul(x, 2), inputShape: [3] });
      assert.deepEqual(twice.apply(tensor([[1, 2, 3]])).arraySync(), [[2, 4, 6]]);
      const pooled = layers.lambda({ function: (x) => ops.max(x, 1) });
      assert.deepEqual(pooled.computeOutputShape([5, 4]), [4]);
      const network = sequential({ layers: [twice, layers.dense({ units: 1, kernelInitializer: 'ones' })] });
      const predicted = await network.predict(tensor([[1, 2, 3]]));
      assert.deepEqual(predicted.arraySync(), [[12]]);
      network.dispose();
    });

    it('lambda takes several inputs and knows whether the model is being fitted', () => {
      const [a, b] = [input({ shape: [2] }), input({ shape: [2] })];
      const both = layers.lambda({ function: (_x, _context, all) => ops.concat(all, 1) });
      assert.deepEqual(both.apply([a, b]).shape, [4]);
      const joined = both.apply([tensor([[1, 2]]), tensor([[3, 4]])]);
      assert.deepEqual(joined.arraySync(), [[1, 2, 3, 4]]);
      const flag = layers.lambda({ function: (x, { training }) => (training ? ops.neg(x) : x) });
      assert.deepEqual(flag.apply(tensor([[1]]), { training: true }).arraySync(), [[-1]]);
      assert.deepEqual(flag.apply(tensor([[1]])).arraySync(), [[1]]);
    });

    it('dropout drops what shares a place of its noise shape together', () => {
      setSeed(2);
      const drop = layers.dropout({ rate: 0.5, noiseShape: [null, 1, null] });
      const y = drop.apply(ops.ones([3, 5, 8]), { training: true });
      assert.deepEqual(ops.max(y, 1).arraySync(), ops.min(y, 1).arraySync());
      assert.deepEqual([...new Set(y.dataSync())].sort(), [0, 2]);
      assert.deepEqual(drop.apply(ops.ones([1, 2, 2])).arraySync(), ops.ones([1, 2, 2]).arraySync());
    });

    it('activityRegularization adds to the loss what passes, divided by the batch', async () => {
      const network = sequential({
        layers: [layers.activityRegularization({ l1: 0.5, l2: 0.25, inputShape: [2] })],
      });
      network.compile({ loss: 'meanSquaredError' });
      const x = tensor([
        [1, -2],
        [3, 0],
      ]);
      const { loss } = await network.evaluate(x, x);
      close([loss!], [(0.5 * 6 + 0.25 * 14) / 2], near, 'loss');
      network.dispose();
    });

    it('a model of heads, attention and permutation learns', async () => {
      setSeed(3);
      const x = input({ shape: [6, 8] });
      const heads = layers.einsumDense({
        equation: 'abc,cde->abde',
        outputShape: [null, 2, 4],
        biasAxes: 'de',
      });
      const merged = layers.einsumDense({ equation: 'abde,def->abf', outputShape: [null, 8], biasAxes: 'f' });
      const looked = layers.attention({ useScale: true }).apply([x, merged.apply(heads.apply(x))]);
      const turned = layers.permute({ dims: [2, 1] }).apply(looked);
      const y = layers.dense({ units: 1 }).apply(layers.globalAveragePooling1d().apply(turned));
      const network = model({ inputs: x, outputs: y });
      network.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
      const data = tensor(
        Array.from({ length: 64 * 48 }, (_, i) => Math.sin(i * 1.7)),
        [64, 6, 8],
      );
      const target = ops.mean(data, [1, 2]);
      const history = await network.fit(samples(data), ops.reshape(target, [64, 1]), {
        epochs: 12,
        batchSize: 16,
        verbose: 0,
      });
      const { loss } = history.history;
      assert.ok(loss!.at(-1)! < 0.7 * loss![0]!, `losses ${loss}`);
      network.dispose();
    });
  },
  twoBackends,
);
