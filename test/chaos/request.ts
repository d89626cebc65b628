import { ask, type HttpTold, wasRefused } from '../support/http.ts';

export interface ChaosRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
}

/** What comes with every answer about a key, with that of a key that is not there too. */
interface Head {
  readonly tag?: string | undefined;
  readonly context?: string | undefined;
  readonly session?: string | undefined;
}

export interface Answered extends Head {
  readonly type: 'ok';
  readonly body: Record<string, unknown> | undefined;
}

/** `fail`: it took no effect, and never will. `info`: nobody knows. */
export interface Unanswered extends Head {
  readonly type: 'fail' | 'info';
  readonly error: string;
}

export type Told = Answered | Unanswered;

/** How long the server is given, and how much longer the client waits for it to say so. */
export const SERVER_MS = 2_000;
const CLIENT_MS = 3_000;

/**
 * Sends a request once, and tells what is known then. Conservative: only a connection that was refused, a 503 and a 4xx are
 * taken for the promise that nothing happened; silence, a broken connection and any other 5xx are not.
 */
export async function send({ method, url, headers = {}, body }: ChaosRequest): Promise<Told> {
  try {
    const told = await ask(url, {
      method,
      headers: { 'meridian-timeout': String(SERVER_MS), ...headers },
      body,
      timeoutMs: CLIENT_MS,
    });
    const header = (name: string) => told.headers.get(name) ?? undefined;
    const head = { tag: header('etag'), context: header('meridian-context'), session: header('meridian-session') };
    if (told.status >= 400) {
      const isFailure = told.status < 500 || told.status === 503;
      return { ...head, type: isFailure ? 'fail' : 'info', error: codeOf(told) };
    }
    return { ...head, type: 'ok', body: told.body };
  } catch (error) {
    return { type: wasRefused(error) ? 'fail' : 'info', error: wasRefused(error) ? 'REFUSED' : 'NO_ANSWER' };
  }
}

function codeOf({ status, body }: HttpTold): string {
  return typeof body?.code === 'string' ? body.code : String(status);
}
