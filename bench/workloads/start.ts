// Processes of our own library, as it is published, from their start to the first prediction.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import manifest from '../../package.json' with { type: 'json' };
import { missing } from '../peers/protocol.mjs';
import { processes } from '../peers/spawning.mjs';
import { serveOwn } from './own.ts';

const entry = new URL(manifest.exports['.'].node.import.default, new URL('../../', import.meta.url));
if (!existsSync(entry)) {
  missing('the package is not built: npm run build:ts');
}
const first = fileURLToPath(new URL('./first.mjs', import.meta.url));
await serveOwn(undefined, { 'first/process': processes(process.execPath, [first]) });
