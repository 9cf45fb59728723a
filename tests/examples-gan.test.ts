// The GAN example in a short version on generated digits: it runs, reports, and draws pictures that are PNG files.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inflateSync } from 'node:zlib';
import { gridPng } from '../examples/png.ts';
import { encodePng } from '../src/data/png-writer.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Width, height and pixels of a grey PNG of eight bits without filters. */
function decode(file: Buffer) {
  assert.deepEqual([...file.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < file.length; ) {
    const length = file.readUInt32BE(at);
    chunks.set(file.toString('latin1', at + 4, at + 8), file.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  assert.deepEqual([...chunks.keys()], ['IHDR', 'IDAT', 'IEND']);
  const header = chunks.get('IHDR')!;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  assert.deepEqual([...header.subarray(8)], [8, 0, 0, 0, 0]);
  const rows = inflateSync(chunks.get('IDAT')!);
  assert.equal(rows.length, (width + 1) * height);
  const pixels = Array.from({ length: height }, (_, y) => [
    ...rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1)),
  ]);
  return { width, height, pixels };
}

describe('the PNG writer of the examples', () => {
  it('writes grey images', () => {
    const file = Buffer.from(encodePng(Uint8Array.of(0, 128, 255, 1, 2, 3), 2, 3, 1));
    assert.deepEqual(decode(file), {
      width: 3,
      height: 2,
      pixels: [
        [0, 128, 255],
        [1, 2, 3],
      ],
    });
    // The check sums of the specification: that of an empty IEND is known.
    assert.equal(file.subarray(-4).toString('hex'), 'ae426082');
  });

  it('puts images side by side', () => {
    const { width, height, pixels } = decode(
      Buffer.from(gridPng(Float32Array.of(-1, 0, 1, 2, -2, -1, 0, 1), 2, 2, 1)),
    );
    assert.deepEqual([width, height], [7, 4]);
    assert.deepEqual(pixels[1], [64, 0, 128, 64, 0, 0, 64]);
    assert.deepEqual(pixels[2], [64, 255, 255, 64, 128, 255, 64]);
  });
});

describe('the GAN example', function () {
  this.timeout(240_000);
  let out: string;
  before(() => {
    out = mkdtempSync(join(tmpdir(), 'nabla-gan-'));
  });
  after(() => rmSync(out, { recursive: true, force: true }));

  for (const backend of ['native', 'wasm']) {
    it(`trains both networks and draws (${backend})`, () => {
      const folder = join(out, backend);
      // Nowhere to find MNIST: digits are generated.
      const env = { ...process.env, NABLA_DATA_DIR: out, XDG_CACHE_HOME: out };
      const args = ['--backend', backend, '--images', '512', '--epochs', '2', '--classifier-epochs', '1'];
      const text = execFileSync(
        process.execPath,
        [
          '--import',
          'tsx',
          join(root, 'examples', 'gan.ts'),
          ...args,
          '--out',
          folder,
          '--offline',
          '--json',
        ],
        { cwd: root, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
      );
      const result = JSON.parse(text.trimEnd().split('\n').at(-1)!);
      assert.equal(result.backend, backend);
      assert.equal(result.steps, 16);
      assert.deepEqual(Object.keys(result.history), ['generatorLoss', 'discriminatorLoss', 'certainty']);
      const [first, second] = result.history.discriminatorLoss;
      assert.ok(second < first, `the discriminator learns, got ${first} and ${second}`);
      assert.ok(result.drawn.score >= 1 && result.drawn.score <= 10, `score ${result.drawn.score}`);
      assert.ok(result.real.score > 1, `score of real digits ${result.real.score}`);
      assert.match(text, /real digits: confidence 0\.\d+, classes \d+ of 10, score/);
      assert.deepEqual(readdirSync(folder), ['epoch-01.png', 'epoch-02.png']);
      const { width, height } = decode(readFileSync(join(folder, 'epoch-02.png')));
      assert.deepEqual([width, height], [302, 302]);
    });
  }
});
