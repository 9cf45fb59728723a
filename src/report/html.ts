// A fit as one page of HTML that needs nothing else: curves, learning rate, confusion matrix and sample predictions.
import { formatCount } from '../cli/terminal.ts';
import { encodePng, pixelsOf } from '../data/png-writer.ts';
import { describe, NablaError } from '../errors.ts';
import { showShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { drawChart, escaped, style } from './chart.ts';
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

const pageStyle = `${style}
table{border-collapse:collapse}td,th{padding:.25rem .5rem;border:1px solid var(--line);text-align:right;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}.samples{display:flex;flex-wrap:wrap;gap:.8rem}.samples figure{text-align:center;width:84px}.samples img{width:84px;height:84px;image-rendering:pixelated;object-fit:contain;border:1px solid var(--line)}
.good{color:var(--good)}.bad{color:var(--bad)}`;

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
      // A few wrong answers among many right ones are to be seen too.
      const share = total > 0 ? (i === j ? count / total : Math.sqrt(count / total)) : 0;
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
  // People count epochs from 1.
  const x = epoch.map((each) => each + 1);
  const axis = { name: 'epoch' };
  const charts = together(Object.keys(history)).map(([name, names]) =>
    drawChart(
      name,
      names.map((each, i) => ({ name: each, x, y: history[each]!, kind: i === 0 ? 'a' : 'b' })),
      axis,
    ),
  );
  if (learningRate.length > 0) {
    const name = 'learning rate';
    charts.push(drawChart(name, [{ name, x, y: learningRate, kind: 'a' }], axis));
  }
  const facts = [
    `${epoch.length} ${epoch.length === 1 ? 'epoch' : 'epochs'}`,
    ...(steps ? [`${formatCount(steps)} steps`] : []),
    ...(seconds ? [`${seconds.toFixed(1)} s`] : []),
  ];
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
    `<title>${escaped(title)}</title><style>${pageStyle}</style></head><body><h1>${escaped(title)}</h1><p>${facts.join(', ')}</p>`,
    `<div class="charts">${charts.join('')}</div>`,
    confusionMatrix === undefined ? '' : confusionTable(confusionMatrix, nameOf),
    samples === undefined ? '' : samplePictures(samples, nameOf),
    '</body></html>\n',
  ].join('');
}
