// loadMnist from the network: mirrors that work, fail, stall, lie or never end; retries, time-outs and cancelling.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { MnistOptions } from '../src/data/mnist.ts';
import {
  assertSmallSet,
  contents,
  fails,
  good,
  load,
  mirror,
  names,
  packed,
  state,
  useMnistFixture,
} from './mnist-fixture.ts';

describe('loadMnist', function () {
  this.timeout(60_000);
  useMnistFixture();

  describe('from mirrors', () => {
    it('downloads once, keeps the files in the cache, and reads them from there', async () => {
      const { url, requests } = await good();
      const first = await load({ mirrors: [url] });
      assertSmallSet(first.arrays);
      assert.equal(first.arrays.origin, url);
      assert.deepEqual(
        requests,
        names.map((name) => `${name}.gz`),
      );
      const cache = join(state.folder, 'cache', 'mnist');
      assert.deepEqual((await readdir(cache)).toSorted(), names.map((name) => `${name}.gz`).toSorted());
      const second = await load({ download: false });
      assertSmallSet(second.arrays);
      assert.equal(second.arrays.origin, cache);
    });

    it('tells what it does', async () => {
      const { url } = await good();
      const { said } = await load({ mirrors: [url] });
      assert.match(said, /mnist: downloading http:\/\/127\.0\.0\.1:\d+\/mnist\/train-images-idx3-ubyte\.gz/);
      assert.match(said, /mnist: kept .*t10k-labels-idx1-ubyte\.gz/);
    });

    it('tells how far a long download is', async () => {
      const { url } = await mirror((name, response) => {
        const bytes = packed(name);
        response.setHeader('content-length', bytes.length);
        response.write(bytes.subarray(0, 10));
        setTimeout(() => response.end(bytes.subarray(10)), name.startsWith('train-images') ? 700 : 0);
      });
      const { said } = await load({ mirrors: [url] });
      assert.match(said, /mnist: \d+\.\d of \d+\.\d MB of http/);
    });

    it('takes mirrors with and without a slash at the end, and unpacked answers', async () => {
      const { url } = await mirror((name, response) => response.end(contents.get(name.slice(0, -3))));
      const { arrays } = await load({ mirrors: [url.slice(0, -1)] });
      assertSmallSet(arrays);
      assert.deepEqual((await readdir(join(state.folder, 'cache', 'mnist'))).toSorted(), names.toSorted());
    });

    it('takes answers that fetch unpacks on the way (content-encoding)', async () => {
      const { url } = await mirror((name, response) => {
        response.setHeader('content-encoding', 'gzip');
        response.end(packed(name));
      });
      assertSmallSet((await load({ mirrors: [url] })).arrays);
      assertSmallSet((await load({ download: false })).arrays);
    });

    it('turns to the next mirror', async () => {
      const bad = await mirror((_, response) => response.writeHead(404).end());
      const { url } = await good();
      const { arrays, said } = await load({ mirrors: [bad.url, url] });
      assertSmallSet(arrays);
      assert.equal(arrays.origin, url);
      assert.match(said, /failed: HTTP status 404/);
    });

    it('tries again what may pass, with growing pauses, and not what will not', async () => {
      const busy = await mirror((name, response, attempt) => {
        if (attempt <= 2) response.writeHead(503).end();
        else response.end(packed(name));
      });
      const gone = await mirror((_, response) => response.writeHead(404).end());
      const { arrays } = await load({ mirrors: [gone.url, busy.url], retries: 2, retryDelayMs: 60 });
      assertSmallSet(arrays);
      assert.equal(gone.requests.filter((name) => name.startsWith('train-images')).length, 1);
      assert.equal(busy.requests.length, 2 + 4);
      const [first, second, third] = busy.times as [number, number, number];
      assert.ok(second - first > 55, `${second - first} ms`);
      assert.ok(third - second > 115, `${third - second} ms`);
    });

    it('gives up after the retries', async () => {
      const busy = await mirror((_, response) => response.writeHead(503).end());
      await fails(load({ mirrors: [busy.url], retries: 2 }), 'HTTP status 503', `${names[0]}.gz`);
      assert.equal(busy.requests.length, 3);
    });

    const broken: [string, (name: string, response: ServerResponse) => void, RegExp][] = [
      [
        'a connection cut in mid-file',
        (name, response) => {
          response.setHeader('content-length', packed(name).length);
          response.write(packed(name).subarray(0, 30), () => response.destroy());
        },
        /other side closed|terminated|aborted|socket/,
      ],
      [
        'half a gzip file',
        (name, response) => response.end(packed(name).subarray(0, 60)),
        /unexpected end of file/,
      ],
      [
        'a file of the right length and the wrong content',
        (name, response) => {
          const bytes = Buffer.from(contents.get(name.slice(0, -3))!);
          bytes[bytes.length - 1]! ^= 1;
          response.end(gzipSync(bytes));
        },
        /wrong SHA-256, got [0-9a-f]{64}, expected [0-9a-f]{64}/,
      ],
      ['a page of HTML', (_, response) => response.end('<html>log in</html>'), /got 19 bytes when unpacked/],
      [
        'a gzip bomb',
        (_, response) => response.end(gzipSync(Buffer.alloc(2_000_000))),
        /larger than \d+ bytes/,
      ],
      [
        'a length that is too large',
        (_, response) => {
          response.writeHead(200, { 'content-length': 10 ** 12 });
          response.write('x');
        },
        /too large, got 1000000000000 bytes/,
      ],
      [
        'an answer without an end',
        (_, response) => {
          const more = () => {
            while (!response.destroyed && response.write(Buffer.alloc(10_000)));
          };
          response.on('drain', more);
          more();
        },
        /too large, got \d{5,6} bytes/,
      ],
    ];
    for (const [what, answer, text] of broken) {
      it(`refuses ${what}, and keeps none of it`, async () => {
        const bad = await mirror(answer);
        await assert.rejects(load({ mirrors: [bad.url] }), text);
        assert.deepEqual(await readdir(join(state.folder, 'cache', 'mnist')).catch(() => []), []);
        const { url } = await good();
        assertSmallSet((await load({ mirrors: [bad.url, url] })).arrays);
      });
    }

    it('does not wait for ever, neither for the answer nor for more of it', async () => {
      const silent = await mirror(() => {});
      const stuck = await mirror((name, response) => response.write(packed(name).subarray(0, 10)));
      const start = performance.now();
      for (const { url } of [silent, stuck]) {
        await fails(load({ mirrors: [url], timeoutMs: 150 }), 'no data for 0.15 s');
      }
      const took = performance.now() - start;
      assert.ok(took > 290 && took < 3000, `${took} ms`);
    });

    it('is patient with a slow mirror that keeps sending', async () => {
      const { url } = await mirror((name, response) => {
        const bytes = packed(name);
        const piece = Math.ceil(bytes.length / 6);
        let sent = 0;
        const timer = setInterval(() => {
          response.write(bytes.subarray(sent, sent + piece));
          sent += piece;
          if (sent < bytes.length) return;
          clearInterval(timer);
          response.end();
        }, 60);
      });
      assertSmallSet((await load({ mirrors: [url], timeoutMs: 300 })).arrays);
    });

    it('stops when it is told to, and does not fall back', async () => {
      const silent = await mirror(() => controller.abort(new Error('enough')));
      const controller = new AbortController();
      const { signal } = controller;
      const options: MnistOptions = {
        mirrors: [silent.url],
        signal,
        fallback: 'generated',
        timeoutMs: 30_000,
      };
      const start = performance.now();
      await assert.rejects(load(options), /^Error: enough$/);
      await assert.rejects(load(options), /^Error: enough$/);
      assert.equal(silent.requests.length, 1);
      assert.ok(performance.now() - start < 10_000);
    });

    it('stops while it waits to try again', async () => {
      const busy = await mirror((_, response) => response.writeHead(503).end());
      const start = performance.now();
      const signal = AbortSignal.timeout(100);
      await assert.rejects(
        load({ mirrors: [busy.url], retries: 5, retryDelayMs: 60_000, signal }),
        /timeout/,
      );
      assert.ok(performance.now() - start < 5000);
    });
  });
});
