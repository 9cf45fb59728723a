// Small models and data sets for the tests of training.
import {
  type CompileOptions,
  layers,
  type Sequential,
  sequential,
  type Tensor,
  tensor,
} from '../../src/api.ts';
import { Philox } from '../../src/random.ts';

export const inputs = 6;
export const classes = 3;

/** `count` points around three centres, with the class of each. */
export function clusters(count: number, seed = 1): { x: Tensor; y: Tensor; labels: Int32Array } {
  const random = new Philox(seed);
  const labels = Int32Array.from({ length: count }, () => random.int(classes));
  const x = Float32Array.from({ length: count * inputs }, (_, i) => {
    const label = labels[Math.floor(i / inputs)]!;
    return (i % classes === label ? 1.5 : 0) + 2 * random.uniform() - 1;
  });
  return { x: tensor(x, [count, inputs]), y: tensor(labels), labels };
}

export interface SmallOptions {
  /** Rate of a dropout layer. Default: none. */
  dropout?: number;
  name?: string;
}

/** Two Dense layers, not compiled. */
export function small({ dropout, name }: SmallOptions = {}): Sequential {
  return sequential({
    name,
    layers: [
      layers.dense({ units: 8, activation: 'relu', inputShape: [inputs] }),
      ...(dropout === undefined ? [] : [layers.dropout({ rate: dropout })]),
      layers.dense({ units: classes, activation: 'softmax' }),
    ],
  });
}

/** The same, compiled for class indices. */
export function compiled(options: SmallOptions & Partial<CompileOptions> = {}): Sequential {
  const { dropout, name, ...rest } = options;
  const model = small({ dropout, name });
  model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'], ...rest });
  return model;
}

/** All weights as one list. */
export function weightsOf(model: Sequential): number[] {
  return model.getWeights().flatMap((weight) => [...weight]);
}

/** Does the model train: are its losses numbers, and do they fall, or are they low already? */
export async function learns(model: Sequential): Promise<boolean> {
  const { x, y } = clusters(128, 9);
  const before = weightsOf(model);
  const history = await model.fit(x, y, { epochs: 4, batchSize: 16, verbose: 0 });
  const loss = history.history.loss!;
  const moved = weightsOf(model).some((weight, i) => weight !== before[i]);
  // Guessing costs log(3) = 1.1.
  return moved && loss.every(Number.isFinite) && (loss.at(-1)! < loss[0]! || loss.at(-1)! < 1);
}
