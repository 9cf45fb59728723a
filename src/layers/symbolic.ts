// Symbolic tensors: what layers are applied to when a model is described as a graph of layers.
import type { Shape } from '../shape.ts';
import { showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Layer } from './layer.ts';

/** A layer applied to symbolic tensors: what goes in, and what comes out of it. */
export interface LayerCall {
  /** The layer. */
  readonly layer: Layer;
  /** What it is applied to. */
  readonly inputs: readonly SymbolicTensor[];
  /** What comes out. */
  readonly outputs: readonly SymbolicTensor[];
}

/** The output of a layer in a model that is being described, or an input of it: a shape, and where it comes from. */
export class SymbolicTensor {
  /** Shape of one sample, without the batch. */
  readonly shape: Shape;
  /** The call that makes it; undefined for an input. */
  readonly origin: LayerCall | undefined;
  /** The name of an input, where it was given one. */
  readonly name: string | undefined;

  /** @internal Use `input()` and layers. */
  constructor(shape: Shape, origin?: LayerCall, name?: string) {
    this.shape = shape;
    this.origin = origin;
    this.name = name;
  }

  /** The layer that makes it; undefined for an input. */
  get layer(): Layer | undefined {
    return this.origin?.layer;
  }

  /** What that layer is applied to. */
  get inputs(): readonly SymbolicTensor[] {
    return this.origin?.inputs ?? [];
  }

  /** Its shape in words. */
  toString(): string {
    return `SymbolicTensor(${showShape(this.shape)})`;
  }
}

/** Symbolic tensors in the place of tensors: what a layer that gives `O` makes of symbolic tensors. */
export type SymbolicOf<O> = O extends Tensor ? SymbolicTensor : { [K in keyof O]: SymbolicTensor };
