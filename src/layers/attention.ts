// MultiHeadAttention: every position looks at others through several heads at once.
import type { ConstraintLike } from '../constraints.ts';
import { describe, NablaError } from '../errors.ts';
import type { InitializerLike } from '../initializers/initializers.ts';
import { add } from '../ops/arithmetic.ts';
import {
  type AttentionOptions,
  fusedCrossAttention,
  fusedSelfAttention,
  rotaryEmbedding,
  scaledDotProductAttention,
} from '../ops/attention.ts';
import { logicalAnd, toFloats, where } from '../ops/compare.ts';
import { matMul } from '../ops/linalg.ts';
import { broadcastTo, concat, expandDims, reshape, slice } from '../ops/shape.ts';
import type { RegularizerLike } from '../regularizers.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { named } from '../trace.ts';
import type { Variable } from '../variable.ts';
import { type CallContext, Layer, type RandomOptions } from './layer.ts';

/** @internal Throws unless it is true, false, missing or the base of the angles. */
export function checkRotary(where: string, rotary: unknown): void {
  if (rotary === undefined || typeof rotary === 'boolean') return;
  if (typeof rotary === 'number' && rotary > 0 && Number.isFinite(rotary)) return;
  throw new NablaError(
    where,
    `bad rotary, got ${describe(rotary)}, expected true, false or a number above 0`,
  );
}

/** Options of {@link multiHeadAttention}. */
export interface MultiHeadAttentionOptions extends RandomOptions {
  /** Number of heads. */
  numHeads: number;
  /** Width of each head's queries and keys. */
  keyDim: number;
  /** Width of each head's values. Default `keyDim`. */
  valueDim?: number;
  /** Heads of keys and values, shared by groups of query heads; a divisor of `numHeads` (Ainslie et al. 2023). Default `numHeads`. */
  numKeyValueHeads?: number;
  /** Width of the output. Default that of the queries. */
  outputDim?: number;
  /** Share of the attention weights that is dropped while fitting. Default 0. */
  dropout?: number;
  /** Whether products have biases. Default true. */
  useBias?: boolean;
  /** Whether a position sees itself and those before it only. Default false. */
  useCausalMask?: boolean;
  /** Turn queries and keys by their positions: `true`, or the base of the wavelengths (Su et al. 2021). Default false. */
  rotary?: boolean | number;
  /** Default `'glorotUniform'`. */
  kernelInitializer?: InitializerLike;
  /** Default `'zeros'`. */
  biasInitializer?: InitializerLike;
  /** Of the output's kernel. Default `kernelInitializer`. */
  outputInitializer?: InitializerLike;
  /** What each kernel adds to the loss. Default: nothing. */
  kernelRegularizer?: RegularizerLike;
  /** What each bias adds to the loss. Default: nothing. */
  biasRegularizer?: RegularizerLike;
  /** What each kernel is brought back to after each step. Default: nothing. */
  kernelConstraint?: ConstraintLike;
  /** What each bias is brought back to after each step. Default: nothing. */
  biasConstraint?: ConstraintLike;
}

/** What {@link MultiHeadAttention.attend} takes besides. */
export interface AttendOptions {
  /** Where keys come from. Default the values' tensor. */
  key?: Tensor;
  /**
   * True (or a summand of 0) where a query may see a key: `[queries, keys]`, `[batch, queries, keys]` or `[batch, heads, queries, keys]`. Keys that the values' or keys'
   * own mask calls padding are not seen either.
   */
  mask?: Tensor;
  /** Default false. */
  training?: boolean;
}

interface Projection {
  readonly kernel: Variable<'float32'>;
  readonly bias: Variable<'float32'> | undefined;
}

/**
 * Attention with learned queries, keys, values and output: samples `[time, width]` give `[time, outputDim]`. Weights have the shapes and order of
 * Keras: query, key, value `[width, heads, dim]`, output `[heads, valueDim, outputDim]`. (Vaswani et al. 2017.)
 */
export class MultiHeadAttention extends Layer {
  readonly kind = 'multiHeadAttention';
  override readonly supportsMasking = true;
  private readonly options: MultiHeadAttentionOptions;
  private readonly heads: number;
  private readonly kvHeads: number;
  private readonly dim: number;
  private readonly valueDim: number;
  private sourceWidths: readonly [number, number] | undefined;
  private query!: Projection;
  private key!: Projection;
  private value!: Projection;
  private output!: Projection;

  constructor(options: MultiHeadAttentionOptions) {
    super(options);
    this.options = options;
    const { numHeads, keyDim, valueDim = keyDim, numKeyValueHeads = numHeads, dropout = 0 } = options;
    for (const [name, value] of Object.entries({ numHeads, keyDim, valueDim, numKeyValueHeads })) {
      if (Number.isInteger(value) && value >= 1) continue;
      throw new NablaError(this.name, `bad ${name}, got ${describe(value)}, expected an integer >= 1`);
    }
    if (numHeads % numKeyValueHeads !== 0) {
      throw new NablaError(
        this.name,
        `bad numKeyValueHeads, got ${numKeyValueHeads}, expected a divisor of numHeads, which is ${numHeads}`,
      );
    }
    if (!(dropout >= 0 && dropout < 1)) {
      throw new NablaError(this.name, `bad dropout, got ${describe(dropout)}, expected a number in [0, 1)`);
    }
    checkRotary(this.name, options.rotary);
    if (options.rotary && keyDim % 2 !== 0) {
      throw new NablaError(this.name, `rotary needs pairs, got keyDim ${keyDim}, expected an even number`);
    }
    this.heads = numHeads;
    this.kvHeads = numKeyValueHeads;
    this.dim = keyDim;
    this.valueDim = valueDim;
  }

  /** The first input is the queries, the second the values, the third, if any, the keys. */
  override ensureBuilt(...inputShapes: readonly Shape[]): void {
    const [, value = inputShapes[0]!, key = value] = inputShapes;
    this.sourceWidths ??= [key.at(-1)!, value.at(-1)!];
    super.ensureBuilt(...inputShapes);
  }

  protected override build(inputShape: Shape): void {
    const width = inputShape.at(-1)!;
    const [keyWidth, valueWidth] = this.sourceWidths ?? [width, width];
    const { heads, kvHeads, dim, valueDim } = this;
    const outputDim = this.options.outputDim ?? width;
    this.query = this.project('query', [width, heads, dim], [heads, dim]);
    this.key = this.project('key', [keyWidth, kvHeads, dim], [kvHeads, dim]);
    this.value = this.project('value', [valueWidth, kvHeads, valueDim], [kvHeads, valueDim]);
    this.output = this.project(
      'attentionOutput',
      [heads, valueDim, outputDim],
      [outputDim],
      this.options.outputInitializer,
    );
  }

  private project(name: string, shape: Shape, biasShape: Shape, own?: InitializerLike): Projection {
    const { kernelInitializer = 'glorotUniform', biasInitializer = 'zeros', useBias = true } = this.options;
    const { kernelRegularizer, biasRegularizer, kernelConstraint, biasConstraint } = this.options;
    const kernel = this.addWeight({
      name: `${name}/kernel`,
      shape,
      initializer: own ?? kernelInitializer,
      regularizer: kernelRegularizer,
      constraint: kernelConstraint,
    });
    const bias = {
      name: `${name}/bias`,
      shape: biasShape,
      initializer: biasInitializer,
      regularizer: biasRegularizer,
      constraint: biasConstraint,
    };
    return { kernel, bias: useBias ? this.addWeight(bias) : undefined };
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const wanted = this.builtShape?.at(-1);
    if (inputShape.length !== 2 || (wanted !== undefined && inputShape[1] !== wanted)) {
      throw new NablaError(
        this.name,
        `expected samples [time, ${wanted ?? 'width'}], got ${showShape(inputShape)}`,
      );
    }
    return [inputShape[0]!, this.options.outputDim ?? inputShape[1]!];
  }

  /** One input attends to itself; of two or three the first attends to the second, with keys from the third. */
  protected override shapeOf(inputShapes: readonly Shape[]): number[] {
    const [query, value = query, key = value] = inputShapes;
    const fits =
      inputShapes.length <= 3 && [value, key].every((shape) => shape?.length === 2 && shape[0] === value![0]);
    if (query === undefined || !fits) {
      const got = inputShapes.map(showShape).join(', ');
      throw new NablaError(
        this.name,
        `expected samples [time, width] of a query, perhaps a value, perhaps a key, got ${got || 'none'}`,
      );
    }
    return this.computeOutputShape(query);
  }

  protected override call(x: Tensor, context: CallContext): Tensor {
    return this.callAll([x], context);
  }

  protected override callAll(xs: readonly Tensor[], { training }: CallContext): Tensor {
    return this.attendAll(xs, { training });
  }

  /**
   * Attention of `query` `[batch, queries, width]` to `value` `[batch, keys, width]`, in Keras' order of arguments.
   *
   * @example attention.attend(decoderState, encoderOutput, { mask: padding })
   */
  attend(query: Tensor, value: Tensor, options: AttendOptions = {}): Tensor {
    const inputs = options.key === undefined ? [query, value] : [query, value, options.key];
    const shapes = inputs.map(({ shape }) => shape.slice(1));
    this.ensureBuilt(...shapes);
    this.shapeOf(shapes);
    return named(this.name, () => this.attendAll(inputs, options));
  }

  private attendAll(inputs: readonly Tensor[], { mask, training = false }: AttendOptions): Tensor {
    const settings = this.attentionOptions(training, withPadding(mask, inputs));
    const [query, value = query!, key = value] = inputs.map(toFloats);
    if (query === value && key === value) return this.selfAttend(query!, settings);
    return this.crossAttend(query!, key, value, settings);
  }

  private attentionOptions(training: boolean, mask: Tensor | undefined): AttentionOptions {
    const { dropout = 0, useCausalMask = false } = this.options;
    return { mask, causal: useCausalMask, dropout: training ? dropout : 0 };
  }

  /** One product gives queries, keys and values, and attention reads them where they lie. */
  private selfAttend(x: Tensor, options: AttentionOptions): Tensor {
    const { heads, kvHeads, dim, valueDim } = this;
    const qkv = product(x, [this.query, this.key, this.value]);
    if (!this.options.rotary) {
      return this.outputOf(fusedSelfAttention(qkv, { heads, kvHeads, dim, valueDim }, options));
    }
    const part = (from: number, count: number, width: number) => {
      const columns = slice(qkv, [0, 0, from], [-1, -1, count * width]);
      return reshape(columns, [...x.shape.slice(0, 2), count, width]);
    };
    const q = this.turned(part(0, heads, dim));
    const k = this.turned(part(heads * dim, kvHeads, dim));
    const v = part((heads + kvHeads) * dim, kvHeads, valueDim);
    return this.outputOf(flatHeads(scaledDotProductAttention(q, k, v, options)));
  }

  private crossAttend(query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions): Tensor {
    const { heads, kvHeads, dim, valueDim } = this;
    const q = product(query, [this.query]);
    if (key === value && !this.options.rotary) {
      const kv = product(value, [this.key, this.value]);
      return this.outputOf(fusedCrossAttention(q, kv, { heads, kvHeads, dim, valueDim }, options));
    }
    const apart = (x: Tensor, count: number, width: number) =>
      reshape(x, [...x.shape.slice(0, 2), count, width]);
    const k = apart(product(key, [this.key]), kvHeads, dim);
    const v = apart(product(value, [this.value]), kvHeads, valueDim);
    const out = scaledDotProductAttention(this.turned(apart(q, heads, dim)), this.turned(k), v, options);
    return this.outputOf(flatHeads(out));
  }

  private turned(x: Tensor): Tensor {
    const { rotary = false } = this.options;
    if (rotary === false) return x;
    return rotaryEmbedding(x, rotary === true ? {} : { base: rotary });
  }

  private outputOf(attended: Tensor): Tensor {
    const { kernel, bias } = this.output;
    const out = matMul(attended, reshape(kernel, [-1, kernel.shape.at(-1)!]));
    return bias === undefined ? out : add(out, bias);
  }
}

/** The mask, with the keys that the masks of values and keys say are padding left out as well: `[batch, queries, keys]`, or with heads where `mask` has them. */
export function withPadding(mask: Tensor | undefined, inputs: readonly Tensor[]): Tensor | undefined {
  const [query, value = query!, key = value] = inputs;
  const paddings = [...new Set([value.mask, key.mask])].filter((padding) => padding !== undefined);
  if (paddings.length === 0) return mask;
  const [batch, keys] = [key.shape[0]!, key.shape[1]!];
  const both = paddings.reduce((a, b) => logicalAnd(a, b));
  const seen = broadcastTo(reshape(both, [batch, 1, keys]), [batch, query!.shape[1]!, keys]);
  if (mask === undefined) return seen;
  const fitting = mask.rank === 4 ? expandDims(seen, 1) : seen;
  // Far below all scores, but finite: a query that sees nothing does not become NaN.
  return mask.dtype === 'bool' ? logicalAnd(fitting, mask) : where(fitting, mask, -1e30);
}

function flatHeads(x: Tensor): Tensor {
  return reshape(x, [...x.shape.slice(0, 2), x.shape[2]! * x.shape[3]!]);
}

/** x times several kernels side by side, in one product. */
function product(x: Tensor, projections: readonly Projection[]): Tensor {
  const flat = projections.map(({ kernel }) => reshape(kernel, [kernel.shape[0]!, -1]));
  const kernel = flat.length === 1 ? flat[0]! : concat(flat, 1);
  const out = matMul(x, kernel);
  const biases = projections.flatMap(({ bias }) => (bias === undefined ? [] : [reshape(bias, [-1])]));
  if (biases.length === 0) return out;
  return add(out, biases.length === 1 ? biases[0]! : concat(biases));
}

/**
 * Attention with several heads. In a sequential model every position of a sample attends to the others; `attend(query, value)` is the general form. Positions that
 * a mask calls padding are not seen; as queries they are computed like others, and the mask goes on to what follows.
 *
 * @example layers.multiHeadAttention({ numHeads: 4, keyDim: 32, useCausalMask: true })
 */
export function multiHeadAttention(options: MultiHeadAttentionOptions): MultiHeadAttention {
  return new MultiHeadAttention(options);
}
