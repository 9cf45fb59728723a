// The four files of MNIST: their names, lengths and checksums; finding, unpacking and checking them. Node.js only.

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeCrypto, nodeZlib } from '../platform/builtins.ts';

/** One of the four files. */
export interface MnistFile {
  readonly name: string;
  /** Length when unpacked. */
  readonly bytes: number;
  /** SHA-256 of the unpacked bytes. */
  readonly sha256: string;
}

/** Training images and labels, test images and labels. */
export type MnistFiles = readonly [MnistFile, MnistFile, MnistFile, MnistFile];

export const mnistFiles: MnistFiles = [
  {
    name: 'train-images-idx3-ubyte',
    bytes: 47_040_016,
    sha256: 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
  },
  {
    name: 'train-labels-idx1-ubyte',
    bytes: 60_008,
    sha256: '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
  },
  {
    name: 't10k-images-idx3-ubyte',
    bytes: 7_840_016,
    sha256: '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
  },
  {
    name: 't10k-labels-idx1-ubyte',
    bytes: 10_008,
    sha256: 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
  },
];

/** Room that gzip's header and stored blocks may take beyond the content. */
export const GZIP_OVERHEAD = 16_384;

/** Path of the file in a folder, unpacked rather than gzip, or undefined. */
export async function find(folder: string, file: MnistFile): Promise<string | undefined> {
  for (const path of [join(folder, file.name), join(folder, `${file.name}.gz`)]) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) return path;
  }
  return undefined;
}

/** Reads, unpacks and checks a file; throws an Error that says what is wrong with it. */
export async function readChecked(path: string, file: MnistFile): Promise<Uint8Array> {
  const { size } = await stat(path);
  const most = file.bytes + GZIP_OVERHEAD;
  if (size > most) throw new Error(`too large, got ${size} bytes, expected at most ${most}`);
  return check(await readFile(path), file);
}

/** Whether the bytes begin as gzip does. */
export const isGzip = (bytes: Uint8Array) => bytes[0] === 0x1f && bytes[1] === 0x8b;

function inflate(packed: Uint8Array, maxOutputLength: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    nodeZlib().gunzip(packed, { maxOutputLength }, (error, bytes) => {
      if (error === null) resolve(bytes);
      else reject(error);
    });
  });
}

/** Unpacks when packed, never to more than the file's length, and checks length and SHA-256. */
export async function check(bytes: Uint8Array, file: MnistFile): Promise<Uint8Array> {
  const content = isGzip(bytes) ? await inflate(bytes, file.bytes) : bytes;
  if (content.length !== file.bytes) {
    throw new Error(`got ${content.length} bytes when unpacked, expected ${file.bytes}`);
  }
  const digest = Buffer.from(await nodeCrypto().webcrypto.subtle.digest('SHA-256', content)).toString('hex');
  if (digest !== file.sha256) throw new Error(`wrong SHA-256, got ${digest}, expected ${file.sha256}`);
  return content;
}
