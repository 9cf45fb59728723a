// What losses, metrics, initializers and the like were made from, kept beside them so that a model can be saved with them.

import { checkOptions } from '../options.ts';

/** The namespace that a factory belongs to. */
export type RecordKind =
  | 'initializers'
  | 'regularizers'
  | 'constraints'
  | 'losses'
  | 'metrics'
  | 'optimizers'
  | 'schedules';

/** A factory and the arguments it was called with. */
export interface FactoryCall {
  readonly kind: RecordKind;
  readonly name: string;
  readonly args: readonly unknown[];
}

const calls = new WeakMap<object, FactoryCall>();

/** Notes what a thing was made from, and gives the thing. */
export function recorded<T extends object>(
  kind: RecordKind,
  name: string,
  args: readonly unknown[],
  made: T,
): T {
  for (const arg of args) checkOptions(kind, name, arg);
  calls.set(made, { kind, name, args });
  return made;
}

/** What a thing was made from; undefined if no factory of the library made it. */
export function factoryCall(made: object): FactoryCall | undefined {
  return calls.get(made);
}
