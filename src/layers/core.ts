// Layers without weights: Flatten, Reshape, Activation, Dropout.
import { type ActivationLike, getActivation } from '../activations.ts';
import { describe, NablaError } from '../errors.ts';
import { mul } from '../ops/arithmetic.ts';
import { ones } from '../ops/creation.ts';
import { dropout as dropoutOp } from '../ops/nn.ts';
import { reshape as reshapeOp } from '../ops/shape.ts';
import { type Shape, showShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type CallContext, Layer, type LayerOptions, type RandomOptions } from './layer.ts';

/** Each sample as one row of numbers: `[28, 28]` gives `[784]`. */
export class Flatten extends Layer {
  readonly kind = 'flatten';

  override computeOutputShape(inputShape: Shape): number[] {
    return [sizeOf(inputShape)];
  }

  protected override call(x: Tensor): Tensor {
    return reshapeOp(x, [x.shape[0]!, sizeOf(x.shape.slice(1))]);
  }
}

/**
 * Lays each sample out as one row.
 *
 * @example layers.flatten({ inputShape: [28, 28] })
 */
export function flatten(options: LayerOptions = {}): Flatten {
  return new Flatten(options);
}

/** Options of {@link reshape}. */
export interface ReshapeOptions extends LayerOptions {
  /** Shape of one output sample; one dimension may be -1 and is worked out. */
  targetShape: Shape;
}

/** Each sample in another shape. */
export class Reshape extends Layer {
  readonly kind = 'reshape';
  private readonly target: Shape;

  constructor(options: ReshapeOptions) {
    super(options);
    this.target = options.targetShape;
    const good = Array.isArray(this.target) && this.target.every((d) => Number.isInteger(d) && d >= -1);
    if (!good || this.target.filter((d) => d === -1).length > 1) {
      throw new NablaError(
        this.name,
        `bad targetShape, got ${describe(this.target)}, expected integers >= 0 and at most one -1`,
      );
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const size = sizeOf(inputShape);
    const rest = sizeOf(this.target.filter((d) => d !== -1));
    const shape = this.target.map((d) => (d === -1 ? size / rest : d));
    if (!shape.every(Number.isInteger) || sizeOf(shape) !== size) {
      throw new NablaError(
        this.name,
        `sizes differ, got samples ${showShape(inputShape)}, expected to fill ${showShape(this.target)}`,
      );
    }
    return shape;
  }

  protected override call(x: Tensor): Tensor {
    return reshapeOp(x, [x.shape[0]!, ...this.computeOutputShape(x.shape.slice(1))]);
  }
}

/**
 * Gives each sample another shape.
 *
 * @example layers.reshape({ targetShape: [28, 28, 1] })
 */
export function reshape(options: ReshapeOptions): Reshape {
  return new Reshape(options);
}

/** Options of {@link activation}. */
export interface ActivationOptions extends LayerOptions {
  /** The function, or its name. */
  activation: ActivationLike;
}

/** An activation function as a layer of its own. */
export class ActivationLayer extends Layer {
  readonly kind = 'activation';
  override readonly supportsMasking = true;
  private readonly activation: ActivationLike;

  constructor(options: ActivationOptions) {
    super(options);
    this.activation = options.activation;
    getActivation(this.name, this.activation);
  }

  override computeOutputShape(inputShape: Shape): number[] {
    return [...inputShape];
  }

  protected override call(x: Tensor): Tensor {
    return getActivation(this.name, this.activation)(x);
  }
}

/**
 * Applies an activation function.
 *
 * @example layers.activation({ activation: 'tanh' })
 */
export function activation(options: ActivationOptions): ActivationLayer {
  return new ActivationLayer(options);
}

/** Options of all layers that drop. */
export interface DropoutOptions extends RandomOptions {
  /** Share of the numbers that are set to 0 while fitting, in [0, 1). */
  rate: number;
}

/** Options of {@link dropout}. */
export interface DropoutLayerOptions extends DropoutOptions {
  /**
   * Shape of what is drawn, with the batch: 1 for dimensions whose numbers are dropped together, `null` for the input's size. `[null, 1, null]`
   * drops whole features of a sequence. Default: each number by itself.
   */
  noiseShape?: readonly (number | null)[];
}

/** Sets random numbers to 0 while fitting; does nothing in prediction. (Srivastava et al. 2014.) */
export class Dropout extends Layer {
  readonly kind = 'dropout';
  override readonly supportsMasking = true;
  private readonly rate: number;
  private readonly noiseShape: readonly (number | null)[] | undefined;

  constructor(options: DropoutLayerOptions) {
    super(options);
    this.rate = options.rate;
    this.noiseShape = options.noiseShape;
    const good = (dim: unknown) => dim === null || (Number.isInteger(dim) && (dim as number) >= 1);
    if (this.noiseShape !== undefined && !(Array.isArray(this.noiseShape) && this.noiseShape.every(good))) {
      throw new NablaError(
        this.name,
        `bad noiseShape, got ${describe(this.noiseShape)}, expected integers >= 1 or null, with the batch`,
      );
    }
    if (typeof this.rate !== 'number' || !(this.rate >= 0 && this.rate < 1)) {
      throw new NablaError(this.name, `bad rate, got ${describe(this.rate)}, expected a number in [0, 1)`);
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const noise = this.noiseShape?.slice(1);
    const fits = noise?.every((dim, i) => dim === null || dim === 1 || dim === inputShape[i]) ?? true;
    if (!fits || (noise !== undefined && noise.length !== inputShape.length)) {
      throw new NablaError(
        this.name,
        `noiseShape does not fit, got ${describe(this.noiseShape)} for samples ${showShape(inputShape)}, ` +
          'expected a number for the batch and each dimension: its size, 1 or null',
      );
    }
    return [...inputShape];
  }

  protected override call(x: Tensor, { training }: CallContext): Tensor {
    if (!training) return x;
    if (this.noiseShape === undefined) return dropoutOp(x, this.rate);
    const shape = this.noiseShape.map((dim, i) => dim ?? x.shape[i]!);
    return mul(x, dropoutOp(ones(shape), this.rate));
  }
}

/**
 * Drops numbers while fitting, against overfitting.
 *
 * @example layers.dropout({ rate: 0.5 })
 */
export function dropout(options: DropoutLayerOptions): Dropout {
  return new Dropout(options);
}
