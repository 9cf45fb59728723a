// Models as bytes: architecture, weights, optimizer state and the place in training as one safetensors file; and weights alone.
import { describe, NablaError } from '../errors.ts';
import type { FitPosition } from '../model/history.ts';
import type { AnySavable } from '../model/savable.ts';
import { sameShape, showShape } from '../shape.ts';
import type { Variable } from '../variable.ts';
import { weightNames } from './building.ts';
import { ConfigWriter, type Json } from './config.ts';
import { crc32c } from './crc32c.ts';
import type { SavedOptimizer } from './progress.ts';
import {
  type ByteSource,
  parseSafetensors,
  readSafetensors,
  type Safetensors,
  type SafetensorsInput,
  type SafetensorsTensor,
  safetensorsParts,
  toFloat32,
} from './safetensors.ts';
import { storeOf } from './stores.ts';

/** The newest form of file that is written and understood. */
export const formatVersion = 1;

/** Names of what is kept among the strings of a file. */
export const keys = {
  version: 'nabla.version',
  model: 'nabla.model',
  compile: 'nabla.compile',
  training: 'nabla.training',
  checksum: 'nabla.checksum',
} as const;

// Optimizer states stand beside the weights, under names that no weight has.
const statePrefix = '$optimizer/';

/** What `save` takes. */
export interface SaveOptions {
  /** Whether optimizer state, random state and the place in training are saved too, so that training can go on. Default true. */
  includeOptimizer?: boolean;
}

/** The JSON of where training stands. */
export interface SavedTraining {
  readonly iterations: number;
  /** Null before the first fit. */
  readonly position: FitPosition | null;
  /** In the order in which they are used; their numbers are among the tensors. */
  readonly optimizers: readonly Omit<SavedOptimizer, 'states'>[];
}

/** Where saved bytes are read from: a path or an address, or the bytes. */
export type SavedSource = string | URL | Uint8Array | ArrayBuffer;

function floats(weight: { readonly shape: readonly number[] }, data: Float32Array): SafetensorsInput {
  return { dtype: 'F32', shape: weight.shape, data };
}

function weightEntries(model: AnySavable): [string, SafetensorsInput][] {
  model.ensureIdle('save');
  return [...weightNames(model)].map(([weight, name]) => {
    if (name.startsWith('$')) {
      throw new NablaError(
        `${model.name}.save`,
        `names that begin with $ are kept for optimizers, got weight '${name}'; rename its layer`,
      );
    }
    return [name, floats(weight, weight.dataSync())];
  });
}

/** The whole model as the parts of a file; without `architecture` only what a model that is there already needs to go on. */
export function modelParts(
  model: AnySavable,
  { includeOptimizer = true, architecture = true }: SaveOptions & { architecture?: boolean } = {},
): Uint8Array[] {
  const writer = new ConfigWriter();
  const metadata: Record<string, string> = { [keys.version]: String(formatVersion) };
  if (model.inputShapes !== undefined) model.ensureBuilt(...model.inputShapes);
  if (architecture) metadata[keys.model] = JSON.stringify(model.toConfig(writer));
  const tensors = weightEntries(model);
  const { compiledFrom } = model;
  if (architecture && compiledFrom !== undefined) {
    const { optimizer, loss, metrics, ...rest } = compiledFrom;
    const compile: Json = writer.value(`${model.name}.compile`, { optimizer, loss, metrics, ...rest });
    metadata[keys.compile] = JSON.stringify(compile);
  }
  if (includeOptimizer) {
    const shapes = new Map([...weightNames(model)].map(([weight, name]) => [name, weight]));
    const optimizers = (model.trainingState() ?? []).map(({ states, ...rest }, place) => {
      for (const [name, arrays] of states) {
        const weight = shapes.get(name)!;
        arrays.forEach((data, i) => {
          const shape = data.length === weight.size ? weight.shape : [data.length];
          tensors.push([`${statePrefix}${place}/${i}/${name}`, { dtype: 'F32', shape, data }]);
        });
      }
      return rest;
    });
    const { iterations, position = null } = model;
    const training: SavedTraining = { iterations, position, optimizers };
    metadata[keys.training] = JSON.stringify(training);
  }
  return sealedParts(tensors, metadata);
}

/** The weights as the parts of a file. */
export function weightParts(model: AnySavable): Uint8Array[] {
  if (model.inputShapes !== undefined) model.ensureBuilt(...model.inputShapes);
  return sealedParts(weightEntries(model), { [keys.version]: String(formatVersion) });
}

/** The parts of a file with a checksum over all that it says. */
export function sealedParts(
  tensors: readonly [string, SafetensorsInput][],
  metadata: Record<string, string>,
): Uint8Array[] {
  const inputs = new Map(tensors);
  const bytes = (name: string) => {
    const { data } = inputs.get(name)!;
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  };
  metadata[keys.checksum] = checksum(new Map(Object.entries(metadata)), inputs, bytes);
  return safetensorsParts(tensors, metadata);
}

/** The sum of all that a file says, whatever order it says it in. */
function checksum(
  metadata: ReadonlyMap<string, string>,
  tensors: ReadonlyMap<string, { readonly dtype: string; readonly shape: readonly number[] }>,
  bytesOf: (name: string) => Uint8Array,
): string {
  const strings = [...metadata].filter(([key]) => key !== keys.checksum).sort(([a], [b]) => (a < b ? -1 : 1));
  const names = [...tensors.keys()].sort();
  const said = names.map((name) => [name, tensors.get(name)!.dtype, tensors.get(name)!.shape]);
  const start = crc32c(new TextEncoder().encode(JSON.stringify([strings, said])));
  const sum = names.reduce((crc, name) => crc32c(bytesOf(name), crc), start);
  return sum.toString(16).padStart(8, '0');
}

/** Saves parts of a file under a path or an address. */
export async function writeParts(
  where: string,
  address: string | URL,
  parts: readonly Uint8Array[],
): Promise<void> {
  const { store, name } = storeOf(where, address);
  await store.write(name, parts);
}

/** Reads and checks a file: its form, its version, its checksum where it has one. */
export async function readSaved(
  where: string,
  source: SavedSource,
): Promise<{ name: string; file: Safetensors }> {
  if (source instanceof Uint8Array || source instanceof ArrayBuffer) return parseSaved(where, source);
  const { store, name } = storeOf(where, source);
  const opened: ByteSource & { close(): Promise<void> } = await store.open(name);
  try {
    const file = await readSafetensors(opened);
    checkFile(opened.name, file);
    return { name: opened.name, file };
  } finally {
    await opened.close();
  }
}

/** The same from memory. */
export function parseSaved(
  where: string,
  bytes: Uint8Array | ArrayBuffer,
): { name: string; file: Safetensors } {
  const file = parseSafetensors(bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes, where);
  checkFile(where, file);
  return { name: where, file };
}

function checkFile(where: string, { metadata, tensors }: Safetensors): void {
  const version = metadata.get(keys.version);
  if (version !== undefined && !/^[1-9]\d{0,8}$/.test(version)) {
    throw new NablaError(
      where,
      `bad format version, got ${describe(version)}, expected a number; the file is altered`,
    );
  }
  if (Number(version ?? 1) > formatVersion) {
    throw new NablaError(
      where,
      `the file is of a newer format, got version ${version}, expected at most ${formatVersion}; update nabla to read it`,
    );
  }
  const told = metadata.get(keys.checksum);
  // Other programs write none.
  if (told === undefined && version === undefined) return;
  const found = checksum(metadata, tensors, (name) => tensors.get(name)!.data);
  if (found !== told) {
    throw new NablaError(
      where,
      `the file is altered, got checksum ${found}, expected ${told ?? 'one'}; save it again or take a former one`,
    );
  }
}

/** Is it a weight, and not a part of an optimizer's state? */
export function isWeight(name: string): boolean {
  return !name.startsWith('$');
}

/** What the optimizers in a file keep for each weight, by the place of the optimizer. */
export function savedStates(where: string, file: Safetensors): Map<string, Float32Array[]>[] {
  const optimizers: Map<string, Float32Array[]>[] = [];
  for (const [name, tensor] of file.tensors) {
    const found = /^\$optimizer\/(\d)\/(\d)\/(.*)$/s.exec(name);
    if (found === null) continue;
    const [place, i] = [Number(found[1]), Number(found[2])];
    optimizers[place] ??= new Map();
    const arrays = optimizers[place].get(found[3]!) ?? [];
    arrays[i] = toFloat32(where, tensor);
    optimizers[place].set(found[3]!, arrays);
  }
  return optimizers;
}

/** What `loadWeights` takes. */
export interface LoadWeightsOptions {
  /** Load what fits by name and shape, and leave the rest as it is. Default false: an error where anything does not match. */
  partial?: boolean;
  /** The name in the model for a name in the file; undefined leaves the tensor out. Default: the same name. */
  rename?: (name: string) => string | undefined;
}

/** A weight that did not fit. */
export interface MismatchedWeight {
  /** Its name in the model. */
  readonly name: string;
  /** Its shape in the file. */
  readonly got: readonly number[];
  /** Its shape in the model. */
  readonly expected: readonly number[];
}

/** What loading weights did. */
export interface WeightReport {
  /** Weights that were loaded. */
  readonly loaded: readonly string[];
  /** Weights of the model that the file does not have. */
  readonly missing: readonly string[];
  /** Tensors of the file that the model does not have. */
  readonly unexpected: readonly string[];
  /** Weights whose shape in the file is another. */
  readonly mismatched: readonly MismatchedWeight[];
}

/** Puts the weights of a file into a model. */
export function applyWeights(
  model: AnySavable,
  where: string,
  file: Safetensors,
  { partial = false, rename = (name) => name }: LoadWeightsOptions = {},
): WeightReport {
  if (model.inputShapes !== undefined) model.ensureBuilt(...model.inputShapes);
  if (model.weights.length === 0 && model.inputShapes === undefined) {
    throw new NablaError(
      `${model.name}.loadWeights`,
      'the model has no weights yet; give its first layer inputShape, or call build() first',
    );
  }
  model.ensureIdle('loadWeights');
  const found = new Map<string, SafetensorsTensor>();
  const unexpected: string[] = [];
  const own = new Map<string, Variable<'float32'>>(
    [...weightNames(model)].map(([weight, name]) => [name, weight]),
  );
  for (const [name, tensor] of file.tensors) {
    if (!isWeight(name)) continue;
    const target = rename(name);
    if (target !== undefined && own.has(target)) found.set(target, tensor);
    else if (target !== undefined) unexpected.push(name);
  }
  const missing = [...own.keys()].filter((name) => !found.has(name));
  const mismatched = [...found].flatMap(([name, { shape: got }]) => {
    const expected = own.get(name)!.shape;
    return sameShape(got, expected) ? [] : [{ name, got, expected }];
  });
  const bad = new Set(mismatched.map(({ name }) => name));
  const loaded = [...found.keys()].filter((name) => !bad.has(name));
  const report = { loaded, missing, unexpected, mismatched };
  if (!partial && missing.length + unexpected.length + mismatched.length > 0) {
    throw new NablaError(
      where,
      `weights do not match ${model.name}: ${told(report)}; nothing was loaded; loadWeights(..., { partial: true }) loads the rest`,
    );
  }
  // All are converted before any is written: a dtype that cannot be converted leaves the model as it was.
  const numbers = loaded.map(
    (name) => [own.get(name)!, toFloat32(`${where}: ${name}`, found.get(name)!)] as const,
  );
  for (const [weight, values] of numbers) {
    const { storage, byteOffset } = weight.memory('loadWeights');
    storage.engine.backend.write(storage.handle, byteOffset, values);
  }
  return report;
}

function told({ missing, unexpected, mismatched }: WeightReport): string {
  const some = (names: readonly string[]) =>
    names.slice(0, 5).join(', ') + (names.length > 5 ? `, and ${names.length - 5} more` : '');
  const shapes = mismatched.map(
    ({ name, got, expected }) => `${name} is ${showShape(got)}, not ${showShape(expected)}`,
  );
  return [
    missing.length > 0 ? `missing ${some(missing)}` : '',
    unexpected.length > 0 ? `unexpected ${some(unexpected)}` : '',
    shapes.length > 0 ? `of another shape: ${some(shapes)}` : '',
  ]
    .filter((part) => part !== '')
    .join('; ');
}
