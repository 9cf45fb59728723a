// Recurrent units step by step from ordinary ops: for activations and options that the rnn kernel does not know.
import type { Activation } from '../activations.ts';
import { add, mul, sub } from '../ops/arithmetic.ts';
import { ones, zeros } from '../ops/creation.ts';
import { matMul } from '../ops/linalg.ts';
import { dropout } from '../ops/nn.ts';
import { reshape, slice, split, stack } from '../ops/shape.ts';
import type { Tensor } from '../tensor.ts';

/** What a step computes. `gate` is the recurrent activation. */
export type CellSteps =
  | { readonly kind: 'simple'; readonly activation: Activation }
  | {
      readonly kind: 'lstm' | 'gru' | 'gruResetBefore';
      readonly activation: Activation;
      readonly gate: Activation;
    };

interface States {
  readonly h: Tensor;
  readonly c: Tensor;
}

/**
 * All steps over `sums` `[batch, time, gates * units]` from states of 0: the states in the order of the input's times, and the last one. `rate` is the
 * share of the state that the sums do not see.
 */
export function runSteps(
  sums: Tensor,
  recurrent: Tensor,
  bias: Tensor | undefined,
  cell: CellSteps,
  backwards: boolean,
  rate: number,
): { y: Tensor; h: Tensor } {
  const [batch, time, width] = sums.shape as [number, number, number];
  const units = recurrent.shape[0]!;
  const kept = rate > 0 ? dropout(ones([batch, units]), rate) : undefined;
  // A GRU's second row of biases is added to the recurrent product.
  const biases = bias && bias.rank === 2 ? split(bias, 2) : [bias, undefined];
  let states: States = { h: zeros([batch, units]), c: zeros([batch, units]) };
  const all = new Array<Tensor>(time);
  for (let step = 0; step < time; step++) {
    const at = backwards ? time - 1 - step : step;
    const part = reshape(slice(sums, [0, at, 0], [batch, 1, width]), [batch, width]);
    const x = biases[0] === undefined ? part : add(part, biases[0]);
    const seen = kept === undefined ? states.h : mul(states.h, kept);
    states = advance(x, seen, states, recurrent, biases[1], cell);
    all[at] = states.h;
  }
  return { y: stack(all, 1), h: states.h };
}

/** One step: `x` is what comes from outside, `seen` what the sums see of the state. */
function advance(
  x: Tensor,
  seen: Tensor,
  { h, c }: States,
  recurrent: Tensor,
  bias: Tensor | undefined,
  cell: CellSteps,
): States {
  const { activation } = cell;
  if (cell.kind === 'gruResetBefore') {
    const units = h.shape[1]!;
    const [ofGates, ofCandidate] = split(recurrent, [2 * units, units], 1) as [Tensor, Tensor];
    const [xGates, xCandidate] = split(x, [2 * units, units], 1) as [Tensor, Tensor];
    const [z, r] = split(cell.gate(add(xGates, matMul(seen, ofGates))), 2, 1) as [Tensor, Tensor];
    const candidate = activation(add(xCandidate, matMul(mul(r, seen), ofCandidate)));
    return { h: mix(z, h, candidate), c };
  }
  const plain = matMul(seen, recurrent);
  const product = bias === undefined ? plain : add(plain, bias);
  if (cell.kind === 'simple') return { h: activation(add(x, product)), c };
  if (cell.kind === 'lstm') {
    const [i, f, g, o] = split(add(x, product), 4, 1) as [Tensor, Tensor, Tensor, Tensor];
    const next = add(mul(cell.gate(f), c), mul(cell.gate(i), activation(g)));
    return { h: mul(cell.gate(o), activation(next)), c: next };
  }
  const [xz, xr, xn] = split(x, 3, 1) as [Tensor, Tensor, Tensor];
  const [pz, pr, pn] = split(product, 3, 1) as [Tensor, Tensor, Tensor];
  const z = cell.gate(add(xz, pz));
  const r = cell.gate(add(xr, pr));
  return { h: mix(z, h, activation(add(xn, mul(r, pn)))), c };
}

/** `z * a + (1 - z) * b`. */
function mix(z: Tensor, a: Tensor, b: Tensor): Tensor {
  return add(mul(z, sub(a, b)), b);
}
