// Bundles the library for require(): one CommonJS file beside the ES modules, with its types.
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

mkdirSync(path('dist/cjs'), { recursive: true });
await build({
  entryPoints: [path('src/index.ts')],
  outfile: path('dist/cjs/index.cjs'),
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  // CommonJS has no import.meta; a module's own address is made from its file name.
  define: { 'import.meta.url': 'moduleAddress' },
  banner: { js: "const moduleAddress = require('node:url').pathToFileURL(__filename).href;" },
});
// The types are those of the ES modules, told apart by the extension.
writeFileSync(path('dist/cjs/index.d.cts'), "export * from '../index.js';\n");
