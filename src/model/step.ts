// A step of one's own: what a model's trainStep and testStep are given to compute losses, change weights and report.
import { collect, collectedLosses } from '../collect.ts';
import type { Samples } from '../data/samples.ts';
import type { DType } from '../dtype.ts';
import { describe, NablaError } from '../errors.ts';
import { Layer } from '../layers/layer.ts';
import { isRecord, type Nested, nest } from '../nested.ts';
import { add } from '../ops/arithmetic.ts';
import { cast } from '../ops/compare.ts';
import { fill } from '../ops/creation.ts';
import { mean } from '../ops/reduce.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { isOptimizer } from '../optimizers/optimizers.ts';
import { Graph } from '../program/graph.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { trace } from '../trace.ts';
import { Variable } from '../variable.ts';
import { type BatchTensors, batchDType } from './batch.ts';
import type { Head } from './heads.ts';
import type { LogWriter } from './log.ts';
import { lossOf, weightPenalties } from './losses.ts';
import { type LossScaling, scaledGradientOf } from './scaling.ts';
import { inOrder, type Slots } from './slots.ts';
import type { StepData } from './step-data.ts';

/** Weights that a gradient is taken of: those of layers and models that are trained, or variables. */
export type Trained = Layer<Nested<Tensor>> | Variable | readonly (Layer<Nested<Tensor>> | Variable)[];

/** What {@link Step.minimize} and {@link Step.applyGradients} take. */
export interface UpdateOptions {
  /** Whose weights change. Default: the model's. */
  of?: Trained;
  /** What changes them. Each optimizer has weights of its own, and keeps its state between steps. Default: the one the model was compiled with. */
  optimizer?: Optimizer;
}

/** What {@link Step.gradients} gives. */
export interface LossAndGradients {
  /** The value of the function, a scalar. */
  readonly loss: Tensor;
  /** One for each weight, in their order. */
  readonly gradients: Tensor[];
}

/** What a step reports, by name: float32 scalars, or one number a sample. */
export type StepLogs = Readonly<Record<string, Tensor>>;

/** A batch, put together as the data that fit was given. Integers are float32, but class indices stay as they are. */
export interface Batch<X extends Nested<Tensor> = Tensor, Y extends Nested<Tensor> = Tensor> {
  /** The inputs. */
  readonly x: X;
  /** The labels; reading them throws where there are none. */
  readonly y: Y;
  /** Number of samples. */
  readonly size: number;
}

/** @internal What a step works on. */
export interface StepContext {
  readonly where: string;
  readonly model: Layer<Nested<Tensor>>;
  readonly heads: readonly Head[];
  readonly outputs: Slots | undefined;
  readonly y: readonly Tensor[];
  readonly weights: readonly (Tensor | undefined)[];
  readonly size: number;
  readonly training: boolean;
  readonly optimizer: Optimizer;
  /** Where to report to; undefined while a step is only tried to have layers make their weights. */
  readonly log: LogWriter | undefined;
  /** Changes weights by their gradients. */
  readonly update: (optimizer: Optimizer, gradients: ReadonlyMap<Variable<'float32'>, Tensor>) => void;
  /** How an optimizer's losses are scaled, if they are. */
  readonly scaling: (optimizer: Optimizer) => LossScaling | undefined;
}

/**
 * What `trainStep` and `testStep` are given beside the batch. The step is traced once into a program: what it computes with ops runs for every
 * batch without JavaScript, in the order that it is written in; numbers of tensors are not known in it.
 */
export class Step {
  readonly #context: StepContext;
  readonly #reported = new Map<string, Tensor>();
  readonly #measured: (() => void)[] = [];

  /** @internal Made by fit and evaluate. */
  constructor(context: StepContext) {
    this.#context = context;
  }

  /** Whether it is a training step. */
  get training(): boolean {
    return this.#context.training;
  }

  /**
   * The loss that the model was compiled with, of predictions and the batch's labels: the sum over the outputs, with the weights of samples, and
   * {@link Step.penalties}. Call it within the function that is minimised, after the model.
   */
  computeLoss(predictions: Nested<Tensor>): Tensor {
    const { heads, y, weights } = this.#context;
    const { loss, reported } = lossOf(heads, { y, weights }, this.#inOrder(predictions), this.#penalties());
    for (const [name, value] of reported) this.#reported.set(name, value);
    return loss;
  }

  /** What layers added so far within the function that is minimised (addLoss, activity regularizers), and what the model's weights add (regularizers). */
  penalties(): Tensor {
    const [first = fill([], 0), ...others] = this.#penalties();
    return others.reduce(add, first);
  }

  #penalties(): Tensor[] {
    const { model } = this.#context;
    return [...collectedLosses(), ...weightPenalties(model.trainableWeights)];
  }

  /** Has the metrics that the model was compiled with reported, of predictions and the batch's labels. */
  updateMetrics(predictions: Nested<Tensor>): void {
    const { heads, y, size, log, weights } = this.#context;
    const outputs = this.#inOrder(predictions);
    this.#measured.push(() => {
      for (const { metrics, label, index } of heads)
        for (const { metric, weighted } of metrics)
          log?.metric(metric, y[label!]!, outputs[index]!, size, weighted ? weights[label!] : undefined);
    });
  }

  #inOrder(predictions: Nested<Tensor>): Tensor[] {
    const { where, outputs } = this.#context;
    if (outputs === undefined) return [predictions as Tensor];
    return inOrder(where, 'predictions', predictions, outputs.names);
  }

  /**
   * The value of a function that gives a scalar, and its gradients by weights, in the order of `of`'s. Where `optimizer`, the compiled one unless
   * given, scales losses (`optimizers.lossScale`), the gradients are computed of the scaled loss, and are scaled back already.
   */
  gradients(
    loss: () => Tensor,
    of: Trained = this.#context.model,
    optimizer: Optimizer = this.#context.optimizer,
  ): LossAndGradients {
    const { where, log, scaling } = this.#context;
    // The first time there are no weights yet.
    if (log === undefined) collect(loss);
    const variables = this.#variables(of);
    // The backward pass may call layers again; what they add then does not count.
    const { result } = collect(() =>
      scaledGradientOf(
        scaling(optimizer),
        () => {
          const { result, metrics } = collect(loss);
          if (!(result instanceof Tensor))
            throw new NablaError(where, `the loss is none, got ${describe(result)}, expected a scalar`);
          return { loss: result, result: { loss: result, metrics } };
        },
        variables,
      ),
    );
    this.report(Object.fromEntries(result.result.metrics));
    return { loss: result.result.loss, gradients: result.gradients };
  }

  /** Changes weights by gradients, in the order of `of`'s weights. What is computed after it sees the new weights. */
  applyGradients(gradients: readonly Tensor[], options: UpdateOptions = {}): void {
    const { where, model, optimizer: compiled, training, update } = this.#context;
    const { of = model, optimizer = compiled } = options;
    const variables = this.#variables(of);
    if (!training) throw new NablaError(where, 'weights do not change while a model is evaluated');
    if (!isOptimizer(optimizer)) {
      throw new NablaError(
        where,
        `bad optimizer, got ${describe(optimizer)}, expected one that is kept, such as a field that holds optimizers.adam()`,
      );
    }
    const fit = (gradient: unknown, i: number) =>
      gradient instanceof Tensor && gradient.shape.join() === variables[i]!.shape.join();
    if (!Array.isArray(gradients) || gradients.length !== variables.length || !gradients.every(fit)) {
      throw new NablaError(
        where,
        `gradients do not fit the weights, got ${describe(gradients)}, expected ${variables.length} of their shapes`,
      );
    }
    update(optimizer, new Map(variables.map((variable, i) => [variable, gradients[i]!])));
  }

  /** Changes weights so that a scalar gets smaller: {@link Step.gradients} and {@link Step.applyGradients}. Gives the scalar. */
  minimize(loss: () => Tensor, options: UpdateOptions = {}): Tensor {
    const { of = this.#context.model } = options;
    const computed = this.gradients(loss, of, options.optimizer);
    this.applyGradients(computed.gradients, { ...options, of });
    return computed.loss;
  }

  /** Reports numbers beside those that the step returns: float32 scalars, or one number a sample. */
  report(logs: StepLogs): void {
    const { where } = this.#context;
    for (const [name, value] of Object.entries(logs)) {
      if (!(value instanceof Tensor) || value.rank > 1) {
        throw new NablaError(
          where,
          `bad '${name}' to report, got ${describe(value)}, expected a scalar, or one number a sample`,
        );
      }
      const numbers = cast(value, 'float32');
      this.#reported.set(name, numbers.rank === 0 ? numbers : mean(numbers));
    }
  }

  /** @internal Hands over what is to be reported. */
  finish(logs: unknown): void {
    const { where, log } = this.#context;
    if (!isRecord(logs)) {
      throw new NablaError(
        where,
        `the step gave nothing to report, got ${describe(logs)}, expected a record such as { loss }`,
      );
    }
    // First what the step says itself.
    const inner = [...this.#reported];
    this.#reported.clear();
    this.report(logs as StepLogs);
    for (const [name, value] of inner) if (!this.#reported.has(name)) this.#reported.set(name, value);
    for (const [name, value] of this.#reported) log?.value(name, value);
    for (const measure of this.#measured) measure();
  }

  #variables(of: Trained): Variable<'float32'>[] {
    const { where } = this.#context;
    const found = new Set<Variable<'float32'>>();
    for (const each of Array.isArray(of) ? of : [of]) {
      if (each instanceof Layer) for (const weight of each.trainableWeights) found.add(weight);
      else if (each instanceof Variable && each.dtype === 'float32') found.add(each as Variable<'float32'>);
      else {
        throw new NablaError(
          where,
          `bad weights, got ${describe(each)}, expected layers, models or float32 variables`,
        );
      }
    }
    return [...found];
  }
}

/** @internal A batch as a step sees it. */
export function batchOf(
  where: string,
  x: { slots: Slots; tensors: readonly Tensor[] },
  y: { slots: Slots; tensors: readonly Tensor[] },
  size: number,
): Batch<Nested<Tensor>, Nested<Tensor>> {
  return {
    x: nest(x.slots.structure, x.tensors),
    get y() {
      if (y.tensors.length > 0) return nest(y.slots.structure, y.tensors);
      throw new NablaError(where, 'there are no labels, got y undefined; give fit or evaluate a y');
    },
    size,
  };
}

/** @internal Traces a step for one sample into a program that never runs, so that its layers make their weights. */
export function tryStep(
  data: Pick<StepData, 'x' | 'y' | 'weights'>,
  run: (batch: BatchTensors) => void,
): void {
  const graph = new Graph();
  const row = (shape: Shape, dtype: DType) => {
    const value = graph.input([1, ...shape], dtype);
    return new Tensor(value.shape, dtype, { kind: 'traced', graph, value });
  };
  const rowOf = (samples: Samples) => row(samples.sampleShape, batchDType(samples, 'float32'));
  trace(graph, () =>
    run({
      x: data.x.map(rowOf),
      y: data.y.map((labels) =>
        labels.sampleShape.length === 0 ? row([], batchDType(labels, undefined)) : rowOf(labels),
      ),
      weights: data.weights.map((weight) => weight && row([], 'float32')),
    }),
  );
}
