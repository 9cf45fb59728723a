// Types of what browser.test.ts runs in Node.js as well.
import type * as library from '../../src/index.ts';

export function train(nabla: typeof library): Promise<{
  model: library.Sequential;
  x: library.Tensor;
  losses: readonly number[];
}>;

export function predict(model: library.Model, x: library.Tensor): Promise<number[]>;
