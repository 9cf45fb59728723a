// A weight of a layer with its first values: the initializer's, or those of the file that the layer is loaded from.
import { getConstraint } from '../constraints.ts';
import { NablaError } from '../errors.ts';
import { getInitializer } from '../initializers/initializers.ts';
import { tensor } from '../ops/creation.ts';
import { getRegularizer } from '../regularizers.ts';
import { givenWeight } from '../saving/building.ts';
import { showShape } from '../shape.ts';
import { scope } from '../tensor.ts';
import { untraced } from '../trace.ts';
import { Variable } from '../variable.ts';
import type { WeightSpec } from './options.ts';

/** Makes it for the layer of this name. */
export function makeWeight(layer: string, spec: WeightSpec): Variable<'float32'> {
  const initializer = getInitializer(layer, spec.initializer);
  // Weights exist beyond the trace or the scope in which a layer happens to be called first.
  const weight = untraced(() =>
    scope(() => {
      const given = givenWeight(`${layer}/${spec.name}`, spec.shape);
      const values = given === undefined ? initializer(spec.shape) : tensor(given, spec.shape, 'float32');
      if (values.shape.join() !== spec.shape.join()) {
        throw new NablaError(
          layer,
          `the initializer of ${spec.name} gave ${showShape(values.shape)}, expected ${showShape(spec.shape)}`,
        );
      }
      return new Variable(values, `${layer}/${spec.name}`, spec.trainable ?? true);
    }),
  );
  if (spec.regularizer !== undefined) weight.regularizer = getRegularizer(layer, spec.regularizer);
  if (spec.constraint !== undefined) weight.constraint = getConstraint(layer, spec.constraint);
  return weight;
}
