// Sequences of recurrent units: by the rnn kernel where it knows them, else step by step from ordinary ops.
import type { Activation } from '../activations.ts';
import { add, mul, sub } from '../ops/arithmetic.ts';
import { toFloats, where } from '../ops/compare.ts';
import { ones, zeros } from '../ops/creation.ts';
import { matMul } from '../ops/linalg.ts';
import { dropout } from '../ops/nn.ts';
import { rnn } from '../ops/rnn.ts';
import { reshape, slice, split, stack } from '../ops/shape.ts';
import type { Tensor } from '../tensor.ts';
import type { GateWeights, Unit, UnitOptions } from './recurrent-units.ts';

/** What a step computes. `gate` is the recurrent activation. */
export type StepMath =
  | { readonly kind: 'simple'; readonly activation: Activation }
  | {
      readonly kind: 'lstm' | 'gru' | 'gruResetBefore';
      readonly activation: Activation;
      readonly gate: Activation;
    };

/** What is to be computed of a batch of sequences. */
export interface SequenceRun {
  /** `[batch, time, ...]`. */
  readonly x: Tensor;
  /** The states before the first step, `[batch, ...]` each. */
  readonly states: readonly Tensor[];
  /** bool `[batch, time]`: a step that does not count leaves states and output as they are. */
  readonly mask: Tensor | undefined;
  /** From the last time to the first. */
  readonly backwards: boolean;
  /** Whether the outputs of all steps are wanted. */
  readonly sequences: boolean;
  readonly training: boolean;
}

/** What came of it. */
export interface SequenceResult {
  /** The outputs of all steps, `[batch, time, ...]`, each at the time that its step worked on; there at least where they are wanted. */
  readonly y: Tensor | undefined;
  /** The output of the last step. */
  readonly last: Tensor;
  /** The states after the last step. */
  readonly states: readonly Tensor[];
}

/** One step: what it gives, and the states after it. */
export interface StepResult {
  /** What the cell gives. */
  readonly output: Tensor;
  /** What it goes on with at the next step. */
  readonly states: readonly Tensor[];
}

/** The numbers of one time, `[batch, ...]`. */
export function atTime(x: Tensor, time: number): Tensor {
  const [batch, , ...rest] = x.shape as [number, number, ...number[]];
  const begin = x.shape.map((_, axis) => (axis === 1 ? time : 0));
  return reshape(slice(x, begin, [batch, 1, ...rest]), [batch, ...rest]);
}

/** The number of a mask for each sample, shaped to go with a tensor of that rank. */
function column(mask: Tensor, rank: number): Tensor {
  return reshape(mask, [mask.shape[0]!, ...new Array<number>(rank - 1).fill(1)]);
}

/** Takes one step after the other. Before the first step the output counts as `before`, which masked steps give on. */
export function runSteps(
  run: SequenceRun,
  before: Tensor | undefined,
  step: (x: Tensor, states: readonly Tensor[]) => StepResult,
): SequenceResult {
  const { x, mask, backwards, sequences } = run;
  const time = x.shape[1]!;
  const all = new Array<Tensor>(time);
  let { states } = run;
  let last = before;
  for (let i = 0; i < time; i++) {
    const at = backwards ? time - 1 - i : i;
    const next = step(atTime(x, at), states);
    if (mask === undefined) {
      last = next.output;
      states = next.states;
    } else {
      const counts = atTime(mask, at);
      const choose = (a: Tensor, b: Tensor) => where(column(counts, a.rank), a, b);
      last = choose(next.output, last ?? zeros(next.output.shape));
      const former = states;
      states = next.states.map((state, k) => choose(state, former[k]!));
    }
    all[at] = last;
  }
  return { y: sequences ? stack(all, 1) : undefined, last: last!, states };
}

/** A sequence of units of a kind. */
export function runUnits(
  run: SequenceRun,
  unit: Unit,
  { kernel, recurrent, bias }: GateWeights,
  options: UnitOptions,
): SequenceResult {
  const { mask, backwards, sequences, training } = run;
  const rate = training ? (options.dropout ?? 0) : 0;
  const recurrentRate = training ? (options.recurrentDropout ?? 0) : 0;
  let input = toFloats(run.x) as Tensor;
  if (rate > 0) {
    const [batch, , features] = input.shape as [number, number, number];
    input = mul(input, dropout(ones([batch, 1, features]), rate));
  }
  const sums = matMul(input, kernel);
  if (unit.fused !== undefined && recurrentRate === 0) {
    const [h0, c0] = run.states;
    const made = rnn(sums, recurrent, { kind: unit.fused, bias, h0, c0, mask, backwards, sequences });
    return { y: made.y, last: made.h, states: made.c === undefined ? [made.h] : [made.h, made.c] };
  }
  const [batch, units] = [sums.shape[0]!, options.units];
  const states =
    run.states.length > 0 ? run.states : Array.from({ length: unit.states }, () => zeros([batch, units]));
  const kept = recurrentRate > 0 ? dropout(ones([batch, units]), recurrentRate) : undefined;
  const biases = biasesOf(bias);
  return runSteps({ ...run, x: sums, states }, states[0], (x, former) =>
    stepOfUnit(x, former, unit.math, recurrent, biases, kept),
  );
}

/** The biases of the inputs and of the recurrent product; only a GRU's product has its own, in the second row. */
export function biasesOf(bias: Tensor | undefined): readonly (Tensor | undefined)[] {
  return bias !== undefined && bias.rank === 2 ? split(bias, 2) : [bias, undefined];
}

/** One step from its sums of inputs, without bias. `kept` is what dropout leaves of the state that the sums see. */
export function stepOfUnit(
  sums: Tensor,
  states: readonly Tensor[],
  math: StepMath,
  recurrent: Tensor,
  [ofInput, ofProduct]: readonly (Tensor | undefined)[],
  kept: Tensor | undefined,
): StepResult {
  const x = ofInput === undefined ? sums : add(sums, ofInput);
  const h = states[0]!;
  const seen = kept === undefined ? h : mul(h, kept);
  const { activation } = math;
  if (math.kind === 'gruResetBefore') {
    const units = h.shape[1]!;
    const [ofGates, ofCandidate] = split(recurrent, [2 * units, units], 1) as [Tensor, Tensor];
    const [xGates, xCandidate] = split(x, [2 * units, units], 1) as [Tensor, Tensor];
    const [z, r] = split(math.gate(add(xGates, matMul(seen, ofGates))), 2, 1) as [Tensor, Tensor];
    return only(mix(z, h, activation(add(xCandidate, matMul(mul(r, seen), ofCandidate)))));
  }
  const plain = matMul(seen, recurrent);
  const product = ofProduct === undefined ? plain : add(plain, ofProduct);
  if (math.kind === 'simple') return only(activation(add(x, product)));
  if (math.kind === 'lstm') {
    const [i, f, g, o] = split(add(x, product), 4, 1) as [Tensor, Tensor, Tensor, Tensor];
    const c = add(mul(math.gate(f), states[1]!), mul(math.gate(i), activation(g)));
    const output = mul(math.gate(o), activation(c));
    return { output, states: [output, c] };
  }
  const [xz, xr, xn] = split(x, 3, 1) as [Tensor, Tensor, Tensor];
  const [pz, pr, pn] = split(product, 3, 1) as [Tensor, Tensor, Tensor];
  const z = math.gate(add(xz, pz));
  const r = math.gate(add(xr, pr));
  return only(mix(z, h, activation(add(xn, mul(r, pn)))));
}

function only(h: Tensor): StepResult {
  return { output: h, states: [h] };
}

/** `z * a + (1 - z) * b`. */
function mix(z: Tensor, a: Tensor, b: Tensor): Tensor {
  return add(mul(z, sub(a, b)), b);
}
