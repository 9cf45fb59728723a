// Networks that are saved: to files, to memory and to other places, whole or their weights alone.
import { NablaError } from '../errors.ts';
import type { Nested } from '../nested.ts';
import { checkOptions } from '../options.ts';
import type { ConfigWriter, Json } from '../saving/config.ts';
import type { TrainingState } from '../saving/progress.ts';
import { concatenate } from '../saving/safetensors.ts';
import {
  applyWeights,
  type LoadWeightsOptions,
  modelParts,
  readSaved,
  type SavedSource,
  type SaveOptions,
  type WeightReport,
  weightParts,
  writeParts,
} from '../saving/save.ts';
import type { Tensor } from '../tensor.ts';
import type { FitPosition } from './history.ts';
import type { Compiled, CompileOptions } from './model.ts';
import { Network } from './network.ts';

/** What saving asks of a model, whatever it gives. */
export type AnySavable = Savable<Nested<Tensor>>;

/** A network with what saving asks of a model. */
export abstract class Savable<O extends Nested<Tensor> = Tensor> extends Network<O> {
  // Hidden from the search for layers among the fields.
  #place: (() => FitPosition) | undefined;
  #iterations = 0;

  /**
   * Saves the model to one file: architecture, weights, how it was compiled, the optimizer's state, random state and the place in training. The
   * former file stays whole until the new one is. {@link loadModel} reads it; Python's `safetensors` reads the weights.
   *
   * @param path a path, or an address such as `indexeddb://name` in a browser
   * @example await model.save('model.safetensors');
   */
  async save(path: string | URL, options: SaveOptions = {}): Promise<void> {
    checkOptions('model', 'save', options, `${this.name}.save`);
    await writeParts(`${this.name}.save`, path, modelParts(this, options));
  }

  /** What {@link Model.save} writes, in memory. */
  toBytes(options: SaveOptions = {}): Uint8Array<ArrayBuffer> {
    checkOptions('model', 'toBytes', options, `${this.name}.toBytes`);
    return concatenate(modelParts(this, options));
  }

  /** Saves the weights only, by name, as a safetensors file. */
  async saveWeights(path: string | URL): Promise<void> {
    await writeParts(`${this.name}.saveWeights`, path, weightParts(this));
  }

  /**
   * Puts saved weights in place, by name: those of `saveWeights`, of `save`, or of any safetensors file with float32, float16, bfloat16 or float64.
   *
   * @throws {NablaError} when names or shapes do not match and `partial` is not given; nothing is loaded then.
   * @example const { loaded, missing } = await model.loadWeights('weights.safetensors', { partial: true });
   */
  async loadWeights(source: SavedSource, options: LoadWeightsOptions = {}): Promise<WeightReport> {
    checkOptions('model', 'loadWeights', options, `${this.name}.loadWeights`);
    const { name, file } = await readSaved(`${this.name}.loadWeights`, source);
    return applyWeights(this, name, file, options);
  }

  /** @internal The architecture, for saving. Models that are classes of their own cannot be saved whole. */
  toConfig(_writer: ConfigWriter): Json {
    throw new NablaError(
      `${this.name}.save`,
      `a model of a class of its own cannot be saved whole, got ${this.constructor.name}; use saveWeights() and loadWeights()`,
    );
  }

  /**
   * Where training stands: pass it to fit's `resume` to go on from there, in this process or after the model was loaded. Undefined before the
   * first fit.
   */
  get position(): FitPosition | undefined {
    return this.#place?.();
  }

  /** Training steps of all fits, those before the model was saved among them. */
  get iterations(): number {
    return this.#iterations;
  }

  /** @internal Counts training steps. */
  set iterations(steps: number) {
    this.#iterations = steps;
  }

  /** @internal Sets where training stands. */
  resumeFrom(position: FitPosition | (() => FitPosition)): void {
    this.#place = typeof position === 'function' ? position : () => position;
  }

  /** @internal What the model was compiled with. */
  abstract compiled(where: string): Compiled;

  /** @internal What compile was given. */
  abstract readonly compiledFrom: CompileOptions | undefined;

  /** @internal A copy of the optimizer's state; undefined where the model was not trained yet. */
  abstract trainingState(): TrainingState | undefined;

  /** @internal Puts a state of the optimizer in place, now or when training begins. */
  abstract restoreTraining(state: TrainingState): void;

  /** @internal Throws while steps run: weights would be read or written between two of them. */
  abstract ensureIdle(where: string): void;
}
