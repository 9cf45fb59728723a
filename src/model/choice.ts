// The choice by measurement: where nobody asked for a backend, fit times a model's own step on each that works, once, and goes on where it is faster.
import type { Backend, Bindings } from '../backend/backend.ts';
import { type Bound, type Engine, engine, type Storage, useEngine } from '../engine.ts';
import type { Nested } from '../nested.ts';
import { generatorState, handOverGenerator } from '../ops/random.ts';
import type { Tensor } from '../tensor.ts';
import { logRows } from './arena.ts';
import type { Model } from './model.ts';
import type { StepProgram } from './programs.ts';
import { ascending, type StepData } from './step-data.ts';
import type { Trainer } from './trainer.ts';

/** How long a backend is timed, in milliseconds; what a step may hold for the processor to be worth a try, in bytes. */
const timedMs = 20;
const mostWorkspace = 64 << 20;
const mostBytes = 512 << 20;

/** What the choice needs from outside; tests put their own in place. */
export const choosing = {
  now: () => performance.now(),
  say: (text: string): void => console.warn(text),
  /** Milliseconds a step that were measured before, by backend, under a key that names program and machine. */
  remembered: (_key: string): Readonly<Record<string, number>> | undefined => undefined,
  remember: (_key: string, _times: Readonly<Record<string, number>>): void => {},
};

// What was measured in this process.
const known = new Map<string, Readonly<Record<string, number>>>();

/** Forgets what was measured in this process; for tests. */
export function forgetChoices(): void {
  known.clear();
}

/** Two 32-bit hashes of numbers (FNV-1a, from two beginnings). */
function fingerprint(words: Int32Array): string {
  let [a, b] = [0x811c9dc5, 0x01000193];
  for (const word of words) {
    a = Math.imul(a ^ word, 0x01000193);
    b = Math.imul(b ^ ((word << 16) | (word >>> 16)), 0x01000193);
  }
  return `${(a >>> 0).toString(16)}-${(b >>> 0).toString(16)}-${words.length}`;
}

/** What a slot of the program is bound to. */
function boundTo(program: StepProgram, inputs: readonly Bound[]): Bound[] {
  return program.executable.compiled.slots.slice(1).map((slot) => {
    if (slot.kind === 'storage') return { storage: slot.storage as Storage, byteOffset: 0 };
    if (slot.kind === 'input') return inputs[slot.index]!;
    throw new Error('a step has neither outputs nor a second workspace');
  });
}

/** Milliseconds a step takes on copies of its memory; infinite where the backend fails. Leaves nothing behind. */
async function time(
  backend: Backend,
  words: Int32Array,
  bound: readonly Bound[],
  contents: ReadonlyMap<Storage, Uint8Array>,
  most: number,
): Promise<number> {
  const copies = new Map<Storage, number>();
  let program: number | undefined;
  try {
    program = backend.load(words);
    for (const [storage, bytes] of contents) copies.set(storage, backend.allocate(bytes.length));
    const bindings: Bindings = new Float64Array(new ArrayBuffer(16 * bound.length));
    bound.forEach(({ storage, byteOffset }, i) => {
      bindings[2 * i] = copies.get(storage)!;
      bindings[2 * i + 1] = byteOffset;
    });
    // Each time from the beginning, so that the cursor stays within the samples.
    const run = async (steps: number) => {
      for (const [storage, bytes] of contents) backend.write(copies.get(storage)!, 0, bytes);
      const began = choosing.now();
      await backend.start(program!, bindings, steps).done;
      return (choosing.now() - began) / steps;
    };
    // The first steps load kernels and record graphs.
    let best = await run(Math.min(2, most));
    for (let steps = 1, spent = 0; spent < timedMs; steps = Math.min(2 * steps, most)) {
      const each = await run(steps);
      best = Math.min(best, each);
      spent += Math.max(each * steps, 1);
    }
    return best;
  } catch {
    return Number.POSITIVE_INFINITY;
  } finally {
    try {
      for (const buffer of copies.values()) backend.free(buffer);
      if (program !== undefined) backend.unload(program);
    } catch {
      // Of a device that was lost.
    }
  }
}

const shown = (ms: number) => (Number.isFinite(ms) ? `${Number(ms.toPrecision(3))} ms` : 'no result');

/** Makes `to` the engine in use: what lies on `from` moves there when it is next used. `contents`: of memory that is needed even if `from` was lost. */
function move(from: Engine, to: Engine, contents: ReadonlyMap<Storage, Uint8Array>): void {
  handOverGenerator(from, to);
  to.successor = undefined;
  from.successor = to;
  useEngine(to);
  for (const [storage, bytes] of contents) storage.follow(bytes);
}

/**
 * Takes the faster backend for the steps that are to come. Steps are timed on copies, so that weights, optimizers and random numbers stay as they
 * are. Does nothing where the backend was asked for by name, where something else is being trained on it, and for steps that are large: those are
 * the GPU's.
 */
export async function choose(
  model: Model<Nested<Tensor>>,
  trainer: Trainer,
  data: StepData,
  batchSize: number,
  count: number,
  validation: StepData | undefined,
): Promise<void> {
  const home = engine();
  if (home.rivals === undefined || trainer.engine !== home || home.users > 0 || home.runs > 0) return;
  model.random.begin();
  const program = trainer.program(true, data, batchSize, count);
  const { words, workspaceBytes } = program.executable.compiled;
  if (workspaceBytes > mostWorkspace) return;
  const order = trainer.orderOf(ascending(count), batchSize);
  try {
    const inputs = trainer.inputsOf(data, order, 0);
    const bound = boundTo(program, inputs);
    const storages = new Set(bound.map(({ storage }) => storage));
    const bytes = [...storages].reduce((sum, storage) => sum + storage.bytes, 0);
    if (bytes > mostBytes) return;
    const rivals = [home, ...home.rivals()];
    if (rivals.length < 2) return;
    const machine = rivals.map(({ backend }) => backend.info.device).sort();
    const key = `${fingerprint(words)} ${machine.join(' | ')}`;
    let times = known.get(key) ?? choosing.remembered(key);
    const read = (storage: Storage) => {
      const held = new Uint8Array(storage.bytes);
      storage.engine.backend.read(storage.handle, 0, held);
      return held;
    };
    const isNew = times === undefined;
    const contents = new Map<Storage, Uint8Array>();
    if (times === undefined) {
      for (const storage of storages) contents.set(storage, read(storage));
      const kept = new Map(contents);
      // What a fit needs beside its step, should the device be lost meanwhile.
      const others = [
        model.random.state,
        generatorState(),
        ...model.weights,
        ...(validation ? [...validation.x, ...validation.y].map((s) => s.tensor) : []),
      ];
      for (const tensor of others) {
        const { storage } = tensor.memory('fit');
        if (!kept.has(storage)) kept.set(storage, read(storage));
      }
      const steps = Math.max(1, Math.min(Math.floor(count / batchSize), logRows));
      const measured: Record<string, number> = {};
      for (const { backend } of rivals)
        measured[backend.info.name] = await time(backend, words, bound, contents, steps);
      times = measured;
      for (const [storage, held] of kept) contents.set(storage, held);
      known.set(key, times);
      if (Object.values(times).every(Number.isFinite)) choosing.remember(key, times);
    } else known.set(key, times);
    const speed = ({ backend }: Engine) => times![backend.info.name] ?? Number.POSITIVE_INFINITY;
    const [fastest, next] = rivals.toSorted((a, b) => speed(a) - speed(b)) as [Engine, Engine];
    if (isNew) {
      const by = Number.isFinite(speed(next))
        ? `, ${(speed(next) / speed(fastest)).toPrecision(2)} times as fast as`
        : ' beside';
      choosing.say(
        `[fit] ${model.name} trains on ${fastest.backend.info.name}: ${shown(speed(fastest))} a step${by} ` +
          `${next.backend.info.name} (${shown(speed(next))}); NABLA_AUTO=off or setBackend() chooses without measuring`,
      );
    }
    // Others may have begun meanwhile.
    if (fastest === home || home.users > 0 || home.runs > 0 || engine() !== home) return;
    if (!Number.isFinite(speed(fastest))) return;
    // What was read before is only taken where it cannot be read any more: others may have changed it.
    const lost = !Number.isFinite(speed(home));
    if (lost) fastest.rivals = undefined;
    move(home, fastest, lost ? contents : new Map());
  } finally {
    order.storage.release();
  }
}
