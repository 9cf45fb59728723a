// The line protocol between the benchmark runner and a peer written in JavaScript; see README.md for its words.
import { createInterface } from 'node:readline';

/** Threads that the runner asks for. */
export const threads = Number(process.env.BENCH_THREADS ?? 1);

/** Text without file paths, on one line: replies are published. */
const publishable = (text) =>
  String(text)
    .replaceAll(/(?<!\w)(file:\/\/)?(\/[\w.@+-]+)+/g, '...')
    .replaceAll('\n', ' ');

/** Says that this peer cannot run here, and ends. */
export function missing(reason) {
  process.stdout.write(
    `missing ${publishable(reason instanceof Error ? reason.message : reason).slice(0, 300)}\n`,
  );
  process.exit(0);
}

/** Imports a package or says that it is missing. */
export async function need(name) {
  try {
    return await import(name);
  } catch (error) {
    return missing(error.code === 'ERR_MODULE_NOT_FOUND' ? `${name} is not installed` : error);
  }
}

/**
 * Answers `run N entry` until stdin ends. `entries` maps an id such as `train/jitted` to a function that prepares it, warms it up and gives
 * `run(n)`; run does at least n steps, waits for their end, and gives `{ steps, loss? }`.
 */
export async function serve(info, entries) {
  process.stdout.write(`ready ${JSON.stringify({ threads, ...info, entries: Object.keys(entries) })}\n`);
  const prepared = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, count, ...rest] = line.trim().split(' ');
    if (command !== 'run') break;
    const id = rest.join(' ') || Object.keys(entries)[0];
    let reply;
    try {
      if (!prepared.has(id)) prepared.set(id, await entries[id]());
      const start = performance.now();
      const done = await prepared.get(id)(Number(count));
      reply = { ms: performance.now() - start, ...done };
    } catch (error) {
      reply = { error: publishable(error.message).slice(0, 300) };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
  process.exit(0);
}
