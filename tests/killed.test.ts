// Training processes that are killed while they train and save: each goes on from a whole file, and the last ends with the weights of a run in one go.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import '../src/platform/files.ts';
import { Philox } from '../src/random.ts';
import { readSaved } from '../src/saving/save.ts';
import { twoBackends } from './support/fixtures.ts';

const script = fileURLToPath(new URL('support/killed-training.ts', import.meta.url));
const tries = 20;

/** Runs the process; kills it so many milliseconds after it began to train, or lets it end. Was it killed? */
async function train(backend: string, backup: string, result: string, killAfter?: number): Promise<boolean> {
  const child = spawn(process.execPath, ['--import=tsx', script, backend, backup, result], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.once('data', () => {
    if (killAfter !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfter);
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (...how) => resolve(how));
  });
  assert.ok(code === 0 || signal === 'SIGKILL', `ended with ${code ?? signal}`);
  return signal === 'SIGKILL';
}

describe('training that is killed', () => {
  for (const { name } of twoBackends) {
    const backend = name === 'native' ? 'native' : 'wasm';

    it(`goes on to the same weights, killed ${tries} times at random, ${backend}`, async function () {
      this.timeout(600_000);
      const folder = mkdtempSync(join(tmpdir(), 'nabla-killed-'));
      const [backup, expected, result] = ['backup', 'expected', 'result'].map((file) => join(folder, file));
      try {
        await train(backend, backup!, expected!);
        assert.ok(!existsSync(backup!), 'a run to the end leaves no backup');
        const random = new Philox(17);
        const places = new Set<string>();
        for (let kills = 0; kills < tries; ) {
          const killed = await train(backend, backup!, result!, random.int(120));
          if (killed) kills++;
          else assert.deepEqual(readFileSync(result!), readFileSync(expected!));
          if (!existsSync(backup!)) continue;
          // Whole: its lengths and its checksum are right.
          const { file } = await readSaved('test', backup!);
          const { position } = JSON.parse(file.metadata.get('nabla.training')!) as {
            position: { epoch: number; step: number };
          };
          places.add(`${position.epoch}.${position.step}`);
          const begun = readdirSync(folder).filter((entry) => entry.endsWith('.tmp'));
          assert.ok(begun.length <= 1, `what was begun before is removed, got ${begun.join(', ')}`);
        }
        assert.ok(places.size > 1, `killed at ${places.size} places`);
        await train(backend, backup!, result!);
        assert.deepEqual(readFileSync(result!), readFileSync(expected!));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }
});
