// Sequential: a model whose layers follow one another.
import { describe, NablaError } from '../errors.ts';
import { type CallContext, Layer } from '../layers/layer.ts';
import type { Nested } from '../nested.ts';
import { checkOptions } from '../options.ts';
import type { ConfigWriter, Json } from '../saving/config.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { Model } from './model.ts';
import type { Slots } from './slots.ts';
import { nameLayers } from './tracking.ts';

/** What sequential takes. */
export interface SequentialOptions {
  /** The layers in their order; more may be added. Default: none. */
  layers?: readonly Layer[];
  /** Default `'sequential'`. */
  name?: string;
}

/** Layers one after another. */
export class Sequential extends Model {
  private readonly stack: Layer[] = [];

  constructor(given: SequentialOptions | readonly Layer[] = {}) {
    const options: SequentialOptions = Array.isArray(given)
      ? { layers: given }
      : (given as SequentialOptions);
    super(options);
    checkOptions('functions', 'sequential', options);
    for (const layer of options.layers ?? []) this.add(layer);
  }

  override get kind(): string {
    return 'sequential';
  }

  /** Appends a layer. */
  add(layer: Layer): void {
    if (!(layer instanceof Layer)) {
      throw new NablaError(
        this.name,
        `expected a layer, got ${describe(layer)}; make one with layers.dense() and the like`,
      );
    }
    if (this.builtShape !== undefined) {
      throw new NablaError(
        this.name,
        'the model is built and cannot take more layers; add them before it is used',
      );
    }
    // A wrong shape shows where the layer is added, not at the first batch; the weights come with the first use.
    const first = this.stack[0] ?? layer;
    if (first.inputShape !== undefined) layer.computeOutputShape(this.outputShape(first.inputShape));
    nameLayers(this.name, [...this.stack, layer]);
    this.stack.push(layer);
  }

  /** @internal The architecture, for saving. */
  override toConfig(writer: ConfigWriter): Json {
    const layers = this.stack.map((layer) => writer.layer(layer));
    const { name, trainable, builtShape } = this;
    return { className: 'Sequential', name, trainable, layers, inputShape: builtShape ?? null };
  }

  override get layers(): readonly Layer[] {
    return this.stack;
  }

  override get inputShapes(): readonly Shape[] | undefined {
    const known = super.inputShapes;
    const first = this.stack[0]?.inputShape;
    return known ?? (first && [first]);
  }

  override get knowsInputs(): boolean {
    return true;
  }

  override get inputSlots(): Slots {
    return { structure: 'one', names: ['input'] };
  }

  override get outputSlots(): Slots {
    return { structure: 'one', names: [this.stack.at(-1)?.name ?? 'output'] };
  }

  /** The shape of one output sample for one input sample. */
  outputShape(inputShape: Shape): Shape {
    return this.stack.reduce<Shape>((shape, layer) => layer.computeOutputShape(shape), inputShape);
  }

  override shapes(): [Layer, Shape | undefined][] {
    let shape = this.inputShape;
    return this.stack.map((layer) => {
      shape = shape && layer.computeOutputShape(shape);
      return [layer, shape];
    });
  }

  protected override shapeOf(inputShapes: readonly Shape[]): number[] {
    if (this.stack.length === 0) throw new NablaError(this.name, 'the model has no layers; add() some');
    if (inputShapes.length === 1) return [...this.outputShape(inputShapes[0]!)];
    throw new NablaError(
      this.name,
      `expected one input, got ${inputShapes.length}; join them with layers.concatenate()`,
    );
  }

  /** Makes the weights for samples of this shape. Default: the first layer's `inputShape`. */
  override build(inputShape: Nested<Shape> | undefined = this.inputShape): void {
    if (inputShape === undefined) {
      throw new NablaError(
        `${this.name}.build`,
        'the shape of a sample is not known, expected it here or as inputShape of the first layer',
      );
    }
    super.build(inputShape);
  }

  protected override buildAll([inputShape]: readonly Shape[]): void {
    let shape = inputShape!;
    for (const layer of this.stack) {
      layer.ensureBuilt(shape);
      shape = layer.computeOutputShape(shape);
    }
  }

  override call(x: Tensor, context: CallContext): Tensor {
    return this.stack.reduce((value, layer) => layer.apply(value, context), x);
  }
}

/**
 * A model whose layers follow one another: of an array of layers, or of options.
 *
 * @example sequential({ layers: [layers.flatten({ inputShape: [28, 28] }), layers.dense({ units: 10, activation: 'softmax' })] })
 */
export function sequential(options: SequentialOptions | readonly Layer[] = {}): Sequential {
  return new Sequential(options);
}
