// Sequential and functional models as JSON, and back.
import { describe, NablaError } from '../errors.ts';
import type { Layer } from '../layers/layer.ts';
import type { SymbolicTensor } from '../layers/symbolic.ts';
import { type ConfigReader, isFields, isList, type Json } from '../saving/config.ts';
import { input, model } from './functional.ts';
import type { Model } from './model.ts';
import { Sequential } from './sequential.ts';

type Fields = { readonly [key: string]: Json };

/** The model that a configuration describes, with its weights where the shape of its input is known. */
export function modelFromConfig(where: string, reader: ConfigReader, json: Json): Model {
  if (!isFields(json)) throw bad(where, `got ${describe(json)}, expected an object`);
  const { className } = json;
  if (className === 'Sequential') return sequentialFrom(where, reader, json);
  if (className === 'Functional') return functionalFrom(where, reader, json);
  throw bad(where, `unknown kind of model, got ${describe(className)}, expected Sequential or Functional`);
}

function sequentialFrom(where: string, reader: ConfigReader, { name, layers, inputShape }: Fields): Model {
  if (layers === undefined || !isList(layers)) throw bad(where, 'got no layers, expected a list of them');
  const made = new Sequential({ name: String(name), layers: layers.map((layer) => reader.layer(layer)) });
  if (inputShape !== undefined && inputShape !== null) made.build(shapeOf(where, inputShape));
  return made;
}

function functionalFrom(where: string, reader: ConfigReader, json: Fields): Model {
  const { name, layers, inputs, nodes, outputs } = json;
  const lists = [layers, inputs, nodes, outputs];
  if (!lists.every((list) => list !== undefined && isList(list))) {
    throw bad(where, 'got a graph without layers, inputs, nodes or outputs, expected lists of them');
  }
  const [layerList, inputList, nodeList, outputList] = lists as (readonly Json[])[];
  const known: Layer[] = layerList!.map((layer) => reader.layer(layer));
  const values: SymbolicTensor[] = inputList!.map((shape) => input({ shape: shapeOf(where, shape) }));
  const pick = <T>(list: readonly T[], index: Json | undefined): T => {
    const found = typeof index === 'number' ? list[index] : undefined;
    if (found === undefined)
      throw bad(where, `got the place ${describe(index)}, expected one below ${list.length}`);
    return found;
  };
  const [entry] = values;
  for (const node of nodeList!) {
    if (!isFields(node) || node.inputs === undefined || !isList(node.inputs)) {
      throw bad(where, `got the node ${describe(node)}, expected layer and inputs`);
    }
    const sources = node.inputs.map((index) => pick(values, index));
    values.push(pick(known, node.layer).apply(sources));
  }
  const made = model({ inputs: entry!, outputs: pick(values, outputList![0]), name: String(name) });
  made.build();
  return made;
}

function shapeOf(where: string, json: Json): number[] {
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
