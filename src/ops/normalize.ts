// Normalisation: rows to mean 0 and variance 1 (layer), to mean square 1 (RMS), or channels over the batch.
import { gradientThrough, record, recording, stopRecording } from '../autodiff.ts';
import { isFloating } from '../dtype.ts';
import { NablaError } from '../errors.ts';
import { floatBits } from '../program/graph.ts';
import { showShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, placeName } from '../trace.ts';
import { add, maximum, mul, sub } from './arithmetic.ts';
import { MapBuilder } from './map.ts';
import { mean, sum, sumSquares } from './reduce.ts';
import { reshape } from './shape.ts';
import { rsqrt, square } from './unary.ts';

/** Options of {@link layerNormalize} and {@link rmsNormalize}. */
export interface NormalizeOptions {
  /** A factor for each element of a row. Default: none. */
  scale?: Tensor | undefined;
  /** A summand for each element of a row. Default: none. */
  offset?: Tensor | undefined;
  /** Added to the variance. Default 0.001. */
  epsilon?: number;
  /** How many of the last dimensions make up a row. Default 1. */
  dims?: number;
}

/** `(x - mean) / sqrt(variance + epsilon) * scale + offset` over the last dimensions. (Ba et al. 2016.) */
export function layerNormalize(x: Tensor, options: NormalizeOptions = {}): Tensor {
  return normalizeRows('layerNormalize', x, options, true);
}

/** `x / sqrt(mean(x ** 2) + epsilon) * scale + offset` over the last dimensions. (Zhang and Sennrich 2019.) */
export function rmsNormalize(x: Tensor, options: NormalizeOptions = {}): Tensor {
  return normalizeRows('rmsNormalize', x, options, false);
}

function normalizeRows(name: string, x: Tensor, options: NormalizeOptions, center: boolean): Tensor {
  const { scale, offset, epsilon = 1e-3, dims = 1 } = options;
  const where = placeName(name);
  if (!isFloating(x.dtype)) throw new NablaError(where, `expected float32, got ${x}; use cast(x, 'float32')`);
  if (!Number.isInteger(dims) || dims < 1 || dims > x.rank) {
    throw new NablaError(where, `bad dims, got ${dims}, expected an integer in [1, ${x.rank}]`);
  }
  const rowShape = x.shape.slice(x.rank - dims);
  const columns = sizeOf(rowShape);
  const rows = sizeOf(x.shape.slice(0, x.rank - dims));
  for (const [label, vector] of Object.entries({ scale, offset })) {
    if (vector === undefined || (vector.size === columns && isFloating(vector.dtype))) continue;
    throw new NablaError(
      where,
      `${label} does not fit, got ${vector}, expected float32${showShape(rowShape)}`,
    );
  }
  const inputs = [x, scale, offset].filter((input) => input !== undefined);
  const kept = recording(inputs);
  const perRow = { shape: [rows], dtype: 'float32' as const, exact: true };
  const [out, means, rstd] = emit({
    kernel: 'normalize',
    outputs: [
      { shape: x.shape, dtype: x.dtype, exact: true },
      kept && center ? perRow : undefined,
      kept ? perRow : undefined,
    ],
    inputs: [x, scale, offset],
    attributes: [rows, columns, Number(center), floatBits(epsilon)],
    where,
  });
  record(name, [out!], inputs, (dy) => {
    if (dy === undefined) return [];
    const like = (vector: Tensor | undefined) =>
      vector && { shape: vector.shape, dtype: vector.dtype, exact: true };
    const [dx, dscale, doffset] = emit({
      kernel: 'normalizeGrad',
      outputs: [{ shape: x.shape, dtype: x.dtype, exact: true }, like(scale), like(offset)],
      inputs: [dy, x, means, rstd, scale],
      attributes: [rows, columns],
      where,
    });
    const gradients = [dx, dscale, doffset].filter((gradient) => gradient !== undefined);
    const again = withAffine(scale, offset, (v, s, o) => {
      const flat = reshape(v, [rows, columns]);
      const away = center ? sub(flat, mean(flat, 1, true)) : flat;
      const normal = mul(away, rsqrt(add(mean(square(away), 1, true), epsilon)));
      return reshape(affine(normal, s && reshape(s, [columns]), o && reshape(o, [columns])), x.shape);
    });
    record(`${name} gradient`, gradients, [dy, ...inputs], gradientThrough(again, dy, inputs));
    return gradients;
  });
  return out!;
}

/** A function of a tensor and of those of scale and offset that there are, which `f` has by their places. */
function withAffine(
  scale: Tensor | undefined,
  offset: Tensor | undefined,
  f: (x: Tensor, scale: Tensor | undefined, offset: Tensor | undefined) => Tensor,
): (...inputs: Tensor[]) => Tensor {
  return (x, ...rest) => f(x!, scale && rest[0], offset && rest.at(-1));
}

function affine(x: Tensor, scale: Tensor | undefined, offset: Tensor | undefined): Tensor {
  const scaled = scale === undefined ? x : mul(x, scale);
  return offset === undefined ? scaled : add(scaled, offset);
}

/** What {@link batchNormalize} gives. */
export interface BatchNormalized {
  /** The batch, normalised. */
  readonly out: Tensor;
  /** Of each channel over the batch; constants to any gradient. */
  readonly mean: Tensor;
  /** The population variance of each channel over the batch; a constant to any gradient. */
  readonly variance: Tensor;
}

/**
 * Every channel (the last dimension) to mean 0 and variance 1 over all other dimensions, then `* scale + offset`. (Ioffe and Szegedy 2015.)
 * Two reductions and one pass each way.
 */
export function batchNormalize(
  x: Tensor,
  scale: Tensor | undefined,
  offset: Tensor | undefined,
  epsilon = 1e-3,
): BatchNormalized {
  const axes = x.shape.slice(0, -1).map((_, i) => i);
  const count = sizeOf(x.shape.slice(0, -1));
  const computed = stopRecording(() => {
    const center = mean(x, axes);
    const variance = mean(squaredFrom(x, center), axes);
    return { out: normalizeWith(x, center, variance, scale, offset, epsilon), mean: center, variance };
  });
  const inputs = [x, scale, offset].filter((input) => input !== undefined);
  record('batchNormalize', [computed.out], inputs, (dy) => {
    if (dy === undefined) return [];
    const { mean: center, variance } = computed;
    const gradients = stopRecording(() => {
      const doffset = sum(dy, axes);
      const dscale = sum(timesUnit(dy, x, center, variance, epsilon), axes);
      const dx = batchGradient({ dy, x, center, variance, scale, dscale, doffset }, epsilon, count);
      return [dx, ...(scale ? [dscale] : []), ...(offset ? [doffset] : [])];
    });
    const again = withAffine(scale, offset, (v, s, o) => {
      const away = sub(v, mean(v, axes));
      return affine(mul(away, rsqrt(add(mean(square(away), axes), epsilon))), s, o);
    });
    record('batchNormalize gradient', gradients, [dy, ...inputs], gradientThrough(again, dy, inputs));
    return gradients;
  });
  return computed;
}

/** `(x - mean) / sqrt(variance + epsilon) * scale + offset` with statistics that are given, one number a channel; differentiable in all of them. */
export function normalizeWith(
  x: Tensor,
  center: Tensor,
  variance: Tensor,
  scale: Tensor | undefined,
  offset: Tensor | undefined,
  epsilon: number,
): Tensor {
  const b = new MapBuilder(placeName('normalize'));
  const off = b.op('sub', b.load(x, 'float'), b.load(center, 'float'));
  const rstd = b.op('rsqrt', b.op('add', b.load(variance, 'float'), b.constant(epsilon, 'float')));
  let out = b.op('mul', off, scale === undefined ? rstd : b.op('mul', rstd, b.load(scale, 'float')));
  if (offset !== undefined) out = b.op('add', out, b.load(offset, 'float'));
  const result = b.build('float32');
  const inputs = [x, center, variance, scale, offset].filter((input) => input !== undefined);
  record('normalize', [result], inputs, (dy) => {
    if (dy === undefined) return [];
    const axes = x.shape.slice(0, -1).map((_, i) => i);
    const gradients = stopRecording(() => {
      const doffset = sum(dy, axes);
      const along = sum(timesUnit(dy, x, center, variance, epsilon), axes);
      const back = new MapBuilder('normalize');
      const root = (m: MapBuilder) => {
        const r = m.op('rsqrt', m.op('add', m.load(variance, 'float'), m.constant(epsilon, 'float')));
        return scale === undefined ? r : m.op('mul', r, m.load(scale, 'float'));
      };
      back.op('mul', back.load(dy, 'float'), root(back));
      const dx = back.build('float32');
      const ofCenter = new MapBuilder('normalize');
      ofCenter.op('mul', ofCenter.op('neg', ofCenter.load(doffset, 'float')), root(ofCenter));
      const v = new MapBuilder('normalize');
      const total = v.op('add', v.load(variance, 'float'), v.constant(epsilon, 'float'));
      const share = v.op('div', v.op('mul', v.load(along, 'float'), v.constant(-0.5, 'float')), total);
      if (scale !== undefined) v.op('mul', share, v.load(scale, 'float'));
      const gradients = [dx, ofCenter.build('float32'), v.build('float32')];
      return [...gradients, ...(scale ? [along] : []), ...(offset ? [doffset] : [])];
    });
    const again = (v: Tensor, m: Tensor, s: Tensor, ...rest: Tensor[]) =>
      withAffine(scale, offset, (n, a, b) => affine(n, a, b))(
        mul(sub(v, m), rsqrt(add(s, epsilon))),
        ...rest,
      );
    record('normalize gradient', gradients, [dy, ...inputs], gradientThrough(again, dy, inputs));
    return gradients;
  });
  return result;
}

function squaredFrom(x: Tensor, center: Tensor): Tensor {
  const b = new MapBuilder('batchNormalize');
  b.op('square', b.op('sub', b.load(x, 'float'), b.load(center, 'float')));
  return b.build('float32');
}

/** `dy * (x - mean) / sqrt(variance + epsilon)`. */
function timesUnit(dy: Tensor, x: Tensor, center: Tensor, variance: Tensor, epsilon: number): Tensor {
  const b = new MapBuilder('batchNormalize');
  const unit = b.op('sub', b.load(x, 'float'), b.load(center, 'float'));
  const rstd = b.op('rsqrt', b.op('add', b.load(variance, 'float'), b.constant(epsilon, 'float')));
  b.op('mul', b.load(dy, 'float'), b.op('mul', unit, rstd));
  return b.build('float32');
}

interface BatchParts {
  readonly dy: Tensor;
  readonly x: Tensor;
  readonly center: Tensor;
  readonly variance: Tensor;
  readonly scale: Tensor | undefined;
  readonly dscale: Tensor;
  readonly doffset: Tensor;
}

/** `scale * rstd * (dy - doffset / count - unit * dscale / count)`. */
function batchGradient(parts: BatchParts, epsilon: number, count: number): Tensor {
  const b = new MapBuilder('batchNormalize');
  const load = (t: Tensor) => b.load(t, 'float');
  const share = b.constant(1 / count, 'float');
  const rstd = b.op('rsqrt', b.op('add', load(parts.variance), b.constant(epsilon, 'float')));
  const unit = b.op('mul', b.op('sub', load(parts.x), load(parts.center)), rstd);
  const away = b.op('sub', load(parts.dy), b.op('mul', load(parts.doffset), share));
  const flow = b.op('sub', away, b.op('mul', unit, b.op('mul', load(parts.dscale), share)));
  b.op('mul', flow, parts.scale === undefined ? rstd : b.op('mul', rstd, load(parts.scale)));
  return b.build('float32');
}

/** `x / max(norm(x), epsilon)` along the last dimension, as Keras' unit normalisation does with the L2 norm. */
export function unitNormalize(x: Tensor, epsilon = 1e-12): Tensor {
  const squares = sumSquares(x, -1, true);
  const b = new MapBuilder(placeName('unitNormalize'));
  const least = b.constant(epsilon, 'float');
  b.op('mul', b.load(x, 'float'), b.op('rsqrt', b.op('maximum', b.load(squares, 'float'), least)));
  const out = b.build('float32');
  record('unitNormalize', [out], [x], (dy) => {
    if (dy === undefined) return [];
    const dx = stopRecording(() => {
      const m = new MapBuilder('unitNormalize');
      m.op('mul', m.load(dy, 'float'), m.load(out, 'float'));
      const along = sum(m.build('float32'), -1, true);
      const g = new MapBuilder('unitNormalize');
      const total = g.load(squares, 'float');
      const limit = g.constant(epsilon, 'float');
      const rstd = g.op('rsqrt', g.op('maximum', total, limit));
      const radial = g.op('mul', g.load(out, 'float'), g.load(along, 'float'));
      // Below epsilon the factor is a constant: nothing is taken off.
      const flow = g.op('select', g.op('less', total, limit), g.constant(0, 'float'), radial);
      g.op('mul', g.op('sub', g.load(dy, 'float'), flow), rstd);
      return g.build('float32');
    });
    const again = (v: Tensor) => mul(v, rsqrt(maximum(sum(square(v), -1, true), epsilon)));
    record('unitNormalize gradient', [dx], [dy, x], gradientThrough(again, dy, [x]));
    return [dx];
  });
  return out;
}
