import { conditionHeaders, type WriteConditions } from './conditions.ts';
import { type HttpAnswer, HttpConnection, type HttpRequest } from './connection.ts';
import { foreign, MeridianRequestError, problemOf } from './errors.ts';
import { DEFAULT_NAMESPACE, keyPath, keysPath, namespacePath } from './paths.ts';
import type * as Api from './types.ts';

export interface ClientOptions {
  /** URL of any node, e.g. `http://127.0.0.1:8001`. */
  readonly endpoint: string;
  readonly namespace?: string;
  /** For requests that do not say. Where absent, the namespace decides: `eventual`, or, in one of mode strong, `strong`. */
  readonly consistency?: Api.Level;
  /** How long the server may work on a request; the client waits a little longer. */
  readonly timeoutMs?: number;
  /** `true` (the default) carries the session token from answer to request; a text starts from that token; `false` sends none. */
  readonly session?: boolean | string;
  /** Asks for a receipt with every answer about keys; a function is handed each, those of `undefined` too. */
  readonly receipt?: boolean | ((receipt: Api.Receipt) => void);
  /** Reads JSON answers; for those who need numbers as they were written. */
  readonly parse?: (text: string) => unknown;
  readonly fetch?: typeof fetch;
}

export interface RequestOptions {
  readonly consistency?: Api.Level;
  readonly timeoutMs?: number;
}

export interface WriteOptions extends RequestOptions, WriteConditions {
  readonly ttlSeconds?: number;
  /**
   * What the write has seen; the write then replaces exactly that: what it has not seen stays beside it, and in a namespace
   * of mode strong the write fails (CONDITION_FAILED) where there is such.
   */
  readonly context?: string;
}

const TIMEOUT_MS_DEFAULT = 10_000;

/**
 * A client of one Meridian node. Calls fail with `MeridianRequestError` (the server said no) or
 * `MeridianUnreachableError` (no answer came). Writes are never sent twice.
 */
export class MeridianClient {
  readonly endpoint: string;
  readonly #connection: HttpConnection;
  readonly #namespace: string;
  readonly #options: ClientOptions;
  readonly #parse: (text: string) => unknown;
  readonly #carriesSession: boolean;
  #session: string | undefined;

  constructor(options: ClientOptions) {
    this.#connection = new HttpConnection(
      options.endpoint,
      options.timeoutMs ?? TIMEOUT_MS_DEFAULT,
      options.fetch ?? fetch,
    );
    this.endpoint = this.#connection.endpoint;
    this.#namespace = options.namespace ?? DEFAULT_NAMESPACE;
    this.#options = options;
    this.#parse = options.parse ?? JSON.parse;
    this.#carriesSession = options.session !== false;
    this.#session = typeof options.session === 'string' ? options.session : undefined;
  }

  /** The token of what this client has seen and done: hand it to another client, and that one reads on from here. */
  get session(): string | undefined {
    return this.#session;
  }

  /** The value and its siblings; `undefined` where the key has no live value. */
  async get(key: string, options: RequestOptions = {}): Promise<Api.ReadEntry | undefined> {
    const answer = this.#ours(await this.#read(key, 'application/json', options));
    return answer && { ...(this.#json(answer) as Api.Entry), head: headOf(answer) };
  }

  /** The winner's own bytes, as they were written. */
  async getRaw(key: string, options: RequestOptions = {}): Promise<Api.RawValue | undefined> {
    const answer = this.#ours(await this.#read(key, 'application/octet-stream', options));
    const contentType = answer?.headers.get('content-type') ?? 'application/octet-stream';
    return answer && { bytes: answer.bytes, contentType, head: headOf(answer) };
  }

  /** Creates or replaces a JSON value. */
  async put(key: string, value: unknown, options: WriteOptions = {}): Promise<Api.Written> {
    return this.putText(key, JSON.stringify(value) ?? 'null', options);
  }

  /** Creates or replaces a JSON value given as its text, which is kept as it is. */
  async putText(key: string, json: string, options: WriteOptions = {}): Promise<Api.Written> {
    const body = envelope({ value: json, ttl: options.ttlSeconds });
    return this.#write('PUT', keyPath(this.#namespace, key), body, 'application/json', options);
  }

  /** Creates or replaces a value of bytes. */
  async putRaw(key: string, bytes: Uint8Array, contentType: string, options: WriteOptions = {}): Promise<Api.Written> {
    return this.#write('PUT', keyPath(this.#namespace, key), bytes, contentType, options, options.ttlSeconds);
  }

  /** @throws MeridianRequestError KEY_EXISTS where a live value is found at the chosen level. */
  async create(key: string, value: unknown, options: WriteOptions = {}): Promise<Api.Written> {
    return this.createText(key, JSON.stringify(value) ?? 'null', options);
  }

  /** Creates a JSON value given as its text, which is kept as it is. Fails as `create` does. */
  async createText(key: string, json: string, options: WriteOptions = {}): Promise<Api.Written> {
    return this.#create(key, { value: json }, options);
  }

  /** Creates a value of bytes. Fails as `create` does. */
  async createRaw(
    key: string,
    bytes: Uint8Array,
    contentType: string,
    options: WriteOptions = {},
  ): Promise<Api.Written> {
    const value = JSON.stringify(bytes.toBase64());
    return this.#create(key, { value, encoding: '"base64"', contentType: JSON.stringify(contentType) }, options);
  }

  /** Tells whether there was a live value to delete; it does not fail where there was none. */
  async delete(key: string, options: WriteOptions = {}): Promise<Api.Deleted> {
    const path = keyPath(this.#namespace, key);
    const headers = writeHeaders(options);
    const answer = await this.#answer({ method: 'DELETE', path, headers }, options);
    return { existed: this.#ours(found(answer)) !== undefined, head: headOf(answer) };
  }

  /** All keys of a range in the order of their UTF-8 bytes, page after page. */
  async *list(range: Api.ListRange = {}, options: RequestOptions = {}): AsyncGenerator<Api.ListedKey, void, void> {
    let cursor: string | undefined;
    do {
      const page = await this.listPage(range, cursor, options);
      yield* page.items;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  async listPage(range: Api.ListRange, cursor?: string, options: RequestOptions = {}): Promise<Api.ListPage> {
    const { pageSize, ...rest } = range;
    const query = { ...rest, limit: pageSize, cursor };
    const answer = await this.#send({ method: 'GET', path: keysPath(this.#namespace), query }, options);
    return this.#listing<Api.ListPage>(this.#json(answer), 'items');
  }

  /** Up to 1,000 operations, each on its own: one result for each, in their order. */
  async batch(
    operations: readonly Api.BatchOperation[],
    options: RequestOptions = {},
  ): Promise<readonly Api.BatchResult[]> {
    return this.batchTexts(
      operations.map((operation) => JSON.stringify(operation)),
      options,
    );
  }

  /** A batch of operations given as JSON texts, so that values travel as they were written. */
  async batchTexts(operations: readonly string[], options: RequestOptions = {}): Promise<readonly Api.BatchResult[]> {
    const body = `{"operations":[${operations.join(',')}]}`;
    const path = `${keysPath(this.#namespace)}batch`;
    const answer = await this.#send(
      { method: 'POST', path, body, headers: { 'content-type': 'application/json' } },
      options,
    );
    return this.#listing<{ readonly results: readonly Api.BatchResult[] }>(this.#json(answer), 'results').results;
  }

  async namespaces(): Promise<readonly Api.NamespaceInfo[]> {
    return this.#listing<{ readonly namespaces: readonly Api.NamespaceInfo[] }>(
      await this.#ask('GET', '/namespaces'),
      'namespaces',
    ).namespaces;
  }

  async namespace(name: string): Promise<Api.NamespaceInfo> {
    return this.#having<Api.NamespaceInfo>(await this.#ask('GET', namespacePath(name)), 'mode');
  }

  async putNamespace(name: string, settings: Api.NamespaceSettings): Promise<Api.NamespaceInfo> {
    return this.#having<Api.NamespaceInfo>(await this.#ask('PUT', namespacePath(name), settings), 'mode');
  }

  async dropNamespace(name: string): Promise<void> {
    await this.#ask('DELETE', namespacePath(name));
  }

  /** Values of a key that a last-writer-wins choice hid, latest first. */
  async ledger(key: string): Promise<readonly Api.LedgerItem[]> {
    const path = `${namespacePath(this.#namespace)}/ledger?key=${encodeURIComponent(key)}`;
    return this.#listing<{ readonly items: readonly Api.LedgerItem[] }>(await this.#ask('GET', path), 'items').items;
  }

  /** Brings a hidden value back as a new write. */
  async restore(key: string, id: string): Promise<void> {
    this.#having<{ readonly context: string }>(
      await this.#ask('POST', `${namespacePath(this.#namespace)}/ledger/restore`, { key, id }),
      'context',
    );
  }

  /** How the node is, also where it is not well and answers 503. */
  async health(): Promise<Api.Health> {
    const answer = await this.#connection.send({ method: 'GET', path: '/health' });
    const isHealth = answer.status < 400 || answer.status === 503;
    const health = this.#json(isHealth ? answer : fine(answer)) as Partial<Api.Health> | null;
    // Some other server's 503 is told as what it is.
    if (typeof health?.node !== 'string') fine(answer);
    return this.#having<Api.Health>(health, 'node');
  }

  async isReady(timeoutMs: number): Promise<boolean> {
    const answer = this.#connection.send({ method: 'GET', path: '/health/ready', timeoutMs });
    return answer.then(
      ({ status }) => status < 400,
      () => false,
    );
  }

  async regions(): Promise<readonly Api.RegionStatus[]> {
    return this.#listing<{ readonly regions: readonly Api.RegionStatus[] }>(
      await this.#ask('GET', '/admin/regions'),
      'regions',
    ).regions;
  }

  /** Where a key stands, and why. */
  async ring(key: string): Promise<Api.RingAnswer> {
    const query = new URLSearchParams({ key, namespace: this.#namespace });
    return this.#listing<Api.RingAnswer>(await this.#ask('GET', `/admin/ring?${query.toString()}`), 'preferenceList');
  }

  async metrics(): Promise<unknown> {
    return this.#ask('GET', '/admin/metrics');
  }

  /** The emulated links of this node, after `change` where one is given. Only on nodes that run with `--wan-lab`. */
  async wan(change?: Api.WanChange): Promise<Api.WanStatus> {
    const asked = change ? this.#ask('POST', '/admin/wan', change) : this.#ask('GET', '/admin/wan');
    return this.#listing<Api.WanStatus>(await asked, 'regions');
  }

  /** Merges versioned records, as replication would. Repeating it does no harm. */
  async replicate(records: readonly unknown[]): Promise<Api.ReplicateAnswer> {
    return this.#having<Api.ReplicateAnswer>(await this.#ask('POST', '/replicate', { records }), 'applied');
  }

  /** Compares with a region, or with all, and repairs differences both ways. */
  async sync(what: { region?: string; namespace?: string } = {}): Promise<Api.SyncAnswer> {
    return this.#having<Api.SyncAnswer>(await this.#ask('POST', '/replicate/sync', what), 'partitionsCompared');
  }

  async #read(key: string, accept: string, options: RequestOptions): Promise<HttpAnswer | undefined> {
    const path = keyPath(this.#namespace, key);
    return found(await this.#answer({ method: 'GET', path, headers: { accept } }, options));
  }

  async #create(key: string, fields: EnvelopeTexts, options: WriteOptions): Promise<Api.Written> {
    keyPath(this.#namespace, key);
    const body = envelope({ key: JSON.stringify(key), ...fields, ttl: options.ttlSeconds });
    return this.#write('POST', keysPath(this.#namespace), body, 'application/json', options);
  }

  async #write(
    method: 'PUT' | 'POST',
    path: string,
    body: string | Uint8Array,
    contentType: string,
    options: WriteOptions,
    ttl?: number,
  ): Promise<Api.Written> {
    const headers = { 'content-type': contentType, ...writeHeaders(options) };
    const answer = this.#ours(await this.#send({ method, path, body, headers, query: { ttl } }, options));
    return { isNew: answer.status === 201, head: headOf(answer) };
  }

  async #ask(method: HttpRequest['method'], path: string, body?: unknown): Promise<unknown> {
    const json =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const answer = fine(await this.#connection.send({ method, path, ...json }));
    return answer.bytes.length === 0 ? undefined : this.#json(answer);
  }

  async #send(request: HttpRequest, options: RequestOptions): Promise<HttpAnswer> {
    return fine(await this.#answer(request, options));
  }

  /** Whatever its status: a key that is not found is something that the session has seen, too. */
  async #answer(request: HttpRequest, options: RequestOptions): Promise<HttpAnswer> {
    const { receipt: wanted = false } = this.#options;
    const answer = await this.#connection.send({
      ...request,
      query: { ...request.query, consistency: options.consistency ?? this.#options.consistency },
      headers: {
        ...request.headers,
        'meridian-session': this.#session,
        'meridian-receipt': wanted === false ? undefined : '1',
      },
      timeoutMs: options.timeoutMs,
    });
    if (this.#carriesSession) this.#session = answer.headers.get('meridian-session') ?? this.#session;
    const receipt = receiptOf(answer);
    if (typeof wanted === 'function' && receipt) wanted(receipt);
    return answer;
  }

  /** Some server's page is no value, and its 200 acknowledges nothing: a node names its region in every answer about a key. */
  #ours<Answer extends HttpAnswer | undefined>(answer: Answer): Answer {
    if (!answer || answer.headers.has('meridian-region')) return answer;
    throw foreign(this.endpoint, answer.status);
  }

  /** Some server's JSON, told by a field that a node's answer of this kind always has. */
  #having<Answer extends object>(answer: unknown, field: keyof Answer & string): Answer {
    if (typeof answer === 'object' && answer !== null && Object.hasOwn(answer, field)) return answer as Answer;
    throw foreign(this.endpoint);
  }

  /** Likewise where the field is a list. */
  #listing<Answer extends object>(answer: unknown, field: keyof Answer & string): Answer {
    const listing = this.#having<Answer>(answer, field);
    if (Array.isArray(listing[field])) return listing;
    throw foreign(this.endpoint);
  }

  #json(answer: HttpAnswer): unknown {
    const text = new TextDecoder().decode(answer.bytes);
    try {
      return this.#parse(text);
    } catch {
      throw new MeridianRequestError(
        answer.status,
        'NOT_MERIDIAN',
        `${this.endpoint} answers with something that is not JSON`,
      );
    }
  }
}

interface EnvelopeTexts {
  readonly key?: string;
  readonly value: string;
  readonly encoding?: string;
  readonly contentType?: string;
  readonly ttl?: number | undefined;
}

/** An envelope of JSON texts, so that a value is sent as its writer wrote it. */
function envelope(fields: EnvelopeTexts): string {
  const members = Object.entries(fields).filter(([, text]) => text !== undefined);
  return `{${members.map(([name, text]) => `"${name}":${text}`).join(',')}}`;
}

function writeHeaders(options: WriteOptions): NonNullable<HttpRequest['headers']> {
  return { 'meridian-context': options.context, ...conditionHeaders(options) };
}

/** @throws MeridianRequestError for statuses of 400 and above */
function fine(answer: HttpAnswer): HttpAnswer {
  if (answer.status < 400) return answer;
  throw problemOf(answer);
}

/** Nothing where the key has no live value. @throws MeridianRequestError for all else of status 400 and above */
function found(answer: HttpAnswer): HttpAnswer | undefined {
  if (answer.status < 400) return answer;
  const problem = problemOf(answer);
  if (problem.code === 'KEY_NOT_FOUND') return undefined;
  throw problem;
}

function headOf(answer: HttpAnswer): Api.AnswerHead {
  const text = (name: string) => answer.headers.get(name) ?? undefined;
  const entries = {
    context: text('meridian-context'),
    etag: text('etag'),
    region: text('meridian-region'),
    receipt: receiptOf(answer),
  };
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));
}

function receiptOf({ headers }: HttpAnswer): Api.Receipt | undefined {
  const text = headers.get('meridian-receipt');
  return text === null ? undefined : (JSON.parse(text) as Api.Receipt);
}
