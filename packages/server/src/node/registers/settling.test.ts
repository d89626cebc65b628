import { REQUEST } from '@meridian/core/wire/messages';
import { decodeRegister } from '@meridian/core/wire/register-codec';
import { describe, expect, it } from 'vitest';
import { codeOf, type TestCluster, THREE_REGIONS } from '../cluster.testing.ts';
import { EXACT, isAccept, isAnswer, isNews, onStrongCluster, type StrongClients } from '../strong.testing.ts';

const NODES = ['us-1', 'eu-1', 'ap-1'] as const;

/** us-1 dies with a change on its way: `reached` have accepted it, and nobody was told whether it was chosen. */
async function dieProposing(
  clients: StrongClients,
  cluster: TestCluster,
  key: string,
  value: string,
  reached: readonly string[],
): Promise<void> {
  cluster.passes = (from, to, message) => {
    if (from === 'us-1' && isAccept(message)) return reached.includes(to);
    return !(to === 'us-1' && isAnswer(message) && reached.length > 0) && !(from === 'us-1' && isNews(message));
  };
  const change = clients.put('us-1', key, value, undefined, { timeoutMs: 200 });
  expect(await codeOf(change)).toBe('OUTCOME_UNKNOWN');
  cluster.crash('us-1');
  cluster.passes = () => true;
}

/** What each of the nodes holds of the key, on its disk. */
function heldBy(cluster: TestCluster, node: string, key: string) {
  for (const [recordKey, bytes] of cluster.member(node).disk.durableRows())
    if (recordKey.startsWith(`${EXACT}.`) && recordKey.endsWith(`\0${key}`)) return decodeRegister(bytes);
  return undefined;
}

describe('what a dead proposer has left', () => {
  it('is settled without anybody asking for it, and is the same at all', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      await dieProposing(clients, cluster, 'key', 'two', ['eu-1']);
      for (const node of ['eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('one');
      expect(cluster.node('eu-1').figures().unsettled).toBe(1);
      await cluster.settle();
      // Chosen on us-1 and eu-1, though us-1 never heard of it.
      for (const node of ['eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('two');
      expect(cluster.node('eu-1').figures().unsettled).toBe(0);
      await cluster.start('us-1');
      await cluster.settle();
      expect(await clients.relaxed('us-1', 'key')).toBe('two');
      await cluster.settle();
      const committed = NODES.map((node) => heldBy(cluster, node, 'key')?.committed?.value?.version);
      expect(committed).toEqual([2, 2, 2]);
    }));

  it('is settled when it comes back with what no other has', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      await dieProposing(clients, cluster, 'key', 'two', []);
      await cluster.settle();
      expect(await clients.get('eu-1', 'key')).toBe('one');
      await cluster.start('us-1');
      await cluster.settle();
      await cluster.settle();
      expect(cluster.node('us-1').figures().unsettled).toBe(0);
      const chosen = await clients.get('ap-1', 'key');
      expect(['one', 'two']).toContain(chosen);
      await cluster.settle();
      for (const node of NODES) expect(await clients.relaxed(node, 'key')).toBe(chosen);
    }));

  it('is found by a look through the disk where the one who has it was started again', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      for (let at = 0; at < 20; at++) await clients.put('us-1', `other-${at}`, 'settled');
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      await dieProposing(clients, cluster, 'key', 'two', ['eu-1']);
      cluster.crash('eu-1');
      await cluster.start('eu-1');
      expect(cluster.node('eu-1').figures().unsettled).toBe(0);
      await cluster.settle();
      for (const node of ['eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('two');
    }));

  it('waits while there is no majority, and is settled once there is one', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      await dieProposing(clients, cluster, 'key', 'two', ['eu-1']);
      cluster.split('eu-1', 'ap-1');
      await cluster.settle();
      expect(await clients.relaxed('eu-1', 'key')).toBe('one');
      expect(cluster.node('eu-1').figures().unsettled).toBe(1);
      cluster.heal();
      await cluster.settle();
      await cluster.settle();
      for (const node of ['eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('two');
    }));
});

describe('what a proposer could not take itself', () => {
  it('is brought to it by another, though it died before it could see to it', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      const disk = cluster.disk('us-1');
      disk.isFull = true;
      await clients.put('us-1', 'key', 'two');
      await cluster.time.sleep(100);
      cluster.crash('us-1');
      disk.isFull = false;
      await cluster.start('us-1');
      await cluster.settle();
      await cluster.settle();
      for (const node of NODES) expect(heldBy(cluster, node, 'key')?.committed?.value?.version).toBe(2);
    }));
});

describe('a register whose proposer lives', () => {
  it('is left in peace: what was told needs no settling', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      for (let at = 0; at < 5; at++) await clients.put('us-1', `key-${at}`, 'value');
      await cluster.settle();
      let questions = 0;
      cluster.passes = (_from, _to, message) => {
        if (message[0] === REQUEST && message[2] === 'settle') questions += 1;
        return true;
      };
      await cluster.settle();
      expect(questions).toBe(0);
      for (const node of NODES) expect(cluster.node(node).figures().unsettled).toBe(0);
    }));
});
