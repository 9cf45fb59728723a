// Links in documentation: to files that are there, and to headings that are in them.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

const root = new URL('../', import.meta.url);

const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(new URL('docs/', root), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.startsWith('api'))
    .map((name) => `docs/${name}`),
];

/** Without blocks and spans of code. */
const prose = (text: string) => text.replaceAll(/^```.*?^```/gms, '').replaceAll(/`[^`\n]*`/g, '');

/** The anchors of a page's headings, as GitHub makes them: two alike are told apart by a number. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of text.replaceAll(/^```.*?^```/gms, '').matchAll(/^#+ (.*)$/gm)) {
    const plain = heading!
      .toLowerCase()
      .replaceAll(/\[(.*?)\]\(.*?\)/g, '$1')
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
    let anchor = plain;
    for (let i = 1; anchors.has(anchor); i++) anchor = `${plain}-${i}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** What is wrong with the links of a page. */
function brokenIn(page: string): string[] {
  const text = readFileSync(new URL(page, root), 'utf8');
  const links = [...prose(text).matchAll(/\]\(([^()\s]+)\)/g)].map(([, target]) => target!);
  return links
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [path = '', anchor] = target.split('#');
      const place = new URL(path, new URL(page, root));
      if (!existsSync(place)) return true;
      return anchor !== undefined && !anchorsOf(readFileSync(place, 'utf8')).has(anchor);
    })
    .map((target) => `${page}: ${target}`);
}

describe('links in documentation', () => {
  it('are looked for in all pages', () => {
    for (const page of ['README.md', 'docs/FEATURES.md', 'docs/guide/README.md'])
      assert.ok(pages.includes(page), page);
  });

  it('lead to files and headings that are there', () => {
    assert.deepEqual(pages.flatMap(brokenIn), []);
  });

  it('are told apart from those that lead nowhere', () => {
    assert.deepEqual(
      [...anchorsOf('# A b\n## `f(x)`, c\n## A b\n```\n# no\n```\n')],
      ['a-b', 'fx-c', 'a-b-1'],
    );
    assert.equal(prose('`[a](b)` [c](d)\n```ts\n[e](f)\n```\n').trim(), '[c](d)');
  });
});
