// Slots: the inputs or outputs of a model by place and name, and how data that are given alone, in order or by name find theirs.
import { asSamples, type SampleData, Samples } from '../data/samples.ts';
import { NablaError, unknownName } from '../errors.ts';
import { isRecord, type Nested, type Structure } from '../nested.ts';
import { Tensor } from '../tensor.ts';
import type { Head } from './heads.ts';

/** Data for a model: samples for its only input or output, an array of them in order, or a record of them by name. */
export type ModelData = Nested<SampleData>;

/** The inputs or outputs of a model. */
export interface Slots {
  readonly structure: Structure;
  /** One for each, all different. */
  readonly names: readonly string[];
}

/** Names that differ: a second `dense` is `dense_1`. */
export function distinctNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((wanted) => {
    let name = wanted;
    for (let i = 1; taken.has(name); i++) name = `${wanted}_${i}`;
    taken.add(name);
    return name;
  });
}

/** What a part of nested data is: numbers in nested arrays are one thing, an array of tensors is several. */
function isOneSample(data: unknown): boolean {
  if (Array.isArray(data)) return !isHeld(data[0]);
  return !isRecord(data);
}

const isHeld = (value: unknown) =>
  value instanceof Tensor || value instanceof Samples || ArrayBuffer.isView(value);

/** The slots that data show, of a model that does not know its own. */
export function slotsOf(data: ModelData, name: string): Slots {
  if (isOneSample(data)) return { structure: 'one', names: [name] };
  if (!Array.isArray(data)) return { structure: Object.keys(data), names: Object.keys(data) };
  return { structure: 'array', names: distinctNames(data.map(() => name)) };
}

/** Data in the order of the slots. `what`: `'x'`, `'y'`. */
export function inOrder<T>(where: string, what: string, data: Nested<T>, names: readonly string[]): T[] {
  if (isRecord(data)) {
    const record = data as Readonly<Record<string, T>>;
    const unknown = Object.keys(record).find((name) => !names.includes(name));
    if (unknown !== undefined) throw unknownName(where, `name in ${what}`, unknown, names);
    const missing = names.find((name) => !Object.hasOwn(record, name));
    if (missing !== undefined) {
      throw new NablaError(
        where,
        `${what} lacks '${missing}', got ${Object.keys(record).join(', ')}, expected ${names.join(', ')}`,
      );
    }
    return names.map((name) => record[name]!);
  }
  const list = Array.isArray(data) && (names.length !== 1 || isHeld(data[0])) ? (data as T[]) : [data as T];
  if (list.length === names.length) return list;
  throw new NablaError(
    where,
    `wrong number of arrays in ${what}, got ${list.length}, expected ${names.length} (${names.join(', ')})`,
  );
}

/** The slots of labels: of those outputs that have a loss or metrics; else as they are given. */
export function labelSlots(
  heads: readonly Head[],
  outputs: Slots | undefined,
  given: ModelData | null | undefined,
): Slots {
  const names = heads.flatMap(({ label, name }) => (label === undefined ? [] : [name]));
  if (names.length === 0 && given !== undefined && given !== null) return slotsOf(given, 'y');
  const structure = outputs?.structure ?? 'one';
  return { structure: typeof structure === 'string' ? structure : names, names };
}

/** Samples that a call reads, and what it made of them to be freed when it is done. */
export class Taken {
  private readonly where: string;
  private readonly owned: { dispose(): void }[] = [];

  constructor(where: string) {
    this.where = where;
  }

  /** Any data as samples, one for each slot. */
  samples(what: string, data: ModelData, names: readonly string[]): Samples[] {
    return inOrder<SampleData>(this.where, what, data, names).map((part, i) => {
      const { samples, made } = asSamples(
        this.where,
        names.length === 1 ? what : `${what} '${names[i]}'`,
        part,
      );
      if (made) this.owned.push(samples);
      return samples;
    });
  }

  /** Has it freed with the rest. */
  own<T extends { dispose(): void } | undefined>(thing: T): T {
    if (thing !== undefined) this.owned.push(thing);
    return thing;
  }

  dispose(): void {
    for (const thing of this.owned.splice(0)) thing.dispose();
  }
}
