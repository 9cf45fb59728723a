// csv: rows of a file of comma-separated values as objects, with types, missing values and errors that name line and column.
import { describe, NablaError, unknownName } from '../errors.ts';
import { CsvReader, type CsvRecord } from './csv-reader.ts';
import { Dataset } from './dataset.ts';
import { drained } from './stages.ts';
import { type ByteSource, checkSource, nameOf, openChunks, textOf } from './text.ts';

/** A row: each column's value by its name. */
export type CsvRow = Record<string, number | string | boolean>;

/** What is said of a column. */
export interface CsvColumn {
  /** float32 and int32 give numbers, bool booleans, string texts. Default: float32 if all values in the first rows are numbers, else string. */
  dtype?: 'float32' | 'int32' | 'bool' | 'string';
  /** A missing value is an error. Default false. */
  required?: boolean;
  /** What stands for a missing value. Default: NaN for float32, `''` for string; an error for int32 and bool. */
  default?: number | string | boolean;
}

/** Options of {@link csv}. */
export interface CsvOptions {
  /** Does the first row hold the columns' names? Default true. */
  hasHeader?: boolean;
  /** The columns' names; they go before those of the file. Without either columns are named by their numbers, `'0'`, `'1'`. */
  columnNames?: readonly string[];
  /** What is said of columns, by their names. */
  columnConfigs?: Readonly<Record<string, CsvColumn>>;
  /** Give only the columns in `columnConfigs`. Default false. */
  configuredColumnsOnly?: boolean;
  /** One character. Default `','`. */
  delimiter?: string;
  /** Texts that mean that there is no value. Default `''`, `NA`, `N/A`, `NaN`, `nan`, `null`, `?`. */
  missingValues?: readonly string[];
  /** `'keep'`: missing values are filled in as the columns say; `'drop'`: rows with a missing value are left out. Default `'keep'`. */
  missing?: 'keep' | 'drop';
}

const dtypes = ['float32', 'int32', 'bool', 'string'] as const;
const defaultMissing = ['', 'NA', 'N/A', 'NaN', 'nan', 'null', '?'];
// Types are guessed from so many rows.
const rowsToGuess = 100;

interface Column {
  readonly name: string;
  /** Its place in the row. */
  readonly at: number;
  readonly config: CsvColumn;
  dtype: (typeof dtypes)[number];
}

/** A number as CSV files write it; undefined for other text. */
function numberIn(text: string): number | undefined {
  const trimmed = text.trim();
  // Number() also takes '', '0x1f' and '0b1'.
  if (trimmed === '' || /^[+-]?0[xbo]/i.test(trimmed)) return undefined;
  const value = Number(trimmed);
  if (!Number.isNaN(value)) return value;
  const infinite = /^([+-]?)inf(inity)?$/i.exec(trimmed);
  if (infinite === null) return undefined;
  return infinite[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

function booleanIn(text: string): boolean | undefined {
  const trimmed = text.trim().toLowerCase();
  if (trimmed === 'true' || trimmed === '1') return true;
  return trimmed === 'false' || trimmed === '0' ? false : undefined;
}

/** One pass over a file. */
class CsvPass {
  private readonly name: string;
  private readonly options: CsvOptions;
  private readonly missing: ReadonlySet<string>;
  private columns: Column[] | undefined;
  private width = 0;

  constructor(name: string, options: CsvOptions) {
    this.name = name;
    this.options = options;
    this.missing = new Set(options.missingValues ?? defaultMissing);
  }

  async *rows(source: ByteSource): AsyncGenerator<CsvRow> {
    // The first rows wait until the columns' types are known.
    let waiting: CsvRecord[] | undefined = [];
    for await (const record of this.records(source)) {
      this.columns ??= this.header(record);
      if (record.line === this.headerLine) continue;
      if (record.fields.length !== this.width) {
        throw this.error(record.line, `got ${record.fields.length} fields, expected ${this.width}`);
      }
      if (waiting === undefined) {
        yield* this.row(record);
        continue;
      }
      waiting.push(record);
      if (waiting.length < rowsToGuess) continue;
      this.guess(waiting);
      for (const early of waiting) yield* this.row(early);
      waiting = undefined;
    }
    this.guess(waiting ?? []);
    for (const early of waiting ?? []) yield* this.row(early);
  }

  private headerLine = 0;

  private async *records(source: ByteSource): AsyncGenerator<CsvRecord> {
    const reader = new CsvReader(this.options.delimiter ?? ',', this.name);
    for await (const text of textOf(await openChunks(source))) yield* reader.push(text);
    yield* reader.end();
  }

  private header({ fields, line }: CsvRecord): Column[] {
    const { hasHeader = true, columnNames, columnConfigs = {}, configuredColumnsOnly } = this.options;
    if (hasHeader) this.headerLine = line;
    const found = hasHeader ? fields.map((field) => field.trim()) : fields.map((_, i) => String(i));
    const names = columnNames ?? found;
    this.width = fields.length;
    if (names.length !== fields.length) {
      throw this.error(line, `got ${fields.length} columns, expected ${names.length} as in columnNames`);
    }
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) {
      throw this.error(line, `two columns are named '${twice}', expected different names; give columnNames`);
    }
    for (const name of Object.keys(columnConfigs))
      if (!names.includes(name)) throw unknownName('data.csv', 'column', name, names);
    return names.flatMap((name, at) => {
      const config = columnConfigs[name];
      if (config === undefined && configuredColumnsOnly) return [];
      return [{ name, at, config: config ?? {}, dtype: config?.dtype ?? 'string' }];
    });
  }

  /** Columns of which nothing is said hold numbers, if all of theirs that are there are numbers. */
  private guess(records: readonly CsvRecord[]): void {
    for (const column of this.columns ?? []) {
      if (column.config.dtype !== undefined) continue;
      const texts = records
        .map(({ fields }) => fields[column.at]!)
        .filter((text) => !this.missing.has(text.trim()));
      const numeric = texts.length > 0 && texts.every((text) => numberIn(text) !== undefined);
      column.dtype = numeric ? 'float32' : 'string';
    }
  }

  /** The record's values; nothing where it is left out. */
  private row({ fields, line }: CsvRecord): CsvRow[] {
    const row: CsvRow = {};
    for (const column of this.columns!) {
      const text = fields[column.at]!;
      if (!this.missing.has(text.trim())) row[column.name] = this.value(column, text, line);
      else if (this.options.missing === 'drop' && !column.config.required) return [];
      else row[column.name] = this.filled(column, line);
    }
    return [row];
  }

  private value({ name, dtype, config }: Column, text: string, line: number): number | string | boolean {
    if (dtype === 'string') return text;
    const value = dtype === 'bool' ? booleanIn(text) : numberIn(text);
    const whole = dtype !== 'int32' || value === ((value as number) | 0);
    if (value !== undefined && whole) return value;
    const wanted = { float32: 'a number', int32: 'an integer of 32 bits', bool: 'true, false, 1 or 0' }[
      dtype
    ];
    const remedy =
      config.dtype === undefined
        ? `; the first rows hold numbers: set columnConfigs: { ${name}: { dtype: 'string' } }, or add it to missingValues`
        : '; correct the file, or add it to missingValues';
    throw this.error(line, `column '${name}' got '${text}', expected ${wanted}${remedy}`);
  }

  private filled({ name, dtype, config }: Column, line: number): number | string | boolean {
    if (!config.required) {
      if (config.default !== undefined) return config.default;
      if (dtype === 'float32') return Number.NaN;
      if (dtype === 'string') return '';
    }
    const why = config.required ? 'it is required' : `${dtype} has no value for that; give a default`;
    throw this.error(line, `column '${name}' has no value, ${why}`);
  }

  private error(line: number, text: string): NablaError {
    return new NablaError('data.csv', `${this.name}, line ${line}: ${text}`);
  }
}

/**
 * Rows of a file of comma-separated values (RFC 4180), as objects of the columns' values. The file is read piece by piece.
 *
 * @throws {NablaError} in the pass: with the file, the line and the column, where a row does not fit.
 * @example
 * data.csv('iris.csv', { columnConfigs: { species: { dtype: 'string' } } })
 *   .map(data.features(['sepal', 'petal'], 'species', { classes: ['setosa', 'versicolor', 'virginica'] }))
 */
export function csv(source: ByteSource, options: CsvOptions = {}): Dataset<CsvRow> {
  const where = 'data.csv';
  checkSource(where, source);
  const { delimiter = ',', columnConfigs = {}, missing = 'keep', columnNames } = options;
  if (typeof delimiter !== 'string' || delimiter.length !== 1 || /["\r\n]/.test(delimiter)) {
    throw new NablaError(where, `bad delimiter, got ${describe(delimiter)}, expected one character`);
  }
  if (!['keep', 'drop'].includes(missing)) throw unknownName(where, 'missing', missing, ['keep', 'drop']);
  for (const [name, { dtype }] of Object.entries(columnConfigs))
    if (dtype !== undefined && !dtypes.includes(dtype))
      throw unknownName(where, `dtype of ${name}`, dtype, dtypes);
  if (columnNames !== undefined && !Array.isArray(columnNames)) {
    throw new NablaError(where, `bad columnNames, got ${describe(columnNames)}, expected an array of names`);
  }
  return new Dataset((pass) => drained(where, new CsvPass(nameOf(source), options).rows(source), pass));
}

/** Options of {@link features}. */
export interface FeaturesOptions {
  /** Names of classes: a label that is one of them becomes its index. */
  classes?: readonly string[];
}

/**
 * A function for `map` that makes training samples of rows: the columns `x` as a vector, and the column `y`, if there is one, as the label.
 *
 * @throws {NablaError} in the pass: where a value is no number, or a label none of `classes`.
 */
export function features(x: readonly string[]): (row: CsvRow) => Float32Array;
export function features(
  x: readonly string[],
  y: string,
  options?: FeaturesOptions,
): (row: CsvRow) => [Float32Array, number];
export function features(
  x: readonly string[],
  y?: string,
  options: FeaturesOptions = {},
): (row: CsvRow) => Float32Array | [Float32Array, number] {
  const where = 'data.features';
  const numberOf = (row: CsvRow, name: string): number => {
    if (!Object.hasOwn(row, name)) throw unknownName(where, 'column', name, Object.keys(row));
    const value = row[name]!;
    if (typeof value !== 'string') return Number(value);
    throw new NablaError(
      where,
      `column '${name}' holds text, got '${value}', expected numbers; map() it to some`,
    );
  };
  const labelOf = (row: CsvRow, name: string): number => {
    const { classes } = options;
    if (classes === undefined) return numberOf(row, name);
    const at = classes.indexOf(String(row[name]));
    if (at >= 0) return at;
    throw unknownName(where, `class in column '${name}'`, row[name], classes);
  };
  const vector = (row: CsvRow) => Float32Array.from(x, (name) => numberOf(row, name));
  if (y === undefined) return vector;
  return (row) => [vector(row), labelOf(row, y)];
}
