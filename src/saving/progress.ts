// The state of training beside the weights: what the optimizer keeps, the steps it took, its learning rate.
import type { Storage } from '../engine.ts';
import { counterIndex } from '../model/arena.ts';
import type { Model } from '../model/model.ts';
import type { Trainer } from '../model/trainer.ts';
import { distinctNames } from './building.ts';

/** Optimizer state, copied out of the backend's memory. */
export interface TrainingState {
  /** Steps that the optimizer took. */
  readonly iterations: number;
  readonly learningRate: number;
  /** For each of the optimizer's states, its numbers by weight; undefined where the optimizer has no such state. */
  readonly states: readonly (ReadonlyMap<string, Float32Array<ArrayBuffer>> | undefined)[];
}

function read(storage: Storage, values: Float32Array | Int32Array, byteOffset: number): void {
  storage.engine.backend.read(storage.handle, byteOffset, values);
}

function namesOf(model: Model): ReadonlyMap<object, string> {
  const names = distinctNames(model.weights);
  return new Map(model.weights.map((weight, i) => [weight, names[i]!]));
}

/** Steps that the model's optimizer took. */
export function iterationsOf(trainer: Trainer): number {
  const steps = new Int32Array(1);
  read(trainer.memory.counters, steps, counterIndex.step * 4);
  return steps[0]!;
}

/** Copies the state of training. */
export function captureTraining(model: Model, trainer: Trainer): TrainingState {
  const names = namesOf(model);
  const states = trainer.memory.states.map((storage) => {
    if (storage === undefined) return undefined;
    return new Map(
      trainer.arena.trained.map(({ variable, offset }) => {
        const values = new Float32Array(variable.size);
        read(storage, values, offset * 4);
        return [names.get(variable)!, values] as const;
      }),
    );
  });
  const { learningRate } = model.compiled('save').optimizer;
  return { iterations: iterationsOf(trainer), learningRate, states };
}

/** Puts the state of training back. Weights that it does not know begin anew. */
export function restoreTraining(model: Model, trainer: Trainer, state: TrainingState): void {
  const names = namesOf(model);
  const { memory, arena, engine } = trainer;
  memory.states.forEach((storage, i) => {
    if (storage === undefined) return;
    for (const { variable, offset } of arena.trained) {
      const values = state.states[i]?.get(names.get(variable)!);
      if (values?.length === variable.size) engine.backend.write(storage.handle, offset * 4, values);
    }
  });
  engine.backend.write(memory.counters.handle, counterIndex.step * 4, Int32Array.of(state.iterations));
  const { optimizer } = model.compiled('load');
  if (optimizer.schedule === undefined) optimizer.learningRate = state.learningRate;
}
