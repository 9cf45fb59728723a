// The state of training beside the weights: what the optimizer keeps, the steps it took, its learning rate.
import type { AnySavable } from '../model/savable.ts';
import type { Trainer } from '../model/trainer.ts';
import type { Variable } from '../variable.ts';
import { weightNames } from './building.ts';

/** Optimizer state, copied out of the backend's memory. */
export interface TrainingState {
  /** Steps that the optimizer took. */
  readonly iterations: number;
  readonly learningRate: number;
  /** For each of the optimizer's states, its numbers by weight. */
  readonly states: readonly ReadonlyMap<string, Float32Array>[];
}

/** Copies the state of training. */
export function captureTraining(model: AnySavable, { group }: Trainer): TrainingState {
  const names: ReadonlyMap<Variable, string> = weightNames(model);
  const { step, states: byWeight } = group.readState();
  const states: Map<string, Float32Array>[] = [];
  for (const [variable, copies] of byWeight) {
    copies.forEach((values, i) => {
      states[i] ??= new Map();
      if (values !== undefined) states[i].set(names.get(variable)!, values);
    });
  }
  return { iterations: step, learningRate: group.optimizer.learningRate, states };
}

/** Puts the state of training back. Weights that it does not know begin anew. */
export function restoreTraining(
  model: AnySavable,
  { group }: Trainer,
  { iterations, learningRate, states }: TrainingState,
): void {
  const byWeight = new Map<Variable, (Float32Array | undefined)[]>();
  for (const [weight, name] of weightNames(model)) {
    const values = group.states.map((_, i) => states[i]?.get(name));
    byWeight.set(
      weight,
      values.map((each) => (each?.length === weight.size ? each : undefined)),
    );
  }
  group.writeState({ step: iterations, states: byWeight });
  if (group.optimizer.schedule === undefined) group.optimizer.learningRate = learningRate;
}
