// What a model's steps work on: data as they are given become samples for its inputs and labels, and its own step is called with them.
import { collect } from '../collect.ts';
import type { Nested } from '../nested.ts';
import type { Tensor } from '../tensor.ts';
import type { BatchTensors } from './batch.ts';
import type { Model } from './model.ts';
import { labelSlots, type ModelData, slotsOf, type Taken } from './slots.ts';
import { batchOf, Step, type StepContext, tryStep } from './step.ts';
import { checkCounts, type StepData } from './step-data.ts';
import { checkTracked } from './tracking.ts';

type AnyModel = Model<Nested<Tensor>>;

/** Samples and labels as they are given. */
export interface GivenData {
  readonly x: ModelData;
  readonly y?: ModelData | null | undefined;
}

// Models whose own training or evaluation step was tried, so that its layers have made their weights.
const tried = { true: new WeakSet<AnyModel>(), false: new WeakSet<AnyModel>() };

/** Samples, labels and weights as steps read them, of a model that is built by them where it is not yet. */
export function takeData(
  model: AnyModel,
  where: string,
  taken: Taken,
  given: GivenData,
  train: boolean,
  prefix: string,
): StepData {
  const custom = model.customStep(train);
  if (!train) model.checkEvaluable(where);
  // A step of one's own may take other data than call does: real images, where call takes noise.
  const free = custom && !model.knowsInputs ? slotsOf(given.x, 'input') : undefined;
  const x = free
    ? taken.samples(`${prefix}x`, given.x, free.names)
    : model.takeInputs(where, taken, given.x, `${prefix}x`);
  const shapes = x.map(({ sampleShape }) => sampleShape);
  const { loss, metrics } = model.compiled(where).options;
  const byCall = !custom || loss !== undefined || metrics !== undefined;
  if (byCall && model.outputSlots === undefined) model.ensureBuilt(...shapes);
  const slots = labelSlots(model.heads(where), model.outputSlots, custom ? given.y : undefined);
  const y = slots.names.length === 0 ? [] : taken.samples(`${prefix}y`, given.y as ModelData, slots.names);
  checkCounts(where, x, y);
  if (byCall) model.ensureBuilt(...shapes);
  const data = { x, y, weights: y.map(() => undefined), slots: { x: free ?? model.inputSlots!, y: slots } };
  const known = tried[`${train}`];
  if (custom && !known.has(model)) {
    // Layers make their weights as the step first calls them.
    checkTracked(model, () => tryStep(data, (batch) => runOwnStep(model, train, data, batch, 1)));
    known.add(model);
  }
  return data;
}

/** Calls a model's own step, in a trace. */
export function runOwnStep(
  model: AnyModel,
  train: boolean,
  data: StepData,
  batch: BatchTensors,
  size: number,
  run: Partial<Pick<StepContext, 'log' | 'update' | 'scaling'>> = {},
): void {
  const where = `${model.name}.${train ? 'trainStep' : 'testStep'}`;
  const { optimizer } = model.compiled(where);
  const { y, weights } = batch;
  const [heads, outputs] = [model.heads(where), model.outputSlots];
  const { log, update = () => {}, scaling = () => undefined } = run;
  const context = {
    ...{ where, model, heads, outputs, y, weights, size, training: train },
    ...{ optimizer, log, update, scaling },
  };
  const step = new Step(context);
  const x = { slots: data.slots.x, tensors: batch.x };
  const seen = batchOf(where, x, { slots: data.slots.y, tensors: y }, size);
  const { result, metrics } = collect(() =>
    train ? model.trainStep!(seen, step) : model.testStep!(seen, step),
  );
  step.report(Object.fromEntries(metrics));
  step.finish(result);
}
