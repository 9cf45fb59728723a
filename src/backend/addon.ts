// The addon: where it is looked for, and what it exports.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NablaError } from '../errors.ts';
import type { BackendMemory, HostArray } from './backend.ts';

/** What ended a step: `[code, instruction, value, limit]` of a kernel that refused its data, or words about a device that failed. */
export type NativeFault = readonly [
  code: number,
  instruction: number,
  value: number,
  limit: number,
  error: string,
];

/** The class that the addon exports (native/napi/device_object.h). */
export interface NativeDevice {
  info(): { instructionSet: string; threads: number; device: string };
  memory(): BackendMemory;
  allocate(bytes: number): number;
  free(buffer: number): void;
  own(buffer: number, bytes: number): object;
  write(buffer: number, byteOffset: number, source: HostArray): void;
  read(buffer: number, byteOffset: number, target: HostArray): void;
  load(words: Int32Array): number;
  unload(program: number): void;
  run(program: number, bindings: Float64Array): NativeFault | undefined;
  /** A function that runs `array[0]` with `array[1]` numbers, from `array[2]` on, as bindings. */
  stagedRun(array: Float64Array): () => NativeFault | Error | undefined;
  start(
    program: number,
    bindings: Float64Array,
    steps: number,
    callback: (fault: NativeFault | null, steps: number) => void,
  ): number;
  stop(run: number): void;
  close(): void;
}

/** What the addon opens a device by. */
export type DeviceOptions =
  | { readonly threads: number; readonly instructionSet?: string }
  | { readonly backend: 'cuda'; readonly device?: number; readonly precision?: string };

/** Unpacks a zlib stream into `target`; how many bytes it wrote, -1 where it is damaged or longer (native/napi/inflate.h). */
export type Inflate = (packed: Uint8Array, target: Uint8Array) => number;

/** What the addon exports. */
export interface NativeAddon {
  Device: new (options: DeviceOptions) => NativeDevice;
  /** Undefined where Node does not export its zlib. */
  makeInflate(): Inflate | undefined;
}

const require = createRequire(import.meta.url);

/** The folder of the package: the nearest one upwards with a package.json. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) || isNested(folder)) {
    const parent = dirname(folder);
    if (parent === folder) return process.cwd();
    folder = parent;
  }
  return folder;
}

/** Whether the package.json in the folder only sets the module type of a build folder. */
function isNested(folder: string): boolean {
  const text: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return typeof text !== 'object' || text === null || !('name' in text);
}

/** Operating system, processor and, on Linux without glibc, the C library: the name of a prebuilt addon. */
function platformName(): string {
  if (process.platform !== 'linux') return `${process.platform}-${process.arch}`;
  const report: unknown = process.report.getReport();
  const header = (report as { header?: { glibcVersionRuntime?: string } }).header;
  return `linux-${process.arch}${header?.glibcVersionRuntime === undefined ? '-musl' : ''}`;
}

/** Where to look, in order. A name without a path is a package. */
function* candidates(addonPath: string | undefined): Generator<string> {
  const chosen = addonPath ?? process.env.NABLA_ADDON;
  if (chosen) {
    yield resolve(chosen);
    return;
  }
  const root = packageRoot();
  yield join(root, 'build', 'Release', 'nabla.node');
  // Only now: asking for the C library takes some milliseconds.
  const platform = platformName();
  yield join(root, 'prebuilds', platform, 'nabla.node');
  yield `@nabla-js/${platform}`;
}

function message(error: unknown): string {
  // The first line says it; Node adds the stack of requires below.
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}

/** The first addon that loads. Throws where there is none. */
export function loadAddon(addonPath: string | undefined): NativeAddon {
  const tried: string[] = [];
  let cause: unknown;
  for (const candidate of candidates(addonPath)) {
    try {
      const addon = require(candidate) as NativeAddon;
      if (typeof addon.Device === 'function') return addon;
      tried.push(`${candidate}: is not Nabla's addon`);
    } catch (error) {
      cause = error;
      tried.push(`${candidate}: ${message(error)}`);
    }
  }
  throw new NablaError(
    'native',
    `could not load the addon, got no file that loads, expected one of:\n  ${tried.join('\n  ')}\n` +
      'build it with `npm run build:native`, name it in NABLA_ADDON, or use another backend',
    { cause },
  );
}
