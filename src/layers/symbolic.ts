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

  /** @internal Use `input()` and layers. */
  constructor(shape: Shape, layer?: Layer, inputs: readonly SymbolicTensor[] = []) {
    this.shape = shape;
    this.layer = layer;
    this.inputs = inputs;
  }

  toString(): string {
    return `SymbolicTensor(${showShape(this.shape)})`;
  }
}
