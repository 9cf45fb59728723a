// What layers take and how they are called: the options of all of them, of their weights and of their calls.
import type { ConstraintLike } from '../constraints.ts';
import type { DTypePolicyLike } from '../dtype-policies.ts';
import type { InitializerLike } from '../initializers/initializers.ts';
import type { RegularizerLike } from '../regularizers.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Options that every layer has. */
export interface LayerOptions {
  /** Default: the kind of layer, numbered within its model. */
  name?: string;
  /** Shape of one sample, without the batch. The first layer of a model needs it, unless the data tell. */
  inputShape?: Shape;
  /** Whether optimizers change the weights. Default true. */
  trainable?: boolean;
  /** What the outputs of a batch add to the loss, divided by the batch size. Default: nothing. */
  activityRegularizer?: RegularizerLike;
  /**
   * What the layer computes in and gives: `'float32'`, or `'mixed_bfloat16'` or `'mixed_float16'` with weights in float32. A model whose layers
   * are mixed ends best with a layer in float32. Default: what {@link setDtypePolicy} set.
   */
  dtype?: DTypePolicyLike;
}

/** Options of layers that draw random numbers. */
export interface RandomOptions extends LayerOptions {
  /**
   * What its random numbers follow from, an integer in [0, 2 ** 53): the same seed gives the same numbers, one call after the other, whatever else is
   * drawn and whatever {@link setSeed} set. Default: they follow from {@link setSeed}.
   */
  seed?: number;
}

/** How a layer is called. */
export interface CallContext {
  /** True while fitting: dropout drops, normalisation uses the batch. */
  readonly training: boolean;
  /** Which steps count, bool `[batch, time]`, in place of the mask that the (first) input carries. */
  readonly mask?: Tensor;
}

/** What a weight is made from. */
export interface WeightSpec {
  /** Its name within the layer, `kernel`. */
  readonly name: string;
  /** Its shape. */
  readonly shape: Shape;
  /** What its first values are made by. */
  readonly initializer: InitializerLike;
  /** Whether optimizers change it. Default true. */
  readonly trainable?: boolean;
  /** What the weight adds to the loss. */
  readonly regularizer?: RegularizerLike | undefined;
  /** What the weight is brought back to after each step. */
  readonly constraint?: ConstraintLike | undefined;
}
