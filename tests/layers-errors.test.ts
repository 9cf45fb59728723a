// What the layers of the wider toolbox refuse, and that options about weights reach them.
import assert from 'node:assert/strict';
import { type Layer, layers } from '../src/index.ts';
import * as ops from '../src/ops/index.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { oneBackend } from './support/fixtures.ts';

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
        () => layers.upSampling2d({ interpolation: bad('cubic') }),
        says('upSampling2d', "unknown interpolation, got 'cubic'", "did you mean 'bicubic'?"),
      );
      assert.throws(
        () => layers.upSampling1d(bad({ interpolation: 'bilinear' })),
        says('upSampling1d', 'expected one of nearest'),
      );
      assert.throws(
        () => layers.conv2dTranspose({ filters: 1, kernelSize: 3, strides: 2, outputPadding: 2 }),
        says('conv2dTranspose', 'bad outputPadding, got 2', 'below the strides [2, 2]'),
      );
      assert.throws(
        () => layers.conv2d({ filters: 1, kernelSize: 1, kernelRegularizer: bad('l3') }),
        says('conv2d', 'unknown regularizer'),
      );
      assert.throws(
        () => layers.separableConv1d({ filters: 1, kernelSize: 1, pointwiseConstraint: bad('none') }),
        says('separableConv1d', 'unknown constraint'),
      );
    });

    it('nothing of what regularizes and limits weights', () => {
      const penalties = {
        kernelRegularizer: 'l2',
        biasRegularizer: 'l1',
        kernelConstraint: 'nonNeg',
      } as const;
      const depthwise = { depthwiseRegularizer: 'l2', depthwiseConstraint: 'nonNeg' } as const;
      const pointwise = { pointwiseRegularizer: 'l1', pointwiseConstraint: 'unitNorm' } as const;
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
