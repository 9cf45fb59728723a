// SpectralNormalization: a layer whose kernel is kept at a spectral norm of 1 while it is trained.
import { describe, NablaError } from '../errors.ts';
import { truncatedNormal } from '../initializers/index.ts';
import { div } from '../ops/arithmetic.ts';
import { equal, where } from '../ops/compare.ts';
import { matMul } from '../ops/linalg.ts';
import { unitNormalize } from '../ops/normalize.ts';
import { reshape } from '../ops/shape.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Variable } from '../variable.ts';
import { type CallContext, Layer, type LayerOptions } from './layer.ts';

/** Options of {@link spectralNormalization}. */
export interface SpectralNormalizationOptions extends LayerOptions {
  /** A layer with a kernel, or an embedding. */
  layer: Layer;
  /** Steps of the power iteration a step of training. Default 1. */
  powerIterations?: number;
}

/** A layer with its kernel divided by its largest singular value in every step of training. (Miyato et al. 2018.) */
export class SpectralNormalization extends Layer {
  readonly kind = 'spectralNormalization';
  private readonly layer: Layer;
  private readonly powerIterations: number;
  private kernel!: Variable<'float32'>;
  private u!: Variable<'float32'>;

  constructor(options: SpectralNormalizationOptions) {
    super(options);
    const { layer, powerIterations = 1 } = options;
    if (!(layer instanceof Layer)) {
      throw new NablaError(
        this.name,
        `expected a layer, got ${describe(layer)}; make one with layers.dense() and the like`,
      );
    }
    if (!Number.isInteger(powerIterations) || powerIterations < 1) {
      throw new NablaError(
        this.name,
        `bad powerIterations, got ${describe(powerIterations)}, expected an integer >= 1`,
      );
    }
    this.layer = layer;
    this.powerIterations = powerIterations;
  }

  protected override build(inputShape: Shape): void {
    this.addPart(this.layer.kind, this.layer).ensureBuilt(inputShape);
    const kernel = this.layer.weights.find(({ name }) => /\/(kernel|embeddings)$/.test(name));
    if (kernel === undefined) {
      throw new NablaError(
        this.name,
        `${this.layer.name} has no kernel to normalise, got a layer ${this.layer.kind}, expected dense, a convolution or an embedding`,
      );
    }
    this.kernel = kernel;
    const initializer = truncatedNormal(0, 0.02);
    this.u = this.addWeight({
      name: 'vectorU',
      shape: [1, kernel.shape.at(-1)!],
      initializer,
      trainable: false,
    });
  }

  override computeOutputShape(inputShape: Shape): number[] {
    return this.layer.computeOutputShape(inputShape);
  }

  protected override call(x: Tensor, context: CallContext): Tensor {
    if (context.training) this.normalize();
    return this.layer.apply(x, context);
  }

  /** Divides the kernel by its largest singular value, as near as the power iteration has come to it. */
  private normalize(): void {
    const { kernel } = this;
    const columns = kernel.shape.at(-1)!;
    const matrix = reshape(kernel, [kernel.size / columns, columns]);
    let u: Tensor = this.u;
    let v: Tensor = u;
    for (let i = 0; i < this.powerIterations; i++) {
      v = unitNormalize(matMul(u, matrix, { transposeB: true }));
      u = unitNormalize(matMul(v, matrix));
    }
    const sigma = reshape(matMul(matMul(v, matrix), u, { transposeB: true }), []);
    // A kernel of zeros stays as it is.
    const none = equal(sigma, 0);
    this.u.assign(where(none, this.u, u));
    kernel.assign(where(none, kernel, div(kernel, where(none, 1, sigma))));
  }
}

/**
 * Wraps a layer so that no step of training lets its kernel stretch its input by more than about 1: for discriminators of GANs. In every step of
 * training the kernel is divided by its largest singular value, which one step of the power iteration estimates, before it is used; the gradient
 * is that of the divided kernel. (Keras' SpectralNormalization; Miyato et al. 2018.)
 *
 * @example layers.spectralNormalization({ layer: layers.conv2d({ filters: 64, kernelSize: 4, strides: 2 }) })
 */
export function spectralNormalization(options: SpectralNormalizationOptions): SpectralNormalization {
  return new SpectralNormalization(options);
}
