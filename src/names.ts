// Names that users write as strings: camelCase as in TF.js, snake_case as in Keras, and a few short forms.
import { describe, NablaError, unknownName } from './errors.ts';

/** A name in snake_case. */
export type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${SnakeCase<Rest>}`
  : '';

/** A camelCase name, or the same as Keras writes it: `mean_squared_error` and `MeanSquaredError` for `meanSquaredError`. */
export type Spelled<Name extends string> = Name | SnakeCase<Name> | Capitalize<Name>;

/** `mean_squared_error` as `meanSquaredError`; camelCase stays as it is. */
function camelCase(name: string): string {
  return name.replaceAll(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** The entry of a table that a name means: the name itself, its snake_case form, or an alias. */
export function resolveName<T>(
  where: string,
  kind: string,
  name: string,
  table: Readonly<Record<string, T>>,
  aliases: Readonly<Record<string, string>> = {},
): T {
  if (typeof name !== 'string') {
    const example = Object.keys(table)[0];
    throw new NablaError(
      where,
      `bad ${kind}, got ${describe(name)}, expected a name such as '${example}' or a function`,
    );
  }
  const camel = camelCase(name);
  // Keras writes the classes of optimizers and losses in capitals: 'Adam', 'MeanSquaredError'.
  const lower = camel.charAt(0).toLowerCase() + camel.slice(1);
  const flat = lower.toLowerCase();
  for (const candidate of [name, camel, lower, aliases[name], aliases[lower], aliases[flat]]) {
    if (candidate !== undefined && Object.hasOwn(table, candidate)) return table[candidate]!;
  }
  const same = Object.keys(table).find((known) => known.toLowerCase() === flat);
  if (same !== undefined) return table[same]!;
  throw unknownName(where, kind, name, Object.keys(table));
}
