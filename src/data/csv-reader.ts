// Comma-separated values as RFC 4180 describes them, read piece by piece: quoted fields, doubled quotes, line ends within quotes.
import { NablaError } from '../errors.ts';

/** A row of a file. */
export interface CsvRecord {
  /** The line that it begins on, from 1. */
  readonly line: number;
  readonly fields: readonly string[];
}

const quote = 0x22;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;

type State = 'start' | 'plain' | 'quoted' | 'closed';

/** Takes the text in pieces and gives the records that are complete. Lines with nothing on them are left out. */
export class CsvReader {
  private readonly delimiter: number;
  private readonly name: string;
  private state: State = 'start';
  private field = '';
  private fields: string[] = [];
  /** The line being read, and those that the record and the quote began on. */
  private line = 1;
  private recordLine = 1;
  private quoteLine = 1;
  private afterReturn = false;
  private records: CsvRecord[] = [];

  constructor(delimiter: string, name: string) {
    this.delimiter = delimiter.charCodeAt(0);
    this.name = name;
  }

  /** The records that end in this piece. */
  push(text: string): CsvRecord[] {
    this.records = [];
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      // The second half of \r\n was counted with the first; within quotes it belongs to the field.
      if (code === lineFeed && this.afterReturn) {
        this.afterReturn = false;
        if (this.state !== 'quoted') from = i + 1;
        continue;
      }
      this.afterReturn = code === carriageReturn;
      const endOfLine = code === lineFeed || code === carriageReturn;
      if (endOfLine) this.line++;
      switch (this.state) {
        case 'quoted':
          if (code !== quote) break;
          this.field += text.slice(from, i);
          this.state = 'closed';
          from = i + 1;
          break;
        case 'closed':
          if (code === quote) {
            // A doubled quote: the second one is a part of the field.
            this.state = 'quoted';
            from = i;
          } else if (code === this.delimiter || endOfLine) {
            this.endField(endOfLine);
            from = i + 1;
          } else {
            throw this.error(
              this.line,
              `text after a closing quote, got '${text[i]}', expected a delimiter or a new line`,
            );
          }
          break;
        default:
          if (code === this.delimiter || endOfLine) {
            this.field += text.slice(from, i);
            this.endField(endOfLine);
            from = i + 1;
          } else if (this.state === 'start' && code === quote) {
            this.state = 'quoted';
            this.quoteLine = this.line;
            from = i + 1;
          } else {
            this.state = 'plain';
          }
      }
    }
    this.field += text.slice(from);
    return this.records;
  }

  /** The record that the text ends with, if no line end has closed it. */
  end(): CsvRecord[] {
    this.records = [];
    if (this.state === 'quoted') {
      throw this.error(this.quoteLine, 'a quote is opened here and never closed, expected another one');
    }
    if (this.state !== 'start' || this.fields.length > 0) this.endField(true);
    return this.records;
  }

  private endField(endOfRecord: boolean): void {
    const blank = endOfRecord && this.state === 'start' && this.fields.length === 0;
    if (!blank) this.fields.push(this.field);
    this.field = '';
    this.state = 'start';
    if (!endOfRecord) return;
    if (!blank) this.records.push({ line: this.recordLine, fields: this.fields });
    this.fields = [];
    this.recordLine = this.line;
  }

  private error(line: number, text: string): NablaError {
    return new NablaError('data.csv', `${this.name}, line ${line}: ${text}`);
  }
}
