// Permute, Identity, Lambda, ActivityRegularization: layers without weights that reorder, pass on, or call a function of yours.
import { stopRecording } from '../autodiff.ts';
import { describe, NablaError } from '../errors.ts';
import { transpose } from '../ops/shape.ts';
import { Graph } from '../program/graph.ts';
import { l1l2 } from '../regularizers.ts';
import { type Shape, showShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { trace } from '../trace.ts';
import { type CallContext, Layer, type LayerOptions } from './layer.ts';

/** Options of {@link permute}. */
export interface PermuteOptions extends LayerOptions {
  /** Which dimension of the input stands at each place of the output; counted from 1, the batch not counted. */
  dims: readonly number[];
}

/** The dimensions of each sample in another order. */
export class Permute extends Layer {
  readonly kind = 'permute';
  private readonly dims: readonly number[];

  constructor(options: PermuteOptions) {
    super(options);
    const { dims } = options;
    if (!Array.isArray(dims) || dims.toSorted((a, b) => a - b).some((dim, i) => dim !== i + 1)) {
      throw new NablaError(
        this.name,
        `bad dims, got ${describe(dims)}, expected each of 1 to the number of dimensions once, such as [2, 1]`,
      );
    }
    this.dims = dims;
  }

  override computeOutputShape(inputShape: Shape): number[] {
    if (inputShape.length !== this.dims.length) {
      throw new NablaError(
        this.name,
        `expected samples of ${this.dims.length} dimensions, got ${showShape(inputShape)}`,
      );
    }
    return this.dims.map((dim) => inputShape[dim - 1]!);
  }

  protected override call(x: Tensor): Tensor {
    return transpose(x, [0, ...this.dims]);
  }
}

/**
 * Puts the dimensions of each sample in another order: with `[2, 1]` samples `[a, b]` give `[b, a]`.
 *
 * @example layers.permute({ dims: [2, 1], inputShape: [10, 64] })
 */
export function permute(options: PermuteOptions): Permute {
  return new Permute(options);
}

/** Its input, as it is. */
export class Identity extends Layer {
  readonly kind: string = 'identity';
  override readonly supportsMasking = true;

  override computeOutputShape(inputShape: Shape): number[] {
    return [...inputShape];
  }

  protected override call(x: Tensor): Tensor {
    return x;
  }
}

/**
 * Passes its input on: a place holder, or a name for a place in a model.
 *
 * @example layers.identity({ name: 'features' })
 */
export function identity(options: LayerOptions = {}): Identity {
  return new Identity(options);
}

/** Options of {@link activityRegularization}. */
export interface ActivityRegularizationOptions extends Omit<LayerOptions, 'activityRegularizer'> {
  /** Factor of the sum of absolute values. Default 0. */
  l1?: number;
  /** Factor of the sum of squares. Default 0. */
  l2?: number;
}

/** Its input, as it is, whose size adds to the loss. */
export class ActivityRegularization extends Identity {
  override readonly kind = 'activityRegularization';

  constructor(options: ActivityRegularizationOptions = {}) {
    const { l1 = 0, l2 = 0 } = options;
    super({ ...options, activityRegularizer: l1l2({ l1, l2 }) });
  }
}

/**
 * Adds `l1 * sum(|x|) + l2 * sum(x ** 2)` of what passes through, divided by the batch size, to the loss.
 *
 * @example layers.activityRegularization({ l2: 1e-3 })
 */
export function activityRegularization(options: ActivityRegularizationOptions = {}): ActivityRegularization {
  return new ActivityRegularization(options);
}

/** What {@link lambda} calls: the batch, whether the model is being fitted, and all inputs where the layer has several. */
export type LambdaFunction = (x: Tensor, context: CallContext, inputs: readonly Tensor[]) => Tensor;

/** Options of {@link lambda}. */
export interface LambdaOptions extends LayerOptions {
  /** A function of the batch `[batch, ...]` made of the library's ops; it is traced into the model's program. */
  function: LambdaFunction;
  /** Shape of one output sample. Default: the function is tried out on a batch of two. */
  outputShape?: Shape;
}

/** A function of yours as a layer. */
export class Lambda extends Layer {
  readonly kind = 'lambda';
  private readonly body: LambdaFunction;
  private readonly outputShape: Shape | undefined;
  // Shapes that were found by trying the function out.
  private readonly tried = new Map<string, Shape>();

  constructor(options: LambdaOptions) {
    super(options);
    this.body = options.function;
    this.outputShape = options.outputShape;
    if (this.outputShape !== undefined && !Array.isArray(this.outputShape)) {
      throw new NablaError(
        this.name,
        `bad outputShape, got ${describe(this.outputShape)}, expected the dimensions of one sample`,
      );
    }
    if (typeof this.body !== 'function') {
      throw new NablaError(
        this.name,
        `bad function, got ${describe(this.body)}, expected a function of a tensor, such as (x) => mul(x, 2)`,
      );
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    return this.shapeOf([inputShape]);
  }

  protected override shapeOf(inputShapes: readonly Shape[]): number[] {
    if (this.outputShape !== undefined) return [...this.outputShape];
    const key = inputShapes.map(showShape).join();
    const known = this.tried.get(key);
    if (known !== undefined) return [...known];
    const graph = new Graph();
    const body = () => {
      const inputs = inputShapes.map((sample) => {
        const value = graph.input([trialBatch, ...sample], 'float32');
        return new Tensor(value.shape, 'float32', { kind: 'traced', graph, value });
      });
      return this.checked(this.body(inputs[0]!, { training: false }, inputs)).shape;
    };
    const shape = stopRecording(() => trace(graph, body));
    if (shape[0] !== trialBatch) {
      throw new NablaError(
        this.name,
        `the function lost the batch, got ${showShape(shape)} for a batch of ${trialBatch}, expected [${trialBatch}, ...]; ` +
          'reduce over the other dimensions',
      );
    }
    this.tried.set(key, shape.slice(1));
    return shape.slice(1);
  }

  private checked(output: unknown): Tensor {
    if (output instanceof Tensor && output.rank > 0) return output;
    throw new NablaError(
      this.name,
      `the function gave ${output instanceof Tensor ? String(output) : describe(output)}, expected a tensor [batch, ...]`,
    );
  }

  protected override call(x: Tensor, context: CallContext): Tensor {
    return this.callAll([x], context);
  }

  protected override callAll(xs: readonly Tensor[], context: CallContext): Tensor {
    return this.checked(this.body(xs[0]!, context, xs));
  }
}

// Neither 1, which broadcasts, nor a size that is likely to be another dimension's.
const trialBatch = 2;

/**
 * Makes a layer of a function of tensors. It has no weights; variables that the function reads are not trained with the model.
 *
 * @example layers.lambda({ function: (x) => mul(x, 2), inputShape: [3] })
 */
export function lambda(options: LambdaOptions): Lambda {
  return new Lambda(options);
}
