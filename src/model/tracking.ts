// How a model finds its layers and variables in its fields, names them, and learns what it gives for inputs of some shapes.
import { NablaError } from '../errors.ts';
import { Layer, observeOutputs } from '../layers/layer.ts';
import { isRecord, type Nested } from '../nested.ts';
import { checkLayerOptions } from '../options.ts';
import { isLibraryLayer } from '../saving/registry.ts';
import type { Tensor } from '../tensor.ts';
import { Variable } from '../variable.ts';

/** Visits what an object's fields hold, alone or in arrays and records; `visit` says whether that was what is looked for. */
function search(owner: object, visit: (value: unknown) => boolean): void {
  const seen = new Set<unknown>();
  const look = (value: unknown): void => {
    if (visit(value) || seen.has(value) || !(Array.isArray(value) || isRecord(value))) return;
    seen.add(value);
    for (const item of Object.values(value)) look(item);
  };
  for (const value of Object.values(owner)) look(value);
}

/** The layers in an object's fields, alone or in arrays and records, each once. */
export function layersIn(owner: object): Layer[] {
  const found = new Set<Layer>();
  search(owner, (value) => {
    if (value instanceof Layer && value !== owner) found.add(value);
    return value instanceof Layer;
  });
  return [...found];
}

/** The float32 variables in an object's fields, alone or in arrays and records, each once. */
export function variablesIn(owner: object): Variable<'float32'>[] {
  const found = new Set<Variable<'float32'>>();
  search(owner, (value) => {
    if (value instanceof Variable && value.dtype === 'float32') found.add(value as Variable<'float32'>);
    return value instanceof Variable;
  });
  return [...found];
}

const checkedLayers = new WeakSet<Layer>();

/** Throws where a layer of the library, or one that it is made of, was given an option that it does not have. */
function checkMadeFrom(layer: Layer): void {
  if (checkedLayers.has(layer)) return;
  checkedLayers.add(layer);
  if (isLibraryLayer(layer)) checkLayerOptions(layer.name, layer.kind, layer.getConfig());
  for (const inner of layersIn(layer)) checkMadeFrom(inner);
}

/** Names layers by their kind and number where their user gave no name; throws where two would have the same. */
export function nameLayers(where: string, layers: readonly Layer[]): void {
  const taken = new Set<string>();
  const counts = new Map<string, number>();
  for (const layer of layers) {
    checkMadeFrom(layer);
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

/**
 * Runs `body` and throws if it calls a layer whose weights are to be trained but are none of the model's: nothing would change them.
 */
export function checkTracked<T>(model: Layer<Nested<Tensor>>, body: () => T): T {
  const called = new Set<Layer>();
  const result = observeOutputs((layer) => called.add(layer), body);
  const known = new Set<Variable>(model.weights);
  for (const layer of called) {
    const strange = layer.trainableWeights.find((weight) => !known.has(weight));
    if (strange === undefined) continue;
    throw new NablaError(
      model.name,
      `${layer.name} is called but is in no field, got ${strange.name}, expected a weight of the model; ` +
        'keep the layer in a field (not a #private one), or set its trainable to false',
    );
  }
  return result;
}
