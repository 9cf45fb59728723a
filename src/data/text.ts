// Text and bytes as data sets read them: from files, addresses, or chunks that a program gives; and textLines.
import { describe, NablaError } from '../errors.ts';
import { Dataset } from './dataset.ts';
import { drained } from './stages.ts';

/** Pieces of a text or a file, in order. */
export type Chunks = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

/**
 * Where text or bytes come from: the path or the address of a file (`.gz` is unpacked in Node.js), `{ text }`, or a function that opens a stream of
 * pieces for each pass.
 */
export type ByteSource =
  | string
  | URL
  | {
      /** The text itself. */
      readonly text: string;
    }
  | (() => Chunks | Promise<Chunks>);

const platform: { openFile: ((path: string | URL) => Chunks) | undefined } = { openFile: undefined };

/** Says how the platform reads files. */
export function onOpenFile(openFile: (path: string | URL) => Chunks): void {
  platform.openFile = openFile;
}

/** What a source is called in messages. */
export function nameOf(source: ByteSource): string {
  if (typeof source === 'string') return source;
  return source instanceof URL ? source.href : 'the text';
}

/** @internal Throws unless it is a source of text or bytes. */
export function checkSource(where: string, source: unknown): asserts source is ByteSource {
  const good = typeof source === 'string' || typeof source === 'function' || source instanceof URL;
  if (good || (typeof source === 'object' && source !== null && 'text' in source)) return;
  throw new NablaError(
    where,
    `got ${describe(source)}, expected a path, a URL, { text } or a function that opens a stream`,
  );
}

async function* fetched(url: string): AsyncGenerator<Uint8Array> {
  const response = await fetch(url);
  if (!response.ok || response.body === null) throw new Error(`HTTP status ${response.status} for ${url}`);
  const reader = response.body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    await reader.cancel();
  }
}

/** The pieces of a source, from its beginning. */
export async function openChunks(source: ByteSource): Promise<Chunks> {
  if (typeof source === 'function') return await source();
  if (typeof source === 'object' && 'text' in source) return [source.text];
  if (/^https?:/.test(String(source))) return fetched(String(source));
  if (platform.openFile === undefined) {
    throw new NablaError(
      'data',
      `there are no files on this platform, got ${source}, expected an http address or a function`,
    );
  }
  return platform.openFile(source);
}

/** The text of pieces, in pieces; without a byte order mark. */
export async function* textOf(chunks: Chunks): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  let first = true;
  for await (const chunk of chunks) {
    const text = typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    if (text === '') continue;
    yield first && text.startsWith('\ufeff') ? text.slice(1) : text;
    first = false;
  }
  const rest = decoder.decode();
  if (rest !== '') yield rest;
}

async function* linesOf(source: ByteSource): AsyncGenerator<string> {
  let rest = '';
  for await (const text of textOf(await openChunks(source))) {
    // A lone \r at the end of a piece may be half of \r\n.
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest.endsWith('\r')) rest = rest.slice(0, -1);
  else if (rest === '') return;
  yield rest;
}

/** Options of {@link textLines}. */
export interface TextLinesOptions {
  /** Leave out lines with nothing but white space. Default false. */
  skipEmpty?: boolean;
}

/**
 * The lines of a text file, or of several one after the other, without their ends (`\n`, `\r\n` or `\r`).
 *
 * @throws {NablaError} in the pass: when a file cannot be read, with the number of the line.
 * @example data.textLines('names.txt', { skipEmpty: true }).map((line) => line.trim())
 */
export function textLines(
  source: ByteSource | readonly ByteSource[],
  options: TextLinesOptions = {},
): Dataset<string> {
  const where = 'data.textLines';
  const sources = Array.isArray(source) ? (source as readonly ByteSource[]) : [source as ByteSource];
  for (const one of sources) checkSource(where, one);
  const { skipEmpty = false } = options;
  return new Dataset(async function* (pass) {
    for (const one of sources) {
      for await (const line of drained(where, linesOf(one), pass)) {
        if (!skipEmpty || line.trim() !== '') yield line;
      }
    }
  });
}
