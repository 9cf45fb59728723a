// How a model finds its layers among its fields, names them, and learns what it gives for inputs of some shapes.
import { stopRecording } from '../autodiff.ts';
import { NablaError } from '../errors.ts';
import { Layer } from '../layers/layer.ts';
import { isRecord } from '../nested.ts';
import { Graph } from '../program/graph.ts';
import { collectPenalties } from '../regularizers.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { trace } from '../trace.ts';

/** The layers in an object's fields, alone or in arrays and records, each once. */
export function layersIn(owner: object): Layer[] {
  const found = new Set<Layer>();
  const seen = new Set<unknown>();
  const search = (value: unknown): void => {
    if (value instanceof Layer) {
      if (value !== owner) found.add(value);
    } else if ((Array.isArray(value) || isRecord(value)) && !seen.has(value)) {
      seen.add(value);
      for (const item of Object.values(value)) search(item);
    }
  };
  for (const value of Object.values(owner)) search(value);
  return [...found];
}

/** Names layers by their kind and number where their user gave no name; throws where two would have the same. */
export function nameLayers(where: string, layers: readonly Layer[]): void {
  const taken = new Set<string>();
  const counts = new Map<string, number>();
  for (const layer of layers) {
    let number = counts.get(layer.kind) ?? 0;
    counts.set(layer.kind, number + 1);
    let { name } = layer;
    if (!layer.isNamed) {
      // One that another model named keeps that name where it is free.
      if (name === layer.kind && number > 0) name = `${layer.kind}_${number}`;
      while (taken.has(name)) name = `${layer.kind}_${++number}`;
      layer.rename(name);
    } else if (taken.has(name)) {
      throw new NablaError(where, `two layers have one name, got '${name}' twice, expected names to differ`);
    }
    taken.add(name);
  }
}

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
  // No gradient is to pass here, and no loss is being computed.
  return collectPenalties(() => stopRecording(body)).result;
}
