// Makes the npm package of the addon that was built on this machine: `npm/<platform>`, ready to publish beside the main one.
// The main package finds it by name; npm installs only the one whose os, cpu and libc fit, so that nothing is built or downloaded
// by an install script.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const { version, license, author, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const { platform, arch } = process;
const glibc = process.report.getReport().header.glibcVersionRuntime;
const name = `${platform}-${arch}${platform === 'linux' && glibc === undefined ? '-musl' : ''}`;
const folder = join(root, 'npm', name);

mkdirSync(folder, { recursive: true });
copyFileSync(join(root, 'build/Release/nabla.node'), join(folder, 'nabla.node'));
copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
const manifest = {
  name: `@nabla-js/${name}`,
  version,
  description: `The native addon of nabla for ${name}`,
  license,
  author,
  engines,
  main: 'nabla.node',
  files: ['nabla.node', 'LICENSE'],
  os: [platform],
  cpu: [arch],
  ...(platform === 'linux' && { libc: [glibc === undefined ? 'musl' : 'glibc'] }),
};
writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
console.log(folder);
