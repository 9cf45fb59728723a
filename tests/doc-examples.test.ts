// The examples in comments that need nothing but the library: they run, natively and in WebAssembly, and give what they say they give.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import * as nabla from '../src/index.ts';
import { describeBackends } from './support/backends.ts';
import { docExamples } from './support/doc-examples.ts';
import { twoBackends } from './support/fixtures.ts';

// Those that read files that are not there, or fetch.
const elsewhere = /imageFolder|setBackend/;

const examples = docExamples().filter(({ whole, code }) => whole && !elsewhere.test(code));

/** The example as JavaScript in which each statement that ends in a comment like `// [1, 2]` is checked against it. */
function checked(code: string): string {
  const statement = /^(?!const |console)(.*?);? \/\/ (\[.*\])$/gm;
  const checks = code.replaceAll(
    statement,
    (_, value, result) => `await check(${value}, ${JSON.stringify(result)});`,
  );
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  return ts.transpileModule(checks, { compilerOptions: options }).outputText;
}

/** Numbers in the place of tensors. */
function plain(value: unknown): unknown {
  if (value instanceof nabla.Tensor) return value.arraySync();
  return Array.isArray(value) ? value.map(plain) : value;
}

const AsyncFunction = (async () => {}).constructor as new (
  ...parts: string[]
) => (...values: unknown[]) => Promise<void>;

describeBackends(
  'examples in comments',
  () => {
    const home = process.cwd();
    let folder: string;

    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'nabla-examples-'));
      process.chdir(folder);
    });

    after(() => {
      process.chdir(home);
      rmSync(folder, { recursive: true, force: true });
    });

    // What examples set for the whole process.
    afterEach(() => nabla.setDtypePolicy('float32'));

    let results = 0;
    for (const { place, code } of examples) {
      it(place, async () => {
        const check = async (value: unknown, result: string) => {
          assert.deepEqual(plain(await value), JSON.parse(result.replaceAll("'", '"')));
          results++;
        };
        const values = { ...nabla, console: { ...console, log: () => {} }, check };
        await new AsyncFunction(...Object.keys(values), checked(code))(...Object.values(values));
      });
    }

    it('are many, with results', () => {
      assert.ok(examples.length > 110, `${examples.length} examples`);
      assert.ok(results >= 12, `${results} results`);
    });
  },
  twoBackends,
);
