// What only GPUs are timed on, in our own library: matrix products, convolutions of ResNet-50, and GPT-2's smallest model. BENCH_SIZES says how large.
import type { Tensor } from '../../src/index.ts';
import type { GpuSizes } from '../lib/gpu.ts';
import { uniform } from '../peers/data.mjs';
import type { Entry } from '../peers/protocol.mjs';
import { gptTraining } from './gpt.ts';
import { nabla, serveOwn, trainingEntries } from './own.ts';

const sizes = JSON.parse(process.env.BENCH_SIZES!) as GpuSizes;
const kind = process.env.BENCH_DTYPE === 'bfloat16' ? 'bfloat16' : 'float32';
const [blocks, numHeads, width, time, vocabulary, batch] = sizes.gpt;
const training = gptTraining([blocks, numHeads, width, time, vocabulary], batch, 2);

function drawn(seed: number, shape: readonly number[]): Tensor {
  const numbers = nabla.tensor(
    uniform(
      seed,
      shape.reduce((a, b) => a * b, 1),
    ),
    shape,
  );
  return kind === 'float32' ? numbers : nabla.cast(numbers, kind);
}

/** Waits for all that was queued before it. */
const wait = (result: Tensor) => nabla.slice(nabla.reshape(result, [result.size]), [0], [1]).dataSync();

/** One call a step; the last one's result is waited for. */
const calls =
  (shapes: readonly (readonly number[])[], f: (...operands: Tensor[]) => Tensor): Entry =>
  async () => {
    const operands = shapes.map((shape, i) => drawn(i + 1, shape));
    const run = async (n: number) => {
      let result: Tensor | undefined;
      for (let i = 0; i < n; i++) {
        result?.dispose();
        result = f(...operands);
      }
      wait(result!);
      result!.dispose();
      return { steps: n };
    };
    await run(3);
    return run;
  };

/** Forward, and both gradients: what a layer costs in training. */
function conv([count, size, channels, filters, kernel, stride]: GpuSizes['convs'][number]): Entry {
  const padding = kernel === 1 ? 'valid' : 'same';
  const half = nabla.valueAndGrad((x: Tensor, w: Tensor) =>
    nabla.mul(nabla.sum(nabla.square(nabla.conv2d(x, w, { strides: stride, padding }))), 0.5),
  );
  // One program, of which the gradient by the filter is read.
  const step = nabla.jit((x: Tensor, w: Tensor) => half(x, w).gradients);
  return calls(
    [
      [count, size, size, channels],
      [kernel, kernel, channels, filters],
    ],
    (x, w) => {
      const [dx, dw] = step(x!, w!);
      dx!.dispose();
      return dw!;
    },
  );
}

const entries: Record<string, Entry> = {};
for (const n of sizes.gemm) {
  const shapes = [
    [n, n],
    [n, n],
  ];
  entries[`gemm${n}/matMul`] = calls(shapes, (a, b) => nabla.matMul(a!, b!));
}
sizes.convs.forEach((shape, i) => {
  entries[`conv${i}/conv2d`] = conv(shape);
});
entries['gpt/fit'] = trainingEntries(training)['train/fit']!;
await serveOwn(undefined, entries);
