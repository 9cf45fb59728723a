// Convolution, pooling and image layers: Keras' numbers, errors, fusion, second gradients, and a network that learns.
import assert from 'node:assert/strict';
import { grad, gradientOf } from '../src/autodiff.ts';
import { generateDigits } from '../src/data/digits.ts';
import { NablaError } from '../src/errors.ts';
import { type Layer, layers, samples, sequential, setSeed, tensor } from '../src/index.ts';
import * as ops from '../src/ops/index.ts';
import { kernels } from '../src/program/kernels.ts';
import { scope, type Tensor } from '../src/tensor.ts';
import { describeBackends, describeFastest } from './support/backends.ts';
import { compiled } from './support/compiled.ts';
import { close } from './support/data.ts';
import { fixture, modelBackends, twoBackends } from './support/fixtures.ts';

interface Fixture {
  cases: {
    name: string;
    kind: string;
    options: Record<string, unknown>;
    shape: number[];
    x: number[];
    weights: number[][];
    outputShape: number[];
    y: number[];
    dy: number[];
    dWeights: number[][];
    dx: number[];
  }[];
}

const { cases } = fixture<Fixture>('conv');
const near = { rtol: 1e-5, atol: 2e-5 };
const camel = (name: string) =>
  name === 'keepdims' ? 'keepDims' : name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());

type Factories = Record<string, (options: Record<string, unknown>) => Layer>;

/** The layer that Keras' class name and options mean. */
function layerOf(kind: string, options: Record<string, unknown>): Layer {
  const name = kind[0]!.toLowerCase() + kind.slice(1).replace(/([123])D/, '$1d');
  const own = Object.fromEntries(Object.entries(options).map(([key, value]) => [camel(key), value]));
  return (layers as unknown as Factories)[name]!(own);
}

describeBackends(
  'layers over windows as in Keras',
  () => {
    for (const expected of cases) {
      it(expected.name, () => {
        const layer = layerOf(expected.kind, expected.options);
        assert.deepEqual(layer.computeOutputShape(expected.shape), expected.outputShape);
        layer.ensureBuilt(expected.shape);
        scope(() => {
          layer.weights.forEach((weight, i) => {
            weight.assign(tensor(expected.weights[i]!, weight.shape));
          });
          const x = tensor(expected.x, [2, ...expected.shape]);
          const dy = tensor(expected.dy, [2, ...expected.outputShape]);
          const { result, gradients } = gradientOf(() => {
            const y = layer.apply(x);
            return { loss: ops.sum(ops.mul(y, dy)), result: y };
          }, [x, ...layer.weights]);
          assert.deepEqual(result.shape, [2, ...expected.outputShape]);
          close(result.dataSync(), expected.y, near, 'output');
          close(gradients[0]!.dataSync(), expected.dx, near, 'gradient of the input');
          layer.weights.forEach((weight, i) => {
            close(gradients[i + 1]!.dataSync(), expected.dWeights[i]!, near, `gradient of ${weight.name}`);
          });
        });
        for (const weight of layer.weights) weight.dispose();
      });
    }
  },
  twoBackends,
);

/** What `conv2d` with a kernel of 3x3 and padding 'same' is, as nine matrix products. */
function byTaps(x: Tensor, filter: Tensor, bias: Tensor): Tensor {
  const [batch, height, width, inC] = x.shape as [number, number, number, number];
  const outC = filter.shape[3]!;
  const padded = ops.pad(x, [
    [0, 0],
    [1, 1],
    [1, 1],
    [0, 0],
  ]);
  let y: Tensor = bias;
  for (let tap = 0; tap < 9; tap++) {
    const window = ops.slice(padded, [0, Math.floor(tap / 3), tap % 3, 0], [batch, height, width, inC]);
    const rows = ops.reshape(window, [batch * height * width, inC]);
    const weights = ops.reshape(ops.slice(filter, [Math.floor(tap / 3), tap % 3, 0, 0], [1, 1, inC, outC]), [
      inC,
      outC,
    ]);
    y = ops.add(y, ops.reshape(ops.matMul(rows, weights), [batch, height, width, outC]));
  }
  return y;
}

describeBackends(
  'convolutions of many channels',
  () => {
    const activations = { linear: (y: Tensor) => y, relu: ops.relu, sigmoid: ops.sigmoid };
    for (const activation of ['linear', 'relu', 'sigmoid'] as const) {
      it(`with bias and ${activation} are matrix products of their taps, as are their gradients`, () => {
        setSeed(1);
        const layer = layers.conv2d({
          filters: 19,
          kernelSize: 3,
          padding: 'same',
          activation,
          biasInitializer: 'ones',
        });
        layer.ensureBuilt([11, 9, 18]);
        scope(() => {
          const x = tensor(
            Array.from({ length: 2 * 11 * 9 * 18 }, (_, i) => Math.sin(i * i)),
            [2, 11, 9, 18],
          );
          const filter = layer.weights[0]!;
          const bias = layer.weights[1]!;
          const wanted = gradientOf(() => {
            const y = activations[activation](byTaps(x, filter, bias));
            return { loss: ops.sum(ops.square(y)), result: y };
          }, [x, filter, bias]);
          const got = gradientOf(() => {
            const y = layer.apply(x);
            return { loss: ops.sum(ops.square(y)), result: y };
          }, [x, filter, bias]);
          close(got.result.dataSync(), wanted.result.dataSync(), near, 'output');
          got.gradients.forEach((gradient, i) => {
            close(
              gradient!.dataSync(),
              wanted.gradients[i]!.dataSync(),
              { rtol: 2e-5, atol: 2e-4 },
              `gradient ${i}`,
            );
          });
        });
        for (const weight of layer.weights) weight.dispose();
      });
    }
  },
  twoBackends,
);

describeFastest('convolutions in programs', () => {
  const kernelsOf = (program: ReturnType<typeof compiled>) => program.nodes.map(({ kernel }) => kernel);

  it('take bias and activation in', () => {
    const program = compiled(
      (x, w, b) => ops.relu(ops.add(ops.conv2d(x, w), b)),
      [2, 5, 5, 3],
      [3, 3, 3, 4],
      [4],
    );
    assert.deepEqual(kernelsOf(program), ['conv']);
    const [node] = program.nodes;
    assert.equal(node!.attributes[kernels.conv.attributes.indexOf('activation')], 1);
    assert.equal(node!.inputs[2]!.size, 4);
  });

  it('are matrix products where windows are single elements', () => {
    const f = (x: Tensor, w: Tensor, b: Tensor) => ops.tanh(ops.add(ops.conv2d(x, w), b));
    assert.deepEqual(kernelsOf(compiled(f, [2, 5, 5, 3], [1, 1, 3, 4], [4])), ['gemm']);
  });

  it('have second gradients', () => {
    const x = tensor(
      Array.from({ length: 2 * 5 * 6 * 2 }, (_, i) => Math.sin(i)),
      [2, 5, 6, 2],
    );
    const filter = tensor(
      Array.from({ length: 3 * 2 * 2 * 3 }, (_, i) => Math.cos(i)),
      [3, 2, 2, 3],
    );
    // y is linear in the filter: the gradient of |dx|^2, dx that of sum(y^2), has a factor of 4 and a third power in it.
    const energy = (w: typeof filter) =>
      ops.sum(
        ops.square(grad((a) => ops.sum(ops.square(ops.conv2d(a, w, { strides: 2, padding: 'same' }))))(x)),
      );
    const slope = grad(energy)(filter).dataSync();
    const at = filter.dataSync();
    for (const i of [0, 7, 35]) {
      const moved = (step: number) =>
        energy(
          tensor(
            Array.from(at, (v, j) => (j === i ? v + step : v)),
            filter.shape,
          ),
        ).item();
      const expected = (moved(0.02) - moved(-0.02)) / 0.04;
      assert.ok(
        Math.abs(slope[i]! - expected) < 0.01 * Math.max(1, Math.abs(expected)),
        `${slope[i]} ${expected}`,
      );
    }
  });

  it('of pooling are differentiable again', () => {
    const x = tensor([1, 2, 3, 4], [1, 2, 2, 1]);
    const first = (v: typeof x) => grad((u) => ops.sum(ops.square(ops.maxPool2d(u))))(v);
    // dx is 2 max at the maximum, its square 4 max^2, the gradient of that 8 max.
    const most = grad((v) => ops.sum(ops.square(first(v))))(x);
    close(most.dataSync(), [0, 0, 0, 32], near, 'second gradient of maxima');
    const average = grad((v) => ops.sum(ops.square(grad((u) => ops.sum(ops.square(ops.avgPool2d(u))))(v))))(
      x,
    );
    // y = s / 4, dx = 2y / 4 = s / 8, sum of dx^2 over 4 = s^2 / 16, gradient s / 8.
    close(average.dataSync(), [1.25, 1.25, 1.25, 1.25], near, 'second gradient of averages');
  });

  it("give the maximum's gradient to the first of equals", () => {
    const slope = grad((x) => ops.sum(ops.maxPool2d(x)))(tensor([3, 3, 3, 3], [1, 2, 2, 1]));
    assert.deepEqual([...slope.dataSync()], [1, 0, 0, 0]);
  });
});

describeFastest('errors of convolutions', () => {
  const refuses = (body: () => unknown, text: RegExp) =>
    assert.throws(body, (error) => error instanceof NablaError && text.test(error.message));
  const image = () => ops.zeros([1, 5, 5, 3]);

  it('name the layer, what it got and what to do', () => {
    refuses(() => layers.conv2d({ filters: 0, kernelSize: 3 }), /\[conv2d\] bad filters, got 0/);
    refuses(
      () => layers.conv2d({ filters: 1, kernelSize: [3] }),
      /\[conv2d\] bad kernelSize, got \[3\], expected an integer >= 1 or 2/,
    );
    refuses(
      () => layers.conv2d({ filters: 1, kernelSize: 3, padding: 'causal' }),
      /\[conv2d\] bad padding, got 'causal', expected 'valid' or 'same'/,
    );
    refuses(
      () => layers.conv2d({ filters: 1, kernelSize: 3, name: 'c' }).computeOutputShape([28, 28]),
      /\[c\] expected samples \[height, width, channels\], got \[28, 28\]; add layers.reshape\({ targetShape: \[28,28,1\] }\)/,
    );
    refuses(
      () => layers.conv2d({ filters: 4, kernelSize: 7 }).computeOutputShape([5, 5, 1]),
      /the window does not fit, got input \[5, 5\] and window \[7, 7\].*padding 'same'/,
    );
    refuses(
      () => layers.conv2d({ filters: 4, kernelSize: 3, groups: 2 }).computeOutputShape([5, 5, 3]),
      /multiples of groups, got 3, 4 and 2/,
    );
    refuses(
      () => layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, dilationRate: 2 }),
      /strides and dilationRate are both above 1/,
    );
    refuses(() => layers.maxPooling2d({ poolSize: 2.5 }), /\[maxPooling2d\] bad poolSize, got 2.5/);
    refuses(() => layers.cropping2d({ cropping: 3 }).computeOutputShape([5, 5, 1]), /nothing would be left/);
    refuses(() => layers.zeroPadding2d({ padding: -1 }), /\[zeroPadding2d\] bad padding, got -1/);
  });

  it('name the op', () => {
    refuses(() => ops.conv2d(image(), ops.zeros([3, 3, 2, 4])), /\[conv2d\] channels do not fit/);
    refuses(
      () => ops.conv2d(ops.zeros([5, 5, 3]), ops.zeros([3, 3, 3, 4])),
      /\[conv2d\] expected input \[batch/,
    );
    refuses(
      () => ops.conv2dTranspose(image(), ops.zeros([3, 3, 3, 4])),
      /\[conv2dTranspose\] channels do not fit/,
    );
    refuses(() => ops.maxPool2d(ops.zeros([5, 5, 3])), /\[maxPool2d\] expected input \[batch/);
  });
});

describeBackends(
  'a convolutional network',
  () => {
    it('learns generated digits in ten epochs', async () => {
      setSeed(1);
      const count = 1536;
      const digits = generateDigits({ count, seed: 7 });
      const model = sequential({
        layers: [
          layers.reshape({ targetShape: [28, 28, 1], inputShape: [28, 28] }),
          layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu' }),
          layers.maxPooling2d(),
          layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu' }),
          layers.maxPooling2d(),
          layers.flatten(),
          layers.dropout({ rate: 0.2 }),
          layers.dense({ units: 10, activation: 'softmax' }),
        ],
      });
      model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
      const x = samples(tensor(digits.images, [count, 28, 28]), { scale: 1 / 255 });
      const y = samples(tensor(digits.labels), { oneHot: 10 });
      const history = await model.fit(x, y, {
        epochs: 10,
        batchSize: 32,
        validationSplit: 1 / 6,
        verbose: 0,
      });
      const reached = history.history.val_accuracy!.at(-1)!;
      assert.ok(reached > 0.8, `validation accuracy ${reached}`);
      model.dispose();
    });
  },
  modelBackends,
);
