// Unpacking zlib streams of a known length: through the addon, which keeps its decoder, or node:zlib, which makes one each time.
import { type Inflate, loadAddon } from '../backend/addon.ts';
import { nodeZlib } from './builtins.ts';

// Of more bytes than this the length is somebody's word for it: memory is taken as they come.
const small = 1 << 20;

// Bytes, with some to spare.
const longestMatch = 320;

// Null until it was looked for.
let inflate: Inflate | undefined | null = null;

function findInflate(): Inflate | undefined {
  try {
    return loadAddon(undefined).makeInflate();
  } catch {
    return undefined;
  }
}

/**
 * What a zlib stream of `expected` bytes holds. A stream of fewer is given as it is; throws where it is damaged, or holds more. The array may be part
 * of a larger buffer.
 */
export function inflateExactly(packed: Uint8Array, expected: number): Uint8Array {
  if (inflate === null) inflate = findInflate();
  if (inflate !== undefined && expected <= small) {
    // zlib's fast loop ends where less room is left than one match may need.
    const target = Buffer.allocUnsafe(expected + longestMatch);
    if (inflate(packed, target) === expected) return target.subarray(0, expected);
    // Whatever is wrong, node:zlib has the words for it.
  }
  const chunkSize = Math.min(Math.max(expected + 1, 64), small);
  return nodeZlib().inflateSync(packed, { maxOutputLength: expected + 1, chunkSize });
}
