// The pages of documentation and the code in them, for the tests that run it and check its types.
import { readdirSync } from 'node:fs';

const root = new URL('../../', import.meta.url);

/** README and the guide's chapters, which have code: paths from the root. */
export function pagesWithCode(): string[] {
  const guide = readdirSync(new URL('docs/guide/', root))
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .map((name) => `docs/guide/${name}`);
  return ['README.md', ...guide.sort()];
}

/** A block of TypeScript. */
export interface Block {
  readonly code: string;
  /** Whether it is a part of the page's program. */
  readonly runs: boolean;
  /** The line of the page on which the code begins, from 1. */
  readonly line: number;
}

/** The blocks of TypeScript of a page: those that open with `ts`, and with `ts no-run`. */
export function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```ts( no-run)?\n(.*?)^```$/gms)].map((match) => ({
    code: match[2]!,
    runs: match[1] === undefined,
    line: page.slice(0, match.index).split('\n').length + 1,
  }));
}
