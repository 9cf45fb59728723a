// docs/FEATURES.md against the exports: what it has is there, what it misses is not, and every tensor op is in it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import * as data from '../src/data/index-node.ts';
import * as nabla from '../src/index.ts';
import * as ops from '../src/ops/index.ts';

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

  it('lists every tensor op, once', () => {
    const listed = rows
      .filter(({ section, here }) => section === 'Tensor ops' && here !== 'missing')
      .flatMap(({ here }) => namesIn(here));
    assert.deepEqual(listed.toSorted(), Object.keys(ops).toSorted());
  });
});
