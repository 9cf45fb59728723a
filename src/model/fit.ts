// fit: the loop over epochs and slices of steps, with validation, callbacks, weights, early ends and the watch for NaN.
import { Dataset } from '../data/dataset.ts';
import { NablaError } from '../errors.ts';
import { isRecord, type Nested } from '../nested.ts';
import { fromArray } from '../ops/creation.ts';
import type { Tensor } from '../tensor.ts';
import type { Callback } from './callbacks.ts';
import { choose } from './choice.ts';
import { type Control, makeControl, stepsToStop } from './control.ts';
import type { Feed } from './feed.ts';
import { checkDataPosition, evaluateFeed, openFeeds } from './feeding.ts';
import { checkFitOptions, type FitOptions, type SampleWeight, type Weighing } from './fit-options.ts';
import { type FitPosition, History, type Logs } from './history.ts';
import type { Slice } from './log.ts';
import type { Model } from './model.ts';
import { createReporter, type Reporter } from './reporter.ts';
import { inOrder, type ModelData, Taken } from './slots.ts';
import { ascending, type Order, type StepData } from './step-data.ts';
import type { Trainer } from './trainer.ts';
import { warnUnnormalised, watchForNaN } from './watch.ts';
import { classWeights, sampleWeights } from './weights.ts';

type AnyModel = Model<Nested<Tensor>>;

interface Session {
  readonly model: AnyModel;
  readonly trainer: Trainer;
  readonly data: StepData;
  /** Where the steps come from, if not from `data`. */
  readonly feed: Feed | undefined;
  readonly validation: { data: StepData; order: Order } | Feed | undefined;
  readonly indices: Int32Array;
  readonly batchSize: number;
  readonly options: FitOptions;
  readonly history: History;
  readonly reporter: Reporter;
  readonly control: Control;
}

/** The whole of `model.fit`. */
export async function runFit(
  model: AnyModel,
  x: ModelData | Dataset<unknown>,
  y: ModelData | null | undefined,
  options: FitOptions,
): Promise<History> {
  const where = `${model.name}.fit`;
  checkFitOptions(where, options);
  model.compiled('fit');
  const taken = new Taken(where);
  // Before anything is waited for: models take their turns at the seed in the order of these calls.
  model.random.follow();
  const feeds = await openFeeds(model, x, options);
  const feed = feeds.train;
  try {
    const plain = feed?.data ?? model.takeData(where, taken, { x: x as ModelData, y }, true);
    warnUnnormalised(plain.x, model.layers);
    let trainer = model.trainer('fit');
    const { batchSize = 32, validationSplit = 0 } = options;
    const { length } = plain.x[0]!;
    const kept = feed ? length : Math.floor(length * (1 - validationSplit));
    if (kept < 1)
      throw new NablaError(where, `validationSplit ${validationSplit} leaves no samples to train on`);
    if (kept < length) model.checkEvaluable(where);
    const { sampleWeight, classWeight } = options;
    const data = feed ? plain : weighted(where, taken, plain, options);
    // As in Keras: weights of classes count in training only.
    const held = feed || classWeight === undefined ? data : weighted(where, taken, plain, { sampleWeight });
    const validate = validationOf(model, taken, options, held, kept);
    if (!feed) {
      await choose(model, trainer, data, Math.min(batchSize, kept), kept, validate?.data);
      trainer = model.trainer('fit');
    }
    return await trainer.exclusively('fit', async () => {
      const size = Math.max(options.validationBatchSize ?? 256, options.validationBatchSize ? 1 : batchSize);
      const table = validate && {
        data: validate.data,
        order: trainer.orderOf(validate.indices, Math.min(size, validate.indices.length)),
      };
      if (table) taken.own({ dispose: () => table.order.storage.release() });
      const validation = feeds.validation ?? table;
      const control = makeControl(model, options);
      const history = new History();
      const reporter = createReporter(options.verbose ?? 'auto');
      const indices = ascending(kept);
      const session = {
        model,
        trainer,
        data,
        feed,
        validation,
        indices,
        batchSize,
        options,
        history,
        reporter,
        control,
      };
      model.resumeFrom(() => control.position);
      try {
        return await runEpochs(session);
      } catch (error) {
        for (const callback of options.callbacks ?? []) await tellError(callback, error, control);
        throw error;
      } finally {
        model.resumeFrom(control.position);
      }
    });
  } finally {
    await feeds.close();
    taken.dispose();
  }
}

/** What goes wrong while an error is told must not take its place. */
async function tellError(callback: Callback, error: unknown, control: Control): Promise<void> {
  try {
    await callback.onTrainError?.(error, control);
  } catch {}
}

/** The data with the weights of their samples: what is given for them, times that of their class. */
export function weighted(
  where: string,
  taken: Taken,
  data: StepData,
  { sampleWeight, classWeight }: { [K in keyof Weighing]: Weighing[K] | undefined },
): StepData {
  if (classWeight === undefined && sampleWeight === undefined) return data;
  const { names } = data.slots.y;
  if (classWeight !== undefined && names.length !== 1) {
    throw new NablaError(
      where,
      `classWeight is for models of one output, got ${names.length}; give sampleWeight by output`,
    );
  }
  const isOne =
    !isRecord(sampleWeight) && !(Array.isArray(sampleWeight) && typeof sampleWeight[0] === 'object');
  const given: (SampleWeight | undefined)[] = isOne
    ? names.map(() => sampleWeight as SampleWeight | undefined)
    : inOrder<SampleWeight>(where, 'sampleWeight', sampleWeight as Nested<SampleWeight>, names);
  const weights = data.y.map((labels, i) => {
    const weight = given[i];
    let values = weight === undefined ? undefined : sampleWeights(where, weight, labels.length);
    if (classWeight !== undefined) {
      const byClass = classWeights(where, classWeight, labels);
      values = values === undefined ? byClass : byClass.map((each, k) => each * values![k]!);
    }
    return values && taken.own(fromArray(values, [labels.length], 'float32').keep());
  });
  return { ...data, weights };
}

function validationOf(
  model: AnyModel,
  taken: Taken,
  { validationData }: FitOptions,
  data: StepData,
  kept: number,
): { data: StepData; indices: Int32Array } | undefined {
  const { length } = data.x[0]!;
  if (validationData instanceof Dataset) return undefined;
  if (validationData === undefined)
    return kept === length ? undefined : { data, indices: ascending(length).subarray(kept) };
  const [x, y, sampleWeight] = validationData;
  const where = `${model.name}.fit.validationData`;
  const plain = model.takeData(where, taken, { x, y }, false, 'validation ');
  const held = weighted(where, taken, plain, { sampleWeight });
  return { data: held, indices: ascending(held.x[0]!.length) };
}

async function runEpochs(session: Session): Promise<History> {
  const { options, history, control, reporter } = session;
  const { epochs = 1, callbacks = [] } = options;
  const began = performance.now();
  let logs: Logs = {};
  for (const callback of callbacks) await callback.onTrainBegin?.(control);
  const { resume } = control;
  const first = resume?.epoch ?? options.initialEpoch ?? 0;
  let reached = first;
  for (let epoch = first; epoch < epochs && !control.stopping && !options.signal?.aborted; epoch++) {
    for (const callback of callbacks) await callback.onEpochBegin?.(epoch, control);
    const ended = await runEpoch(session, epoch, epoch === first ? resume : undefined);
    if (ended === undefined) break;
    logs = ended;
    history.add(epoch, logs, control.learningRate);
    const { feed } = session;
    control.at = { epoch: epoch + 1, step: 0, ...(feed && { data: feed.positionAt(epoch + 1) }) };
    for (const callback of callbacks) await callback.onEpochEnd?.(epoch, logs, control);
    reached = epoch + 1;
  }
  // Aborted before an epoch began: that is where to go on.
  if (options.signal?.aborted && history.stopped === undefined && !control.stopping && reached < epochs)
    history.stopped = {
      epoch: reached,
      step: 0,
      ...session.model.random.capture(),
      ...(session.feed && { data: session.feed.positionAt(reached) }),
    };
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
  const { trainer, data, feed, indices, batchSize, options, history, control, reporter } = session;
  const { epochs = 1, callbacks = [], shuffle = true, stepsPerEpoch } = options;
  const { random } = session.model;
  if (resume !== undefined) {
    const steps = feed ? (stepsPerEpoch ?? feed.size) : Math.ceil(indices.length / batchSize);
    checkResume(`${session.model.name}.fit`, resume, steps ?? Number.POSITIVE_INFINITY);
    if (feed) checkDataPosition(`${session.model.name}.fit`, resume);
    random.restore(resume);
  }
  if (feed) await (resume?.data ? feed.seek(resume.data) : feed.next(epoch));
  const shuffleState = random.shuffle.state;
  const sequence = indices.slice();
  if (shuffle && !feed) random.shuffle.shuffle(sequence);
  const order = trainer.orderOf(sequence, Math.min(batchSize, indices.length));
  const full = Math.floor(order.count / order.batchSize);
  const rest = order.count - full * order.batchSize;
  const total = feed ? (stepsPerEpoch ?? feed.size) : full + (rest > 0 ? 1 : 0);
  control.stepsPerEpoch = total;
  const mean = trainer.runningMean();
  const began = performance.now();
  reporter.beginEpoch(epoch, epochs, total);
  let completed = resume?.step ?? 0;

  const place = () => ({
    epoch,
    step: completed,
    shuffle: shuffleState,
    ...(feed && { data: feed.position }),
  });
  const next = () => ({ epoch: epoch + 1, step: 0, ...(feed && { data: feed.positionAt(epoch + 1) }) });
  control.at = place();
  const onSlice = (size: number) => async (slice: Slice) => {
    completed += slice.steps;
    control.at = completed < (total ?? Number.POSITIVE_INFINITY) ? place() : next();
    history.steps += slice.steps;
    session.model.iterations += slice.steps;
    if (!callbacks.some(({ toleratesNaN }) => toleratesNaN))
      watchForNaN(`${session.model.name}.fit`, feed?.data ?? data, slice, epoch, feed?.firstSample);
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
    const interrupted = () => control.stopping || options.signal?.aborted === true;
    const limit = feed ? (stepsPerEpoch ?? Number.POSITIVE_INFINITY) : full;
    // Data that end sooner than expected bring no step.
    for (let before = -1; completed < limit && completed > before && !interrupted(); ) {
      before = completed;
      const steps = Math.min(limit - completed, stepsToStop(control, callbacks));
      if (feed) await feed.run(trainer, true, steps, completed, onSlice, options.signal);
      else await trainer.run(true, data, order, completed, steps, onSlice(order.batchSize), options.signal);
    }
    if (!feed && !interrupted() && rest > 0 && completed === full)
      await trainer.runRest(true, data, order, onSlice(rest));
  } finally {
    order.storage.release();
  }
  const interrupted = control.stopping || options.signal?.aborted === true;
  if (feed && !interrupted && completed < (total ?? 1)) {
    if (completed === 0) throw feed.nothing();
    console.warn(
      `[fit] the data ended after ${completed} steps of epoch ${epoch + 1}, expected ${total}; repeat() it`,
    );
  } else if (completed < (total ?? Number.POSITIVE_INFINITY) && interrupted) {
    if (options.signal?.aborted) {
      const states = { ...random.capture(), shuffle: shuffleState };
      history.stopped = { epoch, step: completed, ...states, ...(feed && { data: feed.position }) };
    }
    reporter.breakOff(completed);
    return undefined;
  }
  const logs = mean.logs();
  const { validation } = session;
  if (validation) {
    for (const callback of callbacks) await callback.onTestBegin?.(control);
    const values =
      'order' in validation
        ? await trainer.evaluateOver(validation.data, validation.order)
        : await evaluateFeed(trainer, validation, epoch, options.validationSteps);
    for (const callback of callbacks) await callback.onTestEnd?.(values, control);
    for (const [name, value] of Object.entries(values)) logs[`val_${name}`] = value;
  }
  reporter.endEpoch(epoch, epochs, logs, completed, (performance.now() - began) / 1000);
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
