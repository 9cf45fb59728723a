// The loss scale of a training step: kept in backend memory, applied around gradients, moved by whether they are finite.
import { gradientOf } from '../autodiff.ts';
import type { Engine, Storage } from '../engine.ts';
import { add, div, minimum, mul } from '../ops/arithmetic.ts';
import { equal, isFinite, logicalAnd, logicalNot, where } from '../ops/compare.ts';
import { max, min } from '../ops/reduce.ts';
import type { LossScaleOptimizer, LossScaleState } from '../optimizers/loss-scale.ts';
import type { Graph } from '../program/graph.ts';
import type { Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import type { Variable } from '../variable.ts';
import { held } from './arena.ts';
import { external, store } from './outside.ts';

// Places in the memory: float32 scale, int32 steps since it changed, int32 steps taken when learning rates were written last.
const place = { scale: 0, steps: 1, base: 2 } as const;
// The largest power of two: twice that is none that could be halved again.
const mostScale = 2 ** 127;

/** The scale of one optimizer's losses. */
export class LossScaling {
  private readonly engine: Engine;
  private readonly storage: Storage;
  private readonly optimizer: LossScaleOptimizer;
  private readonly source = () => this.read();

  constructor(engine: Engine, optimizer: LossScaleOptimizer) {
    this.engine = engine;
    this.optimizer = optimizer;
    this.storage = held(engine, 16, 'lossScale');
    this.write({ scale: optimizer.initialScale, steps: 0 });
    optimizer.source = this.source;
  }

  /** Where it stands, waiting for the step that runs. */
  read(): LossScaleState {
    const words = new Int32Array(2);
    this.engine.backend.read(this.storage.handle, 0, words);
    return { scale: new Float32Array(words.buffer)[place.scale]!, steps: words[place.steps]! };
  }

  write({ scale, steps }: LossScaleState): void {
    const { backend } = this.engine;
    backend.write(this.storage.handle, place.scale * 4, Float32Array.of(scale));
    backend.write(this.storage.handle, place.steps * 4, Int32Array.of(steps));
  }

  /** Notes how many steps were taken when the table of learning rates was written. */
  writeBase(taken: number): void {
    this.engine.backend.write(this.storage.handle, place.base * 4, Int32Array.of(taken));
  }

  /** That number in a trace, int32 `[1]`. */
  base(graph: Graph): Tensor {
    return external(graph, this.storage, [1], place.base, 'int32');
  }

  /** What the loss is multiplied by, a float32 scalar of the trace. */
  scale(graph: Graph): Tensor {
    return external(graph, this.storage, [], place.scale);
  }

  /** Whether all of a flat range are numbers. */
  isFinite(gradients: Tensor): Tensor {
    // Either is NaN where a NaN is met.
    return logicalAnd(isFinite(max(gradients)), isFinite(min(gradients)));
  }

  /** The end of a step: the scale is halved where gradients were not finite, doubled after enough steps where they were. */
  adjust(graph: Graph, finite: Tensor): void {
    const { dynamicGrowthSteps, name } = this.optimizer;
    const scale = this.scale(graph);
    const steps = external(graph, this.storage, [], place.steps, 'int32');
    const grows = equal(steps, dynamicGrowthSteps - 1);
    const larger = where(grows, minimum(mul(scale, 2), mostScale), scale);
    const next = where(finite, larger, mul(scale, 0.5));
    const counted = where(logicalAnd(finite, logicalNot(grows)), add(steps, 1), 0);
    store(graph, this.storage, next, name, place.scale);
    store(graph, this.storage, counted, name, place.steps);
  }

  dispose(): void {
    if (this.optimizer.source === this.source) {
      const last = this.engine.closed ? undefined : this.read();
      this.optimizer.source = last && (() => last);
    }
    this.storage.release();
  }
}

/** As `gradientOf`, of a loss that is scaled meanwhile: the loss in the result and the gradients are as without. */
export function scaledGradientOf<T>(
  scaling: LossScaling | undefined,
  body: () => { loss: Tensor; result: T },
  sources: readonly Variable<'float32'>[],
): { result: T; gradients: Tensor[] } {
  if (scaling === undefined) return gradientOf(body, sources);
  const scale = scaling.scale(tracing()!);
  const { result, gradients } = gradientOf(() => {
    const { loss, result } = body();
    return { loss: mul(loss, scale), result };
  }, sources);
  return { result, gradients: gradients.map((gradient) => div(gradient, scale)) };
}
