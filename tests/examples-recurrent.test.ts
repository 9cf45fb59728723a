// The examples with recurrent layers, in short versions: they run, and learn what so short a run can teach.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Philox } from '../src/random.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs an example; what it prints, and the JSON of its last line. */
function run(name: string, args: readonly string[], data?: string) {
  const env = { ...process.env, ...(data === undefined ? {} : { NABLA_DATA_DIR: data }) };
  const text = execFileSync(
    process.execPath,
    ['--import', 'tsx', join(root, 'examples', name), ...args, '--json'],
    {
      cwd: root,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const last = text.trimEnd().split('\n').at(-1)!;
  return { text, result: JSON.parse(last) };
}

describe('the examples with recurrent layers', function () {
  this.timeout(240_000);
  const random = new Philox(1);
  const real = process.env.NABLA_DATA_DIR;
  let data: string;

  before(() => {
    data = mkdtempSync(join(tmpdir(), 'nabla-examples-'));
    mkdirSync(join(data, 'names'));
    mkdirSync(join(data, 'timeseries'));
    const syllables = ['an', 'be', 'ka', 'lo', 'mi', 'ra', 'su', 'ti', 'vo', 'zen'];
    const name = () =>
      Array.from({ length: 1 + random.int(3) }, () => syllables[random.int(syllables.length)]).join('');
    writeFileSync(join(data, 'names', 'names.txt'), Array.from({ length: 3000 }, name).join('\n'));
    // A clean cycle of eleven years, from 1900 to 1959.
    const rows = Array.from({ length: 720 }, (_, i) => {
      const spots = 60 - 60 * Math.cos((2 * Math.PI * i) / 132) + 5 * random.uniform();
      return `"${1900 + Math.floor(i / 12)}-${String((i % 12) + 1).padStart(2, '0')}",${spots.toFixed(1)}`;
    });
    writeFileSync(
      join(data, 'timeseries', 'monthly-sunspots.csv'),
      ['"Month","Sunspots"', ...rows].join('\n'),
    );
  });

  after(() => rmSync(data, { recursive: true, force: true }));

  for (const backend of ['native', 'wasm']) {
    it(`addition begins to learn (${backend})`, () => {
      const args = ['--backend', backend, '--examples', '4000', '--epochs', '2', '--seed', '1'];
      const { text, result } = run('addition.ts', args);
      assert.equal(result.backend, backend);
      assert.equal(result.parameters, 205_324);
      assert.ok(result.accuracy > 0.3, `accuracy ${result.accuracy}`);
      assert.match(text, /\d+\+\d+ * = .{4} [✓✗]/);
    });
  }

  it('names learn syllables', () => {
    const { result } = run('names.ts', ['--epochs', '2', '--seed', '1'], data);
    for (const kind of ['simpleRNN', 'gru']) {
      assert.ok(result[kind].nats < 1.6, `${kind}: ${result[kind].nats} nats`);
    }
  });

  it('names say where they looked when there are none', () => {
    assert.throws(
      () => run('names.ts', [], join(data, 'nowhere')),
      /no names found, looked for .*NABLA_DATA_DIR/,
    );
  });

  it('real names are well below bigrams after two epochs', function () {
    if (real === undefined || !existsSync(join(real, 'names', 'names.txt'))) this.skip();
    const { result } = run('names.ts', ['--epochs', '2', '--seed', '1']);
    for (const kind of ['simpleRNN', 'gru']) {
      assert.ok(result[kind].nats < 2.25, `${kind}: ${result[kind].nats} nats`);
    }
  });

  it('forecast beats persistence on a clean cycle', () => {
    const { text, result } = run('forecast.ts', ['--epochs', '6', '--seed', '1'], data);
    assert.ok(result.rmse.lstm < result.rmse.persistence, JSON.stringify(result.rmse));
    assert.match(text, /o measured, \* forecast/);
  });
});
