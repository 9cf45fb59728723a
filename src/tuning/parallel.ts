// Trials on several worker threads: what they are told, and what is made of their answers.
import type * as Library from '../api.ts';
import { Dataset } from '../data/dataset.ts';
import { poolOf } from '../data/parallel.ts';
import type { Samples } from '../data/samples.ts';
import type { DType } from '../dtype.ts';
import { engine } from '../engine.ts';
import { describe, NablaError } from '../errors.ts';
import type { FitOptions } from '../model/fit-options.ts';
import type { Model } from '../model/model.ts';
import { type ModelData, slotsOf, Taken } from '../model/slots.ts';
import type { Nested } from '../nested.ts';
import { Tensor } from '../tensor.ts';
import { exportOf, type ModuleExport } from './builder.ts';
import { checkLeast } from './rows.ts';
import type { SharedBuilder, SharedSamples, TrialAnswer, TrialFit, TrialTask } from './trial.ts';

/** A function of a module that makes a compiled model, for worker threads to load. */
export interface BuilderModule {
  /** Address of the module: `new URL('./build.js', import.meta.url)`. */
  readonly module: URL | string;
  /** Its export. Default `'build'`. */
  readonly name?: string;
}

/** What makes a model; a function that is sent to worker threads takes all it needs from its parameters: what it is given, then the library. */
export type ModelBuilder<Given extends readonly unknown[], M extends Model<Nested<Tensor>>> =
  | ((...given: [...Given, nabla: typeof Library]) => M)
  | BuilderModule;

/** Where worker threads find the code: the module of trials and the library. */
export interface TrialCode {
  readonly trials: string;
  readonly library: string;
}

const platform: { find: (() => TrialCode) | undefined } = { find: undefined };

/** Says how the platform finds it. */
export function onTrials(find: () => TrialCode): void {
  platform.find = find;
}

const own: { library: typeof Library | undefined } = { library: undefined };

/** Says what functions that build models are handed as the library. */
export function provideLibrary(library: typeof Library): void {
  own.library = library;
}

/** The function itself, for models that are made here. */
export async function builderHere<Given extends readonly unknown[], M extends Model<Nested<Tensor>>>(
  where: string,
  build: ModelBuilder<Given, M>,
): Promise<(...given: Given) => M | Promise<M>> {
  const make = typeof build === 'function' ? build : await exportOf(moduleExport(where, build));
  return (...given) => {
    if (own.library === undefined && make.length > given.length)
      throw new NablaError(
        where,
        'build is handed the library in Node.js only, expected a function that imports it',
      );
    return make(...given, own.library!) as M | Promise<M>;
  };
}

function sharedBuilder(where: string, build: unknown): SharedBuilder {
  return typeof build === 'function' ? { text: build.toString() } : moduleExport(where, build);
}

function moduleExport(where: string, build: unknown): ModuleExport {
  const { module, name = 'build' } = (build ?? {}) as Partial<BuilderModule>;
  if ((typeof module === 'string' || module instanceof URL) && typeof name === 'string')
    return { module: String(module), name };
  throw new NablaError(where, `bad build, got ${describe(build)}, expected a function or { module, name }`);
}

/** Trials on worker threads; everything but the settings is the same for all of them. */
export class Trials {
  private readonly where: string;
  private readonly workers: number;
  private readonly code: TrialCode;
  private readonly common: Pick<TrialTask, 'library' | 'backend' | 'build' | 'x' | 'y' | 'fit'>;

  constructor(
    where: string,
    workers: number,
    build: unknown,
    x: ModelData | Dataset<unknown>,
    y: ModelData | null | undefined,
    options: FitOptions,
  ) {
    checkLeast(where, 'workers', workers, 1);
    if (platform.find === undefined)
      throw new NablaError(
        where,
        'there are no worker threads on this platform, expected Node.js; leave workers out',
      );
    this.where = where;
    this.workers = workers;
    this.code = platform.find();
    if (x instanceof Dataset)
      throw new NablaError(
        where,
        'a data set cannot cross to worker threads, expected tensors or arrays; leave workers out',
      );
    this.common = {
      library: this.code.library,
      backend: engine().backend.info.name,
      build: sharedBuilder(where, build),
      x: shared(where, 'x', x),
      y: y === null || y === undefined ? undefined : shared(where, 'y', y),
      fit: crossing(where, options),
    };
  }

  /** The answers in the order of the tasks. A worker takes the next one when it is done. */
  async run(tasks: readonly Pick<TrialTask, 'settings' | 'seed' | 'rows'>[]): Promise<TrialAnswer[]> {
    const pool = poolOf(this.where, this.code.trials, 'runTrial', this.workers);
    const answers: TrialAnswer[] = [];
    let next = 0;
    let failed = false;
    const lane = async () => {
      while (next < tasks.length && !failed) {
        const index = next++;
        const task: TrialTask = { ...this.common, ...tasks[index]! };
        try {
          const { values, error } = await pool.run({ first: index, elements: [task], seeds: [0] });
          if (error !== undefined) throw error;
          answers[index] = values[0] as TrialAnswer;
          this.checkBuilt(answers[index]);
        } catch (error) {
          failed = true;
          throw this.worded(index, error);
        }
      }
    };
    pool.retain();
    try {
      await Promise.all(Array.from({ length: Math.min(this.workers, tasks.length) }, lane));
    } finally {
      pool.release();
    }
    return answers;
  }

  private checkBuilt({ unbuilt }: TrialAnswer): void {
    if (unbuilt === undefined) return;
    const remedy =
      'text' in this.common.build
        ? '; a function that is sent to worker threads takes all it needs from its parameters, the last of which is the library; or give { module, name }'
        : '';
    throw new NablaError(this.where, `build failed in a worker thread: ${unbuilt}${remedy}`);
  }

  private worded(index: number, error: unknown): unknown {
    if (error instanceof NablaError) return error;
    const text = error instanceof Error ? error.message : String(error);
    return new NablaError(this.where, `trial ${index} failed in its worker thread: ${text}`, {
      cause: error,
    });
  }
}

/** Copies of data where all threads see them. */
function shared(where: string, what: string, data: ModelData): SharedSamples {
  const { structure, names } = slotsOf(data, what);
  const taken = new Taken(where);
  try {
    const parts = taken.samples(what, data, names).map(({ tensor, options }: Samples) => {
      const values = tensor.dataSync() as Float32Array | Int32Array | Uint8Array;
      const memory = new SharedArrayBuffer(values.byteLength);
      const copy = new (values.constructor as new (buffer: SharedArrayBuffer) => typeof values)(memory);
      copy.set(values);
      return { data: copy, shape: [...tensor.shape], dtype: tensor.dtype as DType, options };
    });
    return { structure, parts };
  } finally {
    taken.dispose();
  }
}

/** Options of fit for another thread. */
function crossing(where: string, options: FitOptions): TrialFit {
  for (const name of ['callbacks', 'signal', 'resume'] as const) {
    if (options[name] !== undefined)
      throw new NablaError(
        where,
        `${name} cannot cross to worker threads; leave it out, or leave out workers`,
      );
  }
  const { validationData, sampleWeight, callbacks: _c, signal: _s, resume: _r, ...fit } = options;
  if (validationData instanceof Dataset)
    throw new NablaError(
      where,
      'validationData cannot cross to worker threads, got a data set, expected [x, y]',
    );
  const numbers = (weight: unknown): unknown => {
    if (weight instanceof Tensor) return weight.dataSync();
    if (Array.isArray(weight)) return weight.map(numbers);
    if (typeof weight !== 'object' || weight === null || ArrayBuffer.isView(weight)) return weight;
    return Object.fromEntries(Object.entries(weight).map(([name, each]) => [name, numbers(each)]));
  };
  const [x, y] = validationData ?? [];
  return {
    ...fit,
    ...(sampleWeight !== undefined && { sampleWeight: numbers(sampleWeight) as typeof sampleWeight }),
    ...(x !== undefined && {
      held: [shared(where, 'validation x', x), y == null ? undefined : shared(where, 'validation y', y)],
    }),
  };
}
