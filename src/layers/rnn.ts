// RNN: a recurrent layer of any cell.
import { describe, NablaError } from '../errors.ts';
import type { Nested } from '../nested.ts';
import { type Shape, showShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkCell, type RecurrentCell } from './cells.ts';
import type { SequenceOutput } from './recurrent.ts';
import { Recurrent, type SequenceOptions } from './recurrent-base.ts';
import type { SequenceResult, SequenceRun } from './recurrent-steps.ts';

/** Options of {@link rnn}. */
export interface RNNOptions extends SequenceOptions {
  /** What is done at each step; or several cells on top of each other, from the input on. */
  cell: RecurrentCell;
}

/** A cell over the steps of sequences `[time, ...]`. */
export class RNN<R extends Nested<Tensor> = Tensor> extends Recurrent<RNNOptions, R> {
  private readonly cell: RecurrentCell;

  constructor(options: RNNOptions) {
    super('rnn', options);
    this.cell = checkCell(this.name, options?.cell);
  }

  override variant(): never {
    throw new NablaError(
      this.name,
      `a layer like this one cannot be made, got a cell ${describe(this.cell.kind)}; give backwardLayer: layers.rnn({ cell, goBackwards: true })`,
    );
  }

  override stateShapes(inputShape: Shape): readonly Shape[] {
    return this.cell.stateShapes(inputShape.slice(1));
  }

  protected override stepShape(inputShape: Shape): number[] {
    if (inputShape.length < 2) {
      throw new NablaError(
        this.name,
        `expected sequences [time, ...], got samples of shape ${showShape(inputShape)}`,
      );
    }
    return this.cell.computeOutputShape(inputShape.slice(1));
  }

  protected override build(inputShape: Shape): void {
    this.addPart(this.cell.kind, this.cell).ensureBuilt(inputShape.slice(1));
  }

  protected override run(run: SequenceRun): SequenceResult {
    return this.cell.withSeed(() => this.cell.sequence(run));
  }
}

/**
 * A recurrent layer of any cell: sequences `[time, ...]` give the last output, or with `returnSequences` all of them, and with `returnState` the states besides.
 *
 * The cells of this library run on the same kernel as the layers, stacked ones too. A cell of your own is unrolled: every step's ops are in the program, so that its length,
 * and the time to trace it, grow with the sequence. Up to some hundred steps that is of no concern.
 *
 * @example
 * layers.rnn({ cell: layers.gruCell({ units: 32 }) });
 * const cells = [layers.lstmCell({ units: 64 }), layers.lstmCell({ units: 64 })];
 * layers.rnn({ cell: layers.stackedRNNCells({ cells }), returnSequences: true });
 */
export function rnn<S extends boolean = false>(
  options: RNNOptions & { returnState?: S },
): RNN<SequenceOutput<S>> {
  return new RNN(options);
}
