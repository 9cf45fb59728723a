// Ops that are called again outside of traces: what a call came to is kept by what it was called with, and the next one goes straight to the backend.
import type { DType } from './dtype.ts';
import { type Engine, type Executable, Storage } from './engine.ts';
import type { Replayable } from './replayable.ts';
import { type Shape, sameShape } from './shape.ts';
import { Tensor, type TensorSource } from './tensor.ts';
import { isEager, type Observed, observeRun } from './trace.ts';

// What a slot of the program is bound to.
const [toResult, toFirst, toSecond] = [0, 1, 2];

/** A call that is kept: how it is known again, and what it comes to. */
export interface Recipe {
  readonly op: Replayable;
  readonly number: number;
  readonly aDType: DType;
  readonly aShape: Shape;
  readonly bDType: DType | undefined;
  readonly bShape: Shape | undefined;
  /** Both tensors are one. */
  readonly same: boolean;
  readonly program: Executable;
  /** For each slot of the program but the workspace. */
  readonly bound: readonly number[];
  /** Of the result. */
  readonly shape: Shape;
  readonly dtype: DType;
  readonly bytes: number;
  /** Another one of the same hash. */
  readonly next: Recipe | undefined;
  /** How many there are from here on. */
  readonly length: number;
}

/** The recipes of an engine, by hash. */
export type Recipes = Map<number, Recipe>;

const mostHashes = 4096;
const mostOfHash = 4;

type InMemory = Extract<TensorSource, { kind: 'memory' }>;

/**
 * The result of the op, if a call like this one was made before and ops run at once now; else undefined. `number`: what the call depends on beside
 * its tensors.
 */
export function replay(op: Replayable, a: Tensor, b: Tensor | undefined, number: number): Tensor | undefined {
  const first = a.source;
  if (first.kind !== 'memory' || a.isDisposed || !isEager()) return undefined;
  let second = first;
  if (b !== undefined) {
    const { source } = b;
    if (source.kind !== 'memory' || b.isDisposed) return undefined;
    second = source;
  }
  const { engine } = first.storage;
  if (second.storage.engine !== engine) return undefined;
  let recipe = engine.recipes.get(hashOf(op, a, b, number));
  while (recipe !== undefined && !fits(recipe, op, a, b, number)) recipe = recipe.next;
  return recipe === undefined || recipe.program.unloaded ? undefined : follow(engine, recipe, first, second);
}

/** The result of an op of one tensor that {@link replay} knows, or that is made and kept. */
export function repeated(op: Replayable, x: Tensor, number: number, make: () => Tensor): Tensor {
  return replay(op, x, undefined, number) ?? learn(op, x, undefined, number, make);
}

function follow(engine: Engine, recipe: Recipe, first: InMemory, second: InMemory): Tensor {
  const { backend, blocks } = engine;
  const { bound, bytes, program } = recipe;
  const block = blocks.unset(bytes);
  const storage = new Storage(engine, bytes, undefined, block);
  const bindings = backend.staging();
  for (let i = 0; i < bound.length; i++) {
    const to = bound[i];
    if (to === toResult) {
      bindings[2 * i] = block.handle;
      bindings[2 * i + 1] = 0;
    } else {
      const source = to === toFirst ? first : second;
      bindings[2 * i] = source.storage.handle;
      bindings[2 * i + 1] = source.byteOffset;
    }
  }
  try {
    program.runStaged();
  } catch (error) {
    storage.release();
    throw error;
  }
  return new Tensor(recipe.shape, recipe.dtype, { kind: 'memory', storage, byteOffset: 0 });
}

/** Makes the call, and keeps what it came to if it was one kernel call over these tensors alone. */
export function learn(
  op: Replayable,
  a: Tensor,
  b: Tensor | undefined,
  number: number,
  make: () => Tensor,
): Tensor {
  if (!isEager() || a.source.kind !== 'memory' || (b !== undefined && b.source.kind !== 'memory'))
    return make();
  const { result: out, observed } = observeRun(make);
  if (observed !== undefined) keepRecipe(op, a, b, number, out, observed);
  return out;
}

function keepRecipe(
  op: Replayable,
  a: Tensor,
  b: Tensor | undefined,
  number: number,
  out: Tensor,
  observed: Observed,
): void {
  const { program, inputs, result } = observed;
  const { engine } = program;
  // The same numbers as the kernel's result, perhaps in another shape.
  if (!sameMemory(out, result) || out.size !== result.size || out.dtype !== result.dtype) return;
  if (b !== undefined && a !== b && sameMemory(a, b)) return;
  const bound: number[] = [];
  for (const slot of program.compiled.slots.slice(1)) {
    if (slot.kind === 'output') {
      bound.push(toResult);
      continue;
    }
    const input = slot.kind === 'input' ? inputs[slot.index] : undefined;
    if (input !== undefined && sameMemory(input, a)) bound.push(toFirst);
    else if (input !== undefined && b !== undefined && sameMemory(input, b)) bound.push(toSecond);
    else return;
  }
  const { recipes } = engine;
  if (recipes.size >= mostHashes) recipes.clear();
  const hash = hashOf(op, a, b, number);
  let others = recipes.get(hash);
  // One whose program was unloaded in the meantime.
  if (others !== undefined && fits(others, op, a, b, number)) others = others.next;
  if (others !== undefined && others.length >= mostOfHash) others = undefined;
  recipes.set(hash, {
    op,
    number,
    aDType: a.dtype,
    aShape: [...a.shape],
    bDType: b?.dtype,
    bShape: b && [...b.shape],
    same: a === b,
    program,
    bound,
    // Shared by all results.
    shape: Object.freeze([...out.shape]),
    dtype: out.dtype,
    bytes: result.source.kind === 'memory' ? result.source.storage.bytes : 0,
    next: others,
    length: 1 + (others?.length ?? 0),
  });
}

function sameMemory(x: Tensor, y: Tensor): boolean {
  if (x.source.kind !== 'memory' || y.source.kind !== 'memory') return false;
  return x.source.storage === y.source.storage && x.source.byteOffset === y.source.byteOffset;
}

const converter = new Float64Array(1);
const words = new Int32Array(converter.buffer);

function hashOf(op: Replayable, a: Tensor, b: Tensor | undefined, number: number): number {
  converter[0] = number;
  let hash = hashShape(Math.imul(op.id, 31) + Math.imul(words[0]! ^ words[1]!, 0x9e3779b1), a.shape);
  if (b !== undefined) hash = hashShape(hash + 1, b.shape);
  // Within the engines' small integers.
  return hash & 0x3fffffff;
}

function hashShape(seed: number, shape: Shape): number {
  let hash = Math.imul(seed, 31) + shape.length;
  for (let i = 0; i < shape.length; i++) hash = Math.imul(hash, 31) + shape[i]!;
  return hash | 0;
}

function fits(recipe: Recipe, op: Replayable, a: Tensor, b: Tensor | undefined, number: number): boolean {
  return (
    recipe.op === op &&
    Object.is(recipe.number, number) &&
    recipe.aDType === a.dtype &&
    sameShape(recipe.aShape, a.shape) &&
    (b === undefined
      ? recipe.bShape === undefined
      : recipe.bDType === b.dtype && sameShape(recipe.bShape!, b.shape) && recipe.same === (a === b))
  );
}
