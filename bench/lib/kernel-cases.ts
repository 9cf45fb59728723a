// The kernels that bench/kernels.ts times, each with its work in operations or bytes.
import { Executable, engine, Storage } from '../../src/engine.ts';
import {
  add,
  conv2d,
  exp,
  grads,
  jit,
  matMul,
  mul,
  optimizers,
  type RnnKind,
  randomUniform,
  relu,
  rnn,
  softmax,
  sum,
  type Tensor,
} from '../../src/index.ts';
import { Graph } from '../../src/program/graph.ts';

/** One kernel on one size. */
export interface KernelCase {
  /** `family/details`. */
  readonly name: string;
  /** Work of a call: floating-point operations, or bytes read and written. */
  readonly work: number;
  readonly unit: 'GFLOP/s' | 'GB/s';
  /** Makes the operands and gives the call. */
  readonly make: () => { call: () => void; dispose: () => void };
}

/** A case of an op that gives a tensor. Operands are random in [0, 1). */
function op(
  name: string,
  unit: KernelCase['unit'],
  work: number,
  shapes: readonly number[][],
  f: (...operands: Tensor[]) => Tensor,
): KernelCase {
  const make = () => {
    const operands = shapes.map((shape) => randomUniform(shape));
    const call = () => f(...operands).dispose();
    return { call, dispose: () => operands.forEach((operand) => void operand.dispose()) };
  };
  return { name, unit, work, make };
}

function gemm(m: number, n: number, k: number, transposed: '' | 'A' | 'B' = ''): KernelCase {
  const options = { transposeA: transposed === 'A', transposeB: transposed === 'B' };
  const a = options.transposeA ? [k, m] : [m, k];
  const b = options.transposeB ? [n, k] : [k, n];
  const suffix = transposed === '' ? '' : `, ${transposed} transposed`;
  const name = `gemm/${m}x${n}x${k}${suffix}`;
  return op(name, 'GFLOP/s', 2 * m * n * k, [a, b], (x, y) => matMul(x!, y!, options));
}

/** A convolution without padding over square images, or with `gradient` both its gradients. Work is that of the sums as they are defined, which Winograd's filtering undercuts. */
function convolution(
  batch: number,
  size: number,
  [inC, outC]: readonly [number, number],
  kernel: number,
  gradient: boolean,
): KernelCase {
  const out = size - kernel + 1;
  const both = jit((...operands: Tensor[]) => grads((x, w) => sum(conv2d(x!, w!)))(...operands));
  const make = () => {
    const x = randomUniform([batch, size, size, inC], -1, 1);
    const filter = randomUniform([kernel, kernel, inC, outC], -1, 1);
    const call = () => {
      const made = gradient ? both(x, filter) : [conv2d(x, filter)];
      for (const tensor of made as Tensor[]) tensor.dispose();
    };
    return { call, dispose: () => [x, filter].forEach((operand) => void operand.dispose()) };
  };
  const work = 2 * batch * out * out * kernel * kernel * inC * outC * (gradient ? 2 : 1);
  const name = `conv/${kernel}x${kernel} ${inC} to ${outC}, ${batch}x${size}x${size}${gradient ? ', gradients' : ''}`;
  return { name, unit: 'GFLOP/s', work, make };
}

/** Adam's step over flat memory, as the model's programs have it. */
function update(size: number): KernelCase {
  const make = () => {
    const home = engine();
    const range = (bytes: number) => {
      const storage = new Storage(home, bytes);
      storage.retain();
      return storage;
    };
    const [params, grads, m, v] = [range(4 * size), range(4 * size), range(4 * size), range(4 * size)];
    const [scalars, step] = [range(4), range(4)];
    home.backend.write(grads.handle, 0, new Float32Array(size).fill(1e-3));
    home.backend.write(scalars.handle, 0, Float32Array.of(1e-3));
    const graph = new Graph();
    const flat = (storage: Storage) => graph.external({ storage, byteOffset: 0 }, [size], 'float32');
    graph.addEffect({
      kernel: 'update',
      outputs: [flat(params)],
      inputs: [
        flat(grads),
        flat(m),
        flat(v),
        undefined,
        graph.external({ storage: scalars, byteOffset: 0 }, [1], 'float32'),
        graph.external({ storage: step, byteOffset: 0 }, [1], 'int32'),
        undefined,
      ],
      attributes: optimizers.adam().attributes(0),
      where: 'adam',
    });
    const program = new Executable(home, graph);
    const dispose = () => {
      program.unload();
      for (const storage of [params, grads, m, v, scalars, step]) storage.release();
    };
    return { call: () => program.run([], []), dispose };
  };
  // Reads parameters, gradients and two states; writes parameters and two states.
  return { name: `update/adam ${size}`, unit: 'GB/s', work: 7 * 4 * size, make };
}

/** A sequence of the size of a usual LSTM layer, from its sums to its last state; `gradient`: and back to sums and recurrent matrix. */
function sequence(kind: RnnKind, gates: number, gradient: boolean): KernelCase {
  const [batch, time, units] = [32, 100, 128];
  const last = (input: Tensor, recurrent: Tensor) => rnn(input, recurrent, { kind, sequences: false }).h;
  const both = jit((...operands: Tensor[]) => grads((x, r) => sum(last(x!, r!)))(...operands));
  const make = () => {
    const input = randomUniform([batch, time, gates * units], -1, 1);
    const recurrent = randomUniform([units, gates * units], -0.1, 0.1);
    const call = () => {
      const made = gradient ? both(input, recurrent) : [last(input, recurrent)];
      for (const tensor of made as Tensor[]) tensor.dispose();
    };
    return { call, dispose: () => [input, recurrent].forEach((operand) => void operand.dispose()) };
  };
  // Forward one product a step; backward one more, and one for the recurrent matrix.
  const work = 2 * batch * time * units * gates * units * (gradient ? 3 : 1);
  const name = `rnn/${kind} ${batch}x${time}x${units}${gradient ? ' with gradient' : ''}`;
  return { name, unit: 'GFLOP/s', work, make };
}

const million = 1_000_000;
const mulAdd = jit((a: Tensor, b: Tensor, c: Tensor) => add(mul(a, b), c));
const chain = jit((a: Tensor, b: Tensor) => relu(add(mul(exp(a), b), 1)));

/** All cases; `quick` leaves out the large ones. */
export function kernelCases(quick: boolean): KernelCase[] {
  const elements = quick ? million : 10 * million;
  const rows = quick ? 512 : 4096;
  const vectors = (count: number) => Array.from({ length: count }, () => [elements]);
  return [
    gemm(32, 128, 784),
    gemm(784, 128, 32, 'A'),
    gemm(32, 784, 128, 'B'),
    ...[64, 256, 512].map((n) => gemm(n, n, n)),
    ...(quick ? [] : [1024, 2048].map((n) => gemm(n, n, n))),
    op(`map/a*b+c ${elements}`, 'GB/s', 16 * elements, vectors(3), (a, b, c) => mulAdd(a!, b!, c!)),
    op(`map/exp ${elements}`, 'GB/s', 8 * elements, vectors(1), (a) => exp(a!)),
    op(`map/relu(exp(a)*b+1) ${elements}`, 'GB/s', 12 * elements, vectors(2), (a, b) => chain(a!, b!)),
    op('map/add 4 (cost of an eager call)', 'GB/s', 48, [[4], [4]], (a, b) => add(a!, b!)),
    op(`reduce/sum ${elements}`, 'GB/s', 4 * elements, vectors(1), (a) => sum(a!)),
    op(`reduce/sum of columns ${rows}x1024`, 'GB/s', 4 * rows * 1024, [[rows, 1024]], (a) => sum(a!, 0)),
    op(`reduce/sum of rows ${rows}x1024`, 'GB/s', 4 * rows * 1024, [[rows, 1024]], (a) => sum(a!, 1)),
    op(`softmax/${rows}x1024`, 'GB/s', 8 * rows * 1024, [[rows, 1024]], (a) => softmax(a!)),
    op('softmax/32x10', 'GB/s', 8 * 320, [[32, 10]], (a) => softmax(a!)),
    sequence('lstm', 4, false),
    sequence('lstm', 4, true),
    sequence('gru', 3, true),
    ...[false, true].map((gradient) => convolution(quick ? 8 : 64, 26, [32, 64], 3, gradient)),
    convolution(quick ? 8 : 64, 28, [1, 32], 3, false),
    convolution(quick ? 2 : 16, 26, [32, 64], 5, false),
    update(101_770),
    ...(quick ? [] : [update(10 * million)]),
  ];
}
