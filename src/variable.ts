// Variables: tensors whose numbers change in place, such as the weights of a model.
import type { Constraint } from './constraints.ts';
import { type DataOf, type DType, isFloating, toStored } from './dtype.ts';
import type { Storage } from './engine.ts';
import { NablaError } from './errors.ts';
import { contiguousCopy } from './program/compile.ts';
import type { Regularizer } from './regularizers.ts';
import { sameShape, showShape } from './shape.ts';
import { bytesOf, Tensor } from './tensor.ts';
import { tracing, valueOf } from './trace.ts';

/** A tensor in memory that can be assigned to. Ops read its current numbers; programs that were traced over it do too. */
export class Variable<D extends DType = DType> extends Tensor<D> {
  /** Layer and weight, `dense_1/kernel`. */
  name: string;
  /** Whether optimizers change it. */
  trainable: boolean;
  /** @internal What it adds to the loss while it is trained. */
  regularizer: Regularizer | undefined;
  /** @internal What it is brought back to after each step. */
  constraint: Constraint | undefined;

  constructor(initial: Tensor<D>, name: string, trainable = true) {
    const { storage, byteOffset } = initial.memory(name);
    super(initial.shape, initial.dtype, { kind: 'memory', storage, byteOffset });
    this.name = name;
    this.trainable = trainable;
    this.keep();
  }

  /** @internal Weights that are trained are read in the dtype that a layer computes in; what is only tracked, such as moving means, is not. */
  override get autocasts(): boolean {
    return this.trainable && this.dtype === 'float32';
  }

  /** Takes over the numbers of a tensor of the same shape and dtype. In a trace the program assigns them as it runs. */
  assign(value: Tensor): void {
    const floats = isFloating(value.dtype) && isFloating(this.dtype);
    if (!sameShape(value.shape, this.shape) || !(floats || value.dtype === this.dtype)) {
      throw new NablaError(
        this.name,
        `cannot assign, got ${value}, expected ${this.dtype}${showShape(this.shape)}; reshape() or cast() it`,
      );
    }
    const graph = tracing();
    if (graph === undefined) {
      const { storage, byteOffset } = this.memory(this.name);
      storage.engine.backend.write(
        storage.handle,
        byteOffset,
        toStored(value.dataSync() as DataOf<D>, this.dtype),
      );
      return;
    }
    graph.addEffect({
      kernel: 'copy',
      outputs: [valueOf(graph, this, this.name)],
      inputs: [valueOf(graph, value, this.name)],
      attributes: contiguousCopy(this.size),
      where: this.name,
    });
  }

  /** @internal Moves the numbers into other memory, where they stay from then on. */
  moveTo(storage: Storage, byteOffset: number): void {
    const source = this.source as { storage: Storage; byteOffset: number };
    const numbers = toStored(this.dataSync(), this.dtype);
    storage.engine.backend.write(storage.handle, byteOffset, numbers);
    storage.retain();
    source.storage.release();
    source.storage = storage;
    source.byteOffset = byteOffset;
  }

  /** Bytes of its numbers. */
  get bytes(): number {
    return bytesOf(this);
  }
}
