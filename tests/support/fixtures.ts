// Numbers that Keras computed (scripts/fixtures makes them), and the backends that models are tested on.
import { readFileSync } from 'node:fs';
import { tensor } from '../../src/ops/index.ts';
import type { Tensor } from '../../src/tensor.ts';
import { backends } from './backends.ts';

/** Nested arrays of numbers, as JSON holds them. */
export type Numbers = number | Numbers[];

/** Reads `tests/fixtures/<name>.json`. The caller says what is in it. */
export function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), 'utf8')) as T;
}

/** A tensor of a fixture's numbers. */
export function numbers(values: Numbers, dtype: 'float32' | 'int32' = 'float32'): Tensor {
  return tensor(values, undefined, dtype);
}

/** Nested arrays as one list. */
export function flat(values: Numbers): number[] {
  return typeof values === 'number' ? [values] : values.flatMap(flat);
}

/** One of each way that steps are run: on the native queue, on a WebAssembly worker, in slices on the event loop; on a GPU. */
export const modelBackends = backends.filter(({ name }) =>
  ['native', 'native 2 threads', 'wasm simd', 'wasm threads', 'cuda'].includes(name),
);

/** Where one backend says it all. */
export const oneBackend = modelBackends.slice(0, 1);

/** The native backend and one of WebAssembly. */
export const twoBackends = modelBackends.filter(({ name }) =>
  ['native', 'wasm threads', 'cuda'].includes(name),
);
