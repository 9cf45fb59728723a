// Ops of neural networks: softmax, cross entropy, dropout.
import { isRecording, record, recording } from '../autodiff.ts';
import { isFloating } from '../dtype.ts';
import { NablaError } from '../errors.ts';
import { repeated } from '../replay.ts';
import { Replayable } from '../replayable.ts';
import { normalizeAxis, sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, placeName } from '../trace.ts';
import { mul, sub } from './arithmetic.ts';
import { cast } from './compare.ts';
import { MapBuilder } from './map.ts';
import { randomSource } from './random.ts';
import { sum } from './reduce.ts';
import { reshape, transpose } from './shape.ts';
import { exp, neg } from './unary.ts';

// What each softmax was taken of, so that a cross entropy of it can go back to the logits.
const logitsOf = new WeakMap<Tensor, Tensor>();

function rowsOf(x: Tensor): [number, number] {
  const columns = x.shape.at(-1)!;
  return [columns === 0 ? 0 : x.size / columns, columns];
}

const softmaxes = new Replayable();

function softmaxLast(x: Tensor, log: boolean): Tensor {
  if (isRecording()) return makeSoftmax(x, log);
  const out = repeated(softmaxes, x, Number(log), () => makeSoftmax(x, log));
  if (!log) logitsOf.set(out, x);
  return out;
}

function makeSoftmax(x: Tensor, log: boolean): Tensor {
  const where = log ? 'logSoftmax' : 'softmax';
  if (!isFloating(x.dtype)) throw new NablaError(where, `expected float32, got ${x}; use cast(x, 'float32')`);
  const [rows, columns] = rowsOf(x);
  const attributes = [rows, columns, Number(log)];
  const outputs = [{ shape: x.shape, dtype: 'float32' as const }];
  const out = emit({ kernel: 'softmax', outputs, inputs: [x], attributes, where })[0]!;
  record(where, [out], [x], (dy) => [dy && softmaxGradient(out, dy, attributes)]);
  if (!log) logitsOf.set(out, x);
  return out;
}

function softmaxGradient(y: Tensor, dy: Tensor, attributes: readonly number[]): Tensor {
  const outputs = [{ shape: y.shape, dtype: 'float32' as const }];
  const out = emit({ kernel: 'softmaxGrad', outputs, inputs: [y, dy], attributes, where: 'softmax' })[0]!;
  // Once more, for second derivatives: both forms are linear in dy.
  const log = attributes[2] === 1;
  record('softmaxGradient', [out], [y, dy], (g) => {
    if (g === undefined) return [];
    const along = (x: Tensor) => sum(x, -1, true);
    if (log) {
      const p = exp(y);
      return [neg(mul(mul(g, p), along(dy))), sub(g, along(mul(g, p)))];
    }
    const ofY = sub(mul(g, sub(dy, along(mul(dy, y)))), mul(dy, along(mul(g, y))));
    return [ofY, softmaxGradient(y, g, attributes)];
  });
  return out;
}

function alongAxis(x: Tensor, axis: number, log: boolean): Tensor {
  const at = normalizeAxis('softmax', axis, x.rank);
  if (at === x.rank - 1) return softmaxLast(x, log);
  const order = x.shape.map((_, i) => i).filter((i) => i !== at);
  order.push(at);
  const back = order.map((_, i) => order.indexOf(i));
  return transpose(softmaxLast(transpose(x, order), log), back);
}

/** `exp(x) / sum(exp(x))` along `axis` (default the last). */
export function softmax(x: Tensor, axis = -1): Tensor {
  return alongAxis(x, axis, false);
}

/** The logarithm of the softmax along `axis` (default the last), without overflow. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return alongAxis(x, axis, true);
}

/** The numbers as float32, from which the logits can be found as from what they were. */
export function exactly(x: Tensor): Tensor {
  if (x.dtype !== 'bfloat16') return x;
  const out = cast(x, 'float32');
  const logits = logitsOf.get(x);
  if (logits !== undefined) logitsOf.set(out, cast(logits, 'float32'));
  out.mask = x.mask;
  return out;
}

/** The logits that a softmax over the last axis was taken of, if this tensor is one. */
export function softmaxLogits(probabilities: Tensor): Tensor | undefined {
  return logitsOf.get(probabilities);
}

/**
 * The cross entropy of `softmax(logits)` with labels, one number a row: `logits` `[..., classes]`, and labels a distribution of the same shape
 * (float32) or class indices `[...]` (int32, uint8). Computed from the logits in one pass, with its gradient.
 */
export function softmaxCrossEntropy(given: Tensor, truth: Tensor): Tensor {
  const where = placeName('softmaxCrossEntropy');
  const [logits, labels] = [exactly(given), exactly(truth)];
  const sparse = labels.dtype === 'int32' || labels.dtype === 'uint8';
  const wanted = sparse ? logits.shape.slice(0, -1) : logits.shape;
  if (!sameShape(labels.shape, wanted) || (!sparse && labels.dtype !== 'float32')) {
    throw new NablaError(
      where,
      `labels do not fit, got ${labels} for logits ${showShape(logits.shape)}, ` +
        `expected float32${showShape(logits.shape)} or class indices int32${showShape(logits.shape.slice(0, -1))}`,
    );
  }
  const [rows, columns] = rowsOf(logits);
  const shape = logits.shape.slice(0, -1);
  const withGradient = recording([logits]);
  const [loss, unit] = emit({
    kernel: 'softmaxCrossEntropy',
    outputs: [
      { shape: [rows], dtype: 'float32', exact: true },
      withGradient ? { shape: logits.shape, dtype: 'float32', exact: true } : undefined,
    ],
    inputs: [logits, sparse ? reshape(labels, [rows]) : labels],
    attributes: [rows, columns],
    where,
  });
  const ofLabels = !sparse && recording([labels]);
  record(where, [loss!], [logits, labels], (dy) => {
    if (dy === undefined) return [];
    const each = reshape(dy, [...shape, 1]);
    return [unit && mul(unit, each), ofLabels ? neg(mul(logSoftmax(logits), each)) : undefined];
  });
  if (unit) {
    // Once more, for second derivatives: unit is softmax(logits) * sum(labels) - labels.
    record(`${where} gradient`, [unit], [logits, labels], (g) => {
      if (g === undefined) return [];
      const p = softmax(logits);
      const flow = softmaxGradient(p, sparse ? g : mul(g, sum(labels, -1, true)), [rows, columns, 0]);
      return [flow, ofLabels ? sub(sum(mul(g, p), -1, true), g) : undefined];
    });
  }
  return reshape(loss!, shape);
}

/**
 * Sets a share `rate` of the numbers to 0 and scales the rest by `1 / (1 - rate)`. The mask is made again for the gradient, not stored.
 * (Srivastava et al. 2014.)
 */
export function dropout(x: Tensor, rate: number): Tensor {
  if (!(rate >= 0 && rate < 1)) {
    throw new NablaError('dropout', `bad rate, got ${rate}, expected a number in [0, 1)`);
  }
  if (rate === 0) return x;
  const source = randomSource(x);
  const drop = (input: Tensor): Tensor => {
    const builder = new MapBuilder('dropout');
    const dropped = builder.op(
      'less',
      builder.random(source.state, source.stream),
      builder.constant(rate, 'float'),
    );
    const scaled = builder.op('mul', builder.load(input, 'float'), builder.constant(1 / (1 - rate), 'float'));
    builder.op('select', dropped, builder.constant(0, 'float'), scaled);
    const out = builder.build('float32', input.shape);
    record('dropout', [out], [input], (dy) => [dy && drop(dy)]);
    return out;
  };
  return drop(x);
}
