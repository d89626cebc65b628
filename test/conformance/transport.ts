import type { NodeName } from '@meridian/core/ids';
import { ANSWER, type Message, PING } from '@meridian/core/wire/messages';
import type { Transport, TransportHandler } from '@meridian/server/ports/transport';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** A network on which the suite stands up nodes `a`, `b` and `c`. */
export interface TransportNetwork {
  /** A transport that is not started. Made again for the same node after a stop, it is that node restarted. */
  make(node: NodeName): Transport;
  /** Lets the network run until `condition` holds; fails where it does not within some seconds. */
  until(condition: () => boolean): Promise<void>;
  /** Lets the network run for some time. */
  pause(ms: number): Promise<void>;
}

/** For networks that run in real time. */
export const realTime: Pick<TransportNetwork, 'until' | 'pause'> = {
  async until(condition) {
    const giveUpAtMs = performance.now() + 15_000;
    while (!condition()) {
      if (performance.now() > giveUpAtMs) throw new Error('what was waited for did not happen');
      await new Promise((done) => setTimeout(done, 2));
    }
  },
  pause: (ms) => new Promise((done) => setTimeout(done, ms)),
};

export const A = 'a' as NodeName;
export const B = 'b' as NodeName;
export const C = 'c' as NodeName;

/** Notes all that a transport tells, in order. */
export class Listener implements TransportHandler {
  readonly events: string[] = [];
  readonly messages: { readonly from: NodeName; readonly message: Message }[] = [];
  onUp(node: NodeName): void {
    this.events.push(`up ${node}`);
  }
  onDown(node: NodeName): void {
    this.events.push(`down ${node}`);
  }
  onMessage(from: NodeName, message: Message): void {
    this.messages.push({ from, message });
  }
}

/** A message that carries anything. */
export function carrying(id: number, body: unknown = null): Message {
  return [ANSWER, id, null, body];
}

export function idOf(message: Message): number {
  return message[1] as number;
}

function filled(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + seed * 17) & 0xff);
}

/** What every transport promises (ports/transport.ts). */
export function describeTransport(name: string, open: () => Promise<TransportNetwork>): void {
  describe(`the ${name} transport`, () => {
    let network: TransportNetwork;
    const running: Transport[] = [];

    beforeEach(async () => {
      network = await open();
    });
    afterEach(async () => {
      await Promise.all(running.splice(0).map((transport) => transport.stop()));
    });

    async function start(node: NodeName): Promise<{ transport: Transport; listener: Listener }> {
      const transport = network.make(node);
      const listener = new Listener();
      running.push(transport);
      await transport.start(listener);
      return { transport, listener };
    }

    async function startPair() {
      const a = await start(A);
      const b = await start(B);
      await network.until(() => a.transport.isUp(B) && b.transport.isUp(A));
      return { a, b };
    }

    it('brings every pair of nodes up, and says so once at each end', async () => {
      const nodes = [await start(A), await start(B), await start(C)] as const;
      await network.until(() => nodes.every(({ listener }) => listener.events.length === 2));
      await network.pause(30);
      expect(nodes.map(({ listener }) => listener.events.toSorted())).toEqual([
        ['up b', 'up c'],
        ['up a', 'up c'],
        ['up a', 'up b'],
      ]);
    });

    it('takes nothing for a peer that is not up', async () => {
      const a = await start(A);
      expect(a.transport.isUp(B)).toBe(false);
      expect(a.transport.send(B, carrying(1))).toBe(false);
      expect(a.transport.send('nobody' as NodeName, carrying(1))).toBe(false);
      expect(a.transport.bufferedBytes(B)).toBe(0);
    });

    it('takes messages from within onUp on', async () => {
      const b = await start(B);
      const a = network.make(A);
      running.push(a);
      const taken: boolean[] = [];
      await a.start({
        onUp: (node) => taken.push(a.isUp(node), a.send(node, carrying(7))),
        onDown: () => {},
        onMessage: () => {},
      });
      await network.until(() => b.listener.messages.length === 1);
      expect(taken).toEqual([true, true]);
      expect(b.listener.events).toEqual(['up a']);
      expect(b.listener.messages).toEqual([{ from: A, message: carrying(7) }]);
    });

    it('delivers many small messages in the order they were sent, both ways at once', async () => {
      const { a, b } = await startPair();
      const count = 20_000;
      for (let id = 0; id < count; id++) {
        expect(a.transport.send(B, carrying(id, `from a ${id}`))).toBe(true);
        expect(b.transport.send(A, carrying(id, filled(id % 50, id)))).toBe(true);
        if (id % 500 === 0) await network.pause(0);
      }
      await network.until(() => a.listener.messages.length === count && b.listener.messages.length === count);
      const inOrder = Array.from({ length: count }, (_, id) => id);
      expect(b.listener.messages.map(({ message }) => idOf(message))).toEqual(inOrder);
      expect(a.listener.messages.map(({ message }) => idOf(message))).toEqual(inOrder);
      expect(b.listener.messages.every(({ from }) => from === A)).toBe(true);
    });

    it('keeps the order of large and small messages', async () => {
      const { a, b } = await startPair();
      const lengths = [10, 300_000, 0, 16_370, 16_384, 16_400, 65_530, 65_536, 70_000, 1, 2_000_000, 3];
      lengths.forEach((length, id) => {
        a.transport.send(B, carrying(id, filled(length, id)));
      });
      await network.until(() => b.listener.messages.length === lengths.length);
      b.listener.messages.forEach(({ message }, id) => {
        expect(idOf(message)).toBe(id);
        expect(Buffer.compare(message[3] as Uint8Array, filled(lengths[id] as number, id))).toBe(0);
      });
    });

    it('delivers values of every plain kind as they were', async () => {
      const { a, b } = await startPair();
      const numbers = [
        0,
        1,
        127,
        128,
        255,
        256,
        65_535,
        65_536,
        2 ** 31,
        2 ** 32 - 1,
        2 ** 32,
        Number.MAX_SAFE_INTEGER,
      ];
      const others = [-1, -32, -33, -128, -129, -32_769, -(2 ** 31), -(2 ** 40), 0.5, -0.25, 1e300];
      const texts = [
        '',
        'a',
        'naïve',
        '\0',
        '日本語 🗺️',
        'x'.repeat(31),
        'x'.repeat(32),
        'é'.repeat(300),
        '\u{10ffff}'.repeat(40_000),
      ];
      const lists = [[], [[]], [null, true, false], Array.from({ length: 70_000 }, (_, at) => at & 1)];
      const body = [numbers, others, texts, lists];
      expect(a.transport.send(B, carrying(1, body))).toBe(true);
      expect(a.transport.send(B, [PING, 1, 'a.1' as never, 5 as never, true, []])).toBe(true);
      await network.until(() => b.listener.messages.length === 2);
      expect(b.listener.messages[0]?.message).toEqual(carrying(1, body));
      expect(b.listener.messages[1]?.message).toEqual([PING, 1, 'a.1', 5, true, []]);
    });

    it('delivers a value of 8 MiB', async () => {
      const { a, b } = await startPair();
      const body = filled(8 * 1024 * 1024, 3);
      expect(a.transport.send(B, carrying(1, body))).toBe(true);
      expect(a.transport.bufferedBytes(B)).toBeGreaterThanOrEqual(0);
      await network.until(() => b.listener.messages.length === 1);
      const received = b.listener.messages[0]?.message[3];
      expect(received).toBeInstanceOf(Uint8Array);
      expect(Buffer.compare(received as Uint8Array, body)).toBe(0);
      await network.until(() => a.transport.bufferedBytes(B) === 0);
    });

    it('leaves byte arrays to the handler: kept ones stay what they were', async () => {
      const { a, b } = await startPair();
      for (let id = 0; id < 1_000; id++) a.transport.send(B, carrying(id, [filled(id, id), filled(7, id)]));
      await network.until(() => b.listener.messages.length === 1_000);
      for (let id = 1_000; id < 3_000; id++) a.transport.send(B, carrying(id, filled(200, 255)));
      await network.until(() => b.listener.messages.length === 3_000);
      const kept = b.listener.messages.slice(0, 1_000).map(({ message }) => message[3] as [Uint8Array, Uint8Array]);
      kept.forEach(([first, second], id) => {
        expect(Buffer.compare(first, filled(id, id))).toBe(0);
        expect(Buffer.compare(second, filled(7, id))).toBe(0);
      });
      kept[500]?.[0].fill(0);
      kept.forEach(([, second], id) => {
        expect(Buffer.compare(second, filled(7, id))).toBe(0);
      });
    });

    it('says that a peer went down, and that it is up again after its restart', async () => {
      const { a, b } = await startPair();
      for (let round = 1; round <= 2; round++) {
        await (running.at(-1) as Transport).stop();
        await network.until(() => !a.transport.isUp(B));
        expect(a.transport.send(B, carrying(1))).toBe(false);
        const again = await start(B);
        await network.until(() => a.transport.isUp(B) && again.transport.isUp(A));
        a.transport.send(B, carrying(round));
        await network.until(() => again.listener.messages.length === 1);
        expect(again.listener.messages).toEqual([{ from: A, message: carrying(round) }]);
        expect(again.listener.events).toEqual(['up a']);
      }
      expect(a.listener.events).toEqual(['up b', 'down b', 'up b', 'down b', 'up b']);
      expect(b.listener.events).toEqual(['up a', 'down a']);
    });

    it('finds a peer again after a restart of its own', async () => {
      const { a, b } = await startPair();
      await a.transport.stop();
      await network.until(() => !b.transport.isUp(A));
      const again = await start(A);
      await network.until(() => b.transport.isUp(A) && again.transport.isUp(B));
      b.transport.send(A, carrying(5));
      await network.until(() => again.listener.messages.length === 1);
      expect(b.listener.events).toEqual(['up a', 'down a', 'up a']);
    });

    it('tells nothing more once stopped, and takes nothing', async () => {
      const { a, b } = await startPair();
      const c = await start(C);
      await network.until(() => c.transport.isUp(A) && c.transport.isUp(B));
      const flood = setInterval(() => {
        for (let id = 0; id < 100; id++) a.transport.send(B, carrying(id, 'x'.repeat(100)));
      }, 0);
      for (let id = 0; id < 100; id++) a.transport.send(B, carrying(id));
      await network.until(() => b.listener.messages.length > 0);
      await b.transport.stop();
      const told = [b.listener.events.length, b.listener.messages.length];
      clearInterval(flood);
      expect(b.listener.events.toSorted()).toEqual(['down a', 'down c', 'up a', 'up c']);
      expect(b.transport.isUp(A)).toBe(false);
      expect(b.transport.send(A, carrying(1))).toBe(false);
      await network.pause(100);
      expect([b.listener.events.length, b.listener.messages.length]).toEqual(told);
      await b.transport.stop();
    });
  });
}
