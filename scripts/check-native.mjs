// Checks of the C++ that are too slow for every test run: sanitizers, the node-gyp build, the NEON kernels' compilation, and that of the CUDA kernels.
//
//   node scripts/check-native.mjs [asan] [tsan] [gyp] [neon] [cuda]     default: all
import { execFile, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);
const execFileAsync = promisify(execFile);

function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
}

function output(command, args) {
  return spawnSync(command, args, { encoding: 'utf8' }).stdout.trim();
}

const coreSources = readFileSync(join(root, 'native/sources.txt'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('native/') && !line.startsWith('native/napi/'));

/** The addon under AddressSanitizer and UndefinedBehaviorSanitizer, driven by the tests that reach all of it. */
function asan() {
  const build = 'build/asan';
  const options = ['-DNABLA_SANITIZE=address,undefined', '-DCMAKE_BUILD_TYPE=Release', '-DNABLA_CUDA=OFF'];
  run('cmake', ['-S', '.', '-B', build, ...options]);
  run('cmake', ['--build', build, '-j', '2', '--target', 'nabla_addon']);
  const tests = ['native.backend', 'ops', 'program', 'hostile', 'model', 'errors', 'jit'].map(
    (name) => `tests/${name}.test.ts`,
  );
  const env = {
    ...process.env,
    LD_PRELOAD: [
      output('g++', ['-print-file-name=libasan.so']),
      output('g++', ['-print-file-name=libubsan.so']),
    ].join(':'),
    // Node itself leaks at exit; the addon's own blocks are counted by its tests. Huge allocations must fail as they do without.
    ASAN_OPTIONS: 'detect_leaks=0,allocator_may_return_null=1',
    UBSAN_OPTIONS: 'print_stacktrace=1,halt_on_error=1',
    NABLA_ADDON: join(root, build, 'Release/nabla.node'),
    NABLA_TEST_BACKENDS: 'native',
  };
  const mocha = [
    '--import',
    'tsx',
    '--expose-gc',
    'node_modules/mocha/bin/mocha.js',
    '--timeout',
    '600000',
    '--reporter',
    'dot',
  ];
  run(process.execPath, [...mocha, ...tests.filter((test) => existsSync(join(root, test)))], { env });
}

/** The thread pool's test under ThreadSanitizer. */
function tsan() {
  const program = join(mkdtempSync(join(tmpdir(), 'nabla-tsan-')), 'pool_test');
  const flags = ['-std=c++20', '-O1', '-g', '-fsanitize=thread', '-I', 'native'];
  run('g++', [...flags, 'native/cpu/pool.cpp', 'native/tests/pool_test.cpp', '-o', program, '-pthread']);
  run(program, []);
}

/** The addon by node-gyp, in a copy, loaded once. */
function gyp() {
  const copy = mkdtempSync(join(tmpdir(), 'nabla-gyp-'));
  for (const name of ['native', 'binding.gyp', 'package.json'])
    cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const bundled = join(output('npm', ['root', '-g']), 'npm/node_modules/node-gyp/bin/node-gyp.js');
  // Node's own headers, where they are installed, spare a download.
  const headers = existsSync('/usr/include/node/node_api.h') ? ['--nodedir=/usr'] : [];
  run(process.execPath, [bundled, 'rebuild', '-j', '2', ...headers], {
    cwd: copy,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const env = { ...process.env, NABLA_ADDON: join(copy, 'build/Release/nabla.node') };
  run(process.execPath, ['--import', 'tsx', 'src/cli/nabla.ts', 'doctor'], { env });
  rmSync(copy, { recursive: true, force: true });
}

/** The core compiles for 64-bit Arm. */
async function neon() {
  const folder = mkdtempSync(join(tmpdir(), 'nabla-neon-'));
  mkdirSync(join(folder, 'include'));
  symlinkSync('/usr/include/hwy', join(folder, 'include/hwy'));
  const flags = [
    '-std=c++20',
    '-O1',
    '-fsyntax-only',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-I',
    'native',
    '-isystem',
    join(folder, 'include'),
  ];
  const left = [...coreSources];
  const compileNext = async () => {
    for (let source = left.shift(); source !== undefined; source = left.shift())
      await execFileAsync('aarch64-linux-gnu-g++', [...flags, source]);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, compileNext));
  console.log(`NEON: ${coreSources.length} files compile`);
}

/** The CUDA kernels for every architecture, warnings and spilled registers as errors, small enough to be shipped. */
function cuda() {
  const most = 30e6;
  const build = 'build/cuda-check';
  // No architecture of the addon's build is left out here.
  const configured = spawnSync('cmake', ['-S', '.', '-B', build, '-DNABLA_ADDON=OFF'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (configured.status !== 0) throw new Error(`cmake ended with ${configured.status}: ${configured.stderr}`);
  const found = /CUDA kernels: .*/.exec(configured.stdout)?.[0] ?? '';
  console.log(found);
  if (!found.startsWith('CUDA kernels: nvcc')) return;
  run('cmake', ['--build', build, '-j', '2', '--target', 'nabla_cuda_kernels']);
  const folder = join(root, build, 'cuda');
  const files = readdirSync(folder).filter((name) => name.endsWith('.fatbin'));
  const bytes = files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  console.log(`CUDA: ${files.length} families, ${(bytes / 1e6).toFixed(1)} MB`);
  if (files.length === 0 || bytes > most)
    throw new Error(`the CUDA kernels take ${bytes} bytes, more than ${most}`);
}

for (const [name, check] of Object.entries({ asan, tsan, gyp, neon, cuda })) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`-- ${name}`);
  await check();
}
