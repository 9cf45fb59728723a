// The examples in the sources' comments, as modules: what they use of the library is imported, what they suppose to be there is declared.
import { readdirSync, readFileSync } from 'node:fs';
import * as nabla from '../../src/index.ts';

/** An example in a comment. */
export interface Example {
  /** The file from the root, and the number of the line. */
  readonly place: string;
  readonly code: string;
  /** Whether it supposes nothing but the library. */
  readonly whole: boolean;
  /** A module that can be type-checked. */
  readonly module: string;
}

const root = new URL('../../', import.meta.url);

/** What examples may suppose to be there, with its type. */
const supposed: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    'x y a b w1 w2 images labels anchors positives negatives query value question answer start h0 c0 decoderState encoderOutput padding someSamples'
      .split(' ')
      .map((name) => [name, 'nabla.Tensor']),
  ),
  attention: 'nabla.layers.MultiHeadAttention',
  build: '(...settings: unknown[]) => nabla.Sequential',
  database: '{ rows(query: string): AsyncIterable<{ petal: number }> }',
  embedding: 'nabla.layers.TokenAndPositionEmbedding',
  history: 'nabla.History',
  sentences: 'nabla.data.Dataset<[number[], number]>',
  series: 'nabla.data.Dataset<number>',
  set: 'nabla.data.Dataset<[number[], number]>',
  writeFileSync: "typeof import('node:fs').writeFileSync",
};

const types = ['Batch', 'CallContext', 'Shape', 'Step'];

/** All `@example`s in src. */
export function docExamples(): Example[] {
  return readdirSync(new URL('src/', root), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .flatMap((name) => examplesIn(`src/${name}`, readFileSync(new URL(`src/${name}`, root), 'utf8')));
}

function examplesIn(file: string, text: string): Example[] {
  const found: Example[] = [];
  for (const comment of text.matchAll(/\/\*\*.*?\*\//gs)) {
    const lines = comment[0].replace(/ *\*\/$/, '').split('\n');
    const first = text.slice(0, comment.index).split('\n').length;
    lines.forEach((line, i) => {
      const tag = /@example ?(.*)$/.exec(line);
      if (tag === null) return;
      const rest = lines.slice(i + 1).map((next) => next.replace(/^\s*\* ?/, ''));
      const end = rest.findIndex((next) => next.startsWith('@'));
      const code = [tag[1]!, ...rest.slice(0, end < 0 ? undefined : end)].join('\n').trim();
      found.push({ place: `${file}:${first + i}`, code, ...asModule(file, code) });
    });
  }
  return found;
}

function asModule(file: string, code: string): Pick<Example, 'whole' | 'module'> {
  const used = new Set(code.replaceAll(/'[^']*'|\/\/.*$|\.\w+/gm, '').match(/[A-Za-z_]\w*/g));
  const own = new Set([...code.matchAll(/(?:const|class|let|override) (\w+)/g)].map(([, name]) => name!));
  for (const [, names] of code.matchAll(/(?:const|for \(const) [[{]([^=]*?)[\]}] (?:=|of)/g))
    for (const name of names!.match(/\w+/g) ?? []) own.add(name);
  const needs = (name: string) => used.has(name) && !own.has(name);
  // A model is what most examples suppose, and `model` is a function too.
  const declared = Object.keys(supposed).filter(needs);
  const supposesModel = needs('model') && !/\bmodel\(/.test(code);
  const imported = [
    ...Object.keys(nabla).filter((name) => needs(name) && !(name === 'model' && supposesModel)),
    ...types.filter(needs).map((name) => `type ${name}`),
  ].filter((name) => file !== 'src/web.ts' || name !== 'setBackend');
  const module = [
    "import type * as nabla from 'nabla';",
    `import { ${imported.join(', ')} } from 'nabla';`,
    ...(file === 'src/web.ts' ? ["import { setBackend } from 'nabla/web';"] : []),
    ...declared.map((name) => `declare const ${name}: ${supposed[name]};`),
    ...(supposesModel ? ['declare const model: nabla.Sequential;'] : []),
    inItsPlace(code),
  ].join('\n');
  const whole = declared.length === 0 && !supposesModel && !/^(override|this)\b/.test(code);
  return { whole, module };
}

/** Members of a class, and statements of a method, with the class around them. */
function inItsPlace(code: string): string {
  if (code.startsWith('override '))
    return `import { Model as Base, optimizers } from 'nabla';\nclass Example extends Base {\n  mine = optimizers.adam();\n  override call(x: nabla.Tensor) { return x; }\n  ${code}\n}`;
  if (code.startsWith('this.'))
    return `import { Model as Base } from 'nabla';\nclass Example extends Base {\n  override call(x: nabla.Tensor) {\n    ${code};\n    return x;\n  }\n}`;
  return code;
}
