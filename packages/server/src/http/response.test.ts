import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HeaderLines } from './header-lines.ts';
import { Response } from './response.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** All that comes back on a connection, with the time of day struck out. */
async function said(answer: Answer, sent: string): Promise<string> {
  const listener: RequestListener = (request, response) => {
    request.resume().on('end', () => answer(request, response));
  };
  const server = createServer({ ServerResponse: Response as typeof ServerResponse, keepAliveTimeout: 7000 }, listener);
  // A response that is made before its turn has no socket yet.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (request.url === '/go-on') response.writeContinue();
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  closing.push(() => socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (part: string) => {
    text += part;
  });
  const ended = once(socket, 'end');
  socket.end(sent);
  await ended;
  return text.replace(/Date: [^\r]*/g, 'Date: then');
}

const headersOf = (body: string) =>
  new HeaderLines('Cache-Control: no-store\r\n').add('ETag', '"a:b"').add('Content-Length', String(body.length));

const whole =
  (status: number, body: string): Answer =>
  (_request, response) =>
    (response as Response).writeWhole(status, headersOf(body), body, new Date().toUTCString());
const parted =
  (status: number, body: string): Answer =>
  (_request, response) => {
    response.writeHead(status, headersOf(body).pairs());
    response.end(body, 'latin1');
  };

describe('a response whose head is one text', () => {
  const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  const sent = {
    'a request': get,
    'two requests that come together': get + get,
    'the last request': 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    HEAD: 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
    'HTTP/1.0': 'GET / HTTP/1.0\r\n\r\n',
    'HTTP/1.0 that asks for more': 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
    'a body': 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc',
    'a body in chunks': `PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n${get}`,
    'a body that waited to be asked for': `PUT /go-on HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n${get}`,
    'a body that was refused': 'PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n',
  };
  for (const [name, text] of Object.entries(sent)) {
    it(`says of ${name} what Node says`, async () => {
      for (const status of [200, 201, 204, 304, 404, 503]) {
        for (const body of ['{"a":"\xe9"}', '', 'x'.repeat(100_000)]) {
          const ours = await said(whole(status, body), text);
          expect(ours.startsWith(`HTTP/1.1 ${text.includes('/go-on') ? 100 : status} `)).toBe(true);
          expect(ours).toBe(await said(parted(status, body), text));
        }
      }
    });
  }

  it('tells whether its head has gone, and when it has gone whole', async () => {
    const finished: unknown[] = [];
    const answer: Answer = (request, response) => {
      expect(response.headersSent).toBe(false);
      response.on('finish', () => finished.push(response.statusCode));
      whole(201, 'abc')(request, response);
      expect([response.headersSent, response.writableEnded, response.statusCode]).toEqual([true, true, 201]);
    };
    await said(answer, get);
    expect(finished).toEqual([201]);
  });
});

describe('header lines', () => {
  it('take no value that could begin another header', () => {
    for (const value of ['a\r\nB: c', 'a\nb', 'a\rb', 'a\0b', 'a\x7fb', '\u0100']) {
      expect(() => new HeaderLines().add('A', value)).toThrow(RangeError);
    }
    expect(new HeaderLines().add('A', 'b\tc \xe9').add('D', 'e: f').append(new HeaderLines('G: \r\n')).pairs()).toEqual(
      ['A', 'b\tc \xe9', 'D', 'e: f', 'G', ''],
    );
  });
});
