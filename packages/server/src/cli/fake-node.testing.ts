import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Stored {
  readonly bytes: Buffer;
  readonly contentType: string;
}

interface Reply {
  readonly status: number;
  readonly body?: unknown;
  readonly raw?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * As much of the API as the command line and the client use, over one map in memory, on loopback. `intercept` answers
 * first where it returns something; `requests` tells what came in.
 */
export class FakeNode {
  readonly values = new Map<string, Stored>();
  readonly requests: { method: string; path: string; headers: IncomingMessage['headers']; body: string }[] = [];
  intercept: (method: string, url: URL, body: string) => Reply | undefined = () => undefined;
  name = 'us-east-1';
  region = 'us-east';
  regionList: readonly object[] | undefined;
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #writes = 0;

  async start(port = 0): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    return this.endpoint;
  }

  get endpoint(): string {
    return `http://${this.address}`;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const url = new URL(request.url ?? '/', 'http://node');
    const method = request.method ?? '';
    this.requests.push({ method, path: request.url ?? '', headers: request.headers, body: body.toString() });
    const reply = this.intercept(method, url, body.toString()) ?? this.#answer(method, url, body, request);
    const isProblem = reply.status >= 400;
    const text = reply.raw ?? (reply.body === undefined ? '' : JSON.stringify(reply.body));
    const type = isProblem ? 'application/problem+json' : 'application/json';
    response.writeHead(reply.status, {
      'content-type': type,
      'meridian-session': `token-${this.requests.length}`,
      'meridian-region': this.region,
      ...reply.headers,
    });
    response.end(text);
  }

  #answer(method: string, url: URL, body: Buffer, request: IncomingMessage): Reply {
    const path = url.pathname.replace(/\/$/, '');
    const [, namespace, key] = /^(?:\/namespaces\/([^/]+))?\/kv(?:\/(.*))?$/.exec(path) ?? [];
    if (/^(\/namespaces\/[^/]+)?\/kv/.test(path))
      return this.#keys(method, namespace ?? 'default', key, url, body, request);
    if (path === '/health/ready') return { status: 200, body: {} };
    if (path === '/health') return { status: 200, body: this.#health() };
    if (path === '/admin/regions') return { status: 200, body: { regions: this.regionList ?? [this.regionStatus()] } };
    if (path === '/admin/wan')
      return { status: 200, body: { regions: [], told: body.length > 0 ? JSON.parse(body.toString()) : null } };
    return problem(404, 'NO_SUCH_PATH', `There is nothing at ${path}.`);
  }

  #keys(
    method: string,
    namespace: string,
    encoded: string | undefined,
    url: URL,
    body: Buffer,
    request: IncomingMessage,
  ): Reply {
    const idOf = (key: string) => `${namespace}\0${key}`;
    const receipt = request.headers['meridian-receipt'] === '1' ? { 'meridian-receipt': JSON.stringify(RECEIPT) } : {};
    if (encoded === 'batch' && method === 'POST') return this.#batch(body, idOf);
    if (encoded === undefined) {
      if (method === 'POST') return this.#create(body, idOf);
      return { status: 200, raw: Buffer.from(this.#list(namespace, url)), headers: receipt };
    }
    const key = decodeURIComponent(encoded);
    const found = this.values.get(idOf(key));
    const headers = { ...receipt, etag: `"${TAG}"` };
    if (method !== 'GET' && ![undefined, '*', `"${TAG}"`].includes(request.headers['if-match']))
      return problem(412, 'CONDITION_FAILED', 'the key has another version than the one named');
    if (method === 'PUT') {
      this.#put(idOf(key), body, request.headers['content-type'] ?? '');
      return { status: found ? 200 : 201, body: { key }, headers };
    }
    if (!found) return { ...problem(404, 'KEY_NOT_FOUND', 'The key has no live value.'), headers: receipt };
    if (method === 'DELETE') {
      this.values.delete(idOf(key));
      return { status: 204, headers };
    }
    if (request.headers.accept === 'application/octet-stream') {
      return { status: 200, raw: found.bytes, headers: { ...headers, 'content-type': found.contentType } };
    }
    return { status: 200, raw: Buffer.from(envelopeText(key, found)), headers };
  }

  #create(body: Buffer, idOf: (key: string) => string): Reply {
    const { key, value, encoding, contentType } = JSON.parse(body.toString()) as Record<string, string>;
    const id = idOf(key ?? '');
    if (this.values.has(id)) return problem(409, 'KEY_EXISTS', 'The key has a live value already.');
    if (encoding === 'base64') this.#put(id, Buffer.from(value ?? '', 'base64'), contentType ?? '');
    else this.#put(id, body, 'application/json');
    return { status: 201, body: { key } };
  }

  #put(id: string, body: Buffer, contentType: string): void {
    this.#writes++;
    if (contentType !== 'application/json') {
      this.values.set(id, { bytes: body, contentType });
      return;
    }
    const text = /"value"\s*:\s*([\s\S]*?)(?:,"ttl":\d+)?\}$/.exec(body.toString())?.[1] ?? 'null';
    this.values.set(id, { bytes: Buffer.from(text), contentType: 'application/json' });
  }

  #batch(body: Buffer, idOf: (key: string) => string): Reply {
    const { operations } = JSON.parse(body.toString()) as {
      operations: { key: string; value: unknown; encoding?: string; contentType?: string }[];
    };
    const results = operations.map(({ key, value, encoding, contentType = 'application/octet-stream' }) => {
      if (key === '') return { status: 400, code: 'INVALID_KEY', detail: 'A key has at least one byte.' };
      this.#writes++;
      const stored =
        encoding === 'base64'
          ? { bytes: Buffer.from(String(value), 'base64'), contentType }
          : { bytes: Buffer.from(JSON.stringify(value)), contentType: 'application/json' };
      this.values.set(idOf(key), stored);
      return { status: 200, key };
    });
    return { status: 200, body: { results } };
  }

  #list(namespace: string, url: URL): string {
    const prefix = url.searchParams.get('prefix') ?? '';
    const limit = Number(url.searchParams.get('limit') ?? 100);
    const cursor = url.searchParams.get('cursor') ?? '';
    const start = `${namespace}\0`;
    const keys = [...this.values.keys()]
      .filter((id) => id.startsWith(start + prefix))
      .map((id) => id.slice(start.length))
      .sort();
    const rest = keys.filter((key) => key > cursor);
    const items = rest.slice(0, limit).map((key) => envelopeText(key, this.values.get(start + key) as Stored));
    const next = rest.length > limit ? `,"cursor":${JSON.stringify(rest[limit - 1])}` : '';
    return `{"items":[${items.join(',')}]${next}}`;
  }

  #health(): object {
    const store = {
      id: `${this.name}.x`,
      name: this.name,
      engine: 'fake',
      sequence: this.#writes,
      keys: this.values.size,
      bytesUsed: 0,
      bytesFree: 1e9,
      isFilled: true,
      isWritable: true,
    };
    return {
      status: 'ok',
      node: this.name,
      region: this.region,
      version: '0.1.0',
      uptimeSeconds: 3_725,
      store,
      peers: [],
    };
  }

  regionStatus(): object {
    const standing = { reachable: true, rttMs: 0, lagMs: 0, keys: this.values.size, bytes: 4_096 };
    const node = { name: this.name, http: this.address, store: this.name, ...standing };
    return { name: this.region, latitude: 38.91, longitude: -77.04, nodes: [node], ...standing };
  }
}

/** Of every value. */
const TAG = 'v3.1';
const RECEIPT = {
  region: 'us-east',
  node: 'us-east-1',
  store: 's',
  level: 'quorum',
  replicasAsked: 3,
  replicasAnswered: 2,
  rounds: 1,
  hops: [{ node: 'eu-central-1', region: 'eu-central', round: 1, atMs: 0, ms: 91 }],
  tookMs: 91,
  stalenessMs: null,
};

function envelopeText(key: string, { bytes, contentType }: Stored): string {
  const value =
    contentType === 'application/json'
      ? `"value":${bytes.toString()}`
      : `"value":${JSON.stringify(bytes.toString('base64'))},"encoding":"base64","contentType":${JSON.stringify(contentType)}`;
  return `{"key":${JSON.stringify(key)},${value},"context":"c","time":"2026-11-23T03:00:00.000Z","region":"us-east","conflict":false,"expiresAt":null}`;
}

function problem(status: number, code: string, detail: string): Reply {
  return { status, body: { type: `urn:meridian:error:${code}`, title: code, status, code, detail } };
}
