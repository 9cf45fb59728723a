// Activation layers with settings or weights of their own: leakyReLU, prelu, elu, softmax, reLU.
import type { ConstraintLike } from '../constraints.ts';
import { describe, NablaError } from '../errors.ts';
import type { InitializerLike } from '../initializers/initializers.ts';
import { elu as eluOp, leakyRelu } from '../ops/activation.ts';
import { add, minimum, mul, sub } from '../ops/arithmetic.ts';
import { less, toFloats, where } from '../ops/compare.ts';
import { softmax as softmaxOp } from '../ops/nn.ts';
import { relu } from '../ops/unary.ts';
import type { RegularizerLike } from '../regularizers.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { Layer, type LayerOptions } from './layer.ts';

function checkNumber(where_: string, name: string, value: unknown): void {
  if (typeof value === 'number' && !Number.isNaN(value)) return;
  throw new NablaError(where_, `bad ${name}, got ${describe(value)}, expected a number`);
}

/** The base of layers that apply a function to every number. */
abstract class Elementwise extends Layer {
  override readonly supportsMasking = true;
  /** The shape of one output sample, that of the input; throws where the input does not fit. */
  override computeOutputShape(inputShape: Shape): number[] {
    return [...inputShape];
  }

  /** The function, of the batch as float32. */
  protected override call(x: Tensor): Tensor {
    return this.activate(toFloats(x));
  }

  /** The function itself, of float32 numbers. */
  protected abstract activate(x: Tensor): Tensor;
}

/** Options of {@link leakyReLU}. */
export interface LeakyReluOptions extends LayerOptions {
  /** Slope below 0. Default 0.3. */
  negativeSlope?: number;
}

/** x, below 0 `negativeSlope * x`. (Maas et al. 2013.) */
export class LeakyRelu extends Elementwise {
  readonly kind = 'leakyReLU';
  private readonly slope: number;

  constructor(options: LeakyReluOptions = {}) {
    super(options);
    this.slope = options.negativeSlope ?? 0.3;
    checkNumber(this.name, 'negativeSlope', this.slope);
  }

  protected override activate(x: Tensor): Tensor {
    return leakyRelu(x, this.slope);
  }
}

/**
 * A relu that lets a little through below 0.
 *
 * @example layers.leakyReLU({ negativeSlope: 0.2 })
 */
export function leakyReLU(options: LeakyReluOptions = {}): LeakyRelu {
  return new LeakyRelu(options);
}

/** Options of {@link prelu}. */
export interface PreluOptions extends LayerOptions {
  /** Of the slopes. Default `'zeros'`. */
  alphaInitializer?: InitializerLike;
  /** What the slopes add to the loss. Default: nothing. */
  alphaRegularizer?: RegularizerLike;
  /** What the slopes are brought back to after each step. Default: nothing. */
  alphaConstraint?: ConstraintLike;
  /** Axes along which slopes are shared, counted with the batch as in Keras: `[1, 2]` for images. Default none. */
  sharedAxes?: readonly number[];
}

/** x, below 0 `alpha * x` with learned slopes. (He et al. 2015.) */
export class Prelu extends Elementwise {
  readonly kind = 'prelu';
  private readonly options: PreluOptions;
  private alpha!: Variable<'float32'>;

  constructor(options: PreluOptions = {}) {
    super(options);
    this.options = options;
    const { sharedAxes = [] } = options;
    if (!Array.isArray(sharedAxes))
      throw new NablaError(
        this.name,
        `bad sharedAxes, got ${describe(sharedAxes)}, expected an array of axes`,
      );
  }

  protected override build(inputShape: Shape): void {
    const { alphaInitializer = 'zeros', sharedAxes = [] } = this.options;
    const rank = inputShape.length + 1;
    const shared = sharedAxes.map((axis) => (axis < 0 ? axis + rank : axis));
    if (shared.some((axis) => !Number.isInteger(axis) || axis < 1 || axis >= rank)) {
      throw new NablaError(
        this.name,
        `bad sharedAxes, got [${sharedAxes}], expected integers in [1, ${rank - 1}], the batch being axis 0`,
      );
    }
    const shape = inputShape.map((dim, i) => (shared.includes(i + 1) ? 1 : dim));
    this.alpha = this.addWeight({
      name: 'alpha',
      shape,
      initializer: alphaInitializer,
      regularizer: this.options.alphaRegularizer,
      constraint: this.options.alphaConstraint,
    });
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const { alpha, options } = this;
    const fits =
      alpha === undefined ||
      (alpha.rank === inputShape.length &&
        alpha.shape.every(
          (dim, i) => dim === inputShape[i] || (dim === 1 && options.sharedAxes !== undefined),
        ));
    if (!fits) {
      throw new NablaError(
        this.name,
        `expected samples ${showShape(this.builtShape ?? alpha.shape)}, got ${showShape(inputShape)}; share slopes with sharedAxes`,
      );
    }
    return [...inputShape];
  }

  protected override activate(x: Tensor): Tensor {
    return add(relu(x), mul(this.alpha, minimum(x, 0)));
  }
}

/**
 * A leaky relu whose slopes are learned.
 *
 * @example layers.prelu({ sharedAxes: [1, 2] })
 */
export function prelu(options: PreluOptions = {}): Prelu {
  return new Prelu(options);
}

/** Options of {@link elu}. */
export interface EluOptions extends LayerOptions {
  /** The value far below 0 is minus this. Default 1. */
  alpha?: number;
}

/** x, below 0 `alpha * (exp(x) - 1)`. (Clevert et al. 2016.) */
export class Elu extends Elementwise {
  readonly kind = 'elu';
  private readonly alpha: number;

  constructor(options: EluOptions = {}) {
    super(options);
    this.alpha = options.alpha ?? 1;
    checkNumber(this.name, 'alpha', this.alpha);
  }

  protected override activate(x: Tensor): Tensor {
    return eluOp(x, this.alpha);
  }
}

/**
 * The exponential linear unit.
 *
 * @example layers.elu({ alpha: 0.5 })
 */
export function elu(options: EluOptions = {}): Elu {
  return new Elu(options);
}

/** Options of {@link softmax}. */
export interface SoftmaxOptions extends LayerOptions {
  /** The axis that adds up to 1, counted with the batch. Default -1. */
  axis?: number;
}

/** `exp(x) / sum(exp(x))` along an axis; scores that a mask leaves out have probability 0. */
export class SoftmaxLayer extends Elementwise {
  readonly kind = 'softmax';
  private readonly axis: number;

  constructor(options: SoftmaxOptions = {}) {
    super(options);
    this.axis = options.axis ?? -1;
    if (!Number.isInteger(this.axis) || this.axis === 0) {
      throw new NablaError(
        this.name,
        `bad axis, got ${describe(this.axis)}, expected an integer other than 0, the batch`,
      );
    }
  }

  protected override call(x: Tensor): Tensor {
    const { mask } = x;
    // A mask of the scores themselves, not of steps with several scores.
    if (mask === undefined || mask.rank !== x.rank) return super.call(x);
    return where(mask, softmaxOp(where(mask, toFloats(x), -1e9), this.axis), 0);
  }

  protected override activate(x: Tensor): Tensor {
    return softmaxOp(x, this.axis);
  }
}

/**
 * Probabilities from scores.
 *
 * @example layers.softmax()
 */
export function softmax(options: SoftmaxOptions = {}): SoftmaxLayer {
  return new SoftmaxLayer(options);
}

/** Options of {@link reLU}. */
export interface ReluOptions extends LayerOptions {
  /** The largest value. Default: none. */
  maxValue?: number;
  /** Slope below the threshold. Default 0. */
  negativeSlope?: number;
  /** Below it the slope is `negativeSlope`. Default 0. */
  threshold?: number;
}

/** x from `threshold` to `maxValue`, `maxValue` above, `negativeSlope * (x - threshold)` below. */
export class Relu extends Elementwise {
  readonly kind = 'reLU';
  private readonly maxValue: number;
  private readonly slope: number;
  private readonly threshold: number;

  constructor(options: ReluOptions = {}) {
    super(options);
    this.maxValue = options.maxValue ?? Number.POSITIVE_INFINITY;
    this.slope = options.negativeSlope ?? 0;
    this.threshold = options.threshold ?? 0;
    checkNumber(this.name, 'maxValue', this.maxValue);
    checkNumber(this.name, 'negativeSlope', this.slope);
    checkNumber(this.name, 'threshold', this.threshold);
  }

  protected override activate(x: Tensor): Tensor {
    const { maxValue, slope, threshold } = this;
    const low = slope === 0 ? 0 : mul(sub(x, threshold), slope);
    const bent = threshold === 0 && slope === 0 ? relu(x) : where(less(x, threshold), low, x);
    return maxValue === Number.POSITIVE_INFINITY ? bent : minimum(bent, maxValue);
  }
}

/**
 * The rectifier, with a largest value, a threshold and a slope below it.
 *
 * @example layers.reLU({ maxValue: 6 })
 */
export function reLU(options: ReluOptions = {}): Relu {
  return new Relu(options);
}
