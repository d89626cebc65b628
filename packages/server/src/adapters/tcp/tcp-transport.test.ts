import { connect, createServer, type Socket } from 'node:net';
import type { NodeName } from '@meridian/core/ids';
import { PROTOCOL_VERSION } from '@meridian/core/wire/protocol';
import { Packr } from 'msgpackr';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { carrying, idOf, Listener, realTime } from '../../../../../test/conformance/transport.ts';
import { KeptLog, TcpNetwork } from '../../../../../test/conformance/transport-networks.ts';
import { deriveKey } from '../system/derive-key.ts';
import { systemRandom } from '../system/system-random.ts';
import { dialerHandshake } from './handshake.ts';
import { encodeHello, encodeRefusal, NONCE_CHARS } from './handshake-frames.ts';
import type { TcpOptions, TcpTransport } from './tcp-transport.ts';

const A = 'a' as NodeName;
const B = 'b' as NodeName;
const { until, pause } = realTime;

function framed(payload: Uint8Array): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

/** A socket that says whatever a test wants. */
class Stranger {
  readonly socket: Socket;
  #chunks: Buffer[] = [];
  isClosed = false;

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port });
    this.socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** The payload of the frame that comes next. */
  async frame(): Promise<Uint8Array> {
    const received = () => Buffer.concat(this.#chunks);
    await until(() => received().length >= 4 && received().length >= 4 + received().readUInt32BE(0));
    const bytes = received();
    const end = 4 + bytes.readUInt32BE(0);
    const payload = Uint8Array.from(bytes.subarray(4, end));
    this.#chunks = [bytes.subarray(end)];
    return payload;
  }
}

/** Passes the handshake at `port`, as node `a` calling on `b`. */
async function proved(port: number): Promise<Stranger> {
  const stranger = new Stranger(port);
  const handshake = dialerHandshake(
    {
      version: PROTOCOL_VERSION,
      cluster: 'test',
      node: A,
      key: deriveKey('a secret that all nodes share', 'peer handshake'),
      nonce: systemRandom.id(NONCE_CHARS),
      isKnown: () => true,
    },
    B,
  );
  stranger.socket.write(framed(handshake.opening));
  const step = handshake.take(await stranger.frame());
  if (step.kind !== 'continue') throw new Error('the handshake failed');
  stranger.socket.write(framed(step.reply));
  expect(handshake.take(await stranger.frame()).kind).toBe('proved');
  return stranger;
}

describe('the tcp transport', () => {
  let network: TcpNetwork;
  const running: TcpTransport[] = [];
  const cleanups: (() => void)[] = [];

  beforeEach(async () => {
    network = await TcpNetwork.open(['a', 'b']);
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((transport) => transport.stop()));
    for (const cleanup of cleanups.splice(0)) cleanup();
  });

  async function start(node: NodeName, change: Partial<TcpOptions> = {}) {
    const log = new KeptLog();
    const transport = network.make(node, { log, ...change });
    const listener = new Listener();
    running.push(transport);
    await transport.start(listener);
    return { transport, listener, log };
  }

  const portOf = (node: NodeName) => network.ports.get(node) as number;

  function stranger(node: NodeName): Stranger {
    const made = new Stranger(portOf(node));
    cleanups.push(() => made.socket.destroy());
    return made;
  }

  async function provedStranger(): Promise<Stranger> {
    const made = await proved(portOf(B));
    cleanups.push(() => made.socket.destroy());
    return made;
  }

  const hello = (change: object = {}) =>
    framed(
      encodeHello({
        version: PROTOCOL_VERSION,
        cluster: 'test',
        from: 'a',
        to: 'b',
        nonce: 'n'.repeat(NONCE_CHARS),
        ...change,
      }),
    );

  describe('towards strangers', () => {
    const cases: readonly [string, Buffer, string, RegExp][] = [
      ['garbage', framed(Buffer.from('hello there')), 'garbage', /what is no handshake/],
      ['an empty frame', framed(Buffer.alloc(0)), 'garbage', /what is no handshake/],
      [
        'a browser',
        Buffer.from('GET / HTTP/1.1\r\n\r\n'),
        'oversized',
        /a frame of 1195725856 bytes, where 4096 are allowed/,
      ],
      ['an oversized frame', framed(Buffer.alloc(4097)), 'oversized', /a frame of 4097 bytes, where 4096 are allowed/],
      [
        'an older protocol',
        hello({ version: 0 }),
        'version',
        new RegExp(`speaks protocol version 0, this node ${PROTOCOL_VERSION}`),
      ],
      ['another cluster', hello({ cluster: 'bank' }), 'cluster', /belongs to cluster "bank", this node to "test"/],
    ];
    for (const [what, bytes, rejection, text] of cases) {
      it(`closes the socket of ${what}, says so in one line, and goes on serving its peer`, async () => {
        const a = await start(A);
        const b = await start(B);
        await until(() => a.transport.isUp(B) && b.transport.isUp(A));
        const caller = stranger(B);
        caller.socket.write(bytes);
        await until(() => caller.isClosed);
        expect(b.log.warnings()).toHaveLength(1);
        expect(b.log.warnings()[0]).toMatch(text);
        expect(b.log.warnings()[0]).toContain(`"rejection":"${rejection}"`);
        expect(b.transport.figures().rejected).toMatchObject({ [rejection]: 1 });
        a.transport.send(B, carrying(1));
        await until(() => b.listener.messages.length === 1);
        expect(b.listener.events).toEqual(['up a']);
      });
    }

    it('cuts off who is slow to prove anything, however busily it sends', async () => {
      const b = await start(B, { limits: { handshakeMs: 300 } });
      const silent = stranger(B);
      const dribbling = stranger(B);
      const bytes = hello({});
      let at = 0;
      const dribble = setInterval(() => dribbling.socket.write(bytes.subarray(at, ++at)), 10);
      const fromMs = performance.now();
      await until(() => silent.isClosed && dribbling.isClosed);
      clearInterval(dribble);
      expect(performance.now() - fromMs).toBeLessThan(3_000);
      expect(b.transport.figures().rejected.timeout).toBe(2);
      expect(b.log.warnings()[0]).toMatch(/no proof within 300 ms/);
    });

    it('lets the oldest of too many give way, so that a peer still gets in', async () => {
      const b = await start(B, { limits: { strangersMax: 8 } });
      const squatters = Array.from({ length: 20 }, () => stranger(B));
      await until(() => b.transport.figures().rejected.crowded === 12);
      await until(() => squatters.filter((squatter) => squatter.isClosed).length === 12);
      const a = await start(A);
      await until(() => a.transport.isUp(B) && b.transport.isUp(A));
      expect(b.transport.figures().rejected.crowded).toBe(13);
    });

    it('outlives thousands of random and of nearly right frames, delivers none of them, and keeps its peer', async () => {
      const a = await start(A);
      const b = await start(B);
      await until(() => a.transport.isUp(B) && b.transport.isUp(A));
      let calls = 0;
      const call = async (bytes: Uint8Array) => {
        const caller = new Stranger(portOf(B));
        caller.socket.end(bytes);
        await until(() => caller.isClosed);
        calls++;
      };
      const right = hello({});
      for (let round = 0; round < 40; round++) {
        const batch = Array.from({ length: 25 }, (_, turn) => {
          const bytes =
            turn % 2 === 0 ? Buffer.from(systemRandom.id(1 + (systemRandom.uint32() % 200))) : Buffer.from(right);
          const flips = 1 + (systemRandom.uint32() % 4);
          for (let flip = 0; flip < flips; flip++)
            bytes[systemRandom.uint32() % bytes.length] = systemRandom.uint32() & 0xff;
          return turn % 4 === 0 ? framed(bytes) : bytes;
        });
        await Promise.all(batch.map(call));
      }
      expect(calls).toBe(1_000);
      expect(b.log.warnings().length).toBeLessThan(20);
      a.transport.send(B, carrying(9));
      await until(() => b.listener.messages.length > 0);
      expect(b.listener.messages).toEqual([{ from: A, message: carrying(9) }]);
      expect(b.listener.events).toEqual(['up a']);
    });
  });

  describe('between nodes that do not fit', () => {
    it('says at both ends that the secrets differ', async () => {
      const a = await start(A, { secret: 'guessed' });
      const b = await start(B);
      await until(() => a.log.warnings().length > 0 && b.log.warnings().length > 0);
      expect(b.log.warnings()[0]).toMatch(/"a" does not know the cluster's secret/);
      expect(a.log.warnings()[0]).toMatch(/it finds that this node does not know its secret/);
      await pause(300);
      expect([a.log.warnings().length, b.log.warnings().length]).toEqual([1, 1]);
      expect(a.listener.events.concat(b.listener.events)).toEqual([]);
      expect(JSON.stringify([a.log.lines, b.log.lines])).not.toMatch(/guessed|a secret that/);
    });

    it('says at both ends that the clusters differ', async () => {
      const a = await start(A, { cluster: 'bank' });
      const b = await start(B);
      await until(() => a.log.warnings().length > 0 && b.log.warnings().length > 0);
      expect(b.log.warnings()[0]).toMatch(/it belongs to cluster "bank", this node to "test"/);
      expect(a.log.warnings()[0]).toMatch(/it belongs to another cluster/);
    });

    it('says which versions two nodes speak, also at the end that dialed', async () => {
      const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.end(framed(encodeRefusal(PROTOCOL_VERSION + 6, 'version')));
        socket.resume();
      });
      cleanups.push(() => server.close());
      await new Promise<void>((done) => server.listen(portOf(B), '127.0.0.1', done));
      const a = await start(A);
      await until(() => a.log.warnings().length > 0);
      expect(a.log.warnings()[0]).toMatch(`protocol version ${PROTOCOL_VERSION + 6}, this node ${PROTOCOL_VERSION}`);
    });

    it('says that a node is not one of the cluster', async () => {
      const b = await start(B, { peers: [] });
      const a = await start(A);
      await until(() => a.log.warnings().length > 0 && b.log.warnings().length > 0);
      expect(b.log.warnings()[0]).toMatch(/no node of this cluster is called "a"/);
      expect(a.log.warnings()[0]).toMatch(/it knows no node of this name/);
    });
  });

  it.runIf(process.platform === 'linux')(
    'has room for a peer, however many strangers knock from another address',
    async () => {
      const b = await start(B, { limits: { strangersMax: 8 } });
      const knock = (localAddress: string): Socket => {
        const socket = connect({ host: '127.0.0.1', port: portOf(B), localAddress });
        socket.on('error', () => {});
        cleanups.push(() => socket.destroy());
        return socket;
      };
      const peer = stranger(B);
      peer.socket.write(hello());
      await peer.frame();
      for (let count = 0; count < 40; count++) knock('127.0.0.2');
      await until(() => b.transport.figures().rejected.crowded >= 33);
      expect(peer.isClosed).toBe(false);
      // Those of one address give way to one another.
      for (let count = 0; count < 20; count++) knock('127.0.0.1');
      await until(() => peer.isClosed);
    },
  );

  describe('towards a peer that proved itself', () => {
    const msgpack = new Packr({ useRecords: false });
    const bad: readonly [string, Buffer, RegExp][] = [
      ['bytes that are no msgpack', framed(Buffer.from([0x93, 1, 2])), /what is no message/],
      ['an empty frame', framed(Buffer.alloc(0)), /what is no message/],
      ['a message of no known kind', framed(msgpack.pack([99, 'a value that is a secret'])), /what is no message/],
      ['a thousand lists in one another', framed(Buffer.alloc(1_000, 0x91)), /what is no message/],
      [
        'a frame beyond the cap',
        framed(Buffer.alloc(100_001)).subarray(0, 4),
        /a frame of 100001 bytes, where 100000 are allowed/,
      ],
    ];
    for (const [what, bytes, text] of bad) {
      it(`drops the connection on ${what}, in one line, and takes the next`, async () => {
        const b = await start(B, { limits: { frameBytesMax: 100_000 } });
        const first = await provedStranger();
        first.socket.write(
          Buffer.concat([framed(msgpack.pack(carrying(1))), bytes, framed(msgpack.pack(carrying(2)))]),
        );
        await until(() => first.isClosed);
        expect(b.log.warnings()).toHaveLength(1);
        expect(b.log.warnings()[0]).toMatch(text);
        expect(b.log.lines.join()).not.toContain('a secret');
        const second = await provedStranger();
        second.socket.write(framed(msgpack.pack(carrying(3))));
        await until(() => b.listener.messages.length === 2);
        expect(b.listener.messages.map(({ message }) => idOf(message))).toEqual([1, 3]);
        expect(b.listener.events).toEqual(['up a', 'down a', 'up a']);
      });
    }

    it('outlives mutated messages by the thousand', async () => {
      const b = await start(B);
      const right = framed(msgpack.pack(carrying(5, [['key', Buffer.alloc(40)], 70_000, 'text', [1.5, null, true]])));
      let peer = await provedStranger();
      for (let turn = 0; turn < 5_000; turn++) {
        const bytes = Buffer.from(right);
        for (let flips = systemRandom.uint32() % 3; flips >= 0; flips--)
          bytes[4 + (systemRandom.uint32() % (bytes.length - 4))] = systemRandom.uint32() & 0xff;
        peer.socket.write(bytes);
        if (turn % 50 === 0) {
          await pause(0);
          if (peer.isClosed) peer = await provedStranger();
        }
      }
      const last = await provedStranger();
      last.socket.write(framed(msgpack.pack(carrying(77))));
      await until(() => b.listener.messages.some(({ message }) => message[1] === 77));
      expect(b.listener.messages.every(({ message }) => Array.isArray(message))).toBe(true);
      expect(b.transport.figures().rejected.garbage).toBeGreaterThan(10);
    });

    it('lets the newest connection of a peer replace the one before', async () => {
      const b = await start(B);
      const first = await provedStranger();
      const second = await provedStranger();
      await until(() => first.isClosed);
      expect(b.listener.events).toEqual(['up a', 'down a', 'up a']);
      b.transport.send(A, carrying(4));
      await second.frame();
      expect(second.isClosed).toBe(false);
      expect(b.transport.figures()).toMatchObject({ connects: 2, reconnects: 1 });
    });

    it('takes no more for a peer that does not read than its bound, and drops it in the end', async () => {
      const b = await start(B, { limits: { bytesBufferedMax: 1_000_000, stallMs: 600 } });
      const peer = await provedStranger();
      peer.socket.pause();
      let isRefused = false;
      for (let id = 0; id < 10_000 && !isRefused; id++) {
        isRefused = !b.transport.send(A, carrying(id, new Uint8Array(10_000)));
        if (id % 10 === 0) await pause(0);
      }
      expect(isRefused).toBe(true);
      expect(b.transport.bufferedBytes(A)).toBeGreaterThan(999_999);
      expect(b.transport.bufferedBytes(A)).toBeLessThan(1_020_000);
      await until(() => !b.transport.isUp(A));
      expect(b.log.warnings()[0]).toMatch(/it took nothing for 600 ms/);
      expect(b.transport.bufferedBytes(A)).toBe(0);
      expect(b.transport.figures().rejected.stalled).toBe(1);
    });

    it('keeps a peer that reads slowly', async () => {
      const b = await start(B, { limits: { stallMs: 400 } });
      const peer = await provedStranger();
      for (let id = 0; id < 30; id++) b.transport.send(A, carrying(id, new Uint8Array(1_000_000)));
      const slow = setInterval(() => {
        peer.socket.resume();
        setTimeout(() => peer.socket.pause(), 1);
      }, 60);
      await pause(1_500);
      clearInterval(slow);
      expect(b.transport.isUp(A)).toBe(true);
      peer.socket.resume();
      await until(() => b.transport.bufferedBytes(A) === 0);
      expect(b.listener.events).toEqual(['up a']);
    });

    it('does not send a message that no frame may hold, and says so', async () => {
      const b = await start(B, { limits: { frameBytesMax: 1_000 } });
      await provedStranger();
      expect(b.transport.send(A, carrying(1, new Uint8Array(1_000)))).toBe(false);
      expect(b.log.warnings()[0]).toMatch(/larger than a frame may be/);
      expect(b.transport.send(A, carrying(1, new Uint8Array(900)))).toBe(true);
    });
  });

  it('lets what was sent before a stop arrive', async () => {
    const a = await start(A);
    const b = await start(B);
    await until(() => a.transport.isUp(B) && b.transport.isUp(A));
    for (let id = 0; id < 1_000; id++) a.transport.send(B, carrying(id, new Uint8Array(10_000)));
    await a.transport.stop();
    await until(() => !b.transport.isUp(A));
    expect(b.listener.messages).toHaveLength(1_000);
  });

  it('does not start on an address that is taken', async () => {
    await start(B);
    await expect(network.make(B).start(new Listener())).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('tries again and again until a peer is there, and logs the trouble once', async () => {
    const a = await start(A);
    await pause(700);
    expect(a.log.lines).toHaveLength(1);
    expect(a.log.lines[0]).toMatch(/peer cannot be reached: ECONNREFUSED/);
    const b = await start(B);
    await until(() => a.transport.isUp(B) && b.transport.isUp(A));
    expect(a.listener.events).toEqual(['up b']);
  });

  it('logs each trouble with a peer once, whichever way its tries end', async () => {
    let count = 0;
    const server = createServer((socket) => {
      socket.on('error', () => {});
      if (count++ % 2 === 0) socket.end();
      socket.resume();
    });
    cleanups.push(() => server.close());
    await new Promise<void>((done) => server.listen(portOf(B), '127.0.0.1', done));
    const a = await start(A, { limits: { handshakeMs: 50, backoffMinMs: 5, backoffMaxMs: 10 } });
    await until(() => count > 6);
    expect(a.log.lines.map((line) => line.replace(/ \{.*/, ''))).toEqual([
      'info peer cannot be reached: closed by the peer',
      'info peer cannot be reached: no proof within 50 ms',
    ]);
    // Nobody came to be refused.
    expect(a.transport.figures().rejected.timeout).toBe(0);
  });

  describe('on a link that has become a hole', () => {
    /** Takes what is sent to node `b`, and from one moment on passes nothing on of the connections it has. New ones pass. */
    async function wayToB(): Promise<{ readonly port: number; swallow(): void }> {
      const pairs: Socket[][] = [];
      const server = createServer((near) => {
        const far = connect({ host: '127.0.0.1', port: portOf(B) });
        for (const [from, to] of [
          [near, far],
          [far, near],
        ] as const) {
          from.on('data', (bytes) => to.write(bytes));
          from.on('error', () => {});
          from.on('close', () => to.destroy());
        }
        pairs.push([near, far]);
      });
      cleanups.push(() => {
        server.close();
        for (const socket of pairs.flat()) socket.destroy();
      });
      const port = await new Promise<number>((done) =>
        server.listen(0, '127.0.0.1', () => done((server.address() as { port: number }).port)),
      );
      const swallow = () => {
        for (const socket of pairs.flat()) {
          socket.removeAllListeners('data');
          socket.removeAllListeners('close');
          socket.on('data', () => {});
        }
      };
      return { port, swallow };
    }

    it('makes the connection anew, where what it sends is answered by nothing', async () => {
      const way = await wayToB();
      const b = await start(B);
      const peers = [{ node: B, host: '127.0.0.1', port: way.port }];
      const a = await start(A, { peers, limits: { silentMs: 200 } });
      await until(() => a.transport.isUp(B) && b.transport.isUp(A));
      way.swallow();
      const beat = setInterval(() => a.transport.send(B, carrying(1)), 20);
      cleanups.push(() => clearInterval(beat));
      await until(() => b.listener.messages.length > 0);
      expect(a.listener.events.slice(0, 3)).toEqual(['up b', 'down b', 'up b']);
      expect(a.log.warnings()[0]).toMatch(/peer is down: nothing came from it for 200 ms/);
      expect(b.listener.events).toEqual(['up a', 'down a', 'up a']);
    });

    it('keeps one on which nobody says anything, and one on which answers come', async () => {
      const b = await start(B);
      const a = await start(A, { limits: { silentMs: 120 } });
      await until(() => a.transport.isUp(B) && b.transport.isUp(A));
      await pause(300);
      const beat = setInterval(() => a.transport.send(B, carrying(1)), 5);
      const slowBeat = setInterval(() => b.transport.send(A, carrying(2)), 60);
      cleanups.push(() => {
        clearInterval(beat);
        clearInterval(slowBeat);
      });
      await pause(800);
      expect(a.listener.events).toEqual(['up b']);
    });
  });

  it('counts frames and bytes alike at both ends', async () => {
    const b = await start(B);
    const a = await start(A);
    await until(() => a.transport.isUp(B) && b.transport.isUp(A));
    for (let id = 0; id < 100; id++) a.transport.send(B, carrying(id, new Uint8Array(id * 500)));
    await until(() => b.listener.messages.length === 100);
    expect(a.transport.send('c' as NodeName, carrying(1))).toBe(false);
    const [sent, got] = [a.transport.figures(), b.transport.figures()];
    expect(sent.framesOut).toBe(100);
    expect(got.bytesIn).toBe(sent.bytesOut);
    expect(got.framesIn).toBe(sent.framesOut + 2);
    expect(sent.sendsRefused).toBe(1);
  });
});
