// Records of training read from files: what csvLogger writes, and histories as JSON.
import { NablaError } from '../errors.ts';
import type { ReportData } from './html.ts';

/** The record in a file's text. */
export function readLog(where: string, text: string): ReportData {
  const data = text.trimStart().startsWith('{') ? fromJson(where, text) : fromCsv(where, text);
  if (data.epoch.length > 0) return data;
  throw new NablaError(where, 'the log has no epochs, expected at least one');
}

const isNumbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((each) => typeof each === 'number' || each === null);

function fromJson(where: string, text: string): ReportData {
  let json: {
    epoch?: unknown;
    history?: unknown;
    learningRate?: unknown;
    steps?: unknown;
    seconds?: unknown;
  };
  try {
    json = JSON.parse(text) as typeof json;
  } catch (error) {
    throw new NablaError(where, `no JSON: ${(error as Error).message}`, { cause: error });
  }
  const { epoch, history, learningRate, steps, seconds } = json;
  const logs = typeof history === 'object' && history !== null ? Object.entries(history) : [];
  if (!isNumbers(epoch) || logs.length === 0 || !logs.every(([, values]) => isNumbers(values))) {
    throw new NablaError(where, 'no history, expected the JSON of what fit gives, with epoch and history');
  }
  // JSON has null in the place of NaN.
  const numbers = (values: readonly (number | null)[]) => values.map((value) => value ?? Number.NaN);
  return {
    epoch,
    history: Object.fromEntries(logs.map(([name, values]) => [name, numbers(values as number[])])),
    ...(isNumbers(learningRate) ? { learningRate: numbers(learningRate) } : {}),
    ...(typeof steps === 'number' ? { steps } : {}),
    ...(typeof seconds === 'number' ? { seconds } : {}),
  };
}

function fromCsv(where: string, text: string): ReportData {
  const [head = '', ...rows] = text.split(/\r?\n/).filter((line) => line !== '');
  const separator = [',', ';', '\t'].find((sign) => head.includes(sign)) ?? ',';
  const names = head.split(separator);
  if (names[0] !== 'epoch' || names.length < 2) {
    throw new NablaError(
      where,
      `no log, got a file that begins with '${head.slice(0, 40)}', expected 'epoch,...' as csvLogger writes it, or JSON`,
    );
  }
  const cells = rows.map((row) =>
    row.split(separator).map((cell) => (cell === 'NA' ? Number.NaN : Number(cell))),
  );
  const column = (i: number) => cells.map((row) => row[i] ?? Number.NaN);
  const columns = new Map(names.map((name, i) => [name, column(i)]));
  const { epoch, learning_rate: learningRate, ...history } = Object.fromEntries(columns);
  return { epoch: epoch!, history, ...(learningRate && { learningRate }) };
}
