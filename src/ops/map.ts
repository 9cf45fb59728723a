// The builder of elementwise ops: registers and micro-operations in, one map kernel call out.
import { type DType, isFloating } from '../dtype.ts';
import { NablaError } from '../errors.ts';
import { floatBits, type MicroOp } from '../program/graph.ts';
import { type MicroName, micro } from '../program/kernels.ts';
import { broadcastShapes, type Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { emit } from '../trace.ts';

/** What elementwise ops take: tensors, and numbers that become part of the program. */
export type TensorLike = Tensor | number | boolean;

/** A register of a map under construction, and whether it holds floats. */
export interface Register {
  readonly id: number;
  readonly float: boolean;
}

// Ids of micro-operations while the number of inputs is not known yet.
const microBase = 1 << 16;

/** Collects the inputs and micro-operations of one map. */
export class MapBuilder {
  private readonly where: string;
  private readonly inputs: Tensor[] = [];
  private readonly steps: MicroOp[] = [];
  private shape: number[] = [];

  constructor(where: string) {
    this.where = where;
  }

  /** A register with the argument's elements, as floats or as integers. */
  load(arg: TensorLike, as: 'float' | 'int'): Register {
    if (typeof arg === 'number' || typeof arg === 'boolean') return this.constant(Number(arg), as);
    if (!(arg instanceof Tensor)) {
      throw new NablaError(
        this.where,
        `expected a tensor or a number, got ${String(arg)}; make one with tensor()`,
      );
    }
    this.shape = broadcastShapes(this.where, this.shape, arg.shape);
    if (arg.constant !== undefined) return this.constant(arg.constant, as);
    const known = this.inputs.indexOf(arg);
    const id = known >= 0 ? known : this.inputs.push(arg) - 1;
    const register = { id, float: isFloating(arg.dtype) };
    if (register.float === (as === 'float')) return register;
    return as === 'float' ? this.op('toFloat', register) : this.op('toInt', register);
  }

  constant(value: number, as: 'float' | 'int'): Register {
    const word = as === 'float' ? floatBits(value) : value | 0;
    return this.push(as === 'float' ? 'constant' : 'constantInt', [word], as === 'float');
  }

  /** The index of each element in the output, row-major. */
  index(): Register {
    return this.push('index', [], false);
  }

  /** Uniform random numbers in [0, 1), from the state `[keyLo, keyHi, step]`. */
  random(state: Tensor, stream: number): Register {
    return this.push('random', [this.inputs.push(state) - 1, stream], true);
  }

  op(name: MicroName, ...args: Register[]): Register {
    return this.push(
      name,
      args.map(({ id }) => id),
      micro[name].signature.endsWith('f'),
    );
  }

  /**
   * Emits the map; the last register made is its result. `shape` is what the inputs broadcast to unless given. float32 stands for the inputs'
   * floating-point dtype unless it is `exact`.
   */
  build(dtype: DType, shape: Shape = this.shape, exact = false): Tensor {
    const { inputs, steps, where } = this;
    const renumber = (id: number) => (id >= microBase ? id - microBase + inputs.length : id);
    const numbered = steps.map(({ op, args }) => ({
      op,
      args: args.map((arg, i) => (micro[op].signature[i] === '#' ? arg : renumber(arg))),
    }));
    return emit({
      kernel: 'map',
      outputs: [{ shape, dtype, exact }],
      inputs,
      attributes: [],
      micro: numbered,
      where,
    })[0]!;
  }

  private push(op: MicroName, args: number[], float: boolean): Register {
    return { id: microBase + this.steps.push({ op, args }) - 1, float };
  }
}
