import type { Sequence, StoreId } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import type { CacheEntry } from '../ports/cache.ts';
import { StoreFailedError } from '../ports/store.ts';
import { FAILURES_TO_OPEN, PROBE_AFTER_MS } from './cache/breaker.ts';
import {
  atLeast,
  keyOf,
  onCachedStore,
  putText,
  removeKey,
  TIMEOUT_MS,
  TTL_MS,
  textOf,
  VALUE_BYTES_MAX,
} from './cached-store.testing.ts';

const A = keyOf('a');
const B = keyOf('b');
const ORIGIN = 'eu-1.abc' as StoreId;

/** What another node would tell the cache. */
function entryOf(store: StoreId, sequence: number, text: string | undefined, atMs: number): CacheEntry {
  const record = text === undefined ? undefined : new TextEncoder().encode(text);
  return { record, sequence: sequence as Sequence, claims: new Map([[store, sequence as Sequence]]), atMs };
}

describe('reading through the cache', () => {
  it('asks the store once, and says how old the answer is', () =>
    onCachedStore(async ({ cached, store, time }) => {
      await putText(store, A, 'one');
      const first = await cached.getRecent(A);
      expect([textOf(first), first.ageMs]).toEqual(['one', 0]);
      await time.sleep(1_000);
      const second = await cached.getRecent(A);
      expect(textOf(second)).toBe('one');
      expect(second.ageMs).toBeGreaterThanOrEqual(1_000);
      expect(second.ageMs).toBeLessThan(1_010);
      expect(store.reads).toBe(1);
      expect(cached.cacheFigures).toMatchObject({ hits: 1, misses: 1, savedReads: 1, fills: 1, errors: 0 });
    }));

  it('remembers that there is no record', () =>
    onCachedStore(async ({ cached, store, time }) => {
      await cached.getRecent(A);
      await time.sleep(1);
      expect((await cached.getRecent(A)).record).toBeUndefined();
      expect(store.reads).toBe(1);
    }));

  it('serves nothing past its time, whatever the cache still has', () =>
    onCachedStore(async ({ cached, store, server, time }) => {
      await putText(store, A, 'one');
      await cached.getRecent(A);
      await time.sleep(TTL_MS + 1);
      await putText(store, A, 'two');
      expect(server.peek(store.id, A)).toBeDefined();
      expect(textOf(await cached.getRecent(A))).toBe('two');
      expect(cached.cacheFigures).toMatchObject({ hits: 0, misses: 2 });
    }));

  it('serves nothing whose age it cannot tell, because a clock is wrong', () =>
    onCachedStore(async ({ cached, store, clock, time }) => {
      await putText(store, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      clock.offsetMs = -3_600_000;
      expect((await cached.getRecent(A)).ageMs).toBe(0);
      expect(store.reads).toBe(2);
      clock.offsetMs = -500;
      expect(await cached.getRecent(A)).toMatchObject({ ageMs: 0 });
      expect(store.reads).toBe(2);
    }));

  it('serves a session only what is known to hold what it has seen', () =>
    onCachedStore(async ({ cached, store, time }) => {
      await putText(store, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      await putText(store, B, 'makes a sequence');
      expect(textOf(await cached.getRecent(A, atLeast(store.id, 1)))).toBe('one');
      expect(store.reads).toBe(1);
      expect(textOf(await cached.getRecent(A, atLeast(store.id, 2)))).toBe('one');
      expect(store.reads).toBe(2);
      expect(cached.cacheFigures).toMatchObject({ hits: 1, staleRefusals: 1, misses: 1 });
      await time.sleep(1);
      await cached.getRecent(A, atLeast(store.id, 2));
      expect(store.reads).toBe(2);
    }));

  it('keeps no value that is too large', () =>
    onCachedStore(async ({ cached, store, server, time }) => {
      await putText(store, A, 'x'.repeat(VALUE_BYTES_MAX + 1));
      await putText(store, B, 'x'.repeat(VALUE_BYTES_MAX));
      await Promise.all([cached.getRecent(A), cached.getRecent(B)]);
      await time.sleep(1);
      expect([server.peek(store.id, A), server.peek(store.id, B)?.sequence]).toEqual([undefined, 2]);
    }));

  it('asks the cache of all that a tick brings in one exchange', () =>
    onCachedStore(async ({ cached, cache }) => {
      await Promise.all(Array.from({ length: 50 }, (_, at) => cached.getRecent(keyOf(`k${at}`))));
      expect(cache.calls.look).toBe(1);
    }));
});

describe('many readers of one key', () => {
  it('share one look, one read of the store and one fill', () =>
    onCachedStore(async ({ cached, cache, store, time }) => {
      await putText(store, A, 'one');
      store.hold();
      const reads = Array.from({ length: 100 }, () => cached.getRecent(A));
      await time.sleep(5);
      reads.push(...Array.from({ length: 100 }, () => cached.getRecent(A)));
      await time.sleep(5);
      store.release();
      const answers = await Promise.all(reads);
      expect(new Set(answers.map(textOf))).toEqual(new Set(['one']));
      expect(answers.map(({ ageMs }) => ageMs).every((ageMs) => ageMs <= 11)).toBe(true);
      expect(answers[0]?.ageMs).toBe(0);
      expect(answers.at(-1)?.ageMs).toBeGreaterThanOrEqual(10);
      await time.sleep(1);
      expect([store.reads, cache.calls.look, cache.calls.fill]).toEqual([1, 2, 1]);
      expect(cached.cacheFigures).toMatchObject({ misses: 200, savedReads: 199, fills: 1 });
    }));

  it('does not share a read that began before what a session has seen', () =>
    onCachedStore(async ({ cached, store, time }) => {
      await putText(store, A, 'one');
      store.hold();
      const early = cached.getRecent(A);
      await time.sleep(1);
      await putText(store, A, 'two');
      const late = cached.getRecent(A, atLeast(store.id, 2));
      await time.sleep(1);
      store.release();
      expect([textOf(await early), textOf(await late)]).toEqual(['one', 'two']);
      await time.sleep(1);
      expect(textOf(await cached.getRecent(A))).toBe('two');
    }));

  it('all hear of a store that fails, and the next asks again', () =>
    onCachedStore(async ({ cached, store }) => {
      await putText(store, A, 'one');
      const getRow = store.getRow.bind(store);
      store.getRow = () => Promise.reject(new StoreFailedError('a failure of the test'));
      const outcomes = await Promise.allSettled([cached.getRecent(A), cached.getRecent(A)]);
      expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      store.getRow = getRow;
      expect(textOf(await cached.getRecent(A))).toBe('one');
    }));
});

describe('writing through', () => {
  it('has told the cache when the update resolves', () =>
    onCachedStore(async ({ cached, store, time }) => {
      await putText(cached, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      const sequence = await putText(cached, A, 'two');
      const read = await cached.getRecent(A, atLeast(store.id, sequence));
      expect(textOf(read)).toBe('two');
      expect(store.reads).toBe(1);
      expect(cached.cacheFigures).toMatchObject({ writeThroughs: 1, writesMissed: 0 });
    }));

  it('keeps nothing that nobody has read', () =>
    onCachedStore(async ({ cached, server }) => {
      await putText(cached, A, 'one');
      expect(server.size).toBe(0);
    }));

  it('tells of a removal', () =>
    onCachedStore(async ({ cached, store, time }) => {
      await putText(cached, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      await removeKey(cached, A);
      expect((await cached.getRecent(A)).record).toBeUndefined();
      expect(store.reads).toBe(1);
      await putText(cached, A, 'again');
      expect(textOf(await cached.getRecent(A))).toBe('again');
      expect(store.reads).toBe(1);
    }));

  it('drops what a value too large has replaced', () =>
    onCachedStore(async ({ cached, server, store, time }) => {
      await putText(cached, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      await putText(cached, A, 'x'.repeat(VALUE_BYTES_MAX + 1));
      expect(server.peek(store.id, A)).toBeUndefined();
    }));

  it('tells of an update of many keys that they have changed, not to what', () =>
    onCachedStore(async ({ cached, server, store, time, cache }) => {
      const keys = Array.from({ length: 300 }, (_, at) => keyOf(`k${at}`));
      await putText(cached, keyOf('k7'), 'one');
      await cached.getRecent(keyOf('k7'));
      await time.sleep(1);
      const before = cache.calls.write;
      const record = new TextEncoder().encode('many');
      await cached.update(keys, () => ({ writes: keys.map((key) => ({ key, record })), result: undefined }));
      expect(cache.calls.write - before).toBe(1);
      expect(server.size).toBe(0);
      expect(server.peek(store.id, keyOf('k7'))).toBeUndefined();
      expect(textOf(await cached.getRecent(keyOf('k7')))).toBe('many');
    }));

  it('goes in one exchange for all updates of one commit, with the last of each key', () =>
    onCachedStore(async ({ cached, cache, server, store, time }) => {
      await putText(cached, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      const before = cache.calls.write;
      await Promise.all(['two', 'three', 'four'].map((text) => putText(cached, A, text)));
      expect(cache.calls.write - before).toBe(1);
      expect(server.peek(store.id, A)?.sequence).toBe(4);
    }));

  it('claims what the turn had, its own positions too, and nothing of what came after', () =>
    onCachedStore(async ({ cached, server, store, time }) => {
      await cached.getRecent(A);
      await cached.getRecent(B);
      await time.sleep(1);
      const take = (key: typeof A, upTo: number) =>
        cached.update([key], () => ({
          writes: [{ key, record: new Uint8Array([upTo]) }],
          positions: new Map([[ORIGIN, { cursor: upTo as Sequence, applied: upTo as Sequence, isFilled: true }]]),
          result: undefined,
        }));
      await Promise.all([take(A, 5), take(B, 9)]);
      const claimsAt = (key: typeof A) => server.peek(store.id, key)?.claims;
      expect(claimsAt(A)).toEqual(
        new Map([
          [ORIGIN, 5],
          [store.id, 1],
        ]),
      );
      expect(claimsAt(B)).toEqual(
        new Map([
          [ORIGIN, 9],
          [store.id, 2],
        ]),
      );
    }));

  it('tells the cache nothing of an update that failed, and drops what one of doubtful outcome may have replaced', () =>
    onCachedStore(async ({ cached, server, store, disk, time }) => {
      await putText(cached, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      disk.isFull = true;
      await expect(putText(cached, A, 'two')).rejects.toThrow();
      expect(server.peek(store.id, A)?.sequence).toBe(1);
      disk.isFull = false;
      disk.failureShare = 1;
      disk.doubtShare = 1;
      await expect(putText(cached, A, 'three')).rejects.toMatchObject({ isDoubtful: true });
      expect(server.peek(store.id, A)).toBeUndefined();
    }));

  it('lets no reader join a read that began before it', () =>
    onCachedStore(async ({ cached, store, time }) => {
      await putText(cached, A, 'one');
      store.hold();
      const early = cached.getRecent(A);
      await time.sleep(1);
      await putText(cached, A, 'two');
      const late = cached.getRecent(A);
      await time.sleep(1);
      store.release();
      expect([textOf(await early), textOf(await late)]).toEqual(['one', 'two']);
    }));
});

describe('a node that stalls between its read and its fill', () => {
  it.each([
    ['a write of another node', 'two', 2],
    ['a removal by another node', undefined, 1],
  ])('fills nothing over %s', (_, text, sequence) =>
    onCachedStore(async ({ cached, store, server, other, time, clock }) => {
      await putText(store, A, 'one');
      store.hold();
      const stalled = cached.getRecent(A);
      await time.sleep(5);
      if (text === undefined) await removeKey(store, A);
      else await putText(store, A, text);
      await other.write(store.id, [{ key: A, entry: entryOf(store.id, sequence, text, clock.wallMs()) }]);
      store.release();
      expect(textOf(await stalled)).toBe('one');
      await time.sleep(5);
      expect(server.peek(store.id, A)).toMatchObject({ sequence });
      const { reads } = store;
      expect(textOf(await cached.getRecent(A))).toBe(text);
      expect(store.reads).toBe(reads);
      expect(cached.cacheFigures.fillsRefused).toBe(1);
    }),
  );

  it('fills nothing where the cache has lost what it was told meanwhile', () =>
    onCachedStore(async ({ cached, store, server, other, time, clock }) => {
      await putText(store, A, 'one');
      store.hold();
      const stalled = cached.getRecent(A);
      await time.sleep(5);
      await putText(store, A, 'two');
      await other.write(store.id, [{ key: A, entry: entryOf(store.id, 2, 'two', clock.wallMs()) }]);
      server.flushAll();
      await other.look(store.id, 2 as Sequence, [A]);
      store.release();
      await stalled;
      await time.sleep(5);
      expect(server.peek(store.id, A)).toBeUndefined();
      expect(cached.cacheFigures.fillsRefused).toBe(1);
    }));

  it('fills nothing once its lease is over', () =>
    onCachedStore(async ({ cached, store, server, time }) => {
      await putText(store, A, 'one');
      store.hold();
      const stalled = cached.getRecent(A);
      await time.sleep(3_600_000);
      await putText(store, A, 'two');
      store.release();
      await stalled;
      await time.sleep(5);
      expect(server.peek(store.id, A)).toBeUndefined();
    }));
});

describe('two nodes that race', () => {
  it('leave the younger row, whoever fills last', () =>
    onCachedStore(async ({ cached, store, server, other, time, clock }) => {
      await putText(store, A, 'one');
      store.hold();
      const slow = cached.getRecent(A);
      await time.sleep(1);
      const [look] = await other.look(store.id, store.sequence, [A]);
      await putText(store, A, 'two');
      const entry = entryOf(store.id, 2, 'two', clock.wallMs());
      await other.fill(store.id, [{ key: A, entry, lease: look?.lease }]);
      store.release();
      await slow;
      await time.sleep(1);
      expect(server.peek(store.id, A)?.sequence).toBe(2);
    }));
});

describe('a commit that the cache did not hear of', () => {
  it('is seen by sessions at once, and by others after some time, with the age told honestly', () =>
    onCachedStore(async ({ cached, store, server, time }) => {
      await putText(cached, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1_000);
      server.isAway = true;
      const sequence = await putText(cached, A, 'two');
      server.isAway = false;
      expect(cached.cacheFigures).toMatchObject({ writesMissed: 1, errors: 1 });
      const stale = await cached.getRecent(A);
      expect(textOf(stale)).toBe('one');
      expect(stale.ageMs).toBeGreaterThanOrEqual(1_000);
      const own = await cached.getRecent(A, atLeast(store.id, sequence));
      expect([textOf(own), own.ageMs]).toEqual(['two', 0]);
      await time.sleep(1);
      expect(textOf(await cached.getRecent(A))).toBe('two');
    }));

  it('is waited for no longer than its limit', () =>
    onCachedStore(async ({ cached, server, time }) => {
      server.stall();
      const startedAtMs = time.nowMs;
      await putText(cached, A, 'one');
      expect(time.nowMs - startedAtMs).toBeLessThan(60);
      expect(cached.cacheFigures).toMatchObject({ writesMissed: 1, timeouts: 1 });
    }));

  it('is not overwritten by what the cache hears of late', () =>
    onCachedStore(async ({ cached, store, server, time }) => {
      await putText(cached, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      server.stall();
      await putText(cached, A, 'two');
      await putText(cached, A, 'three');
      server.goOn();
      await time.sleep(1);
      expect(server.peek(store.id, A)?.sequence).toBe(3);
    }));
});

describe('a cache that does not answer', () => {
  it('delays a few reads by its limit, and then none, until it answers a probe', () =>
    onCachedStore(async ({ cached, store, server, time, cache, logged }) => {
      await putText(store, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      server.stall();
      const tookMs: number[] = [];
      for (let count = 0; count < FAILURES_TO_OPEN + 20; count++) {
        const startedAtMs = time.nowMs;
        expect(textOf(await cached.getRecent(A))).toBe('one');
        tookMs.push(Math.round(time.nowMs - startedAtMs));
      }
      expect(tookMs.slice(0, FAILURES_TO_OPEN).every((ms) => ms === TIMEOUT_MS)).toBe(true);
      expect(tookMs.slice(FAILURES_TO_OPEN).every((ms) => ms === 0)).toBe(true);
      expect(cached.cacheFigures).toMatchObject({ breaker: 'open', breakerOpened: 1, bypasses: 20, timeouts: 5 });
      await time.sleep(PROBE_AFTER_MS + 200);
      expect([cache.calls.probe, cached.cacheFigures.breaker]).toEqual([1, 'open']);
      server.goOn();
      await time.sleep(PROBE_AFTER_MS * 2);
      expect([cache.calls.probe, cached.cacheFigures.breaker]).toEqual([2, 'closed']);
      const { reads } = store;
      await cached.getRecent(A);
      expect(store.reads).toBe(reads);
      expect(logged).toEqual(['the cache does not answer; reads go to the store', 'the cache answers again']);
    }));

  it('costs nothing where it refuses at once', () =>
    onCachedStore(async ({ cached, store, server, time }) => {
      await putText(store, A, 'one');
      server.isAway = true;
      for (let count = 0; count < 50; count++) expect(textOf(await cached.getRecent(A))).toBe('one');
      expect(time.nowMs).toBeLessThan(10);
      expect(cached.cacheFigures).toMatchObject({ breaker: 'open', errors: FAILURES_TO_OPEN });
    }));

  it('stays in use where it is slow now and then', () =>
    onCachedStore(async ({ cached, server, time }) => {
      for (let count = 0; count < 200; count++) {
        server.delayMs = count % 20 === 0 ? TIMEOUT_MS * 2 : 1;
        await cached.getRecent(A);
        await time.sleep(1);
      }
      expect(cached.cacheFigures).toMatchObject({ breaker: 'closed', breakerOpened: 0, timeouts: 10 });
    }));
});

describe('the identity of the store', () => {
  it('shares nothing with what it was before it took a new id', () =>
    onCachedStore(async ({ cached, store, time }) => {
      await putText(store, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      await cached.renewId();
      await cached.getRecent(A);
      expect(store.reads).toBe(2);
      await time.sleep(1);
      await cached.getRecent(A);
      expect(store.reads).toBe(2);
    }));

  it('joins no look at what it was before', () =>
    onCachedStore(async ({ cached, store, server, time }) => {
      await putText(store, A, 'lost');
      await cached.getRecent(A);
      await time.sleep(1);
      server.delayMs = TIMEOUT_MS / 2;
      const before = cached.getRecent(A);
      store.regress();
      await cached.renewId();
      await removeKey(store, A);
      expect(textOf(await cached.getRecent(A))).toBeUndefined();
      await before;
      expect(cached.cacheFigures.hits).toBe(0);
    }));

  it('serves nothing from the cache between a loss of the database and its new id', () =>
    onCachedStore(async ({ cached, store, time }) => {
      await putText(store, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      store.regress();
      await cached.getRecent(A);
      await cached.getRecent(A);
      expect([store.reads, cached.cacheFigures.bypasses]).toEqual([3, 2]);
      await cached.renewId();
      await cached.getRecent(A);
      await time.sleep(1);
      await cached.getRecent(A);
      expect([store.reads, cached.cacheFigures.hits]).toEqual([4, 1]);
    }));
});

describe('closing', () => {
  it('tells the cache what was still committed, then serves nothing', () =>
    onCachedStore(async ({ cached, store, server, time }) => {
      await putText(cached, A, 'one');
      await cached.getRecent(A);
      await time.sleep(1);
      server.delayMs = 5;
      const written = putText(cached, A, 'two');
      await cached.close();
      await written;
      expect(server.peek(store.id, A)?.sequence).toBe(2);
      await expect(cached.getRecent(A)).rejects.toBeInstanceOf(StoreFailedError);
      await expect(putText(cached, A, 'three')).rejects.toBeInstanceOf(StoreFailedError);
      expect(cached.cacheFigures.writesMissed).toBe(0);
    }));
});
