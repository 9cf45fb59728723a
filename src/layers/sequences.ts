// Layers about sequences: RepeatVector, TimeDistributed, Bidirectional.
import { describe, NablaError } from '../errors.ts';
import { add, mul } from '../ops/arithmetic.ts';
import { broadcastTo, concat, reshape } from '../ops/shape.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type CallContext, Layer, type LayerOptions } from './layer.ts';
import { Recurrent } from './recurrent.ts';

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

  protected override call(x: Tensor, context: CallContext): Tensor {
    const [batch, time, ...sample] = x.shape as [number, number, ...number[]];
    const y = this.layer.apply(reshape(x, [batch * time, ...sample]), context);
    return reshape(y, [batch, time, ...y.shape.slice(1)]);
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

const merges = {
  concat: (a: Tensor, b: Tensor) => concat([a, b], -1),
  sum: (a: Tensor, b: Tensor) => add(a, b),
  mul: (a: Tensor, b: Tensor) => mul(a, b),
  ave: (a: Tensor, b: Tensor) => mul(add(a, b), 0.5),
};

/** Options of {@link bidirectional}. */
export interface BidirectionalOptions extends LayerOptions {
  /** A recurrent layer that goes forwards; a second one like it goes backwards. */
  layer: Recurrent;
  /** How the outputs of both are joined. Default `'concat'`, along the last dimension. */
  mergeMode?: keyof typeof merges;
}

/** Two recurrent layers over one sequence, from either end (Schuster and Paliwal 1997). */
export class Bidirectional extends Layer {
  readonly kind = 'bidirectional';
  private readonly forward: Recurrent;
  private readonly backward: Recurrent;
  private readonly merge: keyof typeof merges;

  constructor(options: BidirectionalOptions) {
    super(options);
    const { layer, mergeMode = 'concat' } = options;
    if (!(layer instanceof Recurrent)) {
      throw new NablaError(
        this.name,
        `expected a recurrent layer, got ${describe(layer)}; use layers.lstm()`,
      );
    }
    if (!Object.hasOwn(merges, mergeMode)) {
      throw new NablaError(
        this.name,
        `bad mergeMode, got ${describe(mergeMode)}, expected one of ${Object.keys(merges).join(', ')}`,
      );
    }
    this.forward = layer;
    this.merge = mergeMode;
    const goBackwards = !(layer.options.goBackwards ?? false);
    this.backward = layer.variant({ name: undefined, inputShape: undefined, goBackwards, keepOrder: true });
  }

  protected override build(inputShape: Shape): void {
    this.addPart('forward', this.forward).ensureBuilt(inputShape);
    this.addPart('backward', this.backward).ensureBuilt(inputShape);
  }

  override computeOutputShape(inputShape: Shape): number[] {
    const shape = this.forward.computeOutputShape(inputShape);
    return this.merge === 'concat' ? [...shape.slice(0, -1), 2 * shape.at(-1)!] : shape;
  }

  protected override call(x: Tensor, context: CallContext): Tensor {
    return merges[this.merge](this.forward.apply(x, context), this.backward.apply(x, context));
  }
}

/**
 * Runs a recurrent layer and one like it from the other end, and joins what they give.
 *
 * @example layers.bidirectional({ layer: layers.lstm({ units: 32 }) })
 */
export function bidirectional(options: BidirectionalOptions): Bidirectional {
  return new Bidirectional(options);
}

function checkLayer(where: string, layer: Layer): Layer {
  if (layer instanceof Layer) return layer;
  throw new NablaError(
    where,
    `expected a layer, got ${describe(layer)}; make one with layers.dense() and the like`,
  );
}
