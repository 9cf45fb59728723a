// fit: the loop over epochs and slices of steps, with validation, callbacks, weights, early ends and the watch for NaN.
import { asSamples, type SampleData, type Samples } from '../data/samples.ts';
import { describe, NablaError } from '../errors.ts';
import { fromArray } from '../ops/creation.ts';
import type { Tensor } from '../tensor.ts';
import type { Callback, FitControl } from './callbacks.ts';
import { type FitPosition, History, type Logs } from './history.ts';
import { checkCount, type Model } from './model.ts';
import { createReporter, type Reporter } from './reporter.ts';
import { ascending, checkPair, type Order, type Slice, type StepData, type Trainer } from './trainer.ts';
import { classWeights, sampleWeights } from './weights.ts';

/** What fit takes beside samples and labels. */
export interface FitOptions {
  /** Passes over the samples. Default 1. */
  epochs?: number;
  /** Samples a step. Default 32. */
  batchSize?: number;
  /** Samples and labels that are evaluated after every epoch. */
  validationData?: readonly [SampleData, SampleData];
  /** Share of the samples, taken from the end before shuffling, that is kept for validation. Default 0. */
  validationSplit?: number;
  /** Samples a step of the validation. Default 256, or batchSize if that is larger. */
  validationBatchSize?: number;
  /** Whether the order of samples changes every epoch. Default true. */
  shuffle?: boolean;
  /** Weight of each class in the loss, by its index. */
  classWeight?: Readonly<Record<number, number>>;
  /** Weight of each sample in the loss. */
  sampleWeight?: Float32Array | readonly number[] | Tensor;
  /** Called as the fit goes. */
  callbacks?: readonly Callback[];
  /** 0: silent, 1: a progress bar, 2: a line an epoch, `'auto'`: a bar in a terminal, else lines. Default `'auto'`. */
  verbose?: 0 | 1 | 2 | 'auto';
  /** Number of the first epoch, to go on with a former fit. Default 0. */
  initialEpoch?: number;
  /** Ends the fit after the step that it is in; `history.stopped` then says where. */
  signal?: AbortSignal;
  /** Goes on where a former fit was stopped: its `history.stopped`. The loss of that epoch is then the mean over the steps left. */
  resume?: FitPosition;
}

/** What evaluate takes beside samples and labels. */
export interface EvaluateOptions {
  /** Samples a step. Default 256. */
  batchSize?: number;
}

interface Session {
  readonly model: Model;
  readonly trainer: Trainer;
  readonly data: StepData;
  readonly validation: { data: StepData; order: Order } | undefined;
  readonly indices: Int32Array;
  readonly batchSize: number;
  readonly options: FitOptions;
  readonly history: History;
  readonly reporter: Reporter;
  readonly control: FitControl & { stopping: boolean };
}

/** The whole of `model.fit`. */
export async function runFit(
  model: Model,
  x: SampleData,
  y: SampleData,
  options: FitOptions,
): Promise<History> {
  const where = `${model.name}.fit`;
  checkOptions(where, options);
  model.compiled('fit');
  const owned: { dispose(): void }[] = [];
  const take = (name: string, data: SampleData): Samples => {
    const { samples, made } = asSamples(where, name, data);
    if (made) owned.push(samples);
    return samples;
  };
  const own = <T extends { dispose(): void } | undefined>(thing: T): T => {
    if (thing !== undefined) owned.push(thing);
    return thing;
  };
  try {
    const inputs = take('x', x);
    const labels = take('y', y);
    checkPair(where, inputs, labels);
    model.prepare('fit', inputs);
    warnUnnormalised(inputs);
    const trainer = model.trainer('fit');
    const { batchSize = 32, validationSplit = 0 } = options;
    const kept = Math.floor(inputs.length * (1 - validationSplit));
    if (kept < 1)
      throw new NablaError(where, `validationSplit ${validationSplit} leaves no samples to train on`);
    const weights = weightsOf(where, labels, options);
    const data = { x: inputs, y: labels, weights: own(weights) };

    // As in Keras: weights of classes count in training only.
    const plain = options.classWeight && weightsOf(where, labels, { ...options, classWeight: undefined });
    const held = options.classWeight === undefined ? data : { ...data, weights: own(plain) };
    const validate = validationOf(where, options, held, kept, take);
    if (validate && validate.data.x !== inputs) model.prepare('fit.validationData', validate.data.x);
    return await trainer.exclusively('fit', async () => {
      const size = Math.max(options.validationBatchSize ?? 256, options.validationBatchSize ? 1 : batchSize);
      const validation = validate && {
        data: validate.data,
        order: trainer.orderOf(validate.indices, Math.min(size, validate.indices.length)),
      };
      if (validation) owned.push({ dispose: () => validation.order.storage.release() });
      const control = makeControl(model);
      const history = new History();
      const reporter = createReporter(options.verbose ?? 'auto');
      const indices = ascending(kept);
      const session = {
        model,
        trainer,
        data,
        validation,
        indices,
        batchSize,
        options,
        history,
        reporter,
        control,
      };
      return await runEpochs(session);
    });
  } finally {
    for (const thing of owned) thing.dispose();
  }
}

function checkOptions(where: string, options: FitOptions): void {
  const { epochs = 1, batchSize = 32, validationSplit = 0, validationData, initialEpoch = 0 } = options;
  checkCount(where, 'epochs', epochs);
  checkCount(where, 'batchSize', batchSize);
  if (options.validationBatchSize !== undefined)
    checkCount(where, 'validationBatchSize', options.validationBatchSize);
  if (!Number.isInteger(initialEpoch) || initialEpoch < 0) {
    throw new NablaError(where, `bad initialEpoch, got ${describe(initialEpoch)}, expected an integer >= 0`);
  }
  if (typeof validationSplit !== 'number' || !(validationSplit >= 0 && validationSplit < 1)) {
    throw new NablaError(
      where,
      `bad validationSplit, got ${describe(validationSplit)}, expected a number in [0, 1)`,
    );
  }
  const { verbose = 'auto', callbacks = [] } = options;
  if (![0, 1, 2, 'auto'].includes(verbose)) {
    throw new NablaError(where, `bad verbose, got ${describe(verbose)}, expected 0, 1, 2 or 'auto'`);
  }
  if (!Array.isArray(callbacks)) {
    throw new NablaError(where, `bad callbacks, got ${describe(callbacks)}, expected an array of them`);
  }
  if (validationData !== undefined && validationSplit > 0) {
    throw new NablaError(where, 'got both validationData and validationSplit, expected one of them');
  }
  if (validationData !== undefined && (!Array.isArray(validationData) || validationData.length !== 2)) {
    throw new NablaError(where, `bad validationData, got ${describe(validationData)}, expected [x, y]`);
  }
}

function weightsOf(where: string, labels: Samples, options: FitOptions): Tensor | undefined {
  const { classWeight, sampleWeight } = options;
  if (classWeight === undefined && sampleWeight === undefined) return undefined;
  let weights = sampleWeight === undefined ? undefined : sampleWeights(where, sampleWeight, labels.length);
  if (classWeight !== undefined) {
    const byClass = classWeights(where, classWeight, labels);
    weights = weights === undefined ? byClass : byClass.map((weight, i) => weight * weights![i]!);
  }
  return fromArray(weights!, [labels.length], 'float32').keep();
}

function validationOf(
  where: string,
  options: FitOptions,
  data: StepData,
  kept: number,
  take: (name: string, data: SampleData) => Samples,
): { data: StepData; indices: Int32Array } | undefined {
  if (options.validationData !== undefined) {
    const [x, y] = options.validationData;
    const inputs = take('validation x', x);
    const labels = take('validation y', y);
    checkPair(`${where}.validationData`, inputs, labels);
    return { data: { x: inputs, y: labels, weights: undefined }, indices: ascending(inputs.length) };
  }
  if (kept === data.x.length) return undefined;
  return { data, indices: ascending(data.x.length).subarray(kept) };
}

/** Bytes as they come train badly: the first layer meets numbers up to 255. */
function warnUnnormalised(x: Samples): void {
  if (x.dtype === 'uint8') {
    console.warn(
      '[fit] x is uint8 and not normalised, values run up to 255; wrap it: samples(x, { scale: 1 / 255 })',
    );
  }
}

function makeControl(model: Model): FitControl & { stopping: boolean } {
  const { optimizer } = model.compiled('fit');
  return {
    stopping: false,
    stop() {
      this.stopping = true;
    },
    getWeights: () => model.getWeights(),
    setWeights: (weights) => model.setWeights(weights),
    get learningRate() {
      return optimizer.learningRate;
    },
    set learningRate(rate: number) {
      if (optimizer.schedule !== undefined) {
        throw new NablaError(
          optimizer.name,
          `the learning rate follows the schedule ${optimizer.schedule.name}, got ${rate}; compile with a number to set it`,
        );
      }
      if (!(rate >= 0 && Number.isFinite(rate))) {
        throw new NablaError(optimizer.name, `bad learningRate, got ${rate}, expected a finite number >= 0`);
      }
      optimizer.learningRate = rate;
    },
  };
}

async function runEpochs(session: Session): Promise<History> {
  const { options, history, control, reporter } = session;
  const { epochs = 1, callbacks = [], resume } = options;
  const first = resume?.epoch ?? options.initialEpoch ?? 0;
  const began = performance.now();
  let logs: Logs = {};
  let reached = first;
  for (const callback of callbacks) await callback.onTrainBegin?.(control);
  for (let epoch = first; epoch < epochs && !control.stopping && !options.signal?.aborted; epoch++) {
    for (const callback of callbacks) await callback.onEpochBegin?.(epoch, control);
    const ended = await runEpoch(session, epoch, epoch === first ? resume : undefined);
    if (ended === undefined) break;
    logs = ended;
    history.add(epoch, logs);
    for (const callback of callbacks) await callback.onEpochEnd?.(epoch, logs, control);
    reached = epoch + 1;
  }
  // Aborted before an epoch began: that is where to go on.
  if (options.signal?.aborted && history.stopped === undefined && !control.stopping && reached < epochs)
    history.stopped = { epoch: reached, step: 0, ...session.trainer.random.capture() };
  // A fit that was stopped by a signal may go on later, with the weights as they are.
  if (!options.signal?.aborted) session.trainer.useAverage();
  for (const callback of callbacks) await callback.onTrainEnd?.(logs, control);
  history.seconds = (performance.now() - began) / 1000;
  reporter.end();
  return history;
}

/** One epoch; undefined if it was broken off. */
async function runEpoch(
  session: Session,
  epoch: number,
  resume: FitPosition | undefined,
): Promise<Logs | undefined> {
  const { trainer, data, indices, batchSize, options, history, control, reporter } = session;
  const { epochs = 1, callbacks = [], shuffle = true } = options;
  if (resume !== undefined) {
    checkResume(`${session.model.name}.fit`, resume, Math.ceil(indices.length / batchSize));
    trainer.random.restore(resume);
  }
  const shuffleState = trainer.random.shuffle.state;
  const sequence = indices.slice();
  if (shuffle) trainer.random.shuffle.shuffle(sequence);
  const order = trainer.orderOf(sequence, Math.min(batchSize, indices.length));
  const full = Math.floor(order.count / order.batchSize);
  const rest = order.count - full * order.batchSize;
  const total = full + (rest > 0 ? 1 : 0);
  const mean = trainer.runningMean();
  const began = performance.now();
  reporter.beginEpoch(epoch, epochs, total);
  let completed = resume?.step ?? 0;

  const onSlice = (size: number) => async (slice: Slice) => {
    completed += slice.steps;
    history.steps += slice.steps;
    watchForNaN(session, slice, epoch);
    mean.add(slice, size);
    reporter.update(completed, mean.logs());
    for (const callback of callbacks) {
      if (callback.onBatchEnd === undefined) continue;
      for (let i = 0; i < slice.steps; i++) {
        await callback.onBatchEnd(slice.first + i, mean.stepLogs(slice, i), control);
      }
    }
    return !control.stopping;
  };

  try {
    if (completed < full) {
      await trainer.run(
        true,
        data,
        order,
        completed,
        full - completed,
        onSlice(order.batchSize),
        options.signal,
      );
    }
    const interrupted = control.stopping || options.signal?.aborted === true;
    if (!interrupted && rest > 0 && completed === full)
      await trainer.runRest(true, data, order, onSlice(rest));
  } finally {
    order.storage.release();
  }
  if (completed < total) {
    if (options.signal?.aborted)
      history.stopped = { epoch, step: completed, ...trainer.random.capture(), shuffle: shuffleState };
    reporter.breakOff(completed);
    return undefined;
  }
  const logs = mean.logs();
  const { validation } = session;
  if (validation) {
    const values = await trainer.evaluateOver(validation.data, validation.order);
    for (const [name, value] of Object.entries(values)) logs[`val_${name}`] = value;
  }
  reporter.endEpoch(epoch, epochs, logs, total, (performance.now() - began) / 1000);
  return logs;
}

function checkResume(where: string, resume: FitPosition, steps: number): void {
  const { epoch, step, shuffle, random } = resume;
  const good = Number.isInteger(epoch) && epoch >= 0 && Array.isArray(random) && random.length === 4;
  if (good && typeof shuffle === 'object' && Number.isInteger(step) && step >= 0 && step <= steps) return;
  throw new NablaError(
    where,
    `bad resume, got step ${step} of epoch ${epoch}, expected a step in [0, ${steps}]; ` +
      "pass a former fit's history.stopped, with the same data and batchSize",
  );
}

/** Ends the fit at the first step whose loss is NaN, with what can be said about why. */
function watchForNaN({ model, trainer, data }: Session, slice: Slice, epoch: number): void {
  const at = slice.columns[0]!.findIndex((loss) => Number.isNaN(loss));
  if (at < 0) return;
  const bad = firstNotFinite(data);
  const cause =
    bad === undefined
      ? 'all data are finite: lower the learning rate, or clip gradients with clipnorm'
      : `sample ${bad.index} of ${bad.name} holds ${bad.value}; clean the data`;
  throw new NablaError(
    `${model.name}.fit`,
    `the ${trainer.names[0]} turned NaN at step ${slice.first + at} of epoch ${epoch + 1}, expected a number; ${cause}`,
  );
}

function firstNotFinite({ x, y }: StepData): { name: string; index: number; value: number } | undefined {
  for (const [name, { tensor }] of [['x', x] as const, ['y', y] as const]) {
    if (tensor.dtype !== 'float32') continue;
    const values = tensor.dataSync() as Float32Array;
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at >= 0)
      return { name, index: Math.floor(at / (values.length / tensor.shape[0]!)), value: values[at]! };
  }
  return undefined;
}
