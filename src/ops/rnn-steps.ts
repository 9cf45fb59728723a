// What the rnn kernel computes, step by step from ops whose gradients have gradients: second derivatives go through it.
import type { Tensor } from '../tensor.ts';
import { add, mul, sub } from './arithmetic.ts';
import { where } from './compare.ts';
import { zeros } from './creation.ts';
import { matMul } from './linalg.ts';
import type { RnnKind, RnnOptions, RnnResult } from './rnn.ts';
import { reshape, slice, split, stack } from './shape.ts';
import { relu, sigmoid, tanh } from './unary.ts';

interface State {
  readonly h: Tensor;
  readonly c: Tensor | undefined;
}

/** One step from what it takes in `[batch, gates * units]`, the recurrent product, and the state. */
function step(kind: RnnKind, taken: Tensor, product: Tensor, { h, c }: State): State {
  if (kind === 'simpleTanh') return { h: tanh(add(taken, product)), c };
  if (kind === 'simpleRelu') return { h: relu(add(taken, product)), c };
  if (kind === 'lstm') {
    const [input, forget, cell, output] = split(add(taken, product), 4, -1) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const cells = add(mul(sigmoid(forget), c!), mul(sigmoid(input), tanh(cell)));
    return { h: mul(sigmoid(output), tanh(cells)), c: cells };
  }
  const [update, reset, candidate] = split(taken, 3, -1) as [Tensor, Tensor, Tensor];
  const [p, q, r] = split(product, 3, -1) as [Tensor, Tensor, Tensor];
  const z = sigmoid(add(update, p));
  const next = tanh(add(candidate, mul(sigmoid(add(reset, q)), r)));
  return { h: add(mul(z, h), mul(sub(1, z), next)), c };
}

/** As `rnn`, one step after the other. */
export function rnnBySteps(input: Tensor, recurrent: Tensor, options: RnnOptions): RnnResult {
  const { kind, bias, h0, c0, mask, backwards = false } = options;
  const [batch, time, width] = input.shape as [number, number, number];
  const units = recurrent.shape[0]!;
  const gru = kind === 'gru';
  const row = (i: number) => bias && (gru ? reshape(slice(bias, [i, 0], [1, width]), [width]) : bias);
  const [outer, inner] = [row(0), gru ? row(1) : undefined];
  const initial = (given: Tensor | undefined) => given ?? zeros([batch, units]);
  let state: State = { h: initial(h0), c: kind === 'lstm' ? initial(c0) : undefined };
  const all = new Array<Tensor>(time);
  for (let i = 0; i < time; i++) {
    const t = backwards ? time - 1 - i : i;
    const x = reshape(slice(input, [0, t, 0], [batch, 1, width]), [batch, width]);
    const product = matMul(state.h, recurrent);
    const next = step(kind, outer ? add(x, outer) : x, inner ? add(product, inner) : product, state);
    const counts = mask && slice(mask, [0, t], [batch, 1]);
    const choose = (now: Tensor, then: Tensor) => (counts === undefined ? now : where(counts, now, then));
    state = { h: choose(next.h, state.h), c: next.c && choose(next.c, state.c!) };
    all[t] = state.h;
  }
  return { y: time > 0 ? stack(all, 1) : zeros([batch, 0, units]), h: state.h, c: state.c };
}
