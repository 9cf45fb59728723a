// Attention and AdditiveAttention: attention without projections, by dot products or by sums; and grouped-query attention under Keras' name.
import { describe, NablaError } from '../errors.ts';
import { add, mul, sub } from '../ops/arithmetic.ts';
import { causalMask, scaledDotProductAttention } from '../ops/attention.ts';
import { toFloats, where } from '../ops/compare.ts';
import { matMul } from '../ops/linalg.ts';
import { dropout as dropoutOp, softmax } from '../ops/nn.ts';
import { sum } from '../ops/reduce.ts';
import { expandDims, reshape } from '../ops/shape.ts';
import { tanh } from '../ops/unary.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { named } from '../trace.ts';
import type { Variable } from '../variable.ts';
import {
  type AttendOptions,
  type MultiHeadAttention,
  type MultiHeadAttentionOptions,
  multiHeadAttention,
  withPadding,
} from './attention.ts';
import { type CallContext, Layer, type RandomOptions } from './layer.ts';

/** Options of {@link additiveAttention}. */
export interface AdditiveAttentionOptions extends RandomOptions {
  /** Whether scores have a learned factor. Default true; for {@link attention} false. */
  useScale?: boolean;
  /** Share of the attention weights that is dropped while fitting. Default 0. */
  dropout?: number;
  /** Whether a query sees the keys up to its own position only. Default false. */
  useCausalMask?: boolean;
}

/** Options of {@link attention}. */
export interface AttentionLayerOptions extends AdditiveAttentionOptions {
  /** `'dot'` (default): `q . k`; `'concat'`: `sum(tanh(q + k))`. */
  scoreMode?: 'dot' | 'concat';
}

/** Attention of queries to values by the likeness of keys, without projections. */
abstract class PlainAttention extends Layer {
  override readonly supportsMasking = true;
  /** Share of the attention weights that is dropped while fitting. */
  protected readonly dropout: number;
  /** Whether a position sees itself and those before it only. */
  protected readonly causal: boolean;

  constructor(options: AdditiveAttentionOptions) {
    super(options);
    this.dropout = options.dropout ?? 0;
    this.causal = options.useCausalMask ?? false;
  }

  /** Called once the layer has its name. */
  protected checkDropout(): void {
    if (this.dropout >= 0 && this.dropout < 1) return;
    throw new NablaError(
      this.name,
      `bad dropout, got ${describe(this.dropout)}, expected a number in [0, 1)`,
    );
  }

  override computeOutputShape(inputShape: Shape): number[] {
    return this.shapeOf([inputShape]);
  }

  protected override shapeOf(inputShapes: readonly Shape[]): number[] {
    const [query, value, key = value] = inputShapes;
    const three = [query, value, key].every((shape) => shape?.length === 2);
    const fits = three && key![0] === value![0] && key![1] === query![1] && inputShapes.length <= 3;
    if (!fits) {
      throw new NablaError(
        this.name,
        'expected samples of a query [queries, dim], a value [keys, width] and perhaps a key [keys, dim], ' +
          `got ${inputShapes.map(showShape).join(', ')}; apply it to an array of tensors`,
      );
    }
    const built = this.builtShape?.[1];
    if (built !== undefined && built !== query![1]) {
      throw new NablaError(this.name, `expected queries of ${built} numbers, got ${showShape(query!)}`);
    }
    return [query![0]!, value![1]!];
  }

  protected override call(x: Tensor, context: CallContext): Tensor {
    return this.callAll([x, x], context);
  }

  protected override callAll(xs: readonly Tensor[], { training }: CallContext): Tensor {
    return this.attendAll(xs, undefined, training);
  }

  /**
   * Attention of `query` `[batch, queries, dim]` to `value` `[batch, keys, width]`, where a mask says what may be seen.
   *
   * @example layers.attention().attend(ones([1, 1, 4]), ones([1, 2, 4]), { mask: tensor([[true, false]]) })
   */
  attend(query: Tensor, value: Tensor, options: AttendOptions = {}): Tensor {
    const { key = value, mask, training = false } = options;
    const inputs = [query, value, key];
    const shapes = inputs.map(({ shape }) => shape.slice(1));
    this.ensureBuilt(...shapes);
    this.shapeOf(shapes);
    return named(this.name, () => this.attendAll(inputs, mask, training));
  }

  private attendAll(inputs: readonly Tensor[], mask: Tensor | undefined, training: boolean): Tensor {
    const [query, value, key = value!] = inputs.map(toFloats);
    const rate = training ? this.dropout : 0;
    const out = this.attendTo({ query: query!, key, value: value!, mask: withPadding(mask, inputs), rate });
    // As Keras: what a query that is padding sees is 0.
    const counts = inputs[0]!.mask;
    return counts === undefined ? out : where(expandDims(counts, -1), out, 0);
  }

  /** @internal */
  protected abstract attendTo(parts: Parts): Tensor;

  /** @internal `softmax(scores) @ value`, with what may not be seen left out. */
  protected weigh(scores: Tensor, { value, mask, rate }: Parts): Tensor {
    const [, queries, keys] = scores.shape as [number, number, number];
    const seen = this.causal ? masked(scores, causalMask(queries, keys)) : scores;
    const weights = softmax(mask === undefined ? seen : masked(seen, mask));
    return matMul(rate > 0 ? dropoutOp(weights, rate) : weights, value);
  }
}

interface Parts {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  readonly mask: Tensor | undefined;
  readonly rate: number;
}

/** Scores with a billion taken off where a bool mask is false, as Keras; or with a float mask added. */
function masked(scores: Tensor, mask: Tensor): Tensor {
  return mask.dtype === 'bool' ? where(mask, scores, sub(scores, 1e9)) : add(scores, mask);
}

/** Every query with every key: `[batch, queries, keys, dim]`. */
function pairs({ query, key }: Parts): Tensor {
  return add(expandDims(query, 2), expandDims(key, 1));
}

/** Dot-product attention. (Luong et al. 2015.) */
export class Attention extends PlainAttention {
  readonly kind = 'attention';
  private readonly useScale: boolean;
  private readonly scoreMode: 'dot' | 'concat';
  private scale: Variable<'float32'> | undefined;
  private concatScale: Variable<'float32'> | undefined;

  constructor(options: AttentionLayerOptions = {}) {
    super(options);
    this.checkDropout();
    this.useScale = options.useScale ?? false;
    this.scoreMode = options.scoreMode ?? 'dot';
    if (this.scoreMode !== 'dot' && this.scoreMode !== 'concat') {
      throw new NablaError(
        this.name,
        `bad scoreMode, got ${describe(this.scoreMode)}, expected 'dot' or 'concat'`,
      );
    }
  }

  protected override build(): void {
    const one = { shape: [], initializer: 'ones' } as const;
    if (this.useScale) this.scale = this.addWeight({ name: 'scale', ...one });
    if (this.scoreMode === 'concat') this.concatScale = this.addWeight({ name: 'concatScoreWeight', ...one });
  }

  /** @internal */
  protected override attendTo(parts: Parts): Tensor {
    const { query, key, value, mask, rate } = parts;
    const scaled = (x: Tensor) => (this.scale === undefined ? x : mul(x, this.scale));
    if (this.scoreMode === 'concat') {
      return this.weigh(mul(sum(tanh(scaled(pairs(parts))), -1), this.concatScale!), parts);
    }
    // One head: the kernel never makes the matrix of scores.
    const head = (x: Tensor) => expandDims(x, 2);
    const options = { mask, causal: this.causal, scale: 1, dropout: rate };
    const out = scaledDotProductAttention(head(scaled(query)), head(key), head(value), options);
    return reshape(out, [query.shape[0]!, query.shape[1]!, value.shape[2]!]);
  }
}

/** Additive attention. (Bahdanau et al. 2015.) */
export class AdditiveAttention extends PlainAttention {
  readonly kind = 'additiveAttention';
  private readonly useScale: boolean;
  private scale: Variable<'float32'> | undefined;

  constructor(options: AdditiveAttentionOptions = {}) {
    super(options);
    this.checkDropout();
    this.useScale = options.useScale ?? true;
  }

  protected override build(inputShape: Shape): void {
    if (!this.useScale) return;
    this.scale = this.addWeight({ name: 'scale', shape: [inputShape[1]!], initializer: 'glorotUniform' });
  }

  /** @internal */
  protected override attendTo(parts: Parts): Tensor {
    const bent = tanh(pairs(parts));
    return this.weigh(sum(this.scale === undefined ? bent : mul(bent, this.scale), -1), parts);
  }
}

/**
 * Attention by dot products: a query `[queries, dim]`, a value `[keys, width]` and perhaps a key `[keys, dim]` give `[queries, width]`,
 * `softmax(q k^T) v`. Scores are not divided by `sqrt(dim)`; {@link multiHeadAttention} does that, and has projections.
 *
 * @example layers.attention({ useScale: true }).apply([query, value])
 */
export function attention(options: AttentionLayerOptions = {}): Attention {
  return new Attention(options);
}

/**
 * Attention by sums: inputs as {@link attention}; scores are `sum(scale * tanh(q + k))`.
 *
 * @example layers.additiveAttention().apply([query, value])
 */
export function additiveAttention(options: AdditiveAttentionOptions = {}): AdditiveAttention {
  return new AdditiveAttention(options);
}

/** Options of {@link groupQueryAttention}. */
export interface GroupQueryAttentionOptions
  extends Omit<MultiHeadAttentionOptions, 'numHeads' | 'keyDim' | 'valueDim' | 'outputDim'> {
  /** Width of each head. */
  headDim: number;
  /** Heads of queries. */
  numQueryHeads: number;
  /** Heads of keys and values; a divisor of `numQueryHeads`. */
  numKeyValueHeads: number;
}

/**
 * Multi-head attention whose groups of query heads share keys and values (Ainslie et al. 2023): {@link multiHeadAttention} under the names of Keras'
 * GroupQueryAttention.
 *
 * @example layers.groupQueryAttention({ headDim: 16, numQueryHeads: 8, numKeyValueHeads: 2 })
 */
export function groupQueryAttention(options: GroupQueryAttentionOptions): MultiHeadAttention {
  const { headDim, numQueryHeads, ...rest } = options;
  return multiHeadAttention({ ...rest, numHeads: numQueryHeads, keyDim: headDim });
}
