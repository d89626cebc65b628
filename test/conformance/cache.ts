import { type NamespaceId, type RecordKey, recordKey, type Sequence, type StoreId } from '@meridian/core/ids';
import { type Cache, type CacheEntry, CacheFailedError, type CacheLease } from '@meridian/server/ports/cache';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** One cache, as several nodes see it. */
export interface CacheBed {
  /** Another node's way to it. */
  connect(): Promise<Cache>;
  flushAll(): Promise<void>;
  /** Lets as much time pass as an entry lives, and somewhat more. */
  passTtl(): Promise<void>;
  dispose(): Promise<void>;
}

export const CACHE_TTL_MS = 1_000;
export const STORE = 'us-1.abcdefghijklmnop' as StoreId;
const OTHER_STORE = 'us-1.qrstuvwxyz234567' as StoreId;
const ORIGIN = 'eu-1.abc' as StoreId;
const NAMESPACE = 'default.1' as NamespaceId;

export const cacheKey = (name: string): RecordKey => recordKey(NAMESPACE, name);
const A = cacheKey('a');
const at = (sequence: number): Sequence => sequence as Sequence;

/** An entry whose record says its sequence; `claimed` is the store's own claim in it. */
export function row(sequence: number, claimed = sequence, atMs = 1_000): CacheEntry {
  const record = new TextEncoder().encode(`record ${sequence}`);
  return { record, sequence: at(sequence), claims: new Map([[STORE, at(claimed)]]), atMs };
}

export function none(sequence: number, atMs = 1_000): CacheEntry {
  return { record: undefined, sequence: at(sequence), claims: new Map([[STORE, at(sequence)]]), atMs };
}

/** What every cache promises (ports/cache.ts). */
export function describeCache(name: string, open: () => Promise<CacheBed>): void {
  describe(`${name} as a cache`, () => {
    let bed: CacheBed;
    let cache: Cache;
    let other: Cache;

    beforeEach(async () => {
      bed = await open();
      cache = await bed.connect();
      other = await bed.connect();
    });
    afterEach(async () => {
      await Promise.all([cache.close(), other.close()]);
      await bed.dispose();
    });

    const lookAt = async (key: RecordKey, reached = 0, by = cache) =>
      (await by.look(STORE, at(reached), [key]))[0] ?? {};
    /** With its record as plain bytes: some caches give a Buffer, which no comparison takes for equal. */
    const found = async (key: RecordKey): Promise<CacheEntry | undefined> => {
      const { entry } = await lookAt(key);
      return entry && { ...entry, record: entry.record && Uint8Array.from(entry.record) };
    };
    const leased = async (key: RecordKey, reached = 0, by = cache): Promise<CacheLease> => {
      const { lease } = await lookAt(key, reached, by);
      if (!lease) throw new Error('no lease was given');
      return lease;
    };
    const fill = (key: RecordKey, entry: CacheEntry, lease: CacheLease | undefined) =>
      cache.fill(STORE, [{ key, entry, lease }]).then(([outcome]) => outcome);
    const write = (key: RecordKey, entry: CacheEntry | undefined) =>
      other.write(STORE, [{ key, entry }]).then(([outcome]) => outcome);

    describe('filling', () => {
      it('gives a lease where nothing is, the same to all, and then what it was filled with', async () => {
        const lease = await leased(A);
        expect(await leased(A, 7, other)).toBe(lease);
        expect(await fill(A, row(5), lease)).toBe('kept');
        expect(await found(A)).toEqual(row(5));
      });

      it('gives back bytes, claims and times as they were', async () => {
        const claims = new Map([
          [STORE, at(Number.MAX_SAFE_INTEGER)],
          [ORIGIN, at(3)],
        ]);
        const entries: readonly CacheEntry[] = [
          { record: new Uint8Array(0), sequence: at(1), claims: new Map(), atMs: 0 },
          {
            record: Uint8Array.from({ length: 70_000 }, (_, i) => i & 0xff),
            sequence: at(2 ** 52),
            claims,
            atMs: 1.8e12,
          },
          { record: undefined, sequence: at(0), claims: new Map([[ORIGIN, at(300)]]), atMs: 1 },
        ];
        for (const [index, entry] of entries.entries()) {
          const key = cacheKey(`entry ${index}`);
          expect(await fill(key, entry, await leased(key))).toBe('kept');
          expect(await found(key)).toEqual(entry);
        }
      });

      it('answers many keys in their order, of any letters and up to 1,024 bytes', async () => {
        const names = ['', 'x', '\0', '\u{1f600} é', '{tag}', 'a b\r\n*3', 'l'.repeat(1_024)];
        const keys = [...names, ...Array.from({ length: 100 }, (_, i) => `key ${i}`)].map(cacheKey);
        const looks = await cache.look(STORE, at(0), keys);
        const fills = keys.map((key, i) => ({ key, entry: row(i + 1), lease: looks[i]?.lease }));
        expect(new Set(await cache.fill(STORE, fills))).toEqual(new Set(['kept']));
        const shuffled = keys.toReversed();
        const back = await other.look(STORE, at(0), shuffled);
        expect(back.map(({ entry }) => entry?.sequence)).toEqual(shuffled.map((_, i) => keys.length - i));
      });

      it('refuses what was read under no lease', async () => {
        expect(await fill(A, row(5), undefined)).toBe('absent');
        const lease = await leased(A);
        expect(await fill(A, row(5), undefined)).toBe('absent');
        expect(await fill(A, row(5), `${lease}x` as CacheLease)).toBe('absent');
        expect(await found(A)).toBeUndefined();
      });

      it('keeps the younger of two that race, whichever comes first', async () => {
        const lease = await leased(A);
        expect(await fill(A, row(7), lease)).toBe('kept');
        expect(await fill(A, row(5), lease)).toBe('younger');
        expect(await found(A)).toEqual(row(7));
        expect(await fill(A, row(9), lease)).toBe('kept');
        expect(await found(A)).toEqual(row(9));
      });

      it('keeps, of one row, the later claims, then the later time', async () => {
        await fill(A, row(5, 10, 1_000), await leased(A));
        expect(await fill(A, row(5, 9, 2_000), undefined)).toBe('younger');
        expect(await fill(A, row(5, 10, 1_000), undefined)).toBe('younger');
        expect(await fill(A, row(5, 10, 1_001), undefined)).toBe('kept');
        expect(await fill(A, row(5, 11, 500), undefined)).toBe('kept');
        expect(await found(A)).toEqual(row(5, 11, 500));
      });
    });

    describe('a node that stalls between read and fill', () => {
      it('fills nothing over what was written meanwhile', async () => {
        const lease = await leased(A);
        expect(await write(A, row(11))).toBe('kept');
        expect(await fill(A, row(5), lease)).toBe('younger');
        expect(await fill(A, none(5), lease)).toBe('dropped');
        expect(await found(A)).toBeUndefined();
      });

      it('fills nothing where what was written meanwhile is not there any more', async () => {
        const lease = await leased(A);
        await write(A, row(11));
        await bed.passTtl();
        expect(await fill(A, row(5), lease)).toBe('absent');
      });

      it('fills nothing under the lease of another', async () => {
        const stalled = await leased(A);
        await bed.flushAll();
        await write(A, row(11));
        const fresh = await leased(A, 11, other);
        expect(fresh).not.toBe(stalled);
        expect(await fill(A, row(5), stalled)).toBe('absent');
        expect(await fill(A, row(11), fresh)).toBe('kept');
      });

      it('does not bring back what was removed meanwhile', async () => {
        const lease = await leased(A);
        expect(await write(A, none(8))).toBe('kept');
        expect(await fill(A, row(5), lease)).toBe('younger');
        expect(await fill(A, row(8), lease)).toBe('younger');
        expect(await found(A)).toEqual(none(8));
      });

      it('does not bring back what was dropped meanwhile', async () => {
        const lease = await leased(A);
        expect(await write(A, undefined)).toBe('dropped');
        expect(await fill(A, row(5), lease)).toBe('absent');
        await leased(A);
        expect(await fill(A, row(5), lease)).toBe('absent');
      });
    });

    describe('writing', () => {
      it('keeps nothing that nobody has read', async () => {
        expect(await write(A, row(5))).toBe('absent');
        expect(await found(A)).toBeUndefined();
      });

      it('follows an entry with a younger one, and with no other', async () => {
        await fill(A, row(5), await leased(A));
        expect(await write(A, row(7))).toBe('kept');
        expect(await write(A, row(6))).toBe('younger');
        expect(await write(A, none(6))).toBe('younger');
        expect(await found(A)).toEqual(row(7));
        expect(await write(A, none(7))).toBe('kept');
        expect(await write(A, row(7))).toBe('younger');
        expect(await write(A, row(8))).toBe('kept');
        expect(await found(A)).toEqual(row(8));
      });

      it('does not end the lease of a reader who knows of it', async () => {
        const lease = await leased(A, 7);
        expect(await write(A, row(7))).toBe('younger');
        expect(await write(A, none(6))).toBe('younger');
        expect(await fill(A, none(7), lease)).toBe('kept');
        const removed = cacheKey('removed');
        await leased(removed, 7);
        expect(await write(removed, none(7))).toBe('kept');
      });

      it('drops what is there, lease or entry, and answers each of several', async () => {
        const [b, c] = [cacheKey('b'), cacheKey('c')];
        await fill(A, row(5), await leased(A));
        await fill(b, row(6), await leased(b));
        const outcomes = await other.write(STORE, [
          { key: A, entry: undefined },
          { key: b, entry: row(9) },
          { key: c, entry: row(9) },
        ]);
        expect(outcomes).toEqual(['dropped', 'kept', 'absent']);
        expect([await found(A), await found(b), await found(c)]).toEqual([undefined, row(9), undefined]);
      });
    });

    it('drops a record of which it cannot tell whether it came before or after a reading of none', async () => {
      await fill(A, row(11), await leased(A));
      expect(await fill(A, none(10), undefined)).toBe('dropped');
      await fill(A, row(11), await leased(A));
      expect(await fill(A, none(11), undefined)).toBe('kept');
      expect(await fill(A, none(10), undefined)).toBe('younger');
    });

    it('keeps the entries of each store apart', async () => {
      await fill(A, row(5), await leased(A));
      const [look] = await cache.look(OTHER_STORE, at(0), [A]);
      expect(look?.entry).toBeUndefined();
      expect(look?.lease).toBeDefined();
      expect(await fill(A, row(9), look?.lease)).toBe('kept');
    });

    it('keeps an entry for its time and no longer', async () => {
      await fill(A, row(5), await leased(A));
      await bed.passTtl();
      expect(await found(A)).toBeUndefined();
    });

    it('loses everything at once to FLUSHALL, and goes on', async () => {
      await fill(A, row(5), await leased(A));
      await bed.flushAll();
      const lease = await leased(A);
      expect(await fill(A, row(5), lease)).toBe('kept');
    });

    it('fails once it is closed', async () => {
      await cache.probe();
      await cache.close();
      const calls = [cache.look(STORE, at(0), [A]), cache.fill(STORE, [{ key: A, entry: row(1), lease: undefined }])];
      const more = [cache.write(STORE, [{ key: A, entry: row(1) }]), cache.probe()];
      for (const call of [...calls, ...more]) await expect(call).rejects.toBeInstanceOf(CacheFailedError);
    });
  });
}
