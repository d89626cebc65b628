import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { PIPELINED_MAX } from './limits.ts';

const lines = new WeakMap<Socket, Line>();

/**
 * For a request that came before an earlier one of its connection was answered: begins it when that has been done, at once
 * where both only read (RFC 9112, 9.3.2). One whose connection closes before its turn never begins.
 */
export function beginInTurn(begin: RequestListener, request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  let line = lines.get(socket);
  if (!line) {
    line = new Line(socket, begin);
    lines.set(socket, line);
  }
  line.join(request, response);
}

/** Whether requests have come on a connection that are not the one being answered. */
export function hasLine(socket: Socket): boolean {
  return lines.get(socket)?.isEmpty === false;
}

/** The response that the connection is at. Those to later requests have no socket until it is their turn. */
export function responseUnderWay(socket: Socket): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;
}

interface Pipelined {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  hasBegun: boolean;
}

/**
 * The requests of one connection behind the one that is being answered, in order. Those that have begun are the foremost,
 * and they only read. Node stops reading a socket by the size of the answers that wait; requests that have not begun have
 * none, so they are counted here.
 */
class Line {
  readonly #socket: Socket;
  readonly #begin: RequestListener;
  readonly #behind: Pipelined[] = [];
  #isHeld = false;

  constructor(socket: Socket, begin: RequestListener) {
    this.#socket = socket;
    this.#begin = begin;
    // Node resumes the socket whenever somebody reads a body, or an answer has drained.
    socket.on('resume', () => {
      if (this.#isHeld) socket.pause();
    });
  }

  get isEmpty(): boolean {
    return this.#behind.length === 0;
  }

  join(request: IncomingMessage, response: ServerResponse): void {
    const last = this.#behind.at(-1);
    const isFree = last ? last.hasBegun : isRead(responseUnderWay(this.#socket)?.req);
    const pipelined = { request, response, hasBegun: isFree && isRead(request) };
    this.#behind.push(pipelined);
    if (this.#behind.length === PIPELINED_MAX) this.#hold();
    response.once('socket', () => {
      this.#advance();
    });
    if (pipelined.hasBegun) this.#begin(request, response);
  }

  /** The foremost has become the one to answer. */
  #advance(): void {
    const current = this.#behind.shift() as Pipelined;
    if (this.#isHeld && this.#behind.length < PIPELINED_MAX / 2) this.#release();
    if (current.hasBegun) return;
    this.#start(current);
    if (!isRead(current.request)) return;
    for (const next of this.#behind) {
      if (!isRead(next.request)) break;
      this.#start(next);
    }
  }

  /** Not within the event: Node is still handing the socket over, and would end a response twice that ends by then. */
  #start(pipelined: Pipelined): void {
    pipelined.hasBegun = true;
    process.nextTick(() => {
      if (!this.#socket.destroyed) this.#begin(pipelined.request, pipelined.response);
    });
  }

  #hold(): void {
    this.#isHeld = true;
    this.#socket.pause();
  }

  #release(): void {
    this.#isHeld = false;
    this.#socket.resume();
  }
}

function isRead(request: IncomingMessage | undefined): boolean {
  return request?.method === 'GET' || request?.method === 'HEAD';
}
