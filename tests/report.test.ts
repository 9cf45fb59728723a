// Pictures of training: the page that history.toHTML writes, curves as text, and `nabla train-log`.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { History, metrics, ones, tensor } from '../src/api.ts';
import { reportHtml } from '../src/report/html.ts';
import { readLog } from '../src/report/read.ts';
import { showNumber, textChart, textCurves } from '../src/report/text.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { oneBackend } from './support/fixtures.ts';
import { clusters, compiled } from './support/models.ts';

const run = promisify(execFile);

const data = {
  epoch: [0, 1, 2, 3],
  history: { loss: [4, Number.NaN, 2, 1], val_loss: [3, 3, 3, 2], accuracy: [0.5, 0.5, 0.5, 0.5] },
  learningRate: [0.1, 0.1, 0.01, 0.01],
  steps: 40,
  seconds: 1.25,
};

describe('curves as text', () => {
  it('draw a line from end to end', () => {
    const rising = textChart('a', { a: [0, 1] });
    const lines = rising.split('\n');
    assert.equal(lines.length, 9);
    assert.equal(lines[0], 'a: a 1');
    assert.ok(lines[1]!.startsWith('1 │') && lines[8]!.startsWith('0 │'));
    assert.equal(lines[8]![3], '⣀');
    assert.equal(lines[1]!.at(-1), '⠉');
    // The line is whole: every column has a dot.
    const cells = lines.slice(1).map((line) => [...line].slice(3));
    for (let i = 0; i < 60; i++)
      assert.ok(
        cells.some((row) => row[i] !== '⠀'),
        `column ${i}`,
      );
  });

  it('show what belongs together, and leave out what is no number', () => {
    const text = textCurves(data.history);
    assert.match(text, /^loss: loss 1, val_loss 2\n/);
    assert.match(text, /\naccuracy: accuracy 0\.5\n/);
    assert.equal(textChart('x', { x: [Number.NaN] }), 'x: x NaN');
    assert.equal(textChart('x', { x: [2] }).split('\n').length, 9);
  });

  it('have numbers of few signs', () => {
    assert.deepEqual([0, 0.123456, 1234567, 1e-9, -2, Number.NaN].map(showNumber), [
      '0',
      '0.1235',
      '1.23e+6',
      '1.00e-9',
      '-2',
      'NaN',
    ]);
  });
});

describeBackends(
  'history.toHTML',
  () => {
    it('is one page with everything in it', async () => {
      const { x, y } = clusters(60);
      const model = compiled();
      const history = await model.fit(x, y, { epochs: 3, validationSplit: 0.2, verbose: 0 });
      assert.equal(history.learningRate.length, 3);
      const html = history.toHTML({
        title: 'A <first> "try"',
        confusionMatrix: metrics.confusionMatrix(tensor([0, 1, 1]), tensor([0, 1, 0]), 2),
        classNames: ['cat', 'dog & co'],
        samples: { images: ones([2, 3, 3]), labels: [0, 1], predictions: [0, 0] },
      });
      assert.match(html, /^<!doctype html>/);
      assert.doesNotMatch(html, /<script|src="(?!data:)|href=|url\(|NaN/);
      assert.match(html, /<title>A &lt;first&gt; &quot;try&quot;<\/title>/);
      assert.equal(html.match(/<figure><figcaption>[^<]*<span/g)!.length, 3);
      assert.match(html, /epoch 3: val_loss /);
      assert.match(html, /<th>dog &amp; co<\/th><td[^>]*>1<\/td><td[^>]*>1<\/td>/);
      assert.equal(html.match(/src="data:image\/png;base64,iVBORw0KGgo/g)!.length, 2);
      assert.match(html, /class="bad">cat, not dog &amp; co</);
      assert.match(history.toText(), /^loss: loss /);
      model.dispose();
    });

    it('breaks lines where there is no number, and draws one epoch', () => {
      const html = reportHtml(data);
      assert.match(html, /4 epochs, 40 steps, 1\.3 s/);
      const path = /<path class="a" d="([^"]*)"/.exec(html)![1]!;
      assert.equal(path.match(/M/g)!.length, 2);
      assert.match(reportHtml({ epoch: [0], history: { loss: [1] } }), /1 epoch</);
      assert.match(reportHtml({ epoch: [0], history: { loss: [Number.NaN] } }), /no finite numbers/);
      assert.equal(new History().toText(), '');
    });

    it('says what does not fit', () => {
      const { history } = { history: new History() };
      const samples = { images: ones([2, 3, 3]), labels: [0, 1], predictions: [0] };
      assert.throws(
        () => history.toHTML({ confusionMatrix: ones([2, 3]) }),
        says('toHTML', 'bad confusionMatrix, got [2, 3]'),
      );
      assert.throws(
        () => history.toHTML({ confusionMatrix: bad([[1], 2]) }),
        says('toHTML', 'bad confusionMatrix'),
      );
      assert.throws(
        () => history.toHTML({ samples }),
        says('toHTML', 'got 2 images, 2 labels and 1 predictions'),
      );
      assert.throws(
        () => history.toHTML({ samples: { ...samples, images: ones([4]) } }),
        says('toHTML', 'bad samples.images, got [4]'),
      );
    });
  },
  oneBackend,
);

describe('nabla train-log', () => {
  it('reads what csvLogger writes, and histories as JSON', () => {
    assert.deepEqual(readLog('f', 'epoch,accuracy,loss\n0,0.5,NaN\n1,1,NA\n'), {
      epoch: [0, 1],
      history: { accuracy: [0.5, 1], loss: [Number.NaN, Number.NaN] },
    });
    assert.deepEqual(readLog('f', 'epoch;loss\r\n0;1e-3\r\n').history, { loss: [0.001] });
    assert.deepEqual(readLog('f', JSON.stringify(data)), data);
  });

  it('says what is no log', () => {
    assert.throws(() => readLog('f', 'name,age\n1,2'), says('f', "begins with 'name,age'", 'csvLogger'));
    assert.throws(() => readLog('f', ''), says('f', 'no log'));
    assert.throws(() => readLog('f', 'epoch,loss\n'), says('f', 'no epochs'));
    assert.throws(() => readLog('f', '{'), says('f', 'no JSON'));
    assert.throws(() => readLog('f', '{"epoch":[0],"history":{"loss":"x"}}'), says('f', 'no history'));
  });

  it('writes the page and shows the curves', async function () {
    this.timeout(120_000);
    const folder = mkdtempSync(join(tmpdir(), 'nabla-log-'));
    const cli = fileURLToPath(new URL('../src/cli/nabla.ts', import.meta.url));
    const nabla = (...words: string[]) => run(process.execPath, ['--import=tsx', cli, 'train-log', ...words]);
    try {
      const file = join(folder, 'log.csv');
      writeFileSync(file, 'epoch,loss\n0,2\n1,1\n');
      const { stdout } = await nabla(file);
      assert.match(stdout, /^loss: loss 1\n/);
      assert.match(readFileSync(`${file}.html`, 'utf8'), /<h1>log\.csv<\/h1>/);
      await assert.rejects(nabla(join(folder, 'missing')), { code: 1, stderr: /train-log\] ENOENT/ });
      await assert.rejects(nabla(), { code: 2, stderr: /no file, expected one that csvLogger wrote/ });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
