// Short trainings of the examples on the GPU beside the processor's: what they report must be about the same.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Each example with what makes it short, and how far reports may lie apart, of the larger number or of 1. */
export const examples = [
  { file: 'mnist.ts', args: ['--epochs', '1', '--seed', '1'], tolerance: 0.03 },
  { file: 'cnn.ts', args: ['--epochs', '1'], tolerance: 0.03 },
  { file: 'addition.ts', args: ['--epochs', '2', '--examples', '4000', '--seed', '1'], tolerance: 0.05 },
  { file: 'transformer.ts', args: ['--iterations', '100', '--seed', '1', '--length', '10'], tolerance: 0.05 },
];

// Of the machine, not of what was learnt.
const apart = new Set([
  'backend',
  'seconds',
  'stepsPerSecond',
  'peakMemoryBytes',
  'workspaceBytes',
  'data',
  'parameters',
]);

/** Where two reports differ by more than `tolerance`, in words. */
export function differences(expected, actual, tolerance, path = '') {
  if (typeof expected === 'number') {
    const most = tolerance * Math.max(1, Math.abs(expected));
    return Math.abs(expected - actual) <= most ? [] : [`${path}: got ${actual}, expected ${expected}`];
  }
  if (typeof expected !== 'object' || expected === null) return [];
  return Object.keys(expected)
    .filter((key) => !apart.has(key))
    .flatMap((key) =>
      actual?.[key] === undefined
        ? [`${path}${key}: missing`]
        : differences(
            expected[key],
            actual[key],
            tolerance,
            `${path}${key}${typeof expected[key] === 'object' ? '.' : ''}`,
          ),
    );
}

function report({ file, args }, backend, env) {
  const command = ['--import', 'tsx', `examples/${file}`, ...args, '--backend', backend, '--json'];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    cwd: root,
    env,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`examples/${file} on ${backend} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1));
}

/** Runs all of them; how many differed. */
export function compareCurves(env) {
  let failed = 0;
  for (const example of examples) {
    try {
      const [cpu, gpu] = ['native', 'cuda'].map((backend) => report(example, backend, env));
      const found = differences(cpu, gpu, example.tolerance);
      console.log(`${example.file}: ${found.length === 0 ? "as the processor's" : found.join('; ')}`);
      if (found.length > 0) failed++;
    } catch (error) {
      console.log(`${example.file}: ${error instanceof Error ? error.message : error}`);
      failed++;
    }
  }
  return failed;
}
