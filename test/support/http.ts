export interface HttpAsk {
  readonly method?: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly timeoutMs?: number;
}

export interface HttpTold {
  readonly status: number;
  readonly headers: Headers;
  /** `undefined` where the answer has no body. */
  readonly body: Record<string, unknown> | undefined;
}

/** One request, sent once; a body goes as JSON. Fails only where no whole answer comes. */
export async function ask(
  url: string,
  { method = 'GET', headers = {}, body, timeoutMs = 10_000 }: HttpAsk = {},
): Promise<HttpTold> {
  const sent = Object.entries({ ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) });
  const response = await fetch(url, {
    method,
    headers: sent.filter((header): header is [string, string] => header[1] !== undefined),
    signal: AbortSignal.timeout(timeoutMs),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>),
  };
}

/** Whether a failed fetch surely never reached anybody. */
export function wasRefused(error: unknown): boolean {
  const cause = error instanceof Error ? (error.cause as { code?: string } | undefined) : undefined;
  return cause?.code === 'ECONNREFUSED';
}

/** The regions that a problem names as missing, in the order of their names. */
export function missingRegions({ body }: HttpTold): readonly string[] {
  return (body?.missingRegions as readonly string[] | undefined)?.toSorted() ?? [];
}
