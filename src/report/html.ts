// A fit as one page of HTML that needs nothing else: curves, learning rate, confusion matrix and sample predictions.
import { encodePng, pixelsOf } from '../data/png-writer.ts';
import { describe, NablaError } from '../errors.ts';
import { showShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { showNumber, together } from './text.ts';

/** What `history.toHTML` shows beside the curves. */
export interface ReportOptions {
  /** Default `'Training'`. */
  title?: string;
  /** How often each class, a row, was answered with each class, a column: what `metrics.confusionMatrix` gives. */
  confusionMatrix?: Tensor | readonly (readonly number[])[];
  /** Names of the classes. Default: their numbers. */
  classNames?: readonly string[];
  /** Pictures with what was said of them. */
  samples?: {
    /** `[count, height, width]` or with 1, 3 or 4 channels: uint8, or numbers from 0 to 1. */
    images: Tensor;
    /** The class of each. */
    labels: ArrayLike<number>;
    /** The class that was predicted for each. */
    predictions: ArrayLike<number>;
  };
}

/** What a report is made from. */
export interface ReportData {
  readonly epoch: readonly number[];
  readonly history: Readonly<Record<string, readonly number[]>>;
  readonly learningRate?: readonly number[];
  readonly steps?: number;
  readonly seconds?: number;
}

const where = 'toHTML';

const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const style = `:root{--ink:#1c2430;--paper:#fff;--line:#d5dbe3;--a:#1f6fd0;--b:#d0541f;--good:#16803c;--bad:#c02626}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--paper:#14181e;--line:#39424e;--a:#6db1ff;--b:#ff9a62;--good:#5fd08a;--bad:#ff8080}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:1.5rem}
figure{margin:0}figcaption{font-weight:600}svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font-size:11px}
.grid{stroke:var(--line)}.a{stroke:var(--a);fill:none;stroke-width:2}.b{stroke:var(--b);fill:none;stroke-width:2;stroke-dasharray:5 3}
.dot{stroke:none}.dot.a{fill:var(--a)}.dot.b{fill:var(--b)}.key{font-weight:400;margin-left:.8em}.key.ka{color:var(--a)}.key.kb{color:var(--b)}
table{border-collapse:collapse}td,th{padding:.25rem .5rem;border:1px solid var(--line);text-align:right;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}.samples{display:flex;flex-wrap:wrap;gap:.8rem}.samples figure{text-align:center;width:84px}.samples img{width:84px;height:84px;image-rendering:pixelated;object-fit:contain;border:1px solid var(--line)}
.good{color:var(--good)}.bad{color:var(--bad)}`;

/** A chart of one or two lines over the epochs. */
function chart(
  title: string,
  epochs: readonly number[],
  lines: readonly [string, readonly number[]][],
): string {
  const [width, height, left, bottom, top] = [440, 240, 58, 26, 10];
  const values = lines.flatMap(([, line]) => line).filter(Number.isFinite);
  const keys = lines.map(([name, line], i) => {
    return `<span class="key k${'ab'[i]}">${escaped(name)} ${showNumber(line.at(-1) ?? Number.NaN)}</span>`;
  });
  const caption = `<figcaption>${escaped(title)}${keys.join('')}</figcaption>`;
  if (values.length === 0) return `<figure>${caption}<p>no finite numbers</p></figure>`;
  const least = values.reduce((a, b) => Math.min(a, b));
  const most = values.reduce((a, b) => Math.max(a, b));
  // A line that stays level lies in the middle.
  const [low, high] = least === most ? [least - 1, most + 1] : [least, most];
  const x = (i: number) => left + (epochs.length === 1 ? 0.5 : i / (epochs.length - 1)) * (width - left - 10);
  const y = (value: number) => top + ((high - value) / (high - low)) * (height - top - bottom);
  const grid = [0, 1, 2, 3, 4].map((k) => {
    const value = low + ((high - low) * k) / 4;
    const at = y(value).toFixed(1);
    return `<line class="grid" x1="${left}" x2="${width - 10}" y1="${at}" y2="${at}"/><text x="${left - 6}" y="${at}" dy="4" text-anchor="end">${showNumber(value)}</text>`;
  });
  const ticks = [...new Set([0, Math.floor((epochs.length - 1) / 2), epochs.length - 1])].map((i) => {
    return `<text x="${x(i).toFixed(1)}" y="${height - 6}" text-anchor="middle">${epochs[i]! + 1}</text>`;
  });
  const drawn = lines.map(([name, line], k) => {
    const kind = 'ab'[k];
    // A number that is not finite breaks the line.
    let pen = 'M';
    const path = line.map((value, i) => {
      if (!Number.isFinite(value)) {
        pen = 'M';
        return '';
      }
      const piece = `${pen}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = 'L';
      return piece;
    });
    const dots = line.map((value, i) =>
      Number.isFinite(value)
        ? `<circle class="dot ${kind}" cx="${x(i).toFixed(1)}" cy="${y(value).toFixed(1)}" r="2.5"><title>epoch ${epochs[i]! + 1}: ${escaped(name)} ${showNumber(value)}</title></circle>`
        : '',
    );
    return `<path class="${kind}" d="${path.join('')}"/>${line.length <= 60 ? dots.join('') : ''}`;
  });
  return `<figure>${caption}<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)} over epochs">${grid.join('')}${ticks.join('')}${drawn.join('')}</svg></figure>`;
}

function rowsOf(matrix: Tensor | readonly (readonly number[])[]): number[][] {
  const rows = matrix instanceof Tensor ? (matrix.arraySync() as unknown as number[][]) : matrix;
  const size = Array.isArray(rows) ? rows.length : 0;
  const square = size > 0 && rows.every((row) => Array.isArray(row) && row.length === size);
  if (square) return rows.map((row) => [...row]);
  const got = matrix instanceof Tensor ? showShape(matrix.shape) : describe(matrix);
  throw new NablaError(where, `bad confusionMatrix, got ${got}, expected [classes, classes]`);
}

function confusionTable(
  matrix: Tensor | readonly (readonly number[])[],
  nameOf: (i: number) => string,
): string {
  const rows = rowsOf(matrix);
  const head = rows.map((_, i) => `<th>${escaped(nameOf(i))}</th>`).join('');
  const body = rows.map((row, i) => {
    const total = row.reduce((a, b) => a + b, 0);
    const cells = row.map((count, j) => {
      const share = total > 0 ? count / total : 0;
      const colour = i === j ? '22,128,60' : '192,38,38';
      return `<td style="background:rgba(${colour},${(share * 0.7).toFixed(3)})">${showNumber(count)}</td>`;
    });
    return `<tr><th>${escaped(nameOf(i))}</th>${cells.join('')}</tr>`;
  });
  return `<h2>Confusion matrix</h2><p>Rows: the class; columns: the answer.</p><div class="scroll"><table><tr><th></th>${head}</tr>${body.join('')}</table></div>`;
}

function samplePictures(
  { images, labels, predictions }: NonNullable<ReportOptions['samples']>,
  nameOf: (i: number) => string,
): string {
  const shape = images instanceof Tensor && images.rank === 3 ? [...images.shape, 1] : images?.shape;
  const [count = 0, height = 0, width = 0, channels = 0] = shape?.length === 4 ? shape : [];
  if (![1, 3, 4].includes(channels)) {
    const got = images instanceof Tensor ? showShape(images.shape) : describe(images);
    throw new NablaError(
      where,
      `bad samples.images, got ${got}, expected [count, height, width] or with 1, 3 or 4 channels`,
    );
  }
  if (labels?.length !== count || predictions?.length !== count) {
    throw new NablaError(
      where,
      `samples differ in number, got ${count} images, ${labels?.length} labels and ${predictions?.length} predictions`,
    );
  }
  const pixels = pixelsOf(images);
  const size = height * width * channels;
  const figures = Array.from({ length: count }, (_, i) => {
    const png = encodePng(pixels.subarray(i * size, (i + 1) * size), height, width, channels);
    const binary = Array.from(png, (byte) => String.fromCharCode(byte)).join('');
    const right = labels[i] === predictions[i];
    const said = right ? nameOf(labels[i]!) : `${nameOf(predictions[i]!)}, not ${nameOf(labels[i]!)}`;
    return `<figure><img alt="sample ${i}" src="data:image/png;base64,${btoa(binary)}"><figcaption class="${right ? 'good' : 'bad'}">${escaped(said)}</figcaption></figure>`;
  });
  return `<h2>Predictions</h2><div class="samples">${figures.join('')}</div>`;
}

/** The page. */
export function reportHtml(data: ReportData, options: ReportOptions = {}): string {
  const { title = 'Training', confusionMatrix, classNames, samples } = options;
  const nameOf = (i: number) => classNames?.[i] ?? String(i);
  const { epoch, history, learningRate = [], steps, seconds } = data;
  const charts = together(Object.keys(history)).map(([name, names]) =>
    chart(
      name,
      epoch,
      names.map((each): [string, readonly number[]] => [each, history[each]!]),
    ),
  );
  if (learningRate.length > 0) charts.push(chart('learning rate', epoch, [['learning rate', learningRate]]));
  const facts = [
    `${epoch.length} ${epoch.length === 1 ? 'epoch' : 'epochs'}`,
    ...(steps ? [`${steps} steps`] : []),
    ...(seconds ? [`${seconds.toFixed(1)} s`] : []),
  ];
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
    `<title>${escaped(title)}</title><style>${style}</style></head><body><h1>${escaped(title)}</h1><p>${facts.join(', ')}</p>`,
    `<div class="charts">${charts.join('')}</div>`,
    confusionMatrix === undefined ? '' : confusionTable(confusionMatrix, nameOf),
    samples === undefined ? '' : samplePictures(samples, nameOf),
    '</body></html>\n',
  ].join('');
}
