// The command line's drawing: progress in terminals and pipes, numbers in words, digits in half blocks.

import assert from 'node:assert/strict';
import {
  createProgress,
  displayWidth,
  formatBytes,
  formatCount,
  formatDuration,
  type ProgressOptions,
  renderDigit,
} from '../src/cli/terminal.ts';
import { NablaError } from '../src/errors.ts';

/** A stream that keeps what is written, and a clock that is set by hand. */
function setup(options: Partial<ProgressOptions> = {}, isTTY = true, columns = 100) {
  const writes: string[] = [];
  const clock = { time: 5000 };
  const stream: { isTTY: boolean; columns: number | undefined; write(text: string): void } = {
    isTTY,
    columns,
    write: (text) => void writes.push(text),
  };
  const progress = createProgress({
    stream,
    total: 400,
    label: 'epoch 1/5',
    env: {},
    now: () => clock.time,
    ...options,
  });
  return { progress, writes, clock, stream };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what is looked for
const plain = (text: string) => text.replace(/\x1b\[[0-9;]*[mK]/g, '').replace(/[\r\n]/g, '');

describe('createProgress in a terminal', () => {
  it('draws label, bar, steps, metrics, speed and time left on one line', () => {
    const { progress, writes, clock } = setup();
    clock.time += 2000;
    progress.update({ step: 100, metrics: { loss: 0.25, accuracy: 0.9 }, stepsPerSecond: 50 });
    assert.equal(writes.length, 1);
    assert.ok(writes[0]!.startsWith('\r') && writes[0]!.endsWith('\x1b[K'));
    assert.match(
      plain(writes[0]!),
      /^epoch 1\/5 {2}█+░+ {2}100\/400 {2}loss 0\.2500 {2}accuracy 0\.9000 {2}50 steps\/s {2}6\.00 s left$/,
    );
  });

  it('shows the memory in use, asked for when it is drawn only', () => {
    const { progress, writes, clock } = setup({}, true, 120);
    let asked = 0;
    const memory = () => 3 * 2 ** 20 * ++asked;
    for (let step = 1; step <= 100; step++) {
      clock.time += 20;
      progress.update({ step, metrics: {}, memory });
    }
    assert.equal(asked, writes.length);
    assert.match(plain(writes[0]!), /50 steps\/s {2}7\.98 s left {2}3\.0 MiB$/);
    progress.finish();
    assert.match(plain(writes.at(-1)!), /in 2\.00 s {2}63\.0 MiB$/);
    // The bar goes before it.
    const narrow = setup({}, true, 60);
    narrow.progress.update({ step: 1, metrics: {}, memory: () => 2 ** 20, stepsPerSecond: 50 });
    assert.match(plain(narrow.writes[0]!), /░ {2}1\/400 {2}50 steps\/s {2}7\.98 s left$/);
  });

  it('fills the bar in proportion', () => {
    for (const [step, part] of [
      [0, 0],
      [100, 0.25],
      [200, 0.5],
      [400, 1],
      [900, 1],
    ] as const) {
      const { progress, writes } = setup({}, true, 200);
      progress.update({ step, metrics: {} });
      const full = writes[0]!.split('█').length - 1;
      const empty = writes[0]!.split('░').length - 1;
      assert.equal(full + empty, 30);
      assert.ok(Math.abs(full - part * 30) <= 0.5, `${step}: ${full}`);
    }
  });

  it('measures the speed when it is not told', () => {
    const { progress, writes, clock } = setup();
    clock.time += 4000;
    progress.update({ step: 10, metrics: {} });
    assert.match(plain(writes[0]!), /2\.5 steps\/s {2}2 min 36 s left$/);
  });

  it('draws at most ten times a second, and the last state on finishing', () => {
    const { progress, writes, clock } = setup();
    for (let step = 1; step <= 400; step++) {
      clock.time += 5;
      progress.update({ step, metrics: { loss: step } });
    }
    assert.equal(writes.length, 20);
    progress.finish();
    assert.equal(writes.length, 21);
    assert.match(plain(writes.at(-1)!), /400\/400 {2}loss 400\.0000 {2}200 steps\/s {2}in 2\.00 s$/);
    assert.ok(writes.at(-1)!.endsWith('\n'));
  });

  it('says nothing after finishing', () => {
    const { progress, writes, clock } = setup();
    progress.finish({ step: 400, metrics: {} });
    clock.time += 1000;
    progress.update({ step: 400, metrics: {} });
    progress.finish();
    assert.equal(writes.length, 1);
  });

  it('never reaches the last column, whatever the width', () => {
    for (let columns = 1; columns <= 150; columns++) {
      const { progress, writes } = setup({ label: '学習 🚀 epoch' }, true, columns);
      progress.update({ step: 123, metrics: { loss: 0.1234, valLoss: 1e-9 }, stepsPerSecond: 1234 });
      const shown = plain(writes[0]!);
      assert.ok(displayWidth(shown) < columns, `${columns}: ${displayWidth(shown)}`);
      assert.equal(writes[0]!.split('\x1b[').length % 2, shown.includes('░') ? 1 : 0);
    }
  });

  it('follows a window that changes its width', () => {
    const { progress, writes, clock, stream } = setup({}, true, 120);
    progress.update({ step: 1, metrics: { loss: 1 }, stepsPerSecond: 1 });
    stream.columns = 30;
    clock.time += 200;
    progress.update({ step: 2, metrics: { loss: 1 }, stepsPerSecond: 1 });
    assert.ok(displayWidth(plain(writes[0]!)) > 60);
    assert.equal(displayWidth(plain(writes[1]!)), 29);
  });

  it('takes 80 columns when the width is not known', () => {
    const { progress, writes, stream } = setup();
    stream.columns = undefined;
    const metrics = { loss: 1, accuracy: 1, valLoss: 1, valAccuracy: 1, learningRate: 1, norm: 1, other: 1 };
    progress.update({ step: 1, metrics });
    assert.equal(displayWidth(plain(writes[0]!)), 79);
  });

  it('keeps line breaks and escapes of labels and metric names off the terminal', () => {
    const { progress, writes } = setup({ label: 'a\nb\x1b[2J' });
    progress.update({ step: 1, metrics: { 'x\r\ny': 1 } });
    assert.ok(!writes[0]!.includes('\n') && !writes[0]!.includes('\x1b[2J'));
    assert.equal(writes[0]!.lastIndexOf('\r'), 0);
  });

  it('has colours, but not with NO_COLOR', () => {
    const draw = (env: Record<string, string>) => {
      const { progress, writes } = setup({ env });
      progress.update({ step: 1, metrics: {} });
      return writes[0]!;
    };
    assert.ok(draw({}).includes('\x1b[32m'));
    assert.ok(draw({ NO_COLOR: '' }).includes('\x1b[32m'));
    const without = draw({ NO_COLOR: '1' });
    assert.ok(without.includes('░') && !without.replace('\x1b[K', '').includes('\x1b'));
  });

  it('shows steps only when the total is not known', () => {
    const { progress, writes, clock } = setup({ total: undefined });
    clock.time += 1000;
    progress.update({ step: 1234, metrics: {} });
    assert.equal(plain(writes[0]!), 'epoch 1/5  1,234  1,234 steps/s');
  });

  it('shows numbers that are not finite, tiny or huge', () => {
    const { progress, writes } = setup({}, true, 200);
    progress.update({ step: 0, metrics: { a: Number.NaN, b: 1e-7, c: 123456789, d: -0.5, e: Infinity } });
    assert.match(plain(writes[0]!), /a NaN {2}b 1\.000e-7 {2}c 1\.235e\+8 {2}d -0\.5000 {2}e Infinity$/);
  });
});

describe('createProgress elsewhere', () => {
  const cases: [string, boolean, Record<string, string>][] = [
    ['a pipe', false, {}],
    ['CI', true, { CI: 'true' }],
    ['a dumb terminal', true, { TERM: 'dumb' }],
  ];
  for (const [name, isTTY, env] of cases) {
    it(`writes one plain line at the end in ${name}`, () => {
      const { progress, writes, clock } = setup({ env }, isTTY);
      for (let step = 1; step <= 400; step++) {
        clock.time += 10;
        progress.update({ step, metrics: { loss: 0.5 } });
      }
      assert.deepEqual(writes, []);
      progress.finish({ step: 400, metrics: { loss: 0.125 } });
      assert.deepEqual(writes, ['epoch 1/5  400/400  loss 0.1250  100 steps/s  in 4.00 s\n']);
    });
  }

  it('takes CI=false for no CI', () => {
    const { progress, writes } = setup({ env: { CI: 'false' } });
    progress.update({ step: 1, metrics: {} });
    assert.equal(writes.length, 1);
  });
});

describe('numbers in words', () => {
  const table = (format: (value: number) => string, cases: [number, string][]) => {
    for (const [value, text] of cases) assert.equal(format(value), text, `${value}`);
  };

  it('formatDuration', () => {
    table(formatDuration, [
      [0, '0.00 s'],
      [0.254, '0.25 s'],
      [9.994, '9.99 s'],
      [9.996, '10.0 s'],
      [12.34, '12.3 s'],
      [59.94, '59.9 s'],
      [59.96, '1 min 00 s'],
      [125, '2 min 05 s'],
      [3599.6, '1 h 00 min'],
      [3 * 3600 + 125, '3 h 02 min'],
      [86_400 * 2 + 4 * 3600, '2 d 04 h'],
      [Number.NaN, '?'],
      [Infinity, '?'],
      [-1, '?'],
    ]);
  });

  it('formatBytes', () => {
    table(formatBytes, [
      [0, '0 B'],
      [512, '512 B'],
      [1023, '1,023 B'],
      [1024, '1.0 KiB'],
      [1536, '1.5 KiB'],
      [2 ** 20 - 1, '1.0 MiB'],
      [47_040_016, '44.9 MiB'],
      [2 ** 40, '1.0 TiB'],
      [2 ** 60, '1024.0 PiB'],
    ]);
  });

  it('formatCount', () => {
    table(formatCount, [
      [0, '0'],
      [999, '999'],
      [1000, '1,000'],
      [101_770, '101,770'],
      [1_234_567, '1,234,567'],
      [-1234, '-1,234'],
      [-123, '-123'],
      [1234.567, '1,234.57'],
      [2.5, '2.5'],
    ]);
  });
});

describe('displayWidth', () => {
  it('counts wide, narrow and combining characters', () => {
    assert.deepEqual(
      ['abc', '学習', '🚀', 'e\u0301', '█░', 'é', ''].map(displayWidth),
      [3, 4, 2, 1, 2, 1, 0],
    );
  });
});

describe('renderDigit', () => {
  it('puts two rows of pixels into a line', () => {
    assert.equal(renderDigit([255, 255, 0, 0, 255, 0, 255, 0], 4, 2), '█▀▄ ');
  });

  it('leaves the missing row of an odd height empty', () => {
    assert.equal(renderDigit([1, 0, 0, 1, 1, 1], 2, 3), '▀▄\n▀▀');
  });

  it('takes greys of any scale and leaves out the dark half', () => {
    const pixels = [0, 40, 60, 100];
    assert.equal(renderDigit(Uint8Array.from(pixels), 4, 1), '  ▀▀');
    assert.equal(
      renderDigit(
        Float32Array.from(pixels, (p) => p / 100),
        4,
        1,
      ),
      '  ▀▀',
    );
    assert.equal(renderDigit(new Uint8Array(4), 2, 2), '  ');
  });

  it('draws 14 lines of 28 for a digit', () => {
    const lines = renderDigit(new Uint8Array(784).fill(9), 28, 28).split('\n');
    assert.deepEqual(lines, new Array(14).fill('█'.repeat(28)));
  });

  it('refuses sizes that do not fit', () => {
    const refused = (act: () => unknown, text: string) =>
      assert.throws(act, (error: unknown) => error instanceof NablaError && error.message.includes(text));
    refused(() => renderDigit(new Uint8Array(5), 2, 2), '[renderDigit] got 5 pixels, expected 4 for 2x2');
    refused(() => renderDigit(new Uint8Array(0), 0, 0), 'got size 0x0');
    refused(() => renderDigit(new Uint8Array(1), 0.5, 2), 'got size 0.5x2');
  });
});
