// EinsumDense: a Dense layer over any dimensions, whose sums of products are named by an einsum equation.
import { type ActivationLike, getActivation } from '../activations.ts';
import { type ConstraintLike, getConstraint } from '../constraints.ts';
import { describe, NablaError } from '../errors.ts';
import { getInitializer, type InitializerLike } from '../initializers/initializers.ts';
import { add } from '../ops/arithmetic.ts';
import { toFloats } from '../ops/compare.ts';
import { einsum } from '../ops/einsum.ts';
import { getRegularizer, type RegularizerLike } from '../regularizers.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** Options of {@link einsumDense}. */
export interface EinsumDenseOptions extends LayerOptions {
  /** `'ab,bc->ac'`: the letters of the input, of the kernel, of the output. `...` may begin or end both input and output. */
  equation: string;
  /**
   * The output's dimensions without the batch and without those of `...`, one number or a list; `null` where the input has the same letter, whose
   * size it takes.
   */
  outputShape: number | readonly (number | null)[];
  /** Letters of the output along which a bias is added. Default: no bias. */
  biasAxes?: string;
  /** Applied to the sums. Default `'linear'`. */
  activation?: ActivationLike;
  /** Default `'glorotUniform'`. */
  kernelInitializer?: InitializerLike;
  /** Default `'zeros'`. */
  biasInitializer?: InitializerLike;
  /** What the kernel adds to the loss. Default: nothing. */
  kernelRegularizer?: RegularizerLike;
  /** What the bias adds to the loss. Default: nothing. */
  biasRegularizer?: RegularizerLike;
  /** What the kernel is brought back to after each step. Default: nothing. */
  kernelConstraint?: ConstraintLike;
  /** What the bias is brought back to after each step. Default: nothing. */
  biasConstraint?: ConstraintLike;
}

/** An equation taken apart. */
interface Terms {
  readonly input: string;
  readonly kernel: string;
  readonly output: string;
  /** Where the dimensions are that have no letters. */
  readonly ellipsis: 'none' | 'left' | 'right';
}

/** Shapes that follow from an equation and the shape of a sample. */
interface Shapes {
  readonly kernel: number[];
  readonly bias: number[];
  readonly output: number[];
}

const form = /^(\.\.\.)?([A-Za-z]+)(\.\.\.)?,([A-Za-z]+)->(\.\.\.)?([A-Za-z]+)(\.\.\.)?$/;

function parse(where: string, equation: unknown): Terms {
  const found = typeof equation === 'string' ? form.exec(equation.replaceAll(' ', '')) : null;
  const [, left, input = '', right, kernel = '', outLeft, output = '', outRight] = found ?? [];
  if (found === null || left !== outLeft || right !== outRight || (left && right)) {
    throw new NablaError(
      where,
      `bad equation, got ${describe(equation)}, expected 'ab,bc->ac', '...a,ab->...b' or 'ab...,bc->ac...'`,
    );
  }
  const ellipsis = left ? 'left' : right ? 'right' : 'none';
  if (ellipsis !== 'left' && input[0] !== output[0]) {
    throw new NablaError(
      where,
      `the batch is lost, got ${describe(equation)}, expected input and output to begin with one letter`,
    );
  }
  if (ellipsis !== 'left' && kernel.includes(input[0]!)) {
    throw new NablaError(
      where,
      `the kernel has the batch's letter, got ${describe(equation)}, expected letters of other dimensions`,
    );
  }
  const lost = [...output].find((letter) => !input.includes(letter) && !kernel.includes(letter));
  const free = [...kernel].find((letter) => !input.includes(letter) && !output.includes(letter));
  if (lost !== undefined || free !== undefined) {
    throw new NablaError(
      where,
      `'${lost ?? free}' in ${describe(equation)} stands alone, expected each letter of output and kernel in another term`,
    );
  }
  return { input, kernel, output, ellipsis };
}

/** `activation(einsum(equation, x, kernel) + bias)`. */
export class EinsumDense extends Layer {
  readonly kind = 'einsumDense';
  private readonly options: EinsumDenseOptions;
  private readonly terms: Terms;
  private readonly wanted: readonly (number | null)[];
  private kernel!: Variable<'float32'>;
  private bias: Variable<'float32'> | undefined;

  constructor(options: EinsumDenseOptions) {
    super(options);
    this.options = options;
    const { outputShape, biasAxes = '' } = options;
    if (typeof biasAxes !== 'string')
      throw new NablaError(
        this.name,
        `bad biasAxes, got ${describe(biasAxes)}, expected letters such as 'bc'`,
      );
    this.terms = parse(this.name, options.equation);
    const { output, ellipsis } = this.terms;
    this.wanted = typeof outputShape === 'number' ? [outputShape] : outputShape;
    const rank = output.length - Number(ellipsis !== 'left');
    const good = (dim: unknown) => dim === null || (Number.isInteger(dim) && (dim as number) >= 1);
    if (!Array.isArray(this.wanted) || this.wanted.length !== rank || !this.wanted.every(good)) {
      throw new NablaError(
        this.name,
        `bad outputShape, got ${describe(outputShape)}, expected ${rank} dimensions, integers >= 1 or null, for '${options.equation}'`,
      );
    }
    const wrong = [...biasAxes].find((letter) => !output.includes(letter));
    if (wrong !== undefined) {
      throw new NablaError(
        this.name,
        `bad biasAxes, got '${biasAxes}', expected letters of the output '${output}'`,
      );
    }
    getActivation(this.name, options.activation ?? 'linear');
    getInitializer(this.name, options.kernelInitializer ?? 'glorotUniform');
    getInitializer(this.name, options.biasInitializer ?? 'zeros');
    for (const like of [options.kernelRegularizer, options.biasRegularizer])
      if (like !== undefined) getRegularizer(this.name, like);
    for (const like of [options.kernelConstraint, options.biasConstraint])
      if (like !== undefined) getConstraint(this.name, like);
  }

  /** Sizes of all letters, and what follows from them. The batch counts as a dimension of 1. */
  private shapesFor(sample: Shape): Shapes {
    const { input, kernel, output, ellipsis } = this.terms;
    const full = [1, ...sample];
    const hidden = full.length - input.length;
    if (ellipsis === 'none' ? hidden !== 0 : hidden < Number(ellipsis === 'left')) {
      throw new NablaError(
        this.name,
        `expected samples that '${this.options.equation}' names, with the batch, got ${showShape(sample)}`,
      );
    }
    const sizes = new Map<string, number>();
    [...input].forEach((letter, i) => {
      sizes.set(letter, full[ellipsis === 'left' ? i + hidden : i]!);
    });
    const own = ellipsis === 'left' ? output : output.slice(1);
    [...own].forEach((letter, i) => {
      const size = this.wanted[i] ?? sizes.get(letter);
      if (size === undefined) {
        throw new NablaError(
          this.name,
          `the size of '${letter}' is not known, got null in outputShape, expected a number: the input has no '${letter}'`,
        );
      }
      if (sizes.has(letter) && sizes.get(letter) !== size) {
        throw new NablaError(
          this.name,
          `'${letter}' has two sizes, got ${sizes.get(letter)} in the input and ${size} in outputShape; pass null there`,
        );
      }
      sizes.set(letter, size);
    });
    const of = (letters: string) => [...letters].map((letter) => sizes.get(letter)!);
    const rest = ellipsis === 'right' ? full.slice(input.length) : [];
    const front = ellipsis === 'left' ? full.slice(1, hidden) : [];
    const { biasAxes = '' } = this.options;
    const first = Math.min(...[...biasAxes].map((letter) => output.indexOf(letter)));
    const biased = biasAxes === '' ? '' : output.slice(first);
    const bias = [...biased].map((letter) => (biasAxes.includes(letter) ? sizes.get(letter)! : 1));
    return {
      kernel: of(kernel),
      bias: [...bias, ...rest.map(() => 1)],
      output: [...front, ...of(own), ...rest],
    };
  }

  protected override build(inputShape: Shape): void {
    const { kernelInitializer = 'glorotUniform', biasInitializer = 'zeros', biasAxes = '' } = this.options;
    const shapes = this.shapesFor(inputShape);
    this.kernel = this.addWeight({
      name: 'kernel',
      shape: shapes.kernel,
      initializer: kernelInitializer,
      regularizer: this.options.kernelRegularizer,
      constraint: this.options.kernelConstraint,
    });
    if (biasAxes === '') return;
    this.bias = this.addWeight({
      name: 'bias',
      shape: shapes.bias,
      initializer: biasInitializer,
      regularizer: this.options.biasRegularizer,
      constraint: this.options.biasConstraint,
    });
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const { kernel, output } = this.shapesFor(inputShape);
    const built = this.kernel?.shape;
    if (built !== undefined && !built.every((dim, i) => dim === kernel[i])) {
      throw new NablaError(
        this.name,
        `expected samples like ${showShape(this.builtShape ?? [])}, got ${showShape(inputShape)}: the kernel is ${showShape(built)}`,
      );
    }
    return output;
  }

  protected override call(x: Tensor): Tensor {
    const product = einsum(this.options.equation, toFloats(x), this.kernel);
    const sums = this.bias === undefined ? product : add(product, this.bias);
    return getActivation(this.name, this.options.activation ?? 'linear')(sums);
  }
}

/**
 * A fully connected layer over dimensions that an einsum equation names: for heads of attention, or one kernel for each group. The kernel has the
 * sizes of its letters. (Keras' EinsumDense.)
 *
 * Throws where the equation, `outputShape` or `biasAxes` do not fit together, or the samples do not fit the equation.
 *
 * @example
 * // Samples [time, width] to four heads of 16 numbers: [time, 4, 16].
 * layers.einsumDense({ equation: 'abc,cde->abde', outputShape: [null, 4, 16], biasAxes: 'de', inputShape: [10, 64] })
 */
export function einsumDense(options: EinsumDenseOptions): EinsumDense {
  return new EinsumDense(options);
}
