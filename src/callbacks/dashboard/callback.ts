// A live page of a fit on this machine: curves, speed, time left and memory, and a button that ends it. Node.js only.
import { describe, NablaError } from '../../errors.ts';
import type { Callback, FitControl } from '../../model/callbacks.ts';
import type { Logs } from '../../model/history.ts';
import { checkOptions } from '../../options.ts';
import { type LiveState, livePage } from './page.ts';
import { Run } from './run.ts';
import { LiveServer } from './server.ts';

/** Options of {@link dashboard}. */
export interface DashboardOptions {
  /** Port on 127.0.0.1; 0: any that is free. Default 8417, or any that is free where that is in use. */
  port?: number;
  /** Heading of the page. Default: the model's name. */
  title?: string;
  /** Is told the page's address. Default: writes it to the console. */
  onOpen?: (url: string) => void;
}

const where = 'dashboard';
const usualPort = 8417;
// Time between two states: three a second look alive and cost next to nothing.
const intervalMs = 333;

/** See {@link dashboard}. */
export class Dashboard implements Callback {
  /** States that were sent; with nobody looking on there are none. */
  published = 0;
  private readonly options: DashboardOptions;
  private server: LiveServer | undefined;
  private run: Run | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: DashboardOptions = {}) {
    checkOptions('functions', 'dashboard', options);
    const { port } = options;
    if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port < 65536))
      throw new NablaError(where, `bad port, got ${describe(port)}, expected an integer from 0 to 65535`);
    this.options = options;
  }

  /** The page's address; undefined before the first fit, and when it is closed. */
  get url(): string | undefined {
    return this.server && `http://127.0.0.1:${this.server.port}/`;
  }

  /** Was the end of the last fit asked for on the page? */
  get stopped(): boolean {
    return this.run?.stopping === true;
  }

  async onTrainBegin(control: FitControl): Promise<void> {
    this.run = new Run(control, this.run);
    const { port, onOpen = (url) => console.log(`dashboard: ${url}`) } = this.options;
    if (this.server === undefined) {
      this.server = await LiveServer.open(where, port === undefined ? [usualPort, 0] : [port], {
        page: (...names) => livePage(this.title, ...names),
        state: (run) => this.state(run),
        stop: () => this.stop(),
      });
      onOpen(this.url!);
    }
    clearInterval(this.timer);
    this.timer = setInterval(() => this.tick(), intervalMs).unref();
  }

  onEpochBegin(epoch: number, { position }: FitControl): void {
    this.run?.beginEpoch(epoch, position);
  }

  onBatchEnd(_step: number, logs: Logs): void {
    this.run?.push(logs);
  }

  onEpochEnd(epoch: number, logs: Logs): void {
    this.run?.endEpoch(epoch, logs);
  }

  onTrainEnd(_logs: Logs, { aborted }: FitControl): void {
    this.end(aborted ? 'stopped by its signal' : this.run?.stopping ? 'stopped from this page' : 'finished');
  }

  onTrainError(error: unknown): void {
    this.end(`failed: ${error instanceof Error ? error.message : String(error)}`);
  }

  /** Closes the page and frees its port; the fit goes on. A process that ends does so by itself. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    const { server } = this;
    this.server = undefined;
    this.run = undefined;
    await server?.close();
  }

  private get title(): string {
    return this.options.title ?? this.run?.name ?? 'Training';
  }

  private stop(): void {
    this.run?.stop();
    this.publish();
  }

  private end(how: string): void {
    clearInterval(this.timer);
    this.run?.end(how);
    this.publish();
  }

  private tick(): void {
    this.run?.sample();
    this.publish();
  }

  private publish(): void {
    if (this.server === undefined || this.server.watchers === 0) return;
    this.published++;
    this.server.publish();
  }

  private state(name: string): string {
    const nothing = { training: false, status: 'no fit', done: null, facts: [], charts: '', epochs: '' };
    const state: LiveState = { run: name, ...(this.run?.view() ?? nothing) };
    return JSON.stringify(state);
  }
}

/**
 * Opens a live page of the fit at `http://127.0.0.1:PORT/`, for this machine alone: curves of losses, metrics and learning rate, steps a second, time
 * left, memory, and a button that ends the fit after the steps that run. It stays open for later fits until `close()`, and keeps no process alive.
 * Whoever can open the port on this machine can look on and stop. Node.js only.
 *
 * @throws {NablaError} when the fit begins, if the port that was asked for is in use
 * @example await model.fit(x, y, { epochs: 10, callbacks: [dashboard({ port: 8080 })] });
 */
export function dashboard(options: DashboardOptions = {}): Dashboard {
  return new Dashboard(options);
}
