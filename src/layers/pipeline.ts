// Pipeline: layers one after the other as one layer, such as the changes that images go through before a model.
import { describe, NablaError } from '../errors.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type CallContext, Layer, type LayerOptions } from './layer.ts';

/** Options of {@link pipeline}. */
export interface PipelineOptions extends LayerOptions {
  /** The layers, at least one; the first is given the input, each other one what the former gives. */
  layers: readonly Layer[];
}

/** Layers one after the other. */
export class Pipeline extends Layer {
  readonly kind = 'pipeline';
  /** The layers, in order. */
  readonly layers: readonly Layer[];

  constructor(options: PipelineOptions) {
    super(options);
    const { layers } = options;
    const wrong = Array.isArray(layers) ? layers.find((layer) => !(layer instanceof Layer)) : layers;
    if (!Array.isArray(layers) || layers.length === 0 || wrong !== undefined) {
      throw new NablaError(
        this.name,
        `bad layers, got ${describe(wrong ?? layers)}, expected an array of layers such as [layers.randomFlip()]`,
      );
    }
    this.layers = layers;
    const counts = new Map<string, number>();
    for (const layer of layers) {
      const count = counts.get(layer.kind) ?? 0;
      counts.set(layer.kind, count + 1);
      this.addPart(count === 0 ? layer.kind : `${layer.kind}_${count}`, layer);
    }
  }

  override computeOutputShape(inputShape: Shape): number[] {
    return [...this.layers.reduce<Shape>((shape, layer) => layer.computeOutputShape(shape), inputShape)];
  }

  protected override build(inputShape: Shape): void {
    let shape = inputShape;
    for (const layer of this.layers) {
      layer.ensureBuilt(shape);
      shape = layer.computeOutputShape(shape);
    }
  }

  /** The mask is that of what the last layer gives. */
  protected override computeMask(): undefined {
    return undefined;
  }

  protected override call(x: Tensor, context: CallContext): Tensor {
    return this.layers.reduce((value, layer) => layer.apply(value, { training: context.training }), x);
  }
}

/**
 * Layers one after the other as one layer: a way to keep what images go through in one place, to use it in a model or on batches of a data set.
 *
 * @example layers.pipeline({ layers: [layers.randomFlip(), layers.randomRotation({ factor: 0.1 })], inputShape: [32, 32, 3] })
 */
export function pipeline(options: PipelineOptions): Pipeline {
  return new Pipeline(options);
}
