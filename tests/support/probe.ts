// A model whose gradients are its input: what optimizers do with given gradients can be compared with other libraries.
import {
  add,
  constraints,
  Layer,
  mul,
  sequential,
  sum,
  tensor,
  type Variable,
  zeros,
} from '../../src/api.ts';
import type { ConstraintLike } from '../../src/constraints.ts';
import { reshape, slice } from '../../src/ops/index.ts';
import type { OptimizerLike } from '../../src/optimizers/optimizers.ts';
import { type Shape, sizeOf } from '../../src/shape.ts';
import type { Tensor } from '../../src/tensor.ts';

/** A weight of the probe. */
export interface ProbeWeight {
  readonly name: string;
  readonly shape: Shape;
  readonly start: readonly number[];
  readonly constraint?: ConstraintLike | undefined;
}

/** What fixtures of optimizers hold of the weights. */
export interface ProbeFixture {
  readonly names: readonly string[];
  readonly shapes: readonly Shape[];
  readonly start: readonly (readonly number[])[];
}

/** The weights of a fixture, under the constraint that the fixtures' scripts take where they take one. */
export function probeWeights({ names, shapes, start }: ProbeFixture, constrained = false): ProbeWeight[] {
  const constraint = constrained
    ? constraints.minMaxNorm({ minValue: 0.5, maxValue: 1, rate: 0.5, axis: 0 })
    : undefined;
  return names.map((name, i) => ({ name, shape: shapes[i]!, start: start[i]!, constraint }));
}

/** The output is the inner product of input and weights, one after the other. */
export class ProbeLayer extends Layer {
  readonly kind = 'probe';
  private readonly specs: readonly ProbeWeight[];
  private variables: Variable<'float32'>[] = [];

  constructor(specs: readonly ProbeWeight[]) {
    super({ inputShape: [specs.reduce((total, { shape }) => total + sizeOf(shape), 0)] });
    this.specs = specs;
  }

  protected override build(): void {
    this.variables = this.specs.map(({ name, shape, start, constraint }) =>
      this.addWeight({
        name,
        shape,
        initializer: () => tensor(start, shape) as Tensor<'float32'>,
        constraint,
      }),
    );
  }

  override computeOutputShape(): number[] {
    return [1];
  }

  protected override call(x: Tensor): Tensor {
    const rows = x.shape[0]!;
    let offset = 0;
    const parts = this.variables.map((weight) => {
      const part = slice(x, [0, offset], [rows, weight.size]);
      offset += weight.size;
      return sum(mul(part, reshape(weight, [weight.size])), 1, true);
    });
    return parts.reduce(add);
  }
}

/** The model, compiled; train it on rows of gradients and {@link noLabels}. */
export function probeModel(specs: readonly ProbeWeight[], optimizer: OptimizerLike) {
  const model = sequential({ layers: [new ProbeLayer(specs)] });
  model.compile({ optimizer, loss: (_labels: Tensor, output: Tensor) => sum(output, 1) });
  return model;
}

/** Labels of so many rows, which nothing depends on. */
export const noLabels = (rows = 1): Tensor => zeros([rows, 1]);

/** All numbers of the model's weights. */
export function allWeights(model: ReturnType<typeof probeModel>): number[] {
  return model.getWeights().flatMap((weight) => [...weight]);
}
