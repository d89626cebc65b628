import type { NodeName, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { GREETING } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { onAcceptor } from './acceptors.testing.ts';

const US = 'us-1' as StoreName;
const EU = 'eu-1' as StoreName;
const FIRST = 'eu-1.bbbb' as StoreId;
const SECOND = 'eu-1.cccc' as StoreId;

describe('the ids by which a store knows the others', () => {
  it('are none of those that it never heard of, and its own is that of its disk', () =>
    onAcceptor(async ({ known, store }) => {
      expect(known.idOf(EU)).toBeUndefined();
      expect(known.idOf('mars-1' as StoreName)).toBeUndefined();
      expect(known.idOf(US)).toBe(store.id);
      await store.renewId();
      expect(known.idOf(US)).toBe(store.id);
    }));

  it('are those that were learned, over a restart, until they are greeted by another', () =>
    onAcceptor(async (acceptor) => {
      await acceptor.known.learn(FIRST);
      await acceptor.known.learn(SECOND);
      expect(acceptor.known.idOf(EU)).toBe(SECOND);
      const { known, peers } = acceptor.restarted();
      expect(known.idOf(EU)).toBe(SECOND);
      const peer = peers.get('eu-1' as NodeName);
      if (peer) peers.greeted(peer, [GREETING, EU, 'eu-1.dddd' as StoreId, 5 as Sequence, true, []]);
      expect(known.idOf(EU)).toBe('eu-1.dddd');
    }));

  it('are never again those in whose place others were learned, whoever still says so', () =>
    onAcceptor(async ({ known, peers, store }) => {
      const peer = peers.get('eu-1' as NodeName);
      if (!peer) throw new Error('eu-1 is no peer');
      const greeted = (id: StoreId) => peers.greeted(peer, [GREETING, EU, id, 5 as Sequence, true, []]);
      await known.learn(FIRST);
      greeted(FIRST);
      expect(known.idOf(EU)).toBe(FIRST);
      // Learned by another node of this store: this one hears nothing of eu-1 meanwhile.
      await store.setNote(`known-store/${EU}`, SECOND);
      expect(known.idOf(EU)).toBe(SECOND);
      greeted('eu-1.dddd' as StoreId);
      expect(known.idOf(EU)).toBe('eu-1.dddd');
      greeted(FIRST);
      expect(known.idOf(EU)).toBe(SECOND);
    }));

  it('are on disk once they are learned, and are written once', () =>
    onAcceptor(async (acceptor) => {
      await acceptor.known.learn(FIRST);
      expect(acceptor.restarted().known.idOf(EU)).toBe(FIRST);
      const startedAtMs = acceptor.time.nowMs;
      await acceptor.known.learn(FIRST);
      expect(acceptor.time.nowMs).toBe(startedAtMs);
    }));

  it('are not learned where the disk does not take them', () =>
    onAcceptor(async (acceptor) => {
      acceptor.disk.isFull = true;
      await expect(acceptor.known.learn(FIRST)).rejects.toThrow();
      expect(acceptor.restarted().known.idOf(EU)).toBeUndefined();
    }));
});
