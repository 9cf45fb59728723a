// Files of Node.js for data sets: read in pieces, and unpacked where they end in .gz.
import { createReadStream } from 'node:fs';
import { onOpenFile } from '../data/text.ts';
import { nodeStream, nodeZlib } from './builtins.ts';

const pieceBytes = 1 << 18;

onOpenFile((path) => {
  const local = typeof path === 'string' && path.startsWith('file:') ? new URL(path) : path;
  const file = createReadStream(local, { highWaterMark: pieceBytes });
  if (!String(path).endsWith('.gz')) return file;
  const unpacked = nodeZlib().createGunzip({ chunkSize: pieceBytes });
  // Whichever fails or is closed, both end; the reader of `unpacked` meets the error.
  nodeStream().pipeline(file, unpacked, () => {});
  return unpacked;
});
