// The live page: what it is sent, who is answered, how a fit is stopped on it, and that it costs next to nothing.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { live } from '../examples/live.ts';
import { Curve, smoothed } from '../src/callbacks/dashboard/curve.ts';
import type { LiveState } from '../src/callbacks/dashboard/page.ts';
import { LiveServer } from '../src/callbacks/dashboard/server.ts';
import { type Callback, type DashboardOptions, dashboard } from '../src/index.ts';
import { drawChart, roundTicks } from '../src/report/chart.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, weightsOf } from './support/models.ts';

const run = promisify(execFile);

/** An answer with its text. */
async function ask(url: string, options: { method?: string; headers?: Record<string, string> } = {}) {
  const asked = request(url, options).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  for await (const piece of answer) text += piece;
  return { status: answer.statusCode, headers: answer.headers, text };
}

/** The states that a page is sent, as they come, until it is let go. */
async function* statesOf(url: string): AsyncGenerator<LiveState> {
  const asked = get(new URL('events', url));
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  try {
    for await (const piece of answer) {
      text += piece;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        yield JSON.parse(text.slice('data: '.length, end)) as LiveState;
        text = text.slice(end + 2);
      }
    }
  } finally {
    asked.destroy();
  }
}

const tokenIn = (page: string) => /data-token="([^"]+)"/.exec(page)![1]!;

/** A page on any port, and a word when it is there. */
function opened(options: DashboardOptions = {}) {
  let tell: (url: string) => void = () => {};
  const url = new Promise<string>((resolve) => {
    tell = resolve;
  });
  return { page: dashboard({ port: 0, onOpen: tell, ...options }), url };
}

describeBackends(
  'dashboard',
  () => {
    it('shows how the fit goes, to its end', async () => {
      const { x, y } = clusters(64);
      const model = compiled({ name: 'a<b' });
      const { page, url } = opened();
      const states: LiveState[] = [];
      const looking = url.then(async (address) => {
        for await (const state of statesOf(address)) {
          states.push(state);
          if (state.status === 'finished') break;
        }
        return await ask(address);
      });
      // The fit begins its steps when a page looks on.
      const wait: Callback = {
        onTrainBegin: async () => {
          while (states.length === 0) await turn();
        },
      };
      await model.fit(x, y, {
        epochs: 3,
        batchSize: 8,
        verbose: 0,
        validationSplit: 0.25,
        callbacks: [page, wait],
      });
      const { text, headers } = await looking;
      assert.match(text, /^<!doctype html>.*<title>a&lt;b<\/title>/);
      assert.doesNotMatch(text, /src=|https?:|url\(|@import/, 'a page with everything in it');
      assert.match(
        headers['content-security-policy'] as string,
        /default-src 'none'.*frame-ancestors 'none'/,
      );
      assert.ok(states[0]!.training && states[0]!.status === 'training');
      const { training, done, facts, charts, epochs, status } = states.at(-1)!;
      assert.deepEqual([training, done, status], [false, 1, 'finished']);
      const known = Object.fromEntries(facts);
      assert.deepEqual([known.epoch, known.step, known['learning rate']], ['3/3', '6/6', '0.001']);
      for (const name of ['steps/s', 'time', 'tensors', 'process'])
        assert.match(known[name]!, /^[\d.,]+( \w+)?$/);
      assert.equal(charts.match(/<figure>/g)!.length, 3);
      assert.match(charts, /val_loss.*accuracy.*val_accuracy.*learning rate/);
      assert.equal(epochs.match(/<tr>/g)!.length, 4);
      // It goes on with the next fit, and its curves with it.
      const [before] = charts.match(/class="faint" d="[^"]*"/)!;
      await model.fit(x, y, { epochs: 4, initialEpoch: 3, batchSize: 8, verbose: 0, callbacks: [page] });
      for await (const state of statesOf(await url)) {
        const [after] = state.charts.match(/class="faint" d="[^"]*"/)!;
        assert.equal(after.split('L').length, before.split('L').length + 8);
        break;
      }
      await page.close();
      assert.equal(page.url, undefined);
      model.dispose();
    });

    it('stops the fit when it is asked to with its token', async () => {
      const { x, y } = clusters(64);
      const model = compiled();
      const { page, url } = opened();
      const asking = url.then(async (address) => {
        const stop = new URL('stop', address).href;
        const token = tokenIn((await ask(address)).text);
        assert.equal((await ask(stop, { method: 'POST' })).status, 403);
        const wrong = { 'x-nabla-token': token.replace(/.$/, '!') };
        assert.equal((await ask(stop, { method: 'POST', headers: wrong })).status, 403);
        assert.equal(page.stopped, false);
        assert.equal((await ask(stop, { method: 'POST', headers: { 'x-nabla-token': token } })).status, 204);
      });
      const history = await model.fit(x, y, { epochs: 1e6, verbose: 0, callbacks: [page] });
      await asking;
      assert.ok(page.stopped && history.epoch.length < 1e6);
      for await (const state of statesOf(await url)) {
        assert.deepEqual([state.status, state.training], ['stopped from this page', false]);
        break;
      }
      assert.ok(weightsOf(model).every(Number.isFinite));
      await page.close();
      model.dispose();
    });

    it('says that a fit failed, or was stopped by its signal', async () => {
      const { x, y } = clusters(8);
      const model = compiled();
      const { page, url } = opened();
      const last = async () => {
        for await (const state of statesOf(await url)) return state;
        return undefined;
      };
      const failing: Callback = {
        onEpochEnd() {
          throw new Error('no <disk>');
        },
        onTrainError() {
          throw new Error('lost');
        },
      };
      await assert.rejects(model.fit(x, y, { verbose: 0, callbacks: [failing, page] }), /^Error: no <disk>$/);
      assert.equal((await last())!.status, 'failed: no <disk>');
      const stopper = new AbortController();
      const abort: Callback = { onEpochEnd: () => stopper.abort() };
      await model.fit(x, y, { verbose: 0, epochs: 9, callbacks: [page, abort], signal: stopper.signal });
      assert.equal((await last())!.status, 'stopped by its signal');
      await page.close();
      model.dispose();
    });

    it('draws a few times a second, and not at all with nobody looking on', async () => {
      const { x, y } = clusters(64);
      const model = compiled();
      const { page, url } = opened();
      const options = { epochs: 200, batchSize: 4, verbose: 0, callbacks: [page] } as const;
      await model.fit(x, y, options);
      assert.equal(page.published, 0);
      const states = statesOf(await url);
      await states.next();
      const began = performance.now();
      const { steps } = await model.fit(x, y, options);
      assert.equal(steps, 3200);
      const most = Math.ceil((performance.now() - began) / 333) + 1;
      assert.ok(
        page.published >= 1 && page.published <= most,
        `${page.published} drawings, expected at most ${most}`,
      );
      await states.return(undefined);
      await page.close();
      model.dispose();
    });
  },
  twoBackends,
);

describeBackends(
  'the live page',
  () => {
    it('takes another port where the usual one is in use, and says so of one that was asked for', async () => {
      const { x, y } = clusters(8);
      const model = compiled();
      const other = createServer();
      await new Promise<void>((resolve) => {
        // Where it is in use already, that is as good.
        other.once('error', () => resolve());
        other.listen(8417, '127.0.0.1', resolve);
      });
      const usual = opened({ port: undefined });
      await model.fit(x, y, { verbose: 0, callbacks: [usual.page] });
      const { port } = new URL(await usual.url);
      assert.notEqual(port, '8417');
      const taken = dashboard({ port: Number(port) });
      const before = weightsOf(model);
      await assert.rejects(
        model.fit(x, y, { verbose: 0, callbacks: [taken] }),
        says('dashboard', `port ${port} is in use`, 'give another'),
      );
      assert.deepEqual(weightsOf(model), before);
      await usual.page.close();
      // Closed, the port is free again.
      await model.fit(x, y, { verbose: 0, callbacks: [dashboard({ port: Number(port), onOpen: () => {} })] });
      other.close();
      assert.throws(() => dashboard({ port: 65536 }), says('dashboard', 'bad port, got 65536'));
      assert.throws(() => dashboard({ port: bad('80') }), says('dashboard', "bad port, got '80'"));
      model.dispose();
    });

    it('is asked for by --dashboard in the examples', () => {
      assert.deepEqual(live(undefined), []);
      assert.deepEqual([live('').length, live('8080').length], [1, 1]);
      assert.throws(() => live('here'), says('dashboard', 'bad port, got NaN'));
    });

    it('keeps no process alive, not even with a page that looks on', async function () {
      this.timeout(120_000);
      const script = fileURLToPath(new URL('support/dashboard-process.ts', import.meta.url));
      const { stdout } = await run(process.execPath, ['--import=tsx', script], { timeout: 110_000 });
      assert.match(stdout, /^dashboard: http:\/\/127\.0\.0\.1:\d+\/\n200\ndone\n$/);
    });
  },
  oneBackend,
);

describe('the live server', () => {
  const source = { page: () => 'page', state: () => 'state', stop: () => assert.fail('stopped') };
  let server: LiveServer;
  let url: string;
  beforeEach(async () => {
    server = await LiveServer.open('test', [0], source);
    url = `http://127.0.0.1:${server.port}/`;
  });
  afterEach(() => server.close());

  it('answers this machine only', async () => {
    const statusFor = async (headers: Record<string, string>) => (await ask(url, { headers })).status;
    const own = `127.0.0.1:${server.port}`;
    // Another name that leads here, as after DNS rebinding.
    for (const host of [
      'evil.example',
      `evil.example:${server.port}`,
      '127.0.0.1.evil.example',
      'localhost.evil',
    ])
      assert.equal(await statusFor({ host }), 403, host);
    for (const host of [own, `localhost:${server.port}`, 'LOCALHOST:80', '[::1]:9'])
      assert.equal(await statusFor({ host }), 200, host);
    for (const origin of ['http://evil.example', 'null', `https://${own}`, 'http://127.0.0.1:1'])
      assert.equal(await statusFor({ origin }), 403, origin);
    assert.equal(await statusFor({ origin: `http://${own}` }), 200);
    const raw = connect(server.port, '127.0.0.1');
    raw.end('GET / HTTP/1.0\r\n\r\n');
    let answer = '';
    for await (const piece of raw) answer += piece;
    assert.match(answer, /^HTTP\/1\.1 403 /, 'no Host at all');
  });

  it('says what it does not have', async () => {
    assert.equal((await ask(`${url}other`)).status, 404);
    assert.equal((await ask(`${url}__proto__`)).status, 404);
    const { status, headers } = await ask(`${url}stop`);
    assert.deepEqual([status, headers.allow], [405, 'POST']);
    assert.equal((await ask(url, { method: 'DELETE' })).status, 405);
    assert.equal((await ask(`${url}?x=1`)).text, 'page');
    await assert.rejects(LiveServer.open('test', [], source), says('test', 'got no port'));
    await assert.rejects(
      LiveServer.open('test', [server.port], source),
      says('test', `port ${server.port} is in use`),
    );
  });

  it('lets a page that never reads go, and keeps little for it', async () => {
    let drawn = 0;
    const big = 'x'.repeat(1 << 20);
    const slow = await LiveServer.open('test', [0], {
      ...source,
      state: () => {
        drawn++;
        return big;
      },
    });
    const socket = connect(slow.port, '127.0.0.1').pause();
    socket.on('error', () => {});
    socket.write(`GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    while (slow.watchers === 0) await turn();
    const before = process.memoryUsage().arrayBuffers + process.memoryUsage().external;
    for (let i = 0; i < 1000 && slow.watchers > 0; i++) {
      slow.publish();
      await turn();
    }
    assert.equal(slow.watchers, 0);
    assert.ok(drawn < 300, `${drawn} states`);
    const kept = process.memoryUsage().arrayBuffers + process.memoryUsage().external - before;
    assert.ok(kept < 64 << 20, `${kept} bytes`);
    socket.destroy();
    await slow.close();
  });

  it('lets so many pages look on and no more, and lets them go when it closes', async () => {
    const pages = Array.from({ length: 16 }, () => statesOfText(`${url}events`));
    assert.deepEqual(
      await Promise.all(pages.map((page) => page.first)),
      new Array(16).fill('data: state\n\n'),
    );
    assert.equal(server.watchers, 16);
    assert.equal((await ask(`${url}events`)).status, 503);
    await server.close();
    await Promise.all(pages.map((page) => page.end));
    assert.equal(server.watchers, 0);
    // For afterEach.
    server = await LiveServer.open('test', [0], source);
  });
});

/** The first text of a stream, and its end. */
function statesOfText(address: string) {
  const asked = get(address);
  asked.on('error', () => {});
  const answer = once(asked, 'response') as Promise<[IncomingMessage]>;
  const first = answer.then(async ([stream]) => String((await once(stream, 'data'))[0]));
  const end = answer.then(
    ([stream]) => new Promise<void>((resolve) => stream.on('error', () => {}).once('close', resolve)),
  );
  return { first, end };
}

describe('curves that go on', () => {
  it('keep few points, each the mean of its steps', () => {
    const curve = new Curve();
    for (let step = 1; step <= 100_000; step++) {
      curve.push(step, step);
      assert.ok(curve.x.length < 600);
    }
    const width = curve.x[1]! - curve.x[0]!;
    assert.ok(curve.x.length >= 300);
    curve.x.forEach((x, i) => {
      assert.equal(x, (i + 1) * width);
      assert.equal(curve.y[i], x - (width - 1) / 2);
    });
  });

  it('are smoothed without a lag at their beginning', () => {
    assert.deepEqual(smoothed([]), []);
    for (const value of smoothed([3, 3, 3, 3])) assert.ok(Math.abs(value - 3) < 1e-12);
    const [first, second, third] = smoothed([1, Number.NaN, 2]);
    assert.equal(first, 1);
    assert.ok(Number.isNaN(second));
    assert.ok(Math.abs(third! - (0.8 * 1 + 2) / 1.8) < 1e-12);
  });
});

describe('charts', () => {
  it('have round ticks', () => {
    assert.deepEqual(roundTicks(0, 1, 4), [0, 0.25, 0.5, 0.75, 1]);
    assert.deepEqual(roundTicks(0.07, 2.1, 4), [0, 1, 2, 3]);
    assert.deepEqual(roundTicks(-3e-5, 2e-5, 4), [-4e-5, -2e-5, 0, 2e-5]);
    assert.deepEqual(roundTicks(1, 4, 5, true), [1, 2, 3, 4]);
    assert.deepEqual(roundTicks(1, 12, 5, true), [0, 5, 10, 15]);
    assert.deepEqual(roundTicks(1, 120, 5, true), [0, 25, 50, 75, 100, 125]);
    for (let i = 0; i < 200; i++) {
      const size = 10 ** ((i % 13) - 6) * (0.5 + Math.abs(Math.cos(i * 3)));
      const low = Math.sin(i * 7) * size * 10 ** (i % 3);
      const ticks = roundTicks(low, low + size, 4);
      assert.ok(ticks[0]! <= low + 1e-6 * size && ticks.at(-1)! >= low + size * (1 - 1e-6), `${low} ${size}`);
      assert.ok(ticks.length >= 3 && ticks.length <= 8, `${ticks}`);
    }
  });

  it('write the ticks of a scale in one way', () => {
    const texts = (y: number[], x = y.map((_, i) => i)) =>
      [
        ...drawChart('t', [{ name: 't', x, y, kind: 'a' }], { name: 'step' }).matchAll(
          /<text[^>]*>([^<]*)</g,
        ),
      ].map(([, text]) => text);
    assert.deepEqual(texts([0.00025, 0.001]).slice(0, 4), ['0.0002', '0.0004', '0.0006', '0.0008']);
    assert.deepEqual(texts([1e-7, 3e-7]).slice(0, 5), ['1e-7', '1.5e-7', '2e-7', '2.5e-7', '3e-7']);
    assert.deepEqual(texts([0, 30_000]).slice(0, 4), ['0', '10,000', '20,000', '30,000']);
    assert.deepEqual(texts([5]).slice(0, 3), ['2', '4', '6']);
  });

  it('leave a few points that lie far off outside', () => {
    const y = Array.from({ length: 400 }, (_, i) => (i < 5 ? 1000 : 1 - i / 400));
    const chart = drawChart('t', [{ name: 't', x: y.map((_, i) => i), y, kind: 'a' }], { name: 'step' });
    assert.match(chart, />1<\/text>/);
    assert.doesNotMatch(chart, />1,?000<\/text>/);
  });
});
