// MNIST as arrays: from a folder, the user's cache or the network, checked byte for byte; or digits drawn here. Node.js only.

import { join } from 'node:path';
import { describe, NablaError, unknownName } from '../errors.ts';
import { writeAtomically } from '../platform/atomic.ts';
import { cacheFolder, moveAside } from './cache.ts';
import { generateDigits } from './digits.ts';
import { type Downloaded, download, reason } from './download.ts';
import { parseIdx } from './idx.ts';
import {
  check,
  find,
  GZIP_OVERHEAD,
  isGzip,
  type MnistFile,
  type MnistFiles,
  mnistFiles,
  readChecked,
} from './mnist-files.ts';

/** Options of `datasets.mnist`; all may be left out. */
export interface MnistOptions {
  /** Folder that holds the four files, or a folder `mnist` that does; looked into first. */
  readonly dir?: string;
  /** Folder for downloads; the files go into `mnist` below it. Default: Nabla's folder in the user's cache. */
  readonly cacheDir?: string;
  /** Whether the network may be used. Default true. */
  readonly download?: boolean;
  /** When MNIST cannot be had: `'generated'` (default) draws digits instead and warns, `'error'` throws. */
  readonly fallback?: 'generated' | 'error';
  /** Receives one line of text for each thing worth knowing. Without it only the fallback's warning is given, by Node.js. */
  readonly onProgress?: (message: string) => void;
  /** Ends loading; the promise is then rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Longest wait for a mirror to answer or to send more, in milliseconds. Default 15,000. */
  readonly timeoutMs?: number;
  /** Further rounds over the mirrors after the first. Default 2. */
  readonly retries?: number;
  /** Pause before the first further round in milliseconds; doubles each round. Default 500. */
  readonly retryDelayMs?: number;
  /** URLs of folders that hold the gzip files. Default: two well-known ones. */
  readonly mirrors?: readonly string[];
}

/** Images and labels of one part of the data. */
export interface LabeledImages {
  /** `[count, 28, 28]`, row-major; 0 is paper, 255 is ink. */
  readonly images: Uint8Array;
  /** `[count]`, classes 0 to 9. */
  readonly labels: Uint8Array;
  readonly count: number;
}

/** What {@link loadMnist} gives. */
export interface MnistArrays {
  /** `'generated'` when these are digits that Nabla drew because MNIST could not be had. */
  readonly source: 'mnist' | 'generated';
  /** Where the data came from: folders, URLs, or `'generateDigits'`. */
  readonly origin: string;
  /** 60,000 images. */
  readonly train: LabeledImages;
  /** 10,000 images. */
  readonly test: LabeledImages;
}

const defaultMirrors = [
  'https://ossci-datasets.s3.amazonaws.com/mnist/',
  'https://storage.googleapis.com/cvdf-datasets/mnist/',
];

type Say = (message: string) => void;

/** Longest delay of a timer. */
const MOST_MS = 2 ** 31 - 1;

function checkNumber(name: string, value: number | undefined, least: number): void {
  if (value === undefined || (value >= least && value <= MOST_MS)) return;
  throw new NablaError(
    'loadMnist',
    `${name} got ${describe(value)}, expected a number in [${least}, ${MOST_MS}]`,
  );
}

/**
 * Loads MNIST. Looks into `options.dir`, then the folder in the environment variable `NABLA_DATA_DIR`, then the cache, then
 * downloads what is missing into the cache. Files may be gzip (`.gz`) or unpacked; every one is checked by its SHA-256.
 *
 * @param files the four files; only tests pass others
 * @throws NablaError when a file in `dir` or `NABLA_DATA_DIR` is not MNIST's, or with `fallback: 'error'` when it cannot be
 *   had at all, with the outcome of each step
 */
export async function loadMnist(
  options: MnistOptions = {},
  files: MnistFiles = mnistFiles,
): Promise<MnistArrays> {
  const { onProgress, signal, fallback = 'generated' } = options;
  const say: Say = (message) => onProgress?.(`mnist: ${message}`);
  checkNumber('timeoutMs', options.timeoutMs, 1);
  checkNumber('retries', options.retries, 0);
  checkNumber('retryDelayMs', options.retryDelayMs, 0);
  if (fallback !== 'generated' && fallback !== 'error') {
    throw unknownName('loadMnist', 'fallback', fallback, ['generated', 'error']);
  }
  signal?.throwIfAborted();
  const outcomes: string[] = [];
  for (const [label, root] of [
    ['dir', options.dir],
    ['NABLA_DATA_DIR', process.env.NABLA_DATA_DIR],
  ]) {
    if (root === undefined || root === '') {
      outcomes.push(`${label}: not set`);
      continue;
    }
    for (const folder of [join(root, 'mnist'), root]) {
      const contents = await readFolder(folder, files, outcomes);
      if (contents === undefined) continue;
      say(`read from ${folder}`);
      return arrays(contents, folder);
    }
    say(`${label} is ${root}, which does not hold the four files of MNIST; looking elsewhere`);
  }
  try {
    return await fromCacheOrNetwork(options, files, outcomes, say);
  } catch (error) {
    signal?.throwIfAborted();
    outcomes.push(reason(error));
  }
  const story = `MNIST could not be had (${outcomes.join('; ')})`;
  if (fallback === 'error') {
    const remedy =
      'connect to the network, or put the four files into a folder and name it in NABLA_DATA_DIR';
    throw new NablaError('loadMnist', `${story}, expected it in one of these places; ${remedy}`);
  }
  const warning = `WARNING: ${story}; using GENERATED digits instead: accuracies are not MNIST's`;
  if (onProgress === undefined) process.emitWarning(warning, 'NablaWarning');
  else say(warning);
  return {
    source: 'generated',
    origin: 'generateDigits',
    train: generated(60_000, 1),
    test: generated(10_000, 2),
  };
}

/** The four files of a folder the user named, or undefined when they are not all there. */
async function readFolder(
  folder: string,
  files: MnistFiles,
  outcomes: string[],
): Promise<Uint8Array[] | undefined> {
  const paths = await Promise.all(files.map((file) => find(folder, file)));
  const missing = files.filter((_, i) => paths[i] === undefined).map((file) => file.name);
  if (missing.length > 0) {
    outcomes.push(
      `${folder}: ${missing.length === files.length ? 'no MNIST files' : `no ${missing.join(', ')}`}`,
    );
    return undefined;
  }
  const results = await Promise.allSettled(files.map((file, i) => readChecked(paths[i]!, file)));
  return results.map((result, i) => {
    if (result.status === 'fulfilled') return result.value;
    const remedy = 'replace the file, or take the folder out of dir and NABLA_DATA_DIR';
    throw new NablaError('loadMnist', `${paths[i]} is not MNIST's: ${reason(result.reason)}; ${remedy}`);
  });
}

/** Takes each file from the cache or else from a mirror. One that no mirror gives ends it, so that being offline is quick. */
async function fromCacheOrNetwork(
  options: MnistOptions,
  files: MnistFiles,
  outcomes: string[],
  say: Say,
): Promise<MnistArrays> {
  const { signal } = options;
  const folder = join(options.cacheDir ?? cacheFolder(), 'mnist');
  const origins = new Set<string>();
  const contents: Uint8Array[] = [];
  for (const file of files) {
    signal?.throwIfAborted();
    const cached = await fromCache(folder, file, outcomes, say);
    if (cached !== undefined) {
      contents.push(cached);
      origins.add(folder);
      continue;
    }
    if (options.download === false) throw new Error('download: switched off');
    const fetched = await download(`${file.name}.gz`, {
      mirrors: options.mirrors ?? defaultMirrors,
      maxBytes: file.bytes + GZIP_OVERHEAD,
      timeoutMs: options.timeoutMs ?? 15_000,
      retries: options.retries ?? 2,
      retryDelayMs: options.retryDelayMs ?? 500,
      signal,
      onProgress: say,
      accept: (bytes) => check(bytes, file),
    });
    contents.push(fetched.content);
    origins.add(fetched.url.slice(0, fetched.url.lastIndexOf('/') + 1));
    await keep(folder, file, fetched, say);
  }
  if (origins.has(folder)) say(`read from ${folder}`);
  return arrays(contents, [...origins].join(', '));
}

/** A good file of the cache; a damaged one is reported, moved aside and not used. */
async function fromCache(
  folder: string,
  file: MnistFile,
  outcomes: string[],
  say: Say,
): Promise<Uint8Array | undefined> {
  for (;;) {
    const path = await find(folder, file);
    if (path === undefined) {
      outcomes.push(`cache: no ${file.name} in ${folder}`);
      return undefined;
    }
    try {
      return await readChecked(path, file);
    } catch (error) {
      const damage = `damaged cache file ${path} (${reason(error)})`;
      outcomes.push(damage);
      const aside = await moveAside(path).catch(() => undefined);
      say(
        `${damage}; ${aside === undefined ? 'it could not be moved aside and is not used' : `moved to ${aside}`}`,
      );
      if (aside === undefined) return undefined;
    }
  }
}

/** Puts a downloaded file into the cache; data that cannot be kept are still good. */
async function keep(folder: string, file: MnistFile, { raw }: Downloaded, say: Say): Promise<void> {
  try {
    const path = join(folder, isGzip(raw) ? `${file.name}.gz` : file.name);
    await writeAtomically(path, [raw]);
    say(`kept ${path}`);
  } catch (error) {
    say(`${file.name} could not be kept in ${folder}: ${reason(error)}`);
  }
}

/** The arrays in the four files, which are MNIST's by their sums. */
function arrays(contents: readonly Uint8Array[], origin: string): MnistArrays {
  const [trainImages, trainLabels, testImages, testLabels] = contents.map(
    (content) => parseIdx(content).data as Uint8Array,
  ) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  return {
    source: 'mnist',
    origin,
    train: { images: trainImages, labels: trainLabels, count: trainLabels.length },
    test: { images: testImages, labels: testLabels, count: testLabels.length },
  };
}

function generated(count: number, seed: number): LabeledImages {
  return { ...generateDigits({ count, seed }), count };
}
