// Floats of 16 bits in a program: kernels that take float32 only get it just before, and conversions go where kernels convert by themselves.
import { dtypeBytes, isHalf } from '../dtype.ts';
import { type Node, Value } from './graph.ts';
import { gatherModes, type KernelName, kernels } from './kernels.ts';

// Kernels that read and write dtypes of 16 bits and float32, as native/program/widen.cpp and the rules of map and copy say.
const takesBoth: ReadonlySet<KernelName> = new Set<KernelName>([
  'map',
  'copy',
  'gemm',
  'reduce',
  'conv',
  'convInputGrad',
  'convFilterGrad',
  'pool',
  'poolGrad',
  'softmax',
  'softmaxGrad',
  'normalize',
  'normalizeGrad',
  'attention',
  'attentionGrad',
]);

const gatherMode = kernels.gather.attributes.indexOf('mode');

/** Does it copy rows of one dtype, whichever that is? */
function copiesRows(node: Node): boolean {
  return (
    node.kernel === 'gather' &&
    node.attributes[gatherMode] === gatherModes.copy &&
    node.inputs[0]?.dtype === node.outputs[0]?.dtype
  );
}

/** What a node converts between floating-point dtypes, if it does nothing else. */
function conversionOf(node: Node): { from: Value; to: Value } | undefined {
  const [from, to] = [node.inputs[0], node.outputs[0]];
  const only = node.kernel === 'map' && node.micro?.length === 1 && node.micro[0]!.op === 'identity';
  return only && !node.effect && from && to && from.dtype !== to.dtype ? { from, to } : undefined;
}

/** Conversions that were met: what was converted, and after how many effects. */
interface Origin {
  readonly from: Value;
  readonly effects: number;
}

class Settling {
  readonly out: Node[] = [];
  private readonly kept: ReadonlySet<Value>;
  private readonly readers: ReadonlyMap<Value, number>;
  private readonly producers = new Map<Value, number>();
  private readonly origins = new Map<Value, Origin>();
  private effects = 0;

  constructor(kept: ReadonlySet<Value>, readers: ReadonlyMap<Value, number>) {
    this.kept = kept;
    this.readers = readers;
  }

  take(node: Node): void {
    const conversion = conversionOf(node);
    if (conversion !== undefined) {
      if (this.absorb(conversion.from, conversion.to)) return;
      this.origins.set(conversion.to, { from: conversion.from, effects: this.effects });
      this.push(node);
      return;
    }
    if (node.effect) this.effects++;
    if (copiesRows(node)) {
      this.push(node);
      return;
    }
    const both = takesBoth.has(node.kernel);
    const inputs = node.inputs.map((value) => value && this.input(value, both, node.where));
    if (both || node.effect) {
      this.push({ ...node, inputs });
      return;
    }
    const after: Node[] = [];
    const outputs = node.outputs.map((value) => {
      if (!isHalf(value?.dtype) || value === undefined) return value;
      const exact = new Value(value.shape, 'float32', { kind: 'node' });
      after.push(convert(exact, value, node.where));
      return exact;
    });
    this.push({ ...node, inputs, outputs });
    for (const each of after) this.push(each);
  }

  private push(node: Node): void {
    const at = this.out.push(node) - 1;
    if (!node.effect) for (const value of node.outputs) if (value) this.producers.set(value, at);
  }

  /** Has the kernel that made `from` write `to` in its place, where nobody else reads it. */
  private absorb(from: Value, to: Value): boolean {
    const { value: root, byteOffset } = from.root();
    const at = this.producers.get(root);
    const producer = at === undefined ? undefined : this.out[at];
    const alone = this.readers.get(root) === 1 && !this.kept.has(root);
    // float32 that is read again much later is better kept in 16 bits.
    const short = isHalf(to.dtype) || this.kept.has(to) || this.readers.get(to) === 1;
    const whole = byteOffset === 0 && root.size === from.size;
    if (producer === undefined || !alone || !short || !whole) return false;
    // Maps are merged with the conversion anyway.
    if (producer.kernel === 'map' || !takesBoth.has(producer.kernel) || producer.effect) return false;
    const writers = this.out.filter(({ outputs }) => outputs.includes(root));
    if (writers.length > 1) return false;
    this.out[at!] = { ...producer, outputs: producer.outputs.map((value) => (value === root ? to : value)) };
    this.producers.delete(root);
    this.producers.set(to, at!);
    return true;
  }

  /** What a kernel reads in the place of a value. */
  private input(value: Value, both: boolean, where: string): Value {
    const { value: root } = value.root();
    const origin = this.origins.get(root);
    if (origin !== undefined) {
      const source = origin.from.root().value.source.kind;
      const unchanged = source === 'node' || origin.effects === this.effects;
      const part = unchanged ? samePart(value, root, origin.from) : value;
      // A weight is read as it is, rounded nowhere; what was computed in float32 is let go of once it has 16 bits.
      if (root.dtype === 'float32') return both || !unchanged ? part : this.exact(part, where);
      if (unchanged && source !== 'node') return isHalf(part.dtype) && !both ? this.exact(part, where) : part;
    }
    return isHalf(value.dtype) && !both ? this.exact(value, where) : value;
  }

  /** A float32 twin of the value, for the next kernel only. */
  private exact(value: Value, where: string): Value {
    const exact = new Value(value.shape, 'float32', { kind: 'node' });
    this.push(convert(value, exact, where));
    return exact;
  }
}

/** The part of `of` that `value` is of `root`; both have as many numbers. */
function samePart(value: Value, root: Value, of: Value): Value {
  if (value === root) return of;
  const elements = value.root().byteOffset / dtypeBytes[root.dtype];
  const byteOffset = elements * dtypeBytes[of.dtype];
  return new Value(value.shape, of.dtype, { kind: 'view', of, byteOffset });
}

function convert(from: Value, to: Value, where: string): Node {
  const micro = [{ op: 'identity', args: [0] }] as const;
  return { kernel: 'map', outputs: [to], inputs: [from], attributes: [], micro, where, effect: false };
}

/**
 * The nodes with 16 bits only where kernels take them. Sums of conversions that a kernel makes by itself go away with their rounding: a program
 * may be more exact than its ops one by one, never less.
 */
export function settleHalves(
  nodes: readonly Node[],
  kept: ReadonlySet<Value>,
  readers: ReadonlyMap<Value, number>,
): readonly Node[] {
  const has = (values: readonly (Value | undefined)[]) => values.some((value) => isHalf(value?.dtype));
  if (!nodes.some(({ inputs, outputs }) => has(inputs) || has(outputs))) return nodes;
  const settling = new Settling(kept, readers);
  for (const node of nodes) settling.take(node);
  return settling.out;
}
