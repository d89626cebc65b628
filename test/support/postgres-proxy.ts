import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * What becomes of the next commit:
 * - `request lost`: the connection breaks before the server hears of it
 * - `answer lost`: the server commits, and the connection breaks before the client hears of it
 * - `frozen`: the connection stays open, and nothing passes any more, either way
 * - an SQLSTATE: the server undoes the transaction, and the client is told this error
 */
export type CommitFault = 'request lost' | 'answer lost' | 'frozen' | { readonly sqlState: string };

/** A proxy in front of a PostgreSQL server that knows its messages, so that it can break a connection at a given one. */
export class PostgresProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #serverPort: number;
  readonly #links = new Set<Link>();
  #isRefusing = false;
  #next: CommitFault[] = [];

  private constructor(server: Server, port: number, serverPort: number) {
    this.#server = server;
    this.port = port;
    this.#serverPort = serverPort;
    server.on('connection', (client: Socket) => this.#take(client));
  }

  static async start(serverPort: number): Promise<PostgresProxy> {
    const server = createServer();
    server.listen({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
    return new PostgresProxy(server, address.port, serverPort);
  }

  /** One after another, for commits on any connection. */
  onNextCommit(...faults: CommitFault[]): void {
    this.#next.push(...faults);
  }

  /** How many of the faults asked for have not come about. */
  get pending(): number {
    return this.#next.length;
  }

  /** Breaks all connections, and takes no new ones until `accept`. */
  refuse(): void {
    this.refuseNew();
    this.cut();
  }

  /** Those there are stay. */
  refuseNew(): void {
    this.#isRefusing = true;
  }

  accept(): void {
    this.#isRefusing = false;
  }

  cut(): void {
    for (const link of this.#links) link.cut();
  }

  /** From the next transaction on, the connection that began it takes nothing from the server any more. */
  stopTakingAtNextBegin(): void {
    for (const link of this.#links) link.stopsTakingAtBegin = true;
  }

  async close(): Promise<void> {
    this.refuse();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #take(client: Socket): void {
    if (this.#isRefusing) {
      client.destroy();
      return;
    }
    const link = new Link(client, connect({ host: '127.0.0.1', port: this.#serverPort }), () => this.#next.shift());
    this.#links.add(link);
    link.onEnd(() => this.#links.delete(link));
  }
}

const QUERY = 'Q'.charCodeAt(0);
const COMMAND_COMPLETE = 'C'.charCodeAt(0);

class Link {
  stopsTakingAtBegin = false;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #nextFault: () => CommitFault | undefined;
  readonly #fromClient = new Messages(true);
  readonly #fromServer = new Messages(false);
  #fault: CommitFault | undefined;
  #isFrozen = false;
  #keepsServer = false;

  constructor(client: Socket, server: Socket, nextFault: () => CommitFault | undefined) {
    this.#client = client;
    this.#server = server;
    this.#nextFault = nextFault;
    client.setNoDelay(true);
    server.setNoDelay(true);
    client.on('data', (chunk: Buffer) => {
      for (const message of this.#fromClient.take(chunk)) this.#toServer(message);
    });
    server.on('data', (chunk: Buffer) => {
      for (const message of this.#fromServer.take(chunk)) this.#toClient(message);
    });
    for (const socket of [client, server]) {
      socket.on('error', () => undefined);
      // A frozen process closes nothing: the server must not learn from it that its client is gone.
      socket.on('close', () => this.#isFrozen || this.#keepsServer || this.cut());
    }
  }

  onEnd(listener: () => void): void {
    this.#server.on('close', listener);
  }

  cut(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  #toServer(message: Buffer): void {
    if (this.#isFrozen || this.#server.destroyed) return;
    if (this.stopsTakingAtBegin && isCommand(message, 'BEGIN')) this.#stopTaking();
    if (isCommand(message, 'COMMIT')) {
      this.#fault = this.#nextFault();
      if (this.#fault === 'request lost') this.cut();
      if (this.#fault === 'frozen') this.#isFrozen = true;
      if (this.#fault === 'request lost' || this.#fault === 'frozen') return;
      if (typeof this.#fault === 'object') message = command('ROLLBACK');
    }
    this.#server.write(message);
  }

  #stopTaking(): void {
    this.#server.pause();
    this.#keepsServer = true;
  }

  #toClient(message: Buffer): void {
    if (this.#isFrozen || this.#client.destroyed) return;
    if (this.#fault !== undefined && message[0] === COMMAND_COMPLETE) {
      const tag = message.toString('latin1', 5, message.length - 1);
      if (this.#fault === 'answer lost' && tag === 'COMMIT') {
        this.cut();
        return;
      }
      if (typeof this.#fault === 'object' && tag === 'ROLLBACK') {
        message = errorResponse(this.#fault.sqlState);
        this.#fault = undefined;
      }
    }
    this.#client.write(message);
  }
}

function isCommand(message: Buffer, text: string): boolean {
  return message[0] === QUERY && message.toString('latin1', 5, 5 + text.length) === text;
}

function command(text: string): Buffer {
  return typed('Q', Buffer.from(`${text}\0`));
}

function errorResponse(sqlState: string): Buffer {
  return typed('E', Buffer.from(`SERROR\0C${sqlState}\0Mraised by a test\0\0`));
}

function typed(type: string, body: Buffer): Buffer {
  const message = Buffer.alloc(5 + body.length);
  message.write(type, 0, 'latin1');
  message.writeInt32BE(4 + body.length, 1);
  body.copy(message, 5);
  return message;
}

/** Whole messages out of a stream of bytes. The first that a client sends has no type in front of its length. */
class Messages {
  /** What has come of a message that is not whole yet. A long one is put together once, not with each chunk. */
  #chunks: Buffer[] = [];
  #bytes = 0;
  #needed = 0;
  #typeBytes: number;

  constructor(isClient: boolean) {
    this.#typeBytes = isClient ? 0 : 1;
  }

  take(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#needed) return [];
    const bytes = Buffer.concat(this.#chunks);
    const messages: Buffer[] = [];
    let at = 0;
    for (let end = this.#endOf(bytes, at); end <= bytes.length; end = this.#endOf(bytes, at)) {
      messages.push(bytes.subarray(at, end));
      at = end;
      this.#typeBytes = 1;
    }
    this.#needed = this.#endOf(bytes, at) - at;
    this.#chunks = [bytes.subarray(at)];
    this.#bytes = bytes.length - at;
    return messages;
  }

  /** Where the message that begins at `at` ends; of one whose length has not come yet, where that ends. */
  #endOf(bytes: Buffer, at: number): number {
    const head = at + this.#typeBytes + 4;
    return head > bytes.length ? head : at + this.#typeBytes + bytes.readInt32BE(at + this.#typeBytes);
  }
}
