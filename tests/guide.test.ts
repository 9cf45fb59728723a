// The code of the guide, chapter by chapter: the blocks of a chapter are one program, and what its comments say is printed is what it prints.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { encodePng } from './support/png.ts';

const run = promisify(execFile);
const folder = new URL('../docs/guide/', import.meta.url);
const library = new URL('../src/index.ts', import.meta.url).href;
const loader = import.meta.resolve('tsx');

/** Files that a chapter finds in its folder. */
const files: Readonly<Record<string, (folder: string) => void>> = {
  'data.md': (place) => {
    writeFileSync(join(place, 'flowers.csv'), 'sepal,petal,species\n5.5,1.25,setosa\n6.3,,virginica\n');
    writeFileSync(join(place, 'features.mjs'), 'export const square = (x) => x * x;\n');
    for (const [name, count] of [['cats', 4] as const, ['dogs', 6] as const]) {
      mkdirSync(join(place, 'photos', name), { recursive: true });
      for (let i = 0; i < count; i++) {
        const samples = Array.from({ length: 4 * 5 * 3 }, (_, k) => (k * (i + 7)) % 256);
        const picture = encodePng({ width: 4, height: 5, colour: 2, samples });
        writeFileSync(join(place, 'photos', name, `${i}.png`), picture);
      }
    }
  },
};

describe('the guide', () => {
  for (const chapter of readdirSync(folder).filter((name) => name.endsWith('.md'))) {
    it(chapter, async function () {
      this.timeout(120_000);
      const text = readFileSync(new URL(chapter, folder), 'utf8');
      const blocks = [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, block]) => block!);
      assert.ok(blocks.length > 0, 'it has code');
      const place = mkdtempSync(join(tmpdir(), 'nabla-guide-'));
      try {
        files[chapter]?.(place);
        const file = join(place, 'chapter.mts');
        writeFileSync(file, blocks.join('\n').replaceAll("from 'nabla'", `from '${library}'`));
        const { stdout } = await run(process.execPath, ['--import', loader, file], { cwd: place });
        const told = blocks.flatMap((block) => [...block.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)]);
        const plain = (line: string) => line.replaceAll(' ', '');
        const lines = stdout.split('\n').map(plain);
        for (const [, expected] of told)
          assert.ok(lines.includes(plain(expected!)), `expected ${expected} in: ${stdout}`);
      } finally {
        rmSync(place, { recursive: true, force: true });
      }
    });
  }
});
