// Runs every test: the C++ programs, the counts of their instructions, mocha, and some of its tests again on an emulated GPU; ends with one line that adds up
// what the runners counted.
//
//   node scripts/test.mjs [--no-cpp] [mocha arguments]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { briefTests, cudaEnvironment, leftOut, leftOutPattern } from './cuda-tests.mjs';
import { checkInstructions } from './instructions.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const total = { passed: 0, failed: 0, skipped: 0 };

function run(command, args, options = {}) {
  return spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, ...options });
}

/** Builds and runs native/tests/*_test.cpp, each of which says what it counted. */
function cppTests() {
  // The addon's own build folder: what is compiled for it is not compiled again.
  const build = join(root, 'build');
  const configured = run('cmake', ['-S', '.', '-B', build, '-DNABLA_TESTS=ON'], { stdio: ['ignore', 2, 2] });
  const built =
    configured.status === 0 && run('cmake', ['--build', build, '-j', '2'], { stdio: ['ignore', 2, 2] });
  if (built === false || built.status !== 0) {
    console.log('the C++ tests could not be built');
    total.failed++;
    return;
  }
  const programs = readdirSync(join(root, 'native/tests')).filter((name) => name.endsWith('_test.cpp'));
  for (const name of programs.map((file) => file.replace('.cpp', ''))) {
    const { stdout, stderr, status } = run(join(build, name), []);
    const counted = /: (\d+) passed, (\d+) failed/.exec(stdout ?? '');
    if (counted === null || (status !== 0 && Number(counted[2]) === 0)) {
      console.log(`${name}: ended with ${status} and counted nothing\n${stdout}${stderr}`);
      total.failed++;
      continue;
    }
    total.passed += Number(counted[1]);
    total.failed += Number(counted[2]);
    console.log(Number(counted[2]) > 0 ? stdout : `${name}: ${counted[1]} passed, ${counted[2]} failed`);
  }
  const { passed, failed, skipped } = checkInstructions(join(build, 'instruction_count'));
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}

function mochaTests(args, env = process.env) {
  const folder = mkdtempSync(join(tmpdir(), 'nabla-tests-'));
  const report = join(folder, 'report.json');
  const mocha = join(root, 'node_modules/mocha/bin/mocha.js');
  const files = args.some((arg) => arg.endsWith('.ts')) ? [] : ['tests/**/*.test.ts'];
  // Both a report to read and one to count.
  const reporter = ['--reporter', 'scripts/mocha-reporter.cjs', '--reporter-option', `output=${report}`];
  const { status } = run(
    process.execPath,
    ['--import', 'tsx', '--expose-gc', mocha, '--timeout', '120000', ...reporter, ...files, ...args],
    { stdio: 'inherit', env },
  );
  if (!existsSync(report)) {
    console.log(`mocha ended with ${status} and counted nothing`);
    total.failed++;
  } else {
    const { passes, failures, pending } = JSON.parse(readFileSync(report, 'utf8'));
    total.passed += passes;
    total.failed += failures;
    total.skipped += pending;
  }
  rmSync(folder, { recursive: true, force: true });
}

const args = process.argv.slice(2);
if (!args.includes('--no-cpp')) cppTests();
const given = args.filter((arg) => arg !== '--no-cpp');
// What takes the default backend means the processor's, on machines with a GPU too.
mochaTests(given, { ...process.env, NABLA_CUDA_DRIVER: process.env.NABLA_CUDA_DRIVER ?? 'none' });
const emulation = join(root, 'build/nabla_emulated_cuda.so');
if (given.length === 0 && existsSync(emulation)) {
  console.log(`on an emulated GPU; left to \`npm run test:cuda\`: ${leftOut.join('; ')}`);
  mochaTests([...briefTests, '--grep', leftOutPattern, '--invert'], cudaEnvironment(emulation));
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 ? 0 : 1);
