// Dense: every output is a weighted sum of every input.
import { type ActivationLike, getActivation } from '../activations.ts';
import { type ConstraintLike, getConstraint } from '../constraints.ts';
import { describe, NablaError } from '../errors.ts';
import { getInitializer, type InitializerLike } from '../initializers/initializers.ts';
import { add } from '../ops/arithmetic.ts';
import { toFloats } from '../ops/compare.ts';
import { matMul } from '../ops/linalg.ts';
import { getRegularizer, type RegularizerLike } from '../regularizers.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** Options of {@link dense}. */
export interface DenseOptions extends LayerOptions {
  /** Number of outputs. */
  units: number;
  /** Applied to the sums. Default `'linear'`. */
  activation?: ActivationLike;
  /** Whether a bias is added. Default true. */
  useBias?: boolean;
  /** Default `'glorotUniform'`. */
  kernelInitializer?: InitializerLike;
  /** Default `'zeros'`. */
  biasInitializer?: InitializerLike;
  /** What the kernel adds to the loss, such as `'l2'` or `regularizers.l2({ l2: 1e-4 })`. Default: nothing. */
  kernelRegularizer?: RegularizerLike;
  /** What the bias adds to the loss. Default: nothing. */
  biasRegularizer?: RegularizerLike;
  /** What the kernel is brought back to after each step, such as `constraints.maxNorm()`. Default: nothing. */
  kernelConstraint?: ConstraintLike;
  /** What the bias is brought back to after each step. Default: nothing. */
  biasConstraint?: ConstraintLike;
}

/** `activation(x @ kernel + bias)` over the last dimension: `[..., inputs]` gives `[..., units]`. */
export class Dense extends Layer {
  readonly kind = 'dense';
  override readonly supportsMasking = true;
  private readonly options: DenseOptions;
  private kernel!: Variable<'float32'>;
  private bias: Variable<'float32'> | undefined;

  constructor(options: DenseOptions) {
    super(options);
    this.options = options;
    const { units } = options;
    if (!Number.isInteger(units) || units < 1) {
      throw new NablaError(this.name, `bad units, got ${describe(units)}, expected an integer >= 1`);
    }
    // Names are looked up now, so that a wrong one shows where it was written.
    getActivation(this.name, options.activation ?? 'linear');
    getInitializer(this.name, options.kernelInitializer ?? 'glorotUniform');
    getInitializer(this.name, options.biasInitializer ?? 'zeros');
    const { kernelRegularizer, biasRegularizer, kernelConstraint, biasConstraint } = options;
    for (const like of [kernelRegularizer, biasRegularizer])
      if (like !== undefined) getRegularizer(this.name, like);
    for (const like of [kernelConstraint, biasConstraint])
      if (like !== undefined) getConstraint(this.name, like);
  }

  protected override build(inputShape: Shape): void {
    const {
      units,
      useBias = true,
      kernelInitializer = 'glorotUniform',
      biasInitializer = 'zeros',
    } = this.options;
    const shape = [inputShape.at(-1)!, units];
    this.kernel = this.addWeight({
      name: 'kernel',
      shape,
      initializer: kernelInitializer,
      regularizer: this.options.kernelRegularizer,
      constraint: this.options.kernelConstraint,
    });
    if (!useBias) return;
    this.bias = this.addWeight({
      name: 'bias',
      shape: [units],
      initializer: biasInitializer,
      regularizer: this.options.biasRegularizer,
      constraint: this.options.biasConstraint,
    });
  }

  override computeOutputShape(inputShape: Shape): number[] {
    if (inputShape.length === 0) {
      throw new NablaError(
        this.name,
        'expected at least one dimension besides the batch, got a scalar a sample',
      );
    }
    const wanted = this.builtShape?.at(-1);
    const got = inputShape.at(-1);
    if (wanted !== undefined && got !== wanted) {
      const remedy =
        inputShape.reduce((a, b) => a * b, 1) === wanted ? '; add layers.flatten() before it' : '';
      throw new NablaError(
        this.name,
        `expected input with last dimension ${wanted}, got ${showShape(inputShape)}${remedy}`,
      );
    }
    return [...inputShape.slice(0, -1), this.options.units];
  }

  protected override call(x: Tensor): Tensor {
    const product = matMul(toFloats(x), this.kernel);
    const sums = this.bias === undefined ? product : add(product, this.bias);
    return getActivation(this.name, this.options.activation ?? 'linear')(sums);
  }
}

/**
 * A fully connected layer.
 *
 * @example layers.dense({ units: 128, activation: 'relu' })
 */
export function dense(options: DenseOptions): Dense {
  return new Dense(options);
}
