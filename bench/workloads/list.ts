// The workloads that the runner times, with their arithmetic, and who runs them.

/** A thing that is timed: a training step or a prediction. */
export interface Task {
  /** First part of the entries' ids. */
  readonly id: string;
  readonly title: string;
  /** Samples that one step works on. */
  readonly samples: number;
  /** Floating-point operations of one step's matrix products and convolutions. */
  readonly flops: number;
}

export interface Workload {
  readonly id: string;
  readonly title: string;
  readonly tasks: readonly Task[];
  /** Files in bench/peers. */
  readonly peers: readonly string[];
  /** Entries too slow to start or to run for `--quick`. */
  readonly slow: readonly string[];
}

// Layers 784-128 and 128-10: forward, weight gradients, and the second layer's input gradient.
const mlpForward = 2 * (784 * 128 + 128 * 10);
const mlpTraining = 2 * (2 * 784 * 128 + 3 * 128 * 10);

export const workloads: readonly Workload[] = [
  {
    id: 'w1',
    title: 'MLP 784-128-10',
    tasks: [
      { id: 'train', title: 'training step, batch 32, Adam', samples: 32, flops: 32 * mlpTraining },
      { id: 'predict1', title: 'prediction, batch 1', samples: 1, flops: mlpForward },
      { id: 'predict1024', title: 'prediction, batch 1024', samples: 1024, flops: 1024 * mlpForward },
    ],
    peers: ['w1_torch.py', 'w1_jax.py', 'w1_keras.py', 'w1_onnxruntime.mjs', 'w1_tfjs.mjs', 'w1_jaxjs.mjs'],
    slow: ['train/compiled', 'train/cpu', 'predict1024/cpu', 'predict1/cpu'],
  },
];
