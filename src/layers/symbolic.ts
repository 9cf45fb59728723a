// Symbolic tensors: what layers are applied to when a model is described as a graph of layers.
import type { Shape } from '../shape.ts';
import { showShape } from '../shape.ts';
import type { Layer } from './layer.ts';

/** The output of a layer in a model that is being described, or an input of it: a shape, and where it comes from. */
export class SymbolicTensor {
  /** Shape of one sample, without the batch. */
  readonly shape: Shape;
  /** The layer that makes it; undefined for an input. */
  readonly layer: Layer | undefined;
  /** What that layer is applied to. */
  readonly inputs: readonly SymbolicTensor[];
  /** All that the layer gives in the call that makes this, in their order; this alone for most layers. */
  readonly siblings: readonly SymbolicTensor[];

  /** @internal Use `input()` and layers. */
  constructor(
    shape: Shape,
    layer?: Layer,
    inputs: readonly SymbolicTensor[] = [],
    siblings?: readonly SymbolicTensor[],
  ) {
    this.shape = shape;
    this.layer = layer;
    this.inputs = inputs;
    this.siblings = siblings ?? [this];
  }

  /** @internal What a layer gives of these inputs: a symbolic tensor for each shape. */
  static ofCall(layer: Layer, inputs: readonly SymbolicTensor[], shapes: readonly Shape[]): SymbolicTensor[] {
    const siblings: SymbolicTensor[] = [];
    for (const shape of shapes) siblings.push(new SymbolicTensor(shape, layer, inputs, siblings));
    return siblings;
  }

  toString(): string {
    return `SymbolicTensor(${showShape(this.shape)})`;
  }
}
