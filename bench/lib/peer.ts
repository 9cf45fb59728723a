// A child process that is timed: started pinned, spoken to by the line protocol of bench/peers/README.md.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What a peer says of itself. */
export interface PeerInfo {
  readonly name: string;
  readonly version: string;
  readonly threads: number;
  /** What it is compared with: our addon, or our WebAssembly. Default `'native'`. */
  readonly family?: 'native' | 'wasm';
  /** Trainable parameters of its model. */
  readonly parameters?: number;
  /** `task/variant`, in the order of preference: the first of a task is the peer's usual form. */
  readonly entries: readonly string[];
}

/** One timed run. */
export interface Timing {
  readonly ms: number;
  /** Steps done; at least as many as asked for. */
  readonly steps: number;
  readonly loss?: number | null;
}

type Reply = Timing | { readonly error: string };

// The first run of an entry compiles and warms up; a peer that needs longer than this is given up.
const patienceMs = 180_000;

// No child outlives the runner, however that ends.
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export class Peer {
  readonly info: PeerInfo;
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  private constructor(info: PeerInfo, child: ChildProcess, lines: AsyncIterator<string>) {
    this.info = info;
    this.child = child;
    this.lines = lines;
  }

  /** Starts a peer; gives the reason in words where it is missing. */
  static async start(command: readonly string[], threads: number, cwd: string): Promise<Peer | string> {
    const [file, ...args] = command as [string, ...string[]];
    const count = String(threads);
    const env = {
      ...process.env,
      BENCH_THREADS: count,
      OMP_NUM_THREADS: count,
      PYTHONDONTWRITEBYTECODE: '1',
    };
    const child = spawn(file, args, { cwd, env, stdio: ['pipe', 'pipe', 'ignore'] });
    const failed = new Promise<string>((resolve) =>
      child.once('error', (error: NodeJS.ErrnoException) => resolve(`it does not start: ${error.code}`)),
    );
    children.add(child);
    child.once('exit', () => children.delete(child));
    // A peer that dies while it is written to is noticed by the missing reply.
    child.stdin?.on('error', () => {});
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const first = await Promise.race([nextLine(lines, /^(ready|missing) /), failed]);
    if (first?.startsWith('ready ')) return new Peer(JSON.parse(first.slice(6)) as PeerInfo, child, lines);
    child.kill('SIGKILL');
    return first?.replace(/^missing /, '') ?? 'it ended before it was ready';
  }

  /** Runs at least `steps` steps. Throws what the peer says when it fails. */
  async run(steps: number, entry: string): Promise<Timing> {
    this.child.stdin?.write(`run ${steps} ${entry}\n`);
    const line = await nextLine(this.lines, /^\{/);
    if (line === undefined) {
      this.child.kill('SIGKILL');
      throw new Error('the process ended or did not answer');
    }
    const reply = JSON.parse(line) as Reply;
    if ('error' in reply) throw new Error(reply.error);
    return reply;
  }

  /** Ends the process. */
  stop(): void {
    this.child.stdin?.end();
    setTimeout(() => this.child.kill('SIGKILL'), 2000).unref();
  }
}

/** The next line that matches; undefined at the end of the output or of patience. */
async function nextLine(lines: AsyncIterator<string>, pattern: RegExp): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, patienceMs, undefined);
  });
  const matching = async () => {
    for (;;) {
      const { done, value } = await lines.next();
      if (done) return undefined;
      if (pattern.test(value)) return value;
    }
  };
  try {
    return await Promise.race([matching(), late]);
  } finally {
    clearTimeout(timer);
  }
}
