// Cases of recurrent sequences: kinds, sizes, initial states, masks, both directions.
import * as ops from '../../src/ops/index.ts';
import { rnnGates } from '../../src/ops/rnn.ts';
import type { Shape } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, makeCase } from './case.ts';
import { type Arg, arg, type Tolerance } from './data.ts';

const sequence: Tolerance = { rtol: 2e-5, atol: 2e-5 };

/** Batch, time, units: below, at and above vectors and tiles, and nothing. */
const sizes: readonly (readonly [number, number, number])[] = [
  [1, 1, 1],
  [2, 3, 5],
  [3, 4, 17],
  [15, 2, 33],
  [2, 12, 8],
  [0, 3, 4],
  [2, 0, 4],
];

function sequenceCase(kind: ops.RnnKind, size: readonly [number, number, number], full: boolean): Case {
  const [batch, time, units] = size;
  const sums = rnnGates[kind] * units;
  const range = 1 / Math.sqrt(units);
  const args: Arg[] = [
    arg([batch, time, sums], { low: -1, high: 1 }),
    arg([units, sums], { low: -range, high: range }),
  ];
  if (full) {
    const bias: Shape = kind === 'gru' ? [2, sums] : [sums];
    args.push(arg(bias, { low: -0.5, high: 0.5 }), arg([batch, time], { dtype: 'bool' }));
    args.push(arg([batch, units], { low: -1, high: 1 }));
    if (kind === 'lstm') args.push(arg([batch, units], { low: -1, high: 1 }));
  }
  const run = (input: Tensor, recurrent: Tensor, ...rest: Tensor[]) => {
    const [bias, mask, h0, c0] = rest;
    const { y, h, c } = ops.rnn(input, recurrent, { kind, bias, mask, h0, c0, backwards: full });
    return [y, h, c].filter((t) => t !== undefined);
  };
  const label = `${kind} [${size}]${full ? ' with all options' : ''}`;
  return makeCase('rnn', label, args, run as Case['run'], { ...sequence, gradient: kind !== 'simpleRelu' });
}

const kinds = Object.keys(rnnGates) as ops.RnnKind[];

export const recurrentCases: readonly Case[] = kinds.flatMap((kind) =>
  sizes.flatMap((size) => [sequenceCase(kind, size, false), sequenceCase(kind, size, true)]),
);
