// Attention: scaled dot products, computed by blocks without the matrix of scores, and positions.
import { gradientThrough, record, recording } from '../autodiff.ts';
import { isFloating } from '../dtype.ts';
import { NablaError } from '../errors.ts';
import { floatBits } from '../program/graph.ts';
import { type Shape, sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { emit, placeName } from '../trace.ts';
import { add, mul } from './arithmetic.ts';
import { where as choose } from './compare.ts';
import { matMul } from './linalg.ts';
import { MapBuilder } from './map.ts';
import { dropout as dropoutOp, exactly, softmax } from './nn.ts';
import { broadcastTo, concat, reshape, slice, transpose } from './shape.ts';

/** Options of attention. */
export interface AttentionOptions {
  /**
   * What each query may see: bool, true where it may, or float32, added to the scores. `[queries, keys]`, `[batch, queries, keys]`, or
   * `[batch or 1, heads or 1, queries, keys]`. A query that may see nothing gives zeros.
   */
  mask?: Tensor | undefined;
  /** Query t sees keys 0 to t only. Default false. */
  causal?: boolean;
  /** Factor of the scores. Default `1 / sqrt(dim)`. */
  scale?: number;
  /** Share of the attention weights that is dropped, in [0, 1). The matrix of weights then exists. Default 0. */
  dropout?: number;
}

interface Sizes {
  readonly batch: number;
  /** Heads of queries. */
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  /** Width of a head's queries and keys. */
  readonly dim: number;
  readonly valueDim: number;
}

/** Where queries, keys or values lie: in the rows of a tensor, from an offset on. */
interface Place {
  readonly tensor: Tensor;
  readonly row: number;
  readonly offset: number;
}

interface Places {
  readonly q: Place;
  readonly k: Place;
  readonly v: Place;
  /** Each tensor once, in the order q, k, v: all three in one, keys and values in one, or each in its own. */
  readonly tensors: readonly Tensor[];
}

/**
 * `softmax(q k^T * scale + mask) v` for each head: queries `[batch, queries, heads, dim]`, keys `[batch, keys, kvHeads, dim]`, values
 * `[batch, keys, kvHeads, valueDim]` give `[batch, queries, heads, valueDim]`. Where `heads` is a multiple of `kvHeads`, groups of query heads share
 * keys and values (Ainslie et al. 2023). Float32. (Vaswani et al. 2017; by blocks as Dao et al. 2022.)
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const where = placeName('attention');
  for (const [label, tensor] of Object.entries({ q, k, v })) {
    if (tensor.rank === 4 && isFloating(tensor.dtype)) continue;
    throw new NablaError(
      where,
      `${label} does not fit, got ${tensor}, expected float32[batch, time, heads, dim]`,
    );
  }
  const [batch, queries, heads, dim] = q.shape as [number, number, number, number];
  const [, keys, kvHeads, valueDim] = v.shape as [number, number, number, number];
  if (!sameShape(k.shape, [batch, keys, kvHeads, dim]) || v.shape[0] !== batch || heads % kvHeads !== 0) {
    throw new NablaError(
      where,
      `shapes do not fit, got q ${showShape(q.shape)}, k ${showShape(k.shape)}, v ${showShape(v.shape)}, expected ` +
        '[b, t, h, d], [b, s, g, d], [b, s, g, e] with h a multiple of g',
    );
  }
  const alone = (tensor: Tensor, row: number): Place => ({ tensor, row, offset: 0 });
  const places = {
    q: alone(q, heads * dim),
    k: alone(k, kvHeads * dim),
    v: alone(v, kvHeads * valueDim),
    tensors: [q, k, v],
  };
  const sizes = { batch, heads, kvHeads, queries, keys, dim, valueDim };
  return reshape(attend(where, sizes, places, options), [batch, queries, heads, valueDim]);
}

/** Heads of a fused product. */
export interface FusedHeads {
  /** Heads of queries. */
  readonly heads: number;
  /** Default `heads`. */
  readonly kvHeads?: number;
  /** Width of a head's queries and keys. */
  readonly dim: number;
  /** Default `dim`. */
  readonly valueDim?: number;
}

/**
 * Self-attention over the rows of one product `[batch, time, heads * dim + kvHeads * (dim + valueDim)]` that hold queries, keys and values side by
 * side; gives `[batch, time, heads * valueDim]`. Nothing is copied.
 */
export function fusedSelfAttention(qkv: Tensor, shape: FusedHeads, options: AttentionOptions = {}): Tensor {
  const { heads, kvHeads = heads, dim, valueDim = dim } = shape;
  const [batch, time, row] = qkv.shape as [number, number, number];
  const [kOffset, vOffset] = [heads * dim, (heads + kvHeads) * dim];
  const at = (offset: number): Place => ({ tensor: qkv, row, offset });
  const places = { q: at(0), k: at(kOffset), v: at(vOffset), tensors: [qkv] };
  const sizes = { batch, heads, kvHeads, queries: time, keys: time, dim, valueDim };
  return attend(placeName('attention'), sizes, places, options);
}

/** Attention of `q` `[batch, queries, heads * dim]` to keys and values side by side, `[batch, keys, kvHeads * (dim + valueDim)]`. */
export function fusedCrossAttention(
  q: Tensor,
  kv: Tensor,
  shape: FusedHeads,
  options: AttentionOptions = {},
): Tensor {
  const { heads, kvHeads = heads, dim, valueDim = dim } = shape;
  const [batch, queries, qRow] = q.shape as [number, number, number];
  const [, keys, row] = kv.shape as [number, number, number];
  const places = {
    q: { tensor: q, row: qRow, offset: 0 },
    k: { tensor: kv, row, offset: 0 },
    v: { tensor: kv, row, offset: kvHeads * dim },
    tensors: [q, kv],
  };
  const sizes = { batch, heads, kvHeads, queries, keys, dim, valueDim };
  return attend(placeName('attention'), sizes, places, options);
}

function attend(where: string, sizes: Sizes, places: Places, options: AttentionOptions): Tensor {
  const { causal = false, scale = 1 / Math.sqrt(sizes.dim), dropout = 0 } = options;
  if (!(dropout >= 0 && dropout < 1)) {
    throw new NablaError(where, `bad dropout, got ${dropout}, expected a number in [0, 1)`);
  }
  const mask = options.mask && asMask(where, exactly(options.mask), sizes);
  // Dropout needs the weights, and the gradient of a mask those of the scores.
  if (dropout > 0 || (mask !== undefined && recording([mask]))) {
    return attendInParts(sizes, places, { mask, causal, scale, dropout });
  }
  const { batch, heads, kvHeads, queries, keys, dim, valueDim } = sizes;
  const { q, k, v, tensors } = places;
  const flags = [mask !== undefined && mask.shape[0]! > 1, mask !== undefined && mask.shape[1]! > 1, causal];
  const attributes = [batch, heads, kvHeads, queries, keys, dim, valueDim];
  attributes.push(q.row, q.offset, k.row, k.offset, v.row, v.offset, ...flags.map(Number), floatBits(scale));
  const [out, logSumExp] = emit({
    kernel: 'attention',
    outputs: [
      { shape: [batch, queries, heads * valueDim], dtype: q.tensor.dtype, exact: true },
      recording(tensors) ? { shape: [batch, heads, queries], dtype: 'float32', exact: true } : undefined,
    ],
    inputs: [q.tensor, k.tensor, v.tensor, mask],
    attributes,
    where,
  });
  record('attention', [out!], tensors, (dout) => {
    if (dout === undefined) return [];
    const like = (tensor: Tensor | undefined) =>
      tensor && { shape: tensor.shape, dtype: tensor.dtype, exact: true };
    const gradients = emit({
      kernel: 'attentionGrad',
      outputs: [like(tensors[0]), like(tensors[1]), like(tensors[2])],
      inputs: [q.tensor, k.tensor, v.tensor, out, logSumExp, dout, mask],
      attributes,
      where,
    }).filter((gradient) => gradient !== undefined);
    const again = (...xs: Tensor[]) => {
      // By place, not by tensor: queries may be the values too.
      const moved = (place: Place, i: number) => ({ ...place, tensor: xs[Math.min(i, xs.length - 1)]! });
      const there = { q: moved(q, 0), k: moved(k, 1), v: moved(v, 2), tensors: xs };
      return attendInParts(sizes, there, { mask, causal, scale, dropout });
    };
    record('attention gradient', gradients, [dout, ...tensors], gradientThrough(again, dout, tensors));
    return gradients;
  });
  return out!;
}

/** The mask as bool or float32 `[batch or 1, heads or 1, queries, keys]`. */
function asMask(where: string, mask: Tensor, { batch, heads, queries, keys }: Sizes): Tensor {
  const shapes: Record<number, Shape> = {
    2: [1, 1, queries, keys],
    3: [mask.shape[0]!, 1, queries, keys],
    4: mask.shape,
  };
  const shape = shapes[mask.rank];
  const fits =
    shape !== undefined &&
    (mask.dtype === 'bool' || mask.dtype === 'float32') &&
    (shape[0] === 1 || shape[0] === batch) &&
    (shape[1] === 1 || shape[1] === heads) &&
    sameShape(mask.shape.slice(-2), [queries, keys]);
  if (!fits) {
    throw new NablaError(
      where,
      `the mask does not fit, got ${mask}, expected bool or float32 [${queries}, ${keys}], ` +
        `[${batch}, ${queries}, ${keys}] or [${batch} or 1, ${heads} or 1, ${queries}, ${keys}]`,
    );
  }
  return reshape(mask, shape);
}

type PartOptions = Required<Omit<AttentionOptions, 'mask'>> & { mask: Tensor | undefined };

// Far below any score, yet finite: a row of nothing else stays a number.
const unseen = -1e30;

/** The same from simple ops, with the matrix of weights in memory. */
function attendInParts(sizes: Sizes, places: Places, options: PartOptions): Tensor {
  const { batch, heads, kvHeads, queries, keys, dim, valueDim } = sizes;
  const headsFirst = (place: Place, time: number, count: number, width: number): Tensor => {
    const rows = reshape(place.tensor, [batch, time, place.row]);
    const part =
      count * width === place.row ? rows : slice(rows, [0, 0, place.offset], [-1, -1, count * width]);
    const apart = transpose(reshape(part, [batch, time, count, width]), [0, 2, 1, 3]);
    if (count === heads) return apart;
    const group = [batch, count, heads / count, time, width];
    return reshape(broadcastTo(reshape(apart, [batch, count, 1, time, width]), group), [
      batch,
      heads,
      time,
      width,
    ]);
  };
  const q = headsFirst(places.q, queries, heads, dim);
  const k = headsFirst(places.k, keys, kvHeads, dim);
  const v = headsFirst(places.v, keys, kvHeads, valueDim);
  let scores = mul(matMul(q, k, { transposeB: true }), options.scale);
  const { mask } = options;
  if (mask !== undefined) scores = mask.dtype === 'bool' ? choose(mask, scores, unseen) : add(scores, mask);
  if (options.causal) scores = choose(causalMask(queries, keys), scores, unseen);
  const weights = softmax(scores);
  const dropped = options.dropout > 0 ? dropoutOp(weights, options.dropout) : weights;
  return reshape(transpose(matMul(dropped, v), [0, 2, 1, 3]), [batch, queries, heads * valueDim]);
}

/** Bool `[queries, keys]`: true where the key is not later than the query. */
export function causalMask(queries: number, keys: number): Tensor<'bool'> {
  const b = new MapBuilder('causalMask');
  const width = b.constant(Math.max(1, keys), 'int');
  const [row, column] = [b.op('floorDivInt', b.index(), width), b.op('modInt', b.index(), width)];
  b.op('lessEqualInt', column, row);
  const out = b.build('bool', [queries, keys]) as Tensor<'bool'>;
  record('causalMask', [out], [], undefined);
  return out;
}

/**
 * Sines and cosines of positions, float32 `[length, width]`: column 2i is `sin(t / base ** (2i / width))`, column 2i + 1 the cosine.
 * (Vaswani et al. 2017.)
 */
export function sinusoidalPositions(length: number, width: number, base = 10000): Tensor<'float32'> {
  const b = new MapBuilder('sinusoidalPositions');
  const columns = b.constant(Math.max(1, width), 'int');
  const column = b.op('modInt', b.index(), columns);
  const position = b.op('toFloat', b.op('floorDivInt', b.index(), columns));
  const odd = b.op('modInt', column, b.constant(2, 'int'));
  const even = b.op('toFloat', b.op('subInt', column, odd));
  const rate = b.op('exp', b.op('mul', even, b.constant(-Math.log(base) / width, 'float')));
  const angle = b.op('mul', position, rate);
  b.op('select', odd, b.op('cos', angle), b.op('sin', angle));
  return b.build('float32', [length, width]) as Tensor<'float32'>;
}

/** Options of {@link rotaryEmbedding}. */
export interface RotaryOptions {
  /** The longest wavelength is this times 2 pi. Default 10000. */
  base?: number;
  /** Position of the first row. Default 0. */
  offset?: number;
}

/**
 * Turns each pair of numbers (i, i + dim / 2) of a head by an angle that grows with the position: queries or keys
 * `[batch, time, heads, dim]`, dim even. (Su et al. 2021.)
 */
export function rotaryEmbedding(x: Tensor, options: RotaryOptions = {}): Tensor {
  return rotate(x, options, 1);
}

function rotate(x: Tensor, options: RotaryOptions, direction: 1 | -1): Tensor {
  const { base = 10000, offset = 0 } = options;
  const where = placeName('rotaryEmbedding');
  const [time, heads, dim] = x.shape.slice(1) as [number, number, number];
  if (x.rank !== 4 || dim % 2 !== 0) {
    throw new NablaError(where, `expected [batch, time, heads, an even dim], got ${x}`);
  }
  const half = dim / 2;
  const front = slice(x, [0, 0, 0, 0], [-1, -1, -1, half]);
  const back = slice(x, [0, 0, 0, half], [-1, -1, -1, half]);
  const b = new MapBuilder(where);
  const index = b.index();
  const side = b.op('modInt', index, b.constant(dim, 'int'));
  const isBack = b.op('lessEqualInt', b.constant(half, 'int'), side);
  const pair = b.op('toFloat', b.op('modInt', side, b.constant(half, 'int')));
  const row = b.op('floorDivInt', index, b.constant(heads * dim, 'int'));
  const position = b.op('addInt', b.op('modInt', row, b.constant(time, 'int')), b.constant(offset, 'int'));
  const rate = b.op('exp', b.op('mul', pair, b.constant((-2 * Math.log(base)) / dim, 'float')));
  const angle = b.op('mul', b.op('toFloat', position), rate);
  const sine = b.op('mul', b.op('sin', angle), b.constant(direction, 'float'));
  // The other number of the pair, with the sign of its part: -sin in the front half.
  const signed = b.op('select', isBack, sine, b.op('neg', sine));
  const own = b.load(x, 'float');
  const other = b.load(concat([back, front], -1), 'float');
  b.op('mulAdd', own, b.op('cos', angle), b.op('mul', other, signed));
  const out = b.build('float32', x.shape);
  record('rotaryEmbedding', [out], [x], (dy) => [dy && rotate(dy, options, direction === 1 ? -1 : 1)]);
  return out;
}
