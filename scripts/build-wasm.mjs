// Builds dist/wasm/nabla-simd.wasm and nabla-threads.wasm with Emscripten from the sources of the native core.
//
//   --force      compile everything again
//   --jobs=N     compilers at a time (default: processors, at most 8)
//   EMXX         the em++ to use
//   NABLA_HIGHWAY  folder that holds hwy/highway.h, when it is not where the system has it
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('../', import.meta.url));
const buildDir = join(root, 'build/wasm');
const distDir = join(root, 'dist/wasm');
const force = process.argv.includes('--force');
const jobsGiven = process.argv.find((argument) => argument.startsWith('--jobs='));
const jobs = jobsGiven ? Number(jobsGiven.slice('--jobs='.length)) : Math.min(8, availableParallelism());
if (!(jobs >= 1)) fail(`number of jobs, got '${jobsGiven}', expected --jobs=1 or more`);

// Highway's own folder is given by a link, because next to it there may be the headers of the machine's C library.
const includeDir = join(buildDir, 'include');
const compileFlags = [
  '-std=c++20',
  '-O3',
  '-msimd128',
  '-fno-exceptions',
  '-fno-rtti',
  '-fno-math-errno',
  '-fvisibility=hidden',
  '-ffunction-sections',
  '-fdata-sections',
  '-Wall',
  '-Wextra',
  '-Werror',
  `-I${join(root, 'native')}`,
  `-I${includeDir}`,
];
// The stack comes first, so that an overflow leaves the memory and traps instead of overwriting data.
const linkFlags = [
  '-O3',
  '-msimd128',
  '-fno-exceptions',
  '-sSTANDALONE_WASM',
  '--no-entry',
  '-sALLOW_MEMORY_GROWTH=1',
  '-sMAXIMUM_MEMORY=4GB',
  '-sINITIAL_MEMORY=4MB',
  '-sTOTAL_STACK=1MB',
  '-sABORTING_MALLOC=0',
  '-sFILESYSTEM=0',
  '-Wl,--stack-first',
  '-Wl,--export=stackSave',
  '-Wl,--export=stackRestore',
];
const variants = [
  { name: 'nabla-simd', compile: [], link: [] },
  {
    // Without Emscripten's own threads (-pthread is refused in standalone modules): src/backend/wasm-workers.ts starts the workers.
    // The C library is the one for single threads: memory is allocated by one thread at a time only.
    name: 'nabla-threads',
    compile: ['-matomics', '-mbulk-memory'],
    link: ['-matomics', '-mbulk-memory', '-sIMPORTED_MEMORY', '-Wl,--shared-memory,--no-check-features'],
  },
];

function fail(message) {
  console.error(`[build-wasm] ${message}`);
  process.exit(1);
}

function findCompiler() {
  const compiler = process.env.EMXX ?? 'em++';
  const found = spawnSync(compiler, ['--version'], { encoding: 'utf8' });
  if (found.status !== 0) {
    fail(
      `no Emscripten, got '${found.error?.message ?? found.stderr.trim()}' from ${compiler}, expected em++ 3.1 or newer; ` +
        'install it (`apt-get install emscripten` on Debian and Ubuntu, `brew install emscripten` on macOS) or set EMXX',
    );
  }
  return compiler;
}

function linkHighway() {
  const { NABLA_HIGHWAY, HOMEBREW_PREFIX } = process.env;
  const brewed = HOMEBREW_PREFIX && join(HOMEBREW_PREFIX, 'include');
  const places = [NABLA_HIGHWAY, '/usr/include', '/usr/local/include', brewed];
  const place = places.find((folder) => folder && existsSync(join(folder, 'hwy/highway.h')));
  if (!place) {
    fail(
      'no Highway headers, got no hwy/highway.h in the usual places, expected Highway 1.0 or newer; ' +
        'install them (`apt-get install libhwy-dev`, `brew install highway`) or set NABLA_HIGHWAY to their folder',
    );
  }
  mkdirSync(includeDir, { recursive: true });
  rmSync(join(includeDir, 'hwy'), { force: true });
  symlinkSync(join(place, 'hwy'), join(includeDir, 'hwy'));
}

/** The core without what belongs to Node or to GPUs; WebAssembly has a thread pool and an entry of its own. */
function sources() {
  const listed = readFileSync(join(root, 'native/sources.txt'), 'utf8')
    .split('\n')
    .map((line) => line.trim());
  const core = listed.filter(
    (path) =>
      path.startsWith('native/') &&
      !path.startsWith('native/napi/') &&
      !path.startsWith('native/cuda/') &&
      path !== 'native/cpu/pool.cpp',
  );
  return [...core, 'native/cpu/pool_wasm.cpp', 'wasm/entry.cpp', 'wasm/runtime.cpp'];
}

const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

// Whatever is older than this script is built again.
const scriptTime = modified(fileURLToPath(import.meta.url));

/** Whether the object is older than anything that its compiler read, as the compiler noted beside it. */
function isStale(object) {
  const dependencies = `${object}.d`;
  if (force || !existsSync(object) || !existsSync(dependencies)) return true;
  const files = readFileSync(dependencies, 'utf8')
    .replace(/^[^:]*:/, '')
    .replaceAll('\\\n', ' ')
    .split(/\s+/)
    .filter(Boolean);
  return (
    files.some((file) => !existsSync(file) || modified(file) > modified(object)) ||
    scriptTime > modified(object)
  );
}

function compile(compiler, source, object, flags) {
  return new Promise((resolve) => {
    execFile(
      compiler,
      [...compileFlags, ...flags, '-MMD', '-MF', `${object}.d`, '-c', join(root, source), '-o', object],
      (error, stdout, stderr) => {
        if (error) fail(`${source} does not compile:\n${stdout}${stderr}`);
        resolve();
      },
    );
  });
}

async function build(compiler, { name, compile: flags, link }) {
  const objectDir = join(buildDir, name);
  mkdirSync(objectDir, { recursive: true });
  const units = sources().map((source) => ({
    source,
    object: join(objectDir, `${source.replaceAll('/', '-')}.o`),
  }));
  const stale = units.filter(({ object }) => isStale(object));
  const queue = [...stale];
  const work = async () => {
    for (let unit = queue.shift(); unit; unit = queue.shift())
      await compile(compiler, unit.source, unit.object, flags);
  };
  await Promise.all(Array.from({ length: jobs }, work));

  const target = join(distDir, `${name}.wasm`);
  const objects = units.map(({ object }) => object);
  if (modified(target) < Math.max(scriptTime, ...objects.map(modified))) {
    mkdirSync(distDir, { recursive: true });
    const linked = spawnSync(compiler, [...linkFlags, ...link, ...objects, '-o', target], {
      encoding: 'utf8',
    });
    if (linked.status !== 0) fail(`${name} does not link:\n${linked.stdout}${linked.stderr}`);
  }
  const bytes = readFileSync(target);
  const kilobytes = (count) => `${(count / 1024).toFixed(1)} KiB`;
  console.log(
    `${basename(target)}: ${kilobytes(bytes.length)}, ${kilobytes(gzipSync(bytes, { level: 9 }).length)} gzipped, ` +
      `${stale.length} of ${units.length} files compiled`,
  );
}

const compiler = findCompiler();
linkHighway();
for (const variant of variants) await build(compiler, variant);
