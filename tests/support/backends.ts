// The backends that tests run on: every instruction set and thread count that this machine has, and the reference.
import { existsSync } from 'node:fs';
import { openCuda } from '../../src/backend/cuda.ts';
import { openNative } from '../../src/backend/native.ts';
import { Engine, useEngine } from '../../src/engine.ts';
import { NablaError } from '../../src/errors.ts';
import { openNodeWasm, type WasmVariant } from '../../src/platform/node-wasm.ts';

/** A backend to test, opened once a process and shared by all test files. */
export interface TestBackend {
  readonly name: string;
  readonly open: () => Engine;
}

const opened = new Map<string, Engine>();

function shared(name: string, make: () => ReturnType<typeof openNative>): TestBackend {
  const open = () => {
    let engine = opened.get(name);
    if (engine === undefined) {
      engine = new Engine(make());
      opened.set(name, engine);
    }
    return engine;
  };
  return { name, open };
}

const native = (name: string, threads: number, instructionSet?: string) =>
  shared(name, () => openNative({ threads, instructionSet }));

/** The reference: plain loops in double precision, results rounded to float32 at the end. */
const referenceBackend = native('reference', 1, 'reference');

/** The narrower instruction sets that this processor runs; the widest is what 'native' takes. */
function narrowerSets(): TestBackend[] {
  return ['avx2', 'sse4', 'scalar'].flatMap((set) => {
    const backend = native(`native ${set}`, 1, set);
    try {
      backend.open();
      return [backend];
    } catch (error) {
      // Not on this processor; or no addon at all, which the tests of 'native' will tell.
      if (error instanceof NablaError) return [];
      throw error;
    }
  });
}

/** Without the module there is nothing to test; with it, a failure to open is a failure. */
function wasm(variant: WasmVariant, threads: number): TestBackend[] {
  const file = new URL(`../../dist/wasm/nabla-${variant}.wasm`, import.meta.url);
  if (!existsSync(file)) return [];
  return [shared(`wasm ${variant}`, () => openNodeWasm({ variant, threads }))];
}

// Sanitizers watch the addon: they spare themselves the rest by NABLA_TEST_BACKENDS=native. scripts/test-cuda.mjs asks for `cuda`.
const chosen = process.env.NABLA_TEST_BACKENDS;
const fastestBackend = native('native', 1);

export const backends: readonly TestBackend[] =
  chosen === 'cuda'
    ? [shared('cuda', () => openCuda({ precision: 'float32' }))]
    : [
        fastestBackend,
        native('native 2 threads', 2),
        ...narrowerSets(),
        ...(chosen === 'native' ? [] : [...wasm('simd', 1), ...wasm('threads', 2)]),
      ];

/** The backend of this name, or the first one: for tests that need one only. */
export function backendNamed(name: string): TestBackend | undefined {
  return backends.find((backend) => backend.name === name);
}

/** The engine of the reference kernels. */
export function reference(): Engine {
  return referenceBackend.open();
}

/** The fastest native backend with one thread. */
export function fastest(): Engine {
  return fastestBackend.open();
}

/** Runs `body` with the engine in use. */
export function on<T>(engine: Engine, body: () => T): T {
  useEngine(engine);
  return body();
}

/** Runs `body` on a device that nothing else uses, so that what it holds can be counted. */
export function onFresh(body: () => void): void {
  const engine = new Engine(openNative({ threads: 1 }));
  try {
    on(engine, body);
  } finally {
    engine.close();
    useEngine(fastest());
  }
}

/** A suite that is run on every backend, or on those that are `chosen`. */
export function describeBackends(
  title: string,
  body: (backend: TestBackend) => void,
  chosen: readonly TestBackend[] = backends,
): void {
  for (const backend of chosen) {
    describe(`${title}, ${backend.name}`, () => {
      beforeEach(() => useEngine(backend.open()));
      body(backend);
    });
  }
}

/** A suite on the fastest native backend only. */
export function describeFastest(title: string, body: () => void): void {
  describeBackends(title, body, backends.slice(0, 1));
}

after(() => {
  for (const engine of opened.values()) engine.close();
  opened.clear();
});
