// Guards the speed of the kernels that matter most without a clock: callgrind counts the instructions that each executes, and none may be more than
// a tenth above the committed count. The same program on the same input gives the same count on a busy machine too.
//
//   node scripts/instructions.mjs [--record] [path/to/instruction_count]     --record writes the counts as the new ones
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const file = join(root, 'native/tests/instructions.json');
// Valgrind knows no AVX-512; the kernels are one source for all instruction sets.
const instructionSet = 'avx2';
const slack = 1.1;

function run(command, args) {
  return spawnSync(command, args, { encoding: 'utf8' });
}

/** `g++ 12` and the like: another compiler makes other code, whose counts say nothing. */
function compilerOf(program) {
  const made = run('readelf', ['-p', '.comment', program]).stdout?.match(
    /GCC: .*? (\d+)\.\d+\.\d+|clang version (\d+)/,
  );
  return made ? (made[1] ? `g++ ${made[1]}` : `clang ${made[2]}`) : 'unknown';
}

/** Why nothing can be counted here; undefined where it can. */
function obstacle(program, recorded) {
  if (!existsSync(program)) return 'instruction_count is not built';
  if (process.arch !== 'x64' || process.platform !== 'linux')
    return 'the counts are those of x86-64 on Linux';
  if (run('valgrind', ['--version']).status !== 0)
    return 'valgrind is not installed (apt-get install valgrind)';
  const compiler = compilerOf(program);
  if (recorded && compiler !== recorded.compiler)
    return `the counts are those of ${recorded.compiler}, not of ${compiler}`;
  return undefined;
}

/** Instructions of one case; text that says what went wrong where there is no count. */
function countOf(program, name) {
  const options = ['--tool=callgrind', '--callgrind-out-file=/dev/null', '--toggle-collect=NablaCounted'];
  const { status, stderr } = run('valgrind', [...options, program, name, instructionSet]);
  const counted = Number(/Collected : (\d+)/.exec(stderr)?.[1] ?? 0);
  return status === 0 && counted > 0 ? counted : `ended with ${status}, counted ${counted}\n${stderr}`;
}

/** Compares all cases with the committed counts; prints those that are wrong. Gives how many passed, failed and were skipped. */
export function checkInstructions(program) {
  const recorded = JSON.parse(readFileSync(file, 'utf8'));
  const names = Object.keys(recorded.instructions);
  const why = obstacle(program, recorded);
  if (why !== undefined) {
    console.log(`instructions: skipped, ${why}`);
    return { passed: 0, failed: 0, skipped: names.length };
  }
  const total = { passed: 0, failed: 0, skipped: 0 };
  const listed = run(program, []).stdout.trim().split('\n');
  for (const name of new Set([...names, ...listed])) {
    const most = recorded.instructions[name];
    const count = countOf(program, name);
    const good = most !== undefined && count <= most * slack;
    good ? total.passed++ : total.failed++;
    const advice = 'node scripts/instructions.mjs --record writes the counts anew where more are meant to be';
    if (!good)
      console.log(`instructions of ${name}: got ${count}, expected at most ${slack} * ${most}; ${advice}`);
  }
  console.log(`instructions: ${total.passed} passed, ${total.failed} failed`);
  return total;
}

function record(program) {
  const why = obstacle(program);
  if (why !== undefined) throw new Error(`[instructions] nothing to record: ${why}`);
  const instructions = {};
  for (const name of run(program, []).stdout.trim().split('\n')) {
    const count = countOf(program, name);
    if (typeof count !== 'number') throw new Error(`[instructions] ${name} ${count}`);
    instructions[name] = count;
    console.log(`${name}: ${count.toLocaleString('en-US')}`);
  }
  const recorded = { compiler: compilerOf(program), instructionSet, instructions };
  writeFileSync(file, `${JSON.stringify(recorded, null, 2)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2);
  const program = args.find((arg) => arg !== '--record') ?? join(root, 'build/instruction_count');
  if (args.includes('--record')) record(program);
  else process.exitCode = checkInstructions(program).failed === 0 ? 0 : 1;
}
