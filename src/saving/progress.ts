// The state of training beside the weights: what optimizers keep, the steps they took, their learning rates.
import { NablaError } from '../errors.ts';
import type { ParameterGroup } from '../model/group.ts';
import type { AnySavable } from '../model/savable.ts';
import type { Trainer } from '../model/trainer.ts';
import type { LossScaleState } from '../optimizers/loss-scale.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import type { Variable } from '../variable.ts';
import { weightNames } from './building.ts';

/** The state of an optimizer, copied out of the backend's memory. */
export interface SavedOptimizer {
  /** Is it the one that the model was compiled with, and not one of its own training step? */
  readonly own: boolean;
  /** Steps taken. */
  readonly step: number;
  readonly learningRate: number;
  /** Where its loss scale stands, if it scales losses. */
  readonly lossScale?: LossScaleState;
  /** What it keeps for each weight, in its order. */
  readonly states: ReadonlyMap<string, readonly Float32Array[]>;
}

/** The states of a model's optimizers, in the order in which they are used. */
export type TrainingState = readonly SavedOptimizer[];

/** Copies the state of training. */
export function captureTraining(model: AnySavable, trainer: Trainer): TrainingState {
  const names: ReadonlyMap<Variable, string> = weightNames(model);
  const { optimizer: own } = model.compiled('save');
  const used = [...trainer.optimizerState()].map(([optimizer, { step, states, lossScale }]) => ({
    own: optimizer === own,
    step,
    learningRate: optimizer.learningRate,
    ...(lossScale && { lossScale }),
    states: new Map([...states].map(([variable, values]) => [names.get(variable)!, values])),
  }));
  return [...used, ...trainer.awaited];
}

/** Puts the state of training back: at once where an optimizer was used already, else when it is first used. */
export function restoreTraining(model: AnySavable, trainer: Trainer, saved: TrainingState): void {
  const { optimizer: own } = model.compiled('load');
  const mine = saved.find((each) => each.own);
  trainer.awaited = saved.filter((each) => !each.own);
  const take = (optimizer: Optimizer, group: ParameterGroup) => {
    const state = optimizer === own ? mine : trainer.awaited.shift();
    if (state !== undefined) writeState(model, optimizer, group, state);
  };
  for (const [optimizer, group] of trainer.groups) take(optimizer, group);
  trainer.onFirstUse = take;
  // The getter makes the group, which then takes its state.
  if (mine !== undefined) void trainer.group;
}

/** Weights that a state does not tell of begin anew. */
function writeState(
  model: AnySavable,
  optimizer: Optimizer,
  group: ParameterGroup,
  { step, learningRate, states, lossScale }: SavedOptimizer,
): void {
  const names: ReadonlyMap<Variable, string> = weightNames(model);
  const byWeight = new Map<Variable, readonly Float32Array[]>();
  for (const [variable, present] of group.readState().states) {
    const name = names.get(variable)!;
    const given = states.get(name);
    if (given === undefined) continue;
    const sizes = (list: readonly Float32Array[]) => Array.from(list, (values) => values?.length).join(', ');
    if (sizes(given) !== sizes(present)) {
      throw new NablaError(
        `${model.name}.load`,
        `the state of ${optimizer.name} does not fit weight '${name}', got ${sizes(given) || 'no'} numbers, expected ${sizes(present) || 'none'}; ` +
          'was the model compiled with another optimizer?',
      );
    }
    byWeight.set(variable, given);
  }
  group.writeState({ step, states: byWeight, ...(lossScale && { lossScale }) });
  if (optimizer.schedule === undefined) optimizer.learningRate = learningRate;
}
