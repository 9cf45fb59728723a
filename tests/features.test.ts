// docs/FEATURES.md against the exports: what it has is there, what it misses is not, and every tensor op is in it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import * as data from '../src/data/index-node.ts';
import * as nabla from '../src/index.ts';
import * as ops from '../src/ops/index.ts';
import { fixture } from './support/fixtures.ts';

interface Row {
  readonly section: string;
  readonly elsewhere: string;
  readonly here: string;
  readonly remark: string;
}

const text = readFileSync(new URL('../docs/FEATURES.md', import.meta.url), 'utf8');

const rows = text.split('\n## ').flatMap((part): Row[] => {
  const [section = '', ...lines] = part.split('\n');
  const cells = lines.filter((line) => /^\|(?! ---| Elsewhere)/.test(line)).map((line) => line.split('|'));
  return cells.map(([, elsewhere = '', here = '', remark = '']) => ({
    section,
    elsewhere: elsewhere.trim(),
    here: here.trim(),
    remark: remark.trim(),
  }));
});

const namespaces: Record<string, object> = {
  'Tensor ops': ops,
  Autodiff: nabla,
  Layers: nabla.layers,
  Losses: nabla.losses,
  Metrics: nabla.metrics,
  Optimizers: nabla.optimizers,
  Schedules: nabla.optimizers.schedules,
  Initializers: nabla.initializers,
  Regularizers: nabla.regularizers,
  Constraints: nabla.constraints,
  Activations: ops,
  Models: nabla,
  Data: { ...data, ...Object.getOwnPropertyDescriptors(data.Dataset.prototype) },
};

const namesIn = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name!);
const plain = (name: string) => name.replaceAll('_', '').toLowerCase();

describe('docs/FEATURES.md', () => {
  it('has every section', () => {
    assert.deepEqual([...new Set(rows.map(({ section }) => section))], Object.keys(namespaces));
  });

  for (const [section, exports] of Object.entries(namespaces)) {
    const own = rows.filter((row) => row.section === section);

    it(`${section}: what it has is exported`, () => {
      for (const { here, elsewhere } of own) {
        if (here === 'missing') continue;
        const names = namesIn(here);
        assert.ok(names.length > 0, `the row of ${elsewhere} names nothing`);
        for (const name of names) assert.ok(Object.hasOwn(exports, name), `${name} is not exported`);
      }
    });

    it(`${section}: what it misses is not exported, and it says why`, () => {
      const known = new Set(Object.keys(exports).map(plain));
      for (const { here, elsewhere, remark } of own) {
        if (here !== 'missing') continue;
        assert.notEqual(remark, '', `${elsewhere} has no reason`);
        for (const name of namesIn(elsewhere)) assert.ok(!known.has(plain(name)), `${name} is exported`);
      }
    });
  }

  // Models and Data have classes, types and helpers beside what a row is about; activations are tensor ops.
  for (const section of Object.keys(namespaces)) {
    if (['Autodiff', 'Activations', 'Models', 'Data'].includes(section)) continue;
    it(`${section}: lists everything that is exported`, () => {
      const listed = new Set(
        rows
          .filter((row) => row.section === section && row.here !== 'missing')
          .flatMap(({ here }) => namesIn(here)),
      );
      const factories = Object.keys(namespaces[section]!).filter(
        // What regularizers and constraints are found by is internal.
        (name) => /^[a-z]/.test(name) && !/^get[A-Z]|enalty/.test(name),
      );
      assert.deepEqual(
        factories.filter((name) => !listed.has(name)),
        [],
      );
    });
  }

  it('lists the names of Keras, torch.nn, torch.optim, TF.js and Gluon', () => {
    const listed = new Set(
      rows.flatMap(({ elsewhere, here }) => `${elsewhere} ${here}`.match(/\w+/g) ?? []).map(plain),
    );
    const { made, ...names } = fixture<Record<string, string[]>>('names');
    assert.match(String(made), /^keras 3/);
    for (const [section, wanted] of Object.entries(names)) {
      assert.deepEqual(
        wanted.filter((name) => !listed.has(plain(name))),
        [],
        section,
      );
    }
  });
});
