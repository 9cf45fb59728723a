// The workloads that the runner times, with their arithmetic, and who runs them.

/** A thing that is timed: a training step or a prediction. */
export interface Task {
  /** First part of the entries' ids. */
  readonly id: string;
  readonly title: string;
  /** Samples that one step works on. */
  readonly samples: number;
  /** What one step must do at least, for the limit. */
  readonly work: Work;
}

/** Floating-point operations of matrix products and convolutions; or bytes of memory that are only read, or read and written; or nothing that a ceiling is measured for. */
export type Work =
  | { readonly flops: number }
  | { readonly read: number }
  | { readonly updated: number }
  | undefined;

export interface Workload {
  readonly id: string;
  readonly title: string;
  /** Trainable parameters of the model, in each form that is allowed: whoever has others is not timed. */
  readonly parameters: readonly number[];
  readonly tasks: readonly Task[];
  /** Files in bench/peers. */
  readonly peers: readonly string[];
  /** Entries, tasks and peers that are too slow to start or to run for `--quick`. */
  readonly slow: readonly string[];
}

// Layers 784-128 and 128-10: forward, weight gradients, and the second layer's input gradient.
const mlpForward = 2 * (784 * 128 + 128 * 10);
const mlpTraining = 2 * (2 * 784 * 128 + 3 * 128 * 10);
// Convolutions of 9 taps to 26x26x32 and 24x24x64, dense 9216-128 and 128-10; the images need no gradient.
const cnnTraining = 2 * (2 * 26 * 26 * 32 * 9 + 3 * (24 * 24 * 64 * 9 * 32 + 9216 * 128 + 128 * 10));
// For each of 100 steps the inputs' product, without a gradient for the inputs, and the states'; then dense 128-10.
const lstmTraining = 2 * (100 * (2 * 64 * 512 + 3 * 128 * 512) + 3 * 128 * 10);
// For each character four blocks (12 width^2, and scores and sums over all 64 characters, as peers without a causal kernel
// compute them) and the letters' logits.
const gptTraining = 2 * 3 * 64 * (4 * (12 * 128 ** 2 + 2 * 64 * 128) + 128 * 65);

export const workloads: readonly Workload[] = [
  {
    id: 'w1',
    title: 'MLP 784-128-10',
    parameters: [101_770],
    tasks: [
      { id: 'train', title: 'training step, batch 32, Adam', samples: 32, work: { flops: 32 * mlpTraining } },
      { id: 'predict1', title: 'prediction, batch 1', samples: 1, work: { flops: mlpForward } },
      {
        id: 'predict1024',
        title: 'prediction, batch 1024',
        samples: 1024,
        work: { flops: 1024 * mlpForward },
      },
    ],
    peers: [
      'w1_torch.py',
      'w1_torch.py compiled',
      'w1_jax.py',
      'w1_keras.py',
      'w1_onnxruntime.mjs',
      'w1_tfjs.mjs',
      'w1_jaxjs.mjs',
    ],
    slow: ['w1_keras.py', 'w1_torch.py compiled', 'train/cpu', 'predict1024/cpu', 'predict1/cpu'],
  },
  {
    id: 'w2',
    title: 'CNN: conv 32 3x3, conv 64 3x3, pool, dropout, dense 128, dense 10, on 28x28',
    parameters: [1_199_882],
    tasks: [
      { id: 'train', title: 'training step, batch 64, Adam', samples: 64, work: { flops: 64 * cnnTraining } },
    ],
    peers: [
      'w2_torch.py',
      'w2_torch.py compiled',
      'w2_jax.py',
      'w2_tensorflow.py',
      'w2_tfjs.mjs',
      'w2_jaxjs.mjs',
    ],
    slow: ['w2_tensorflow.py', 'w2_jaxjs.mjs', 'w2_torch.py compiled', 'train/jitted'],
  },
  {
    id: 'w3',
    title: 'LSTM 128 over 100 steps of 64 features, dense 10',
    // PyTorch has a second bias for the states.
    parameters: [100_106, 100_618],
    tasks: [
      {
        id: 'train',
        title: 'training step, batch 32, Adam',
        samples: 32,
        work: { flops: 32 * lstmTraining },
      },
    ],
    peers: ['w3_torch.py', 'w3_torch.py compiled', 'w3_jax.py', 'w3_tensorflow.py', 'w3_tfjs.mjs'],
    slow: ['w3_tensorflow.py', 'w3_tfjs.mjs', 'w3_torch.py compiled'],
  },
  {
    id: 'w4',
    title: 'GPT: 4 layers, 4 heads, width 128, 64 characters, 65 letters',
    parameters: [804_096],
    tasks: [
      {
        id: 'train',
        title: 'training step, batch 12, AdamW',
        samples: 12,
        work: { flops: 12 * gptTraining },
      },
    ],
    peers: ['w4_torch.py', 'w4_torch.py compiled', 'w4_jax.py', 'w4_tensorflow.py', 'w4_jaxjs.mjs'],
    slow: ['w4_tensorflow.py', 'w4_torch.py compiled'],
  },
  {
    id: 'ops',
    title: 'Single operations',
    parameters: [],
    tasks: [
      ...[512, 1024, 2048].map((n) => ({
        id: `gemm${n}`,
        title: `matrix product of ${n}x${n} and ${n}x${n}`,
        samples: 1,
        work: { flops: 2 * n ** 3 },
      })),
      { id: 'mulAdd', title: 'a * b + c, 10 M floats', samples: 1, work: { updated: 4 * 4e7 } },
      { id: 'exp', title: 'exp, 10 M floats', samples: 1, work: { updated: 2 * 4e7 } },
      { id: 'sum', title: 'sum, 10 M floats', samples: 1, work: { read: 4e7 } },
      { id: 'softmax', title: 'softmax, 4096x1024', samples: 1, work: { updated: 8 * 4096 * 1024 } },
      { id: 'layerNorm', title: 'layer norm, 4096x1024', samples: 1, work: { updated: 8 * 4096 * 1024 } },
      { id: 'eager', title: 'an op on 4 floats', samples: 1, work: undefined },
    ],
    peers: ['ops_torch.py', 'ops_jax.py', 'ops_numpy.py', 'ops_tfjs.mjs'],
    slow: ['gemm1024', 'gemm2048', 'layerNorm/wasm'],
  },
  {
    id: 'start',
    title: 'From the start of a process to its first prediction',
    parameters: [],
    tasks: [
      { id: 'first', title: 'the process of W1, prediction of one sample', samples: 1, work: undefined },
    ],
    peers: ['start.mjs torch', 'start.mjs onnxruntime', 'start.mjs tfjs', 'start.mjs empty'],
    slow: ['start.mjs torch', 'start.mjs tfjs'],
  },
];
