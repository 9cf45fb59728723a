// Small programs and checks that the tests of the WebAssembly backend share.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import type { Backend, Bindings } from '../src/backend/backend.ts';
import { NablaError } from '../src/errors.ts';
import { type CompiledProgram, compile } from '../src/program/compile.ts';
import { floatBits, Graph, Value } from '../src/program/graph.ts';

/** Where the build puts the module of a variant. */
export const moduleFile = (variant: string) => new URL(`../dist/wasm/nabla-${variant}.wasm`, import.meta.url);

/** For `before`: the modules need Emscripten, which not every machine has. */
export function skipUnlessBuilt(this: Mocha.Context): void {
  if (!existsSync(moduleFile('simd')) || !existsSync(moduleFile('threads'))) this.skip();
}

/** `out = a + b`. */
export function addition(size: number): CompiledProgram {
  const graph = new Graph();
  const a = graph.input([size], 'float32');
  const b = graph.input([size], 'float32');
  const out = new Value([size], 'float32', { kind: 'node' });
  const micro = [{ op: 'add', args: [0, 1] }] as const;
  graph.add({ kernel: 'map', outputs: [out], inputs: [a, b], attributes: [], micro, where: 'add' });
  graph.outputs.push(out);
  return compile(graph);
}

export function product(m: number, k: number, n: number): CompiledProgram {
  const graph = new Graph();
  const a = graph.input([m, k], 'float32');
  const b = graph.input([k, n], 'float32');
  const out = new Value([m, n], 'float32', { kind: 'node' });
  const attributes = [1, m, n, k, 0, 0, m * k, k * n, m * n, 0, 0, floatBits(1)];
  graph.add({ kernel: 'gemm', outputs: [out], inputs: [a, b, undefined], attributes, where: 'gemm' });
  graph.outputs.push(out);
  return compile(graph);
}

/** One-hot rows of two labels of three classes. */
export function oneHot(): CompiledProgram {
  const graph = new Graph();
  const labels = graph.input([2], 'int32');
  const indices = graph.input([2], 'int32');
  const out = new Value([2, 3], 'float32', { kind: 'node' });
  const attributes = [2, 2, 3, 2, floatBits(1), floatBits(0)];
  graph.add({
    kernel: 'gather',
    outputs: [out],
    inputs: [labels, indices, undefined],
    attributes,
    where: 'oneHot',
  });
  graph.outputs.push(out);
  return compile(graph);
}

/** Bindings of a program's inputs and its output. */
export function bind(program: CompiledProgram, inputs: readonly number[], output: number): Bindings {
  const buffers = program.slots
    .slice(1)
    .map((slot) => (slot.kind === 'input' ? inputs[slot.index]! : output));
  return Float64Array.from(buffers.flatMap((buffer) => [buffer, 0]));
}

export function put(backend: Backend, array: Float32Array | Int32Array): number {
  const buffer = backend.allocate(array.byteLength);
  backend.write(buffer, 0, array);
  return buffer;
}

export function take(backend: Backend, buffer: number, size: number): Float32Array {
  const array = new Float32Array(size);
  backend.read(buffer, 0, array);
  return array;
}

/** A run of steps that each add 1 to all `size` numbers of the buffer `sum`. */
export function startCounting(backend: Backend, size: number, steps: number) {
  const [sum, one] = [put(backend, new Float32Array(size)), put(backend, new Float32Array(size).fill(1))];
  const add = addition(size);
  const program = backend.load(add.words);
  const { done, stop } = backend.start(program, bind(add, [sum, one], sum), steps);
  return { done, stop, sum, one, program };
}

/** Waits until so many steps of the run have been run. */
export async function reach(backend: Backend, sum: number, steps: number): Promise<void> {
  while (take(backend, sum, 1)[0]! < steps) await delay(5);
}

/** Numbers that float32 sums of products of keep exactly. */
export const integers = (size: number, seed: number) =>
  Float32Array.from({ length: size }, (_, i) => ((i * 7 + seed * 13) % 17) - 8);

export function reference(a: Float32Array, b: Float32Array, m: number, k: number, n: number): Float32Array {
  const out = new Float32Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += a[i * k + p]! * b[p * n + j]!;
      out[i * n + j] = sum;
    }
  }
  return out;
}

export const nablaError = (where: string, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NablaError, String(error));
  assert.equal(error.where, where);
  assert.match(error.message, text);
  return true;
};

export const delay = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
