import { Agent, request } from 'node:http';

const TIMEOUT_MS = 10_000;

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Requests over connections that are kept. `node:http`, not `fetch`: it costs the two cores that are measured far less. */
export class HttpClient {
  readonly #agent: Agent;

  constructor(connectionsMax: number) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: connectionsMax });
  }

  /** @throws Error where there is no answer within 10 s */
  send(method: string, url: string, body?: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': body.length };
      const outgoing = request(url, { method, agent: this.#agent, headers, timeout: TIMEOUT_MS }, (response) => {
        let text = '';
        response.setEncoding('latin1');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.once('error', reject);
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      outgoing.once('timeout', () => outgoing.destroy(new Error(`${method} ${url}: no answer in ${TIMEOUT_MS} ms`)));
      outgoing.once('error', reject);
      outgoing.end(body, 'latin1');
    });
  }

  /** @throws Error where the answer is none of success */
  async json<Body>(method: string, url: string, body?: unknown): Promise<Body> {
    const { status, text } = await this.send(method, url, body === undefined ? undefined : JSON.stringify(body));
    if (status >= 300) throw new Error(`${method} ${url}: ${status} ${text}`);
    return JSON.parse(text) as Body;
  }

  close(): void {
    this.#agent.destroy();
  }
}
