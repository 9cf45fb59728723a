// A headless Chromium and a small server on the loopback interface for it, for the tests of the package in a page.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';

const root = fileURLToPath(new URL('../..', import.meta.url));

const programs = ['chromium', 'chromium-browser', 'google-chrome'].map((name) => join('/usr/bin', name));

/** The browser's program: that of `NABLA_CHROMIUM`, or one that is installed. */
export function findBrowser(): string | undefined {
  const { NABLA_CHROMIUM: named } = process.env;
  return (named === undefined ? programs : [named]).find((path) => existsSync(path));
}

const types: Record<string, string> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.html': 'text/html',
};

/** Headers that let a page share memory with its workers. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** The parts of the repository that a page may ask for. */
const served = /^\/(dist|tests\/support)\/[\w./-]+$/;

/** Files under `/plain/` and, with headers for shared memory, under `/isolated/`; `index.html` there is an empty page. */
async function serve() {
  const server = createServer(async (request, response) => {
    const [, kind, path = ''] = /^\/(plain|isolated)(\/[^?#]*)$/.exec(request.url ?? '') ?? [];
    const headers = kind === 'isolated' ? isolation : {};
    const type = types[extname(path)];
    const send = (code: number, body: string | Uint8Array = '') =>
      response.writeHead(code, { ...headers, 'Content-Type': type ?? 'text/plain' }).end(body);
    if (path === '/index.html')
      return send(200, '<!doctype html><link rel="icon" href="data:,"><title>nabla</title>');
    if (type === undefined || !served.test(path) || normalize(path) !== path) return send(404);
    try {
      return send(200, await readFile(join(root, path)));
    } catch {
      return send(404);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { origin: `http://127.0.0.1:${port}`, close };
}

/** A page of a browser that was started for it, with a profile of its own. */
export interface Browser {
  readonly page: Page;
  readonly origin: string;
  /** What the page wrote to its console as errors, and what nobody caught. */
  readonly complaints: readonly string[];
  /** Calls an export of tests/support/browser-program.mjs in the page. */
  call<T>(name: string, ...args: readonly unknown[]): Promise<T>;
  close(): Promise<void>;
}

/** Starts the browser and the server. */
export async function startBrowser(program: string): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  const server = await serve();
  const profile = mkdtempSync(join(tmpdir(), 'nabla-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: program,
    headless: true,
    acceptDownloads: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  const page = context.pages()[0] ?? (await context.newPage());
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  return {
    page,
    origin: server.origin,
    complaints,
    // As text: a compiled function would refer to what is not in the page.
    call: (name, ...args) =>
      page.evaluate(
        `import(new URL('tests/support/browser-program.mjs', location.href)).then((program) => program.${name}(...${JSON.stringify(args)}))`,
      ),
    async close() {
      await context.close();
      await server.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
