import { ANSWER, type Message } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { FrameReader } from './frame-reader.ts';
import { unpackMessage } from './message-codec.ts';
import { messageBytesAtMost } from './message-size.ts';
import { Outbox } from './outbox.ts';

/** A socket that takes what it is given when it is told to. */
class SlowSink {
  readonly corked: Uint8Array[][] = [];
  #part: Uint8Array[] = [];
  #done: ((error?: Error | null) => void) | undefined;
  cork(): void {
    this.#part = [];
  }
  write(bytes: Uint8Array, done?: (error?: Error | null) => void): void {
    this.#part.push(bytes);
    this.#done = done;
  }
  uncork(): void {
    this.corked.push(this.#part);
  }
  take(): Uint8Array {
    const bytes = Buffer.concat(this.corked.at(-1) ?? []);
    this.#done?.();
    return bytes;
  }
}

const message = (id: number, length: number): Message => [ANSWER, id, null, new Uint8Array(length).fill(id)];

function put(outbox: Outbox, sent: Message): void {
  outbox.put(sent, messageBytesAtMost(sent));
}

function idsIn(bytes: Uint8Array): unknown[] {
  const ids: unknown[] = [];
  new FrameReader(2 ** 27, (frame, from, to, isOwned) => ids.push(unpackMessage(frame, from, to, isOwned)[1]) > 0).read(
    bytes,
  );
  return ids;
}

describe('the outbox', () => {
  it('lets all that was put since the last flush leave together', () => {
    const sink = new SlowSink();
    const outbox = new Outbox(sink, () => {});
    for (let id = 0; id < 300; id++) put(outbox, message(id, 100));
    expect(sink.corked).toHaveLength(0);
    outbox.flush();
    expect(sink.corked).toHaveLength(1);
    expect(sink.corked[0]).toHaveLength(1);
    expect(idsIn(sink.take())).toEqual(Array.from({ length: 300 }, (_, id) => id));
    expect(outbox.bytes).toBe(0);
  });

  it('keeps the order where large messages stand among small ones', () => {
    const sink = new SlowSink();
    const outbox = new Outbox(sink, () => {});
    const lengths = [5, 100_000, 5, 5, 70_000, 20_000, 5];
    lengths.forEach((length, id) => {
      put(outbox, message(id, length));
    });
    outbox.flush();
    expect(idsIn(sink.take())).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('holds back what comes while the peer has not taken what went before', () => {
    const sink = new SlowSink();
    let progress = 0;
    const outbox = new Outbox(sink, () => progress++);
    put(outbox, message(0, 10));
    outbox.flush();
    for (let id = 1; id < 5; id++) put(outbox, message(id, 10));
    outbox.flush();
    expect(sink.corked).toHaveLength(1);
    expect(idsIn(sink.take())).toEqual([0]);
    expect(progress).toBe(1);
    expect(sink.corked).toHaveLength(2);
    expect(idsIn(sink.take())).toEqual([1, 2, 3, 4]);
    expect(outbox.bytes).toBe(0);
  });

  it('never writes over bytes that the socket still holds', () => {
    const sink = new SlowSink();
    const outbox = new Outbox(sink, () => {});
    const taken: Uint8Array[] = [];
    for (let id = 0; id < 3_000; id++) {
      put(outbox, message(id % 251, 100));
      outbox.flush();
      if (id % 7 === 6) taken.push(sink.take());
    }
    while (outbox.bytes > 0) taken.push(sink.take());
    expect(idsIn(Buffer.concat(taken))).toEqual(Array.from({ length: 3_000 }, (_, id) => id % 251));
  });

  it('hands over a large message piece by piece, so that progress can be seen', () => {
    const sink = new SlowSink();
    let progress = 0;
    const outbox = new Outbox(sink, () => progress++);
    put(outbox, message(1, 5 * 1024 * 1024));
    put(outbox, message(2, 10));
    outbox.flush();
    const taken: Uint8Array[] = [];
    while (outbox.bytes > 0) taken.push(sink.take());
    expect(progress).toBe(6);
    expect(idsIn(Buffer.concat(taken))).toEqual([1, 2]);
  });

  it('forgets what waits when told so', () => {
    const sink = new SlowSink();
    const outbox = new Outbox(sink, () => {});
    for (let id = 0; id < 10; id++) {
      put(outbox, message(id, 30_000));
      outbox.flush();
    }
    outbox.discard();
    expect(outbox.bytes).toBe(0);
    sink.take();
    expect(sink.corked).toHaveLength(1);
    expect(outbox.bytes).toBe(0);
  });
});
