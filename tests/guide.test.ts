// The code of the guide and of the README: the blocks of a page are one program, which prints what the page says that it prints.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { blocksOf, pagesWithCode } from './support/pages.ts';
import { encodePng } from './support/png.ts';

const run = promisify(execFile);
const library = new URL('./support/guide-library.ts', import.meta.url).href;
const loader = import.meta.resolve('tsx');

/** Pictures of five cats and dogs each, in folders of their own. */
function writePhotos(place: string): void {
  for (const [name, count] of [['cats', 4] as const, ['dogs', 6] as const]) {
    mkdirSync(join(place, 'photos', name), { recursive: true });
    for (let i = 0; i < count; i++) {
      const samples = Array.from({ length: 4 * 5 * 3 }, (_, k) => (k * (i + 7)) % 256);
      const picture = encodePng({ width: 4, height: 5, colour: 2, samples });
      writeFileSync(join(place, 'photos', name, `${i}.png`), picture);
    }
  }
}

/** Files that a page's program finds in its folder. */
const files: Readonly<Record<string, (place: string) => void>> = {
  'README.md': writePhotos,
  'docs/guide/data.md': (place) => {
    writeFileSync(join(place, 'flowers.csv'), 'sepal,petal,species\n5.5,1.25,setosa\n6.3,,virginica\n');
    writeFileSync(join(place, 'features.mjs'), 'export const square = (x) => x * x;\n');
    writePhotos(place);
  },
};

/** Blocks that no test can run, such as those for browsers: marked `ts no-run`, by page. They are type-checked all the same. */
const notRun: Readonly<Record<string, number>> = { 'README.md': 1, 'docs/guide/serving.md': 2 };

/** What a page says is printed: `console.log(...); // this`, and the lines of `text` blocks, of which `...` stands for any. */
function told(page: string): string[] {
  const shown = [...page.matchAll(/console\.log\([^\n]*\); \/\/ ([^\n]*)$|^```text\n.*?^```$/gms)];
  return shown.flatMap(([whole, comment]) => {
    if (!whole.startsWith('```')) return [comment!];
    return whole
      .split('\n')
      .slice(1, -1)
      .filter((line) => !['', '...'].includes(line.trim()));
  });
}

describe('the code of the guide', () => {
  for (const page of pagesWithCode()) {
    it(`${page} runs and prints what it says`, async function () {
      this.timeout(240_000);
      const text = readFileSync(new URL(`../${page}`, import.meta.url), 'utf8');
      const blocks = blocksOf(text);
      const programs = blocks.filter(({ runs }) => runs).map(({ code }) => code);
      assert.ok(programs.length > 0, 'it has code');
      assert.equal(blocks.length - programs.length, notRun[page] ?? 0, 'blocks that are not run');
      const place = mkdtempSync(join(tmpdir(), 'nabla-guide-'));
      try {
        files[page]?.(place);
        const file = join(place, 'page.mts');
        writeFileSync(file, programs.join('\n').replaceAll("from 'nabla'", `from '${library}'`));
        const { stdout } = await run(process.execPath, ['--import', loader, file], { cwd: place });
        const plain = (line: string) => line.replaceAll(/\s/g, '');
        const lines = stdout.split('\n').map(plain);
        let from = 0;
        for (const expected of told(text)) {
          const at = lines.indexOf(plain(expected), from);
          assert.ok(at >= 0, `expected the line ${expected} after line ${from} of:\n${stdout}`);
          from = at + 1;
        }
      } finally {
        rmSync(place, { recursive: true, force: true });
      }
    });
  }

  it('is in the table of contents, chapter by chapter', () => {
    const folder = new URL('../docs/guide/', import.meta.url);
    const contents = readFileSync(new URL('README.md', folder), 'utf8');
    const chapters = readdirSync(folder).filter((name) => name.endsWith('.md') && name !== 'README.md');
    const listed = [...contents.matchAll(/^\d+\. \[.*?\]\((.*?\.md)\)/gm)].map(([, name]) => name!);
    assert.deepEqual(listed.toSorted(), chapters.toSorted());
    for (const [i, name] of listed.entries()) {
      const text = readFileSync(new URL(name, folder), 'utf8');
      assert.match(text, new RegExp(`^# ${i + 1}\\. `), `${name} has its number`);
      const next = listed[i + 1];
      if (next !== undefined)
        assert.ok(text.trimEnd().split('\n').at(-1)!.includes(`(${next})`), `${name} leads on`);
    }
  });
});
