// Models: layers that are compiled, trained, evaluated and asked for predictions together; the base of all of them, and of one's own.

import { Dataset } from '../data/dataset.ts';
import type { Samples } from '../data/samples.ts';
import { engine } from '../engine.ts';
import { describe, NablaError } from '../errors.ts';
import { type Nested, nest } from '../nested.ts';
import { LossScaleOptimizer, lossScale } from '../optimizers/loss-scale.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { getOptimizer, type OptimizerLike } from '../optimizers/optimizers.ts';
import { checkOptions } from '../options.ts';
import { captureTraining, restoreTraining, type TrainingState } from '../saving/progress.ts';
import { showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { evaluateDataset, predictDataset } from './feeding.ts';
import { runFit, weighted } from './fit.ts';
import type { EvaluateOptions, FitOptions, Weighing } from './fit-options.ts';
import { ModelRandom } from './generator.ts';
import { type Head, type HeadOptions, headsOf, type Losses, type Metrics } from './heads.ts';
import type { History, Logs } from './history.ts';
import { Predictor } from './predictor.ts';
import { Savable } from './savable.ts';
import { type ModelData, slotsOf, Taken } from './slots.ts';
import type { Batch, Step, StepLogs } from './step.ts';
import type { StepData } from './step-data.ts';
import { type SummaryOptions, summaryText } from './summary.ts';
import { type GivenData, takeData } from './take.ts';
import { Trainer } from './trainer.ts';
import { readWeights, writeWeights } from './weights.ts';

/** What compile takes. */
export interface CompileOptions {
  /** Default `'rmsprop'`, as in Keras. */
  optimizer?: OptimizerLike;
  /**
   * What is minimised: a name, a loss, or a function of labels and predictions; for several outputs one for all, an array of one for each, or
   * a record by the outputs' names, null for one that is not trained. `null`: nothing but what layers add with addLoss().
   */
  loss?: Losses | null;
  /** Weights of the outputs' losses in the sum, in their order or by name. Default 1 each. */
  lossWeights?: readonly number[] | Readonly<Record<string, number>>;
  /** What is reported beside the loss. Of several outputs an array of one entry for each (a metric or an array), or a record by name. */
  metrics?: Metrics;
  /**
   * Whether the optimizer of a model with layers in `'mixed_float16'` is wrapped in `optimizers.lossScale`, unless it is already. Default true.
   */
  autoScaleLoss?: boolean;
  /** The same with samples counted by their weights (fit's and evaluate's `sampleWeight` and `classWeight`). */
  weightedMetrics?: Metrics;
}

/** What a model was compiled with. */
export interface Compiled {
  readonly optimizer: Optimizer;
  readonly options: HeadOptions;
}

/** Predictions in the place of a model's outputs. */
export type Predictions<O> = O extends Tensor ? Tensor<'float32'> : { [K in keyof O]: Tensor<'float32'> };

// Predictions are made so many samples at a time, unless told otherwise.
const predictBatch = 256;

/**
 * The base of all models, and of one's own: give `call`, and keep layers and models in fields, alone or in arrays and records. A model is a
 * layer too. `O` is what it gives: a tensor, or several as an array or by name.
 *
 * @example
 * class Residual extends Model {
 *   hidden = layers.dense({ units: 8, activation: 'relu' });
 *   out = layers.dense({ units: 8 });
 *   override call(x: Tensor, context: CallContext) {
 *     return this.out.apply(this.hidden.apply(x, context), context).add(x);
 *   }
 * }
 */
export abstract class Model<O extends Nested<Tensor> = Tensor> extends Savable<O> implements Disposable {
  // Hidden from the search for layers among the fields.
  #compiled: Compiled | undefined;
  #heads: readonly Head[] | undefined;
  #trainer: Trainer | undefined;
  #random: ModelRandom | undefined;
  #predictor: Predictor | undefined;
  #given: CompileOptions | undefined;
  #awaiting: TrainingState | undefined;

  /**
   * One training step of one's own, in the place of the built-in one: computes losses, changes weights with `step.minimize` or
   * `step.applyGradients`, and returns what to report. It is traced once into the program that fit runs, so it is as fast as the built-in one.
   *
   * @example
   * override trainStep({ x }: Batch, step: Step) {
   *   const loss = step.minimize(() => mean(square(sub(this.apply(x, step), x))), { optimizer: this.mine });
   *   return { loss };
   * }
   */
  trainStep?(batch: Batch<Nested<Tensor>, Nested<Tensor>>, step: Step): StepLogs;

  /** One evaluation step of one's own, for evaluate and validation; returns what to report. */
  testStep?(batch: Batch<Nested<Tensor>, Nested<Tensor>>, step: Step): StepLogs;

  /** Sets how the model is trained. Call it again to start over with a new optimizer. */
  compile(options: CompileOptions): void {
    const { optimizer = 'rmsprop', loss, lossWeights, metrics, weightedMetrics } = options ?? {};
    const { autoScaleLoss = true } = options ?? {};
    const where = `${this.name}.compile`;
    checkOptions('model', 'compile', options, where);
    if (loss === undefined && this.trainStep === undefined)
      throw new NablaError(where, "loss is missing, expected a name such as 'meanSquaredError'");
    if (this.#trainer?.isBusy)
      throw new NablaError(where, 'the model is being trained or evaluated; await that call first');
    const given = { loss, lossWeights, metrics, weightedMetrics };
    const own = getOptimizer(where, optimizer);
    const scales = autoScaleLoss && this.computesIn('float16') && !(own instanceof LossScaleOptimizer);
    const compiled = { optimizer: scales ? lossScale(own) : own, options: given };
    const outputs = this.outputSlots;
    const heads = outputs && headsOf(where, outputs, compiled.options);
    this.#trainer?.dispose();
    this.#trainer = undefined;
    this.#compiled = compiled;
    this.#heads = heads;
    this.#given = options;
    this.#awaiting = undefined;
  }

  /** @internal What the model was compiled with; throws if it was not. */
  compiled(where: string): Compiled {
    if (this.#compiled !== undefined) return this.#compiled;
    throw new NablaError(
      `${this.name}.${where}`,
      "the model is not compiled; call model.compile({ optimizer: 'adam', loss: ... }) first",
    );
  }

  /** @internal What it reports and minimises of each output; the model must be built, unless it has its own step and no loss. */
  heads(where: string): readonly Head[] {
    const { options } = this.compiled(where);
    const { loss, metrics, weightedMetrics } = options;
    if (loss === undefined && metrics === undefined && weightedMetrics === undefined) return [];
    this.#heads ??= headsOf(`${this.name}.compile`, this.outputSlots!, options);
    return this.#heads;
  }

  /** @internal The trainer: optimizer state and programs, made on first use. */
  trainer(where: string): Trainer {
    const compiled = this.compiled(where);
    const former = this.#trainer;
    if (former?.stale(engine()) === false) return former;
    this.#trainer = new Trainer(engine(), this, compiled, this.heads(where), former);
    former?.dispose();
    if (this.#awaiting !== undefined) restoreTraining(this, this.#trainer, this.#awaiting);
    this.#awaiting = undefined;
    return this.#trainer;
  }

  /** @internal Its own random numbers. */
  get random(): ModelRandom {
    const [home, former] = [engine(), this.#random];
    if (former?.engine === home) return former;
    this.#random = new ModelRandom(home, () => this.seedGenerators, former);
    former?.dispose();
    return this.#random;
  }

  /** @internal Forgets the optimizer's state: training begins anew, with the weights as they are. */
  resetTraining(): void {
    this.#trainer?.dispose();
    this.#trainer = undefined;
  }

  /** @internal Samples for the inputs; builds the model for them, or checks that they fit. */
  takeInputs(where: string, taken: Taken, data: ModelData, what = 'x'): Samples[] {
    const slots = this.inputSlots ?? slotsOf(data, 'input');
    const x = taken.samples(what, data, slots.names);
    this.inputShapes?.forEach((wanted, i) => {
      const got = x[i]!.sampleShape;
      if (wanted.join() === got.join()) return;
      const which = x.length === 1 ? 'samples' : `samples of '${slots.names[i]}'`;
      throw new NablaError(
        where,
        `${which} do not fit, got shape ${showShape(got)} a sample, expected ${showShape(wanted)}; reshape x or change inputShape`,
      );
    });
    this.learnInputs(slots);
    return x;
  }

  /** @internal Samples, labels and weights as steps read them, of a model that is built by them where it is not yet. */
  takeData(where: string, taken: Taken, given: GivenData, train: boolean, prefix = ''): StepData {
    return takeData(this, where, taken, given, train, prefix);
  }

  /** @internal Throws where there is neither a step of its own nor a loss to evaluate. */
  checkEvaluable(where: string): void {
    if (this.customStep(false) || this.trainStep === undefined || this.heads(where).length > 0) return;
    throw new NablaError(
      where,
      'there is nothing to evaluate, got a model with a trainStep but neither testStep nor loss; give it one of them',
    );
  }

  /** @internal Has it a step of its own? */
  customStep(train: boolean): boolean {
    return (train ? this.trainStep : this.testStep) !== undefined;
  }

  /**
   * Trains for a number of epochs. `x` and `y` hold one sample a row; for several inputs or outputs they are arrays in their order or records
   * by their names. Resolves with the history of losses and metrics; the event loop stays free meanwhile.
   *
   * Or over a data set of `[x, y]` or `[x, y, weight]`: batches, or samples that are put into batches of `batchSize`.
   *
   * @example await model.fit(data.fromTensorSlices([x, y]).shuffle(1000).batch(32), { epochs: 3 });
   */
  fit(dataset: Dataset<unknown>, options?: FitOptions): Promise<History>;
  fit(x: ModelData, y?: ModelData | null, options?: FitOptions): Promise<History>;
  fit(
    x: ModelData | Dataset<unknown>,
    y?: ModelData | null | FitOptions,
    options?: FitOptions,
  ): Promise<History> {
    const given = (x instanceof Dataset ? (y ?? options ?? {}) : (options ?? {})) as FitOptions;
    checkOptions('model', 'fit', given, `${this.name}.fit`);
    return runFit(this, x, x instanceof Dataset ? undefined : (y as ModelData), given);
  }

  /** Loss and metrics over samples, or over a data set of `[x, y]`, by name: `{ loss, accuracy }`. */
  evaluate(dataset: Dataset<unknown>, options?: EvaluateOptions): Promise<Logs>;
  evaluate(x: ModelData, y?: ModelData | null, options?: EvaluateOptions): Promise<Logs>;
  async evaluate(
    x: ModelData | Dataset<unknown>,
    second?: ModelData | null | EvaluateOptions,
    third?: EvaluateOptions,
  ): Promise<Logs> {
    const where = `${this.name}.evaluate`;
    const options = (x instanceof Dataset ? (second ?? third ?? {}) : (third ?? {})) as EvaluateOptions;
    checkOptions('model', 'evaluate', options, where);
    if (x instanceof Dataset) return await evaluateDataset(this, x, options);
    const y = second as ModelData | null | undefined;
    this.compiled('evaluate');
    const taken = new Taken(where);
    try {
      const data = weighted(where, taken, this.takeData(where, taken, { x, y }, false), options);
      return await this.trainer('evaluate').evaluate(data, options);
    } finally {
      taken.dispose();
    }
  }

  /** Takes one training step on one batch and gives its loss and metrics. */
  async trainOnBatch(x: ModelData, y?: ModelData | null, options: Weighing = {}): Promise<Logs> {
    const where = `${this.name}.trainOnBatch`;
    this.compiled('trainOnBatch');
    this.random.follow();
    const taken = new Taken(where);
    try {
      const data = weighted(where, taken, this.takeData(where, taken, { x, y }, true), options);
      return await this.trainer('trainOnBatch').trainOnBatch(data);
    } finally {
      taken.dispose();
    }
  }

  /** Predictions for samples, or for the x of a data set's elements: `[samples, ...]`, one tensor an output. Default batchSize 256. */
  async predict(
    x: ModelData | Dataset<unknown>,
    options: { batchSize?: number; steps?: number } = {},
  ): Promise<Predictions<O>> {
    const where = `${this.name}.predict`;
    checkOptions('model', 'predict', options, where);
    if (x instanceof Dataset) {
      const tensors = await predictDataset(this, x, options, (...call) => this.predictor(...call));
      return this.asOutputs(tensors);
    }
    const { batchSize = predictBatch } = options;
    checkCount(where, 'batchSize', batchSize);
    const taken = new Taken(where);
    try {
      return this.asOutputs(await this.predictor(where, taken, x).all(batchSize));
    } finally {
      taken.dispose();
    }
  }

  /** Predictions for one batch, at once. */
  predictOnBatch(x: ModelData): Predictions<O> {
    const where = `${this.name}.predictOnBatch`;
    const taken = new Taken(where);
    try {
      return this.asOutputs(this.predictor(where, taken, x).now());
    } finally {
      taken.dispose();
    }
  }

  private predictor(where: string, taken: Taken, data: ModelData) {
    const x = this.takeInputs(where, taken, data);
    const { length } = x[0]!;
    const odd = x.find((each) => each.length !== length);
    if (odd !== undefined)
      throw new NablaError(where, `inputs differ in length, got ${length} and ${odd.length} samples`);
    this.ensureBuilt(...x.map(({ sampleShape }) => sampleShape));
    this.#predictor ??= new Predictor(
      this.name,
      (inputs, training) => this.outputsOf(inputs, training),
      () => this.weights,
    );
    const predictor = this.#predictor;
    return { now: () => predictor.now(x), all: (batchSize: number) => predictor.all(x, batchSize) };
  }

  private asOutputs(tensors: readonly Tensor[]): Predictions<O> {
    return nest(this.outputSlots!.structure, tensors) as Predictions<O>;
  }

  /** Copies of all weights, in the order of {@link Model.weights}. */
  getWeights(): Float32Array[] {
    return readWeights(this.weights);
  }

  /** Puts weights in place: arrays or tensors of the sizes of {@link Model.weights}. */
  setWeights(values: readonly (Float32Array | Tensor)[]): void {
    writeWeights(`${this.name}.setWeights`, this.weights, values);
  }

  override get compiledFrom(): CompileOptions | undefined {
    return this.#given;
  }

  override trainingState(): TrainingState | undefined {
    return this.#trainer === undefined ? this.#awaiting : captureTraining(this, this.#trainer);
  }

  override restoreTraining(state: TrainingState): void {
    if (this.#trainer === undefined) this.#awaiting = state;
    else restoreTraining(this, this.#trainer, state);
  }

  override ensureIdle(where: string): void {
    if (!this.#trainer?.isStepping) return;
    throw new NablaError(
      `${this.name}.${where}`,
      'the model is being trained; do it in a callback, such as modelCheckpoint, or await fit first',
    );
  }

  /** Prints the layers with their shapes, parameters and the memory that training plans. Gives the text too. */
  summary(options: SummaryOptions = {}): string {
    checkOptions('model', 'summary', options, `${this.name}.summary`);
    const text = summaryText(this, this.#compiled, options, this.#trainer?.workspaceBytes);
    (options.printFn ?? console.log)(text);
    return text;
  }

  /** Frees weights, optimizer state and programs. */
  dispose(): void {
    this.#trainer?.dispose();
    this.#trainer = undefined;
    this.#predictor?.dispose();
    this.#predictor = undefined;
    this.#random?.dispose();
    this.#random = undefined;
    for (const weight of this.weights) weight.dispose();
  }

  /** Frees it at the end of a block with `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Throws unless the number is a positive integer. */
export function checkCount(where: string, name: string, value: unknown): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected an integer >= 1`);
}
