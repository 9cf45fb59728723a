// Optimizers that are written with tensor ops, weight by weight: the base of LAMB, Adafactor and Muon, and of optimizers of your own.
import { describe, NablaError } from '../errors.ts';
import { type Shape, sameShape, showShape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { named } from '../trace.ts';
import type { Variable } from '../variable.ts';
import { Optimizer } from './optimizer.ts';

/** A state that an optimizer keeps for a weight, float32. */
export interface StateSpec {
  /** Its shape: the weight's, or any other. */
  readonly shape: Shape;
  /** What it is filled with at the start. Default 0. */
  readonly initial?: number;
}

/** What an optimizer knows when it changes a weight. */
export interface UpdateContext {
  /** The gradient of the loss, limited and averaged already as the options say; float32, of the weight's shape. */
  readonly gradient: Tensor;
  /** The weight, decayed already; float32. */
  readonly weight: Tensor;
  /** The states by the names that {@link ComposedOptimizer.states} gave them. */
  readonly states: Readonly<Record<string, Tensor>>;
  /** Updates taken before this one: int32 scalar, 0 at the first. */
  readonly step: Tensor;
  /** This weight's learning rate, its multiplier in it: float32 scalar. */
  readonly learningRate: Tensor;
  /** The weight's name and place; its numbers are those before the decay. */
  readonly variable: Variable;
}

/** What an update gives. */
export interface Updated {
  /** The new weight. */
  readonly weight: Tensor;
  /** The new states; those left out stay as they are. */
  readonly states?: Readonly<Record<string, Tensor>>;
}

/**
 * An optimizer that is written with tensor ops. Extend it with the states that it keeps for a weight and the update of a weight, which is traced into
 * the model's training step like a layer: there is no JavaScript between the steps. Weight decay, clipping, accumulation of gradients, averages of
 * weights and learning rates of their own work as for all optimizers.
 *
 * @example
 * class SignMomentum extends optimizers.ComposedOptimizer {
 *   constructor(options: optimizers.OptimizerOptions = {}) {
 *     super('signMomentum', options, 0.001);
 *   }
 *   override states(weight: Variable) {
 *     return { velocity: { shape: weight.shape } };
 *   }
 *   override update({ gradient, weight, states, learningRate }: optimizers.UpdateContext) {
 *     const velocity = add(mul(states.velocity!, 0.9), mul(gradient, 0.1));
 *     return { weight: sub(weight, mul(sign(velocity), learningRate)), states: { velocity } };
 *   }
 * }
 * model.compile({ optimizer: new SignMomentum({ weightDecay: 0.01 }), loss: 'meanSquaredError' });
 */
export abstract class ComposedOptimizer extends Optimizer {
  /** The states of a weight by name: it may look at the weight's shape and name. */
  abstract states(weight: Variable): Readonly<Record<string, StateSpec>>;

  /** The new weight and states. Pure, of tensor ops only: it is called once for each weight while the step is traced. */
  abstract update(context: UpdateContext): Updated;

  override statesPerWeight(weight: Variable): number {
    return Object.values(this.states(weight)).reduce((total, { shape }) => total + sizeOf(shape), 0);
  }

  /** @internal The update of a weight, checked, with all states. */
  updated(context: UpdateContext): { weight: Tensor; states: Record<string, Tensor> } {
    const { variable } = context;
    const result = named(`${this.name}/${variable.name}`, () => this.update(context));
    const states = { ...context.states, ...result?.states };
    this.check(variable, 'weight', result?.weight, variable.shape);
    const wanted = this.states(variable);
    for (const [name, state] of Object.entries(states)) {
      const spec = wanted[name];
      if (spec === undefined) {
        const known = Object.keys(wanted).join(', ') || 'none';
        throw new NablaError(
          this.name,
          `unknown state, got '${name}', expected one of those of states(): ${known}`,
        );
      }
      this.check(variable, name, state, spec.shape);
    }
    return { weight: result.weight, states };
  }

  private check(variable: Variable, what: string, got: unknown, shape: Shape): void {
    if (got instanceof Tensor && got.dtype === 'float32' && sameShape(got.shape, shape)) return;
    throw new NablaError(
      this.name,
      `update() of ${variable.name} gave a bad ${what}, got ${got instanceof Tensor ? got : describe(got)}, ` +
        `expected float32${showShape(shape)}`,
    );
  }
}
