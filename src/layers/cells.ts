// Cells: what a recurrent layer does at one step; simple, LSTM and GRU ones, several on top of each other, and the base of your own.
import { describe, NablaError } from '../errors.ts';
import type { Nested } from '../nested.ts';
import { mul } from '../ops/arithmetic.ts';
import { toFloats } from '../ops/compare.ts';
import { ones, zeros } from '../ops/creation.ts';
import { matMul } from '../ops/linalg.ts';
import { dropout } from '../ops/nn.ts';
import { type Shape, sameShape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type CallContext, Layer, type LayerOptions } from './layer.ts';
import {
  biasesOf,
  runSteps,
  runUnits,
  type SequenceResult,
  type SequenceRun,
  type StepResult,
  stepOfUnit,
} from './recurrent-steps.ts';
import {
  checkUnits,
  type GateWeights,
  type GruUnitOptions,
  gateWeights,
  gruUnit,
  type LstmUnitOptions,
  lstmUnit,
  simpleUnit,
  type Unit,
  type UnitOptions,
} from './recurrent-units.ts';

/** How a cell is called at a step. */
export interface StepContext {
  /** True while fitting. */
  readonly training: boolean;
  /** What a cell keeps from the first step of a sequence to its last, such as what dropout leaves. */
  readonly kept: Map<string, Tensor>;
}

/**
 * One step of a recurrent layer: input and states give an output and the next states. Subclasses give `kind`, `stateShapes`, `step`, `build` where they have weights, and
 * `computeOutputShape` where the output has another shape than the first state. Shapes are those of one sample at one step. {@link rnn} makes a layer of a cell. Called
 * alone, `cell.apply([x, ...states])` gives `[output, ...states]`.
 *
 * @example
 * class Minimal extends layers.RecurrentCell {
 *   readonly kind = 'minimal';
 *   stateShapes() {
 *     return [[8]];
 *   }
 *   private kernel!: Tensor;
 *   override build([features]: number[]) {
 *     this.kernel = this.addWeight({ name: 'kernel', shape: [features!, 8], initializer: 'glorotUniform' });
 *   }
 *   step(x: Tensor, [h]: Tensor[]) {
 *     const output = tanh(add(matMul(x, this.kernel), mul(h!, 0.9)));
 *     return { output, states: [output] };
 *   }
 * }
 * layers.rnn({ cell: new Minimal() });
 */
export abstract class RecurrentCell extends Layer<Tensor[]> {
  /** The shapes of the states, for inputs of this shape. */
  abstract stateShapes(inputShape: Shape): readonly Shape[];

  /** What the cell computes of a batch at one step. */
  abstract step(x: Tensor, states: readonly Tensor[], context: StepContext): StepResult;

  override computeOutputShape(inputShape: Shape): number[] {
    return [...this.stateShapes(inputShape)[0]!];
  }

  /** The states before the first step; 0 unless a cell says otherwise. */
  initialStates(batch: number, inputShape: Shape): readonly Tensor[] {
    return this.stateShapes(inputShape).map((shape) => zeros([batch, ...shape]));
  }

  /** @internal A batch of whole sequences. By default one step after the other, each of them in the program. */
  sequence(run: SequenceRun): SequenceResult {
    const [batch, , ...sample] = run.x.shape as [number, number, ...number[]];
    const states = run.states.length > 0 ? run.states : this.initialStates(batch, sample);
    const context = { training: run.training, kept: new Map<string, Tensor>() };
    const outputShape = this.computeOutputShape(sample);
    // As Keras: before the first step the first state counts as the output, where it could be one.
    const before = states.find(({ shape }) => sameShape(shape.slice(1), outputShape));
    return runSteps({ ...run, states }, before, (x, former) =>
      this.checked(this.step(x, former, context), former),
    );
  }

  private checked(made: StepResult, former: readonly Tensor[]): StepResult {
    const fit =
      made.states.length === former.length &&
      made.states.every((s, i) => sameShape(s.shape, former[i]!.shape));
    if (fit) return made;
    const show = (states: readonly Tensor[]) => states.map(({ shape }) => showShape(shape)).join(' and ');
    throw new NablaError(
      this.name,
      `the states changed their shapes, got ${show(made.states) || 'none'}, expected ${show(former)}`,
    );
  }

  protected override shapeOf(inputShapes: readonly Shape[]): Nested<Shape> {
    const [x, ...given] = inputShapes;
    if (x === undefined) throw new NablaError(this.name, 'expected an input, got none');
    const states = this.stateShapes(x);
    // Built for an input alone, called with its states.
    const fit = given.length === states.length && given.every((shape, i) => sameShape(shape, states[i]!));
    if (given.length > 0 && !fit) {
      throw new NablaError(
        this.name,
        `the states do not fit, got samples of ${given.map(showShape).join(' and ')}, expected ${states.map(showShape).join(' and ')}`,
      );
    }
    return [this.computeOutputShape(x), ...states];
  }

  protected override call(x: Tensor, context: CallContext): Tensor[] {
    return this.callAll([x], context);
  }

  protected override callAll(xs: readonly Tensor[], { training }: CallContext): Tensor[] {
    const [x, ...given] = xs as [Tensor, ...Tensor[]];
    const states = given.length > 0 ? given : this.initialStates(x.shape[0]!, x.shape.slice(1));
    const made = this.step(x, states, { training, kept: new Map() });
    return [made.output, ...made.states];
  }
}

/** Is it of use as a cell? */
export function checkCell(where: string, cell: unknown): RecurrentCell {
  if (cell instanceof RecurrentCell) return cell;
  throw new NablaError(
    where,
    `expected a cell, got ${describe(cell)}; use layers.lstmCell() or a class that extends layers.RecurrentCell`,
  );
}

/** The cells of the kernel's units. In a layer they compute whole sequences as the layers of their names do. */
abstract class OfUnit<O extends UnitOptions> extends RecurrentCell {
  readonly kind: string;
  private readonly options: O;
  private readonly unit: Unit;
  private gates!: GateWeights;

  constructor(kind: string, options: O, unitOf: (where: string, options: O) => Unit) {
    super(options);
    this.kind = kind;
    this.options = options;
    checkUnits(this.name, options);
    this.unit = unitOf(this.name, options);
  }

  override stateShapes(inputShape: Shape): readonly Shape[] {
    const wanted = this.builtShape?.[0];
    if (inputShape.length !== 1 || (wanted !== undefined && wanted !== inputShape[0])) {
      throw new NablaError(
        this.name,
        `expected inputs [${wanted ?? 'features'}] at a step, got samples of shape ${showShape(inputShape)}`,
      );
    }
    return Array.from({ length: this.unit.states }, () => [this.options.units]);
  }

  protected override build(inputShape: Shape): void {
    this.gates = gateWeights((spec) => this.addWeight(spec), this.unit, this.options, inputShape[0]!);
  }

  override step(x: Tensor, states: readonly Tensor[], { training, kept }: StepContext): StepResult {
    const { kernel, recurrent, bias } = this.gates;
    // What dropout leaves is the same at every step.
    const left = (name: 'dropout' | 'recurrentDropout', like: Tensor) => {
      const rate = training ? (this.options[name] ?? 0) : 0;
      if (rate === 0) return undefined;
      const mask = kept.get(name) ?? dropout(ones(like.shape), rate);
      kept.set(name, mask);
      return mask;
    };
    const input = toFloats(x);
    const inputLeft = left('dropout', input);
    const sums = matMul(inputLeft === undefined ? input : mul(input, inputLeft), kernel);
    const stateLeft = left('recurrentDropout', states[0]!);
    return stepOfUnit(sums, states, this.unit.math, recurrent, biasesOf(bias), stateLeft);
  }

  override sequence(run: SequenceRun): SequenceResult {
    return runUnits(run, this.unit, this.gates, this.options);
  }
}

/** {@link simpleRNNCell}. */
export class SimpleRNNCell extends OfUnit<UnitOptions> {
  constructor(options: UnitOptions) {
    super('simpleRNNCell', options, simpleUnit);
  }
}

/** {@link lstmCell}. */
export class LSTMCell extends OfUnit<LstmUnitOptions> {
  constructor(options: LstmUnitOptions) {
    super('lstmCell', options, lstmUnit);
  }
}

/** {@link gruCell}. */
export class GRUCell extends OfUnit<GruUnitOptions> {
  constructor(options: GruUnitOptions) {
    super('gruCell', options, gruUnit);
  }
}

/** Options of {@link stackedRNNCells}. */
export interface StackedRNNCellsOptions extends LayerOptions {
  /** From the input on; each takes in what the one before gives. */
  cells: readonly RecurrentCell[];
}

/** Several cells as one, whose states are those of all of them, in their order. */
export class StackedRNNCells extends RecurrentCell {
  readonly kind = 'stackedRNNCells';
  private readonly cells: readonly RecurrentCell[];

  constructor(options: StackedRNNCellsOptions) {
    super(options);
    const where = options.name ?? 'stackedRNNCells';
    if (!Array.isArray(options.cells) || options.cells.length === 0) {
      throw new NablaError(where, `bad cells, got ${describe(options.cells)}, expected an array of cells`);
    }
    this.cells = options.cells.map((cell) => checkCell(where, cell));
  }

  /** The shape that each cell takes in. */
  private inputShapes(inputShape: Shape): Shape[] {
    const shapes = [inputShape];
    for (const cell of this.cells) shapes.push(cell.computeOutputShape(shapes.at(-1)!));
    return shapes;
  }

  override stateShapes(inputShape: Shape): readonly Shape[] {
    const shapes = this.inputShapes(inputShape);
    return this.cells.flatMap((cell, i) => cell.stateShapes(shapes[i]!));
  }

  override initialStates(batch: number, inputShape: Shape): readonly Tensor[] {
    const shapes = this.inputShapes(inputShape);
    return this.cells.flatMap((cell, i) => cell.initialStates(batch, shapes[i]!));
  }

  override computeOutputShape(inputShape: Shape): number[] {
    return [...this.inputShapes(inputShape).at(-1)!];
  }

  protected override build(inputShape: Shape): void {
    const shapes = this.inputShapes(inputShape);
    this.cells.forEach((cell, i) => {
      this.addPart(`${cell.kind}_${i}`, cell).ensureBuilt(shapes[i]!);
    });
  }

  override step(x: Tensor, states: readonly Tensor[], { training, kept }: StepContext): StepResult {
    let output = x;
    const next: Tensor[] = [];
    this.cells.forEach((cell, i) => {
      const count = cell.stateShapes(output.shape.slice(1)).length;
      const mine = states.slice(next.length, next.length + count);
      // Each cell has its own memory in that of the stack.
      const prefix = `${i}/`;
      const own = new Map(
        [...kept].flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])),
      );
      const input = output;
      const made = cell.withSeed(() => cell.step(input, mine, { training, kept: own }));
      for (const [name, tensor] of own) kept.set(prefix + name, tensor);
      output = made.output;
      next.push(...made.states);
    });
    return { output, states: next };
  }

  /** @internal Cell by cell, each over the whole sequence: the same numbers, and the kernel serves those that it knows. */
  override sequence(run: SequenceRun): SequenceResult {
    let { x } = run;
    const next: Tensor[] = [];
    let made: SequenceResult | undefined;
    for (const [i, cell] of this.cells.entries()) {
      const count = cell.stateShapes(x.shape.slice(2)).length;
      const states = run.states.slice(next.length, next.length + count);
      const sequences = run.sequences || i + 1 < this.cells.length;
      const part = { ...run, x, states, sequences };
      made = cell.withSeed(() => cell.sequence(part));
      next.push(...made.states);
      if (made.y !== undefined) x = made.y;
    }
    return { ...made!, states: next };
  }
}

/**
 * One step of a simple recurrent layer. Weights as {@link simpleRNN}'s.
 *
 * @example layers.rnn({ cell: layers.simpleRNNCell({ units: 32 }) })
 */
export function simpleRNNCell(options: UnitOptions): SimpleRNNCell {
  return new SimpleRNNCell(options);
}

/**
 * One step of an LSTM. Its states are `[h, c]`; weights as {@link lstm}'s.
 *
 * @example const [output, h, c] = layers.lstmCell({ units: 32 }).apply([x, h0, c0]);
 */
export function lstmCell(options: LstmUnitOptions): LSTMCell {
  return new LSTMCell(options);
}

/**
 * One step of a GRU. Weights as {@link gru}'s.
 *
 * @example layers.rnn({ cell: layers.gruCell({ units: 32 }), returnSequences: true })
 */
export function gruCell(options: GruUnitOptions): GRUCell {
  return new GRUCell(options);
}

/**
 * Cells on top of each other, as one cell.
 *
 * @example layers.rnn({ cell: layers.stackedRNNCells({ cells: [layers.lstmCell({ units: 64 }), layers.lstmCell({ units: 32 })] }) })
 */
export function stackedRNNCells(options: StackedRNNCellsOptions): StackedRNNCells {
  return new StackedRNNCells(options);
}
