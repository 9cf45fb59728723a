// What our own side of every workload has in common: the backend that the command line names, `fit` and `trainOnBatch` over the same batches.
import manifest from '../../package.json' with { type: 'json' };
import type { Model, Tensor } from '../../src/index.ts';
import { type Entry, missing, serve, threads } from '../peers/protocol.mjs';

const backend = process.argv[2] ?? 'native';
process.env.NABLA_BACKEND = backend;
process.env.NABLA_THREADS = String(threads);

// Only now: the library reads the environment.
export const nabla = await import('../../src/index.ts').catch((error: unknown) => missing(error));

// As the runner asks for: `bfloat16`, or the backend's own float32.
if (process.env.BENCH_DTYPE === 'bfloat16') nabla.setDtypePolicy('mixed_bfloat16');

/** What is trained on: `batches` batches of `batch` samples. */
export interface Training {
  /** A compiled model. */
  readonly compiled: () => Model;
  /** Samples and targets of all batches, made anew at each call. */
  readonly data: () => readonly [x: Tensor, y: Tensor];
  readonly batch: number;
  readonly batches: number;
}

/** Whole epochs of `fit`, shuffled anew each epoch. */
const epochs =
  ({ compiled, data, batch, batches }: Training): Entry =>
  async () => {
    const model = compiled();
    const [x, y] = data();
    const run = async (n: number) => {
      const count = Math.ceil(n / batches);
      const { history } = await model.fit(x, y, { epochs: count, batchSize: batch, verbose: 0 });
      return { steps: count * batches, loss: history.loss?.at(-1) };
    };
    await run(1);
    return run;
  };

/** One call from JavaScript a step. */
const steps =
  ({ compiled, data, batches }: Training): Entry =>
  async () => {
    const model = compiled();
    const [xs, ys] = data().map((table) => nabla.split(table, batches)) as [Tensor[], Tensor[]];
    const run = async (n: number) => {
      let loss: number | undefined;
      for (let i = 0; i < n; i++) {
        ({ loss } = await model.trainOnBatch(xs[i % batches]!, ys[i % batches]!));
      }
      return { steps: n, loss };
    };
    await run(2);
    return run;
  };

/** Both ways to train. */
export const trainingEntries = (training: Training): Readonly<Record<string, Entry>> => ({
  'train/fit': epochs(training),
  'train/trainOnBatch': steps(training),
});

function parametersOf(model: Model): number {
  model.build(model.inputShape!);
  return model.trainableWeights.reduce((total, { size }) => total + size, 0);
}

/** Speaks the peers' line protocol. `model`, where there is one, knows its input's shape. */
export async function serveOwn(
  model: Model | undefined,
  entries: Readonly<Record<string, Entry>>,
): Promise<never> {
  const family = backend === 'wasm' ? 'wasm' : 'native';
  const info = { name: `Nabla ${backend}`, version: manifest.version, family } as const;
  return serve(model ? { ...info, parameters: parametersOf(model) } : info, { ...entries });
}
