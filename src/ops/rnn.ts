// Recurrent sequences on the rnn kernel: simple, LSTM and GRU units over all time steps in one call, and their gradients.
import { gradientThrough, record, recording, stopRecording } from '../autodiff.ts';
import { isHalf } from '../dtype.ts';
import { NablaError } from '../errors.ts';
import { rnnKinds } from '../program/kernels.ts';
import { type Shape, sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, placeName, view } from '../trace.ts';
import { matMul } from './linalg.ts';
import { rnnBySteps } from './rnn-steps.ts';
import { concat, reshape, slice } from './shape.ts';

/**
 * What the units compute; `simpleTanh` and `simpleRelu` are `h' = activation(sum)`.
 *
 * @useDeclaredType
 */
export type RnnKind = keyof typeof rnnKinds;

/** Sums that a unit takes in at each step, in Keras' order: LSTM input, forget, cell, output; GRU update, reset, candidate. */
export const rnnGates = { simpleTanh: 1, simpleRelu: 1, lstm: 4, gru: 3 } as const satisfies Record<
  RnnKind,
  number
>;
/** Numbers of bias a unit; a GRU's second three are added to the recurrent product. */
export const rnnBiases = { ...rnnGates, gru: 6 } as const;
// Numbers a unit and a step that the gradient needs, as native/program/rnn.h.
const saved = { simpleTanh: 1, simpleRelu: 1, lstm: 4, gru: 4 } as const satisfies Record<RnnKind, number>;

/** What {@link rnn} takes beside the input and the recurrent matrix. */
export interface RnnOptions {
  /** What the units compute. */
  kind: RnnKind;
  /** `[gates * units]`; GRU `[2, 3 * units]`, for the input and for the recurrent product. */
  bias?: Tensor | undefined;
  /** The state before the first step, `[batch, units]`. Default 0. */
  h0?: Tensor | undefined;
  /** LSTM: the cells before the first step, `[batch, units]`. Default 0. */
  c0?: Tensor | undefined;
  /** bool `[batch, time]`; a step that is false leaves the state as it is. */
  mask?: Tensor | undefined;
  /** From the last time to the first. Default false. */
  backwards?: boolean | undefined;
  /** Whether the states of all steps are wanted. Default true. */
  sequences?: boolean | undefined;
}

/** What {@link rnn} gives. */
export interface RnnResult {
  /** The state after each step, `[batch, time, units]`, at the time that the step worked on. */
  readonly y: Tensor | undefined;
  /** The state after the last step, `[batch, units]`. */
  readonly h: Tensor;
  /** LSTM: the cells after the last step. */
  readonly c: Tensor | undefined;
}

/**
 * Recurrent units over a sequence. `input` `[batch, time, gates * units]` holds what each step takes from outside, that is `x @ kernel`; `recurrent` is
 * `[units, gates * units]`. LSTM: Hochreiter and Schmidhuber 1997, with forget gates (Gers et al. 2000). GRU: Cho et al. 2014, with the reset
 * after the product, as Keras and cuDNN.
 */
export function rnn(input: Tensor, recurrent: Tensor, options: RnnOptions): RnnResult {
  const { kind, bias, h0, c0, mask, backwards = false, sequences = true } = options;
  const [batch, time, units] = checkOperands(input, recurrent, options);
  const lstm = kind === 'lstm';
  const sources = { input, recurrent, bias, h0, c0 };
  const inputs = Object.values(sources).filter((t) => t !== undefined);
  const float = (shape: Shape) => ({ shape, dtype: 'float32' as const });
  const reserveRows = batch * time * (1 + saved[kind]) + (lstm ? batch * (time + 1) : 0);
  const attributes = [rnnKinds[kind], batch, time, units, Number(backwards)];
  const [y, h, c, reserve] = emit({
    kernel: 'rnn',
    outputs: [
      sequences ? float([batch, time, units]) : undefined,
      float([batch, units]),
      lstm ? float([batch, units]) : undefined,
      recording(inputs) ? float([reserveRows, units]) : undefined,
    ],
    inputs: [input, h0, c0, recurrent, bias, mask],
    attributes,
    where: placeName('rnn'),
  });
  const outputs = [y, h, c].filter((t) => t !== undefined);
  record('rnn', outputs, inputs, (...gradients) => {
    const given = new Map(outputs.map((output, i) => [output, gradients[i]]));
    const of = (output: Tensor | undefined) => output && given.get(output);
    const incoming = [of(y), of(h), of(c)];
    const made = stopRecording(() => gradient(sources, reserve!, attributes, kind, incoming, mask));
    recordAgain(made, incoming, sources, options);
    return made;
  });
  return { y, h: h!, c };
}

function checkOperands(input: Tensor, recurrent: Tensor, options: RnnOptions): [number, number, number] {
  const { kind, bias, h0, c0, mask } = options;
  const where = placeName('rnn');
  const gates = rnnGates[kind];
  const units = recurrent.shape[0] ?? 0;
  const expect = (name: string, got: Tensor | undefined, dtype: string, ...shapes: Shape[]) => {
    const fits = got?.dtype === dtype || (dtype === 'float32' && isHalf(got?.dtype));
    if (got === undefined || (fits && shapes.some((shape) => sameShape(got.shape, shape)))) return;
    throw new NablaError(
      where,
      `${name} does not fit, got ${got}, expected ${dtype}${shapes.map(showShape).join(' or ')}`,
    );
  };
  expect('recurrent matrix', recurrent, 'float32', [units, gates * units]);
  if (input.rank !== 3) {
    throw new NablaError(where, `expected input [batch, time, ${gates * units}], got ${input}`);
  }
  const [batch, time] = input.shape as [number, number];
  expect('input', input, 'float32', [batch, time, gates * units]);
  const biasShapes = kind === 'gru' ? [[2, 3 * units]] : [[gates * units]];
  expect('bias', bias, 'float32', ...biasShapes);
  expect('initial state', h0, 'float32', [batch, units]);
  if (c0 !== undefined && kind !== 'lstm') {
    throw new NablaError(where, `only an LSTM has cells, got c0 for '${kind}'; leave it out`);
  }
  expect('initial cells', c0, 'float32', [batch, units]);
  expect('mask', mask, 'bool', [batch, time]);
  return [batch, time, units];
}

interface Sources {
  readonly input: Tensor;
  readonly recurrent: Tensor;
  readonly bias: Tensor | undefined;
  readonly h0: Tensor | undefined;
  readonly c0: Tensor | undefined;
}

/** The gradients of the sources that there are, in their order. */
function gradient(
  sources: Sources,
  reserve: Tensor,
  attributes: readonly number[],
  kind: RnnKind,
  [dy, dh, dc]: readonly (Tensor | undefined)[],
  mask: Tensor | undefined,
): Tensor[] {
  const { input, recurrent, bias, h0, c0 } = sources;
  const like = (t: Tensor | undefined) => t && { shape: t.shape, dtype: 'float32' as const };
  const where = placeName('rnn gradient');
  const [dInput, dProduct, dBias, dh0, dc0] = emit({
    kernel: 'rnnGrad',
    outputs: [like(input), kind === 'gru' ? like(input) : undefined, like(bias), like(h0), like(c0)],
    inputs: [dy, dh, dc, reserve, recurrent, mask],
    attributes,
    where,
  });
  // The reserve begins with the states before each step.
  const [batch, time, units] = [attributes[1]!, attributes[2]!, attributes[3]!];
  const former = view(reserve, [batch * time, units]);
  const sums = reshape(dProduct ?? dInput!, [batch * time, rnnGates[kind] * units]);
  const dRecurrent = matMul(former, sums, { transposeA: true });
  const gradients: [Tensor | undefined, Tensor | undefined][] = [
    [input, dInput],
    [recurrent, dRecurrent],
    [bias, dBias],
    [h0, dh0],
    [c0, dc0],
  ];
  return gradients.flatMap(([source, g]) => (source === undefined ? [] : [g!]));
}

/** Second derivatives: those of the same units, taken step by step. */
function recordAgain(
  made: readonly Tensor[],
  given: readonly (Tensor | undefined)[],
  sources: Sources,
  options: RnnOptions,
): void {
  const incoming = given.filter((t) => t !== undefined);
  const places = Object.entries(sources).filter(([, t]) => t !== undefined);
  const inputs = places.map(([, t]) => t as Tensor);
  const join = (parts: readonly Tensor[]) => concat(parts.map((t) => reshape(t, [t.size])) as [Tensor]);
  const again = (...xs: Tensor[]) => {
    const { input, recurrent, ...others } = Object.fromEntries(places.map(([name], i) => [name, xs[i]!]));
    const { y, h, c } = rnnBySteps(input!, recurrent!, { ...options, ...others });
    const outputs = [y, h, c].filter((_, i) => given[i] !== undefined);
    return join(outputs as Tensor[]);
  };
  record('rnn gradient', made, [...incoming, ...inputs], (...gradients) => {
    const [joined, ...rest] = gradientThrough(again, join(incoming), inputs)(...gradients);
    let start = 0;
    const parts = incoming.map(({ shape, size }) => {
      const part = reshape(slice(joined!, [start], [size]), shape);
      start += size;
      return part;
    });
    return [...parts, ...rest];
  });
}
