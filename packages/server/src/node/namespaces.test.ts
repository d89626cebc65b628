import { ANSWER, type Call, CHANGES, REQUEST } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { codeOf, onCluster, optionsOf, THREE_REGIONS } from './cluster.testing.ts';
import { asks } from './register-messages.testing.ts';

const NODES = ['us-1', 'eu-1', 'ap-1'] as const;

/** A proposal for the register of a definition. */
function isAccept(call: Call): boolean {
  return asks(call, 'accept');
}

describe('namespaces', () => {
  it('that are created differently at once are one and the same everywhere, and whoever was later is told so', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const [left, right] = await Promise.allSettled([
        cluster.node('us-1').putNamespace('race', { conflict: 'lww', placement: { us: 1 } }, optionsOf()),
        cluster.node('ap-1').putNamespace('race', { conflict: 'siblings', placement: 'all' }, optionsOf()),
      ]);
      const made = [left, right].filter((outcome) => outcome.status === 'fulfilled').map(({ value }) => value);
      const refused = [left, right].filter((outcome) => outcome.status === 'rejected');
      // Its placement cannot become the other's.
      expect(refused.map(({ reason }) => (reason as { code: string }).code)).toEqual(['NOT_BUILT']);
      expect(made.map(({ isNew }) => isNew)).toEqual([true]);
      await cluster.settle();
      for (const node of NODES)
        expect(await cluster.node(node).namespace('race', optionsOf())).toEqual(made[0]?.namespace);
    }));

  it('that are changed at once have both changes: one rests on the other', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('us-1').putNamespace('shop', {}, optionsOf());
      await Promise.all([
        cluster.node('us-1').putNamespace('shop', { conflict: 'lww' }, optionsOf()),
        cluster.node('eu-1').putNamespace('shop', { defaultTtlSeconds: 9 }, optionsOf()),
        cluster.node('ap-1').putNamespace('shop', { ledgerKeepSeconds: 60 }, optionsOf()),
      ]);
      await cluster.settle();
      for (const node of NODES)
        expect(await cluster.node(node).namespace('shop', optionsOf())).toMatchObject({
          conflict: 'lww',
          defaultTtlSeconds: 9,
          ledgerKeepSeconds: 60,
        });
    }));

  it('that are created alike at once are created once', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const change = { mode: 'strong', placement: { us: 1, eu: 1 } } as const;
      const made = await Promise.all(NODES.map((node) => cluster.node(node).putNamespace('race', change, optionsOf())));
      expect(made.filter(({ isNew }) => isNew)).toHaveLength(1);
      expect(new Set(made.map(({ namespace }) => namespace.id)).size).toBe(1);
    }));

  it('can be used through every node at once, though the definition has not reached it', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      // Nothing streams: whoever is asked must ask itself.
      cluster.passes = (_from, _to, message) => message[0] !== CHANGES;
      for (const mode of ['eventual', 'strong'] as const) {
        const placement = { us: 1, eu: 1 };
        await cluster.node('ap-1').putNamespace(mode, { mode, placement }, optionsOf());
        await cluster.put('ap-1', 'key', 'value', { in: mode });
        expect(await cluster.get('ap-1', 'key', { in: mode, level: 'strong' })).toEqual(['value']);
        expect(await cluster.get('eu-1', 'key', { in: mode, level: 'quorum' })).toEqual(['value']);
      }
    }));

  it('that were dropped and made anew are known to a node that heard of neither once it is asked for a key', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('us-1').putNamespace('shop', { mode: 'strong' }, optionsOf());
      await cluster.put('us-1', 'key', 'old', { in: 'shop' });
      await cluster.settle();
      cluster.passes = (_from, to, message) => !(to === 'ap-1' && message[0] === CHANGES);
      await cluster.node('us-1').dropNamespace('shop', optionsOf());
      await cluster.node('us-1').putNamespace('shop', { mode: 'strong' }, optionsOf());
      await cluster.put('us-1', 'key', 'new', { in: 'shop' });
      // ap-1 learns of the second when it is asked to promise for it.
      expect((await cluster.node('ap-1').namespace('shop', optionsOf())).id).toBe('shop.2');
      expect(await cluster.get('ap-1', 'key', { in: 'shop', level: 'strong' })).toEqual(['new']);
    }));

  it('stay dropped where a change was made at the same time, on every node and after a restart', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (let race = 0; race < 4; race++) {
        const name = `race-${race}`;
        await cluster.node('us-1').putNamespace(name, {}, optionsOf());
        await cluster.settle();
        const dropped = cluster.node('us-1').dropNamespace(name, optionsOf());
        await cluster.time.sleep(race * 20);
        const changed = cluster.node('ap-1').putNamespace(name, { defaultTtlSeconds: 9 }, optionsOf());
        const codes = [await codeOf(dropped), await codeOf(changed)];
        expect(codes).not.toContain('INTERNAL');
        await cluster.settle();
        cluster.crash('eu-1');
        await cluster.start('eu-1');
        await cluster.settle();
        const ids = await Promise.all(
          NODES.map((node) =>
            cluster
              .node(node)
              .namespace(name, optionsOf())
              .then(
                ({ id }) => id,
                () => 'none',
              ),
          ),
        );
        // The change may have come after the drop, and made another of the same name.
        expect(new Set(ids).size).toBe(1);
        expect(ids[0]).not.toBe(`${name}.1`);
      }
    }));

  it('share nothing with one of the same name that was dropped', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const first = await cluster.node('us-1').putNamespace('shop', {}, optionsOf());
      await cluster.put('us-1', 'key', 'old', { in: 'shop' });
      await cluster.settle();
      await cluster.node('eu-1').dropNamespace('shop', optionsOf());
      const second = await cluster.node('ap-1').putNamespace('shop', {}, optionsOf());
      expect([second.isNew, second.namespace.id === first.namespace.id]).toEqual([true, false]);
      await cluster.settle();
      for (const node of NODES) {
        expect(await cluster.get(node, 'key', { in: 'shop' })).toEqual([]);
        const left = [...cluster.member(node).disk.durableKeys()].filter((key) =>
          key.startsWith(`${first.namespace.id}\0`),
        );
        expect(left).toEqual([]);
      }
    }));

  it('are neither created nor denied without a majority', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.crash('us-1');
      cluster.crash('eu-1');
      await cluster.settle();
      const alone = cluster.node('ap-1');
      expect(await codeOf(alone.putNamespace('alone', {}, optionsOf()))).toBe('QUORUM_UNAVAILABLE');
      expect(await codeOf(alone.namespace('alone', optionsOf()))).toBe('QUORUM_UNAVAILABLE');
    }));

  it('say that the outcome is unknown where they may have been created and no majority says so', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      // The proposal arrives, and every answer to it is lost.
      let isProposed = false;
      cluster.passes = (from, to, message) => {
        if (isProposed && to === 'us-1' && message[0] === ANSWER) return false;
        if (from === 'us-1' && message[0] === REQUEST && isAccept(message[4])) isProposed = true;
        return true;
      };
      const made = cluster.node('us-1').putNamespace('shop', {}, optionsOf({ timeoutMs: 500 }));
      expect(await codeOf(made)).toBe('OUTCOME_UNKNOWN');
      cluster.passes = () => true;
      expect((await cluster.node('eu-1').namespace('shop', optionsOf())).name).toBe('shop');
    }));

  it('refuse what cannot be', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const node = cluster.node('us-1');
      const refused = (name: string, change: object) => codeOf(node.putNamespace(name, change, optionsOf()));
      expect(await refused('_catalog', {})).toBe('INVALID_NAMESPACE');
      expect(await refused('Shop', {})).toBe('INVALID_NAMESPACE');
      expect(await refused('shop', { placement: { us: 2 } })).toBe('INVALID_NAMESPACE');
      expect(await refused('shop', { placement: { mars: 1 } })).toBe('INVALID_NAMESPACE');
      expect(await refused('shop', { placement: { us: 0 } })).toBe('INVALID_NAMESPACE');
      expect(await refused('shop', { defaultTtlSeconds: 0.5 })).toBe('INVALID_NAMESPACE');
      await node.putNamespace('shop', { placement: { us: 1 } }, optionsOf());
      expect(await refused('shop', { mode: 'strong' })).toBe('NAMESPACE_CONFLICT');
      expect(await refused('shop', { mode: 'eventual' })).toBe('no error');
      expect(await refused('shop', { placement: { us: 1, eu: 1 } })).toBe('NOT_BUILT');
      expect(await refused('shop', { placement: { us: 1, eu: 0 } })).toBe('no error');
      expect(await codeOf(node.dropNamespace('default', optionsOf()))).toBe('NAMESPACE_CONFLICT');
      for (const none of ['none', 'n'.repeat(3_000), 'a\0b', 'Shop', ''])
        expect(await codeOf(node.dropNamespace(none, optionsOf()))).toBe('NAMESPACE_NOT_FOUND');
      const century = 100 * 366 * 24 * 3600;
      expect(await refused('shop', { defaultTtlSeconds: century, ledgerKeepSeconds: century })).toBe('no error');
      expect(await refused('shop', { defaultTtlSeconds: century + 1 })).toBe('INVALID_NAMESPACE');
    }));

  it('of rule lww keep what was hidden, and give it back', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('us-1').putNamespace('last', { conflict: 'lww' }, optionsOf());
      await cluster.settle();
      cluster.split('us-1', 'eu-1');
      await cluster.put('us-1', 'key', 'one', { in: 'last' });
      await cluster.time.sleep(5);
      await cluster.put('eu-1', 'key', 'two', { in: 'last' });
      cluster.heal();
      await cluster.settle();
      expect(await cluster.get('ap-1', 'key', { in: 'last' })).toEqual(['two']);
      const [hidden] = await cluster.node('ap-1').ledger('last', 'key', optionsOf());
      expect(new TextDecoder().decode(hidden?.value.body)).toBe('one');
      await cluster.node('ap-1').restore('last', 'key', hidden?.id ?? '', optionsOf());
      await cluster.settle();
      for (const node of NODES) expect(await cluster.get(node, 'key', { in: 'last' })).toEqual(['one']);
      expect(await codeOf(cluster.node('ap-1').restore('last', 'key', 'us-1.none:9', optionsOf()))).toBe(
        'LEDGER_ENTRY_NOT_FOUND',
      );
    }));

  it('of rule lww hide what has expired, and what is brought back lives no longer than it would have', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('us-1').putNamespace('last', { conflict: 'lww' }, optionsOf());
      await cluster.settle();
      cluster.split('us-1', 'eu-1');
      const hide = async (key: string, ttlSeconds: number) => {
        const brief = { body: new TextEncoder().encode('brief'), contentType: 'text/plain', ttlSeconds };
        await cluster.node('us-1').put('last', key, brief, undefined, optionsOf());
        await cluster.time.sleep(5);
        await cluster.put('eu-1', key, 'other', { in: 'last' });
      };
      await hide('restored', 60);
      await hide('expired', 20);
      cluster.heal();
      await cluster.settle();
      // Now both are hidden for good: another write has replaced the winner.
      for (const key of ['restored', 'expired']) await cluster.put('eu-1', key, 'third', { in: 'last' });
      await cluster.settle();
      const ledger = async (key: string) => cluster.node('eu-1').ledger('last', key, optionsOf());
      const [restored] = await ledger('restored');
      const [expired] = await ledger('expired');
      const written = await cluster.node('eu-1').restore('last', 'restored', restored?.id ?? '', optionsOf());
      expect(written.expiresAtMs).toBeLessThanOrEqual(restored?.value.expiresAtMs ?? 0);
      expect(await cluster.get('eu-1', 'restored', { in: 'last' })).toEqual(['brief']);
      await cluster.time.sleep(60_000);
      expect(await cluster.get('eu-1', 'restored', { in: 'last' })).toEqual([]);
      expect(await ledger('expired')).toEqual([]);
      const late = cluster.node('eu-1').restore('last', 'expired', expired?.id ?? '', optionsOf());
      expect(await codeOf(late)).toBe('LEDGER_ENTRY_NOT_FOUND');
    }));

  it('show in the ledger what a session has seen, and none where nothing is hidden', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('us-1').putNamespace('last', { conflict: 'lww' }, optionsOf());
      await cluster.node('us-1').putNamespace('exact', { mode: 'strong' }, optionsOf());
      await cluster.put('us-1', 'key', 'value', { in: 'exact' });
      for (const level of ['eventual', 'session', 'quorum', 'strong'] as const)
        expect(await cluster.node('us-1').ledger('exact', 'key', optionsOf({ level }))).toEqual([]);
      await cluster.settle();
      // ap-1 hears of no write.
      cluster.passes = (_from, to, message) => !(to === 'ap-1' && message[0] === CHANGES);
      cluster.split('us-1', 'eu-1');
      await cluster.put('us-1', 'key', 'one', { in: 'last' });
      await cluster.time.sleep(5);
      await cluster.put('eu-1', 'key', 'two', { in: 'last' });
      cluster.heal();
      await cluster.settle();
      const { session } = (await cluster.node('us-1').get('last', 'key', optionsOf({ level: 'session' }))).head;
      const shown = async (more: object) =>
        (await cluster.node('ap-1').ledger('last', 'key', optionsOf({ level: 'session', ...more }))).map(({ value }) =>
          new TextDecoder().decode(value.body),
        );
      expect(await shown({})).toEqual([]);
      expect(await shown({ session })).toEqual(['one']);
      expect(await codeOf(shown({ session: 'none' }))).toBe('INVALID_SESSION');
    }));
});
