// Sequential: a model whose layers follow one another.
import { describe, NablaError } from '../errors.ts';
import { Layer } from '../layers/layer.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { Model } from './model.ts';

/** What sequential takes. */
export interface SequentialOptions {
  layers?: readonly Layer[];
  /** Default `'sequential'`. */
  name?: string;
}

/** Layers one after another. */
export class Sequential extends Model {
  private readonly stack: Layer[] = [];
  private builtShape: Shape | undefined;

  constructor(options: SequentialOptions = {}) {
    super(options.name ?? 'sequential');
    for (const layer of options.layers ?? []) this.add(layer);
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
    const same = this.stack.filter(({ kind }) => kind === layer.kind).length;
    layer.nameIfUnnamed(same === 0 ? layer.kind : `${layer.kind}_${same}`);
    if (this.stack.some(({ name }) => name === layer.name)) {
      throw new NablaError(
        this.name,
        `two layers have one name, got '${layer.name}' twice, expected names to differ`,
      );
    }
    this.stack.push(layer);
  }

  override get layers(): readonly Layer[] {
    return this.stack;
  }

  override get inputShape(): Shape | undefined {
    return this.builtShape ?? this.stack[0]?.inputShape;
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

  override build(inputShape: Shape): void {
    if (this.builtShape !== undefined) return;
    if (this.stack.length === 0) throw new NablaError(this.name, 'the model has no layers; add() some');
    let shape = inputShape;
    for (const layer of this.stack) {
      layer.ensureBuilt(shape);
      shape = layer.computeOutputShape(shape);
    }
    this.builtShape = inputShape;
  }

  override call(x: Tensor, training: boolean): Tensor {
    return this.stack.reduce((value, layer) => layer.apply(value, { training }), x);
  }
}

/**
 * A model whose layers follow one another.
 *
 * @example sequential({ layers: [layers.flatten({ inputShape: [28, 28] }), layers.dense({ units: 10, activation: 'softmax' })] })
 */
export function sequential(options: SequentialOptions = {}): Sequential {
  return new Sequential(options);
}
