// TransformerBlock: attention and a small network at every position, each with normalisation and a shortcut.
import type { ActivationLike } from '../activations.ts';
import { describe, NablaError, unknownName } from '../errors.ts';
import type { InitializerLike } from '../initializers/initializers.ts';
import { add } from '../ops/arithmetic.ts';
import { toFloats } from '../ops/compare.ts';
import { dropout as dropoutOp } from '../ops/nn.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkRotary, type MultiHeadAttention, multiHeadAttention } from './attention.ts';
import { type Dense, dense } from './dense.ts';
import { type CallContext, Layer, type RandomOptions } from './layer.ts';
import { layerNormalization, rmsNormalization } from './normalization.ts';

/** Options of {@link transformerBlock}. */
export interface TransformerBlockOptions extends RandomOptions {
  /** Number of heads; a divisor of the width unless `keyDim` is given. */
  numHeads: number;
  /** Width of each head. Default the width divided by `numHeads`. */
  keyDim?: number;
  /** Heads of keys and values. Default `numHeads`. */
  numKeyValueHeads?: number;
  /** Width of the small network's middle. Default 4 times the width. */
  hiddenDim?: number;
  /** Of the small network's middle. Default `'gelu'`. */
  activation?: ActivationLike;
  /** Share that is dropped of what attention and network add, and of the attention weights, while fitting. Default 0. */
  dropout?: number;
  /** Whether a position sees itself and those before it only, as in GPT. Default false, as in BERT. */
  useCausalMask?: boolean;
  /** Default `'layer'`. */
  normalization?: 'layer' | 'rms';
  /** Normalise before attention and network, as GPT-2 does, rather than after the shortcut. Default true. */
  normalizeFirst?: boolean;
  /** Of the normalisation. Default 1e-5. */
  epsilon?: number;
  /** Whether products and normalisation have biases. Default true. */
  useBias?: boolean;
  /** Turn queries and keys by their positions. Default false. */
  rotary?: boolean | number;
  /** Default `'glorotUniform'`. */
  kernelInitializer?: InitializerLike;
  /** Of the two products that end in a shortcut. Default `kernelInitializer`. */
  outputInitializer?: InitializerLike;
}

/** `x + attention(norm(x))`, then `x + network(norm(x))`; samples `[time, width]`. (Vaswani et al. 2017; Radford et al. 2019.) */
export class TransformerBlock extends Layer {
  readonly kind = 'transformerBlock';
  override readonly supportsMasking = true;
  private readonly options: TransformerBlockOptions;
  private attention!: MultiHeadAttention;
  private attentionNorm!: Layer;
  private widen!: Dense;
  private narrow!: Dense;
  private networkNorm!: Layer;

  constructor(options: TransformerBlockOptions) {
    super(options);
    this.options = options;
    const { numHeads, dropout = 0, normalization = 'layer' } = options;
    if (normalization !== 'layer' && normalization !== 'rms')
      throw unknownName(this.name, 'normalization', normalization, ['layer', 'rms']);
    checkRotary(this.name, options.rotary);
    if (!Number.isInteger(numHeads) || numHeads < 1) {
      throw new NablaError(this.name, `bad numHeads, got ${describe(numHeads)}, expected an integer >= 1`);
    }
    if (!(dropout >= 0 && dropout < 1)) {
      throw new NablaError(this.name, `bad dropout, got ${describe(dropout)}, expected a number in [0, 1)`);
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const wanted = this.builtShape?.at(-1);
    const width = inputShape[1];
    if (inputShape.length !== 2 || (wanted !== undefined && width !== wanted)) {
      throw new NablaError(
        this.name,
        `expected samples [time, ${wanted ?? 'width'}], got ${showShape(inputShape)}`,
      );
    }
    if (this.options.keyDim === undefined && width! % this.options.numHeads !== 0) {
      throw new NablaError(
        this.name,
        `numHeads does not divide the width, got ${this.options.numHeads} and ${width}; give keyDim`,
      );
    }
    return [...inputShape];
  }

  protected override build(inputShape: Shape): void {
    const width = inputShape[1]!;
    const { numHeads, keyDim = width / numHeads, hiddenDim = 4 * width, activation = 'gelu' } = this.options;
    const { dropout = 0, useBias = true, useCausalMask = false, rotary = false } = this.options;
    const { kernelInitializer = 'glorotUniform', outputInitializer = kernelInitializer } = this.options;
    const { numKeyValueHeads = numHeads } = this.options;
    this.attentionNorm = this.addPart('attentionNorm', this.norm());
    this.attention = this.addPart(
      'attention',
      multiHeadAttention({
        numHeads,
        keyDim,
        numKeyValueHeads,
        dropout,
        useBias,
        useCausalMask,
        rotary,
        kernelInitializer,
        outputInitializer,
      }),
    );
    this.networkNorm = this.addPart('networkNorm', this.norm());
    this.widen = this.addPart('widen', dense({ units: hiddenDim, activation, useBias, kernelInitializer }));
    this.narrow = this.addPart(
      'narrow',
      dense({ units: width, useBias, kernelInitializer: outputInitializer }),
    );
    for (const part of [this.attentionNorm, this.attention, this.networkNorm, this.widen]) {
      part.ensureBuilt(inputShape);
    }
    this.narrow.ensureBuilt([inputShape[0]!, hiddenDim]);
  }

  private norm(): Layer {
    const { normalization = 'layer', epsilon = 1e-5, useBias = true } = this.options;
    return normalization === 'rms'
      ? rmsNormalization({ epsilon })
      : layerNormalization({ epsilon, center: useBias });
  }

  protected override call(x: Tensor, context: CallContext): Tensor {
    const network = (y: Tensor) => this.narrow.apply(this.widen.apply(y, context), context);
    const attended = this.around(
      toFloats(x),
      (y) => this.attention.apply(y, x.mask === undefined ? context : { ...context, mask: x.mask }),
      this.attentionNorm,
      context,
    );
    return this.around(attended, network, this.networkNorm, context);
  }

  /** A part with its normalisation, dropout and shortcut. */
  private around(x: Tensor, part: (x: Tensor) => Tensor, norm: Layer, context: CallContext): Tensor {
    const { dropout = 0, normalizeFirst = true } = this.options;
    const made = part(normalizeFirst ? norm.apply(x, context) : x);
    const sum = add(x, context.training && dropout > 0 ? dropoutOp(made, dropout) : made);
    return normalizeFirst ? sum : norm.apply(sum, context);
  }
}

/**
 * A block of a transformer.
 *
 * @example layers.transformerBlock({ numHeads: 4, useCausalMask: true, dropout: 0.1 })
 */
export function transformerBlock(options: TransformerBlockOptions): TransformerBlock {
  return new TransformerBlock(options);
}
