// Charts as SVG, and the style of the pages that they stand on: the report of a fit and the live page draw with them.
import { showNumber } from './text.ts';

/** A line of a chart. */
export interface ChartLine {
  readonly name: string;
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** `'a'`: drawn through; `'b'`: dashed; `'faint'`: behind the others and without a key. */
  readonly kind: 'a' | 'b' | 'faint';
}

/** What lies below a chart. */
export interface ChartAxis {
  /** What the numbers count: `epoch`, `step`. */
  readonly name: string;
  /** Where it begins. Default: at the first point. */
  readonly begin?: number;
  /** Places of upright lines. */
  readonly marks?: readonly number[];
  /** Whether points of line `'a'` have dots, as long as they are few. Default true. */
  readonly dots?: boolean;
}

/** Text for HTML, in content and in attributes. */
export const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** Colours, charts and headings. */
export const style = `:root{--ink:#1c2430;--soft:#667283;--paper:#fff;--line:#d5dbe3;--faint:#eef1f5;--a:#1f6fd0;--b:#d0541f;--good:#16803c;--bad:#c02626}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#98a3b3;--paper:#14181e;--line:#39424e;--faint:#222933;--a:#6db1ff;--b:#ff9a62;--good:#5fd08a;--bad:#ff8080}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1100px;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.3rem 0 1.2rem;color:var(--soft)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:1rem}.charts figure{border:1px solid var(--line);border-radius:8px;padding:.6rem .7rem .3rem}
figure{margin:0}figcaption{font-weight:600}svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:11px}
.grid{stroke:var(--line)}.mark{stroke:var(--line);stroke-dasharray:2 3}.a{stroke:var(--a)}.b{stroke:var(--b);stroke-dasharray:5 3}.a,.b,.faint{fill:none;stroke-width:2;stroke-linejoin:round}
.faint{stroke:var(--a);stroke-width:1;opacity:.35}.dot{stroke:none}.dot.a{fill:var(--a)}.dot.b{fill:var(--b)}
.key{font-weight:400;margin-left:.8em;font-variant-numeric:tabular-nums}.key.ka{color:var(--a)}.key.kb{color:var(--b)}`;

const [width, height, left, right, top, bottom] = [440, 240, 52, 12, 10, 34];
// With more points than these, dots would hide the line.
const mostDots = 60;
const manyPoints = 200;

/** Round numbers of one distance, `about` of them, from at most `low` to at least `high`; `whole`: of what is counted. */
export function roundTicks(low: number, high: number, about: number, whole = false): number[] {
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const factors = whole && power < 10 ? [1, 2, 5, 10] : [1, 2, 2.5, 5, 10];
  const factor = factors.find((each) => each * power >= raw * 0.999) ?? 10;
  const distance = whole ? Math.max(1, factor * power) : factor * power;
  // A little more than nothing is left of some quotients.
  const first = Math.floor(low / distance + 1e-9);
  const last = Math.ceil(high / distance - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * distance).toPrecision(12)));
}

/** A scale's ticks, all in one notation. */
function showTicks(ticks: readonly number[]): string[] {
  const distance = ticks.length > 1 ? ticks[1]! - ticks[0]! : 1;
  const plain = distance >= 9e-6 && ticks.every((tick) => Math.abs(tick) < 1e6);
  return ticks.map((tick) => {
    if (!plain) return tick === 0 ? '0' : Number(tick.toPrecision(6)).toExponential();
    return String(tick).replace(/\B(?<!\.\d*)(?=(\d{3})+(?!\d))/g, ',');
  });
}

/** The least and the most that are shown: of many numbers a few that lie far off, such as the first losses, may leave the chart. */
function range(values: readonly number[]): [number, number] {
  const sorted = values.toSorted((a, b) => a - b);
  const off = sorted.length < manyPoints ? 0 : Math.floor(sorted.length * 0.03);
  const [low, high] = [sorted[off]!, sorted.at(-1 - off)!];
  // What differs only by rounding is level, and a level line lies in the middle.
  const flat = high - low <= 1e-6 * Math.max(Math.abs(low), Math.abs(high));
  const room = Math.abs(low) / 2 || 1;
  return flat ? [low - room, low + room] : [low, high];
}

/** A chart of lines over one scale; a number that is not finite breaks its line. */
export function drawChart(title: string, lines: readonly ChartLine[], axis: ChartAxis): string {
  const keyed = lines.filter(({ kind }) => kind !== 'faint');
  const keys = keyed.map(
    ({ name, y, kind }) =>
      `<span class="key k${kind}">${escaped(name)} ${showNumber(y.at(-1) ?? Number.NaN)}</span>`,
  );
  const caption = `<figcaption>${escaped(title)}${keys.join('')}</figcaption>`;
  const values = lines.flatMap(({ y }) => y).filter(Number.isFinite);
  if (values.length === 0) return `<figure>${caption}<p>no finite numbers</p></figure>`;
  const rows = roundTicks(...range(values), 4);
  const [low, high] = [rows[0]!, rows.at(-1)!];
  const places = lines.flatMap(({ x }) => x);
  const begin = axis.begin ?? places.reduce((a, b) => Math.min(a, b));
  const end = places.reduce((a, b) => Math.max(a, b));
  const across = (x: number) =>
    left + (end === begin ? 0.5 : (x - begin) / (end - begin)) * (width - left - right);
  const down = (y: number) => top + ((high - y) / (high - low)) * (height - top - bottom);
  const rowTexts = showTicks(rows);
  const grid = rows.map((value, i) => {
    const at = down(value).toFixed(1);
    return `<line class="grid" x1="${left}" x2="${width - right}" y1="${at}" y2="${at}"/><text x="${left - 6}" y="${at}" dy="4" text-anchor="end">${rowTexts[i]}</text>`;
  });
  const columns = end === begin ? [begin] : roundTicks(begin, end, 5, true);
  const columnTexts = showTicks(columns);
  const ticks = columns.map((x, i) => {
    if (x < begin || x > end) return '';
    return `<text x="${across(x).toFixed(1)}" y="${height - bottom + 15}" text-anchor="middle">${columnTexts[i]}</text>`;
  });
  const marks = (axis.marks ?? [])
    .filter((x) => x > begin && x < end)
    .map((x) => {
      const at = across(x).toFixed(1);
      return `<line class="mark" x1="${at}" x2="${at}" y1="${top}" y2="${height - bottom}"/>`;
    });
  const label = `<text x="${(left + width - right) / 2}" y="${height - 4}" text-anchor="middle">${axis.name}</text>`;
  const drawn = lines.map((line) => drawLine(line, across, down, axis));
  // A frame of its own cuts off what lies outside of the scale; dots at its edge stay whole.
  const [x, y, w, h] = [left - 4, top - 4, width - left - right + 8, height - top - bottom + 8];
  const frame = `<svg x="${x}" y="${y}" width="${w}" height="${h}" viewBox="${x} ${y} ${w} ${h}">${drawn.join('')}</svg>`;
  const alt = `${escaped(title)} by ${axis.name}`;
  return `<figure>${caption}<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${alt}">${[...grid, ...marks, ...ticks].join('')}${label}${frame}</svg></figure>`;
}

type Scale = (value: number) => number;

function drawLine({ name, x, y, kind }: ChartLine, across: Scale, down: Scale, axis: ChartAxis): string {
  let pen = 'M';
  const path = y.map((value, i) => {
    if (!Number.isFinite(value)) {
      pen = 'M';
      return '';
    }
    const piece = `${pen}${across(x[i]!).toFixed(1)} ${down(value).toFixed(1)}`;
    pen = 'L';
    return piece;
  });
  const line = `<path class="${kind}" d="${path.join('')}"/>`;
  if (kind === 'faint' || (kind === 'a' && axis.dots === false) || y.length > mostDots) return line;
  const dots = y.map((value, i) =>
    Number.isFinite(value)
      ? `<circle class="dot ${kind}" cx="${across(x[i]!).toFixed(1)}" cy="${down(value).toFixed(1)}" r="2.5"><title>${axis.name} ${x[i]}: ${escaped(name)} ${showNumber(value)}</title></circle>`
      : '',
  );
  return line + dots.join('');
}
