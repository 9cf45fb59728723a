// What layers and models give for inputs of some shapes, learnt by tracing a call that never runs.
import { stopRecording } from '../autodiff.ts';
import { collect } from '../collect.ts';
import { describe, NablaError } from '../errors.ts';
import { Graph } from '../program/graph.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { trace } from '../trace.ts';

/** What a function gives for a batch of one of each input, as tensors of a program that never runs. Layers make their weights on the way. */
export function traceOutputs<T>(inputShapes: readonly Shape[], call: (inputs: readonly Tensor[]) => T): T {
  const graph = new Graph();
  const body = () =>
    trace(graph, () => {
      const inputs = inputShapes.map((shape) => {
        const value = graph.input([1, ...shape], 'float32');
        return new Tensor(value.shape, 'float32', { kind: 'traced', graph, value });
      });
      return call(inputs);
    });
  // No gradient is to pass here, and what layers add to a loss goes nowhere.
  return collect(() => stopRecording(body)).result;
}

/** The shape of one output sample of a layer that does not say it. Throws where the call fails, or gives something else than a tensor. */
export function shapeOfCall(
  where: string,
  inputShape: Shape,
  call: (inputs: readonly Tensor[]) => unknown,
): number[] {
  let output: unknown;
  try {
    output = traceOutputs([inputShape], call);
  } catch (cause) {
    throw new NablaError(
      where,
      `what it gives cannot be learnt from call(), which failed: ${(cause as Error).message}; give the class computeOutputShape(inputShape) if call() is right`,
      { cause },
    );
  }
  if (output instanceof Tensor && output.rank > 0) return output.shape.slice(1);
  throw new NablaError(
    where,
    `call() gave ${output instanceof Tensor ? output : describe(output)}, expected a tensor with a batch dimension`,
  );
}
