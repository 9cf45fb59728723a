// imageFolder: labelled images in folders, one folder a class, decoded in worker threads as they are needed. Node.js only.
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, NablaError, unknownName } from '../errors.ts';
import { Philox } from '../random.ts';
import { checkInteger, Dataset, type OpenBatches } from './dataset.ts';
import { type NdArray, rowOf, stack } from './element.ts';
import { decodeImage, type ImageAnswer, type ImageOptions, type ImageTask } from './images.ts';
import { poolOf, throughPool } from './parallel.ts';
import { elementError, type Flow, type Open, type Pass, salts, stageRandom } from './pass.ts';
import { rebatched } from './rebatch.ts';
import { inOrder } from './stages.ts';

/** Options of {@link imageFolder}; the names are those of Keras's `image_dataset_from_directory`. */
export interface ImageFolderOptions extends ImageOptions {
  /** Folders of the classes, in the order of their indices. Default: all, by name. */
  classNames?: readonly string[];
  /**
   * `'int'`: labels are class indices; `'categorical'`: one-hot vectors; `'binary'`: 0 and 1 of two classes; null: images alone, found anywhere below the
   * folder. Default `'int'`.
   */
  labelMode?: 'int' | 'categorical' | 'binary' | null;
  /** Another order of the files in every pass. Default true. */
  shuffle?: boolean;
  /** Seed of that order and of the split. Default: from `setSeed`. */
  seed?: number;
  /** Share of the files that is kept for validation. Needs `subset` and `seed`. */
  validationSplit?: number;
  /** Which part of the split to give. */
  subset?: 'training' | 'validation';
  /** Threads that decode; 0 decodes on the main thread. Default: one less than the machine has cores, at least 1, at most 4. */
  workers?: number;
  /** Ends of the names of files that are taken. Default `.png`, `.jpg`, `.jpeg`. */
  extensions?: readonly string[];
}

/** A data set of `[image, label]`, or of images. */
export class ImageFolder<T> extends Dataset<T> {
  /** The classes' names, by their indices. */
  readonly classNames: readonly string[];
  /** The images' files, by class and name. */
  readonly files: readonly string[];

  /** @internal Made by `data.imageFolder`. */
  constructor(
    open: Open<T>,
    openBatches: OpenBatches | undefined,
    classNames: readonly string[],
    files: readonly string[],
  ) {
    super(open, { size: files.length }, openBatches);
    this.classNames = classNames;
    this.files = files;
  }
}

interface Labelled {
  readonly path: string;
  readonly label: number;
}

const where = 'data.imageFolder';
// Files that a worker thread is sent at a time.
const filesATask = 32;
// Files that are read at a time where there are no workers.
const readsAtOnce = 8;

/** The module for worker threads, seen from the compiled package, from a bundle beside it, and from the sources. */
function workerModule(): string | undefined {
  const here = dirname(fileURLToPath(import.meta.url));
  const places = [
    join(here, 'images.js'),
    join(here, '..', 'data', 'images.js'),
    join(here, '../../dist/data/images.js'),
  ];
  const found = places.find((place) => existsSync(place));
  return found && pathToFileURL(found).href;
}

async function listFiles(folder: string, extensions: readonly string[]): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true });
  const ends = extensions.map((extension) => extension.toLowerCase());
  const images = entries.filter((name) => ends.some((end) => name.toLowerCase().endsWith(end)));
  return images.sort().map((name) => join(folder, name));
}

async function folderNames(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  return names.map(({ name }) => name).sort();
}

function checkOptions(options: ImageFolderOptions): void {
  const { labelMode = 'int', colorMode = 'rgb', imageSize, validationSplit, subset, workers } = options;
  const labelModes = ['int', 'categorical', 'binary', null];
  if (!labelModes.includes(labelMode))
    throw unknownName(where, 'labelMode', labelMode, labelModes.map(String));
  const modes = ['grayscale', 'rgb', 'rgba'];
  if (!modes.includes(colorMode)) throw unknownName(where, 'colorMode', colorMode, modes);
  if (imageSize !== undefined) {
    if (!Array.isArray(imageSize) || imageSize.length !== 2) {
      throw new NablaError(where, `bad imageSize, got ${describe(imageSize)}, expected [height, width]`);
    }
    for (const size of imageSize) checkInteger(where, 'imageSize', size);
  }
  if (workers !== undefined) checkInteger(where, 'workers', workers, 0);
  for (const [name, value] of Object.entries({ scale: options.scale, shift: options.shift })) {
    if (value === undefined || Number.isFinite(value)) continue;
    throw new NablaError(where, `bad ${name}, got ${describe(value)}, expected a finite number`);
  }
  if (validationSplit === undefined && subset === undefined) return;
  const share = validationSplit ?? Number.NaN;
  const subsets = ['training', 'validation'];
  if (
    !(share > 0 && share < 1) ||
    subset === undefined ||
    !subsets.includes(subset) ||
    options.seed === undefined
  ) {
    throw new NablaError(
      where,
      `a split needs validationSplit in (0, 1), subset 'training' or 'validation', and a seed, ` +
        `got ${describe(validationSplit)}, ${describe(subset)} and ${describe(options.seed)}`,
    );
  }
}

async function labelledFiles(
  path: string,
  options: ImageFolderOptions,
): Promise<{ classNames: readonly string[]; files: Labelled[] }> {
  const { extensions = ['.png', '.jpg', '.jpeg'], labelMode = 'int' } = options;
  if (!(await stat(path).catch(() => undefined))?.isDirectory()) {
    throw new NablaError(where, `there is no folder '${path}'`);
  }
  if (labelMode === null) {
    const files = await listFiles(path, extensions);
    return { classNames: [], files: files.map((file) => ({ path: file, label: 0 })) };
  }
  const found = await folderNames(path);
  const classNames = options.classNames ?? found;
  for (const name of classNames) if (!found.includes(name)) throw unknownName(where, 'class', name, found);
  if (labelMode === 'binary' && classNames.length !== 2) {
    throw new NablaError(where, `labelMode 'binary' needs two classes, got ${classNames.length}`);
  }
  const files: Labelled[] = [];
  for (const [label, name] of classNames.entries())
    for (const file of await listFiles(join(path, name), extensions)) files.push({ path: file, label });
  return { classNames, files };
}

/** The share of the files that is asked for; all of them without a split. */
function subsetOf(files: Labelled[], options: ImageFolderOptions): Labelled[] {
  const { validationSplit, subset, seed } = options;
  if (validationSplit === undefined) return files;
  const order = new Philox(seed!, salts.files).permutation(files.length);
  const kept = Math.floor(files.length * (1 - validationSplit));
  const chosen = subset === 'training' ? order.subarray(0, kept) : order.subarray(kept);
  return [...chosen].sort((a, b) => a - b).map((i) => files[i]!);
}

/**
 * Images in folders, one folder a class: `[image, label]`, the image `[height, width, channels]` in bytes or, with `scale`, float32. PNG files are decoded by
 * the library, JPEG files by the package `sharp`, if it is installed. Files are read and decoded in worker threads while the model trains.
 *
 * @throws {NablaError} when the folder or a class is missing or there are no images; in the pass, when a file cannot be decoded, with its name.
 * @example
 * const photos = await data.imageFolder('photos', { imageSize: [64, 64], scale: 1 / 255, seed: 1 });
 * await model.fit(photos.batch(32), { epochs: 3 });
 */
export function imageFolder(
  path: string,
  options: ImageFolderOptions & { labelMode: null },
): Promise<ImageFolder<NdArray>>;
export function imageFolder(
  path: string,
  options: ImageFolderOptions & { labelMode: 'categorical' },
): Promise<ImageFolder<readonly [NdArray, Float32Array]>>;
export function imageFolder(
  path: string,
  options?: ImageFolderOptions,
): Promise<ImageFolder<readonly [NdArray, number]>>;
export async function imageFolder(
  path: string,
  options: ImageFolderOptions = {},
): Promise<ImageFolder<unknown>> {
  checkOptions(options);
  const { classNames, files: all } = await labelledFiles(path, options);
  const files = subsetOf(all, options);
  if (files.length === 0) throw new NablaError(where, `there are no images in '${path}'`);
  const { labelMode = 'int', shuffle = true, seed } = options;
  const label = (index: number) =>
    labelMode === 'categorical' ? Float32Array.from(classNames, (_, i) => Number(i === index)) : index;
  const fixed = shuffle ? undefined : files;
  const ordered = (pass: Pass) => {
    if (fixed !== undefined) return fixed;
    const random = stageRandom(seed ?? pass.seed, pass.iteration, salts.files);
    return Array.from(random.permutation(files.length), (i) => files[i]!);
  };
  const { each, chunks } = decoder(options);
  const element = (image: NdArray, file: Labelled) =>
    labelMode === null ? image : [image, label(file.label)];
  const open = async function* (pass: Pass): Flow<unknown> {
    const order = ordered(pass);
    let index = 0;
    for await (const image of each(order, pass)) yield element(image, order[index++]!);
  };
  const openBatches: OpenBatches = (batchSize, dropRemainder) =>
    async function* (pass) {
      const order = ordered(pass);
      // Tasks of whole batches, unless those are large.
      const whole = batchSize * Math.max(1, Math.floor(filesATask / batchSize));
      const images = chunks!(order, pass, batchSize <= 2 * filesATask ? whole : filesATask);
      const whose = (image: NdArray, index: number) => element(image, order[index]!);
      for await (const { first, rows } of rebatched(images, batchSize, dropRemainder, whose)) {
        if (labelMode === null) yield rows;
        else {
          const labels = order.slice(first, first + rows.shape[0]!).map((file) => label(file.label));
          yield [rows, stack(where, labels, first)];
        }
      }
    };
  return new ImageFolder(
    open,
    chunks && openBatches,
    classNames,
    files.map((file) => file.path),
  );
}

/** Images one by one, and, where worker threads decode, in the arrays that they make of `perTask` files. */
interface Decoder {
  readonly each: (files: readonly Labelled[], pass: Pass) => Flow<NdArray>;
  readonly chunks?: (files: readonly Labelled[], pass: Pass, perTask: number) => Flow<NdArray>;
}

function decoder(options: ImageFolderOptions): Decoder {
  const { imageSize, colorMode, scale, shift, workers } = options;
  const presentation: ImageOptions = { imageSize, colorMode, scale, shift };
  const module = workers === 0 ? undefined : workerModule();
  if (module === undefined) return { each: decodeHere(presentation) };
  const chunks = decodeInWorkers(module, workers, presentation);
  const each: Decoder['each'] = async function* (files, pass) {
    for await (const images of chunks(files, pass, filesATask))
      for (let i = 0; i < images.shape[0]!; i++) yield rowOf(images, i) as NdArray;
  };
  return { each, chunks };
}

const failure = (index: number, path: string, text: string) =>
  elementError(where, index, new Error(`${path}: ${text}`));

function decodeHere(options: ImageOptions): Decoder['each'] {
  return async function* (files, pass) {
    const read = async ({ path }: Labelled, index: number) => {
      try {
        return await decodeImage(await readFile(path), options);
      } catch (error) {
        throw failure(index, path, error instanceof Error ? error.message : String(error));
      }
    };
    const source = (async function* () {
      yield* files;
    })();
    yield* inOrder(source, pass, readsAtOnce, read);
  };
}

function decodeInWorkers(
  module: string,
  workers: number | undefined,
  options: ImageOptions,
): NonNullable<Decoder['chunks']> {
  const pool = poolOf(where, module, 'decodeFiles', workers);
  return async function* (files, pass, perTask) {
    const tasks = (async function* (): Flow<ImageTask> {
      for (let from = 0; from < files.length; from += perTask) {
        yield { paths: files.slice(from, from + perTask).map(({ path }) => path), options };
      }
    })();
    let index = 0;
    const answers = throughPool<ImageTask, ImageAnswer>(where, tasks, pool, pass, { chunkSize: 1, seed: 0 });
    for await (const { stacked, images, error } of answers) {
      if (stacked !== undefined) yield stacked;
      for (const { dtype, shape, data } of images) yield { dtype, shape: [1, ...shape], data };
      index += stacked?.shape[0] ?? images.length;
      if (error !== undefined) throw failure(index, files[index]!.path, error);
    }
  };
}
