// Bundles the library into one file for import and one for require(): Node starts in a fraction of the time that it takes to load the modules one by one.
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
// Names stay as they are, so that stacks of errors can be read.
const common = {
  entryPoints: [path('src/index.ts')],
  bundle: true,
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true,
  // Node prints the line that an error comes from.
  lineLimit: 120,
};

mkdirSync(path('dist/cjs'), { recursive: true });
await build({ ...common, outfile: path('dist/esm/index.js'), format: 'esm' });
await build({
  ...common,
  outfile: path('dist/cjs/index.cjs'),
  format: 'cjs',
  // CommonJS has no import.meta; a module's own address is made from its file name.
  define: { 'import.meta.url': 'moduleAddress' },
  banner: { js: "const moduleAddress = require('node:url').pathToFileURL(__filename).href;" },
});
// The types are those of the ES modules, told apart by the extension.
writeFileSync(path('dist/cjs/index.d.cts'), "export * from '../index.js';\n");
