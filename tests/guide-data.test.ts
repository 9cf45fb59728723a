// The code blocks of docs/guide/data.md run as they stand, and print what their comments say.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Philox } from '../src/random.ts';
import { encodePng } from './support/png.ts';

const text = readFileSync(new URL('../docs/guide/data.md', import.meta.url), 'utf8');
const blocks = [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!);

describe('docs/guide/data.md', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'nabla-guide-'));
    writeFileSync(join(folder, 'flowers.csv'), 'sepal,petal,species\n5.1,1.4,setosa\n6.3,,virginica\n');
    writeFileSync(join(folder, 'features.mjs'), 'export const square = (x) => x * x;\n');
    const random = new Philox(1);
    for (let i = 0; i < 10; i++) {
      const place = join(folder, 'photos', i < 4 ? 'cats' : 'dogs');
      mkdirSync(place, { recursive: true });
      const samples = Array.from({ length: 4 * 5 * 3 }, () => random.int(256));
      writeFileSync(join(place, `${i}.png`), encodePng({ width: 4, height: 5, colour: 2, samples }));
    }
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('runs', () => {
    const library = new URL('../src/index.ts', import.meta.url).href;
    const names = blocks.map((code, i) => {
      const name = `block-${i}.mts`;
      writeFileSync(join(folder, name), code.replaceAll("from 'nabla'", `from '${library}'`));
      return name;
    });
    const main = names.map((name) => `console.log('-- ${name}'); await import('./${name}');\n`).join('');
    writeFileSync(join(folder, 'main.mts'), main);
    const args = ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href, 'main.mts'];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    const printed = stdout.split(/-- block-\d+\.mts\n/).slice(1);
    assert.equal(printed.length, blocks.length);
    const [first, training, csv, pictures, parallel, , failure] = printed;
    assert.equal(first!.match(/\[ 2, 2 \]/g)?.length, 2);
    assert.equal(training, '2\n[ 100, 2 ]\n');
    assert.match(csv!, /^\[ 5\.09\d+, 1\.39\d+ \] 0\n$/);
    assert.equal(pictures, "[ 'cats', 'dogs' ] 10\n[ 8, 32, 32, 3 ] [ 8 ]\n");
    assert.match(parallel!.replace(/\s+/g, ' '), /0, 1, 4, 9, 16, 25/);
    assert.equal(failure, '[data.map] element 3 failed: no such file\n');
  });
});
