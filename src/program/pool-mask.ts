// Moves the gradient of relu from before a max pooling to after it, where there is less to mask.
import { type Node, Value } from './graph.ts';
import { type MicroName, poolKinds } from './kernels.ts';

/**
 * The gradient of `maxPool(relu(z))` masks what poolGrad gives by `relu(z) > 0`. A gradient that passes the pooling belongs to an
 * element that equals the window's maximum, so masking by `maximum > 0` before gives the same numbers, and the large array is
 * passed over once less. Gives `nodes` itself where there is nothing to move. `kept` are values that must be in memory, `readers` counts the nodes that read a value.
 */
export function maskBeforePool(
  nodes: Node[],
  kept: ReadonlySet<Value>,
  readers: ReadonlyMap<Value, number>,
): Node[] {
  const out = [...nodes];
  let moved = false;
  const pools = new Map<Value, number>();
  nodes.forEach((node, position) => {
    const [made] = node.outputs;
    if (node.kernel === 'poolGrad' && node.attributes[0] === poolKinds.max && made) pools.set(made, position);
    const masked = maskedByRelu(node);
    if (masked === undefined) return;
    const pool = pools.get(masked.gradient);
    if (pool === undefined || readers.get(masked.gradient) !== 1 || kept.has(masked.gradient)) return;
    const { inputs } = nodes[pool]!;
    const [x, y, dy] = inputs;
    if (x !== masked.activated || y === undefined || dy === undefined) return;
    // Memory outside the program may be written in between.
    if (![x, y, dy].every((value) => value.root().value.source.kind === 'node')) return;
    const maskedDy = new Value(dy.shape, dy.dtype, { kind: 'node' });
    const swapped = node.inputs.map((input) => (input === masked.gradient ? dy : y));
    out[pool] = { ...node, inputs: swapped, outputs: [maskedDy] };
    out[position] = { ...nodes[pool]!, inputs: [x, y, maskedDy], outputs: node.outputs };
    moved = true;
  });
  return moved ? out : nodes;
}

/** What a map that is no more than `where(0 < activated, gradient, 0)` reads. */
function maskedByRelu({
  kernel,
  effect,
  inputs,
  micro,
}: Node): { activated: Value; gradient: Value } | undefined {
  if (kernel !== 'map' || effect || inputs.length !== 2 || micro?.length !== 4) return undefined;
  const step = (register: number | undefined, op: MicroName) => {
    const found = register === undefined ? undefined : micro[register - inputs.length];
    return found?.op === op ? found.args : undefined;
  };
  const isZero = (register: number | undefined) => step(register, 'constant')?.[0] === 0;
  const [condition, gradient, otherwise] = step(inputs.length + 3, 'select') ?? [];
  const [limit, activated] = step(condition, 'less') ?? [];
  if (!isZero(limit) || !isZero(otherwise) || activated === gradient) return undefined;
  const [a, g] = [inputs[activated!], inputs[gradient!]];
  return a && g ? { activated: a, gradient: g } : undefined;
}
