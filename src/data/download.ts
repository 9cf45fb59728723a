// One file from the first mirror that has it: time-out, retries with growing pauses, a size limit and progress. Node.js only.

import { setTimeout as sleep } from 'node:timers/promises';

/** How {@link download} goes about it. */
export interface DownloadOptions {
  /** Folders (URLs) to try, in order. */
  readonly mirrors: readonly string[];
  /** More bytes than this are refused. */
  readonly maxBytes: number;
  /** Longest wait for the answer, and then between two pieces of it, in milliseconds. */
  readonly timeoutMs: number;
  /** Further rounds over all mirrors after the first. */
  readonly retries: number;
  /** Pause before the first further round in milliseconds; doubles each round. */
  readonly retryDelayMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((message: string) => void) | undefined;
  /** Checks and unpacks what came; throws when it is not what was wanted, and the next mirror is tried. */
  readonly accept: (bytes: Uint8Array) => Promise<Uint8Array>;
}

/** What {@link download} brought. */
export interface Downloaded {
  readonly url: string;
  /** As it came. */
  readonly raw: Uint8Array;
  /** As {@link DownloadOptions.accept} gave it back. */
  readonly content: Uint8Array;
}

/** An answer that will not be another one next time. */
class PermanentError extends Error {}

/** Says at most this often how far a download is. */
const PROGRESS_MS = 500;
const MEGABYTE = 1e6;

/**
 * Downloads one file.
 *
 * @throws Error with the cause for each mirror when none gives it; the signal's reason when that is aborted
 */
export async function download(name: string, options: DownloadOptions): Promise<Downloaded> {
  const { retries, retryDelayMs, signal, onProgress } = options;
  let urls = options.mirrors.map((mirror) => `${mirror.replace(/\/+$/, '')}/${name}`);
  const causes = new Map<string, string>();
  for (let round = 0; round <= retries && urls.length > 0; round++) {
    if (round > 0) {
      const pause = retryDelayMs * 2 ** (round - 1);
      onProgress?.(`trying again in ${pause / 1000} s (${round} of ${retries})`);
      await sleep(pause, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
    const left: string[] = [];
    for (const url of urls) {
      try {
        const raw = await fetchBytes(url, options);
        return { url, raw, content: await options.accept(raw) };
      } catch (error) {
        signal?.throwIfAborted();
        causes.set(url, reason(error));
        onProgress?.(`${url} failed: ${reason(error)}`);
        if (!(error instanceof PermanentError)) left.push(url);
      }
    }
    urls = left;
  }
  const list = [...causes].map(([url, cause]) => `${url}: ${cause}`).join('; ') || 'no mirrors were given';
  throw new Error(`download: ${name} could not be had: ${list}`);
}

/** The innermost cause in words: fetch hides "connection refused" behind "fetch failed". */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.errors.length > 0) return reason(error.errors[0]);
  return error.cause === undefined ? error.message : reason(error.cause);
}

async function fetchBytes(url: string, options: DownloadOptions): Promise<Uint8Array> {
  const { maxBytes, timeoutMs, signal } = options;
  signal?.throwIfAborted();
  const controller = new AbortController();
  const passOn = () => controller.abort(signal?.reason);
  signal?.addEventListener('abort', passOn);
  const giveUp = () => controller.abort(new Error(`no data for ${timeoutMs / 1000} s`));
  let timer = setTimeout(giveUp, timeoutMs);
  try {
    const response = await fetch(url, { signal: controller.signal });
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      const text = `HTTP status ${response.status}`;
      const temporary = response.status >= 500 || response.status === 408 || response.status === 429;
      throw temporary ? new Error(text) : new PermanentError(text);
    }
    const announced = Number(response.headers.get('content-length') ?? Number.NaN);
    if (announced > maxBytes) throw tooLarge(announced, maxBytes);
    const progress = progressOf(url, announced, options.onProgress);
    const chunks: Uint8Array[] = [];
    let length = 0;
    const reader = response.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(timer);
      timer = setTimeout(giveUp, timeoutMs);
      length += part.value.length;
      if (length > maxBytes) throw tooLarge(length, maxBytes);
      chunks.push(part.value);
      progress(length);
    }
    return Buffer.concat(chunks, length);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', passOn);
    // Lets go of a connection whose body was not read to its end; does nothing after one that was.
    controller.abort();
  }
}

const tooLarge = (got: number, maxBytes: number) =>
  new PermanentError(`too large, got ${got} bytes, expected at most ${maxBytes}`);

/** A function to call with the bytes so far; it speaks at the start and now and then. */
function progressOf(
  url: string,
  total: number,
  onProgress: ((message: string) => void) | undefined,
): (length: number) => void {
  onProgress?.(`downloading ${url}`);
  let spoken = Date.now();
  return (length) => {
    const now = Date.now();
    if (onProgress === undefined || now - spoken < PROGRESS_MS) return;
    spoken = now;
    const of = total > 0 ? ` of ${(total / MEGABYTE).toFixed(1)} MB` : ' MB';
    onProgress(`${(length / MEGABYTE).toFixed(1)}${of} of ${url}`);
  };
}
