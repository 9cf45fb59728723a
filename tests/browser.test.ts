// The published web bundle in a real browser: training with and without threads, models kept in the browser's storage over a reload, downloads.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { engine, useEngine } from '../src/engine.ts';
import * as nabla from '../src/index.ts';
import { type Browser, findBrowser, startBrowser } from './support/browser.ts';
import { predict, train } from './support/browser-program.mjs';

interface Trained {
  readonly losses: readonly number[];
  readonly predictions: readonly number[];
  readonly name: string;
  readonly threads: number;
  readonly isolated: boolean;
}

/** The same training in Node.js, on the same module. */
async function inNode(threads: number) {
  const former = engine();
  const mine = await nabla.setBackend('wasm', { threads });
  try {
    const { model, x, losses } = await train(nabla);
    return { losses, predictions: await predict(model, x), bytes: model.toBytes() };
  } finally {
    mine.close();
    useEngine(former);
  }
}

const program = findBrowser();
const title =
  program === undefined
    ? 'in a browser (no Chromium is installed, NABLA_CHROMIUM names none)'
    : 'in a browser';

(program === undefined ? describe.skip : describe)(title, function () {
  this.timeout(120_000);
  const places = ['opfs://folder/digits', 'indexeddb://digits'];
  let browser: Browser;
  before(async () => {
    browser = await startBrowser(program!);
  });
  after(() => browser?.close());

  const open = (kind: string) => browser.page.goto(`${browser.origin}/${kind}/index.html`);
  const library = (kind: string) => `${browser.origin}/${kind}/dist/web.js`;
  const simd = 'wasm/nabla-simd.wasm';
  const threaded = 'wasm/nabla-threads.wasm';

  it('trains to the bits of Node.js, without threads', async () => {
    await open('plain');
    const found = await browser.call<Trained>('trainHere', library('plain'), simd);
    const { losses, predictions } = await inNode(1);
    assert.deepEqual([found.name, found.threads, found.isolated], ['wasm', 1, false]);
    assert.ok(found.losses.at(-1)! < 0.7 * found.losses[0]!, `losses ${found.losses}`);
    assert.deepEqual(found.losses, losses);
    assert.deepEqual(found.predictions, predictions);
    assert.deepEqual(browser.complaints, []);
  });

  it('keeps models in its files and its database over a reload', async () => {
    await open('plain');
    const { predictions } = await browser.call<Trained>('trainHere', library('plain'), simd);
    await browser.call('save', places);
    // Once more: what is there is replaced.
    await browser.call('save', places);
    await browser.page.reload();
    const found = await browser.call('load', library('plain'), simd, places);
    assert.deepEqual(found, [predictions, predictions]);
    for (const place of places) {
      const text = await browser.call('load', library('plain'), simd, [`${place}-2`]).catch(String);
      assert.match(String(text), /nothing is saved under this name/);
    }
    assert.deepEqual(browser.complaints, []);
  });

  it('downloads a model that Node.js loads', async () => {
    await open('plain');
    const { predictions } = await browser.call<Trained>('trainHere', library('plain'), simd);
    const [download] = await Promise.all([
      browser.page.waitForEvent('download'),
      browser.call('download', 'digits.safetensors'),
    ]);
    assert.equal(download.suggestedFilename(), 'digits.safetensors');
    const bytes = new Uint8Array(await readFile((await download.path())!));
    const { bytes: expected } = await inNode(1);
    assert.deepEqual(bytes, expected);
    const former = engine();
    const mine = await nabla.setBackend('wasm', { threads: 1 });
    try {
      const { x } = await train(nabla);
      assert.deepEqual(await predict(await nabla.loadModel(bytes), x), predictions);
    } finally {
      mine.close();
      useEngine(former);
    }
  });

  it('trains on threads where the page is isolated, to the bits of Node.js', async () => {
    await open('isolated');
    const found = await browser.call<Trained>('trainHere', library('isolated'), threaded, 2);
    const { losses, predictions } = await inNode(2);
    assert.deepEqual([found.name, found.threads, found.isolated], ['wasm', 2, true]);
    assert.deepEqual(found.losses, losses);
    assert.deepEqual(found.predictions, predictions);
    assert.deepEqual(browser.complaints, []);
  });

  it('trains on one thread where the page may not share memory', async () => {
    await open('plain');
    const found = await browser.call<Trained>('trainHere', library('plain'), threaded, 2);
    assert.deepEqual([found.name, found.threads, found.isolated], ['wasm', 1, false]);
    assert.deepEqual(found.predictions, (await inNode(1)).predictions);
  });
});
