// Nested values: one thing, several in order, or several by name; what models with several inputs or outputs take and give.

/** One thing, an array of them, or a record of them by name. */
export type Nested<T> = T | readonly T[] | Readonly<Record<string, T>>;

/** How the parts of a nested value are told apart: not at all, by place, or by these names. */
export type Structure = 'one' | 'array' | readonly string[];

/** The parts of a nested value in order. `isOne` tells a part from a record of them. */
export function partsOf<T>(value: Nested<T>, isOne: (value: unknown) => boolean): T[] {
  if (isOne(value)) return [value as T];
  return Array.isArray(value) ? [...value] : Object.values(value as Readonly<Record<string, T>>);
}

/** How a nested value is put together. */
export function structureOf(value: unknown, isOne: (value: unknown) => boolean): Structure {
  if (isOne(value)) return 'one';
  return Array.isArray(value) ? 'array' : Object.keys(value as object);
}

/** Parts put together again. */
export function nest<T>(structure: Structure, parts: readonly T[]): Nested<T> {
  if (structure === 'one') return parts[0]!;
  if (structure === 'array') return parts;
  return Object.fromEntries(structure.map((name, i) => [name, parts[i]!]));
}

/** Is it an object that was written as `{ ... }`, with at least one entry? */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (value === null || typeof value !== 'object') return false;
  const prototype = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && Object.keys(value).length > 0;
}
