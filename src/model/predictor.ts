// Prediction: the forward pass as a program over rows that are bound directly, without order or cursor.
import type { Samples } from '../data/samples.ts';
import { type DType, dtypeBytes, isHalf } from '../dtype.ts';
import { type Engine, Executable, type Storage } from '../engine.ts';
import { add, mul } from '../ops/arithmetic.ts';
import { cast } from '../ops/compare.ts';
import { oneHot } from '../ops/gather.ts';
import { Graph } from '../program/graph.ts';
import { type Shape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { empty, trace, valueOf } from '../trace.ts';
import type { Variable } from '../variable.ts';
import { checkHome } from './step-data.ts';

/** A model's layers as one function of its inputs in order, which gives its outputs in order. */
export type ModelCall = (inputs: readonly Tensor[], training: boolean) => readonly Tensor[];

interface Prediction {
  readonly executable: Executable;
  /** Where the weights lay when it was traced. */
  readonly places: readonly (readonly [Variable, Storage])[];
  readonly outputs: readonly { readonly sampleShape: Shape; readonly dtype: DType }[];
  /** How long the last run off this thread took. */
  milliseconds: number;
}

// Programs of other shapes that are kept; the oldest go first.
const maxPrograms = 16;
// A run as short as this, most of which is the way to the device's thread and back, does not keep the event loop.
const shortRun = 0.1;

/** A model's programs for prediction. */
export class Predictor {
  private readonly name: string;
  private readonly call: ModelCall;
  private readonly weights: () => readonly Variable[];
  private readonly programs = new Map<string, Prediction>();

  constructor(name: string, call: ModelCall, weights: () => readonly Variable[]) {
    this.name = name;
    this.call = call;
    this.weights = weights;
  }

  /** Predictions for one batch, at once. */
  now(x: readonly Samples[]): Tensor[] {
    const { executable, outputs } = this.program(x, x[0]!.length);
    const made = this.room(x, outputs);
    executable.run(
      x.map(({ tensor }) => tensor.memory('predict')),
      made.map((out) => out.memory('predict')),
    );
    return made;
  }

  /** Predictions for many samples, batch by batch. */
  async all(x: readonly Samples[], batchSize: number): Promise<Tensor[]> {
    const count = x[0]!.length;
    const step = Math.min(batchSize, Math.max(1, count));
    const made = this.room(x, this.program(x, step).outputs).map((out) => out.keep());
    const at = (tensor: Tensor, row: number) => {
      const { storage, byteOffset } = tensor.memory('predict');
      const rowBytes = sizeOf(tensor.shape.slice(1)) * dtypeBytes[tensor.dtype];
      return { storage, byteOffset: byteOffset + row * rowBytes };
    };
    for (let start = 0; start < count; start += step) {
      // Looked up each time: another call may have taken its place among the programs that are kept.
      const prediction = this.program(x, Math.min(step, count - start));
      const { executable } = prediction;
      const inputs = x.map(({ tensor }) => at(tensor, start));
      const results = made.map((out) => at(out, start));
      if (count <= step && prediction.milliseconds < shortRun && executable.engine.runs === 0) {
        executable.run(inputs, results);
      } else {
        const began = performance.now();
        await executable.start(inputs, results, 1).done;
        prediction.milliseconds = performance.now() - began;
      }
    }
    return made;
  }

  private room(x: readonly Samples[], outputs: Prediction['outputs']): Tensor[] {
    const home = x[0]!.tensor.memory('predict').storage.engine;
    return outputs.map(({ sampleShape, dtype }) => empty(home, [x[0]!.length, ...sampleShape], dtype));
  }

  private program(x: readonly Samples[], batchSize: number): Prediction {
    const where = `${this.name}.predict`;
    const home = x[0]!.tensor.memory('predict').storage.engine;
    for (let i = 1; i < x.length; i++) checkHome(where, home, x[i]!.tensor);
    const parts = x.map(({ tensor, options: { scale, shift, oneHot: classes } }) =>
      [tensor.dtype, tensor.shape.slice(1), scale, shift, classes].join('|'),
    );
    const key = [batchSize, ...parts].join('|');
    const known = this.programs.get(key);
    if (known?.executable.engine === home && !moved(known)) return known;
    known?.executable.unload();
    for (const weight of this.weights()) checkHome(where, home, weight);
    const made = predictProgram(home, this.call, this.weights, x, batchSize);
    this.programs.delete(key);
    this.programs.set(key, made);
    if (this.programs.size > maxPrograms) {
      const [oldest, former] = this.programs.entries().next().value!;
      former.executable.unload();
      this.programs.delete(oldest);
    }
    return made;
  }

  dispose(): void {
    for (const { executable } of this.programs.values()) executable.unload();
    this.programs.clear();
  }
}

/** Programs are traced over the memory that the weights lie in; it changes when the model is first trained, or on another backend. */
function moved({ executable, places }: Prediction): boolean {
  return executable.stale || places.some(([weight, storage]) => weight.memory('predict').storage !== storage);
}

function predictProgram(
  engine: Engine,
  call: ModelCall,
  weights: () => readonly Variable[],
  x: readonly Samples[],
  batchSize: number,
): Prediction {
  const graph = new Graph();
  const outputs = trace(graph, () => {
    const inputs = x.map((samples) => {
      const rows = graph.input([batchSize, ...samples.tensor.shape.slice(1)], samples.tensor.dtype);
      return presented(new Tensor(rows.shape, rows.dtype, { kind: 'traced', graph, value: rows }), samples);
    });
    // Half floats are what models compute in, not what they give.
    return call(inputs, false).map((output) => (isHalf(output.dtype) ? cast(output, 'float32') : output));
  });
  for (const output of outputs) graph.outputs.push(valueOf(graph, output, 'predict'));
  return {
    executable: new Executable(engine, graph),
    places: weights().map((weight) => [weight, weight.memory('predict').storage] as const),
    outputs: outputs.map(({ shape, dtype }) => ({ sampleShape: shape.slice(1), dtype })),
    milliseconds: Number.POSITIVE_INFINITY,
  };
}

/** Rows as a batch presents them to the model. */
function presented(rows: Tensor, { options }: Samples): Tensor {
  const { scale = 1, shift = 0, oneHot: classes } = options;
  if (classes !== undefined) return oneHot(rows, classes);
  const numbers = cast(rows, 'float32');
  const scaled = scale === 1 ? numbers : mul(numbers, scale);
  return shift === 0 ? scaled : add(scaled, shift);
}
