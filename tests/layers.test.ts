// Layers of the wider toolbox: Keras' numbers and gradients, what they refuse, models that learn through them.
import assert from 'node:assert/strict';
import { gradientOf } from '../src/autodiff.ts';
import { input, type Layer, layers, model, samples, sequential, setSeed, tensor } from '../src/index.ts';
import type { Attention } from '../src/layers/index.ts';
import * as ops from '../src/ops/index.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';
import { fixture, flat, type Numbers, numbers, oneBackend, twoBackends } from './support/fixtures.ts';

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

describeBackends(
  'layers refuse',
  () => {
    const einsum = (equation: unknown, outputShape: unknown, more: object = {}) =>
      layers.einsumDense({ equation: bad(equation), outputShape: bad(outputShape), ...more });

    it('equations that do not fit', () => {
      assert.throws(() => einsum('ab,bc', 3), says('einsumDense', "bad equation, got 'ab,bc'"));
      assert.throws(() => einsum(3, 3), says('einsumDense', 'bad equation, got 3'));
      assert.throws(() => einsum('...ab,bc->ac', 3), says('einsumDense', 'bad equation'));
      assert.throws(() => einsum('ab,bc->ca', 3), says('einsumDense', 'the batch is lost'));
      assert.throws(() => einsum('ab,abc->ac', 3), says('einsumDense', "the kernel has the batch's letter"));
      assert.throws(() => einsum('ab,bd->ac', 3), says('einsumDense', "'c' in", 'stands alone'));
      assert.throws(() => einsum('ab,bcd->ac', 3), says('einsumDense', "'d' in", 'stands alone'));
      assert.throws(
        () => einsum('abc,cd->abd', 3),
        says('einsumDense', 'bad outputShape, got 3', '2 dimensions'),
      );
      assert.throws(() => einsum('ab,bc->ac', 0), says('einsumDense', 'bad outputShape, got 0'));
      assert.throws(
        () => einsum('ab,bc->ac', 3, { biasAxes: 'd' }),
        says('einsumDense', "bad biasAxes, got 'd'", "'ac'"),
      );
      assert.throws(
        () => einsum('ab,bc->ac', [null]).computeOutputShape([3]),
        says('einsumDense', "the size of 'c' is not known"),
      );
      assert.throws(
        () => einsum('abc,cd->abd', [4, 3]).computeOutputShape([5, 2]),
        says('einsumDense', "'b' has two sizes, got 5 in the input and 4"),
      );
      assert.throws(
        () => einsum('abc,cd->abd', [null, 3]).computeOutputShape([5]),
        says('einsumDense', 'expected samples that', 'got [5]'),
      );
      const built = einsum('...x,xy->...y', 3);
      built.ensureBuilt([4]);
      assert.throws(() => built.computeOutputShape([5]), says('einsumDense', 'the kernel is [4, 3]'));
    });

    it('options and shapes that do not fit', () => {
      assert.throws(() => layers.permute({ dims: [0, 1] }), says('permute', 'bad dims, got [0, 1]'));
      assert.throws(() => layers.permute({ dims: bad(2) }), says('permute', 'bad dims, got 2'));
      assert.throws(
        () => layers.permute({ dims: [2, 1] }).computeOutputShape([3]),
        says('permute', 'expected samples of 2 dimensions, got [3]'),
      );
      assert.throws(
        () => layers.lambda({ function: bad('relu') }),
        says('lambda', "bad function, got 'relu'"),
      );
      assert.throws(
        () => layers.lambda({ function: (x) => ops.sum(x, 0) }).computeOutputShape([3]),
        says('lambda', 'the function lost the batch, got [3]'),
      );
      assert.throws(
        () => layers.lambda({ function: () => bad(3) }).computeOutputShape([3]),
        says('lambda', 'the function gave 3'),
      );
      assert.throws(() => layers.activityRegularization({ l1: -1 }), says('l1', 'bad l1, got -1'));
      assert.throws(
        () => layers.attention({ scoreMode: bad('cosine') }),
        says('attention', "bad scoreMode, got 'cosine'"),
      );
      assert.throws(
        () => layers.additiveAttention({ dropout: 1 }),
        says('additiveAttention', 'bad dropout, got 1'),
      );
      assert.throws(
        () => layers.attention().apply([ops.zeros([1, 2, 3]), ops.zeros([1, 2, 4])]),
        says('attention', 'a value [keys, width]', 'got [2, 3], [2, 4]'),
      );
      assert.throws(
        () => layers.groupQueryAttention({ headDim: 4, numQueryHeads: 3, numKeyValueHeads: 2 }),
        says('multiHeadAttention', 'bad numKeyValueHeads, got 2'),
      );
      assert.throws(
        () => layers.adaptiveMaxPooling2d({ outputSize: 0 }),
        says('adaptiveMaxPooling2d', 'bad outputSize, got 0'),
      );
      assert.throws(
        () => layers.spectralNormalization({ layer: bad('dense') }),
        says('spectralNormalization', "expected a layer, got 'dense'"),
      );
      assert.throws(
        () => layers.spectralNormalization({ layer: layers.dense({ units: 1 }), powerIterations: 0 }),
        says('spectralNormalization', 'bad powerIterations, got 0'),
      );
      assert.throws(
        () => layers.spectralNormalization({ layer: layers.flatten() }).apply(ops.zeros([1, 2])),
        says('spectralNormalization', 'has no kernel'),
      );
      assert.throws(
        () => layers.dropout({ rate: 0.5, noiseShape: [0] }),
        says('dropout', 'bad noiseShape, got [0]'),
      );
      assert.throws(
        () => layers.dropout({ rate: 0.5, noiseShape: [null, 2] }).computeOutputShape([3]),
        says('dropout', 'noiseShape does not fit', '[3]'),
      );
      assert.throws(() => layers.dot({ axes: 0 }), says('dot', 'bad axes, got 0'));
      assert.throws(
        () => layers.dot({ axes: 1 }).apply([ops.zeros([1, 2]), ops.zeros([1, 3])]),
        says('dot', 'expected equal dimensions along axes 1 and 1', '[2] and [3]'),
      );
      assert.throws(
        () => layers.zeroPadding1d({ padding: [1, 2, 3] }),
        says('zeroPadding1d', 'bad padding, got [1, 2, 3]', '[before, behind]'),
      );
      assert.throws(
        () => layers.cropping3d({ cropping: [1, -1, 0] }),
        says('cropping3d', 'bad cropping, got [1, -1, 0]'),
      );
      assert.throws(
        () => layers.cropping1d().computeOutputShape([2, 1]),
        says('cropping1d', 'nothing would be left'),
      );
      assert.throws(
        () => layers.upSampling2d({ interpolation: bad('bicubic') }),
        says('upSampling2d', "bad interpolation, got 'bicubic', expected 'nearest' or 'bilinear'"),
      );
      assert.throws(
        () => layers.upSampling1d(bad({ interpolation: 'bilinear' })),
        says('upSampling1d', "expected 'nearest'"),
      );
      assert.throws(
        () => layers.conv2dTranspose({ filters: 1, kernelSize: 3, strides: 2, outputPadding: 2 }),
        says('conv2dTranspose', 'bad outputPadding, got 2', 'below the strides [2, 2]'),
      );
      assert.throws(
        () => layers.conv2d({ filters: 1, kernelSize: 1, kernelRegularizer: 'l3' }),
        says('conv2d', 'unknown regularizer'),
      );
      assert.throws(
        () => layers.separableConv1d({ filters: 1, kernelSize: 1, pointwiseConstraint: 'none' }),
        says('separableConv1d', 'unknown constraint'),
      );
    });

    it('nothing of what regularizes and limits weights', () => {
      const penalties = { kernelRegularizer: 'l2', biasRegularizer: 'l1', kernelConstraint: 'nonNeg' };
      const depthwise = { depthwiseRegularizer: 'l2', depthwiseConstraint: 'nonNeg' };
      const pointwise = { pointwiseRegularizer: 'l1', pointwiseConstraint: 'unitNorm' };
      const made: Layer[] = [
        layers.conv2d({ filters: 2, kernelSize: 3, ...penalties, biasConstraint: 'nonNeg' }),
        layers.conv2dTranspose({ filters: 2, kernelSize: 3, ...penalties, biasConstraint: 'nonNeg' }),
        layers.depthwiseConv2d({ kernelSize: 3, ...depthwise, useBias: false }),
        layers.separableConv2d({ filters: 2, kernelSize: 3, ...depthwise, ...pointwise, useBias: false }),
        layers.prelu({ alphaRegularizer: 'l2', alphaConstraint: 'nonNeg' }),
        layers.embedding({
          inputDim: 3,
          outputDim: 2,
          embeddingsRegularizer: 'l2',
          embeddingsConstraint: 'unitNorm',
        }),
        layers.layerNormalization({
          gammaRegularizer: 'l1',
          gammaConstraint: 'nonNeg',
          betaRegularizer: 'l2',
          betaConstraint: 'maxNorm',
        }),
      ];
      const heads = layers.multiHeadAttention({
        numHeads: 2,
        keyDim: 2,
        ...penalties,
        biasConstraint: 'nonNeg',
      });
      heads.ensureBuilt([3, 4]);
      for (const layer of [heads, ...made]) {
        layer.ensureBuilt([4, 4, 2]);
        for (const { name, regularizer, constraint } of layer.weights) {
          assert.ok(regularizer !== undefined && constraint !== undefined, name);
        }
      }
    });
  },
  oneBackend,
);
