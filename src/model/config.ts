// Sequential and functional models as JSON, and back.
import { describe, NablaError } from '../errors.ts';
import type { Layer } from '../layers/layer.ts';
import { SymbolicTensor } from '../layers/symbolic.ts';
import type { Nested, Structure } from '../nested.ts';
import { nest } from '../nested.ts';
import { type ConfigReader, isFields, isList, type Json } from '../saving/config.ts';
import type { Tensor } from '../tensor.ts';
import { input, model } from './functional.ts';
import type { Model } from './model.ts';
import { Sequential } from './sequential.ts';

type Fields = { readonly [key: string]: Json };
type AnyModel = Model<Nested<Tensor>>;

/** The model that a configuration describes, with its weights where the shapes of its inputs are known. */
export function modelFromConfig(where: string, reader: ConfigReader, json: Json): AnyModel {
  if (!isFields(json)) throw bad(where, `got ${describe(json)}, expected an object`);
  const { className } = json;
  if (className === 'Sequential') return sequentialFrom(where, reader, json);
  if (className === 'Functional') return functionalFrom(where, reader, json);
  throw bad(where, `unknown kind of model, got ${describe(className)}, expected Sequential or Functional`);
}

function sequentialFrom(where: string, reader: ConfigReader, json: Fields): AnyModel {
  const layers = listIn(where, json, 'layers').map((layer) => reader.layer(layer));
  const made = new Sequential({ name: String(json.name), layers });
  if (json.trainable === false) freeze(made);
  const { inputShape } = json;
  if (inputShape !== undefined && inputShape !== null) made.build(shapeOf(where, inputShape));
  return made as unknown as AnyModel;
}

function functionalFrom(where: string, reader: ConfigReader, json: Fields): AnyModel {
  const layers: Layer[] = listIn(where, json, 'layers').map((layer) => reader.layer(layer));
  const entries = listIn(where, json, 'inputs').map((entry) => {
    if (!isFields(entry)) throw bad(where, `got the input ${describe(entry)}, expected shape and name`);
    return input({
      shape: shapeOf(where, entry.shape),
      ...(typeof entry.name === 'string' ? { name: entry.name } : {}),
    });
  });
  const values: SymbolicTensor[] = [...entries];
  for (const node of listIn(where, json, 'nodes')) {
    if (!isFields(node)) throw bad(where, `got the node ${describe(node)}, expected layer and inputs`);
    const sources = listIn(where, node, 'inputs').map((place) => pick(where, values, place));
    const [first, ...more] = sources;
    const layer = pick(where, layers, node.layer);
    const made = layer.apply(more.length === 0 ? first! : sources);
    // The call knows all outputs, whatever they are put together in.
    const one = made instanceof SymbolicTensor ? made : (Object.values(made)[0] as SymbolicTensor);
    values.push(...one.origin!.outputs);
  }
  const exits = listIn(where, json, 'outputs').map((place) => pick(where, values, place));
  const made = model({
    inputs: nest(structureIn(where, json.inputStructure, entries.length), entries),
    outputs: nest(structureIn(where, json.outputStructure, exits.length), exits),
    name: String(json.name),
  });
  if (json.trainable === false) freeze(made);
  made.build();
  return made;
}

/** The layers keep what they were: each has its own mark in the file. */
function freeze(made: AnyModel | Sequential): void {
  const marks = made.layers.map((layer) => [layer, layer.trainable] as const);
  made.trainable = false;
  for (const [layer, trainable] of marks) layer.trainable = trainable;
}

function listIn(where: string, json: Fields, name: string): readonly Json[] {
  const list = json[name];
  if (isList(list)) return list;
  throw bad(where, `got no ${name}, expected a list of them`);
}

function pick<T>(where: string, list: readonly T[], place: Json | undefined): T {
  const found = typeof place === 'number' ? list[place] : undefined;
  if (found !== undefined) return found;
  throw bad(where, `got the place ${describe(place)}, expected one below ${list.length}`);
}

function structureIn(where: string, json: Json | undefined, count: number): Structure {
  if (json === 'array' || (json === 'one' && count === 1)) return json;
  if (isList(json) && json.length === count && json.every((name) => typeof name === 'string'))
    return json as string[];
  throw bad(where, `got the structure ${describe(json)}, expected 'one', 'array' or ${count} names`);
}

function shapeOf(where: string, json: Json | undefined): number[] {
  const good = isList(json) && json.every((dim) => Number.isSafeInteger(dim) && (dim as number) >= 1);
  if (!good) throw bad(where, `got the shape ${describe(json)}, expected integers >= 1`);
  return [...(json as number[])];
}

function bad(where: string, message: string): NablaError {
  return new NablaError(
    where,
    `bad architecture: ${message}; the file is altered, or written by a newer version`,
  );
}
