// Saved models made again: architecture, weights, and the state of training.
import { describe, NablaError } from '../errors.ts';
import { modelFromConfig } from '../model/config.ts';
import type { FitPosition } from '../model/history.ts';
import type { CompileOptions, Model } from '../model/model.ts';
import type { AnySavable } from '../model/savable.ts';
import type { Nested } from '../nested.ts';
import type { LossScaleState } from '../optimizers/loss-scale.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { buildFrom, type SavedWeight, sourceOf } from './building.ts';
import { ConfigReader, isFields, isList, type Json, parseJson } from './config.ts';
import type { Safetensors } from './safetensors.ts';
import { toFloat32 } from './safetensors.ts';
import {
  applyWeights,
  isWeight,
  keys,
  parseSaved,
  readSaved,
  type SavedSource,
  savedStates,
} from './save.ts';

/** What loadModel takes. */
export interface LoadOptions {
  /** Whether the model is compiled as it was, with its optimizer's state. Default true. */
  compile?: boolean;
}

/**
 * The model that was saved with `model.save()` or `model.toBytes()`. Training goes on where it stood with
 * `model.fit(x, y, { epochs, resume: model.position })`, to the bit on the same backend.
 *
 * `O` is what the model gives: a tensor, unless it has several outputs.
 *
 * @param source a path, an address such as `indexeddb://name`, or the bytes
 * @throws {NablaError} when the file is truncated, altered, of a newer format, or has layers that are not known here.
 * @example
 * await model.save('model.safetensors');
 * const again = await loadModel('model.safetensors');
 */
export async function loadModel<O extends Nested<Tensor> = Tensor>(
  source: SavedSource,
  options: LoadOptions = {},
): Promise<Model<O>> {
  checkOptions('functions', 'loadModel', options);
  const { name, file } = await readSaved('loadModel', source);
  return modelOf(name, file, options) as Model<O>;
}

/** {@link loadModel} for bytes in memory, at once. */
export function modelFromBytes<O extends Nested<Tensor> = Tensor>(
  bytes: Uint8Array | ArrayBuffer,
  options: LoadOptions = {},
): Model<O> {
  checkOptions('functions', 'modelFromBytes', options);
  const { name, file } = parseSaved('modelFromBytes', bytes);
  return modelOf(name, file, options) as Model<O>;
}

function modelOf(where: string, file: Safetensors, { compile = true }: LoadOptions): unknown {
  const text = file.metadata.get(keys.model);
  if (text === undefined) {
    throw new NablaError(
      where,
      'the file has weights only, expected a model; make the model and call its loadWeights(), or save with save()',
    );
  }
  const saved = new Map<string, SavedWeight>();
  for (const [name, tensor] of file.tensors) {
    if (isWeight(name)) saved.set(name, { shape: tensor.shape, values: () => toFloat32(where, tensor) });
  }
  const reader = new ConfigReader(where, (nested, json) => modelFromConfig(where, nested, json));
  const config = parseJson(where, 'the architecture', text);
  const model = buildFrom(sourceOf(where, saved), () => modelFromConfig(where, reader, config)) as Model<
    Nested<Tensor>
  >;
  try {
    const how = file.metadata.get(keys.compile);
    if (compile && how !== undefined) {
      model.compile(reader.fields(fieldsOf(where, 'how it was compiled', how)) as unknown as CompileOptions);
    }
    const place = restoreInto(where, model, file, compile);
    if (place !== undefined) model.resumeFrom(place);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}

function fieldsOf(where: string, what: string, text: string): { readonly [key: string]: Json } {
  const json = parseJson(where, what, text);
  if (isFields(json)) return json;
  throw new NablaError(where, `${what} is not an object, got ${describe(json)}; the file is altered`);
}

/** Puts all that a file says of a model into one that is made alike: weights and, if it is compiled, the state of training. Gives its place. */
export function restoreInto(
  where: string,
  model: AnySavable,
  file: Safetensors,
  training = true,
): FitPosition | undefined {
  // A model whose input is not known yet has no weights.
  if (model.weights.length > 0 || [...file.tensors.keys()].some(isWeight)) applyWeights(model, where, file);
  const stood = file.metadata.get(keys.training);
  if (!training || stood === undefined) return undefined;
  const { position, iterations, optimizers } = fieldsOf(where, 'the state of training', stood);
  if (!(position === null || isPosition(position)) || !isCount(iterations) || !isList(optimizers)) {
    throw new NablaError(
      where,
      `bad place in training, got ${JSON.stringify({ position, iterations })}; the file is altered`,
    );
  }
  const states = savedStates(where, file);
  const saved = optimizers.map((json, i) => {
    const { own, step, learningRate, lossScale } = isFields(json) ? json : {};
    const scale = lossScale === undefined ? {} : { lossScale: lossScale as unknown as LossScaleState };
    const good = typeof own === 'boolean' && isCount(step) && isLossScale(lossScale);
    if (good && typeof learningRate === 'number' && learningRate >= 0)
      return { own, step: step as number, learningRate, ...scale, states: states[i] ?? new Map() };
    throw new NablaError(
      where,
      `bad state of an optimizer, got ${JSON.stringify(json)}; the file is altered`,
    );
  });
  model.restoreTraining(saved);
  model.iterations = iterations as number;
  return position === null ? undefined : (position as unknown as FitPosition);
}

function isCount(json: Json | undefined): boolean {
  return Number.isSafeInteger(json) && (json as number) >= 0;
}

function isLossScale(json: Json | undefined): boolean {
  if (json === undefined) return true;
  return isFields(json) && typeof json.scale === 'number' && json.scale >= 0 && isCount(json.steps);
}

function isPosition(json: Json | undefined): boolean {
  if (!isFields(json)) return false;
  const { epoch, step, shuffle, random, seeded, data } = json;
  return (
    isCount(epoch) &&
    isCount(step) &&
    isFields(shuffle) &&
    [shuffle.seed, shuffle.stream, shuffle.position].every((value) => Number.isSafeInteger(value)) &&
    isList(random) &&
    (seeded === undefined || (isList(seeded) && seeded.every(isCount))) &&
    (data === undefined || (isFields(data) && Object.values(data).every(isCount)))
  );
}
