// Reverse-mode differentiation: ops record how to take their gradient; grad() walks the record backwards.
import { isFloating } from './dtype.ts';
import { NablaError } from './errors.ts';
import { add, mul } from './ops/arithmetic.ts';
import { cast } from './ops/compare.ts';
import { fill } from './ops/creation.ts';
import { keepDraws, type RandomDraws, repeatDraws } from './ops/random.ts';
import { sum } from './ops/reduce.ts';
import { reshape } from './ops/shape.ts';
import { sameShape, showShape } from './shape.ts';
import { scope, Tensor } from './tensor.ts';
import { type ComputeDType, computeDType, computeIn } from './trace.ts';

/** Gradients of an op's inputs from the gradients of its outputs; undefined where there is none. */
export type Backward = (...gradients: (Tensor | undefined)[]) => (Tensor | undefined)[];

interface Entry {
  readonly where: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly backward: Backward | undefined;
  /** What was computed in: the gradient reads weights in the same dtype. */
  readonly compute: ComputeDType | undefined;
}

/** What record() writes to. */
interface Recorder {
  tracks(tensor: Tensor): boolean;
  record(entry: Entry): void;
}

class Tape implements Recorder {
  readonly entries: Entry[] = [];
  private readonly tracked = new Set<Tensor>();

  watch(tensor: Tensor): void {
    this.tracked.add(tensor);
  }

  tracks(tensor: Tensor): boolean {
    return this.tracked.has(tensor);
  }

  record(entry: Entry): void {
    if (!entry.inputs.some((input) => this.tracked.has(input))) return;
    this.entries.push(entry);
    for (const output of entry.outputs) this.tracked.add(output);
  }
}

const tapes: Recorder[] = [];

/**
 * Notes on every open tape how outputs came from inputs. Without `backward` the op is not differentiable, which is an error only
 * if a gradient is asked to pass through it.
 */
export function record(
  where: string,
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  backward: Backward | undefined,
): void {
  const compute = computeDType();
  for (const tape of tapes) tape.record({ where, inputs, outputs, backward, compute });
}

/** Is any tape open? */
export function isRecording(): boolean {
  return tapes.length > 0;
}

/** Is the op being recorded, so that what only a gradient needs should be computed? */
export function recording(inputs: readonly Tensor[]): boolean {
  return tapes.some((tape) => inputs.some((input) => tape.tracks(input)));
}

/** Runs `body` with recording off: its results are constants to any gradient. */
export function stopRecording<T>(body: () => T): T {
  const open = tapes.splice(0);
  try {
    return body();
  } finally {
    tapes.push(...open);
  }
}

/** Runs `body` with a tape of its own that watches `sources`. */
function taped<T>(body: () => T, sources: readonly Tensor[]): { tape: Tape; result: T } {
  const tape = new Tape();
  for (const source of sources) tape.watch(source);
  return { tape, result: recordingTo(tape, body) };
}

function recordingTo<T>(recorder: Recorder, body: () => T): T {
  tapes.push(recorder);
  try {
    return body();
  } finally {
    tapes.splice(tapes.lastIndexOf(recorder), 1);
  }
}

/** The gradient of a scalar that `body` computes, with respect to `sources`. */
export function gradientOf<T>(
  body: () => { loss: Tensor; result: T },
  sources: readonly Tensor[],
): { result: T; gradients: Tensor[] } {
  const { tape, result: computed } = taped(body, sources);
  const { loss, result } = computed;
  if (loss.size !== 1 || !isFloating(loss.dtype)) {
    throw new NablaError(
      'grad',
      `the function must give a float32 scalar, got ${loss.dtype}${showShape(loss.shape)}; reduce it with sum() or mean()`,
    );
  }
  return { result, gradients: backward(tape, loss, fill(loss.shape, 1), sources) };
}

/** Gradients of the sources from the gradient `seed` of `result`. */
function backward(tape: Tape, result: Tensor, seed: Tensor, sources: readonly Tensor[]): Tensor[] {
  const sums = new Map<Tensor, Tensor>([[result, seed]]);
  for (const entry of tape.entries.toReversed()) {
    const incoming = entry.outputs.map((output) => sums.get(output));
    if (incoming.every((gradient) => gradient === undefined)) continue;
    if (entry.backward === undefined) {
      throw new NablaError(
        entry.where,
        'this op is not differentiable; wrap it in stopGradient() if that is meant',
      );
    }
    const { backward: pull, compute } = entry;
    const gradients = computeIn(compute, () => pull(...incoming));
    entry.inputs.forEach((input, i) => {
      if (gradients[i] === undefined || !tape.tracks(input)) return;
      const gradient = inDTypeOf(input, gradients[i]);
      const sum = sums.get(input);
      sums.set(input, sum === undefined ? gradient : add(sum, gradient));
    });
  }
  return sources.map((source) => {
    const sum = sums.get(source) ?? fill(source.shape, 0);
    return isFloating(source.dtype) ? cast(sum, source.dtype) : sum;
  });
}

/** A gradient in the dtype of what it is the gradient of; numbers that are known fit any. */
function inDTypeOf(input: Tensor, gradient: Tensor): Tensor {
  const differs = isFloating(input.dtype) && isFloating(gradient.dtype) && gradient.constant === undefined;
  return differs ? cast(gradient, input.dtype) : gradient;
}

/**
 * The gradient of a function of one or more float32 tensors that gives a float32 scalar, as a function of the same tensors.
 * With several arguments the result is an array. Nest it for higher orders.
 *
 * @example grad((x) => sum(square(x)))(tensor([1, 2])) // [2, 4]
 */
export function grad(f: (x: Tensor) => Tensor): (x: Tensor) => Tensor {
  return (x) => valueAndGrad((...args) => f(args[0]!))(x).gradients[0]!;
}

/** As {@link grad} for functions of several tensors. */
export function grads(f: (...xs: Tensor[]) => Tensor): (...xs: Tensor[]) => Tensor[] {
  return (...xs) => valueAndGrad(f)(...xs).gradients;
}

/** What a function of {@link valueAndGrad} gives. */
export interface ValueAndGradients {
  /** The function's value, a scalar. */
  readonly value: Tensor;
  /** One for each argument, of its shape. */
  readonly gradients: Tensor[];
}

/** A function that gives both the value and the gradients with respect to each argument. */
export function valueAndGrad(f: (...xs: Tensor[]) => Tensor): (...xs: Tensor[]) => ValueAndGradients {
  return (...xs) => {
    const sources = sourcesOf('grad', xs);
    const { result, gradients } = gradientOf(() => {
      const value = f(...sources);
      if (!(value instanceof Tensor)) {
        throw new NablaError('grad', `the function must give a tensor, got ${typeof value}`);
      }
      return { loss: value, result: value };
    }, sources);
    return { value: result, gradients };
  };
}

/** Arguments to differentiate by; a tensor that is given twice has a gradient in each place. */
function sourcesOf(where: string, xs: readonly Tensor[]): Tensor[] {
  for (const x of xs) {
    if (!(x instanceof Tensor) || !isFloating(x.dtype)) {
      const got = x instanceof Tensor ? x.toString() : typeof x;
      throw new NablaError(where, `arguments must be float32 tensors, got ${got}; use cast(x, 'float32')`);
    }
  }
  return xs.map((x, i) => (xs.indexOf(x) < i ? reshape(x, x.shape) : x));
}

/** A function's value, and its vector-Jacobian product. */
export interface Pullback {
  /** What the function gave. */
  readonly value: Tensor;
  /** Gradients of the arguments from a gradient of the value, of the value's shape. May be called again and again. */
  readonly pull: (dy: Tensor) => Tensor[];
}

/**
 * A function that gives its value, of any shape, and how gradients come back through it: `pull(dy)` is `dy` times the Jacobian for each argument.
 *
 * @example vjp((x) => square(x))(tensor([1, 2])).pull(tensor([1, 10])) // [[2, 40]]
 */
export function vjp(f: (...xs: Tensor[]) => Tensor): (...xs: Tensor[]) => Pullback {
  return (...xs) => {
    const sources = sourcesOf('vjp', xs);
    const { tape, result: value } = taped(() => f(...sources), sources);
    if (!(value instanceof Tensor)) {
      throw new NablaError('vjp', `the function must give a tensor, got ${typeof value}`);
    }
    const pull = (dy: Tensor) => {
      if (!sameShape(dy.shape, value.shape)) {
        throw new NablaError(
          'vjp',
          `the gradient does not fit, got ${dy}, expected ${showShape(value.shape)}`,
        );
      }
      return backward(tape, value, dy, sources);
    };
    return { value, pull };
  };
}

/**
 * The gradient of a gradient that a kernel computed, for {@link record}: that of `forward`, the same op from ops whose gradients have gradients. `dy` and `inputs` are
 * what the kernel's gradient was made from, in the order in which it is recorded: `[dy, ...inputs]`.
 */
export function gradientThrough(
  forward: (...inputs: Tensor[]) => Tensor,
  dy: Tensor,
  inputs: readonly Tensor[],
): Backward {
  return (...incoming) => {
    const sources = sourcesOf('grad', [dy, ...inputs]);
    return gradientOf(() => {
      const made = vjp(forward)(...sources.slice(1)).pull(sources[0]!);
      const terms = made.flatMap((gradient, i) => {
        const factor = incoming[i];
        return factor === undefined ? [] : [sum(mul(gradient, factor))];
      });
      return { loss: terms.reduce((a, b) => add(a, b)), result: undefined };
    }, sources).gradients;
  };
}

/** Finds what a function reads of that the open tapes follow, arguments or not. */
class Probe implements Recorder {
  readonly found = new Set<Tensor>();
  private readonly open: readonly Recorder[];

  constructor(open: readonly Recorder[]) {
    this.open = open;
  }

  /** Nothing is kept for a gradient now. */
  tracks(): boolean {
    return false;
  }

  record({ inputs }: Entry): void {
    for (const input of inputs) if (this.open.some((tape) => tape.tracks(input))) this.found.add(input);
  }
}

/**
 * `f`, with nothing of what it computes on the way kept for the gradient: the backward pass computes it again, with the same random numbers.
 * Trades time for memory. Variables that `f` reads have their gradients too. (Chen et al. 2016, "Training deep nets with sublinear memory cost".)
 *
 * @example const block = checkpoint((x) => relu(matMul(relu(matMul(x, w1)), w2)));
 */
export function checkpoint(f: (...xs: Tensor[]) => Tensor): (...xs: Tensor[]) => Tensor {
  return (...xs) => {
    const open = tapes.splice(0);
    const probe = new Probe(open);
    let computed: { result: Tensor; draws: RandomDraws };
    try {
      computed = recordingTo(probe, () => keepDraws(() => scope(() => f(...xs))));
    } finally {
      tapes.splice(0, tapes.length, ...open);
    }
    const { result, draws } = computed;
    // An argument that is given back is another tensor from here on.
    const out = recording([result])
      ? new Tensor(result.shape, result.dtype, result.source, result.constant)
      : result;
    const inputs = [...probe.found];
    if (recording([result]) && !probe.found.has(result)) inputs.push(result);
    record('checkpoint', [out], inputs, (dy) => {
      if (dy === undefined) return [];
      const again = taped(() => repeatDraws(draws, () => f(...xs)), inputs);
      return backward(again.tape, again.result, dy, inputs);
    });
    return out;
  };
}

/** `f` with its own gradient: `f` gives its value and a function from the value's gradient to those of the arguments. */
export function customGradient(
  f: (...xs: Tensor[]) => { value: Tensor; gradient: (dy: Tensor) => (Tensor | undefined)[] },
): (...xs: Tensor[]) => Tensor {
  return (...xs) => {
    const { value, gradient } = stopRecording(() => f(...xs));
    // An argument that is given back is another tensor from here on: the gradient of one is not that of the other.
    const out = recording([value])
      ? new Tensor(value.shape, value.dtype, value.source, value.constant)
      : value;
    record('customGradient', [out], xs, (dy) => (dy ? gradient(dy) : []));
    return out;
  };
}
