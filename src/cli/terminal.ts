// What the command line draws: a progress bar that behaves in terminals, logs and pipes, numbers in words, digits in blocks.

import { NablaError } from '../errors.ts';

/** What is used of an output stream; `process.stdout` and `process.stderr` fit. */
export interface TerminalStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  /** Width in characters; 80 when not known. */
  readonly columns?: number;
}

export interface ProgressOptions {
  /** Default `process.stdout`. */
  readonly stream?: TerminalStream;
  /** Steps in all; left out when not known: then there is no bar and no time left. */
  readonly total?: number;
  /** What is going on, e.g. `epoch 3/5`. */
  readonly label: string;
  /** Default `process.env`; read are NO_COLOR, CI and TERM. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** A clock in milliseconds; default `performance.now`. */
  readonly now?: () => number;
}

/** How far things are. */
export interface ProgressState {
  /** Steps completed. */
  readonly step: number;
  /** Loss, accuracy and so on, in the order they are to be shown. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Default: steps so far over time so far. */
  readonly stepsPerSecond?: number;
  /** Is asked for the memory in use, in bytes, when it is drawn, and shown where there is room. Default: it is not. */
  readonly memory?: (() => number) | undefined;
}

export interface Progress {
  /** Shows the state, unless it was shown less than a tenth of a second ago or the output is no terminal. */
  update(state: ProgressState): void;
  /** Shows the last state with the time taken and ends the line. Later calls do nothing. */
  finish(state?: ProgressState): void;
}

/** Shortest time between two drawings in milliseconds: ten a second look alive and cost nothing. */
const REDRAW_MS = 100;
const LONGEST_BAR = 30;
const SHORTEST_BAR = 8;

/**
 * A progress bar on one line of a terminal, redrawn in place. Where the output is no terminal, in CI and with TERM=dumb it is
 * one plain line, written by `finish`. With NO_COLOR set (and not empty) there are no colours.
 */
export function createProgress(options: ProgressOptions): Progress {
  const { total, now = () => performance.now(), env = process.env } = options;
  const stream: TerminalStream = options.stream ?? process.stdout;
  const inCi = env.CI !== undefined && env.CI !== '' && env.CI !== 'false';
  const redraws = stream.isTTY === true && !inCi && env.TERM !== 'dumb';
  // Any value but an empty one counts: https://no-color.org
  const colours = redraws && !env.NO_COLOR;
  const label = printable(options.label);
  const started = now();
  let drawn = Number.NEGATIVE_INFINITY;
  let last: ProgressState = { step: 0, metrics: {} };
  let finished = false;

  const memoryOf = ({ memory }: ProgressState) => (memory === undefined ? [] : [formatBytes(memory())]);

  /** `extra`: what is left out where the bar would have no room. */
  const line = (facts: readonly string[], extra: readonly string[]): string => {
    const count =
      total === undefined ? formatCount(last.step) : `${formatCount(last.step)}/${formatCount(total)}`;
    const said = [count, ...formatMetrics(last.metrics), ...facts];
    const full = [...said, ...extra].join('  ');
    if (!redraws) return `${label}  ${full}`;
    // The last column stays free: some terminals wrap as soon as it is written.
    const width = (stream.columns ?? 80) - 1;
    const beside = (text: string) => width - displayWidth(label) - displayWidth(text) - 4;
    const text = beside(full) < SHORTEST_BAR ? said.join('  ') : full;
    const room = beside(text);
    if (total === undefined || room < SHORTEST_BAR) return clip(`${label}  ${text}`, width);
    return `${label}  ${bar(last.step / total, Math.min(room, LONGEST_BAR), colours)}  ${text}`;
  };

  return {
    update(state) {
      if (finished) return;
      last = state;
      const time = now();
      if (!redraws || time - drawn < REDRAW_MS) return;
      drawn = time;
      const speed = state.stepsPerSecond ?? (1000 * state.step) / (time - started);
      const facts = speed > 0 && Number.isFinite(speed) ? [`${formatSpeed(speed)} steps/s`] : [];
      const left = total === undefined ? Number.NaN : Math.max(0, total - state.step) / speed;
      if (Number.isFinite(left)) facts.push(`${formatDuration(left)} left`);
      stream.write(`\r${line(facts, memoryOf(state))}\x1b[K`);
    },
    finish(state = last) {
      if (finished) return;
      finished = true;
      last = state;
      const seconds = (now() - started) / 1000;
      const speed = state.stepsPerSecond ?? state.step / seconds;
      const facts = speed > 0 && Number.isFinite(speed) ? [`${formatSpeed(speed)} steps/s`] : [];
      facts.push(`in ${formatDuration(seconds)}`);
      const text = line(facts, memoryOf(state));
      stream.write(redraws ? `\r${text}\x1b[K\n` : `${text}\n`);
    },
  };
}

/** A bar of `width` characters, `done` (0 to 1) of it filled. */
function bar(done: number, width: number, colours: boolean): string {
  const filled = Math.round(Math.min(1, Math.max(0, done || 0)) * width);
  const full = '█'.repeat(filled);
  const empty = '░'.repeat(width - filled);
  return colours ? `\x1b[32m${full}\x1b[90m${empty}\x1b[0m` : full + empty;
}

const formatMetrics = (metrics: Readonly<Record<string, number>>) =>
  Object.entries(metrics).map(([name, value]) => `${printable(name)} ${formatMetric(value)}`);

/** Four decimals where they say something, an exponent elsewhere. */
function formatMetric(value: number): string {
  const size = Math.abs(value);
  return size === 0 || (size >= 1e-3 && size < 1e5) ? value.toFixed(4) : value.toExponential(3);
}

const formatSpeed = (speed: number) => (speed < 10 ? speed.toFixed(1) : formatCount(Math.round(speed)));

/** Without control characters: a line break or an escape would break the drawing. */
const printable = (text: string) => text.replace(/\p{Cc}/gu, ' ');

/** Columns of a terminal that one character takes: 0 combining, 2 East Asian wide and emoji, else 1. */
function charWidth(char: string): number {
  if (/[\p{Mn}\p{Me}\p{Cf}]/u.test(char)) return 0;
  return /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u.test(
    char,
  )
    ? 2
    : 1;
}

/** Columns of a terminal that a text without escapes takes. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

/** The text cut to `width` columns. */
function clip(text: string, width: number): string {
  let used = 0;
  let result = '';
  for (const char of text) {
    used += charWidth(char);
    if (used > width) break;
    result += char;
  }
  return result;
}

/** A time in seconds as people say it: `0.25 s`, `12.3 s`, `2 min 05 s`, `3 h 02 min`, `2 d 04 h`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '?';
  // Compared after rounding, so that 59.96 s is one minute and not 60.0 s.
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const two = (value: number) => String(value).padStart(2, '0');
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 24
    ? `${hours} h ${two(minutes % 60)} min`
    : `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

/** A number of bytes with a binary unit: `512 B`, `1.5 KiB`, `44.9 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  // 1023.95 would print as 1024.0.
  while (Math.abs(value) >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? formatCount(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A number with its digits in threes, whatever the locale: `1,234,567`. Fractions keep two decimals at most. */
export function formatCount(count: number): string {
  const [whole, fraction] = String(Math.round(count * 100) / 100).split('.');
  const grouped = whole!.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/**
 * Draws an image with half-block characters, two rows of pixels a line: a pixel is drawn when it is brighter than half the
 * image's brightest.
 *
 * @param pixels `[height, width]`, row-major; greys of any scale, larger is brighter
 * @returns `ceil(height / 2)` lines of `width` characters, without a line break at the end
 */
export function renderDigit(pixels: ArrayLike<number>, width: number, height: number): string {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new NablaError('renderDigit', `got size ${width}x${height}, expected integers of at least 1`);
  }
  if (pixels.length !== width * height) {
    const wanted = `expected ${width * height} for ${width}x${height}`;
    throw new NablaError('renderDigit', `got ${pixels.length} pixels, ${wanted}; pass one image at a time`);
  }
  let brightest = 0;
  for (let i = 0; i < pixels.length; i++) brightest = Math.max(brightest, pixels[i]!);
  const drawn = (x: number, y: number) => y < height && pixels[y * width + x]! > brightest / 2;
  const rows: string[] = [];
  for (let y = 0; y < height; y += 2) {
    let row = '';
    for (let x = 0; x < width; x++) {
      if (drawn(x, y)) row += drawn(x, y + 1) ? '█' : '▀';
      else row += drawn(x, y + 1) ? '▄' : ' ';
    }
    rows.push(row);
  }
  return rows.join('\n');
}
