// Models: compile, fit, evaluate, predict over any function of layers.
import { asSamples, type SampleData, type Samples } from '../data/samples.ts';
import { type Engine, engine } from '../engine.ts';
import { describe, NablaError } from '../errors.ts';
import type { Layer } from '../layers/layer.ts';
import { getLoss, type Loss, type LossLike } from '../losses/losses.ts';
import type { AnyMetric } from '../metrics/metric.ts';
import { getMetric, type MetricLike } from '../metrics/metrics.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { getOptimizer, type OptimizerLike } from '../optimizers/optimizers.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { empty } from '../trace.ts';
import type { Variable } from '../variable.ts';
import { type EvaluateOptions, type FitOptions, runFit } from './fit.ts';
import type { History, Logs } from './history.ts';
import { predictProgram } from './programs.ts';
import { type SummaryOptions, summaryText } from './summary.ts';
import { checkHome, Trainer } from './trainer.ts';

/** What compile takes. */
export interface CompileOptions {
  /** Default `'rmsprop'`, as in Keras. */
  optimizer?: OptimizerLike;
  /** What is minimised: a name, a loss, or a function of labels and predictions. */
  loss: LossLike;
  /** What is reported beside the loss. */
  metrics?: readonly MetricLike[];
}

/** What a model was compiled with. */
export interface Compiled {
  readonly optimizer: Optimizer;
  readonly loss: Loss;
  readonly metrics: readonly AnyMetric[];
}

// Predictions are made so many samples at a time, unless told otherwise.
const predictBatch = 256;
// Programs of other shapes that are kept; the oldest go first.
const maxPredictors = 16;

/** The base of all models. */
export abstract class Model implements Disposable {
  readonly name: string;
  private compiledWith: Compiled | undefined;
  private trainerInUse: Trainer | undefined;
  private readonly predictors = new Map<string, ReturnType<typeof predictProgram>>();

  constructor(name: string) {
    this.name = name;
  }

  /** The layers, in the order of their calls. */
  abstract readonly layers: readonly Layer[];

  /** What the model computes of a batch. */
  abstract call(x: Tensor, training: boolean): Tensor;

  /** Makes the weights for samples of this shape. */
  abstract build(inputShape: Shape): void;

  /** Shape of one input sample; undefined until it is known. */
  abstract readonly inputShape: Shape | undefined;

  /** The layers with the shapes of their output samples, for the summary; shapes are missing while the input's is not known. */
  abstract shapes(): [Layer, Shape | undefined][];

  /** All weights, layer by layer. */
  get weights(): Variable<'float32'>[] {
    return this.layers.flatMap((layer) => layer.weights);
  }

  /** @internal Is it changed by optimizers? */
  isTrained(variable: Variable<'float32'>): boolean {
    return this.layers.some((layer) => layer.trainableWeights.includes(variable));
  }

  /** Sets how the model is trained. Call it again to start over with a new optimizer. */
  compile(options: CompileOptions): void {
    const { optimizer = 'rmsprop', loss, metrics = [] } = options ?? {};
    if (loss === undefined) {
      throw new NablaError(
        `${this.name}.compile`,
        "loss is missing, expected a name such as 'meanSquaredError'",
      );
    }
    const where = `${this.name}.compile`;
    if (!Array.isArray(metrics)) {
      throw new NablaError(
        where,
        `bad metrics, got ${describe(metrics)}, expected an array such as ['accuracy']`,
      );
    }
    if (this.trainerInUse?.isBusy) {
      throw new NablaError(where, 'the model is being trained or evaluated; await that call first');
    }
    const compiled = {
      optimizer: getOptimizer(where, optimizer),
      loss: getLoss(where, loss),
      metrics: distinct(metrics.map((metric) => getMetric(where, metric))),
    };
    this.trainerInUse?.dispose();
    this.trainerInUse = undefined;
    this.compiledWith = compiled;
  }

  /** @internal What the model was compiled with; throws if it was not. */
  compiled(where: string): Compiled {
    if (this.compiledWith === undefined) {
      throw new NablaError(
        `${this.name}.${where}`,
        "the model is not compiled; call model.compile({ optimizer: 'adam', loss: ... }) first",
      );
    }
    return this.compiledWith;
  }

  /** @internal The trainer: flat memory and programs, made on first use. */
  trainer(where: string): Trainer {
    const compiled = this.compiled(where);
    if (this.trainerInUse === undefined || this.trainerInUse.stale(engine())) {
      this.trainerInUse?.dispose();
      this.trainerInUse = new Trainer(engine(), this, compiled);
    }
    return this.trainerInUse;
  }

  /** @internal Forgets the optimizer's state: training begins anew, with the weights as they are. */
  resetTraining(): void {
    this.trainerInUse?.dispose();
    this.trainerInUse = undefined;
  }

  /** @internal Builds the model for these samples, or checks that they fit. */
  prepare(where: string, x: Samples): void {
    const wanted = this.inputShape;
    if (wanted !== undefined && wanted.join() !== x.sampleShape.join()) {
      const got = `[${x.sampleShape.join(', ')}]`;
      throw new NablaError(
        `${this.name}.${where}`,
        `samples do not fit, got shape ${got} a sample, expected [${wanted.join(', ')}]; reshape x or change inputShape`,
      );
    }
    this.build(x.sampleShape);
  }

  /**
   * Trains for a number of epochs. `x` and `y` hold one sample a row. Resolves with the history of losses and metrics; the event loop stays
   * free meanwhile.
   */
  fit(x: SampleData, y: SampleData, options: FitOptions = {}): Promise<History> {
    return runFit(this, x, y, options);
  }

  /** Loss and metrics over samples, by name: `{ loss, accuracy }`. */
  async evaluate(x: SampleData, y: SampleData, options: EvaluateOptions = {}): Promise<Logs> {
    const where = `${this.name}.evaluate`;
    const inputs = asSamples(where, 'x', x);
    const labels = asSamples(where, 'y', y);
    try {
      this.prepare('evaluate', inputs.samples);
      return await this.trainer('evaluate').evaluate(inputs.samples, labels.samples, options);
    } finally {
      if (inputs.made) inputs.samples.dispose();
      if (labels.made) labels.samples.dispose();
    }
  }

  /** Predictions for samples, `[samples, ...]`. Default batchSize 256. */
  async predict(x: SampleData, options: { batchSize?: number } = {}): Promise<Tensor<'float32'>> {
    const where = `${this.name}.predict`;
    const { batchSize = predictBatch } = options;
    checkCount(where, 'batchSize', batchSize);
    const { samples, made } = asSamples(where, 'x', x);
    try {
      this.prepare('predict', samples);
      return await this.predictSamples(samples, batchSize);
    } finally {
      if (made) samples.dispose();
    }
  }

  /** Predictions for one batch, at once. */
  predictOnBatch(x: SampleData): Tensor<'float32'> {
    const { samples, made } = asSamples(`${this.name}.predictOnBatch`, 'x', x);
    try {
      this.prepare('predictOnBatch', samples);
      const { executable, sampleShape } = this.predictor(samples, samples.length);
      const out = empty(
        samples.tensor.memory('predict').storage.engine,
        [samples.length, ...sampleShape],
        'float32',
      );
      executable.run([samples.tensor.memory('predict')], [out.memory('predict')]);
      return out;
    } finally {
      if (made) samples.dispose();
    }
  }

  private async predictSamples(samples: Samples, batchSize: number): Promise<Tensor<'float32'>> {
    const count = samples.length;
    const step = Math.min(batchSize, Math.max(1, count));
    const { sampleShape } = this.predictor(samples, step);
    const { storage, byteOffset } = samples.tensor.memory('predict');
    const out = empty(storage.engine, [count, ...sampleShape], 'float32').keep();
    const target = out.memory('predict');
    const rowBytes = (array: Tensor) => (array.size === 0 ? 0 : array.size / array.shape[0]!) * 4;
    const inRow =
      (rowBytes(samples.tensor) / 4) *
      (samples.tensor.dtype === 'float32' || samples.tensor.dtype === 'int32' ? 4 : 1);
    for (let start = 0; start < count; start += step) {
      const rows = Math.min(step, count - start);
      // Looked up each time: another call may have taken its place among the programs that are kept.
      const { executable } = this.predictor(samples, rows);
      const input = { storage, byteOffset: byteOffset + start * inRow };
      const output = { storage: target.storage, byteOffset: target.byteOffset + start * rowBytes(out) };
      await executable.start([input], [output], 1).done;
    }
    return out;
  }

  private predictor(x: Samples, batchSize: number): ReturnType<typeof predictProgram> {
    const home: Engine = x.tensor.memory('predict').storage.engine;
    for (const weight of this.weights) checkHome(`${this.name}.predict`, home, weight);
    const { scale, shift, oneHot } = x.options;
    const key = [batchSize, x.tensor.dtype, x.tensor.shape.slice(1), scale, shift, oneHot].join('|');
    const known = this.predictors.get(key);
    // Programs are traced over the memory that the weights lie in; it moves when the model is compiled anew.
    if (known !== undefined && !known.executable.stale) return known;
    known?.executable.unload();
    const made = predictProgram(home, (batch, training) => this.call(batch, training), x, batchSize);
    this.predictors.delete(key);
    this.predictors.set(key, made);
    if (this.predictors.size > maxPredictors) {
      const [oldest, former] = this.predictors.entries().next().value!;
      former.executable.unload();
      this.predictors.delete(oldest);
    }
    return made;
  }

  /** Takes one training step on one batch and gives its loss and metrics. */
  async trainOnBatch(x: SampleData, y: SampleData): Promise<Logs> {
    const where = `${this.name}.trainOnBatch`;
    const inputs = asSamples(where, 'x', x);
    const labels = asSamples(where, 'y', y);
    try {
      this.prepare('trainOnBatch', inputs.samples);
      return await this.trainer('trainOnBatch').trainOnBatch(inputs.samples, labels.samples);
    } finally {
      if (inputs.made) inputs.samples.dispose();
      if (labels.made) labels.samples.dispose();
    }
  }

  /** Copies of all weights, in the order of {@link Model.weights}. */
  getWeights(): Float32Array[] {
    return this.weights.map((weight) => weight.dataSync());
  }

  /** Puts weights in place: arrays or tensors of the sizes of {@link Model.weights}. */
  setWeights(values: readonly (Float32Array | Tensor)[]): void {
    const { weights } = this;
    const where = `${this.name}.setWeights`;
    if (values.length !== weights.length) {
      throw new NablaError(where, `got ${values.length} weights, expected ${weights.length}`);
    }
    const arrays = values.map((value) => (value instanceof Tensor ? value.dataSync() : value));
    weights.forEach((weight, i) => {
      const value = arrays[i]!;
      if (!(value instanceof Float32Array) || value.length !== weight.size) {
        throw new NablaError(
          where,
          `weight ${i} (${weight.name}) does not fit, got ${describe(value)} of ${value.length}, expected ${weight.size} float32 numbers`,
        );
      }
    });
    weights.forEach((weight, i) => {
      const { storage, byteOffset } = weight.memory(where);
      storage.engine.backend.write(storage.handle, byteOffset, arrays[i] as Float32Array);
    });
  }

  /** Number of weights' elements. */
  countParams(): number {
    return this.layers.reduce((total, layer) => total + layer.countParams(), 0);
  }

  /** Prints the layers with their shapes, parameters and the memory that training plans. Gives the text too. */
  summary(options: SummaryOptions = {}): string {
    const text = summaryText(this, this.compiledWith, options);
    (options.printFn ?? console.log)(text);
    return text;
  }

  /** Frees weights, optimizer state and programs. */
  dispose(): void {
    this.trainerInUse?.dispose();
    this.trainerInUse = undefined;
    for (const { executable } of this.predictors.values()) executable.unload();
    this.predictors.clear();
    for (const weight of this.weights) weight.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The metrics with names that differ, so that none hides another in logs: `metric`, `metric_1`. */
function distinct(metrics: readonly AnyMetric[]): AnyMetric[] {
  const taken = new Set(['loss']);
  return metrics.map((metric) => {
    let name = metric.name;
    for (let i = 1; taken.has(name); i++) name = `${metric.name}_${i}`;
    taken.add(name);
    return name === metric.name ? metric : { ...metric, name };
  });
}

/** Throws unless the number is a positive integer. */
export function checkCount(where: string, name: string, value: unknown): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return;
  throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected an integer >= 1`);
}
