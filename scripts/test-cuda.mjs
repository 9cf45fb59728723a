// All tests of the CUDA backend: on the machine's GPU, or emulated where there is none. Ends with one line that says what was tested where.
//
//   node scripts/test-cuda.mjs [--emulated] [--no-sanitizer] [--no-curves] [test files and mocha arguments]
//     --emulated      over the emulated driver, although there may be a GPU
//     --no-sanitizer  without compute-sanitizer's memcheck and racecheck, which run on a GPU where they are installed
//     --no-curves     without the trainings of the examples
//
// It needs no npm: any Node.js of version 20 or later runs it, in a folder with node_modules and a build.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compareCurves } from './cuda-curves.mjs';
import {
  briefTests,
  cudaEnvironment,
  emulatedTests,
  leftOut,
  leftOutPattern,
  wholeTests,
} from './cuda-tests.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const flags = ['--emulated', '--no-sanitizer', '--no-curves'];
const given = process.argv.slice(2);
const has = (flag) => given.includes(flag);
const rest = given.filter((option) => !flags.includes(option));
const emulation = join(root, 'build/nabla_emulated_cuda.so');

const node = (args, env, options = {}) =>
  spawnSync(process.execPath, args, { cwd: root, env, encoding: 'utf8', ...options });

/** What `nabla doctor` says of the machine's GPU; undefined without one that works. */
function findGpu() {
  const doctor = ['--import', 'tsx', 'src/cli/nabla.ts', 'doctor'];
  const { stdout } = node(doctor, { ...process.env, NABLA_CUDA_DRIVER: '' });
  const said = /^cuda: (.*)/m.exec(stdout ?? '')?.[1] ?? 'no word of it';
  console.log(`GPU: ${said}`);
  return /^(taken|works)/.test(said) ? said : undefined;
}

function mocha(args, env, tool) {
  const command = ['--import', 'tsx', '--expose-gc', 'node_modules/mocha/bin/mocha.js'];
  const options = ['--timeout', '600000', '--reporter', 'dot'];
  const all = [...command, ...options, ...args];
  const { status, error } =
    tool === undefined
      ? node(all, env, { stdio: 'inherit' })
      : spawnSync('compute-sanitizer', ['--tool', tool, '--error-exitcode', '9', process.execPath, ...all], {
          cwd: root,
          env,
          stdio: 'inherit',
        });
  if (error) console.error(`[test-cuda] ${tool ?? 'mocha'} does not start: ${error.message}`);
  return error === undefined && status === 0;
}

for (const needed of ['node_modules/mocha/bin/mocha.js', 'build/Release/nabla.node']) {
  if (existsSync(join(root, needed))) continue;
  console.error(`[test-cuda] ${needed} is missing; run \`npm run setup\``);
  process.exit(1);
}
const gpu = has('--emulated') ? undefined : findGpu();
if (gpu === undefined && !existsSync(emulation)) {
  console.error(
    `[test-cuda] no GPU, and no ${emulation}; build it: cmake --build build --target nabla_emulated_cuda`,
  );
  process.exit(1);
}

const results = [];
const note = (what, good) => results.push(`${what}: ${good ? 'passed' : 'FAILED'}`);
const env = cudaEnvironment(gpu === undefined ? emulation : '');
const place = gpu === undefined ? 'emulated' : 'on the GPU';
if (rest.some((option) => option.endsWith('.ts'))) {
  note(`the given tests, ${place}`, mocha(rest, env));
} else {
  // These choose their devices themselves.
  const own = { ...process.env, NABLA_CUDA_DRIVER: 'none', NABLA_TEST_GPU: gpu === undefined ? '' : '1' };
  const files = emulatedTests.filter((file) => existsSync(join(root, file)));
  if (existsSync(emulation))
    note(`every op and its gradient, failures, ${place}`, mocha([...files, ...rest], own));
  else results.push('every op and its gradient: left out, without build/nabla_emulated_cuda.so');
  const shortened = gpu === undefined ? ['--grep', leftOutPattern, '--invert'] : [];
  note(`layers, losses, optimizers, models, ${place}`, mocha([...wholeTests, ...shortened, ...rest], env));
  if (gpu === undefined) {
    results.push(`left out, for an emulated GPU takes minutes: ${leftOut.join('; ')}`);
    results.push('training curves and compute-sanitizer: left out, they need a GPU');
  } else {
    if (has('--no-curves')) results.push('training curves: left out');
    else note('training curves of the examples', compareCurves(env) === 0);
    const sanitizer = spawnSync('compute-sanitizer', ['--version']).error === undefined;
    for (const tool of ['memcheck', 'racecheck']) {
      if (has('--no-sanitizer') || !sanitizer)
        results.push(`${tool}: left out, ${sanitizer ? 'as asked' : 'compute-sanitizer is not installed'}`);
      else note(tool, mocha([...briefTests, '--grep', leftOutPattern, '--invert', ...rest], env, tool));
    }
  }
}
console.log(`\n${results.join('\n')}`);
process.exit(results.some((line) => line.endsWith('FAILED')) ? 1 : 0);
