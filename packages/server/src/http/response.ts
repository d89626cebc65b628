import { type IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http';
import type { HeaderLines } from './header-lines.ts';

/** What Node's responses keep of their head: names that have stood for as long as Node, though its documentation has none. */
interface Head {
  /** The status line and all headers; `null` before they are known. */
  _header: string | null;
  readonly _hasBody: boolean;
  readonly _expect_continue: boolean;
  readonly _keepAliveTimeout: number;
}

/** RFC 9110, 15.3.5 and 15.4.5. */
const BODILESS: ReadonlySet<number> = new Set([204, 304]);

const statusLines = new Map<number, string>();

/** The listening server's responses: ones that can take their head as one text. */
export class Response extends ServerResponse<IncomingMessage> {
  /**
   * Writes all of an answer at once, byte for byte as Node's `writeHead` and `end` would. Where the connection is not simply
   * kept open, or the answer can have no body, those do it.
   *
   * @param body binary text; `headers` tell its length
   * @param date the time in the form of the header `Date`
   */
  writeWhole(status: number, headers: HeaderLines, body: string, date: string): void {
    if (!this.shouldKeepAlive || this.#head._expect_continue || !this.#head._hasBody || BODILESS.has(status)) {
      this.writeHead(status, headers.pairs());
      this.end(body, 'latin1');
      return;
    }
    const seconds = Math.floor(this.#head._keepAliveTimeout / 1000);
    this.statusCode = status;
    // The body goes with the head: a part of its own, even the only one, would go through the socket's buffer.
    this.#head._header = `${statusLine(status)}${headers.text}Date: ${date}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${seconds}\r\n\r\n${body}`;
    this.end();
  }

  get #head(): Head {
    return this as unknown as Head;
  }
}

function statusLine(status: number): string {
  let line = statusLines.get(status);
  if (line === undefined) {
    line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
    statusLines.set(status, line);
  }
  return line;
}
