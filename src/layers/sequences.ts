// Layers about sequences: RepeatVector, TimeDistributed.
import { describe, NablaError } from '../errors.ts';
import { any } from '../ops/reduce.ts';
import { broadcastTo, reshape } from '../ops/shape.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type CallContext, Layer, type LayerOptions } from './layer.ts';

/** Options of {@link repeatVector}. */
export interface RepeatVectorOptions extends LayerOptions {
  /** How often. */
  n: number;
}

/** The same numbers at each of `n` steps: `[features]` gives `[n, features]`. */
export class RepeatVector extends Layer {
  readonly kind = 'repeatVector';
  private readonly n: number;

  constructor(options: RepeatVectorOptions) {
    super(options);
    this.n = options.n;
    if (!Number.isInteger(this.n) || this.n < 1) {
      throw new NablaError(this.name, `bad n, got ${describe(this.n)}, expected an integer >= 1`);
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    if (inputShape.length !== 1) {
      throw new NablaError(
        this.name,
        `expected samples [features], got ${showShape(inputShape)}; flatten() them`,
      );
    }
    return [this.n, inputShape[0]!];
  }

  protected override call(x: Tensor): Tensor {
    const [batch, features] = x.shape as [number, number];
    return broadcastTo(reshape(x, [batch, 1, features]), [batch, this.n, features]);
  }
}

/**
 * Repeats a vector as a sequence, to hand what an encoder found to a decoder.
 *
 * @example layers.repeatVector({ n: 4 })
 */
export function repeatVector(options: RepeatVectorOptions): RepeatVector {
  return new RepeatVector(options);
}

/** Options of {@link timeDistributed}. */
export interface TimeDistributedOptions extends LayerOptions {
  /** What is applied to each step. */
  layer: Layer;
}

/** One layer at every step: `[time, ...]` gives `[time, ...output of the layer]`. */
export class TimeDistributed extends Layer {
  readonly kind = 'timeDistributed';
  override readonly supportsMasking = true;
  private readonly layer: Layer;

  constructor(options: TimeDistributedOptions) {
    super(options);
    this.layer = checkLayer(this.name, options?.layer);
  }

  protected override build(inputShape: Shape): void {
    this.addPart(this.layer.kind, this.layer).ensureBuilt(inputShape.slice(1));
  }

  override computeOutputShape(inputShape: Shape): number[] {
    if (inputShape.length < 2) {
      throw new NablaError(this.name, `expected samples [time, ...], got ${showShape(inputShape)}`);
    }
    return [inputShape[0]!, ...this.layer.computeOutputShape(inputShape.slice(1))];
  }

  /** A step counts where anything in it does. */
  protected override computeMask([x]: readonly Tensor[]): Tensor | undefined {
    const mask = x?.mask;
    if (mask === undefined || mask.rank <= 2) return mask;
    return any(reshape(mask, [mask.shape[0]!, mask.shape[1]!, -1]), 2);
  }

  protected override call(x: Tensor, context: CallContext): Tensor {
    const [batch, time, ...sample] = x.shape as [number, number, ...number[]];
    const steps = reshape(x, [batch * time, ...sample]);
    // A mask of what is inside a step is the layer's own to see.
    if (x.mask !== undefined && x.mask.rank > 2) {
      steps.mask = reshape(x.mask, [batch * time, ...x.mask.shape.slice(2)]);
    }
    const y = this.layer.apply(steps, context);
    const out = reshape(y, [batch, time, ...y.shape.slice(1)]);
    if (y.mask !== undefined && y.mask.rank > 1) {
      out.mask = reshape(y.mask, [batch, time, ...y.mask.shape.slice(1)]);
    }
    return out;
  }
}

/**
 * Applies a layer to every step of a sequence.
 *
 * @example layers.timeDistributed({ layer: layers.dense({ units: 12, activation: 'softmax' }) })
 */
export function timeDistributed(options: TimeDistributedOptions): TimeDistributed {
  return new TimeDistributed(options);
}

function checkLayer(where: string, layer: Layer): Layer {
  if (layer instanceof Layer) return layer;
  throw new NablaError(
    where,
    `expected a layer, got ${describe(layer)}; make one with layers.dense() and the like`,
  );
}
