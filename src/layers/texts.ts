// What layers of text share: they run in JavaScript, take texts in arrays and give tensors.
import { describe, NablaError } from '../errors.ts';
import { tensor } from '../ops/creation.ts';
import { type Shape, showShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { eachBatch } from './adapt.ts';

/** A text, or texts in arrays of one length each. */
export type Texts = string | readonly Texts[];

/** Options that every layer of text has. */
export interface TextLayerOptions {
  /** Default: the kind of layer. */
  name?: string;
}

/**
 * A layer that takes text. Tensors hold numbers only, so that it is no part of a model: it is applied to the texts, and the model to the tensor
 * that it gives.
 */
export abstract class TextLayer {
  /** The kind of layer in camelCase. */
  abstract readonly kind: string;
  private readonly given: TextLayerOptions;

  constructor(given: TextLayerOptions) {
    this.given = given;
  }

  /** The layer's name. */
  get name(): string {
    return this.given.name ?? this.kind;
  }

  /** The options that make a layer like this one, with what it has learned; plain JSON unless options are functions. */
  getConfig(): Record<string, unknown> {
    return { ...this.given };
  }
}

/** Texts in one list, and the shape of their nesting. */
export function flattenTexts(where: string, texts: unknown): { tokens: string[]; shape: number[] } {
  const shape: number[] = [];
  for (let level = texts; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  const tokens: string[] = [];
  const walk = (value: unknown, depth: number) => {
    if (typeof value === 'string' && depth === shape.length) {
      tokens.push(value);
    } else if (Array.isArray(value) && value.length === shape[depth]) {
      for (const item of value) walk(item, depth + 1);
    } else {
      throw new NablaError(
        where,
        `expected texts in arrays of equal lengths, got ${describe(value)} among them`,
      );
    }
  };
  walk(texts, 0);
  return { tokens, shape };
}

/** Calls `visit` with lists of texts or of whole numbers, each a document; gives a promise where they come over time. */
export function eachDocument<T extends string | number>(
  where: string,
  data: unknown,
  visit: (document: readonly T[]) => void,
): void | Promise<void> {
  const one = (value: unknown) => {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    const bad = list.find((item) => typeof item !== 'string' && !Array.isArray(item));
    if (bad !== undefined) {
      throw new NablaError(where, `cannot learn from ${describe(bad)}, expected texts in arrays`);
    }
    for (const item of list) visit((Array.isArray(item) ? flattenTexts(where, item).tokens : [item]) as T[]);
  };
  if (typeof data === 'object' && data !== null && Symbol.asyncIterator in data) {
    return (async () => {
      for await (const batch of data as AsyncIterable<unknown>) one(batch);
    })();
  }
  one(data);
  return undefined;
}

/** {@link eachDocument} for whole numbers in tensors and arrays: every row is a document. */
export function eachRow(where: string, data: unknown, visit: (row: number[]) => void): void | Promise<void> {
  return eachBatch(where, data, (batch) => {
    const numbers = batch.dataSync();
    const length = batch.rank > 1 ? sizeOf(batch.shape.slice(1)) : 1;
    for (let at = 0; at < numbers.length; at += length) visit([...numbers.subarray(at, at + length)]);
  });
}

/** Rows of `depth` numbers: how often each index is in a list, or whether it is, times a weight each; indices below 0 do not count. */
export function countRows(
  mode: string,
  lists: readonly ArrayLike<number>[],
  depth: number,
  weights?: readonly number[],
): Float32Array {
  const rows = new Float32Array(lists.length * depth);
  lists.forEach((list, row) => {
    for (const index of Array.from(list)) {
      const at = row * depth + index;
      if (index >= 0) rows[at] = mode === 'multiHot' ? 1 : rows[at]! + (weights?.[index] ?? 1);
    }
  });
  return rows;
}

/** Indices of tokens in a mode's form; those below 0 stand for nothing. A list of tokens is one sample, of lists each is one. */
export function encodeIndices(
  where: string,
  mode: string,
  indices: Int32Array,
  shape: Shape,
  depth: number,
  weights?: readonly number[],
): Tensor {
  if (mode === 'int') return tensor(indices, shape, 'int32');
  if (mode === 'oneHot') {
    const lead = shape.length > 1 && shape.at(-1) === 1 ? shape.slice(0, -1) : shape;
    const lists = Array.from(indices, (index) => [index]);
    return tensor(countRows(mode, lists, depth), [...lead, depth]);
  }
  if (shape.length > 2) {
    throw new NablaError(
      where,
      `expected lists of tokens for ${mode} rows, got the shape ${showShape(shape)}`,
    );
  }
  const length = shape.at(-1) ?? 1;
  const samples = shape.length === 2 ? shape[0]! : 1;
  const lists = Array.from({ length: samples }, (_, i) => indices.subarray(i * length, (i + 1) * length));
  const rows = countRows(mode, lists, depth, weights);
  return tensor(rows, shape.length === 2 ? [samples, depth] : [depth]);
}
