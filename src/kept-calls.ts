// The programs of kernel calls that were made at once before, found by comparing the calls: cheaper than a text that says all of a call.
import type { DType } from './dtype.ts';
import type { Executable } from './engine.ts';
import { kernels, micro } from './program/kernels.ts';
import { type Shape, sameShape } from './shape.ts';
import type { KernelCall } from './trace.ts';

/** What matters of an operand. */
interface Kind {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A call and its program. */
interface Kept {
  readonly call: Pick<KernelCall, 'kernel' | 'attributes' | 'micro'>;
  readonly inputs: readonly (Kind | undefined)[];
  readonly outputs: readonly (Kind | undefined)[];
  readonly program: Executable;
  /** Another one of the same hash. */
  readonly next: Kept | undefined;
  /** How many there are from here on. */
  readonly length: number;
}

const mostHashes = 4096;
const mostOfHash = 4;

/** The calls of one engine. */
export class KeptCalls {
  private readonly byHash = new Map<number, Kept>();

  /** The program of a call like this one, unless it was unloaded. */
  find(call: KernelCall): Executable | undefined {
    let kept = this.byHash.get(hashOf(call));
    while (kept !== undefined && !isSame(kept, call)) kept = kept.next;
    return kept === undefined || kept.program.unloaded ? undefined : kept.program;
  }

  add(call: KernelCall, program: Executable): void {
    if (this.byHash.size >= mostHashes) this.byHash.clear();
    const hash = hashOf(call);
    let next = this.byHash.get(hash);
    // One whose program was unloaded in the meantime.
    if (next !== undefined && isSame(next, call)) next = next.next;
    if (next !== undefined && next.length >= mostOfHash) next = undefined;
    const { kernel, attributes, micro: steps } = call;
    this.byHash.set(hash, {
      call: { kernel, attributes: [...attributes], micro: steps },
      inputs: call.inputs.map(kindOf),
      outputs: call.outputs.map(kindOf),
      program,
      next,
      length: 1 + (next?.length ?? 0),
    });
  }

  clear(): void {
    this.byHash.clear();
  }
}

function kindOf(operand: Kind | undefined): Kind | undefined {
  return operand && { dtype: operand.dtype, shape: [...operand.shape] };
}

function hashOf({ kernel, inputs, outputs, attributes, micro: steps }: KernelCall): number {
  let hash: number = kernels[kernel].opcode;
  for (const input of inputs) hash = input === undefined ? hash + 1 : hashNumbers(hash, input.shape);
  for (const output of outputs) hash = output === undefined ? hash + 1 : hashNumbers(hash, output.shape);
  hash = hashNumbers(hash, attributes);
  if (steps !== undefined) {
    for (const { op, args } of steps) hash = hashNumbers(hash + micro[op].code, args);
  }
  // Within the engines' small integers.
  return hash & 0x3fffffff;
}

function hashNumbers(seed: number, numbers: readonly number[]): number {
  let hash = Math.imul(seed, 31) + numbers.length;
  for (let i = 0; i < numbers.length; i++) hash = Math.imul(hash, 31) + (numbers[i]! | 0);
  return hash | 0;
}

function isSame(kept: Kept, call: KernelCall): boolean {
  return (
    kept.call.kernel === call.kernel &&
    sameShape(kept.call.attributes, call.attributes) &&
    sameKinds(kept.inputs, call.inputs) &&
    sameKinds(kept.outputs, call.outputs) &&
    sameSteps(kept.call.micro, call.micro)
  );
}

function sameKinds(x: readonly (Kind | undefined)[], y: readonly (Kind | undefined)[]): boolean {
  if (x.length !== y.length) return false;
  for (let i = 0; i < x.length; i++) {
    const [one, other] = [x[i], y[i]];
    if (one === undefined || other === undefined) {
      if (one !== other) return false;
    } else if (one.dtype !== other.dtype || !sameShape(one.shape, other.shape)) return false;
  }
  return true;
}

function sameSteps(x: KernelCall['micro'], y: KernelCall['micro']): boolean {
  if (x === undefined || y === undefined) return x === y;
  if (x.length !== y.length) return false;
  for (let i = 0; i < x.length; i++) {
    if (x[i]!.op !== y[i]!.op || !sameShape(x[i]!.args, y[i]!.args)) return false;
  }
  return true;
}
