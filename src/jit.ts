// jit: a function of tensors is traced once for each combination of shapes and dtypes, and its program replayed.
import { type Engine, Executable, engine, type Storage } from './engine.ts';
import { NablaError } from './errors.ts';
import { statesDrawn } from './ops/random.ts';
import { Graph } from './program/graph.ts';
import { Tensor, tensorsIn } from './tensor.ts';
import { empty, placeName, trace, tracing, valueOf } from './trace.ts';

/** Arrays and objects of tensors, as jitted functions take and give them. */
export type TensorTree = Tensor | readonly TensorTree[] | { readonly [key: string]: TensorTree };

/** A jitted function. */
export interface Jitted<A extends TensorTree[], R extends TensorTree> {
  (...args: A): R;
  /** The listing of the program for these arguments. */
  print(...args: A): string;
  /** Unloads the programs. */
  dispose(): void;
}

interface Traced<R> {
  readonly executable: Executable;
  readonly shape: R;
  readonly outputs: readonly Tensor[];
}

/**
 * A function that runs as one program. `f` must be a pure function of its tensor arguments: it runs once for each combination of their shapes and
 * dtypes, and whatever else it reads then is fixed, except variables, whose current values are used.
 *
 * @example const step = jit((x, w) => relu(matMul(x, w)));
 */
export function jit<A extends TensorTree[] = Tensor[], R extends TensorTree = TensorTree>(
  f: (...args: A) => R,
): Jitted<A, R> {
  const traced = new Map<string, Traced<R>>();

  const prepare = (args: A): { program: Traced<R>; inputs: Tensor[] } => {
    const inputs = tensorsIn(args);
    const home = inputs[0]?.memory('jit').storage.engine ?? engine();
    for (const input of inputs) checkHome(home, input.memory('jit').storage);
    const key = describeTree(args);
    let program = traced.get(key);
    if (program === undefined || program.executable.engine !== home || program.executable.stale) {
      program?.executable.unload();
      program = record(home, f, args, inputs);
      traced.set(key, program);
    }
    return { program, inputs };
  };

  const call = (...args: A): R => {
    // Inside another trace the function is a part of it.
    if (tracing() !== undefined) return f(...args);
    const { program, inputs } = prepare(args);
    const home = inputs[0]?.memory('jit').storage.engine ?? engine();
    const results = program.outputs.map((out) => empty(home, out.shape, out.dtype));
    try {
      program.executable.run(
        inputs.map((input) => input.memory('jit')),
        results.map((result) => result.memory('jit')),
      );
    } catch (error) {
      for (const result of results) result.dispose();
      throw error;
    }
    let next = 0;
    return mapTree(program.shape, () => results[next++]!);
  };
  return Object.assign(call, {
    print: (...args: A) => prepare(args).program.executable.print(),
    dispose: () => {
      for (const { executable } of traced.values()) executable.unload();
      traced.clear();
    },
  });
}

function record<A extends TensorTree[], R extends TensorTree>(
  home: Engine,
  f: (...args: A) => R,
  args: A,
  inputs: readonly Tensor[],
): Traced<R> {
  const graph = new Graph();
  const symbols = inputs.map((input) => {
    const value = graph.input(input.shape, input.dtype);
    return new Tensor(input.shape, input.dtype, { kind: 'traced', graph, value });
  });
  let next = 0;
  const shape = trace(graph, () => {
    const result = f(...mapTree(args, () => symbols[next++]!));
    if (result instanceof Promise) {
      throw new NablaError(
        'jit',
        'the function is async, got a promise, expected tensors; trace synchronous functions',
      );
    }
    advanceRandom(graph);
    return result;
  });
  const outputs = tensorsIn(shape);
  if (outputs.length === 0) throw new NablaError('jit', `the function gave no tensor, got ${typeof shape}`);
  for (const output of outputs) graph.outputs.push(valueOf(graph, output, 'jit'));
  const executable = new Executable(home, graph);
  try {
    for (const storage of executable.captured) checkHome(home, storage);
  } catch (error) {
    executable.unload();
    throw error;
  }
  return { executable, shape, outputs };
}

/** A program runs on one backend, with memory of that backend only. */
function checkHome(home: Engine, storage: Storage): void {
  if (storage.engine === home) return;
  throw new NablaError(
    'jit',
    `tensors of two backends are mixed, got ${home.backend.info.name} and ${storage.engine.backend.info.name}; ` +
      'copy one over with tensor(await t.data(), t.shape)',
  );
}

/** Lets the program count the generators on that it draws from. */
export function advanceRandom(graph: Graph): void {
  for (const state of statesDrawn(graph)) {
    const { storage, byteOffset } = state.memory('random');
    const step = graph.external({ storage, byteOffset: byteOffset + 8 }, [1], 'int32');
    graph.addEffect({
      kernel: 'map',
      outputs: [step],
      inputs: [step],
      attributes: [],
      micro: [
        { op: 'constantInt', args: [1] },
        { op: 'addInt', args: [0, 1] },
      ],
      where: placeName('random'),
    });
  }
}

function describeTree(tree: TensorTree | readonly TensorTree[]): string {
  if (tree instanceof Tensor) return `${tree.dtype}[${tree.shape}]`;
  if (Array.isArray(tree)) return `(${tree.map(describeTree).join(',')})`;
  if (tree !== null && typeof tree === 'object') {
    return `{${Object.entries(tree).map(([key, value]) => `${key}:${describeTree(value)}`)}}`;
  }
  throw new NablaError('jit', `arguments must be tensors or arrays and objects of them, got ${String(tree)}`);
}

/** The tree with every tensor replaced. */
function mapTree<T>(tree: T, replace: (tensor: Tensor) => Tensor): T {
  if (tree instanceof Tensor) return replace(tree) as T;
  if (Array.isArray(tree)) return tree.map((item) => mapTree(item, replace)) as T;
  if (tree !== null && typeof tree === 'object') {
    return Object.fromEntries(
      Object.entries(tree).map(([key, value]) => [key, mapTree(value, replace)]),
    ) as T;
  }
  return tree;
}
