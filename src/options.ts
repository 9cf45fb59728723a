// Refuses options whose names a factory or call does not know, as TypeScript does where it is used.
import { unknownName } from './errors.ts';
import { isRecord } from './nested.ts';
import { commonOptions, optionNames } from './option-names.ts';

const tables: Readonly<Record<keyof typeof optionNames, Readonly<Record<string, string>>>> = optionNames;

function check(where: string, options: object, known: string): void {
  const names = known.split(' ');
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !names.includes(name)) throw unknownName(where, 'option', name, names);
}

/** Throws where `options` holds a name that the factory or call `name` of a group does not take. Anything else than an object passes. */
export function checkOptions(
  group: Exclude<keyof typeof optionNames, 'layers'>,
  name: string,
  options: unknown,
  where = name,
): void {
  const known = tables[group][name];
  if (known !== undefined && isRecord(options)) check(where, options, known);
}

/** Throws where a layer that a factory of the library made was given a name that the factory does not take. */
export function checkLayerOptions(where: string, factory: string, options: object): void {
  const own = tables.layers[factory];
  if (own !== undefined) check(where, options, `${own} ${commonOptions}`.trim());
}
