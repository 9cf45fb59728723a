// What the live page knows of the fit that runs, and how it shows it.
import { formatBytes, formatCount, formatDuration } from '../../cli/terminal.ts';
import type { FitControl } from '../../model/callbacks.ts';
import type { FitPosition, Logs } from '../../model/history.ts';
import { type ChartLine, drawChart, escaped } from '../../report/chart.ts';
import { showNumber, together } from '../../report/text.ts';
import { memory } from '../../tensor.ts';
import { Curve, smoothed } from './curve.ts';
import type { LiveState } from './page.ts';

// The speed that is shown is that of the last three seconds.
const samplesOfSpeed = 10;
// A validation may be long; so may a first step. Longer than this is worth a word.
const stillMs = 5000;
const mostMarks = 40;
const mostRows = 8;

interface Epoch {
  readonly epoch: number;
  /** All steps until its end. */
  readonly step: number;
  readonly logs: Logs;
}

type View = Omit<LiveState, 'run'>;

/** A fit that is looked at. */
export class Run {
  /** The model's name. */
  readonly name: string;
  /** The end was asked for. */
  stopping = false;
  private readonly control: FitControl;
  private readonly began = performance.now();
  // By all steps: the curves of a model go on from fit to fit.
  private readonly curves: Map<string, Curve>;
  private readonly rate: Curve;
  private readonly epochs: Epoch[];
  private readonly before: number;
  private readonly speed: { time: number; steps: number }[] = [];
  private moved = this.began;
  // Steps of this fit, and where it stands in the epoch.
  private steps = 0;
  private epoch: number;
  private step: number;
  private last: View | undefined;

  /** `former`: the fit before, whose curves go on if it was of the same model. */
  constructor(control: FitControl, former: Run | undefined) {
    const same = former?.control.model === control.model ? former : undefined;
    this.curves = same?.curves ?? new Map();
    this.rate = same?.rate ?? new Curve();
    this.epochs = same?.epochs ?? [];
    this.before = same?.total ?? 0;
    this.control = control;
    this.name = control.model.name;
    ({ epoch: this.epoch, step: this.step } = control.position);
    this.sample();
  }

  /** Steps of all fits. */
  private get total(): number {
    return this.before + this.steps;
  }

  beginEpoch(epoch: number, position: FitPosition): void {
    // An epoch that is gone on with has its first steps behind it.
    this.step = this.steps === 0 && position.epoch === epoch ? position.step : 0;
    this.epoch = epoch;
  }

  /** A step's numbers: this is all that is done for each step. */
  push(logs: Logs): void {
    this.steps++;
    this.step++;
    const { total } = this;
    for (const name in logs) {
      let curve = this.curves.get(name);
      if (curve === undefined) {
        curve = new Curve();
        this.curves.set(name, curve);
      }
      curve.push(total, logs[name]!);
    }
  }

  endEpoch(epoch: number, logs: Logs): void {
    this.sample();
    this.epochs.push({ epoch, step: this.total, logs });
  }

  /** Asks for the end, after the steps that run. */
  stop(): void {
    if (this.last !== undefined) return;
    this.stopping = true;
    this.control.stop();
  }

  /** The fit is over: what is shown stays as it is now. */
  end(how: string): void {
    const { facts, ...view } = this.view();
    this.last ??= {
      ...view,
      training: false,
      status: how,
      facts: facts.filter(([name]) => name !== 'time left'),
    };
  }

  /** Notes the learning rate and the time. */
  sample(): void {
    const { speed, steps } = this;
    const time = performance.now();
    if (speed.at(-1)?.steps !== steps) this.moved = time;
    speed.push({ time, steps });
    if (speed.length > samplesOfSpeed) speed.shift();
    // Between two stretches of steps a schedule's rate is that of the next one already.
    if (this.rate.x.at(-1) !== this.total) this.rate.push(this.total, this.control.learningRate);
  }

  /** What is shown now. */
  view(): View {
    if (this.last !== undefined) return this.last;
    const done = this.share();
    return {
      training: !this.stopping,
      status: this.status(),
      done: done ?? null,
      facts: this.facts(done),
      charts: this.charts(),
      epochs: this.table(),
    };
  }

  private status(): string {
    if (this.stopping) return 'stopping';
    const still = performance.now() - this.moved;
    const doing = this.step > 0 && this.step === this.control.stepsPerEpoch ? 'validating' : 'training';
    return still > stillMs ? `${doing}; no step for ${formatDuration(still / 1000)}` : doing;
  }

  /** The share of the fit that is done, from where it began. */
  private share(): number | undefined {
    const { stepsPerEpoch, epochs } = this.control;
    if (stepsPerEpoch === undefined) return undefined;
    const left = (epochs - this.epoch) * stepsPerEpoch - this.step;
    return this.steps / Math.max(1, this.steps + left);
  }

  private facts(done: number | undefined): [string, string][] {
    const { control, speed } = this;
    const seconds = (performance.now() - this.began) / 1000;
    const [first, last] = [speed[0], speed.at(-1)];
    const recent =
      first !== undefined && last !== undefined && last.time > first.time
        ? (1000 * (last.steps - first.steps)) / (last.time - first.time)
        : this.steps / seconds;
    const { bufferBytes, workspaceBytes } = memory();
    const of = (count: number, all: number | undefined) =>
      all === undefined ? formatCount(count) : `${formatCount(count)}/${formatCount(all)}`;
    return [
      ['epoch', of(Math.min(this.epoch + 1, control.epochs), control.epochs)],
      ['step', of(this.step, control.stepsPerEpoch)],
      ['steps/s', recent < 10 ? recent.toFixed(1) : formatCount(Math.round(recent))],
      ['time', formatDuration(seconds)],
      ['time left', done ? formatDuration((seconds * (1 - done)) / done) : '?'],
      ['learning rate', showNumber(control.learningRate)],
      ['tensors', formatBytes(bufferBytes + workspaceBytes)],
      ['process', formatBytes(process.memoryUsage.rss())],
    ];
  }

  private charts(): string {
    const { epochs } = this;
    const marks = epochs.length > mostMarks ? [] : epochs.map(({ step }) => step);
    const axis = { name: 'step', begin: 0, marks, dots: false };
    const known = epochs.flatMap(({ logs }) => Object.keys(logs)).filter((name) => name.startsWith('val_'));
    const names = [...new Set([...this.curves.keys(), ...known])];
    const charts = together(names).map(([title, parts]) =>
      drawChart(
        title,
        parts.flatMap((name) => this.lines(name)),
        axis,
      ),
    );
    const { x, y } = this.rate;
    if (y.length > 0) {
      const rate: ChartLine = { name: 'learning rate', x, y, kind: 'a' };
      charts.push(drawChart(rate.name, [rate], axis));
    }
    return charts.join('');
  }

  private lines(name: string): ChartLine[] {
    const curve = this.curves.get(name);
    if (curve !== undefined) {
      const { x, y } = curve;
      return [
        { name, x, y, kind: 'faint' },
        { name, x, y: smoothed(y), kind: 'a' },
      ];
    }
    const have = this.epochs.filter(({ logs }) => logs[name] !== undefined);
    return [{ name, x: have.map(({ step }) => step), y: have.map(({ logs }) => logs[name]!), kind: 'b' }];
  }

  private table(): string {
    const rows = this.epochs.slice(-mostRows).reverse();
    if (rows.length === 0) return '';
    const names = Object.keys(rows[0]!.logs);
    const cells = (tag: string, texts: readonly string[]) =>
      `<tr>${texts.map((text) => `<${tag}>${escaped(text)}</${tag}>`).join('')}</tr>`;
    const body = rows.map(({ epoch, logs }) =>
      cells('td', [String(epoch + 1), ...names.map((name) => showNumber(logs[name] ?? Number.NaN))]),
    );
    return `<table>${cells('th', ['epoch', ...names])}${body.join('')}</table>`;
  }
}
