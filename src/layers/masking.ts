// Masking: marks the steps of a sequence that hold nothing but one value as padding.
import { stopRecording } from '../autodiff.ts';
import { describe, NablaError } from '../errors.ts';
import { mul } from '../ops/arithmetic.ts';
import { cast, notEqual, toFloats } from '../ops/compare.ts';
import { any } from '../ops/reduce.ts';
import { expandDims } from '../ops/shape.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { Layer, type LayerOptions } from './layer.ts';

/** Options of {@link masking}. */
export interface MaskingOptions extends LayerOptions {
  /** A step whose numbers all are this is padding. Default 0. */
  maskValue?: number;
}

/** Sets steps that are padding to 0, and says to the layers that follow which they are. */
export class Masking extends Layer {
  readonly kind = 'masking';
  private readonly value: number;

  constructor(options: MaskingOptions = {}) {
    super(options);
    this.value = options.maskValue ?? 0;
    if (typeof this.value !== 'number' || Number.isNaN(this.value)) {
      throw new NablaError(this.name, `bad maskValue, got ${describe(options.maskValue)}, expected a number`);
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    if (inputShape.length >= 2) return [...inputShape];
    throw new NablaError(
      this.name,
      `expected sequences [time, ..., features], got samples of shape ${showShape(inputShape)}; for sequences of ` +
        'indices use layers.embedding({ maskZero: true })',
    );
  }

  protected override computeMask([x]: readonly Tensor[]): Tensor {
    return any(notEqual(cast(x!, 'float32'), this.value), -1);
  }

  protected override call(x: Tensor): Tensor {
    const input = toFloats(x);
    const counts = stopRecording(() => cast(this.computeMask([x]), 'float32'));
    return mul(input, expandDims(counts, -1));
  }
}

/**
 * Marks steps as padding: samples `[time, ..., features]` keep their shape, and steps whose numbers all are `maskValue` are set to 0 and masked. Recurrent layers
 * carry their state over masked steps, attention does not look at them, and the loss and metrics of a sequence do not count them.
 *
 * @example
 * sequential({
 *   layers: [layers.masking({ maskValue: -1, inputShape: [20, 3] }), layers.lstm({ units: 8 }), layers.dense({ units: 1 })],
 * })
 */
export function masking(options: MaskingOptions = {}): Masking {
  return new Masking(options);
}
