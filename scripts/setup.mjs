// Sets up a checkout: system packages where they are missing, npm packages, the addon and the WebAssembly modules.
// Runs before `npm run mnist` and `npm test`; needs nothing but Node.js. What is up to date is left alone.
//
//   --no-system   do not install system packages
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
const say = (text) => console.error(`[setup] ${text}`);

function run(command, args, options = {}) {
  say(`${command} ${args.join(' ')}`);
  // What is built is not what the caller asked to see: it goes to standard error.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  return error === undefined && status === 0;
}

function found(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** The newest change among files below the paths, in milliseconds. */
function newest(...paths) {
  let latest = 0;
  for (const path of paths.map((p) => join(root, p))) {
    if (!existsSync(path)) continue;
    const info = statSync(path);
    if (!info.isDirectory()) latest = Math.max(latest, info.mtimeMs);
    else
      for (const name of readdirSync(path))
        latest = Math.max(latest, newest(join(path.slice(root.length), name)));
  }
  return latest;
}

const upToDate = (target, ...sources) =>
  existsSync(join(root, target)) && newest(target) >= newest(...sources);

/** What the builds need, and Debian's packages for it. */
const tools = [
  { name: 'a C++20 compiler', there: () => found('g++') || found('clang++'), debian: ['g++', 'make'] },
  { name: 'CMake', there: () => found('cmake'), debian: ['cmake'] },
  {
    name: "Highway's headers",
    there: () => existsSync('/usr/include/hwy/highway.h'),
    debian: ['libhwy-dev'],
  },
  { name: 'Emscripten', there: () => found('em++'), debian: ['emscripten'] },
];

function installTools() {
  const missing = tools.filter((tool) => !tool.there());
  if (missing.length === 0 || process.argv.includes('--no-system') || process.platform !== 'linux') return;
  const packages = missing.flatMap((tool) => tool.debian);
  const names = missing.map((tool) => tool.name).join(', ');
  if (!found('apt-get')) {
    say(`missing: ${names}; install them with this system's package manager (Debian: ${packages.join(' ')})`);
    return;
  }
  const sudo = process.getuid?.() === 0 ? [] : ['sudo'];
  say(`missing: ${names}; installing ${packages.join(' ')} with apt-get`);
  const apt = (...args) => {
    const [command, ...rest] = [...sudo, 'apt-get', ...args];
    return run(command, rest, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  };
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  if (!apt(...install) && !(apt('update') && apt(...install)))
    say('apt-get failed; going on with what is there');
}

/**
 * The GPUs to compile kernels for: those of this machine, and the oldest, whose PTX serves every other. Packages
 * that are shipped hold all (CMakeLists.txt), which takes minutes longer.
 */
function cudaArchitectures() {
  const { stdout, error } = spawnSync('nvidia-smi', ['--query-gpu=compute_cap', '--format=csv,noheader'], {
    encoding: 'utf8',
  });
  const here = error ? [] : stdout.replaceAll('.', '').split(/\s+/);
  return ['80', ...['86', '89', '90', '100', '120'].filter((known) => here.includes(known))].join(';');
}

function fail(text) {
  say(text);
  process.exit(1);
}

if (Number(process.versions.node.split('.')[0]) < 20)
  fail(`Node.js 20 or later is needed, this is ${process.version}`);

const addon = 'build/Release/nabla.node';
const wasm = 'dist/wasm/nabla-simd.wasm';
const cpp = ['native', 'CMakeLists.txt'];
const stale = !upToDate(addon, ...cpp) || !upToDate(wasm, ...cpp, 'wasm', 'scripts/build-wasm.mjs');
if (stale) installTools();
if (!upToDate('node_modules/.package-lock.json', 'package-lock.json')) {
  if (!run(npm, ['ci', '--no-audit', '--no-fund'])) fail('npm ci failed; is the npm registry in reach?');
}
const forHere = `--CDNABLA_CUDA_ARCHITECTURES=${cudaArchitectures()}`;
if (!upToDate(addon, ...cpp) && !run(npm, ['run', '--silent', 'build:native', '--', forHere])) {
  say('the addon could not be built; the WebAssembly backend will be used');
}
if (
  !upToDate(wasm, ...cpp, 'wasm', 'scripts/build-wasm.mjs') &&
  !run(npm, ['run', '--silent', 'build:wasm'])
) {
  say('the WebAssembly modules could not be built');
}
if (!existsSync(join(root, addon)) && !existsSync(join(root, wasm))) {
  fail('neither the addon nor the WebAssembly modules could be built; see the messages above');
}
