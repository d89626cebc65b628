import type { LightMyRequestResponse } from 'fastify';
import type { HttpLimits } from './limits.ts';
import { MemoryService } from './memory-service.testing.ts';
import { createHttpServer, type HttpServer } from './server.ts';
import type { WanChange, WanLab } from './site.ts';

export interface Logged {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Record<string, unknown>;
  readonly event: string;
}

export interface Opened {
  readonly http: HttpServer;
  /** Of the moment: `reset` puts a fresh one in its place. */
  readonly service: MemoryService;
  readonly logged: Logged[];
  readonly wanChanges: WanChange[];
  call(method: string, url: string, more?: Sent): Promise<LightMyRequestResponse>;
  /** An empty service, and nothing logged: a server is slow to make, so the tests of a file share one. */
  reset(): void;
  /** PUT of an envelope. */
  put(url: string, envelope: unknown, headers?: Record<string, string>): Promise<LightMyRequestResponse>;
}

export interface Sent {
  readonly headers?: Record<string, string>;
  readonly payload?: string | Buffer;
}

export interface Opening {
  readonly limits?: Partial<HttpLimits>;
  readonly withWan?: boolean;
}

/** A front end over a `MemoryService`, without a socket until it listens. */
export async function openHttp({ limits, withWan = false }: Opening = {}): Promise<Opened> {
  let current = new MemoryService();
  const logged: Logged[] = [];
  const wanChanges: WanChange[] = [];
  const write = (level: Logged['level']) => (fields: object, event: string) => {
    logged.push({ level, fields: fields as Record<string, unknown>, event });
  };
  const wan: WanLab = {
    status: () => ({ changes: wanChanges.length }),
    apply: (change) => {
      if (change.loss === 1) return 'A link that loses all is a split.';
      wanChanges.push(change);
      return undefined;
    },
  };
  const http = await createHttpServer({
    service: following(() => current),
    limits,
    wan: withWan ? wan : undefined,
    metrics: {
      contentType: 'text/plain; version=0.0.4',
      text: async () => 'meridian_up 1\n',
      json: async () => [{ name: 'meridian_up' }],
    },
    log: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    version: '1.2.3',
    regions: ['us-east', 'eu-central'],
  });
  const call: Opened['call'] = (method, url, { headers = {}, payload } = {}) =>
    http.app.inject({ method: method as 'GET', url, headers, ...(payload === undefined ? {} : { payload }) });
  const put: Opened['put'] = (url, envelope, headers = {}) =>
    call('PUT', url, {
      headers: { 'content-type': 'application/json', ...headers },
      payload: JSON.stringify(envelope),
    });
  const reset = (): void => {
    current = new MemoryService();
    logged.length = 0;
    wanChanges.length = 0;
  };
  return {
    http,
    get service() {
      return current;
    },
    logged,
    wanChanges,
    call,
    put,
    reset,
  };
}

/** A service that is, at each call, the one that `now` gives. */
function following(now: () => MemoryService): MemoryService {
  return new Proxy({} as MemoryService, {
    get: (_target, name) => {
      const member: unknown = Reflect.get(now(), name);
      return typeof member === 'function' ? (member.bind(now()) as unknown) : member;
    },
  });
}

export const JSON_HEADERS = { 'content-type': 'application/json' };
