// The emulated driver: GPUs in plain C++, for tests of the CUDA backend where there is none (native/cuda/emulation).
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CudaPrecision, openCuda } from '../../src/backend/cuda.ts';
import { Engine } from '../../src/engine.ts';

const library = fileURLToPath(new URL('../../build/nabla_emulated_cuda.so', import.meta.url));

/** The library's path. Built with the C++ tests. */
export function emulatedDriver(): string {
  assert.ok(existsSync(library), `${library} is missing: cmake --build build --target nabla_emulated_cuda`);
  return library;
}

/** A copy under another name, which the process opens as another driver. */
export function anotherDriver(): string {
  const copy = join(mkdtempSync(join(tmpdir(), 'nabla-cuda-')), 'driver.so');
  copyFileSync(emulatedDriver(), copy);
  return copy;
}

/** Runs `body` with these variables of the environment set, then as they were. */
export async function withEnvironment<T>(
  variables: Record<string, string>,
  body: () => T | Promise<T>,
): Promise<T> {
  const former = new Map(Object.keys(variables).map((name) => [name, process.env[name]]));
  Object.assign(process.env, variables);
  try {
    return await body();
  } finally {
    for (const [name, value] of former) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** An engine on the emulated GPU, which is told more by `NABLA_EMULATED_...`; with products in float32 unless it is told otherwise. */
export function openEmulated(
  variables: Record<string, string> = {},
  precision: CudaPrecision = 'float32',
): Promise<Engine> {
  return withEnvironment(
    { NABLA_CUDA_DRIVER: emulatedDriver(), ...variables },
    () => new Engine(openCuda({ precision })),
  );
}

/** The machine's GPU where `npm run test:cuda` has found one, else the emulated one. */
export function openTested(precision: CudaPrecision = 'float32'): Promise<Engine> {
  return process.env.NABLA_TEST_GPU === '1'
    ? withEnvironment({ NABLA_CUDA_DRIVER: '' }, () => new Engine(openCuda({ precision })))
    : openEmulated({}, precision);
}
