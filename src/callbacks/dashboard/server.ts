// A small server for one page on this machine: the page, a stream of its states, and a way to ask for an end.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { NablaError } from '../../errors.ts';
import { nodeCrypto, nodeHttp } from '../../platform/builtins.ts';

/** What a server shows. */
export interface LiveSource {
  /** The page; `run` names this server, `token` is what asking for an end takes, `nonce` what its policy lets through. */
  page(run: string, token: string, nonce: string): string;
  /** What it shows now, as JSON. */
  state(run: string): string;
  /** The end was asked for. */
  stop(): void;
}

const host = '127.0.0.1';
// Names of this machine: a page of another name whose address was turned to it is refused (DNS rebinding).
const ownNames = new Set([host, 'localhost', '[::1]']);
const mostClients = 16;
// What is answered, and how it is asked for.
const methods = new Map([
  ['/', 'GET'],
  ['/events', 'GET'],
  ['/stop', 'POST'],
]);
// A client that has taken nothing for so many states is let go.
const mostMissed = 100;

interface Client {
  readonly response: ServerResponse;
  missed: number;
}

/** The server. It keeps no process alive. */
export class LiveServer {
  readonly port: number;
  private readonly server: Server;
  private readonly source: LiveSource;
  private readonly clients = new Set<Client>();
  private readonly run = nodeCrypto().randomBytes(6).toString('hex');
  private readonly token = nodeCrypto().randomBytes(24).toString('base64url');

  private constructor(server: Server, source: LiveSource) {
    this.server = server;
    this.source = source;
    this.port = (server.address() as { port: number }).port;
    server.on('request', (request, response) => this.answer(request, response));
  }

  /** Opens the first port that is free of these; 0 is any. */
  static async open(where: string, ports: readonly number[], source: LiveSource): Promise<LiveServer> {
    for (const [i, port] of ports.entries()) {
      try {
        return new LiveServer(await listening(port), source);
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        if (code === 'EADDRINUSE' && i < ports.length - 1) continue;
        const what =
          code === 'EADDRINUSE'
            ? `port ${port} is in use, expected a free one; give another, or 0 for any`
            : `port ${port} cannot be opened: ${message}; give another, or 0 for any`;
        throw new NablaError(where, what, { cause: error });
      }
    }
    throw new NablaError(where, 'got no port, expected one at least');
  }

  /** Pages that look on. */
  get watchers(): number {
    return this.clients.size;
  }

  /** Sends the state to the clients that have taken the last one. */
  publish(): void {
    if (this.clients.size === 0) return;
    const event = this.event();
    for (const client of this.clients) {
      if (client.response.writableLength === 0) {
        client.missed = 0;
        client.response.write(event);
      } else if (++client.missed >= mostMissed) {
        client.response.destroy();
      }
    }
  }

  /** Lets the clients go and frees the port. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }

  private event(): string {
    return `data: ${this.source.state(this.run)}\n\n`;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    // What is sent along is not wanted.
    request.resume();
    response.on('error', () => {});
    const refuse = (status: number, text: string, headers: Record<string, string> = {}) => {
      response.writeHead(status, { ...plainHeaders, ...headers, connection: 'close' }).end(`${text}\n`);
    };
    const path = request.url?.split('?')[0] ?? '';
    const method = methods.get(path);
    if (!isFromHere(request)) refuse(403, 'only pages of this server are answered');
    else if (method === undefined) refuse(404, 'there is no such page');
    else if (request.method !== method) refuse(405, `expected ${method}`, { allow: method });
    else if (path === '/') this.sendPage(response);
    else if (path === '/events') {
      if (this.clients.size < mostClients) this.addClient(response);
      else refuse(503, 'too many pages look on');
    } else if (this.knows(request.headers['x-nabla-token'])) {
      this.source.stop();
      response.writeHead(204, plainHeaders).end();
    } else refuse(403, 'the token is not right');
  }

  private sendPage(response: ServerResponse): void {
    const nonce = nodeCrypto().randomBytes(12).toString('base64url');
    const allowed = `'nonce-${nonce}'`;
    const policy = `default-src 'none'; script-src ${allowed}; style-src ${allowed}; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
    const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy };
    response
      .writeHead(200, { ...plainHeaders, ...headers })
      .end(this.source.page(this.run, this.token, nonce));
  }

  private addClient(response: ServerResponse): void {
    const client: Client = { response, missed: 0 };
    response.on('close', () => this.clients.delete(client));
    response.writeHead(200, { ...plainHeaders, 'content-type': 'text/event-stream' });
    this.clients.add(client);
    response.write(this.event());
  }

  private knows(token: string | string[] | undefined): boolean {
    const [given, expected] = [Buffer.from(String(token)), Buffer.from(this.token)];
    return given.length === expected.length && nodeCrypto().timingSafeEqual(given, expected);
  }
}

const plainHeaders = {
  'content-type': 'text/plain; charset=utf-8',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

/** Was it asked by its own page, or by a program of this machine? Ports may differ: they may be forwarded. */
function isFromHere({ headers }: IncomingMessage): boolean {
  const name = headers.host?.replace(/:\d+$/, '');
  if (name === undefined || !ownNames.has(name.toLowerCase())) return false;
  return headers.origin === undefined || headers.origin === `http://${headers.host}`;
}

function listening(port: number): Promise<Server> {
  const server = nodeHttp().createServer();
  server.unref();
  server.on('connection', (socket) => socket.unref());
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}
