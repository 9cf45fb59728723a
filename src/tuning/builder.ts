// Functions of modules that build models: loaded here, and in worker threads.
import type { Model } from '../model/model.ts';
import type { Nested } from '../nested.ts';
import type { Tensor } from '../tensor.ts';

/** A module's address and the name of what it exports. */
export interface ModuleExport {
  readonly module: string;
  readonly name: string;
}

/** Makes a compiled model from what it is given. */
export type Builder = (...given: unknown[]) => Model<Nested<Tensor>> | Promise<Model<Nested<Tensor>>>;

/** The function. */
export async function exportOf({ module: address, name }: ModuleExport): Promise<Builder> {
  const module = (await import(address)) as Record<string, unknown>;
  // A CommonJS module's exports are those of its default.
  const found = module[name] ?? (module.default as Record<string, unknown> | undefined)?.[name];
  if (typeof found === 'function') return found as Builder;
  const names = Object.keys(module).join(', ') || 'nothing';
  throw new Error(`the module has no function ${name}, it exports ${names}`);
}
