// CTC: the loss of label sequences whose places in the predictions are not known.
import { NablaError } from '../errors.ts';
import { add } from '../ops/arithmetic.ts';
import { cast, equal, logicalAnd, logicalOr, notEqual, where } from '../ops/compare.ts';
import { range, zeros } from '../ops/creation.ts';
import { oneHot } from '../ops/gather.ts';
import { matMul } from '../ops/linalg.ts';
import { logSoftmax } from '../ops/nn.ts';
import { logAddExp } from '../ops/numeric.ts';
import { logSumExp, sum } from '../ops/reduce.ts';
import { expandDims, pad, reshape, slice, stack } from '../ops/shape.ts';
import { neg } from '../ops/unary.ts';
import { recorded } from '../saving/recorded.ts';
import { showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Loss, LossFunction } from './loss.ts';

// The logarithm of a probability that is as good as 0, yet finite: a label sequence that does not fit has a huge loss, not an infinite one.
const impossible = -1e9;

/** The labels with a blank before, between and behind them: `[batch, 2 * labels + 1]`. */
function withBlanks(labels: Tensor): Tensor {
  const [batch, count] = labels.shape as [number, number];
  const pairs = reshape(stack([zeros([batch, count], 'int32'), labels], 2), [batch, 2 * count]);
  return pad(pairs, [
    [0, 0],
    [0, 1],
  ]);
}

/** The rows moved right by `by`, with what cannot be on the left. */
function shifted(x: Tensor, by: number): Tensor {
  const kept = slice(x, [0, 0], [-1, x.shape[1]! - by]);
  return pad(
    kept,
    [
      [0, 0],
      [by, 0],
    ],
    impossible,
  );
}

/**
 * Connectionist temporal classification (Graves et al. 2006): minus the logarithm of the probability of the labels, summed over all ways to place them in time with blanks and
 * repetitions. Labels `[batch, labels]` are class indices from 1 on, padded with 0 at the end; class 0 is the blank. Predictions `[batch, time, classes]` are logits. A mask
 * of the predictions leaves out steps after the first that are padding; Keras' loss looks at all. Labels that do not fit into the time have a loss near 1e9.
 *
 * Every time step is in the program: its length grows with the sequence.
 *
 * @example model.compile({ optimizer: 'adam', loss: losses.ctc() })
 */
export function ctc(): Loss {
  const name = 'ctc';
  const call: LossFunction = (yTrue, yPred) => {
    if (yPred.rank !== 3 || yTrue.rank !== 2 || yTrue.shape[0] !== yPred.shape[0] || yTrue.shape[1] === 0) {
      throw new NablaError(
        name,
        `labels and predictions do not fit, got ${showShape(yTrue.shape)} and ${showShape(yPred.shape)}, expected ` +
          'class indices [batch, labels] and logits [batch, time, classes]',
      );
    }
    const [batch, time, classes] = yPred.shape as [number, number, number];
    const labels = cast(yTrue, 'int32');
    const states = withBlanks(labels);
    const count = states.shape[1]!;
    // What each state says at each time: the logarithm of its class.
    const chosen = oneHot(states, classes);
    const emitted = matMul(logSoftmax(cast(yPred, 'float32')), chosen, { transposeB: true });
    const at = (step: number) => reshape(slice(emitted, [0, step, 0], [batch, 1, count]), [batch, count]);
    // A blank may be left out between two labels that differ.
    const differs = notEqual(
      states,
      cast(
        pad(slice(states, [0, 0], [-1, count - 2]), [
          [0, 0],
          [2, 0],
        ]),
        'int32',
      ),
    );
    const skip = where(logicalAnd(notEqual(states, 0), differs), 0, impossible);
    const place = reshape(range(0, count), [1, count]);
    let alpha = add(where(equal(place, 0), 0, where(equal(place, 1), 0, impossible)), at(0));
    for (let step = 1; step < time; step++) {
      const reached = logAddExp(logAddExp(alpha, shifted(alpha, 1)), add(shifted(alpha, 2), skip));
      const next = add(reached, at(step));
      alpha = yPred.mask === undefined ? next : where(slice(yPred.mask, [0, step], [batch, 1]), next, alpha);
    }
    const lengths = sum(cast(notEqual(labels, 0), 'float32'), 1);
    const end = expandDims(add(lengths, lengths), 1);
    // After the last label, or the blank behind it.
    const final = logicalOr(equal(place, end), equal(place, add(end, -1)));
    return neg(logSumExp(where(final, alpha, impossible), 1));
  };
  return recorded('losses', name, [], { name, call });
}
