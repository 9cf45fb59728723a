// The header of a safetensors file: JSON of a fixed form, read strictly and without recursion, since files come from anywhere.
import { NablaError } from '../errors.ts';

/** A dtype as safetensors names it. */
export type SafetensorsDType =
  | 'BOOL'
  | 'U8'
  | 'I8'
  | 'F8_E5M2'
  | 'F8_E4M3'
  | 'I16'
  | 'U16'
  | 'F16'
  | 'BF16'
  | 'I32'
  | 'U32'
  | 'F32'
  | 'I64'
  | 'U64'
  | 'F64';

/** Bytes of an element, by the names that safetensors gives to dtypes. */
export const elementBytes: Readonly<Record<SafetensorsDType, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
};

/** Where a tensor lies in the data behind the header. */
export interface HeaderEntry {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** What a header says. */
export interface Header {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of the header. */
  readonly entries: ReadonlyMap<string, HeaderEntry>;
}

/** The limit of the reference implementation. */
export const maxHeaderBytes = 100_000_000;

/** The header's length, from the first eight bytes of a file of `size` bytes. */
export function headerLength(where: string, start: Uint8Array, size: number): number {
  if (size < 8 || start.length < 8) {
    throw new NablaError(where, `the file is too short, got ${size} bytes, expected at least 8`);
  }
  const view = new DataView(start.buffer, start.byteOffset, 8);
  const length = view.getBigUint64(0, true);
  const most = BigInt(Math.min(maxHeaderBytes, size - 8));
  if (length > most) {
    throw new NablaError(
      where,
      `the header does not fit, got a length of ${length} bytes, expected at most ${most}; ` +
        'the file is truncated, or no safetensors file',
    );
  }
  return Number(length);
}

/** Reads a header and checks it against the number of bytes of data behind it. */
export function parseHeader(where: string, bytes: Uint8Array, dataBytes: number): Header {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new NablaError(where, 'bad header, got bytes that are no UTF-8, expected JSON');
  }
  const header = new HeaderParser(where, text).parse();
  checkLayout(where, header.entries, dataBytes);
  return header;
}

/** Throws unless the tensors fill the data: no overlap, no hole, nothing beyond. */
function checkLayout(where: string, entries: ReadonlyMap<string, HeaderEntry>, dataBytes: number): void {
  const sorted = [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let reached = 0;
  for (const [name, { begin, end }] of sorted) {
    if (end > dataBytes) {
      throw new NablaError(
        where,
        `tensor '${name}' lies beyond the file, got data up to byte ${end}, expected at most ${dataBytes}; the file is truncated`,
      );
    }
    if (begin !== reached) {
      const what = begin < reached ? 'overlaps another' : 'leaves a hole before it';
      throw new NablaError(where, `tensor '${name}' ${what}, got offset ${begin}, expected ${reached}`);
    }
    reached = end;
  }
  if (reached !== dataBytes) {
    throw new NablaError(where, `bytes that no tensor owns, got ${dataBytes} of data, expected ${reached}`);
  }
}

/** A reader of one JSON form: `{ "__metadata__": { string: string }, name: { dtype, shape, data_offsets } }`. */
class HeaderParser {
  private readonly where: string;
  private readonly text: string;
  private at = 0;

  constructor(where: string, text: string) {
    this.where = where;
    this.text = text;
  }

  parse(): Header {
    let metadata: Map<string, string> | undefined;
    const entries = new Map<string, HeaderEntry>();
    this.object('the header', (name) => {
      if (name === '__metadata__') metadata = this.metadata();
      else entries.set(name, this.entry(name));
    });
    this.skipSpace();
    if (this.at < this.text.length) throw this.unexpected('the end of the header');
    return { metadata: metadata ?? new Map(), entries };
  }

  private metadata(): Map<string, string> {
    const values = new Map<string, string>();
    this.object('__metadata__', (key) => values.set(key, this.string()));
    return values;
  }

  private entry(name: string): HeaderEntry {
    let dtype: string | undefined;
    let shape: number[] | undefined;
    let offsets: number[] | undefined;
    this.object(`'${name}'`, (key) => {
      if (key === 'dtype') dtype = this.string();
      else if (key === 'shape') shape = this.integers();
      else if (key === 'data_offsets') offsets = this.integers();
      else throw this.bad(name, `got a field '${key}', expected dtype, shape and data_offsets`);
    });
    if (dtype === undefined || shape === undefined || offsets === undefined) {
      throw this.bad(name, 'a field is missing, expected dtype, shape and data_offsets');
    }
    if (!Object.hasOwn(elementBytes, dtype)) {
      const known = Object.keys(elementBytes).join(', ');
      throw this.bad(name, `unknown dtype, got '${dtype}', expected one of ${known}`);
    }
    const [begin, end, ...more] = offsets;
    if (begin === undefined || end === undefined || more.length > 0 || begin > end) {
      throw this.bad(name, `bad data_offsets, got [${offsets.join(', ')}], expected [begin, end]`);
    }
    const known = dtype as SafetensorsDType;
    const bytes = shape.reduce((product, dim) => product * dim, elementBytes[known]);
    if (bytes !== end - begin) {
      throw this.bad(
        name,
        `its size is not that of its shape, got ${end - begin} bytes, expected ${bytes} for ${dtype}[${shape.join(', ')}]`,
      );
    }
    return { dtype: known, shape, begin, end };
  }

  /** Reads an object; `member` reads the value of each key. */
  private object(what: string, member: (key: string) => void): void {
    const keys = new Set<string>();
    this.expect('{');
    if (this.peek() === '}') {
      this.at++;
      return;
    }
    for (;;) {
      const key = this.string();
      if (keys.has(key)) {
        throw new NablaError(
          this.where,
          `bad header, got the key '${key}' twice in ${what}, expected it once`,
        );
      }
      keys.add(key);
      this.expect(':');
      member(key);
      if (this.peek() === '}') break;
      this.expect(',');
    }
    this.at++;
  }

  private integers(): number[] {
    const values: number[] = [];
    this.expect('[');
    if (this.peek() === ']') {
      this.at++;
      return values;
    }
    for (;;) {
      values.push(this.integer());
      if (this.peek() === ']') break;
      this.expect(',');
    }
    this.at++;
    return values;
  }

  private integer(): number {
    this.skipSpace();
    const digits = /\d+(?![\d.eE])/y;
    digits.lastIndex = this.at;
    const found = digits.exec(this.text)?.[0];
    if (found === undefined || (found.length > 1 && found[0] === '0'))
      throw this.unexpected('an integer >= 0');
    const value = Number(found);
    if (!Number.isSafeInteger(value)) {
      throw new NablaError(
        this.where,
        `bad header, got the number ${found.slice(0, 24)}, expected one below 2^53`,
      );
    }
    this.at += found.length;
    return value;
  }

  private string(): string {
    if (this.peek() !== '"') throw this.unexpected('a string');
    let end = this.at + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === '\\' ? 2 : 1;
    const quoted = this.text.slice(this.at, end + 1);
    let value: unknown;
    try {
      value = JSON.parse(quoted);
    } catch {
      value = undefined;
    }
    if (typeof value !== 'string') throw this.unexpected('a string');
    this.at = end + 1;
    return value;
  }

  private peek(): string | undefined {
    this.skipSpace();
    return this.text[this.at];
  }

  private expect(sign: string): void {
    if (this.peek() !== sign) throw this.unexpected(`'${sign}'`);
    this.at++;
  }

  private skipSpace(): void {
    while (' \t\n\r'.includes(this.text[this.at] ?? 'end')) this.at++;
  }

  private unexpected(expected: string): NablaError {
    const found = this.at < this.text.length ? `'${this.text.slice(this.at, this.at + 12)}'` : 'the end';
    return new NablaError(
      this.where,
      `bad header, got ${found} at character ${this.at}, expected ${expected}; the file is altered, or no safetensors file`,
    );
  }

  private bad(name: string, message: string): NablaError {
    return new NablaError(this.where, `bad tensor '${name}': ${message}`);
  }
}
