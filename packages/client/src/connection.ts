import { foreign, MeridianUnreachableError } from './errors.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: string | Uint8Array;
  readonly timeoutMs?: number | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

/** How much longer than the server's own deadline the client waits: the way there and back. */
const TRAVEL_MS = 2_000;

/** Sends requests to one endpoint over the platform's `fetch`, which keeps connections open between them. */
export class HttpConnection {
  readonly endpoint: string;
  readonly #timeoutMs: number;
  readonly #fetch: typeof fetch;

  /** @throws TypeError where `endpoint` is no http or https URL. */
  constructor(endpoint: string, timeoutMs: number, fetchFunction: typeof fetch) {
    const url = new URL(endpoint);
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError(`${endpoint} is not an http URL`);
    this.endpoint = url.href.replace(/\/+$/, '');
    this.#timeoutMs = timeoutMs;
    this.#fetch = fetchFunction;
  }

  /**
   * The answer, whatever its status. A read whose kept-alive connection was closed under it is sent once more; nothing else
   * ever is.
   * @throws MeridianUnreachableError where no answer came; MeridianRequestError where a redirect did, which no node sends.
   */
  send(request: HttpRequest): Promise<HttpAnswer> {
    return this.#attempt(request).catch((error: unknown) => {
      const isWorthAnother = error instanceof MeridianUnreachableError && error.wasSent && !error.isTimeout;
      if (request.method === 'GET' && isWorthAnother) return this.#attempt(request);
      throw error;
    });
  }

  async #attempt(request: HttpRequest): Promise<HttpAnswer> {
    const timeoutMs = request.timeoutMs ?? this.#timeoutMs;
    const answer = await this.#exchange(request, timeoutMs);
    if (isRedirect(answer)) throw foreign(this.endpoint, answer.status, `it redirects to ${this.#targetOf(answer)}`);
    return answer;
  }

  async #exchange(request: HttpRequest, timeoutMs: number): Promise<HttpAnswer> {
    try {
      const response = await this.#fetch(this.#url(request), {
        method: request.method,
        headers: headersOf(request, timeoutMs),
        signal: AbortSignal.timeout(timeoutMs + TRAVEL_MS),
        redirect: 'manual',
        ...(request.body === undefined ? {} : { body: request.body as string | Uint8Array<ArrayBuffer> }),
      });
      return { status: response.status, headers: response.headers, bytes: await response.bytes() };
    } catch (error) {
      throw this.#unreachable(error, timeoutMs);
    }
  }

  #url(request: HttpRequest): string {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    return this.endpoint + request.path + (query.size > 0 ? `?${query.toString()}` : '');
  }

  /** Only who it is: the rest of such an address is often a secret of the way in. */
  #targetOf({ headers }: HttpAnswer): string {
    const location = headers.get('location');
    const target =
      location !== null && URL.canParse(location, this.endpoint) && new URL(location, this.endpoint).origin;
    return target && target !== new URL(this.endpoint).origin ? target : 'another of its pages';
  }

  #unreachable(error: unknown, timeoutMs: number): MeridianUnreachableError {
    if (error instanceof Error && error.name === 'TimeoutError') {
      const reason = `no answer within ${timeoutMs + TRAVEL_MS} ms`;
      return new MeridianUnreachableError(this.endpoint, reason, { isTimeout: true, wasSent: true, cause: error });
    }
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const code = (cause as { code?: unknown }).code;
    const reason = REASONS[String(code)] ?? (cause instanceof Error ? cause.message || String(code) : String(cause));
    const wasSent = !NEVER_SENT.has(String(code));
    return new MeridianUnreachableError(this.endpoint, reason, { isTimeout: false, wasSent, cause });
  }
}

/** Where the platform keeps redirects to itself, their status is 0. */
function isRedirect({ status }: HttpAnswer): boolean {
  return status === 0 || (status >= 300 && status < 400 && status !== 304);
}

const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no host of this name',
  ECONNRESET: 'the connection broke',
  UND_ERR_SOCKET: 'the connection broke',
};

function headersOf(request: HttpRequest, timeoutMs: number): Record<string, string> {
  const headers: Record<string, string> = { accept: 'application/json', 'meridian-timeout': String(timeoutMs) };
  for (const [name, value] of Object.entries(request.headers ?? {})) if (value !== undefined) headers[name] = value;
  return headers;
}
