// Runs the tests of ops, layers and models on the CUDA backend: on the machine's GPU, or emulated where there is none.
//
//   node scripts/test-cuda.mjs [--emulated] [--sanitize] [test files and mocha arguments]
//     --emulated   over the emulated driver, although there may be a GPU
//     --sanitize   under compute-sanitizer's memcheck and racecheck, which must be installed
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const options = process.argv.slice(2);
const emulation = join(root, 'build/nabla_emulated_cuda.so');

const testFiles = (...names) => names.map((name) => `tests/${name}.test.ts`);
// The table of ops, every layer, loss and optimizer beside Keras' numbers, masks and metrics.
const short = testFiles(
  'ops',
  'gradients',
  'jit',
  'layers',
  'losses',
  'optimizers',
  'dense-adam',
  'masks',
  'metrics',
);
// Whole trainings, too long for a GPU that is emulated by one core.
const long = testFiles('attention', 'conv', 'fit', 'model', 'recurrent', 'training');

/** Whether this machine's GPU opens. */
function hasGpu() {
  const { stdout } = spawnSync(process.execPath, ['--import', 'tsx', 'src/cli/nabla.ts', 'doctor'], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NABLA_CUDA_DRIVER: '' },
  });
  return /^cuda: (taken|works)/m.test(stdout);
}

const emulated = options.includes('--emulated') || !hasGpu();
if (emulated && !existsSync(emulation)) {
  console.error(
    `[test-cuda] no GPU, and no ${emulation}; build it: cmake --build build --target nabla_emulated_cuda`,
  );
  process.exit(1);
}
console.log(emulated ? 'on the emulated GPU' : "on this machine's GPU");

const rest = options.filter((option) => !['--emulated', '--sanitize'].includes(option));
const mocha = [
  '--import',
  'tsx',
  '--expose-gc',
  'node_modules/mocha/bin/mocha.js',
  '--timeout',
  '600000',
  '--reporter',
  'dot',
  ...(rest.some((option) => option.endsWith('.ts')) ? [] : emulated ? short : [...short, ...long]),
  ...rest,
];
const env = {
  ...process.env,
  NABLA_TEST_BACKENDS: 'cuda',
  NABLA_CUDA_DRIVER: emulated ? emulation : '',
};
const tools = options.includes('--sanitize') ? ['memcheck', 'racecheck'] : [undefined];
let failed = false;
for (const tool of tools) {
  const [command, ...args] =
    tool === undefined
      ? [process.execPath, ...mocha]
      : ['compute-sanitizer', '--tool', tool, '--error-exitcode', '9', process.execPath, ...mocha];
  const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' });
  if (error) console.error(`[test-cuda] ${command} does not start: ${error.message}`);
  failed ||= error !== undefined || status !== 0;
}
process.exit(failed ? 1 : 0);
