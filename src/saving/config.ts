// Layers, losses, optimizers and their options as plain JSON, and back.
import { describe, NablaError } from '../errors.ts';
import { Layer } from '../layers/layer.ts';
import { tensor } from '../ops/creation.ts';
import { Tensor } from '../tensor.ts';
import { factoryCall } from './recorded.ts';
import { classNameOf, functionName, makeFunction, makeLayer, makeRecorded } from './registry.ts';

/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

// Options are nested a few levels deep; more is a mistake, or a file that means harm.
const maxDepth = 64;

/** Writes values as JSON. A layer that occurs several times is written once, so that it is shared again when read. */
export class ConfigWriter {
  private readonly layers = new Map<Layer, number>();

  /** Any option as JSON. `where` names the layer or option that it belongs to. */
  value(where: string, value: unknown, depth = 0): Json {
    if (depth > maxDepth)
      throw new NablaError(where, `options are nested more than ${maxDepth} deep, or in a circle`);
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value;
      case 'number':
        // JSON has no such numbers.
        if (Number.isFinite(value) && !Object.is(value, -0)) return value;
        return { $: 'number', value: Object.is(value, -0) ? '-0' : String(value) };
      case 'undefined':
        return { $: 'undefined' };
      case 'function':
      case 'object':
        if (value === null) return null;
        return this.object(where, value, depth);
      default:
        throw new NablaError(where, `cannot be saved, got ${describe(value)}, expected what JSON can hold`);
    }
  }

  private object(where: string, value: object, depth: number): Json {
    if (value instanceof Layer) return this.layer(value, depth);
    const call = factoryCall(value);
    if (call !== undefined) {
      const args = call.args.map((arg) => this.value(`${where}.${call.name}`, arg, depth + 1));
      return { $: call.kind, name: call.name, args };
    }
    if (typeof value === 'function') {
      const { kind, name } = functionName(where, value as (...args: never[]) => unknown);
      return { $: kind, name };
    }
    if (Array.isArray(value)) return value.map((item) => this.value(where, item, depth + 1));
    if (value instanceof Tensor) {
      const values = Array.from(value.dataSync(), (number) => this.value(where, Number(number)));
      return { $: 'tensor', dtype: value.dtype, shape: value.shape, values };
    }
    if (value instanceof RegExp) return { $: 'regexp', source: value.source, flags: value.flags };
    const array = arrayTypes.find((type) => value instanceof type);
    if (array !== undefined) {
      const values = Array.from(value as Float32Array, (number) => this.value(where, number));
      return { $: 'array', type: array.name, values };
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) {
      throw new NablaError(
        where,
        `cannot be saved, got ${describe(value)}, expected plain values, layers, or what the library's factories make`,
      );
    }
    return this.fields(where, value, depth);
  }

  private fields(where: string, value: object, depth: number): Json {
    const fields: Record<string, Json> = {};
    for (const [key, field] of Object.entries(value)) {
      if (field === undefined) continue;
      if (key === '$' || key === '__proto__')
        throw new NablaError(where, `an option cannot be saved under the name '${key}'`);
      fields[key] = this.value(`${where}.${key}`, field, depth + 1);
    }
    return fields;
  }

  /** A layer with its options. */
  layer(layer: Layer, depth = 0): Json {
    const known = this.layers.get(layer);
    if (known !== undefined) return { $: 'layer', ref: known };
    const id = this.layers.size;
    this.layers.set(layer, id);
    if (isModel(layer)) return { $: 'layer', id, model: layer.toConfig(this) };
    return {
      $: 'layer',
      id,
      className: classNameOf(layer),
      config: this.fields(layer.name, layer.getConfig(), depth + 1),
    };
  }
}

/** A model among the layers of another one. */
interface ModelLayer {
  toConfig(writer: ConfigWriter): Json;
}

const isModel = (layer: object): layer is ModelLayer => 'toConfig' in layer;

const arrayTypes = [Float32Array, Float64Array, Int32Array, Uint8Array] as const;

/** Makes values from JSON. */
export class ConfigReader {
  private readonly where: string;
  private readonly layers = new Map<number, Layer>();

  private readonly modelOf: ((reader: ConfigReader, json: Json) => unknown) | undefined;

  /** `where` is what messages call the file; `modelOf` makes the models in it. */
  constructor(where: string, modelOf?: (reader: ConfigReader, json: Json) => unknown) {
    this.where = where;
    this.modelOf = modelOf;
  }

  value(json: Json, depth = 0): unknown {
    if (depth > maxDepth) throw this.bad(`options are nested more than ${maxDepth} deep`);
    if (json === null || typeof json !== 'object') return json;
    if (isList(json)) return json.map((item) => this.value(item, depth + 1));
    if (!Object.hasOwn(json, '$')) return this.fields(json, depth);
    const { $, name, args } = json;
    switch ($) {
      case 'undefined':
        return undefined;
      case 'number':
        return Number(json.value);
      case 'layer':
        return this.layer(json, depth);
      case 'op':
      case 'function':
        return makeFunction(this.where, $, String(name));
      case 'regexp':
        return this.guarded('regexp', () => new RegExp(String(json.source), String(json.flags)));
      case 'array':
        return this.array(json);
      case 'tensor':
        return this.tensor(json);
      default: {
        if (!isList(args)) throw this.bad(`got no arguments for '${String(name)}', expected a list`);
        const values = args.map((arg) => this.value(arg, depth + 1));
        return this.guarded(String(name), () => makeRecorded(this.where, String($), String(name), values));
      }
    }
  }

  /** A layer, made anew or met before. */
  layer(json: Json, depth = 0): Layer {
    if (json === null || typeof json !== 'object' || isList(json) || json.$ !== 'layer') {
      throw this.bad(`got ${describe(json)}, expected a layer`);
    }
    const { id, ref, className, config, model } = json;
    if (ref !== undefined) {
      const known = this.layers.get(ref as number);
      if (known === undefined)
        throw this.bad(`got layer ${describe(ref)}, expected one that comes before it`);
      return known;
    }
    if (typeof id === 'number' && model !== undefined && this.modelOf !== undefined) {
      if (depth > maxDepth) throw this.bad(`models are nested more than ${maxDepth} deep`);
      // Whatever it gives, it stands here as a layer.
      const nested = this.modelOf(this, model) as Layer;
      this.layers.set(id, nested);
      return nested;
    }
    if (typeof id !== 'number' || typeof className !== 'string' || !isFields(config)) {
      throw this.bad(`got a layer without id, className or config, expected all of them`);
    }
    const options = this.fields(config, depth + 1);
    const layer = this.guarded(className, () => makeLayer(this.where, className, options));
    this.layers.set(id, layer);
    return layer;
  }

  /** The fields of an object. */
  fields(json: { readonly [key: string]: Json }, depth = 0): Record<string, unknown> {
    const fields: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(json)) {
      if (key === '__proto__') throw this.bad(`an option cannot have the name '${key}'`);
      fields[key] = this.value(field, depth + 1);
    }
    return fields;
  }

  private array({ type, values }: { readonly [key: string]: Json }): unknown {
    const Type = arrayTypes.find(({ name }) => name === type);
    if (Type === undefined || values === undefined || !isList(values)) {
      throw this.bad(
        `got an array of ${describe(type)}, expected one of ${arrayTypes.map(({ name }) => name).join(', ')}`,
      );
    }
    return Type.from(values.map((value) => Number(this.value(value))));
  }

  private tensor({ dtype, shape, values }: { readonly [key: string]: Json }): Tensor {
    if (values === undefined || !isList(values)) throw this.bad('got a tensor without values, expected some');
    const numbers = values.map((value) => Number(this.value(value)));
    return this.guarded('tensor', () => tensor(numbers, shape as number[], dtype as 'float32'));
  }

  /** What a factory throws is told with the file's name: the options in it are wrong, not those of the caller. */
  private guarded<T>(name: string, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (error instanceof NablaError && error.where === this.where) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new NablaError(this.where, `'${name}' cannot be made from the options in the file: ${reason}`, {
        cause: error,
      });
    }
  }

  private bad(message: string): NablaError {
    return new NablaError(this.where, `bad configuration: ${message}`);
  }
}

/** Is it a JSON array? (`Array.isArray` does not narrow readonly ones.) */
export function isList(json: Json | undefined): json is readonly Json[] {
  return Array.isArray(json);
}

/** Is it a JSON object? */
export function isFields(json: Json | undefined): json is { readonly [key: string]: Json } {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

/** Parses JSON that is nested at most so deep; its size is that of a file that was read already. */
export function parseJson(where: string, what: string, text: string): Json {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const sign = text[i];
    if (quoted) {
      if (sign === '\\') i++;
      else if (sign === '"') quoted = false;
    } else if (sign === '"') quoted = true;
    else if (sign === '{' || sign === '[') {
      if (++depth > 4 * maxDepth)
        throw new NablaError(where, `${what} is nested more than ${4 * maxDepth} deep`);
    } else if (sign === '}' || sign === ']') depth--;
  }
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new NablaError(where, `${what} is no JSON: ${(error as Error).message}; the file is altered`, {
      cause: error,
    });
  }
}
