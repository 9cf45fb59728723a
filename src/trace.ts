// Tracing and running: an op inside a trace becomes a node of its graph, outside of one it runs at once as a program of its own.
import type { DType } from './dtype.ts';
import { dtypeBytes, isFloating } from './dtype.ts';
import { type Bound, type Engine, type Executable, engine, Storage } from './engine.ts';
import { NablaError } from './errors.ts';
import { Graph, type MicroOp, type Node, Value } from './program/graph.ts';
import type { KernelName } from './program/kernels.ts';
import { checkShape, type Shape, sizeOf } from './shape.ts';
import { Tensor } from './tensor.ts';

/** What a kernel call is to produce. */
export interface OutputSpec {
  readonly shape: Shape;
  /** float32 stands for that of the inputs: where all floating-point inputs are bfloat16, so is the output. */
  readonly dtype: DType;
  /** float32 means float32, whatever the inputs are. */
  readonly exact?: boolean;
}

/** A kernel call, as ops make it. */
export interface KernelCall {
  readonly kernel: KernelName;
  readonly outputs: readonly (OutputSpec | undefined)[];
  readonly inputs: readonly (Tensor | undefined)[];
  readonly attributes: readonly number[];
  readonly micro?: readonly MicroOp[];
  readonly where: string;
}

const traces: Graph[] = [];
const names: string[] = [];
// What layers compute in, the innermost last; undefined: in the dtype of what they are given.
const computing: (ComputeDType | undefined)[] = [];

/** What a layer may compute in other than float32. */
export type ComputeDType = 'bfloat16';

/** The dtype that weights are read in and that layers' numbers have; undefined where nothing is converted. */
export function computeDType(): ComputeDType | undefined {
  return computing.at(-1);
}

/** Runs `body` with weights read in a dtype, or as they are. */
export function computeIn<T>(dtype: ComputeDType | undefined, body: () => T): T {
  computing.push(dtype);
  try {
    return body();
  } finally {
    computing.pop();
  }
}

/** Floating-point numbers in another dtype. Without a gradient: ops record theirs. */
export function convert<D extends 'float32' | 'bfloat16'>(x: Tensor, dtype: D, where = 'cast'): Tensor<D> {
  return computeIn(
    undefined,
    () =>
      emit({
        kernel: 'map',
        outputs: [{ shape: x.shape, dtype, exact: true }],
        inputs: [x],
        attributes: [],
        micro: [{ op: 'identity', args: [0] }],
        where,
      })[0] as Tensor<D>,
  );
}

const isHalf = (input: Tensor | undefined) => input?.dtype === 'bfloat16';

/** The calls with weights in the dtype that is computed in, and with outputs in that of the inputs. */
function settled(calls: readonly KernelCall[]): readonly KernelCall[] {
  const dtype = computeDType();
  if (dtype === undefined && !calls.some(({ inputs }) => inputs.some(isHalf))) return calls;
  const read = (input: Tensor | undefined) =>
    dtype !== undefined && input?.autocasts ? convert(input, dtype) : input;
  const ready =
    dtype === undefined ? calls : calls.map((call) => ({ ...call, inputs: call.inputs.map(read) }));
  const floats = ready.flatMap(({ inputs }) => inputs.filter((x) => x !== undefined && isFloating(x.dtype)));
  if (floats.length === 0 || floats.some((x) => x!.dtype !== 'bfloat16')) return ready;
  return ready.map((call) => ({
    ...call,
    outputs: call.outputs.map((out) =>
      out?.dtype === 'float32' && !out.exact ? { shape: out.shape, dtype: 'bfloat16' as const } : out,
    ),
  }));
}

/** The graph that is being traced, if one is. */
export function tracing(): Graph | undefined {
  return traces.at(-1);
}

/** Do ops run at once, on numbers as they are? */
export function isEager(): boolean {
  return traces.length === 0 && (computing.length === 0 || computeDType() === undefined);
}

/** A kernel call that was run at once. */
export interface Observed {
  readonly program: Executable;
  readonly inputs: readonly Tensor[];
  readonly result: Tensor;
}

// Who wants to know of kernel calls that are run at once, the innermost only.
let observer: { calls: number; last: Observed | undefined } | undefined;

/** Runs `body` and says which kernel call it made, if it made exactly one, of one result. */
export function observeRun<T>(body: () => T): { result: T; observed: Observed | undefined } {
  const outer = observer;
  const mine: NonNullable<typeof observer> = { calls: 0, last: undefined };
  observer = mine;
  try {
    const result = body();
    return { result, observed: mine.calls === 1 ? mine.last : undefined };
  } finally {
    observer = outer;
    // Of what runs inside of it only the first knows: for the others it is more than one call.
    if (outer !== undefined) outer.calls += 2;
  }
}

/** Runs `body` with its ops recorded in `graph`. */
export function trace<T>(graph: Graph, body: () => T): T {
  traces.push(graph);
  try {
    return body();
  } finally {
    traces.pop();
  }
}

/** Runs `body` outside of any trace: what it computes is computed now. */
export function untraced<T>(body: () => T): T {
  const outer = traces.splice(0);
  try {
    return computeIn(undefined, body);
  } finally {
    traces.push(...outer);
  }
}

/** Runs `body` with its ops named after a layer, for errors and listings. */
export function named<T>(name: string, body: () => T): T {
  names.push(name);
  try {
    return body();
  } finally {
    names.pop();
  }
}

/** The name of an op for an error or a listing: the layer's, where one is being called. */
export function placeName(op: string): string {
  const layer = names.at(-1);
  return layer === undefined ? op : layer;
}

/** The graph's value for a tensor: its own, or the memory that a tensor from outside lies in. */
export function valueOf(graph: Graph, tensor: Tensor, where: string): Value {
  if (tensor.source.kind === 'memory') {
    const { storage, byteOffset } = tensor.memory(where);
    return graph.external({ storage, byteOffset }, tensor.shape, tensor.dtype);
  }
  if (tensor.source.graph !== graph) {
    throw new NablaError(
      where,
      'a tensor of another traced function is used here; return it from that function instead of keeping it',
    );
  }
  return tensor.source.value;
}

/** Makes a kernel call: into the trace, or at once. Gives a tensor for each output that is asked for. */
export function emit(given: KernelCall): (Tensor | undefined)[] {
  for (const out of given.outputs) if (out) checkShape(given.where, out.shape);
  const call = settled([given])[0]!;
  const graph = tracing();
  return graph === undefined ? emitNow(call) : emitNode(graph, call);
}

/** Several kernel calls that each write a part of one output. The first may write all of it. */
export function emitParts(given: readonly KernelCall[]): Tensor {
  const calls = settled(given);
  const { shape, dtype } = calls[0]!.outputs[0]!;
  checkShape(calls[0]!.where, shape);
  const write = (graph: Graph, inputsOf: (call: KernelCall) => (Value | undefined)[]) => {
    const whole = new Value(shape, dtype, { kind: 'node' });
    for (const call of calls) graph.add(nodeOf(call, [whole], inputsOf(call)));
    return whole;
  };
  const graph = tracing();
  if (graph !== undefined) {
    const value = write(graph, (call) =>
      call.inputs.map((input) => input && valueOf(graph, input, call.where)),
    );
    return new Tensor(shape, dtype, { kind: 'traced', graph, value });
  }
  const home = engineOf(calls);
  const program = home.cached(calls.map(keyOf).join('&'), () => {
    const made = new Graph();
    made.outputs.push(
      write(made, (call) => call.inputs.map((input) => input && made.input(input.shape, input.dtype))),
    );
    return made;
  });
  const result = empty(home, shape, dtype);
  const inputs = calls.flatMap((call) =>
    call.inputs.flatMap((input) => (input ? [input.memory(call.where)] : [])),
  );
  program.run(inputs, [result.memory('output')]);
  if (observer !== undefined) observer.calls += calls.length + 1;
  return result;
}

function emitNode(graph: Graph, call: KernelCall): (Tensor | undefined)[] {
  const inputs = call.inputs.map((input) => input && valueOf(graph, input, call.where));
  const outputs = call.outputs.map((out) => out && new Value(out.shape, out.dtype, { kind: 'node' }));
  graph.add(nodeOf(call, outputs, inputs));
  return outputs.map(
    (value) => value && new Tensor(value.shape, value.dtype, { kind: 'traced', graph, value }),
  );
}

function nodeOf(
  call: KernelCall,
  outputs: readonly (Value | undefined)[],
  inputs: readonly (Value | undefined)[],
): Omit<Node, 'effect'> {
  const { kernel, attributes, micro, where } = call;
  const node = { kernel, outputs, inputs, attributes, where: placeName(where) };
  return micro === undefined ? node : { ...node, micro };
}

function emitNow(call: KernelCall): (Tensor | undefined)[] {
  const home = engineOf([call]);
  const program = home.calls.find(call) ?? programOf(home, call);
  const results = call.outputs.map((out) => out && empty(home, out.shape, out.dtype));
  const bound: Bound[] = [];
  for (const input of call.inputs) if (input !== undefined) bound.push(input.memory(call.where));
  const made: Bound[] = [];
  for (const result of results) if (result !== undefined) made.push(result.memory(call.where));
  try {
    program.run(bound, made);
  } catch (error) {
    for (const result of results) result?.dispose();
    throw error;
  }
  if (observer !== undefined) observe(observer, program, call, results);
  return results;
}

function programOf(home: Engine, call: KernelCall): Executable {
  const program = home.cached(keyOf(call), () => {
    const graph = new Graph();
    const inputs = call.inputs.map((input) => input && graph.input(input.shape, input.dtype));
    const outputs = call.outputs.map((out) => out && new Value(out.shape, out.dtype, { kind: 'node' }));
    graph.add(nodeOf(call, outputs, inputs));
    for (const out of outputs) if (out) graph.outputs.push(out);
    return graph;
  });
  home.calls.add(call, program);
  return program;
}

function observe(
  by: NonNullable<typeof observer>,
  program: Executable,
  call: KernelCall,
  results: readonly (Tensor | undefined)[],
): void {
  by.calls++;
  const [result, ...more] = results.filter((each) => each !== undefined);
  const inputs = call.inputs.filter((input) => input !== undefined);
  by.last = result === undefined || more.length > 0 ? undefined : { program, inputs, result };
}

function engineOf(calls: readonly KernelCall[]): Engine {
  let home: Engine | undefined;
  for (const { inputs, where } of calls) {
    for (const input of inputs) {
      if (input === undefined) continue;
      const { storage } = input.memory(where);
      if (home !== undefined && storage.engine !== home) {
        throw new NablaError(
          where,
          `tensors of two backends are mixed, got ${home.backend.info.name} and ` +
            `${storage.engine.backend.info.name}; copy one over with tensor(await t.data(), t.shape)`,
        );
      }
      home = storage.engine;
    }
  }
  return home ?? engine();
}

function keyOf(call: KernelCall): string {
  let key: string = call.kernel;
  for (const input of call.inputs) key += input ? `|${input.dtype}${input.shape}` : '|-';
  key += '>';
  for (const out of call.outputs) key += out ? `|${out.dtype}${out.shape}` : '|-';
  key += `>${call.attributes}`;
  if (call.micro) for (const { op, args } of call.micro) key += `;${op} ${args}`;
  return key;
}

/** A tensor in memory that holds anything, for what is written before it is read. */
export function empty<D extends DType>(home: Engine, shape: Shape, dtype: D): Tensor<D> {
  const bytes = sizeOf(shape) * dtypeBytes[dtype];
  const storage = new Storage(home, bytes, undefined, home.blocks.unset(bytes));
  return new Tensor(shape, dtype, { kind: 'memory', storage, byteOffset: 0 });
}

/** A tensor over the same numbers with another shape, or over a stretch of them; no copy. */
export function view<D extends DType>(tensor: Tensor<D>, shape: Shape, elementOffset = 0): Tensor<D> {
  const dtype = computeDType();
  if (dtype !== undefined && tensor.autocasts)
    return view(convert(tensor, dtype), shape, elementOffset) as Tensor<DType> as Tensor<D>;
  const byteOffset = elementOffset * dtypeBytes[tensor.dtype];
  if (tensor.source.kind === 'memory') {
    const at = tensor.memory('reshape');
    const source = { kind: 'memory', storage: at.storage, byteOffset: at.byteOffset + byteOffset } as const;
    return new Tensor(shape, tensor.dtype, source, tensor.constant);
  }
  const { graph, value } = tensor.source;
  const part = new Value(shape, tensor.dtype, { kind: 'view', of: value, byteOffset });
  return new Tensor(shape, tensor.dtype, { kind: 'traced', graph, value: part }, tensor.constant);
}
