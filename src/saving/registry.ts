// What saved models name: the library's own factories and ops, and the layers and functions that users register.
import * as constraints from '../constraints.ts';
import { dtypePolicies, underPolicy } from '../dtype-policies.ts';
import { describe, NablaError, nearest } from '../errors.ts';
import * as initializers from '../initializers/index.ts';
import * as layers from '../layers/index.ts';
import { Layer } from '../layers/layer.ts';
import * as losses from '../losses/index.ts';
import * as metrics from '../metrics/index.ts';
import * as ops from '../ops/index.ts';
import * as optimizers from '../optimizers/index.ts';
import * as regularizers from '../regularizers.ts';
import type { RecordKind } from './recorded.ts';

/** A class of layers whose constructor takes the options that `getConfig` gives. */
export type LayerClass = new (options: never) => Layer;

type AnyFunction = (...args: never[]) => unknown;
type Table = Readonly<Record<string, unknown>>;

const namespaces: Readonly<Record<RecordKind, Table>> = {
  constraints,
  initializers,
  losses,
  metrics,
  optimizers,
  regularizers,
  schedules: optimizers.schedules,
};

const layerClasses = new Map<string, LayerClass>();
const functions = new Map<string, AnyFunction>();
const libraryClasses = new Set<unknown>(Object.values(layers));

function checkName(where: string, name: unknown): void {
  if (typeof name === 'string' && name !== '') return;
  throw new NablaError(where, `bad name, got ${describe(name)}, expected a string that is not empty`);
}

/**
 * Makes models with a layer class of your own savable. Call it under the same name before saving and before loading. The constructor is given
 * what `getConfig` gives: the options that it passed on to `super`, unless the class overrides it.
 *
 * @example
 * class Scale extends Layer {
 *   readonly kind = 'scale';
 *   computeOutputShape(shape: Shape) { return [...shape]; }
 *   protected call(x: Tensor) { return x.mul(2); }
 * }
 * registerLayer('Scale', Scale);
 */
export function registerLayer(name: string, layerClass: LayerClass): void {
  checkName('registerLayer', name);
  if (typeof layerClass !== 'function' || !(layerClass.prototype instanceof Layer)) {
    throw new NablaError('registerLayer', `got ${describe(layerClass)}, expected a class that extends Layer`);
  }
  if (Object.hasOwn(layers, name)) {
    throw new NablaError(
      'registerLayer',
      `the library has a layer of that name, got '${name}', expected another`,
    );
  }
  layerClasses.set(name, layerClass);
}

/**
 * Makes models that use a function of your own savable: an activation, loss, metric, initializer, regularizer or constraint. Call it under the
 * same name before saving and before loading.
 *
 * @example
 * const cube = (x: Tensor) => x.pow(3);
 * registerFunction('cube', cube);
 * layers.dense({ units: 4, activation: cube });
 */
export function registerFunction(name: string, f: (...args: never[]) => unknown): void {
  checkName('registerFunction', name);
  if (typeof f !== 'function') {
    throw new NablaError('registerFunction', `got ${describe(f)}, expected a function`);
  }
  functions.set(name, f);
}

function keyOf<V>(map: ReadonlyMap<string, V>, wanted: unknown): string | undefined {
  for (const [key, value] of map) if (value === wanted) return key;
  return undefined;
}

/** Whether one of the library's factories makes layers of its class. */
export const isLibraryLayer = (layer: Layer): boolean => libraryClasses.has(layer.constructor);

/** The name that a layer's class is saved under. */
export function classNameOf(layer: Layer): string {
  const { constructor } = layer;
  if (isLibraryLayer(layer)) return layer.kind;
  const name = keyOf(layerClasses, constructor);
  if (name !== undefined) return name;
  throw new NablaError(
    layer.name,
    `its class cannot be saved, got ${constructor.name || 'a class'} that is not registered; ` +
      `call registerLayer('${constructor.name || 'Name'}', ${constructor.name || 'Class'}) before saving and loading, or use saveWeights()`,
  );
}

/** The name that a function is saved under: registered by the user, or that of one of the library's ops. */
export function functionName(where: string, f: AnyFunction): { kind: 'function' | 'op'; name: string } {
  const own = keyOf(functions, f);
  if (own !== undefined) return { kind: 'function', name: own };
  const op = Object.entries(ops).find(([, value]) => value === f)?.[0];
  if (op !== undefined) return { kind: 'op', name: op };
  const name = f.name === '' ? 'name' : f.name;
  throw new NablaError(
    where,
    `a function cannot be saved, got ${describe(f)} that is not registered; ` +
      `call registerFunction('${name}', ${name}) before saving and loading, or use saveWeights()`,
  );
}

/** A layer of this name, made from its options. */
export function makeLayer(where: string, className: string, options: object): Layer {
  const own = layerClasses.get(className);
  if (own !== undefined) {
    const Class = own as new (options: object) => Layer;
    return checkLayer(
      where,
      className,
      saved(() => new Class(options)),
    );
  }
  const factory = /^[a-z]/.test(className) ? entry(layers, className) : undefined;
  if (factory === undefined) {
    const known = [...layerClasses.keys(), ...Object.keys(layers).filter((name) => /^[a-z]/.test(name))];
    throw unknown(where, 'layer', className, known, `registerLayer('${className}', ...)`);
  }
  return checkLayer(
    where,
    className,
    saved(() => factory(options as never)),
  );
}

/** Layers that were saved without a policy computed in float32, whatever is set when they are loaded. */
const saved = <T>(make: () => T): T => underPolicy(dtypePolicies.float32, make);

function checkLayer(where: string, className: string, made: unknown): Layer {
  if (made instanceof Layer) return made;
  throw new NablaError(
    where,
    `bad layer, got '${className}' which makes ${describe(made)}, expected a layer`,
  );
}

/** What a factory of the library makes of these arguments. */
export function makeRecorded(where: string, kind: string, name: string, args: readonly unknown[]): unknown {
  if (!Object.hasOwn(namespaces, kind)) throw unknown(where, 'kind', kind, Object.keys(namespaces));
  const table = namespaces[kind as RecordKind];
  // Names of factories begin small, those of classes do not.
  const factory = /^[a-z]/.test(name) ? entry(table, name) : undefined;
  if (factory === undefined) throw unknown(where, kind, name, Object.keys(table));
  return factory(...(args as never[]));
}

/** A function of the user's or an op, by name. */
export function makeFunction(where: string, kind: 'function' | 'op', name: string): AnyFunction {
  const found = kind === 'op' ? entry(ops, name) : functions.get(name);
  if (found !== undefined) return found;
  const remedy = kind === 'op' ? undefined : `registerFunction('${name}', ...)`;
  throw unknown(where, kind, name, kind === 'op' ? Object.keys(ops) : [...functions.keys()], remedy);
}

function entry(table: Table, name: string): AnyFunction | undefined {
  const value = Object.hasOwn(table, name) ? table[name] : undefined;
  return typeof value === 'function' ? (value as AnyFunction) : undefined;
}

function unknown(
  where: string,
  what: string,
  name: string,
  known: readonly string[],
  remedy?: string,
): NablaError {
  const near = nearest(name, known);
  const hint = near === undefined ? '' : `; did you mean '${near}'?`;
  const todo =
    remedy === undefined ? '; was the file written by a newer version?' : `; call ${remedy} before loading`;
  return new NablaError(
    where,
    `unknown ${what}, got '${name}', expected one that is known here${hint}${remedy === undefined && hint ? '' : todo}`,
  );
}
