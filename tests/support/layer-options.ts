// Which options each layer has, as its types say, and with which of them there are numbers of Keras or PyTorch.
import { readdirSync } from 'node:fs';
import { commonOptions, optionNames } from '../../src/option-names.ts';
import { fixture } from './fixtures.ts';

const plain = (name: string) => name.replaceAll('_', '').toLowerCase();

/** The names of the options of every factory of layers. */
export function declaredOptions(): Map<string, string[]> {
  const all = (own: string) => `${own} ${commonOptions}`.trim().split(' ');
  return new Map(Object.entries(optionNames.layers).map(([name, own]) => [name, all(own)]));
}

/** By the layer's plain name, the plain names of options that some case of the fixtures gives it. */
export function knownOptions(): Map<string, Set<string>> {
  const known = new Map<string, Set<string>>();
  const note = (name: string, options: object) => {
    const set = known.get(plain(name)) ?? new Set();
    known.set(plain(name), set);
    for (const option of Object.keys(options)) set.add(plain(option));
  };
  const walk = (value: unknown): void => {
    if (value === null || typeof value !== 'object') return;
    const { layer, kind, options, call } = value as Record<string, unknown>;
    const name = typeof layer === 'string' ? layer : kind;
    if (typeof name === 'string' && typeof options === 'object' && options !== null) {
      // What Keras takes when it is called, such as a causal mask, may be an option here.
      note(name, { ...options, ...(typeof call === 'object' ? call : {}) });
    }
    Object.values(value).forEach(walk);
  };
  const folder = new URL('../fixtures/', import.meta.url);
  for (const file of readdirSync(folder)) if (file.endsWith('.json')) walk(fixture(file.slice(0, -5)));
  return known;
}

/** Whether there is a case with that option. */
export function isKnown(known: ReadonlyMap<string, Set<string>>, layer: string, option: string): boolean {
  return known.get(plain(layer))?.has(plain(option)) ?? false;
}
