// Memory outside of a program as tensors of its trace: read where ops read them, written as effects.
import { contiguousCopy } from '../program/compile.ts';
import type { Graph } from '../program/graph.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { valueOf } from '../trace.ts';

/** Memory as a tensor of the trace: ops on it read what is there when they run. `offset` counts elements of four bytes. */
export function external<D extends 'float32' | 'int32' = 'float32'>(
  graph: Graph,
  storage: object,
  shape: Shape,
  offset = 0,
  dtype = 'float32' as D,
): Tensor<D> {
  const value = graph.external({ storage, byteOffset: offset * 4 }, shape, dtype);
  return new Tensor(shape, dtype, { kind: 'traced', graph, value });
}

/** Writes a tensor of float32 or int32 over memory, once all that was traced so far has read it. */
export function store(graph: Graph, storage: object, tensor: Tensor, where: string, offset = 0): void {
  graph.addEffect({
    kernel: 'copy',
    outputs: [graph.external({ storage, byteOffset: offset * 4 }, tensor.shape, tensor.dtype)],
    inputs: [valueOf(graph, tensor, where)],
    attributes: contiguousCopy(tensor.size),
    where,
  });
}
