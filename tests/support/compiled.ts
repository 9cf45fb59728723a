// Programs of functions, compiled without a backend.
import { type CompiledProgram, compile } from '../../src/program/compile.ts';
import { Graph } from '../../src/program/graph.ts';
import { Tensor } from '../../src/tensor.ts';
import { trace, valueOf } from '../../src/trace.ts';

export type Body = (...xs: Tensor[]) => Tensor | Tensor[];

/** The program of a function, not loaded. */
export function compiled(f: Body, ...shapes: number[][]): CompiledProgram {
  const graph = new Graph();
  const symbols = shapes.map((shape) => {
    const value = graph.input(shape, 'float32');
    return new Tensor(shape, 'float32', { kind: 'traced', graph, value });
  });
  const results = trace(graph, () => f(...symbols));
  for (const result of [results].flat()) graph.outputs.push(valueOf(graph, result, 'test'));
  return compile(graph);
}
