// One trial of a search or one fold of a cross-validation, as worker threads run it: they load this module, and with it the library that they are told.
import type * as Library from '../api.ts';
import type { BackendName } from '../backend/backend.ts';
import type { SamplesOptions } from '../data/samples.ts';
import type { DType } from '../dtype.ts';
import type { FitOptions } from '../model/fit-options.ts';
import type { Logs } from '../model/history.ts';
import type { Model } from '../model/model.ts';
import { type Nested, nest, type Structure } from '../nested.ts';
import type { Tensor } from '../tensor.ts';
import { type Builder, exportOf, type ModuleExport } from './builder.ts';

/** Samples that cross to another thread: their numbers lie in memory that all threads share. */
export interface SharedSamples {
  readonly structure: Structure;
  readonly parts: readonly {
    readonly data: Float32Array | Int32Array | Uint8Array;
    readonly shape: readonly number[];
    readonly dtype: DType;
    readonly options: SamplesOptions;
  }[];
}

/** Options of fit that can cross. */
export interface TrialFit extends Omit<FitOptions, 'validationData' | 'callbacks' | 'signal' | 'resume'> {
  readonly held?: readonly [SharedSamples, SharedSamples?] | undefined;
}

/** What makes the model: an export of a module, or a function's text. */
export type SharedBuilder = ModuleExport | { readonly text: string };

/** What a worker is told. */
export interface TrialTask {
  /** Address of the library, and the backend that it is to use. */
  readonly library: string;
  readonly backend: BackendName;
  readonly build: SharedBuilder;
  /** What is handed to it, before the library. */
  readonly settings: readonly unknown[];
  readonly seed: number;
  readonly x: SharedSamples;
  readonly y: SharedSamples | undefined;
  readonly fit: TrialFit;
  /** Rows to train on and rows to judge by. Default: all are trained on, and the history is the answer. */
  readonly rows?: { readonly train: Int32Array; readonly validation: Int32Array } | undefined;
}

/** What it answers. */
export interface TrialAnswer {
  readonly history?: Record<string, number[]>;
  readonly weights?: Float32Array[];
  /** Loss and metrics of the rows to judge by. */
  readonly logs?: Logs;
  /** Why the training failed. */
  readonly failed?: { readonly where: string; readonly message: string };
  /** Why no model was made. */
  readonly unbuilt?: string;
}

type AnyModel = Model<Nested<Tensor>>;
type NodeLibrary = typeof Library & {
  setBackend(name: BackendName, options: { threads: number }): Promise<unknown>;
};

const loaded = new Map<string, Promise<NodeLibrary>>();

/** The library, with one thread: the trials share the cores. */
async function libraryAt(address: string, backend: BackendName): Promise<NodeLibrary> {
  const load = async () => {
    const module = (await import(address)) as Partial<NodeLibrary> & { default?: NodeLibrary };
    const library = module.setBackend === undefined ? module.default! : (module as NodeLibrary);
    await library.setBackend(backend, { threads: 1 });
    return library;
  };
  const key = `${address} ${backend}`;
  const found = loaded.get(key) ?? load();
  loaded.set(key, found);
  return await found;
}

/** The function that a module exports, or that a text is. */
async function builderOf(build: SharedBuilder): Promise<Builder> {
  if ('text' in build) {
    // Some compilers wrap functions in a call that keeps their names.
    return new Function('__name', `return (${build.text}\n)`)((named: unknown) => named) as Builder;
  }
  return await exportOf(build);
}

/** Has what a worker is told done, and tells what came of it. */
export async function runTrial(task: TrialTask): Promise<TrialAnswer> {
  const { library: address, backend, build, settings, seed, x, y, fit, rows } = task;
  const library = await libraryAt(address, backend);
  const owned: { dispose(): void }[] = [];
  const data = (shared: SharedSamples, which?: Int32Array) => {
    const parts = shared.parts.map(({ data: numbers, shape, dtype, options }) => {
      const values = which === undefined ? numbers : rowsOf(numbers, shape[0]!, which);
      const length = which === undefined ? shape[0]! : which.length;
      const made = library.samples(
        library.tensor(values, [length, ...shape.slice(1)], dtype).keep(),
        options,
      );
      owned.push(made);
      return made;
    });
    return nest(shared.structure, parts);
  };
  library.setSeed(seed);
  let model: AnyModel;
  try {
    model = await (await builderOf(build))(...settings, library);
  } catch (error) {
    return { unbuilt: error instanceof Error ? error.message : String(error) };
  }
  try {
    owned.push(model);
    const { held, ...options } = fit;
    const validationData = held && ([data(held[0]), held[1] === undefined ? null : data(held[1])] as const);
    const labels = y === undefined ? null : data(y, rows?.train);
    const { history } = await model.fit(data(x, rows?.train), labels, {
      ...options,
      ...(validationData && { validationData }),
      verbose: 0,
    });
    if (rows === undefined) return { history, weights: model.getWeights() };
    return { logs: await model.evaluate(data(x, rows.validation), y && data(y, rows.validation)) };
  } catch (error) {
    if (!(error instanceof library.NablaError)) throw error;
    return { failed: { where: error.where, message: error.message.slice(error.where.length + 3) } };
  } finally {
    for (const each of owned) each.dispose();
  }
}

/** These rows, one after the other. */
function rowsOf<T extends Float32Array | Int32Array | Uint8Array>(
  data: T,
  count: number,
  rows: Int32Array,
): T {
  const width = data.length / count;
  const taken = new (data.constructor as new (length: number) => T)(rows.length * width);
  rows.forEach((row, i) => {
    taken.set(data.subarray(row * width, (row + 1) * width), i * width);
  });
  return taken;
}

/** Tells the pool that an answer may be handed over: nothing here keeps it. */
export const givesAwayResults = true;
