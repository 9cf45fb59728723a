// What is to be reached: a share of a peer's time in the same run. The times are those that peers took when the goals were set, on
// two cores with AVX-512; only their ratio to the goal counts.

/** What one task must reach on so many threads. */
export interface Goal {
  readonly threads: number;
  readonly family: 'native' | 'wasm';
  /** The peers' milliseconds at that time, the one to compare with first; where it is absent, the next. Empty: the best peer of the run. */
  readonly peers: Readonly<Record<string, number>>;
  /** Milliseconds to reach beside those; with no peers: the share of the best peer's time. */
  readonly must?: number;
  /** Milliseconds to reach in themselves. */
  readonly absolute?: number;
}

const native = (threads: number, must: number, peers: Goal['peers']): Goal => ({
  threads,
  family: 'native',
  peers,
  must,
});
const wasm = (must: number, peers: Goal['peers']): Goal => ({ threads: 1, family: 'wasm', peers, must });

/** Milliseconds of `samples` at so many a second. */
const rate = (samples: number, perSecond: number) => (1000 * samples) / perSecond;
const gemm = (n: number) => {
  const ms = (gflops: number) => (2 * n ** 3) / (gflops * 1e6);
  return [
    native(1, ms(165), { PyTorch: ms(164) }),
    native(2, ms(325), { PyTorch: ms(328) }),
    wasm(ms(30), { 'TF.js': ms(26) }),
  ];
};
const equalToBest = [native(1, 1, {}), native(2, 1, {}), wasm(0.5, {})];

/** Goals by `workload/task`. */
export const goals: Readonly<Record<string, readonly Goal[]>> = {
  'w1/train': [
    native(1, 0.15, { JAX: 0.2, PyTorch: 0.65 }),
    native(2, 0.11, { JAX: 0.2, PyTorch: 0.57 }),
    wasm(0.6, { 'jax-js': 1.82, 'TF.js': 7.9 }),
  ],
  'w1/predict1': [
    native(1, rate(1, 130_000), { 'onnxruntime-node': rate(1, 66_900) }),
    native(2, rate(1, 130_000), { 'onnxruntime-node': rate(1, 66_500) }),
    wasm(rate(1, 60_000), { 'jax-js': rate(1, 18_700) }),
  ],
  'w1/predict1024': [
    native(1, rate(1024, 900_000), { 'onnxruntime-node': rate(1024, 725_000) }),
    native(2, rate(1024, 1_600_000), { 'onnxruntime-node': rate(1024, 1_338_000) }),
    wasm(rate(1024, 200_000), { 'jax-js': rate(1024, 89_600) }),
  ],
  'w2/train': [
    native(1, 36, { PyTorch: 71.2, TensorFlow: 82, JAX: 179 }),
    native(2, 20, { TensorFlow: 31.3, PyTorch: 39.4 }),
    wasm(200, { 'jax-js': 11_741 }),
  ],
  'w3/train': [
    native(1, 13, { PyTorch: 17.4, TensorFlow: 33, JAX: 45 }),
    native(2, 8, { PyTorch: 11.8 }),
    wasm(80, { 'TF.js': 960 }),
  ],
  'w4/train': [
    native(1, 30, { PyTorch: 44, JAX: 113 }),
    native(2, 17, { PyTorch: 28.7 }),
    wasm(150, { 'jax-js': 321 }),
  ],
  'ops/gemm512': gemm(512),
  'ops/gemm1024': gemm(1024),
  'ops/gemm2048': gemm(2048),
  'ops/mulAdd': equalToBest,
  'ops/exp': equalToBest,
  'ops/sum': equalToBest,
  'ops/softmax': equalToBest,
  'ops/layerNorm': equalToBest,
  'ops/eager': [{ threads: 1, family: 'native', peers: {}, absolute: 400e-6 }],
  // Above an empty Node, which is taken off.
  'start/first': [{ threads: 1, family: 'native', peers: {}, absolute: 30 }],
};
