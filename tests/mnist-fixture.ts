// What the tests of loadMnist share: a small data set in MNIST's files, mirrors on this machine, a folder for each test.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { generateDigits } from '../src/data/digits.ts';
import { encodeIdx } from '../src/data/idx.ts';
import { loadMnist, type MnistOptions } from '../src/data/mnist.ts';
import type { MnistFile, MnistFiles } from '../src/data/mnist-files.ts';
import { NablaError } from '../src/errors.ts';

export const train = generateDigits({ count: 30, seed: 1 });
export const test = generateDigits({ count: 20, seed: 2 });

/** A small data set in MNIST's files, with its own sums, so that every path can be walked without the real one. */
export const contents = new Map<string, Buffer>(
  (
    [
      ['train-images-idx3-ubyte', [30, 28, 28], train.images],
      ['train-labels-idx1-ubyte', [30], train.labels],
      ['t10k-images-idx3-ubyte', [20, 28, 28], test.images],
      ['t10k-labels-idx1-ubyte', [20], test.labels],
    ] as const
  ).map(([name, shape, data]) => [name, Buffer.from(encodeIdx({ dtype: 'uint8', shape, data }))]),
);
export const small = [...contents].map(
  ([name, bytes]): MnistFile => ({
    name,
    bytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  }),
) as unknown as MnistFiles;
export const names = small.map((file) => file.name);
export const packed = (name: string) => gzipSync(contents.get(name.replace(/\.gz$/, ''))!);
const requested = (url: string | undefined) => url!.slice(url!.lastIndexOf('/') + 1);

export const given = process.env.NABLA_DATA_DIR;
/** This test's folder and mirrors. */
export const state: { folder: string; servers: Server[] } = { folder: '', servers: [] };

/** A mirror on this machine; `requests` are the names asked for. */
export async function mirror(answer: (name: string, response: ServerResponse, attempt: number) => void) {
  const requests: string[] = [];
  const times: number[] = [];
  const listener: RequestListener = (request, response) => {
    const name = requested(request.url);
    requests.push(name);
    times.push(performance.now());
    answer(name, response, requests.length);
  };
  const server = createServer(listener);
  state.servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mnist/`, requests, times };
}

export const good = () => mirror((name, response) => response.end(packed(name)));

/** Loads the small data set with short times, its cache in this test's folder; collects the messages. */
export async function load(options: MnistOptions = {}) {
  const messages: string[] = [];
  const arrays = await loadMnist(
    {
      cacheDir: join(state.folder, 'cache'),
      fallback: 'error',
      mirrors: [],
      retries: 0,
      retryDelayMs: 10,
      timeoutMs: 2000,
      onProgress: (message) => messages.push(message),
      ...options,
    },
    small,
  );
  return { arrays, messages, said: messages.join('\n') };
}

type Loaded = Awaited<ReturnType<typeof loadMnist>>;

export function assertSmallSet(arrays: Loaded): void {
  assert.equal(arrays.source, 'mnist');
  assert.deepEqual(arrays.train, { ...train, count: 30 });
  assert.deepEqual(arrays.test, { ...test, count: 20 });
}

export async function fails(loading: Promise<unknown>, ...texts: string[]): Promise<void> {
  await assert.rejects(loading, (error: unknown) => {
    assert.ok(error instanceof NablaError, String(error));
    for (const text of ['[loadMnist] ', ...texts]) {
      assert.ok(error.message.includes(text), `"${error.message}" lacks "${text}"`);
    }
    return true;
  });
}

export async function writeSet(into: string, gzip: boolean, only = names): Promise<void> {
  await mkdir(into, { recursive: true });
  for (const name of only) {
    await writeFile(join(into, gzip ? `${name}.gz` : name), gzip ? packed(name) : contents.get(name)!);
  }
}

/** Gives each test of the enclosing `describe` a folder, no NABLA_DATA_DIR, and the end of its mirrors. */
export function useMnistFixture(): void {
  beforeEach(async () => {
    delete process.env.NABLA_DATA_DIR;
    state.folder = await mkdtemp(join(tmpdir(), 'nabla-mnist-'));
    state.servers = [];
  });

  afterEach(async () => {
    for (const server of state.servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    await rm(state.folder, { recursive: true, force: true });
    if (given === undefined) delete process.env.NABLA_DATA_DIR;
    else process.env.NABLA_DATA_DIR = given;
  });
}
